//! Accounts, roles, sessions and the audit log, by what is sent and answered.

use crate::support::{PATIENCE, Reply, Server, exchange};
use api::change::{Applied, ChangeDetail};
use api::http::Machine;
use api::people::{Accounts, Audit};
use std::net::TcpStream;

pub(crate) const PASSWORD: &str = "correct horse battery staple";

/// Makes an account.
pub(crate) fn add(server: &Server, name: &str, role: &str) {
    let wish =
        format!(r#"{{"account": "add", "name": "{name}", "role": "{role}", "password": "{PASSWORD}"}}"#);
    let _: Accounts = server.post("/v1/accounts", &wish);
}

/// A request on loopback, without encryption.
fn ask(server: &Server, method: &str, path: &str, body: &str, headers: &str) -> Reply {
    let stream = TcpStream::connect(server.api_tcp()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    exchange(stream, method, path, &server.api_tcp().to_string(), body, headers)
}

/// Fills in the form; the cookie, or the status of a refusal.
fn sign_in(server: &Server, name: &str, password: &str) -> Result<String, u16> {
    let body = format!("name={name}&password={}&next=%2Fmachines", password.replace(' ', "+"));
    let stream = TcpStream::connect(server.api_tcp()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let host = server.api_tcp().to_string();
    let reply = form(stream, &host, &body);
    match (reply.status, reply.header("set-cookie")) {
        (303, Some(cookie)) => {
            assert_eq!(reply.header("location"), Some("/machines"));
            assert!(cookie.contains("HttpOnly; SameSite=Strict"), "{cookie}");
            Ok(cookie.split(';').next().unwrap().to_owned())
        }
        (status, _) => Err(status),
    }
}

fn form(mut stream: TcpStream, host: &str, body: &str) -> Reply {
    use std::io::{BufRead, BufReader, Read, Write};
    let length = body.len();
    write!(
        stream,
        "POST /sign-in HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nContent-Type: application/x-www-form-urlencoded\r\n\
         Content-Length: {length}\r\n\r\n{body}"
    )
    .unwrap();
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).unwrap();
    let status = line.split(' ').nth(1).unwrap().parse().unwrap();
    let mut headers = Vec::new();
    loop {
        line.clear();
        reader.read_line(&mut line).unwrap();
        match line.trim_end().split_once(": ") {
            Some((name, value)) => headers.push((name.to_owned(), value.to_owned())),
            None => break,
        }
    }
    let mut body = Vec::new();
    reader.read_to_end(&mut body).unwrap();
    Reply { status, headers, body }
}

const WISH: &str = "/v1/machines/p01/r1/u01/wish";
const DRAIN: &str = r#"{"wish": "drain", "reason": "a fan"}"#;

#[test]
fn without_an_account_one_looks_and_nothing_else() {
    let server = Server::start();
    assert_eq!(ask(&server, "GET", "/", "", "").status, 200);
    assert_eq!(ask(&server, "POST", WISH, DRAIN, "").status, 401);
    for path in ["/", "/v1/status", "/v1/unheard-of", "/page/zone.json"] {
        let guard = ask(&server, "GET", path, "", "").header("x-content-type-options").map(str::to_owned);
        assert_eq!(guard.as_deref(), Some("nosniff"), "{path}");
    }
    for path in ["/audit", "/v1/audit", "/v1/accounts"] {
        assert_eq!(ask(&server, "GET", path, "", "").status, 401, "{path}");
    }
    assert_eq!(ask(&server, "POST", "/v1/unheard-of", "", "").status, 403);
    assert!(ask(&server, "GET", "/sign-in", "", "").text().contains("There is no account yet"));
    assert_eq!(sign_in(&server, "ada", PASSWORD), Err(401));
}

#[test]
fn roles_are_kept_and_the_name_stands_in_the_history() {
    let server = Server::start();
    for role in ["view", "operate", "administer"] {
        add(&server, role, role);
    }
    let status = |cookie: &str, method: &str, path: &str, body: &str| {
        ask(
            &server,
            method,
            path,
            body,
            &format!(
                "Cookie: {cookie}\r\nSec-Fetch-Site: same-origin\r\nOrigin: http://{}\r\n",
                server.api_tcp()
            ),
        )
        .status
    };
    let [view, operate, administer] =
        ["view", "operate", "administer"].map(|name| sign_in(&server, name, PASSWORD).unwrap());
    assert_eq!(status(&view, "POST", WISH, DRAIN), 403);
    assert_eq!(status(&operate, "POST", WISH, DRAIN), 200);
    let machine: Machine = server.get("/v1/machines/p01/r1/u01");
    assert_eq!(machine.row.detail.as_deref(), Some("a fan (operate)"));
    assert_eq!(status(&operate, "GET", "/v1/audit", ""), 403);
    assert_eq!(status(&operate, "POST", "/v1/reload", "{}"), 403);
    assert_eq!(status(&administer, "GET", "/v1/audit", ""), 200);
    assert_eq!(status(&administer, "POST", "/v1/reload", "{}"), 200);
    // A role counts from the moment that it is given.
    let _: Accounts =
        server.post("/v1/accounts", r#"{"account": "role", "name": "operate", "role": "view"}"#);
    assert_eq!(status(&operate, "POST", WISH, DRAIN), 403);
    let _: Accounts = server.post("/v1/accounts", r#"{"account": "remove", "name": "administer"}"#);
    assert_eq!(status(&administer, "GET", "/v1/audit", ""), 401);

    let audit: Audit = server.get("/v1/audit");
    let told: Vec<String> =
        audit.entries.iter().map(|entry| format!("{} {}: {}", entry.by, entry.did, entry.outcome)).collect();
    let has = |text: &str| assert!(told.iter().any(|line| line.contains(text)), "no {text:?} in {told:#?}");
    has("view POST /v1/machines/p01/r1/u01/wish: refused: this needs the role `operate`");
    has("operate lab1/p01/r1/u01: drain (a fan): done");
    has("operate sign in as operate: done");
    has("administer reload: nothing changed: done");
    has("account: add view (view): done");
    assert!(audit.entries.iter().any(|entry| entry.from == "127.0.0.1"));
    assert!(audit.entries.iter().any(|entry| entry.from == "unix socket"));
    let text = serde_json::to_string(&audit).unwrap() + &server.journal.lock().unwrap().join("\n");
    assert!(!text.contains("horse"), "a password is told: {text}");
}

#[test]
fn passwords_are_tried_slowly_and_what_was_tried_is_written_down() {
    let server = Server::start();
    add(&server, "ada", "view");
    let told: Vec<_> = (0..5).map(|_| sign_in(&server, "ada", "a wrong password")).collect();
    assert_eq!(told, vec![Err(401); 5]);
    // One more is granted every ten seconds, and on a busy machine a try may take as long.
    let more = (0..30).map(|_| sign_in(&server, "ada", "a wrong password"));
    let granted = more.take_while(|told| *told != Err(429)).count();
    assert!(granted < 30);
    let audit: Audit = server.get("/v1/audit");
    let body = "name=ada&password=wrong";
    let told = form(TcpStream::connect(server.api_tcp()).unwrap(), &server.api_tcp().to_string(), body);
    if told.status == 429 {
        assert!(
            told.header("retry-after").is_some() && told.text().contains(r#"value="ada""#),
            "{}",
            told.text()
        );
    }
    let refused = audit.entries.iter().filter(|entry| entry.outcome == "refused: wrong name or password");
    assert_eq!(refused.count(), 5 + granted);
}

#[test]
fn another_sites_page_can_do_nothing_with_a_session() {
    let server = Server::start();
    add(&server, "ada", "operate");
    let cookie = sign_in(&server, "ada", PASSWORD).unwrap();
    let own = format!("http://{}", server.api_tcp());
    let status = |headers: &str| {
        let headers = format!("Cookie: {cookie}\r\n{headers}");
        ask(&server, "POST", WISH, DRAIN, &headers).status
    };
    assert_eq!(status("Origin: https://example.net\r\n"), 403);
    assert_eq!(status("Origin: null\r\n"), 403);
    assert_eq!(status("Origin: http://127.0.0.1:1\r\nSec-Fetch-Site: same-site\r\n"), 403, "another port");
    assert_eq!(status(&format!("Origin: {own}\r\nSec-Fetch-Site: cross-site\r\n")), 403);
    assert_eq!(status(""), 403, "a cookie that comes without an origin");
    assert_eq!(status(&format!("Origin: {own}\r\nSec-Fetch-Site: same-origin\r\n")), 200);
    let unheard_of = format!("Cookie: {cookie}\r\nOrigin: {own}\r\n");
    assert_eq!(ask(&server, "POST", "/v1/unheard-of", "", &unheard_of).status, 403);
    let told = audited(&server);
    let from_elsewhere = format!("POST {WISH}: refused: this was sent by another site's page");
    assert_eq!(told.iter().filter(|line| **line == from_elsewhere).count(), 5, "{told:#?}");
    assert!(
        told.last().unwrap().starts_with("POST /v1/unheard-of: refused: nobody may ask this on TCP"),
        "{told:#?}"
    );
}

/// What was done, and what came of it.
fn audited(server: &Server) -> Vec<String> {
    let audit: Audit = server.get("/v1/audit");
    audit.entries.iter().map(|entry| format!("{}: {}", entry.did, entry.outcome)).collect()
}

#[test]
fn what_was_applied_stands_in_the_audit_log_and_what_was_only_looked_at_does_not() {
    let server = crate::changes::in_service(&[]);
    let apply = |more: &str| -> Applied {
        server.post("/v1/apply", &format!(r#"{{"reason": "larger racks"{more}}}"#))
    };
    apply(r#", "dry_run": true"#);
    apply("");
    let restart = r#"{"targets": ["p01/r1/u01"], "reason": "a look", "dry_run": true}"#;
    let _: ChangeDetail = server.post("/v1/restart", restart);
    // Nobody takes that up before it is asked for with this word.
    server.edit("units = 16", "units = 100");
    apply(r#", "dry_run": true, "renumber": true"#);
    apply(r#", "against": 7"#);
    assert!(apply("").refused.is_some());
    assert!(apply(r#", "renumber": true"#).changed);
    let _: Applied = server.post("/v1/rollback", r#"{"to": 1, "reason": "a look", "dry_run": true}"#);
    assert_eq!(server.request("POST", "/v1/rollback", r#"{"to": 9, "reason": "it was wrong"}"#).0, 404);
    let told = audited(&server);
    assert_eq!(told[0], "apply: nothing changed (larger racks): done");
    let stale = "refused: it was looked at against plan #7, but #1 is current: look again";
    assert_eq!(told[1], format!("apply (larger racks): {stale}"));
    assert!(told[2].starts_with("apply (larger racks): refused: "), "{told:#?}");
    assert_eq!(told[3], "apply --renumber: plan #2, change 1 (larger racks): done");
    assert!(told[4].starts_with("rollback to plan #9 (it was wrong): "), "{told:#?}");
    assert_eq!(told.len(), 5, "{told:#?}");
}

#[test]
fn accounts_outlast_a_restart_and_sessions_do_not() {
    let mut server = Server::start();
    add(&server, "ada", "operate");
    let cookie = sign_in(&server, "ada", PASSWORD).unwrap();
    server.stop();
    server.again();
    let headers = format!("Cookie: {cookie}\r\nOrigin: http://{}\r\n", server.api_tcp());
    assert_eq!(ask(&server, "POST", WISH, DRAIN, &headers).status, 401);
    assert!(sign_in(&server, "ada", PASSWORD).is_ok());
    let (_, kept) = server.request("GET", "/v1/accounts", "");
    assert!(kept.contains("\"ada\"") && !kept.contains("argon2"), "{kept}");
}
