//! Systems that update themselves ask before they restart: curl speaks FleetLock as Zincati and Flatcar's client do.

use crate::network::{Running, have, until};
use crate::served::{ZW, Zone};
use serde_json::Value;

/// What a client gets: status and body.
fn ask(zone: &Zone, place: &str, end: &str, body: &str, headers: &[&str]) -> (String, Value) {
    let url = format!("http://{}:8481/v1/{end}", zone.facts.controller);
    let words = ["curl", "--silent", "--write-out", "\n%{http_code}", "--data", body];
    let headers = headers.iter().flat_map(|header| ["--header", header]).collect::<Vec<_>>();
    let said = zone.network.run(Some(place), &[&words[..], &headers, &[&url]].concat()).fine();
    let (body, status) = said.rsplit_once('\n').expect("a status");
    (status.to_owned(), serde_json::from_str(body).unwrap_or(Value::Null))
}

fn agent(zone: &Zone, place: &str) -> Running {
    let (controller, pin) = zone.boot(place);
    let location = format!("judged/p01/r1/{place}");
    let words = ["agent", "--controller", &controller, "--ca-pin", &pin, "--location", &location];
    let state = format!("/run/agent-{place}");
    let mut agent = zone.network.start(place, &[&[ZW][..], &words, &["--state", &state]].concat());
    agent.wait_for("connected to");
    agent
}

#[test]
fn a_system_restarts_itself_only_when_the_budget_allows_and_is_told_who_has_it() {
    if !have(&["dhcrelay", "udhcpc", "curl"]) {
        return;
    }
    let Some(mut zone) = Zone::drawn_with(|text| text.replacen("u{01..12}", "u{01..02}", 1)) else { return };
    zone.serve();
    for place in ["u01", "u02"] {
        zone.plug_machine(place);
    }
    zone.relay(&[]);
    let _agents = ["u01", "u02"].map(|place| agent(&zone, place));
    for place in ["u01", "u02"] {
        let path = format!("/v1/machines/p01/r1/{place}");
        until("both to be ready", || (zone.get(&path)["state"] == "ready").then_some(()));
    }
    let body = |id: &str| format!(r#"{{"client_params": {{"id": "{id}", "group": "default"}}}}"#);
    let fleetlock = ["fleet-lock-protocol: true"];
    let asks = |zone: &Zone, place: &str, end: &str| ask(zone, place, end, &body(place), &fleetlock);

    assert_eq!(asks(&zone, "u01", "pre-reboot").0, "200");
    assert_eq!(asks(&zone, "u01", "pre-reboot").0, "200", "recursive");
    let (status, why) = asks(&zone, "u02", "pre-reboot");
    assert_eq!((status.as_str(), why["kind"].as_str()), ("409", Some("failed_lock")));
    assert_eq!(
        why["value"].as_str(),
        Some(
            "p01/r1/u02: the budget of hypervisor lets 1 of 2 in the zone be out, and 1 is: p01/r1/u01 (its own system (FleetLock, u01): an update of its own)"
        )
    );
    // It survives the controller, and holds for everybody else.
    zone.kill();
    zone.serve();
    assert_eq!(asks(&zone, "u02", "pre-reboot").0, "409");
    let drained = zone.zw(&["drain", "hv-u02", "-m", "a fan"]);
    assert!(!drained.is_fine() && drained.to_string().contains("(FleetLock, u01)"), "{drained}");
    assert!(zone.zw(&["budget"]).fine().contains("1 of 2 may be out, 1 is"));
    // Another's name does not give back what is not one's own.
    assert_eq!(ask(&zone, "u02", "steady-state", &body("u01"), &fleetlock).0, "200");
    assert_eq!(asks(&zone, "u02", "pre-reboot").0, "409");
    assert_eq!(asks(&zone, "u01", "steady-state").0, "200");
    assert_eq!(asks(&zone, "u02", "pre-reboot").0, "200");
    assert_eq!(asks(&zone, "u02", "steady-state").0, "200");

    // What is no client of the protocol.
    let refused = |body: &str, headers: &[&str]| {
        let (status, why) = ask(&zone, "u01", "pre-reboot", body, headers);
        (status, why["kind"].as_str().unwrap_or_default().to_owned())
    };
    assert_eq!(refused(&body("u01"), &[]), ("400".to_owned(), "not_fleetlock".to_owned()));
    assert_eq!(refused("{", &fleetlock), ("400".to_owned(), "bad_request".to_owned()));
    assert_eq!(refused(&body("a b"), &fleetlock), ("400".to_owned(), "bad_request".to_owned()));
    assert_eq!(refused(&body(&"a".repeat(200)), &fleetlock).0, "400");
    assert_eq!(ask(&zone, "u01", "other", "", &fleetlock).0, "404");
    let controller = format!("http://{}:8481/v1/pre-reboot", zone.facts.controller);
    let words = ["curl", "--silent", "--header", fleetlock[0], "--data", &body("x"), &controller];
    assert!(zone.network.run(Some("server"), &words).fine().contains("is no machine's address"));
}
