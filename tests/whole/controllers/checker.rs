//! What clients were told, held against what is stored: nothing that was acknowledged is lost, nothing is there twice, plans are one
//! chain.

use std::collections::{BTreeMap, BTreeSet};

/// What a client was told of its wish or design.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Told {
    /// It is stored.
    Stored,
    /// It is not.
    Refused,
    /// Nothing that one could go by.
    Nothing,
}

/// What was asked and what is there.
#[derive(Clone, Default, Debug)]
pub(crate) struct Recorded {
    /// By its mark, which is nobody else's.
    pub(crate) wishes: BTreeMap<String, Told>,
    pub(crate) designs: BTreeMap<String, Told>,
    /// The events that are stored, by number, with their wish's mark; in no order.
    pub(crate) events: Vec<(u64, Option<String>)>,
    /// The plans that are stored: number, parent, the design's mark.
    pub(crate) plans: Vec<(u64, u64, Option<String>)>,
}

/// Everything that is wrong, a sentence each.
pub(crate) fn wrong(recorded: &Recorded) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut numbers: Vec<u64> = recorded.events.iter().map(|(number, _)| *number).collect();
    numbers.sort_unstable();
    for (expected, number) in (1..).zip(&numbers) {
        if *number != expected {
            wrong.push(format!("event {expected} is missing or repeated: {number} stands there"));
            break;
        }
    }
    let marks = recorded.events.iter().filter_map(|(_, mark)| mark.as_ref());
    count(&mut wrong, "wish", &recorded.wishes, marks);
    let marks = recorded.plans.iter().filter_map(|(.., mark)| mark.as_ref());
    count(&mut wrong, "design", &recorded.designs, marks);
    let mut plans = recorded.plans.clone();
    plans.sort();
    for (expected, (number, parent, _)) in (1..).zip(&plans) {
        if (*number, *parent) != (expected, expected - 1) {
            wrong.push(format!("plan {number} has the parent {parent}, where plan {expected} belongs"));
            break;
        }
    }
    let parents: BTreeSet<u64> = plans.iter().map(|(_, parent, _)| *parent).collect();
    if parents.len() != plans.len() {
        wrong.push("two plans have one parent".to_owned());
    }
    wrong
}

fn count<'a>(
    wrong: &mut Vec<String>,
    what: &str,
    told: &BTreeMap<String, Told>,
    there: impl Iterator<Item = &'a String>,
) {
    let mut times: BTreeMap<&String, u32> = BTreeMap::new();
    for mark in there {
        *times.entry(mark).or_default() += 1;
    }
    for (mark, told) in told {
        match (told, times.get(mark).copied().unwrap_or_default()) {
            (Told::Stored, 0) => wrong.push(format!("{what} {mark} was acknowledged and is lost")),
            (Told::Refused, 1..) => wrong.push(format!("{what} {mark} was refused and is stored")),
            (_, 2..) => wrong.push(format!("{what} {mark} is stored twice")),
            _ => {}
        }
    }
    for mark in times.keys().filter(|mark| !told.contains_key(**mark)) {
        wrong.push(format!("{what} {mark} is stored, and nobody asked for it"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two wishes and two designs; one of each was never answered, and only the wish of the two came through.
    fn fine() -> Recorded {
        let told =
            |words: &[(&str, Told)]| words.iter().map(|(mark, told)| ((*mark).to_owned(), *told)).collect();
        let mark = |mark: &str| Some(mark.to_owned());
        Recorded {
            wishes: told(&[("w1", Told::Stored), ("w2", Told::Nothing), ("w3", Told::Refused)]),
            designs: told(&[("d1", Told::Stored), ("d2", Told::Nothing)]),
            events: vec![(2, mark("w2")), (1, mark("w1")), (3, None)],
            plans: vec![(1, 0, None), (2, 1, mark("d1"))],
        }
    }

    #[test]
    fn what_is_right_is_right_and_each_wrong_is_found() {
        assert_eq!(wrong(&fine()), [""; 0]);
        let check = |spoil: fn(&mut Recorded), expected: &str| {
            let mut recorded = fine();
            spoil(&mut recorded);
            let found = wrong(&recorded);
            assert!(found.iter().any(|sentence| sentence == expected), "{expected}: {found:?}");
        };
        check(|it| it.events.retain(|(number, _)| *number != 1), "wish w1 was acknowledged and is lost");
        check(|it| it.events.push((4, Some("w1".into()))), "wish w1 is stored twice");
        check(|it| it.events.push((4, Some("w3".into()))), "wish w3 was refused and is stored");
        check(|it| it.events.push((4, Some("w9".into()))), "wish w9 is stored, and nobody asked for it");
        check(|it| it.events.push((3, None)), "event 4 is missing or repeated: 3 stands there");
        check(|it| it.events.push((9, None)), "event 4 is missing or repeated: 9 stands there");
        check(|it| it.plans.retain(|(number, ..)| *number == 1), "design d1 was acknowledged and is lost");
        check(|it| it.plans.push((3, 1, None)), "two plans have one parent");
        check(|it| it.plans.push((3, 2, Some("d1".into()))), "design d1 is stored twice");
    }

    /// What was found of a run in which leaders compared nothing when they wrote and never stepped down: one that had been cut off wrote over
    /// what its follower had acknowledged.
    #[test]
    fn a_run_without_the_fence_is_found_out() {
        let mut recorded = Recorded::default();
        for number in 1..=30 {
            let mark = (number <= 24).then(|| format!("w{number}"));
            let is_lost = (10..=13).contains(&number);
            recorded.wishes.extend(mark.clone().map(|mark| (mark, Told::Stored)));
            let stands = if number == 22 { 21 } else { number };
            recorded.events.push((stands, mark.filter(|_| !is_lost)));
        }
        recorded.designs.insert("d5".into(), Told::Stored);
        recorded.plans = vec![(1, 0, None), (2, 1, Some("d6".into()))];
        recorded.designs.insert("d6".into(), Told::Stored);
        let expected = [
            "event 22 is missing or repeated: 21 stands there",
            "wish w10 was acknowledged and is lost",
            "wish w11 was acknowledged and is lost",
            "wish w12 was acknowledged and is lost",
            "wish w13 was acknowledged and is lost",
            "design d5 was acknowledged and is lost",
        ];
        assert_eq!(wrong(&recorded), expected);
    }
}
