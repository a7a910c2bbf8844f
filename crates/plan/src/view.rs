//! (Plan, Facts, Site) → View.

mod boot;
mod dhcp;
mod dhcp6;
mod dns;
mod wiring;

pub(crate) use dns::view as dns_view;

use model::facts::{Installed, Machine, Sighting, Stage, State};
use model::plan::Interface;
use model::quick::Map;
use model::view::dhcp::Withheld;
use model::view::{Places, Site};
use model::{DeviceId, Facts, Generation, InterfaceId, Plan, Time, View};
use std::net::IpAddr;
use std::sync::Arc;

/// Of whom there are facts.
type Known<'a> = [(DeviceId, &'a Machine)];

/// Who is not served as planned, by the address of one family.
fn withheld(
    plan: &Plan,
    known: &Known<'_>,
    address: impl Fn(&Interface) -> Option<IpAddr>,
) -> Map<InterfaceId, Withheld> {
    let mut withheld = Map::default();
    for (device, machine) in known {
        let is_retired = matches!(machine.state, State::Retired { .. });
        if !is_retired && machine.conflicts.is_empty() {
            continue;
        }
        let first = plan.first_interface[device.index()] as usize;
        for (offset, interface) in plan.interfaces_of(*device).iter().enumerate() {
            let is_in_conflict = || address(interface).is_some_and(|it| machine.conflicts.contains_key(&it));
            let why = match is_retired {
                true => Withheld::Retired,
                false if is_in_conflict() => Withheld::Conflict,
                false => continue,
            };
            withheld.insert(InterfaceId::from_index(first + offset), why);
        }
    }
    withheld
}

/// Prepares what every protocol answers from. The same plan, facts and site give the same view on every replica.
pub fn view(plan: &Arc<Plan>, facts: &Facts, site: &Arc<Site>) -> View {
    let places = Arc::new(boot::places(plan));
    let known = &known(plan, facts, &places);
    View {
        generation: plan.generation,
        plan: Arc::clone(plan),
        dhcp: dhcp::view(plan, known, site),
        dhcp6: dhcp6::view(plan, known, site),
        dns: Arc::new(dns::view(plan)),
        boot: boot::view(plan, known, places, site),
    }
}

/// The view of another plan or site: what the plan that it succeeds decides alike is shared with `previous`.
pub fn succeed(previous: &View, plan: &Arc<Plan>, facts: &Facts, site: &Arc<Site>) -> View {
    let is_wired_alike = wiring::is_alike(&previous.plan, plan);
    let places = Arc::new(boot::places(plan));
    let known = &known(plan, facts, &places);
    View {
        generation: plan.generation,
        plan: Arc::clone(plan),
        dhcp: match is_wired_alike {
            true => dhcp::succeed(&previous.dhcp, plan, known, site),
            false => dhcp::view(plan, known, site),
        },
        dhcp6: match is_wired_alike {
            true => dhcp6::succeed(&previous.dhcp6, plan, known, site),
            false => dhcp6::view(plan, known, site),
        },
        dns: dns::succeed(&previous.dns, &previous.plan, plan),
        boot: boot::view(plan, known, places, site),
    }
}

/// The view of newer facts about the same plan: what facts do not touch is shared with `previous`, not made again.
pub fn refresh(previous: &View, facts: &Facts) -> View {
    let (plan, site) = (&previous.plan, &previous.boot.site);
    let places = Arc::clone(&previous.boot.places);
    let known = &known(plan, facts, &places);
    View {
        generation: previous.generation,
        plan: Arc::clone(plan),
        dhcp: dhcp::succeed(&previous.dhcp, plan, known, site),
        dhcp6: dhcp6::succeed(&previous.dhcp6, plan, known, site),
        dns: Arc::clone(&previous.dns),
        boot: boot::view(plan, known, places, site),
    }
}

/// As much of a machine's facts as a view is made from, and nothing that is secret; `None`: no more than of one that was never seen.
pub fn served(machine: &Machine) -> Option<Machine> {
    let state = match &machine.state {
        state @ (State::Retired { .. } | State::Maintenance { .. }) => state.clone(),
        _ => State::Expected,
    };
    let sighting = |(port, seen): (&String, &Sighting)| {
        let seen = Sighting { at: Time(0), mac: seen.mac, uuid: None, stage: Stage::Os, port: String::new() };
        (port.clone(), seen)
    };
    let installed =
        |_: &Installed| Installed { image: None, slot: None, generation: Generation(0), at: Time(0) };
    let served = Machine {
        state,
        accepted: machine.accepted.clone(),
        conflicts: machine.conflicts.clone(),
        sightings: machine.sightings.iter().map(sighting).collect(),
        armed: machine.armed,
        installed: machine.installed.as_ref().map(installed),
        ..Machine::default()
    };
    (served != Machine::default()).then_some(served)
}

/// The devices of which there are facts. Both come by location, so that neither is searched; who is not drawn any more
/// is left out.
fn known<'a>(plan: &Plan, facts: &'a Facts, places: &Places) -> Vec<(DeviceId, &'a Machine)> {
    let mut known = Vec::with_capacity(facts.machines.len());
    let mut machines = facts.machines.iter().peekable();
    for id in &places.by_location {
        let location = &plan.design.devices[id.index()].location;
        while machines.next_if(|(of, _)| *of < location).is_some() {}
        if let Some((_, machine)) = machines.next_if(|(of, _)| *of == location) {
            known.push((*id, machine));
        }
    }
    known
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{POCKET, plan};
    use model::design::DeviceKind;
    use model::facts::{Machine, State};
    use model::ids::ImageId;
    use model::view::{Boot, DnsHistory, DnsView};
    use model::{Location, Mac};

    /// What is shared with the view before is what would be made anew.
    fn check(edit: impl Fn(&str) -> String, shares_wiring: bool, shares_names: bool) {
        let (facts, site) = (Facts::default(), Arc::new(Site::default()));
        let of = |text: &str, generation| {
            let mut plan = plan(text);
            plan.generation = Generation(generation);
            Arc::new(plan)
        };
        let previous = view(&of(POCKET, 1), &facts, &site);
        let text = edit(POCKET);
        assert_ne!(text, POCKET, "the edit found its place");
        let after = of(&text, 2);
        let (fresh, next) = (view(&after, &facts, &site), succeed(&previous, &after, &facts, &site));
        let unremembered = DnsView { history: DnsHistory::default(), ..(*next.dns).clone() };
        assert_eq!(unremembered, *fresh.dns);
        assert_eq!(next.dhcp.wiring, fresh.dhcp.wiring);
        assert_eq!(format!("{:?}", next.dhcp.told), format!("{:?}", fresh.dhcp.told));
        assert_eq!(next.dhcp6, fresh.dhcp6);
        assert_eq!(next.boot.boots, fresh.boot.boots);
        assert_eq!(Arc::ptr_eq(&previous.dhcp.wiring, &next.dhcp.wiring), shares_wiring, "wiring");
        assert_eq!(
            Arc::ptr_eq(&previous.dhcp6.wiring, &next.dhcp6.wiring),
            shares_wiring,
            "wiring of DHCPv6"
        );
        assert_eq!(
            previous.dns.labels == next.dns.labels && previous.dns.rows == next.dns.rows,
            shares_names,
            "names"
        );
        assert_eq!((next.generation, next.dns.serial), (Generation(2), 2));
    }

    #[test]
    fn a_role_shares_the_wiring() {
        let role = |services: &str| {
            format!("{POCKET}\nrole \"other\" {{\n{services}\n}}\nat \"p01/r1/u02\" {{ role = \"other\" }}\n")
        };
        check(|_| role("boot = image.kvm"), true, false);
        check(|_| role("service \"agent\" { port = 9000 }"), true, false);
    }

    #[test]
    fn a_name_and_a_cable_share_less() {
        check(|_| format!("{POCKET}\nat \"p01/r1/u02\" {{ name = \"other\" }}\n"), true, false);
        check(|text| text.replace("lab1.example.net", "lab2.example.net"), true, true);
        check(|text| text.replace("u{01..04}", "u{01..05}"), false, false);
        check(|text| text.replace("circuit_id = \"{port}\"", "circuit_id = \"{name}:{port}\""), false, true);
        check(|text| text.replace("console=ttyS0", "console=ttyS1"), true, true);
    }

    #[test]
    fn a_view_of_what_is_served_is_the_view_and_nothing_else_is_served() {
        let plan = Arc::new(plan(POCKET));
        let machines: Vec<_> =
            plan.design.devices.iter().filter(|device| device.kind == DeviceKind::Machine).collect();
        let mac = |last| Mac([2, 0, 0, 0, 0, last]);
        let seen = |last| Sighting {
            at: Time(7),
            mac: mac(last),
            uuid: Some([9; 16]),
            stage: Stage::UefiPxe,
            port: "swp1".into(),
        };
        let whole = |last: u8, state| Machine {
            state,
            sightings: [("eno1".to_owned(), seen(last))].into(),
            accepted: [("eno1".to_owned(), mac(last))].into(),
            key_sha256: Some([7; 32]),
            hardware: Some(model::facts::Hardware::default()),
            boots_in_vain: 1,
            installed: (last == 2).then(|| Installed {
                image: Some("sha256:1".into()),
                slot: None,
                generation: Generation(3),
                at: Time(9),
            }),
            armed: (last == 3).then(|| model::facts::Armed {
                undo_until: None,
                generation: plan.generation,
                until: Time(99),
                since: Time(1),
                purpose: Default::default(),
            }),
            ..Machine::default()
        };
        let (reason, by) = ("fan".to_owned(), "ada".to_owned());
        let states = [
            State::Ready,
            State::Failed { reasons: vec!["x".into()] },
            State::Maintenance { reason: reason.clone(), by: by.clone() },
            State::Retired { reason, by },
        ];
        let places = machines.iter().map(|device| device.location.clone());
        let facts = Facts {
            machines: places
                .zip((1..).zip(states))
                .map(|(place, (last, state))| (place, whole(last, state)))
                .collect(),
            ..Facts::default()
        };
        let less = Facts {
            machines: facts
                .machines
                .iter()
                .filter_map(|(place, machine)| Some((place.clone(), served(machine)?)))
                .collect(),
            ..Facts::default()
        };
        assert_eq!(less.machines.len(), 4);
        let site = Arc::new(Site::default());
        let (all, edge) = (view(&plan, &facts, &site), view(&plan, &less, &site));
        assert_eq!(all.boot.boots, edge.boot.boots);
        assert_eq!(
            (all.dhcp.withheld, all.dhcp.accepted, all.boot.seen),
            (edge.dhcp.withheld, edge.dhcp.accepted, edge.boot.seen)
        );
        assert_eq!(all.dhcp6.withheld, edge.dhcp6.withheld);
        for machine in less.machines.values() {
            assert_eq!(
                (machine.key_sha256, &machine.hardware, &machine.token),
                (None, &None, &model::facts::Token::None)
            );
            assert_eq!(served(machine).as_ref(), Some(machine));
        }
        assert_eq!(
            served(&Machine { state: State::Ready, key_sha256: Some([1; 32]), ..Machine::default() }),
            None
        );
    }

    #[test]
    fn what_a_machine_boots_follows_from_its_own_facts() {
        let retired = || Machine {
            state: State::Retired { reason: String::new(), by: String::new() },
            ..Machine::default()
        };
        let plan = Arc::new(plan(POCKET));
        let machines: Vec<_> =
            plan.design.devices.iter().filter(|device| device.kind == DeviceKind::Machine).collect();
        let last = machines.last().expect("it has machines").location.clone();
        // Places that the plan does not have, before, between and behind those that it has.
        let elsewhere = ["a", "lab1/p01/r1/u02a", "z"].map(Location::new);
        let facts = Facts {
            machines: elsewhere.into_iter().chain([last.clone()]).map(|place| (place, retired())).collect(),
            ..Facts::default()
        };
        let view = view(&plan, &facts, &Arc::new(Site::default()));
        for (device, boot) in plan.design.devices.iter().zip(&view.boot.boots) {
            let expected = match device.kind {
                DeviceKind::Machine if device.location == last => Boot::Retired,
                DeviceKind::Machine => Boot::Image(ImageId(0)),
                _ => Boot::Nothing,
            };
            assert_eq!(*boot, expected, "{}", device.location);
        }
    }
}
