//! An etcd, filled with what another store had; and one that says where its contents went.
//!
//! Until the head is written, last, there is nothing there for whoever looks.

use super::batch::{Batch, Head, Kept, PlanRow, Row, pieces_of_design};
use super::commit::PIECE_MAX;
use super::wire::{Op, Ranging};
use super::{Etcd, parse, random};
use crate::error::{Failure, FailureKind};
use crate::moving::Piece;
use crate::read::Entry;
use model::Generation;

impl Etcd {
    pub(crate) fn begin_filling(&mut self) -> Result<(), Failure> {
        self.load()?;
        if self.head.batch > 0 && self.head.moved.is_none() {
            return Err(Failure {
                kind: FailureKind::Other,
                detail: "this etcd holds a zone already".into(),
            });
        }
        // Of the zone that moved away; nobody waits for it any more.
        let (from, to) = self.keys.all_asked();
        self.fenced(vec![Op::DeleteRange(from, to)])?;
        self.clear()
    }

    /// Removes whatever lies there: of a copy that was not finished, or of a zone that moved away.
    pub(super) fn clear(&mut self) -> Result<(), Failure> {
        self.ordinals.clear();
        self.unsettled.clear();
        let ranges = self.keys.contents();
        self.fenced(ranges.into_iter().map(|(from, to)| Op::DeleteRange(from, to)).collect())
    }

    pub(crate) fn fill(&mut self, piece: &Piece<'_>) -> Result<(), Failure> {
        let mut ops = Vec::new();
        match piece {
            Piece::Plan(plan) => {
                let mut row = PlanRow::from((*plan).clone());
                if let Some(octets) = pieces_of_design(&row, PIECE_MAX)? {
                    let generation = row.generation;
                    row.pieces =
                        Some(self.lay_beside(&octets, |this, piece| this.keys.design(generation, piece))?);
                    row.files.clear();
                }
                ops.push(Op::Put(self.keys.plan(row.generation), serde_json::to_vec(&row)?, 0));
            }
            Piece::Facts(facts) => {
                for (location, machine) in &facts.machines {
                    let row = serde_json::to_vec(&Row { seq: 0, machine: machine.clone() })?;
                    ops.push(Op::Put(self.keys.machine(location), row, 0));
                }
                for change in facts.changes.values() {
                    ops.push(Op::Put(self.keys.change(change.id), serde_json::to_vec(&change.head())?, 0));
                    for (location, member) in &change.machines {
                        let key = self.keys.change_machine(change.id, location);
                        ops.push(Op::Put(key, serde_json::to_vec(member)?, 0));
                    }
                }
            }
            Piece::Events(entries) => {
                for Entry { seq, event, state } in *entries {
                    let ordinal = self.ordinals.entry(event.location.clone()).or_default();
                    *ordinal += 1;
                    let kept =
                        Kept { seq: *seq, ordinal: *ordinal, event: event.clone(), state: state.clone() };
                    let key = self.keys.event(&event.location, *ordinal);
                    ops.push(Op::Put(key, serde_json::to_vec(&kept)?, 0));
                }
            }
            Piece::Secret(name, bytes) => ops.push(Op::Put(self.keys.secret(name), bytes.to_vec(), 0)),
        }
        self.in_portions(&ops)
    }

    pub(crate) fn end_filling(&mut self, last_seq: u64, generation: Generation) -> Result<(), Failure> {
        // Above what was there before, so that nobody takes it for what he knows.
        let number = self.head.batch + 1;
        let token = random()?;
        let published = (generation.0 > 0).then_some(generation);
        let batch = Batch { batch: number, token, published, ..Batch::default() };
        let put = Op::Put(self.keys.log(number), serde_json::to_vec(&batch)?, 0);
        let (settled, oldest) = (number, number);
        let head = Head { batch: number, token, seq: last_seq, generation, settled, oldest, moved: None };
        self.advance(vec![put], head)?;
        self.applied = number;
        Ok(())
    }

    /// As if nothing had been there.
    pub(crate) fn empty(&mut self) -> Result<(), Failure> {
        let head = Head {
            moved: Some("nowhere: it was never whole".to_owned()),
            token: random()?,
            ..self.head.clone()
        };
        self.advance(Vec::new(), head)?;
        self.clear()
    }

    /// Where the zone went, if it did.
    pub(crate) fn moved(&self) -> Result<Option<String>, Failure> {
        let range = self.client.range(&Ranging::key(self.keys.head()))?;
        let head: Option<Head> = range.kvs.first().map(parse).transpose()?;
        Ok(head.and_then(|head| head.moved))
    }

    /// Says where the zone went: to whoever follows, and to whoever opens it.
    pub(crate) fn retire(&mut self, to: &str) -> Result<(), Failure> {
        let head = Head { moved: Some(to.to_owned()), token: random()?, ..self.head.clone() };
        self.advance(Vec::new(), head)
    }
}
