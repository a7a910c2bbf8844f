//! The API: its guards, its errors, its streams, its metrics.

use crate::support::{Client, Server, exchange};
use api::http::{Done, Machine, Zone};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;

#[test]
fn every_path_without_parameters_answers_and_the_description_names_it() {
    let server = Server::start();
    let description: serde_json::Value = server.get("/openapi.json");
    let mut asked = 0;
    for (path, methods) in description["paths"].as_object().unwrap() {
        if path.contains('{') || methods.get("get").is_none() || path == "/v1/events" {
            continue;
        }
        let path = if path == "/v1/why" { "/v1/why?target=p01/r1/u01" } else { path };
        let (status, body) = server.request("GET", path, "");
        assert_eq!(status, 200, "{path}: {body}");
        asked += 1;
    }
    assert_eq!(asked, 17);
    let zone: Zone = server.get("/v1/zone");
    assert_eq!((zone.name.as_str(), zone.counts.machines, zone.ports.dhcp), ("lab1", 8, server.ports().dhcp));
    let plan: serde_json::Value = server.get("/v1/plan");
    assert!(plan.as_object().is_some_and(|plan| plan.len() > 3));
}

#[test]
fn errors_are_one_sentence_each() {
    let server = Server::start();
    let said = |method: &str, path: &str| {
        let (status, body) = server.request(method, path, "");
        let error: api::http::Error = serde_json::from_str(&body).unwrap_or_else(|_| panic!("{body}"));
        format!("{status} {}", error.error)
    };
    assert_eq!(
        said("GET", "/v1/machines/p01/r1/u09"),
        "404 the zone has no p01/r1/u09; did you mean p01/r1/u01?"
    );
    assert_eq!(said("GET", "/v1/why?target=xyzzy"), "404 the zone has no location, name or address xyzzy");
    assert_eq!(
        said("GET", "/nothing"),
        "404 there is nothing at this path; /openapi.json lists what there is"
    );
    assert!(said("POST", "/v1/zone").starts_with("405 this path does not take this method"));
    assert!(said("POST", "/v1/machines/p01/r1/u01").starts_with("405 "));
}

#[test]
fn tcp_is_for_reading_only_and_only_under_its_own_name() {
    let server = Server::start();
    let ask = |method: &str, host: &str| {
        let stream = TcpStream::connect(server.api_tcp()).unwrap();
        exchange(stream, method, "/v1/zone", host, "", "").status
    };
    assert_eq!(ask("GET", "127.0.0.1:8480"), 200);
    assert_eq!(ask("GET", "localhost"), 200);
    assert_eq!(ask("GET", "[::1]:8480"), 200);
    assert_eq!(ask("GET", "rebound.example.org"), 403);
    assert_eq!(ask("POST", "127.0.0.1"), 403);
    let mode = std::fs::metadata(server.api_socket()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn a_wish_is_stored_when_it_is_answered() {
    let mut server = Server::start();
    let path = "/v1/machines/hv-p01-r1-u02/wish";
    let done: Done = server.post(path, r#"{"wish": "maintain", "reason": "new fan"}"#);
    assert_eq!((done.location.as_str(), done.state.as_str()), ("lab1/p01/r1/u02", "maintenance"));
    let (status, said) = server.request("POST", path, r#"{"wish": "drain", "reason": "  "}"#);
    assert_eq!((status, said.as_str()), (400, r#"{"error":"say why, in a few words"}"#));
    let (status, _) = server.request("POST", "/v1/machines/core-c1/wish", r#"{"wish": "accept"}"#);
    assert!(matches!(status, 404 | 409));
    let (status, said) = server.request("POST", "/v1/machines/p01/r1/leaf-a/wish", r#"{"wish": "accept"}"#);
    assert_eq!(status, 409, "{said}");
    server.stop();
    server.again();
    let machine: Machine = server.get("/v1/machines/p01/r1/u02");
    assert_eq!(machine.row.state, "maintenance");
    let by = machine.timeline[0].sentence.clone();
    assert!(by.ends_with("asked: maintain (new fan)"), "{by}");
}

#[test]
fn a_stream_is_resumed_without_gap_or_repetition() {
    let server = Server::start();
    let mut first = server.events("", "");
    let wish = |unit: u32| {
        let _: Done = server
            .post(&format!("/v1/machines/p01/r1/u0{unit}/wish"), r#"{"wish": "maintain", "reason": "x"}"#);
    };
    wish(1);
    let one = first.machine();
    drop(first);
    wish(2);
    wish(3);
    let mut again = server.events(&format!("Last-Event-ID: {}\r\n", one.seq), "");
    let (two, three) = (again.machine(), again.machine());
    assert_eq!((two.location.leaf(), three.location.leaf()), ("u02", "u03"));
    assert_eq!((two.seq, three.seq), (one.seq + 1, one.seq + 2));
    let mut all = server.events("", "?after=0");
    assert_eq!(all.machine().seq, one.seq);
}

#[test]
fn metrics_are_in_the_text_format_and_hold_what_happened() {
    let server = Server::start();
    Client::u01().lease(&server);
    let (_, text) = server.request("GET", "/metrics", "");
    let mut families = 0;
    let mut current = String::new();
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            current = rest.split(' ').next().unwrap().to_owned();
            families += 1;
        } else if !line.starts_with("# HELP ") {
            let (name, value) = line.rsplit_once(' ').unwrap();
            assert!(value.parse::<f64>().is_ok(), "{line}");
            assert_eq!(name.split('{').next(), Some(current.as_str()), "{line}");
        }
    }
    assert!(families > 15, "{families}");
    server.await_answers("dhcp", 2.0);
    assert_eq!(server.metric("zonewright_plan_generation"), 1.0);
}
