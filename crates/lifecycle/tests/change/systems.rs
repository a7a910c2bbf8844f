//! Changes of what is written to disks: the other slot, its restart, and what may go wrong in between.

use crate::world::{World, ZONE};
use lifecycle::installing::{Duty, duty};
use model::change::Outcome;
use model::event::{ChangeStep, What, Wish};
use model::facts::{Hardware, State};
use model::install::{Progress, Running, Slot};
use model::{ChangeId, Location, Mac};

/// The same zone where machines have a system of ours on their disks.
fn with_systems() -> String {
    let text = ZONE.replace("vmlinuz-1\"", "vmlinuz-1\"\n  installs = true");
    let text =
        text.replace("boot = image.live", "boot  = image.live\n  os    = os.linux\n  disks = layout.plain");
    let drawn = "os \"linux\" {\n  image = \"images/one\"\n}\nlayout \"plain\" {\n  disks = { count = 1 }\n  root  = \"4GiB\"\n}\nrole \"web\"";
    text.replace("role \"web\"", drawn)
}

/// From its disk, validated, in a boot of this time.
fn comes_from(world: &mut World, location: &Location, slot: Slot, image: &str) {
    let running = Some(Running::Disk { slot, image: image.into(), on_trial: false });
    world.tell(location, What::Connected { running, burns_in: false, boot: Some(world.now.0) });
    world.tell(location, What::Reported { hardware: Box::new(Hardware::default()) });
}

/// A change of systems, whose first machine has written its other slot and has not restarted yet.
fn written() -> (World, ChangeId, Location) {
    let mut world = World::of(&with_systems());
    for location in world.locations() {
        comes_from(&mut world, &location, Slot::A, "sha256:one");
    }
    let id = world.publish(&with_systems().replace("images/one", "images/two"), None);
    world.round();
    let first = Location::new("t1/p1/r1/u1");
    assert_eq!(world.steps, ["take p1/r1/u1"]);
    world.tell(&first, What::Installing { progress: Progress::default() });
    let (generation, image) = (world.zone.plan().generation, Some("sha256:two".into()));
    let applied = world.tell(&first, What::Installed { generation, image, slot: Some(Slot::B) });
    assert_eq!(applied.refused, None);
    (world, id, first)
}

fn restarts(world: &World, location: &Location) -> bool {
    let device = world.zone.roster().device_at(location).expect("a machine");
    let machine = &world.zone.facts().machines[location];
    matches!(duty(world.zone.plan(), device, machine, Some("sha256:two"), world.now), Duty::Restart { .. })
}

#[test]
fn what_is_written_is_not_there_before_it_was_started() {
    let (mut world, id, first) = written();
    // Whatever brought it into service on its old system.
    let mut facts = world.zone.facts().clone();
    facts.machines.get_mut(&first).expect("a machine").state = State::Ready;
    world.zone.learn_all(facts);
    world.run(120);
    assert_eq!(world.steps, ["take p1/r1/u1"]);
    comes_from(&mut world, &first, Slot::B, "sha256:two");
    world.round();
    assert_eq!(world.steps[1], "done p1/r1/u1");
    assert_eq!(world.change(id).wave, 0);
}

/// Its controller is killed in the moment between "it is written" and "restart", and it finds another.
#[test]
fn an_agent_that_connects_again_has_not_started_what_it_wrote() {
    let (mut world, id, first) = written();
    let boot = world.zone.facts().machines[&first].boot;
    assert!(boot.is_some());
    let running = || Some(Running::Disk { slot: Slot::A, image: "sha256:one".into(), on_trial: false });
    world.tell(&first, What::Lost);
    world.tell(&first, What::Connected { running: running(), burns_in: false, boot });
    let machine = &world.zone.facts().machines[&first];
    assert_eq!(
        (machine.state.name(), &machine.rejected, machine.is_connected()),
        ("installing", &None, true)
    );
    assert!(restarts(&world, &first), "it is told so again");
    world.round();
    assert_eq!(world.steps, ["take p1/r1/u1"]);
    // In another boot it is what it looks like: it fell back.
    world.tell(
        &first,
        What::Connected { running: running(), burns_in: false, boot: boot.map(|boot| boot + 1) },
    );
    world.round();
    assert_eq!(world.steps[1], "failed p1/r1/u1");
    world.run(5);
    assert!(world.change(id).ended.is_some());
}

#[test]
fn a_machine_is_not_returned_while_its_system_is_written() {
    let (mut world, _, first) = written();
    let refused = world.asks(&first, Wish::Return);
    assert_eq!(
        refused.as_deref(),
        Some("its system is being written; it returns by itself when it has started that")
    );
    assert!(restarts(&world, &first));
    world.run(60);
    assert_eq!(world.steps, ["take p1/r1/u1"]);
    // Taken out of service it is not the change's any more; what was written is started before it serves again.
    assert_eq!(world.asks(&first, Wish::Maintain { reason: "a fan".into() }), None);
    world.round();
    assert_eq!(world.steps[1], "absent p1/r1/u1");
    assert!(!restarts(&world, &first));
    assert_eq!(world.asks(&first, Wish::Return), None);
    world.tell(&first, What::Reported { hardware: Box::new(Hardware::default()) });
    assert_eq!(world.zone.facts().machines[&first].state, State::Validating { hardware_fits: true });
    assert_eq!(world.waits(&first), "its restart into the system that was written");
    assert!(restarts(&world, &first));
    // It fell back: that is not tried for ever.
    comes_from(&mut world, &first, Slot::A, "sha256:one");
    assert_eq!(world.zone.facts().machines[&first].state, State::Ready);
    assert!(!restarts(&world, &first));
}

/// As it restarts, somebody else answers for its address: without the address it starts nothing.
#[test]
fn an_address_that_is_free_again_is_given_back_while_a_system_is_written() {
    let (mut world, _, first) = written();
    let (interface, address) = ("eth0".into(), "10.0.0.9".parse().expect("an address"));
    world.tell(&first, What::Declined { interface, address, mac: Mac([2, 0, 0, 0, 0, 1]) });
    assert!(!world.zone.facts().machines[&first].conflicts.is_empty());
    assert_eq!(world.asks(&first, Wish::Return), None);
    let machine = &world.zone.facts().machines[&first];
    assert!(machine.conflicts.is_empty());
    assert_eq!(machine.state.name(), "installing");
    assert!(restarts(&world, &first));
    assert!(world.asks(&first, Wish::Return).is_some());
}

#[test]
fn what_a_change_allows_a_machine_is_not_taken_back_beside_it() {
    let mut world = World::of(&with_systems());
    for location in world.locations() {
        comes_from(&mut world, &location, Slot::A, "sha256:one");
    }
    let id = world.publish(&with_systems().replace("images/one", "images/two"), None);
    world.round();
    let first = Location::new("t1/p1/r1/u1");
    let refused = world.asks(&first, Wish::Disarm);
    assert_eq!(
        refused.as_deref(),
        Some(
            "a change allows it to write its other slot: `zw abort` ends that for all, `zw maintain` for this machine"
        )
    );
    assert!(world.zone.facts().machines[&first].armed.is_some());
    world.run(60);
    assert_eq!(world.steps, ["take p1/r1/u1"]);
    let end = ChangeStep::End { how: Outcome::Aborted, sentence: "bob aborted it".into() };
    assert_eq!(world.wish(id, end), None);
    assert_eq!(world.asks(&first, Wish::Disarm), None);
}
