//! Changes in waves, by themselves: machines that come back right or wrong are played here, event by event.

mod systems;
mod world;

use crate::world::{Boots, World, ZONE, compiled, next_kernel};
use lifecycle::budget::Budgets;
use lifecycle::change::{self, begin, to_undo, waits_for};
use lifecycle::starting::{Due, Way, due};
use lifecycle::{Zone, attention, why};
use model::change::{Effect, Holder, Kind, Outcome, Reach};
use model::event::{ChangeStep, Started, What, Wish};
use model::facts::{CheckResult, Hardware, State};
use model::{ChangeId, Facts, Generation, Location, Plan, Time};
use std::sync::Arc;
use std::time::Duration;

#[test]
fn a_change_goes_from_one_machine_to_its_rack_its_pod_and_the_zone() {
    let mut world = World::new();
    let id = world.publish(&next_kernel(), None);
    assert_eq!(world.change(id).waves, [Reach::Machine, Reach::Rack, Reach::Pod, Reach::Zone]);
    let sizes: Vec<usize> = (0..4).map(|wave| world.change(id).of_wave(wave).count()).collect();
    assert_eq!(sizes, [1, 3, 4, 8]);
    // Nobody has it yet, though its plan is in force.
    assert!(world.locations().iter().all(|location| world.kernel(location) == "vmlinuz-1"));
    world.round();
    assert_eq!(world.steps, ["take p1/r1/u1"]);
    let why = why(&world.zone, "p2/r1/u1", world.now).expect("a machine").sentences;
    let turn = "change 1 of alice (a new kernel) takes it in its zone wave: it restarts, since image live has changed; the change waits for p1/r1/u1 to be back";
    assert!(why.iter().any(|sentence| sentence == turn), "{why:#?}");
    let [first, second] = ["t1/p1/r1/u1", "t1/p1/r1/u2"].map(Location::new);
    assert_eq!((world.kernel(&first), world.kernel(&second)), ("vmlinuz-2", "vmlinuz-1"));
    world.run(600);
    assert!(world.locations().iter().all(|location| world.kernel(location) == "vmlinuz-2"));
    assert_eq!(world.steps.last().map(String::as_str), Some("done: 16 machines done"));
    for word in ["take", "done p"] {
        assert_eq!(world.steps.iter().filter(|step| step.starts_with(word)).count(), 16, "{word}, each once");
    }
    assert_eq!(world.steps.iter().filter(|step| *step == "widen").count(), 3);
    assert!(world.most_out <= 3, "{} were out", world.most_out);
    assert!(Arc::ptr_eq(world.zone.plan(), world.zone.whole()), "nothing is held any more");
    assert!(world.zone.facts().machines.values().all(|machine| machine.lease.is_none()));
    assert_eq!(to_undo(&world.zone), None);
}

#[test]
fn one_machine_is_not_called_machines() {
    let mut world = World::new();
    let at = |place: &str| Location::new(&format!("t1/{place}"));
    let touched = ["p1/r1/u1", "p2/r1/u1"].map(|place| (at(place), Effect::Restart, String::new()));
    let change = begin(&world.zone, Kind::Restart, touched.into(), "bob", "microcode", world.now);
    let id = change.id;
    assert_eq!(world.wish(id, ChangeStep::Begin { change: Box::new(change) }), None);
    world.run(600);
    let notes: Vec<&str> = world.change(id).notes.iter().map(|note| note.sentence.as_str()).collect();
    assert_eq!(
        notes,
        ["bob began it: 2 machines in 2 waves", "the zone wave begins: 1 machine", "2 machines done"]
    );
}

/// Of two roles in one wave, the one that the other starts after is through first.
#[test]
fn a_role_is_reached_after_those_that_it_starts_after() {
    let text = ZONE
        .replace("role \"web\" {", "role \"disks\" {\n  boot = image.live\n}\nrole \"web\" {\n  after = [\"disks\"]")
        .replace("    machines \"u{1..4}\" {", "    machines \"u{5..6}\" {\n      model = \"node\"\n      role  = \"disks\"\n      cable = { eno1 = leaf.a.swp[unit] }\n    }\n    machines \"u{1..4}\" {");
    let mut world = World::of(&text);
    let id = world.publish(&text.replace("vmlinuz-1", "vmlinuz-2"), None);
    world.round();
    assert_eq!(
        world.steps,
        ["take p1/r1/u5"],
        "the first of each role is in the first wave, and u1 starts after u5"
    );
    world.run(1200);
    assert_eq!(world.change(id).ended.as_ref().map(|ended| ended.how), Some(Outcome::Done));
    for wave in world.steps.split(|step| step == "widen") {
        let is_of_disks = |step: &str| step.ends_with("u5") || step.ends_with("u6");
        let last_done = wave.iter().rposition(|step| step.starts_with("done p") && is_of_disks(step));
        let first_taken = wave.iter().position(|step| step.starts_with("take") && !is_of_disks(step));
        assert!(last_done < first_taken, "{wave:#?}");
    }
}

#[test]
fn a_bad_image_stops_at_the_first_machine_and_is_taken_back() {
    for (boots, why) in [
        (Boots::Wrong, "check disk failed: broken"),
        (Boots::Panics, "its kernel was started 3 times, and its agent never came"),
        (Boots::Silent, "it was not back after 120 s, and is ready"),
    ] {
        let mut world = World::new();
        world.boots = match boots {
            Boots::Wrong => |_| Boots::Wrong,
            Boots::Panics => |_| Boots::Panics,
            _ => |_| Boots::Silent,
        };
        let id = world.publish(&next_kernel(), None);
        world.run(300);
        let ended = world.change(id).ended.clone().expect("ended");
        assert_eq!(ended.how, Outcome::Halted);
        assert_eq!(
            ended.sentence,
            format!("1 of 1 machine that has it failed (p1/r1/u1: {why}), 0 of 15 that do not")
        );
        assert_eq!(world.steps.iter().filter(|step| step.starts_with("take")).count(), 1, "nobody else");
        assert_eq!(to_undo(&world.zone), Some((id, Generation(1))));
        let halted = [(id, format!("change 1 was halted: {}", ended.sentence))];
        assert_eq!(attention::of_changes(&world.zone, world.now), halted);
        let undo = world.publish(ZONE, Some(id));
        assert_eq!(to_undo(&world.zone), None);
        assert_eq!(world.change(undo).machines.len(), 1, "only what it reached");
        assert_eq!(world.change(undo).notes[0].sentence, "zonewright takes change 1 back: 1 machine");
        let first = Location::new("t1/p1/r1/u1");
        if boots != Boots::Wrong {
            // It is on its way by itself, or somebody cycles its power: what it fetches now is the old one.
            world.round();
            world.pass(5);
            assert_eq!(world.kernel(&first), "vmlinuz-1");
            world.boot(&first, Boots::Right);
        }
        world.run(200);
        assert_eq!(world.change(undo).ended.as_ref().map(|ended| ended.how), Some(Outcome::Done));
        assert_eq!(world.zone.facts().machines[&first].state, State::Ready);
        assert!(world.locations().iter().all(|location| world.kernel(location) == "vmlinuz-1"));
        // Who begins another one has seen it.
        assert_eq!(attention::of_changes(&world.zone, world.now), halted);
        world.boots = |_| Boots::Right;
        world.publish(&next_kernel(), None);
        assert_eq!(attention::of_changes(&world.zone, world.now), []);
    }
}

/// The same zone where machines have BMCs.
#[test]
fn what_was_handed_what_it_had_before_has_not_changed() {
    let first = Location::new("t1/p1/r1/u1");
    let mut world = World::new();
    world.handed_the_old = 1;
    world.boots = |_| Boots::Panics;
    let id = world.publish(&next_kernel(), None);
    world.run(600);
    // It restarted once more, and then had it.
    assert_eq!(world.steps[..2], ["take p1/r1/u1", "failed p1/r1/u1"]);
    assert!(world.steps[2].starts_with("halted: 1 of 1 machine that has it failed"), "{:?}", world.steps);

    let mut world = World::new();
    world.handed_the_old = 1;
    let id_of_good = world.publish(&next_kernel(), None);
    world.run(30);
    assert_eq!(world.steps, ["take p1/r1/u1", "done p1/r1/u1", "bake"]);
    assert_eq!(world.zone.facts().machines[&first].boots, 3);
    assert_eq!(id, id_of_good);

    // Who never knows of it stops the change.
    let mut world = World::new();
    world.handed_the_old = 9;
    world.publish(&next_kernel(), None);
    world.run(600);
    assert_eq!(world.steps[..2], ["take p1/r1/u1", "failed p1/r1/u1"]);
    assert!(
        world.steps[2].contains("each time that it restarted it was handed what it booted before"),
        "{:?}",
        world.steps
    );
    assert_eq!(world.zone.facts().machines[&first].boots, 3, "it is not restarted for ever");
}

#[test]
fn what_goes_down_again_while_it_is_watched_is_waited_for_and_counts() {
    let first = Location::new("t1/p1/r1/u1");
    let baking = || {
        let mut world = World::new();
        let id = world.publish(&next_kernel(), None);
        world.run(30);
        assert_eq!(world.steps, ["take p1/r1/u1", "done p1/r1/u1", "bake"]);
        world.tell(&Location::new("t1/p1/r1/u1"), What::Lost);
        (world, id)
    };
    let (mut world, _) = baking();
    world.boot(&first, Boots::Panics);
    world.run(600);
    assert!(
        world.steps[3].starts_with(
            "halted: 1 of 1 machine that has it failed (p1/r1/u1: its kernel was started 3 times"
        ),
        "{:?}",
        world.steps
    );
    let (mut world, id) = baking();
    world.boot(&first, Boots::Hangs);
    world.run(100);
    assert_eq!(world.steps.len(), 3, "it is not gone further with: {:?}", world.steps);
    let waits = waits_for(&world.zone, world.change(id), world.now);
    assert_eq!(waits.as_deref(), Some("p1/r1/u1, which has it and went down, to be back"));
    world.run(700);
    assert!(
        world.steps[3].starts_with(
            "halted: 1 of 1 machine that has it failed (p1/r1/u1: it went down again, and is booting since"
        ),
        "{:?}",
        world.steps
    );
    // Whom somebody else took down says nothing of the change.
    let (mut world, id) = baking();
    let deadline = world.now + Duration::from_secs(3600);
    let holder = Holder::Fleetlock { id: "c0ffee".into() };
    let leased = What::Leased { holder, reason: "its update".into(), deadline };
    assert_eq!(world.tell(&first, leased).refused, None);
    world.boot(&first, Boots::Hangs);
    world.run(1500);
    assert_eq!(
        world.change(id).ended.as_ref().map(|ended| ended.how),
        Some(Outcome::Done),
        "{:?}",
        world.steps
    );
    // What comes back is as good as before.
    let (mut world, id) = baking();
    world.boot(&first, Boots::Right);
    world.run(900);
    assert_eq!(world.change(id).ended.as_ref().map(|ended| ended.how), Some(Outcome::Done));
}

fn with_bmcs() -> String {
    let text = ZONE.replace("nics = [\"eno1\"]", "nics = [\"eno1\"]\n  bmc  = { port = \"bmc\" }");
    let text =
        text.replace("eno1 = leaf.a.swp[unit] }", "eno1 = leaf.a.swp[unit], bmc = leaf.a.swp[unit + 16] }");
    text.replace("model \"tor\"", "network \"bmc\" {\n  per = \"rack\"\n  for = [\"bmc\"]\n}\nmodel \"tor\"")
}

/// A change that machines hang in, and the one that takes it back, which has just begun.
fn hanging(text: &str, boots: fn(&Location) -> Boots) -> (World, ChangeId, Location) {
    let mut world = World::of(text);
    world.boots = boots;
    let id = world.publish(&text.replace("vmlinuz-1", "vmlinuz-2"), None);
    world.run(300);
    assert_eq!(world.change(id).ended.as_ref().map(|ended| ended.how), Some(Outcome::Halted));
    let undo = world.publish(text, Some(id));
    world.run(1);
    (world, undo, Location::new("t1/p1/r1/u1"))
}

#[test]
fn what_hangs_in_a_change_that_is_taken_back_is_power_cycled_by_its_bmc() {
    let bmc = |start, outcome: Option<&str>| What::Bmc {
        by: "the controller, for change 2,".into(),
        asked: "for power cycle".into(),
        outcome: outcome.map(str::to_owned),
        start: Some(start),
    };
    let (mut world, undo, first) = hanging(&with_bmcs(), |_| Boots::Hangs);
    // Its agent may be about to come after all.
    assert_eq!(due(&world.zone, world.now), []);
    assert_eq!(world.waits(&first), "what it was given to come to an end; else its BMC power-cycles it");
    world.run(60);
    let cycle = Due { location: first.clone(), by: "change 2".into(), way: Way::Usual };
    assert_eq!(due(&world.zone, world.now), std::slice::from_ref(&cycle));
    world.tell(&first, bmc(Started::Begun, None));
    world.tell(&first, bmc(Started::Failed, Some("it cannot be reached")));
    assert_eq!(due(&world.zone, world.now), []);
    assert_eq!(world.waits(&first), "its BMC to be asked again to power-cycle it; it cannot be reached");
    world.run(120);
    assert_eq!(due(&world.zone, world.now), [cycle]);
    world.tell(&first, bmc(Started::Begun, None));
    world.tell(&first, bmc(Started::Done, Some("power is on")));
    assert_eq!(
        world.waits(&first),
        "its firmware to ask for an address, since its BMC power-cycled it (2 times)"
    );
    world.boot(&first, Boots::Right);
    world.run(60);
    assert_eq!(
        world.change(undo).ended.as_ref().map(|ended| ended.sentence.as_str()),
        Some("1 machine done")
    );
    let machine = &world.zone.facts().machines[&first];
    assert_eq!((&machine.state, &machine.start), (&State::Ready, &None));
    assert!(
        world.tell(&first, bmc(Started::Begun, None)).refused.is_some(),
        "nothing is to be started any more"
    );
}

#[test]
fn what_comes_by_itself_or_serves_is_not_power_cycled_at_once() {
    // One that panics is about to come by itself.
    let (mut world, ..) = hanging(&with_bmcs(), |_| Boots::Panics);
    world.run(600);
    assert_eq!(due(&world.zone, world.now), []);
    world.run(150);
    assert_eq!(due(&world.zone, world.now).len(), 1, "it did not");
    // Of one that was never seen to go down, nobody knows that it does not serve.
    let (mut world, undo, _) = hanging(&with_bmcs(), |_| Boots::Silent);
    world.run(300);
    assert_eq!(due(&world.zone, world.now), []);
    world.run(1000);
    assert!(world.change(undo).ended.is_some());
    // Nor is it asked of a BMC that there is not; and the change ends without.
    let (mut world, undo, first) = hanging(ZONE, |_| Boots::Hangs);
    world.run(60);
    assert_eq!(due(&world.zone, world.now), []);
    assert_eq!(
        world.waits(&first),
        "what it was given to come to an end; else somebody to power-cycle it: it has no BMC in the design"
    );
    world.run(1000);
    assert!(world.change(undo).ended.is_some());
    assert!(world.zone.facts().machines[&first].start.is_none());
}

/// Everything that survives a restart, and nothing else.
fn restarted(world: &World, plans: &[Plan]) -> Zone {
    let text = serde_json::to_string(world.zone.facts()).expect("JSON");
    let mut facts: Facts = serde_json::from_str(&text).expect("facts");
    for (location, machine) in &mut facts.machines {
        // Agents connect again.
        machine.agent_at.clone_from(&world.zone.facts().machines[location].agent_at);
    }
    let current = plans.iter().max_by_key(|plan| plan.generation).expect("a plan");
    let before = change::holding(&facts, current.generation).and_then(|change| {
        let (from, _) = change.plans()?;
        plans.iter().find(|plan| plan.generation == from).cloned()
    });
    let zone = Zone::new(Arc::new(current.clone()), facts);
    match before {
        Some(before) => zone.held_to(Arc::new(before)),
        None => zone,
    }
}

#[test]
fn who_is_killed_between_any_two_steps_neither_repeats_nor_skips_one() {
    let plans = [compiled(ZONE, 1), compiled(&next_kernel(), 2)];
    let mut whole = World::new();
    whole.publish(&next_kernel(), None);
    whole.run(600);
    let mut killed = World::new();
    killed.publish(&next_kernel(), None);
    let mut kills = 0;
    let end = killed.now + Duration::from_secs(600);
    while killed.now < end {
        killed.zone = restarted(&killed, &plans);
        kills += 1;
        if !killed.round() {
            killed.pass(1);
        }
        killed.zone = restarted(&killed, &plans);
    }
    assert!(kills > 100, "{kills}");
    assert_eq!(killed.steps, whole.steps);
    assert_eq!(killed.zone.facts(), whole.zone.facts());
}

#[test]
fn what_fails_everywhere_is_not_the_changes_doing() {
    let mut world = World::new();
    let id = world.publish(&next_kernel(), None);
    world.round();
    world.run(70);
    assert_eq!(world.change(id).wave, 1, "the first machine was fine");
    // Then a switch goes: machines with and without the change fail their checks alike.
    for location in world.locations().into_iter().filter(|location| !location.as_str().contains("p2/r2")) {
        let results = vec![CheckResult { name: "net".into(), passed: false, detail: "no route".into() }];
        world.tell(&location, What::Checked { results });
    }
    world.run(30);
    let paused = world.change(id).paused.clone().expect("paused");
    assert_eq!(paused.by, "zonewright");
    assert!(
        paused.reason.ends_with("it is not the change alone, look before it goes on"),
        "{}",
        paused.reason
    );
    let waits = waits_for(&world.zone, world.change(id), world.now).expect("it waits");
    assert!(waits.starts_with("somebody to resume it: zonewright paused it ("), "{waits}");
    assert_eq!(attention::of_changes(&world.zone, world.now), [(id, format!("change 1 waits for {waits}"))]);
    assert_eq!(to_undo(&world.zone), None);
    // Mended, and resumed, it goes on to its end.
    for location in world.locations() {
        world.tell(&location, What::Checked { results: Vec::new() });
    }
    assert_eq!(world.wish(id, ChangeStep::Resume { by: "bob".into() }), None);
    world.run(600);
    assert_eq!(world.change(id).ended.as_ref().map(|ended| ended.how), Some(Outcome::Done));
}

#[test]
fn a_pause_lets_what_is_under_way_come_back_and_nothing_new_begin() {
    let mut world = World::new();
    let id = world.publish(&next_kernel(), None);
    let pause = |reason: &str| ChangeStep::Pause { by: "bob".into(), reason: reason.into() };
    world.round();
    assert_eq!(world.wish(id, pause("lunch")), None);
    assert_eq!(world.wish(id, pause("again")).as_deref(), Some("it is paused already"));
    world.run(300);
    assert_eq!(world.steps, ["take p1/r1/u1", "done p1/r1/u1"]);
    let end = ChangeStep::End { how: Outcome::Aborted, sentence: "bob aborted it: lunch is over".into() };
    assert_eq!(world.wish(id, end), None);
    assert_eq!(to_undo(&world.zone), Some((id, Generation(1))));
    assert_eq!(
        world.wish(id, ChangeStep::Resume { by: "bob".into() }).as_deref(),
        Some("there is no such change under way")
    );
    let undo = world.publish(ZONE, Some(id));
    world.run(100);
    assert_eq!(
        world.change(undo).ended.as_ref().map(|ended| ended.sentence.as_str()),
        Some("1 machine done")
    );
    assert!(world.locations().iter().all(|location| world.kernel(location) == "vmlinuz-1"));
}

/// The clock of whoever decides is set back an hour, in the midst of it: a boot of before is not taken for one that followed.
#[test]
fn a_clock_that_is_set_back_skips_nobody() {
    let mut world = World::new();
    world.boots = |_| Boots::Silent;
    let id = world.publish(&next_kernel(), None);
    world.now = Time(world.now.0 - 900_000);
    world.round();
    assert_eq!(world.steps, ["take p1/r1/u1"]);
    world.now = Time(world.now.0 - 60_000);
    world.round();
    assert_eq!(world.steps.len(), 1, "it has not been back: {:?}", world.steps);
    let first = Location::new("t1/p1/r1/u1");
    world.boot(&first, Boots::Right);
    world.boots = |_| Boots::Right;
    world.run(900);
    assert_eq!(world.change(id).ended.as_ref().map(|ended| ended.how), Some(Outcome::Done));
    assert!(world.zone.facts().machines.values().all(|machine| machine.boots == 2), "each once");
}

/// The machine that was to be first is out of service when its turn comes: the next ones are tried one at a time.
#[test]
fn where_the_first_wave_proves_nothing_the_next_one_begins_with_one_machine() {
    let mut world = World::new();
    world.boots = |_| Boots::Wrong;
    let id = world.publish(&next_kernel(), None);
    let first = Location::new("t1/p1/r1/u1");
    let wish = Wish::Maintain { reason: "a fan".into() };
    world.tell(&first, What::Operator { by: "bob".into(), wish, beyond_budget: false });
    world.run(600);
    let taken: Vec<&String> = world.steps.iter().filter(|step| step.starts_with("take")).collect();
    assert_eq!(taken, ["take p1/r1/u1", "take p1/r1/u2"], "and nobody else gets what is bad");
    assert_eq!(world.change(id).ended.as_ref().map(|ended| ended.how), Some(Outcome::Halted));
}

#[test]
fn a_machine_that_somebody_holds_is_waited_for_and_is_no_evidence() {
    let mut world = World::new();
    let id = world.publish(&next_kernel(), None);
    let [first, second] = ["t1/p1/r1/u1", "t1/p1/r1/u2"].map(Location::new);
    let held = |why: Option<&str>| What::Held { why: why.map(str::to_owned) };
    world.tell(&second, held(Some("a long reckoning")));
    world.run(600);
    assert_eq!(
        waits_for(&world.zone, world.change(id), world.now).as_deref(),
        Some("its turn with p1/r1/u2: somebody holds it there (a long reckoning)")
    );
    let sentences = why(&world.zone, "p1/r1/u2", world.now).expect("a machine").sentences;
    assert!(sentences.iter().any(|sentence| sentence.contains("lets nobody restart it (a long reckoning)")));
    assert_eq!((world.kernel(&first), world.kernel(&second)), ("vmlinuz-2", "vmlinuz-1"));
    assert!(!world.steps.iter().any(|step| step.contains("u2") || step.contains("p2")), "{:?}", world.steps);

    // It is let go, and another is held when its turn has come: that one is passed over in the end.
    world.tell(&second, held(None));
    world.boots = |location| if location.as_str() == "t1/p1/r2/u1" { Boots::Silent } else { Boots::Right };
    let other = Location::new("t1/p1/r2/u1");
    while !world.steps.iter().any(|step| step == "take p1/r2/u1") {
        if !world.round() {
            world.pass(1);
        }
    }
    world.tell(&other, held(Some("not now")));
    world.run(1200);
    assert!(world.steps.iter().any(|step| step == "absent p1/r2/u1"), "{:?}", world.steps);
    assert_eq!(
        world.change(id).ended.as_ref().map(|ended| ended.sentence.as_str()),
        Some("15 machines done, 1 not in service")
    );
}

#[test]
fn all_kinds_of_change_spend_the_same_budget() {
    let mut world = World::new();
    let at = |place: &str| Location::new(&format!("t1/{place}"));
    let alice = || Holder::Operator { by: "alice".into() };
    let wish = |wish: Wish, beyond_budget: bool| What::Operator { by: "alice".into(), wish, beyond_budget };
    let drain = |beyond| wish(Wish::Drain { reason: "a fan".into() }, beyond);
    // One is broken, one updates itself, one is drained: that is what the budget lets go.
    let results = vec![CheckResult { name: "disk".into(), passed: false, detail: "broken".into() }];
    world.tell(&at("p1/r1/u1"), What::Checked { results });
    let itself = Holder::Fleetlock { id: "c0ffee".into() };
    let deadline = world.now + Duration::from_secs(1800);
    let leased = What::Leased { holder: itself.clone(), reason: "its update".into(), deadline };
    assert_eq!(world.tell(&at("p1/r1/u2"), leased.clone()).refused, None);
    assert_eq!(world.tell(&at("p1/r1/u2"), leased.clone()).refused, None, "asked again it has it still");
    assert_eq!(
        world.tell(&at("p1/r1/u3"), drain(false)).refused.as_deref(),
        Some(
            "the budget of web lets 2 of 4 in p1/r1 be out, and 2 are: p1/r1/u1 (failed), p1/r1/u2 (its own system (FleetLock, c0ffee): its update)"
        )
    );
    let why = why(&world.zone, "p1/r1/u2", world.now).expect("a machine").sentences;
    let holder = "its own system (FleetLock, c0ffee) has had it out of service for 0.0 s (its update); it should be back within 30 min 0 s";
    assert!(why.iter().any(|sentence| sentence == holder), "{why:#?}");
    assert_eq!(world.tell(&at("p2/r1/u3"), drain(false)).refused, None);
    let full = "the budget of web lets 3 of 16 in the zone be out, and 3 are: p1/r1/u1 (failed), p1/r1/u2 (its own system (FleetLock, c0ffee): its update), p2/r1/u3 (draining, by alice: a fan)";
    assert_eq!(world.tell(&at("p2/r2/u1"), drain(false)).refused.as_deref(), Some(full));
    assert_eq!(world.zone.facts().machines[&at("p2/r2/u1")].state, State::Ready);
    // What is out already costs nothing, and somebody may say that it matters more.
    let broken = world.zone.roster().device_at(&at("p1/r1/u1")).expect("a machine");
    assert_eq!(Budgets::of(&world.zone).may_take(broken, &alice()), Ok(()));
    assert_eq!(world.tell(&at("p2/r2/u1"), drain(true)).refused, None);
    // A change waits, and says for whom.
    let touched = ["p2/r2/u2", "p1/r1/u2"].map(|place| (at(place), Effect::Restart, String::new()));
    let change = begin(&world.zone, Kind::Restart, touched.into(), "bob", "microcode", world.now);
    let id = change.id;
    assert_eq!(world.wish(id, ChangeStep::Begin { change: Box::new(change) }), None);
    world.run(5);
    assert_eq!(world.steps, Vec::<String>::new());
    let waits = waits_for(&world.zone, world.change(id), world.now).expect("it waits");
    let named = "p1/r1/u1 (failed), p1/r1/u2 (its own system (FleetLock, c0ffee): its update)";
    assert!(
        waits.starts_with("its turn with p2/r2/u2: the budget of web") && waits.contains(named),
        "{waits}"
    );
    // Given back by who has it, and by nobody else.
    let release = |holder| What::Released { holder };
    assert_eq!(
        world.tell(&at("p1/r1/u2"), release(alice())).refused.as_deref(),
        Some("somebody else has its lease")
    );
    assert_eq!(world.tell(&at("p1/r1/u2"), release(itself)).refused, None);
    for place in ["p2/r1/u3", "p1/r1/u1", "p2/r2/u1"] {
        world.tell(&at(place), wish(Wish::Return, false));
        world.tell(&at(place), What::Reported { hardware: Box::new(Hardware::default()) });
        world.tell(&at(place), What::Checked { results: Vec::new() });
    }
    world.run(300);
    assert_eq!(world.change(id).ended.as_ref().map(|ended| ended.sentence.as_str()), Some("2 machines done"));
}

#[test]
fn what_only_judges_otherwise_is_looked_at_again_in_waves_too() {
    let mut world = World::new();
    // Every machine is too small for it.
    let nics = "nics = [\"eno1\"]";
    let id = world.publish(&ZONE.replace(nics, &format!("{nics}\n  expect = {{ cpus = 64 }}")), None);
    assert!(world.change(id).machines.values().all(|member| member.effect == Effect::Check));
    world.round();
    let first = Location::new("t1/p1/r1/u1");
    assert_eq!(world.zone.facts().machines[&first].state.name(), "validating");
    let second = Location::new("t1/p1/r1/u2");
    for location in [&first, &second] {
        world.tell(location, What::Reported { hardware: Box::new(Hardware::default()) });
    }
    assert_eq!(world.zone.facts().machines[&second].state, State::Ready, "it is judged as before");
    world.run(10);
    let ended = world.change(id).ended.clone().expect("ended");
    assert_eq!(ended.how, Outcome::Halted);
    assert!(ended.sentence.contains("p1/r1/u1: "), "{}", ended.sentence);
    let undo = world.publish(ZONE, Some(id));
    world.round();
    world.tell(&first, What::Reported { hardware: Box::new(Hardware::default()) });
    world.run(10);
    assert_eq!(world.change(undo).ended.as_ref().map(|ended| ended.how), Some(Outcome::Done));
    assert_eq!(world.zone.facts().machines[&first].state, State::Ready);
}

/// What an operator is shown before it begins, and while it is under way.
#[test]
fn what_is_ahead_is_told_with_what_the_tightest_budget_leaves() {
    let mut world = World::new();
    let at = |place: &str| Location::new(&format!("t1/{place}"));
    let shown = |world: &World, id: ChangeId| -> Vec<String> {
        let ahead = change::predict(&world.zone, world.change(id)).into_iter().map(|wave| {
            let margin = wave.tightest.expect("a budget");
            format!(
                "{}: {} ({} over), {} at once, {} s; {} {}: {} out, {} more of {} of {}, {} left",
                wave.reach.name(),
                wave.machines,
                wave.passed,
                wave.at_once,
                wave.takes.as_secs(),
                margin.budget,
                margin.domain,
                margin.out,
                margin.taken,
                margin.limit,
                margin.members,
                margin.left()
            )
        });
        ahead.collect()
    };
    let maintain = Wish::Maintain { reason: "a fan".into() };
    assert_eq!(world.asks(&at("p2/r1/u1"), maintain), None);
    let id = world.publish(&next_kernel(), None);
    let member = |world: &World, place: &str| {
        change::passed_over(&world.zone, world.change(id), &at(place), &world.change(id).machines[&at(place)])
    };
    assert_eq!(member(&world, "p2/r1/u1"), Some("is in maintenance"));
    assert_eq!(member(&world, "p2/r1/u2"), None);
    assert_eq!(
        shown(&world, id),
        [
            "canary: 1 (0 over), 1 at once, 61 s; web t1/p1/r1: 0 out, 1 more of 2 of 4, 1 left",
            "rack: 3 (0 over), 2 at once, 61 s; web t1/p1/r1: 0 out, 2 more of 2 of 4, 0 left",
            "pod: 4 (0 over), 2 at once, 62 s; web t1/p1/r2: 0 out, 2 more of 2 of 4, 0 left",
            "zone: 8 (1 over), 3 at once, 62 s; web t1/p2/r1: 1 out, 1 more of 2 of 4, 0 left",
        ]
    );
    // What is broken spends it, too.
    let results = || vec![CheckResult { name: "disk".into(), passed: false, detail: "broken".into() }];
    for place in ["p2/r2/u1", "p2/r2/u2"] {
        world.tell(&at(place), What::Checked { results: results() });
    }
    let full = "canary: 1 (0 over), 1 at once, 61 s; web t1: 3 out, 0 more of 3 of 16, 0 left";
    assert_eq!(shown(&world, id)[0], full);
    for place in ["p2/r2/u1", "p2/r2/u2"] {
        world.tell(&at(place), What::Checked { results: Vec::new() });
    }
    world.run(100);
    let ahead = change::predict(&world.zone, world.change(id));
    assert!(world.change(id).wave > 0 && ahead.len() < 4, "what is over is not ahead: {ahead:?}");
    world.run(1200);
    assert_eq!(change::predict(&world.zone, world.change(id)), []);
}

/// A power cut of a large zone is not a line of ten thousand names.
#[test]
fn of_many_that_are_out_some_are_listed_with_since_when() {
    let mut world = World::of(&ZONE.replace("u{1..4}", "u{1..12}"));
    let locations = world.locations();
    assert_eq!(locations.len(), 48);
    let results = || vec![CheckResult { name: "disk".into(), passed: false, detail: "broken".into() }];
    for location in &locations[..25] {
        world.tell(location, What::Checked { results: results() });
    }
    world.pass(65);
    let margins = Budgets::of(&world.zone).margins(world.now);
    let zone = &margins[0];
    assert_eq!((zone.domain.as_str(), zone.out, zone.holders.len()), ("t1", 25, 21));
    assert_eq!(zone.holders[0], "p1/r1/u1 (failed; for 1 min 5 s)");
    assert_eq!(zone.holders[20], "5 more");
}
