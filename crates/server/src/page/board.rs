//! The states of all machines as the map shows them: one octet each, worked out once for all who look.
//!
//! In: the zone, looked at while somebody watches and something changed. Out: the whole to whoever comes, and then what
//! differs, to all alike; with it what stands beside the map, as HTML. A letter stands for a state, a capital one for a machine that wants attention. The zone's lock
//! is taken for some hundred machines at a time, so that the keeper never waits for the map.

use super::beside;
use super::layout::Layout;
use crate::clock;
use crate::controller::Controller;
use crate::http::status::Troubles;
use lifecycle::Zone;
use model::{DeviceId, Time};
use std::fmt::Write;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{broadcast, watch};

/// The states in the order of their letters; the page's script has the same.
pub(super) const STATES: [&str; 10] = [
    "expected",
    "seen",
    "booting",
    "installing",
    "validating",
    "ready",
    "draining",
    "maintenance",
    "failed",
    "retired",
];
/// The shortest time between two looks: what people see as "at once".
const GAP: Duration = Duration::from_millis(200);
/// A machine becomes overdue by nothing but time.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// Machines that are looked at under one lock.
const AT_ONCE: usize = 512;
/// Differences that wait for a slow reader; one that is further behind begins anew.
const DIFFERENCES_MAX: usize = 32;

/// What the map shows.
pub(crate) struct Board {
    standing: Mutex<Standing>,
    told: broadcast::Sender<Arc<str>>,
}

#[derive(Default)]
struct Standing {
    layout: Arc<Layout>,
    /// In the layout's order.
    letters: Vec<u8>,
    /// What stands beside the map: HTML.
    beside: String,
}

/// What changed.
enum Change {
    Nothing,
    Some(Vec<usize>),
    All,
}

impl Default for Board {
    fn default() -> Self {
        Self { standing: Mutex::default(), told: broadcast::Sender::new(DIFFERENCES_MAX) }
    }
}

impl Board {
    /// The whole now, as server-sent events, and everything that comes after it.
    pub(super) fn watch(&self, controller: &Controller) -> (String, broadcast::Receiver<Arc<str>>) {
        let mut standing = self.lock();
        self.look(&mut standing, controller);
        (standing.whole() + &standing.told_beside(), self.told.subscribe())
    }

    /// The map of the plan in force.
    pub(super) fn layout(&self, controller: &Controller) -> Arc<Layout> {
        let mut standing = self.lock();
        self.look(&mut standing, controller);
        Arc::clone(&standing.layout)
    }

    /// What stands beside the map now, HTML: the page comes with it, and nothing moves when the stream begins.
    pub(super) fn beside(&self, controller: &Controller) -> String {
        let mut standing = self.lock();
        self.look(&mut standing, controller);
        standing.beside.clone()
    }

    /// Brings it up to date, and tells those who watch.
    fn look(&self, standing: &mut Standing, controller: &Controller) {
        let (change, is_beside_another) = standing.look(controller);
        let mut text = match change {
            Change::Nothing => String::new(),
            // Most of it changed: the whole is shorter.
            Change::Some(changed) if changed.len() * 4 > standing.letters.len() => standing.whole(),
            Change::Some(changed) => standing.some(&changed),
            Change::All => standing.whole(),
        };
        if is_beside_another {
            text += &standing.told_beside();
        }
        if !text.is_empty() {
            // Nobody may be watching.
            let _ = self.told.send(text.into());
        }
    }

    fn lock(&self) -> MutexGuard<'_, Standing> {
        self.standing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Looks while somebody watches, until it is told to stop.
pub(crate) async fn run(board: Arc<Board>, controller: Arc<Controller>, mut stopping: watch::Receiver<bool>) {
    let mut news = controller.news.subscribe();
    loop {
        tokio::select! {
            _ = stopping.wait_for(|stop| *stop) => return,
            () = tokio::time::sleep(LOOK_EVERY) => {}
            changed = news.changed() => {
                if changed.is_err() {
                    return;
                }
            }
        }
        if board.told.receiver_count() == 0 {
            continue;
        }
        let (board, controller) = (Arc::clone(&board), Arc::clone(&controller));
        let looked = tokio::task::spawn_blocking(move || board.look(&mut board.lock(), &controller));
        if looked.await.is_err() {
            return;
        }
        tokio::time::sleep(GAP).await;
    }
}

impl Standing {
    /// What changed on the map, and whether anything did beside it.
    fn look(&mut self, controller: &Controller) -> (Change, bool) {
        loop {
            let plan = Arc::clone(controller.zone().plan());
            let is_another = plan.generation != self.layout.generation;
            if is_another {
                self.layout = Arc::new(Layout::of(&plan));
            }
            let Some((letters, troubles)) = read(&self.layout, controller) else { continue };
            let is_beside_another = self.write_beside(controller, troubles);
            let before = std::mem::replace(&mut self.letters, letters);
            if is_another || before.len() != self.letters.len() {
                return (Change::All, is_beside_another);
            }
            let changed: Vec<usize> =
                (0..before.len()).filter(|at| before[*at] != self.letters[*at]).collect();
            let change = if changed.is_empty() { Change::Nothing } else { Change::Some(changed) };
            return (change, is_beside_another);
        }
    }

    /// Whether it is another than before.
    fn write_beside(&mut self, controller: &Controller, troubles: Troubles) -> bool {
        let generation = controller.zone().whole().generation.0;
        let sharing = controller.condition().sharing;
        let listed = troubles.listed(beside::TROUBLES_MAX);
        let beside =
            beside::beside(&listed, sharing.as_ref(), &controller.known_edges(), generation).into_string();
        let is_another = beside != self.beside;
        self.beside = beside;
        is_another
    }

    fn told_beside(&self) -> String {
        // Data of an event is lines; text always has a JSON form.
        let data = serde_json::to_string(&self.beside).unwrap_or_default();
        format!("event: beside\ndata: {data}\n\n")
    }

    fn whole(&self) -> String {
        let letters = String::from_utf8_lossy(&self.letters);
        format!(
            "event: all\ndata: {{\"generation\":{},\"units\":\"{letters}\"}}\n\n",
            self.layout.generation.0
        )
    }

    fn some(&self, changed: &[usize]) -> String {
        let mut units = String::new();
        for at in changed {
            let _ = write!(units, "{at}{} ", char::from(self.letters[*at]));
        }
        let generation = self.layout.generation.0;
        format!("event: some\ndata: {{\"generation\":{generation},\"units\":\"{}\"}}\n\n", units.trim_end())
    }
}

/// Every machine's letter, and what wants attention; `None` if the plan changed meanwhile.
fn read(layout: &Layout, controller: &Controller) -> Option<(Vec<u8>, Troubles)> {
    let condition = controller.condition();
    let mut troubles = Troubles::of_zone(controller, &condition, &controller.zone(), clock::now());
    let mut letters = Vec::with_capacity(layout.order.len());
    for machines in layout.order.chunks(AT_ONCE) {
        let zone = controller.zone();
        if zone.plan().generation != layout.generation {
            return None;
        }
        let now = clock::now();
        letters.extend(machines.iter().map(|id| letter(&zone, *id, &mut troubles, now)));
    }
    Some((letters, troubles))
}

fn letter(zone: &Zone, id: DeviceId, troubles: &mut Troubles, now: Time) -> u8 {
    let device = &zone.plan().design.devices[id.index()];
    let Some(machine) = zone.facts().machines.get(&device.location) else {
        return b'a';
    };
    let name = machine.state.name();
    let state =
        STATES.iter().zip(b'a'..).find(|(known, _)| **known == name).map_or(b'a', |(_, letter)| letter);
    match troubles.add_machine(zone, id, device, now) {
        Some(_) => state.to_ascii_uppercase(),
        None => state,
    }
}
