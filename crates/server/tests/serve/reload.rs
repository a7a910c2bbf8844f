//! The design changes while it is served.

use crate::support::{Client, PATIENCE, Server};
use api::http::{Findings, Machines, Reloaded, Status};
use model::Time;
use std::fs;
use std::net::Ipv4Addr;
use std::time::Instant;

const U01: Ipv4Addr = Ipv4Addr::new(10, 64, 0, 6);

#[test]
fn a_broken_design_keeps_the_last_good_view_loudly() {
    let server = Server::start();
    let good = fs::read_to_string(server.zone_file()).unwrap();
    server.edit("role  = \"hypervisor\"", "role  = \"hypervizor\"");
    let reloaded: Reloaded = server.post("/v1/reload", "{}");
    assert_eq!((reloaded.changed, reloaded.generation), (false, 1));
    assert!(reloaded.refused.is_some());
    let finding = reloaded.findings.iter().find(|finding| finding.severity == "error").unwrap();
    assert_eq!(
        (finding.file.as_str(), finding.help.as_deref()),
        ("zone.hcl", Some("did you mean `hypervisor`?"))
    );
    assert!(good.lines().nth(finding.line as usize - 1).unwrap().contains("role  ="));
    assert_eq!(Client::u01().lease(&server), U01);
    let status: Status = server.get("/v1/status");
    assert!(status.troubles.iter().any(|trouble| trouble.about == "design"));
    assert_eq!(server.metric("zonewright_design_in_force"), 0.0);
    assert!(server.journal.lock().unwrap().iter().any(|line| line.contains("plan #1 stays")));

    fs::write(server.zone_file(), good).unwrap();
    let reloaded: Reloaded = server.post("/v1/reload", "{}");
    assert_eq!((reloaded.changed, reloaded.generation, reloaded.refused), (false, 1, None));
    assert_eq!(server.metric("zonewright_design_in_force"), 1.0);
}

#[test]
fn no_design_at_all_keeps_it_too() {
    let server = Server::start();
    fs::rename(&server.options.design, server.scratch.0.join("elsewhere")).unwrap();
    let reloaded: Reloaded = server.post("/v1/reload", "");
    assert!(reloaded.refused.is_some());
    assert_eq!(Client::u01().lease(&server), U01);
}

#[test]
fn a_new_design_answers_at_once_when_it_is_in_force() {
    let server = Server::start();
    let new = Client { mac: [0x52, 0x54, 0, 0, 0, 5], circuit: "swp5", ..Client::u01() };
    let socket = server.udp(server.ports().dhcp);
    socket.send(&new.discover()).unwrap();
    server.edit("machines \"u{01..04}\"", "machines \"u{01..05}\"");
    let reloaded: Reloaded = server.post("/v1/reload", "{}");
    assert_eq!((reloaded.changed, reloaded.generation, reloaded.refused), (true, 2, None));
    assert_eq!(new.lease(&server), Ipv4Addr::new(10, 64, 0, 10));
    assert_eq!(Client::u01().lease(&server), U01);
    let machines: Machines = server.get("/v1/machines");
    assert_eq!((machines.generation, machines.machines.len()), (2, 10));
}

#[test]
fn files_are_watched() {
    let server = Server::start();
    let mut events = server.events("", "");
    server.edit("machines \"u{01..04}\"", "machines \"u{01..06}\"");
    assert_eq!(events.plan(), 2);
    let machines: Machines = server.get("/v1/machines");
    assert_eq!(machines.machines.len(), 12);
}

#[test]
fn what_renumbers_needs_the_word() {
    let server = Server::start();
    server.edit("units = 16", "units = 100");
    let reloaded: Reloaded = server.post("/v1/reload", "{}");
    assert_eq!(reloaded.generation, 1);
    assert!(reloaded.refused.is_some_and(|refused| refused.contains("ZW0601")));
    assert_eq!(Client::u01().lease(&server), U01);
    let findings: Findings = server.get("/v1/findings");
    assert!(!findings.in_force);
    let reloaded: Reloaded = server.post("/v1/reload", r#"{"renumber": true}"#);
    assert_eq!((reloaded.generation, reloaded.refused), (2, None));
}

#[test]
fn what_shrinks_needs_the_number() {
    let server = Server::start();
    server.edit("pod \"p{01..02}\"", "pod \"p{01..01}\"");
    server.edit("machines \"u{01..04}\"", "machines \"u{01..01}\"");
    let reload = |body: &str| -> Reloaded { server.post("/v1/reload", body) };
    assert!(reload("{}").refused.is_some_and(|refused| refused.contains("ZW0602")));
    assert!(reload(r#"{"remove": 6}"#).refused.is_some());
    let reloaded = reload(r#"{"remove": 7}"#);
    assert_eq!((reloaded.generation, reloaded.refused), (2, None));
    let machines: Machines = server.get("/v1/machines");
    assert_eq!(machines.machines.len(), 1);
}

#[test]
fn images_that_take_long_to_read_are_in_nobodys_way() {
    let mut server = Server::prepared();
    // No octet of it is on the disk, and reading it takes minutes.
    let image = fs::File::create(server.options.design.join("images/kvm/initrd.img")).unwrap();
    image.set_len(256 << 30).unwrap();
    server.resume().unwrap();
    let part = server.boot("/image/kvm/images/kvm/initrd.img", "Range: bytes=9-12\r\n");
    assert_eq!((part.status, &part.body[..], part.header("etag")), (206, &[0; 4][..], None));
    assert!(server.boot("/loader/ipxe.efi", "").header("etag").is_some());
    let mut events = server.events("", "");
    server.edit("machines \"u{01..04}\"", "machines \"u{01..06}\"");
    assert_eq!(events.plan(), 2);
    assert_eq!(Client::u01().lease(&server), U01);
    let reloaded: Reloaded = server.post("/v1/reload", "{}");
    assert_eq!((reloaded.changed, reloaded.refused), (false, None));
}

#[test]
fn a_design_that_could_not_be_stored_is_tried_again() {
    let server = Server::start_with(|options| options.state_bytes_max = Some(256 << 10));
    let text = fs::read_to_string(server.zone_file()).unwrap();
    fs::write(server.zone_file(), format!("{text}\n# {}\n", "x".repeat(512 << 10))).unwrap();
    let read = || {
        let findings: Findings = server.get("/v1/findings");
        (findings.in_force, findings.read)
    };
    let until = |holds: &dyn Fn((bool, Time)) -> bool| {
        let began = Instant::now();
        loop {
            let now = read();
            if holds(now) {
                return now;
            }
            assert!(began.elapsed() < PATIENCE, "{now:?}");
        }
    };
    let (_, first) = until(&|(is_in_force, _)| !is_in_force);
    // Nobody touched the files since.
    let (is_in_force, _) = until(&|(_, read)| read > first);
    assert!(!is_in_force, "there is still no room");
}
