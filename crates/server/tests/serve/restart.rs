//! Stopped and started again: nothing is lost, nothing is repeated.

use crate::support::{Client, Server};
use api::http::{Machine, Status};
use std::fs;
use std::net::Ipv4Addr;

#[test]
fn facts_history_and_plan_survive() {
    let mut server = Server::start();
    let mut events = server.events("", "");
    Client::u01().lease(&server);
    let event = events.machine();
    drop(events);
    let before: Machine = server.get("/v1/machines/p01/r1/u01");
    server.stop();
    assert!(!server.scratch.0.join("api.sock").exists());
    server.again();
    let after: Machine = server.get("/v1/machines/p01/r1/u01");
    assert_eq!((after.row.state, after.row.since), (before.row.state, before.row.since));
    assert_eq!(after.timeline, [event]);
    assert_eq!(server.metric("zonewright_plan_generation"), 1.0);
}

#[test]
fn a_design_that_broke_meanwhile_does_not_keep_it_from_starting() {
    let mut server = Server::start();
    server.stop();
    fs::write(server.zone_file(), "zone \"lab1\" {").unwrap();
    server.again();
    assert_eq!(Client::u01().lease(&server), Ipv4Addr::new(10, 64, 0, 6));
    let status: Status = server.get("/v1/status");
    assert!(status.troubles.iter().any(|trouble| trouble.about == "design"));
}

#[test]
fn a_design_that_grew_meanwhile_is_the_next_plan() {
    let mut server = Server::start();
    server.stop();
    server.edit("machines \"u{01..04}\"", "machines \"u{01..05}\"");
    server.again();
    assert_eq!(server.metric("zonewright_plan_generation"), 2.0);
}

#[test]
fn a_full_disk_is_told_and_serving_goes_on() {
    let server = Server::start_with(|options| options.state_bytes_max = Some(64 << 10));
    let mut unit = 0_u8;
    // Each wish stores an event; the file soon has no room.
    let refused = loop {
        unit = unit.wrapping_add(1);
        let wish = if unit.is_multiple_of(2) { "drain" } else { "maintain" };
        let body = format!("{{\"wish\": \"{wish}\", \"reason\": \"{}\"}}", "x".repeat(450));
        let (status, said) = server.request("POST", "/v1/machines/p01/r1/u01/wish", &body);
        if status != 200 {
            break (status, said);
        }
        assert_ne!(unit, 255, "the store took more than it may");
    };
    assert_eq!(refused.0, 503);
    assert!(refused.1.contains("disk is full"), "{}", refused.1);
    assert_eq!(Client::u01().lease(&server), Ipv4Addr::new(10, 64, 0, 6));
    let status: Status = server.get("/v1/status");
    assert!(status.troubles.iter().any(|trouble| trouble.about == "store"));
    assert_eq!(server.metric("zonewright_store_writable"), 0.0);
}
