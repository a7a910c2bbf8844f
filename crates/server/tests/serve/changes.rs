//! Designs that touch machines in service: what is shown, what needs a word, and what is said of it afterwards.

use crate::page::know;
use crate::support::{PATIENCE, Server};
use api::http::{Done, Findings, Status};
use model::facts::{Facts, Machine, State};
use model::{Location, Mac};
use serde_json::{Value, json};
use std::fs;
use std::time::Instant;

/// The pocket zone with machines that were in service: its eight, and these.
pub(crate) fn in_service(more: &[&str]) -> Server {
    let mut server = Server::prepared();
    let mut facts = Facts::default();
    let drawn = (1..=2).flat_map(|pod| (1..=4).map(move |unit| format!("p0{pod}/r1/u0{unit}")));
    let places = drawn.chain(more.iter().map(|place| (*place).to_owned()));
    for (place, number) in places.zip(1..) {
        let accepted = [("eno1".to_owned(), Mac([2, 0, 0, 0, 0, number]))].into();
        let machine = Machine { state: State::Ready, accepted, ..Machine::default() };
        facts.machines.insert(Location::new(&format!("lab1/{place}")), machine);
    }
    know(&mut server, &facts);
    server
}

fn ask(server: &Server, path: &str, body: Value) -> Value {
    server.post(path, &body.to_string())
}

fn apply(server: &Server, more: Value) -> Value {
    let mut body = json!({"reason": "a test"});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    ask(server, "/v1/apply", body)
}

fn rollback(server: &Server, more: Value) -> Value {
    let mut body = json!({"reason": "a test"});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    ask(server, "/v1/rollback", body)
}

fn refused(applied: &Value) -> &str {
    applied["refused"].as_str().unwrap_or_else(|| panic!("it is not refused: {applied:#}"))
}

fn locations(list: &Value) -> Vec<&str> {
    let rows = list.as_array().into_iter().flatten();
    rows.map(|row| row["location"].as_str().unwrap().trim_start_matches("lab1/")).collect()
}

fn generation(server: &Server) -> u64 {
    server.get::<Status>("/v1/status").generation
}

/// Until the plan of this number is in force.
fn until(server: &Server, wanted: u64) {
    let began = Instant::now();
    while generation(server) < wanted {
        assert!(began.elapsed() < PATIENCE, "{} is in force", generation(server));
    }
}

/// Restarts every machine of the zone.
fn draw_other_arguments(server: &Server) {
    server.edit("console=ttyS0,115200", "console=ttyS1,115200");
}

const FEWER: [&str; 2] = ["machines \"u{01..04}\"", "machines \"u{01..03}\""];
const MORE: [&str; 2] = ["machines \"u{01..04}\"", "machines \"u{01..05}\""];

#[test]
fn no_machine_in_service_goes_because_a_file_is_saved() {
    let mut server = in_service(&[]);
    server.edit(FEWER[0], FEWER[1]);
    let said = ask(&server, "/v1/reload", json!({"remove": 2}));
    assert_eq!(
        refused(&said),
        "by it 2 machines in service are gone (p01/r1/u04, p02/r1/u04): `zw apply` begins that"
    );
    server.stop();
    server.again();
    assert_eq!(generation(&server), 1, "a start is no word for it");
    let findings: Findings = server.get("/v1/findings");
    assert_eq!(findings.refused.as_deref(), Some(refused(&said)));

    let shown = apply(&server, json!({"dry_run": true}));
    assert_eq!(locations(&shown["gone"]), ["p01/r1/u04", "p02/r1/u04"]);
    assert_eq!(
        shown["gone"][0],
        json!({
            "location": "lab1/p01/r1/u04", "state": "ready", "in_service": true,
            "names": ["hv-p01-r1-u04", "hv-p01-r1-u04-bmc"],
            "addresses": ["10.64.0.9", "2001:db8:64::9", "10.64.0.41", "2001:db8:64:1::9"]
        })
    );
    let why = "2 machines would be gone, 2 in service; if it is meant, say `--remove 2`, or drain and retire those in service first";
    assert_eq!(refused(&shown), why);
    assert_eq!(refused(&apply(&server, json!({"remove": 1}))), why);
    assert_eq!(generation(&server), 1);
    let applied = apply(&server, json!({"remove": 2}));
    assert_eq!((&applied["generation"], &applied["refused"]), (&json!(2), &Value::Null), "{applied:#}");
}

#[test]
fn machines_that_are_retired_and_those_that_never_came_go_with_the_file() {
    let server = in_service(&[]);
    // Two that nobody ever saw come and go.
    server.edit(MORE[0], MORE[1]);
    until(&server, 2);
    server.edit(MORE[1], MORE[0]);
    until(&server, 3);
    for machine in ["p01/r1/u04", "p02/r1/u04"] {
        for wish in ["drain", "retire"] {
            let words = json!({"wish": wish, "reason": "it is sold"}).to_string();
            let _: Done = server.post(&format!("/v1/machines/{machine}/wish"), &words);
        }
    }
    server.edit(FEWER[0], FEWER[1]);
    until(&server, 4);
}

#[test]
fn a_rollback_removes_nobody_without_the_number() {
    let server = in_service(&["p01/r1/u05", "p02/r1/u05"]);
    server.edit(MORE[0], MORE[1]);
    until(&server, 2);
    let shown = rollback(&server, json!({"dry_run": true}));
    assert_eq!(locations(&shown["gone"]), ["p01/r1/u05", "p02/r1/u05"]);
    assert!(refused(&shown).contains("say `--remove 2`"));
    assert!(refused(&rollback(&server, json!({}))).contains("say `--remove 2`"));
    assert_eq!(generation(&server), 2);
    let applied = rollback(&server, json!({"remove": 2}));
    assert_eq!((&applied["generation"], &applied["refused"]), (&json!(3), &Value::Null), "{applied:#}");
}

#[test]
fn a_rollback_renumbers_nobody_without_the_word() {
    let server = in_service(&[]);
    server.edit("units = 16", "units = 100");
    let applied = apply(&server, json!({"renumber": true}));
    assert_eq!(applied["generation"], 2, "{applied:#}");
    let _: Value = server.post("/v1/changes/1", r#"{"wish": "abort", "reason": "a test"}"#);
    // What is taken back by itself asks nobody.
    until(&server, 3);
    let said = rollback(&server, json!({"to": 2, "dry_run": true}));
    assert!(refused(&said).contains("say `--renumber`"), "{said:#}");
}

#[test]
fn what_begins_is_what_was_looked_at() {
    let server = in_service(&[]);
    draw_other_arguments(&server);
    let shown = apply(&server, json!({"dry_run": true}));
    server.edit("console=ttyS1,115200", "console=ttyS2,115200");
    let confirmed = json!({"against": 1, "design": shown["design"]});
    let said = apply(&server, confirmed.clone());
    assert_eq!(refused(&said), "the design's files changed since it was looked at: look again");
    assert_eq!(generation(&server), 1);
    server.edit("console=ttyS2,115200", "console=ttyS1,115200");
    let said = apply(&server, confirmed.clone());
    assert_eq!((&said["generation"], &said["change"]), (&json!(2), &json!(1)), "{said:#}");
    let said = apply(&server, confirmed);
    assert_eq!(refused(&said), "it was looked at against plan #1, but #2 is current: look again");
    let said = rollback(&server, json!({"to": 1, "against": 1}));
    assert_eq!(refused(&said), "it was looked at against plan #1, but #2 is current: look again");
}

#[test]
fn by_itself_a_rollback_goes_to_no_plan_that_was_taken_back() {
    let server = in_service(&[]);
    let (status, said) = server.request("POST", "/v1/rollback", r#"{"dry_run": true}"#);
    assert_eq!(status, 404);
    assert!(said.contains("there is no plan before #1 to go back to"), "{said}");
    server.edit(MORE[0], MORE[1]);
    until(&server, 2);
    draw_other_arguments(&server);
    assert_eq!(apply(&server, json!({}))["generation"], 3);
    let _: Value = server.post("/v1/changes/1", r#"{"wish": "abort", "reason": "a test"}"#);
    until(&server, 4);
    let shown = rollback(&server, json!({"dry_run": true}));
    let to = &shown["back_to"];
    assert_eq!(
        (&to["generation"], &to["author"], &to["reason"]),
        (&json!(1), &json!("zw serve"), &json!("start"))
    );
}

#[test]
fn the_newest_design_is_that_of_its_files() {
    let server = in_service(&[]);
    let findings = || server.get::<Findings>("/v1/findings");
    draw_other_arguments(&server);
    assert_eq!(apply(&server, json!({}))["generation"], 2);
    assert!(findings().in_force);
    let read = findings().read;
    assert!(refused(&rollback(&server, json!({}))).contains("is under way"));
    assert_eq!((findings().in_force, findings().read), (true, read), "its files were not asked for");
    let _: Value = server.post("/v1/changes/1", r#"{"wish": "abort", "reason": "a test"}"#);
    until(&server, 3);
    let began = Instant::now();
    while findings().in_force {
        assert!(began.elapsed() < PATIENCE);
    }
    assert_eq!(
        findings().refused.as_deref(),
        Some("by it 8 machines restart: `zw apply` begins that, in waves")
    );
    server.edit("console=ttyS1,115200", "console=ttyS0,115200");
    let began = Instant::now();
    while !findings().in_force {
        assert!(began.elapsed() < PATIENCE, "{:?}", findings().refused);
    }
}

#[test]
fn what_is_in_force_already_says_whose_it_is() {
    let server = in_service(&[]);
    server.edit(MORE[0], MORE[1]);
    until(&server, 2);
    let applied = apply(&server, json!({}));
    assert_eq!(applied["changed"], false);
    let in_force = &applied["in_force"];
    assert_eq!(
        (&in_force["generation"], &in_force["author"], &in_force["reason"]),
        (&json!(2), &json!("zw serve"), &json!("the design's files changed"))
    );
}

#[test]
fn warnings_are_shown_before_it_begins() {
    let server = in_service(&[]);
    draw_other_arguments(&server);
    let shown = || apply(&server, json!({"dry_run": true}));
    assert_eq!(shown()["findings"], json!([]));
    fs::remove_file(server.options.design.join("images/kvm/vmlinuz")).unwrap();
    let finding = &shown()["findings"][0];
    assert_eq!((&finding["code"], &finding["severity"]), (&json!("ZW0211"), &json!("warning")));
    assert_eq!(finding["sentence"], "image `kvm` names `images/kvm/vmlinuz`, which is not there");
}

#[test]
fn a_restart_shows_what_it_will_be_and_who_is_passed_over() {
    let server = in_service(&[]);
    let _: Done = server.post("/v1/machines/p01/r1/u02/wish", r#"{"wish": "maintain", "reason": "a fan"}"#);
    let restart = |targets: &[&str]| json!({"targets": targets, "reason": "microcode", "dry_run": true});
    let shown = ask(&server, "/v1/restart", restart(&["p01/r1/u01", "p01/r1/u02", "p02/r1/u01"]));
    let over = shown["machines"].as_array().unwrap().iter().filter(|row| !row["why"].is_null());
    let over: Vec<&Value> = over.map(|row| &row["why"]).collect();
    assert_eq!(over, ["it is in maintenance"]);
    let canary = &shown["ahead"][0];
    assert_eq!(
        (&canary["reach"], &canary["machines"], &canary["at_once"]),
        (&json!("canary"), &json!(1), &json!(1))
    );
    assert!(canary["seconds"].as_u64() > Some(0));
    // One in ten of the eight may be out, and one is.
    assert_eq!(
        canary["margin"],
        json!({"budget": "hypervisor", "domain": "lab1", "members": 8, "limit": 1, "out": 1, "taken": 0, "left": 0})
    );
    assert_eq!(shown["ahead"][1]["passed"], 1);
    let (status, said) = server.request("POST", "/v1/restart", &restart(&["p01/r1/u02"]).to_string());
    assert_eq!(status, 409);
    assert!(said.contains("none of these is in service: p01/r1/u02 is in maintenance"), "{said}");
    // Whose it is, why, and since when.
    let budgets: Value = server.get("/v1/budgets");
    let holder = budgets[0]["holders"][0].as_str().unwrap();
    assert!(
        holder.starts_with("p01/r1/u02 (maintenance, by ") && holder.contains(": a fan; for "),
        "{holder}"
    );
}
