//! Which DHCP servers are the zone's, how often they are asked for, and what is told of the others.

use lifecycle::{Zone, probe, why};
use model::event::What;
use model::facts::{DhcpServer, Facts};
use model::finding::File;
use model::view::Site;
use model::{Event, Location, Mac, Plan, Time};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

fn plan(change: impl FnOnce(String) -> String) -> Arc<Plan> {
    let text = change(include_str!("../../../examples/pocket/zone.hcl").to_owned());
    let file = |path: &str, text: &str| File { path: path.to_owned(), text: text.into() };
    let files = [
        file("zone.hcl", &text),
        file("checks/kvm.yaml", include_str!("../../../examples/pocket/checks/kvm.yaml")),
    ];
    let (design, findings) = design::parse(&files);
    let design = design.unwrap_or_else(|| panic!("{findings:?}"));
    let (plan, findings) = plan::compile(design, None);
    Arc::new(plan.unwrap_or_else(|| panic!("{findings:?}")))
}

fn place(unit: u8) -> Location {
    Location::new(&format!("lab1/p01/r1/u{unit:02}"))
}

fn server(identifier: Ipv4Addr, offered: Option<Ipv4Addr>) -> DhcpServer {
    DhcpServer {
        identifier: identifier.into(),
        mac: Mac([0x52, 0x54, 0, 9, 9, 9]),
        interface: "eno1".to_owned(),
        offered: offered.map(IpAddr::V4),
    }
}

const ROGUE: Ipv4Addr = Ipv4Addr::new(192, 168, 1, 1);

#[test]
fn ours_is_known_by_its_address_and_by_what_it_offers() {
    let plan = plan(|text| text);
    let view = plan::view(&plan, &Facts::default(), &Arc::new(Site::default()));
    let its = plan.interfaces.iter().find_map(|interface| interface.v4).expect("an address");
    let (ours, relay) = (view.dhcp.servers[0], *view.dhcp.wiring.relays.keys().next().expect("a relay"));
    let is_foreign = |heard: DhcpServer| !probe::foreign(&view, &[heard]).is_empty();
    assert!(!is_foreign(server(ours, Some(its))));
    assert!(!is_foreign(server(relay, Some(its))), "a relay that puts itself in our place");
    assert!(!is_foreign(server(ours, None)), "a refusal of ours");
    assert!(is_foreign(server(ROGUE, Some(its))));
    assert!(
        is_foreign(server(ours, Some(Ipv4Addr::new(192, 168, 1, 77)))),
        "our name, and another's addresses"
    );
    assert!(is_foreign(DhcpServer { identifier: "2001:db8::1".parse().expect("one"), ..server(ours, None) }));

    let many: Vec<_> = (0..100).map(|last| server(Ipv4Addr::new(192, 168, 1, last), None)).collect();
    assert_eq!(probe::foreign(&view, &many).len(), 16);
    let strange = DhcpServer { interface: format!("e\u{1b}[2J\n{}", "x".repeat(99)), ..server(ROGUE, None) };
    assert_eq!(probe::foreign(&view, &[strange])[0].interface, format!("e[2J{}", "x".repeat(28)));
}

#[test]
fn the_machines_of_a_network_share_the_asking() {
    let every = |text: &str| {
        let plan = plan(|zone| zone.replacen("domain ", &format!("{text}\n  domain "), 1));
        let device =
            plan.design.devices.iter().position(|device| device.location == place(1)).expect("there");
        probe::every_seconds(&plan, model::DeviceId::from_index(device))
    };
    let in_rack = every("dhcp_probe = \"30m\"") / (30 * 60 / 3);
    assert!(in_rack > 1, "{in_rack} machines of a rack");
    assert_eq!(every(""), (30 * in_rack / 3).max(10), "30 s if the zone does not say");
    assert_eq!(every("dhcp_probe = \"10s\""), (10 * in_rack / 3).max(10));
    assert_eq!(every("dhcp_probe = \"never\""), 0);
    assert_eq!(every("dhcp_probe = \"1d\""), 3600);
}

#[test]
fn a_server_that_several_machines_hear_is_one() {
    let mut zone = Zone::new(plan(|text| text), Facts::default());
    let mut hear = |unit: u8, servers: Vec<DhcpServer>| {
        let what = What::ServersHeard { servers };
        zone.apply(&Event { at: Time(u64::from(unit)), location: place(unit), what });
        let told = probe::heard(&zone);
        told.iter()
            .map(|heard| format!("{} {} +{}", heard.server.identifier, heard.by, heard.others))
            .collect()
    };
    let on = |interface: &str| DhcpServer { interface: interface.to_owned(), ..server(ROGUE, None) };
    let first: Vec<String> = hear(2, vec![on("eno1"), on("eno2")]);
    assert_eq!(first, ["192.168.1.1 lab1/p01/r1/u02 +0"]);
    assert_eq!(hear(1, vec![on("eno1")]), ["192.168.1.1 lab1/p01/r1/u01 +1"]);
    assert_eq!(hear(2, vec![]), ["192.168.1.1 lab1/p01/r1/u01 +0"]);
    let said = why(&zone, "p01/r1/u01", Time(9)).expect("a place").sentences.join("\n");
    assert!(
        said.contains("a DHCP server that is not ours answers at eno1: 192.168.1.1 (52:54:00:09:09:09), as its agent last said [ZW0801]"),
        "{said}"
    );
}
