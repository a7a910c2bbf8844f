//! The page, in a real browser.

use crate::browser::{Browser, ENTER};
use crate::etcd::Member;
use crate::map::BESIDE;
use crate::people;
use crate::support::{Client, PATIENCE, Server};
use api::http::Done;
use model::facts::{Hardware, Machine, State};
use model::{Facts, Location};
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::sync::Arc;
use store::Store;

pub(crate) fn page(server: &Server, path: &str) -> String {
    format!("http://{}{path}", server.api_tcp())
}

/// Goes to a page, and waits until its heading is there.
pub(crate) fn see(browser: &Browser, server: &Server, path: &str) {
    browser.go(&page(server, path));
    browser.until("document.querySelector('h1')");
}

/// Waits until the map's legend counts so many machines as ready.
pub(crate) fn until_ready(browser: &Browser, machines: u32) {
    let count = "document.querySelector('#legend [data-only=ready]').dataset.count";
    browser.until(&format!("{count} === '{machines}'"));
}

/// None of these pages is wider than a telephone.
pub(crate) fn on_a_narrow_screen(browser: &Browser, server: &Server, paths: &[&str]) {
    browser.resize(360, 740);
    for path in paths {
        see(browser, server, path);
        let wide = browser.run("return [document.documentElement.scrollWidth, innerWidth]");
        assert!(wide[0].as_u64() <= wide[1].as_u64(), "{path} is wider than the screen: {wide}");
        browser.shoot(&format!("narrow{}", path.replace('/', "-")));
    }
}

pub(crate) fn wish(server: &Server, machine: &str, wish: &str) {
    let _: Done = server.post(&format!("/v1/machines/{machine}/wish"), wish);
}

/// Starts a server that has known this much for long.
pub(crate) fn know(server: &mut Server, facts: &Facts) {
    let mut store = Store::open(&server.options.state).unwrap();
    store.append(&[], facts.machines.iter(), []).unwrap();
    drop(store);
    server.again();
}

pub(crate) fn now() -> model::Time {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    model::Time(u64::try_from(since.as_millis()).unwrap())
}

/// A zone of which much is known: each machine in another state, one miscabled, one whose serial somebody looks for.
pub(crate) fn seasoned() -> Server {
    let mut server = Server::prepared();
    let now = now();
    let mut facts = Facts::default();
    let machine = |state: State| Machine { state, since: now, ..Machine::default() };
    let by = || "ada".to_owned();
    let mut ready = machine(State::Ready);
    ready.boot_took_ms = Some(94_200);
    ready.hardware = Some(Hardware {
        cpus: 2,
        memory_bytes: 4 << 30,
        serial: "SN-4711-X".to_owned(),
        firmware: "<script>alert(1)</script>".to_owned(),
        ..Hardware::default()
    });
    let mut miscabled = machine(State::Validating { hardware_fits: true });
    miscabled.miscabled = Some((model::Code::ForeignServer, "eno1 and eno2 are swapped".to_owned()));
    let states = [
        ("lab1/p01/r1/u01", ready),
        ("lab1/p01/r1/u02", machine(State::Draining { reason: "fans <b>loud</b>".to_owned(), by: by() })),
        ("lab1/p01/r1/u03", machine(State::Failed { reasons: vec!["1 of 2 CPUs is missing".to_owned()] })),
        ("lab1/p02/r1/u01", miscabled),
        ("lab1/p02/r1/u02", machine(State::Maintenance { reason: "disk swap".to_owned(), by: by() })),
        ("lab1/p02/r1/u03", machine(State::Retired { reason: "sold".to_owned(), by: by() })),
    ];
    for (location, machine) in states {
        facts.machines.insert(Location::new(location), machine);
    }
    know(&mut server, &facts);
    server
}

#[test]
fn the_search_finds_by_name_location_address_and_serial() {
    let server = seasoned();
    let Some(browser) = Browser::start() else { return };
    Client { mac: [0x52, 0x54, 0, 0, 0, 4], circuit: "swp4", ..Client::u01() }.lease(&server);
    let first = |text: &str| {
        browser.go(&page(&server, "/findings"));
        browser.press(&["/"]);
        browser.until("document.activeElement.id === 'query'");
        browser.write("#query", text);
        browser.until("document.querySelectorAll('#found li').length > 0");
        browser.text("document.querySelector('#found li').innerText").replace('\n', " ")
    };
    assert!(first("10.64.0.6").starts_with("p01/r1/u01"), "its address");
    assert!(first("sn-4711").contains("serial SN-4711-X"), "its serial");
    assert!(first("p02/r1/u03").starts_with("p02/r1/u03"), "its location");
    assert!(first("5254-0000-0004").starts_with("p01/r1/u04"), "its hardware, however that is written");
    assert!(first("hv-p01-r1-u02").starts_with("p01/r1/u02"), "its name");
    let is_told = |text: &str, said: &str| {
        browser.run("document.getElementById('query').value = ''");
        browser.write("#query", text);
        browser.until(&format!("document.querySelector('#found [aria-disabled]')?.innerText === '{said}'"));
    };
    is_told("p77", "Nothing found.");
    browser.run("window.fetch = () => Promise.reject(new TypeError('gone'))");
    is_told("p01", "The controller does not answer.");
    browser.shoot("search");
    first("hv-p01-r1-u02");
    browser.press(&[ENTER]);
    browser.until("location.pathname === '/machines/p01/r1/u02'");
    assert_eq!(browser.complaints(), [""; 0]);
}

#[test]
fn a_machines_page_stays_current_and_what_others_wrote_is_only_text() {
    let server = seasoned();
    let Some(browser) = Browser::start() else { return };
    see(&browser, &server, "/machines/p01/r1/u02");
    browser.run("window.isSame = true; window.alert = () => { window.isAttacked = true; }");
    assert!(browser.text("document.body.innerText").contains("fans <b>loud</b> (ada)"));
    wish(&server, "p01/r1/u02", r#"{"wish": "maintain", "reason": "<img src=x onerror=alert(1)>"}"#);
    browser.until("document.querySelector('.state').textContent === 'maintenance'");
    browser.until("document.body.innerText.includes('asked: maintain (<img src=x onerror=alert(1)>)')");
    wish(&server, "p01/r1/u02", r#"{"wish": "return"}"#);
    browser.until("document.querySelector('.state').textContent !== 'maintenance'");
    assert_eq!(
        browser.run("return [window.isSame, window.isAttacked ?? false]"),
        serde_json::json!([true, false])
    );
    see(&browser, &server, "/machines/p01/r1/u01");
    assert!(browser.text("document.body.innerText").contains("<script>alert(1)</script>"));
    browser.shoot("machine-light");
    assert_eq!(browser.complaints(), [""; 0]);
}

#[test]
fn findings_refusals_and_machines_are_shown() {
    let server = seasoned();
    let Some(browser) = Browser::start() else { return };
    let stranger = Client { circuit: "swp31", ..Client::u01() };
    server.udp(server.ports().dhcp).send(&stranger.discover()).unwrap();
    browser.go(&page(&server, "/refusals"));
    browser.until("document.body.innerText.includes('unknown-port')");
    browser.shoot("refusals");
    browser.go(&page(&server, "/findings"));
    browser.until("document.body.innerText.includes('1 of 2 CPUs is missing')");
    server.edit("role  = \"hypervisor\"", "role  = \"hypervizor\"");
    browser.until("document.body.innerText.includes('did you mean `hypervisor`?')");
    browser.shoot("findings");
    browser.go(&page(&server, "/machines"));
    browser.until("document.querySelectorAll('tbody tr').length === 8");
    let first = browser.text("document.querySelector('tbody td').innerText");
    assert_eq!(first, "p01/r1/u03", "what wants attention is first, and what failed before that");
    browser.shoot("machines");
    for (path, said) in [
        ("/machines/p09/r9/u99", "Not in this zone"),
        ("/changes/99", "There is no change of this number"),
        ("/findings/", "There is no such page"),
        ("/Machines", "There is no such page"),
    ] {
        browser.go(&page(&server, path));
        assert!(browser.text("document.body.innerText").contains(said), "{path}");
        assert!(browser.run("return document.querySelectorAll('nav a').length").as_u64() > Some(3), "{path}");
    }
    let complaints = browser.complaints();
    assert!(complaints.iter().all(|said| said.contains("404")), "{complaints:?}");
}

#[test]
fn dark_and_light_and_a_narrow_screen() {
    let server = seasoned();
    let Some(browser) = Browser::start() else { return };
    let ground = "getComputedStyle(document.documentElement).backgroundColor";
    browser.prefer("dark");
    browser.go(&page(&server, "/"));
    until_ready(&browser, 1);
    let dark = browser.text(ground);
    browser.shoot("map-dark");
    browser.prefer("light");
    browser.until(&format!("{ground} !== '{dark}'"));
    // A choice outlasts the page, whatever the system prefers.
    browser.click("#theme");
    browser.click("#theme");
    browser.until(&format!("{ground} === '{dark}'"));
    browser.go(&page(&server, "/machines/p01/r1/u01"));
    assert_eq!(browser.text(ground), dark);
    browser.shoot("machine-dark");
    let paths = ["/", "/machines", "/machines/p01/r1/u01", "/edges", "/findings", "/refusals", "/sign-in"];
    on_a_narrow_screen(&browser, &server, &paths);
    assert_eq!(browser.complaints(), [""; 0]);
}

#[test]
fn nothing_is_fetched_from_elsewhere_and_the_policy_holds() {
    let server = seasoned();
    let Some(browser) = Browser::start() else { return };
    for path in ["/", "/machines/p01/r1/u01", "/findings", "/sign-in"] {
        see(&browser, &server, path);
    }
    let own = format!("http://{}/", server.api_tcp());
    let fetched = browser.fetched();
    assert!(fetched.len() > 6, "{fetched:?}");
    let elsewhere: Vec<_> =
        fetched.iter().filter(|url| !url.starts_with(&own) && !url.starts_with("data:")).collect();
    assert_eq!(elsewhere, [""; 0]);
    assert_eq!(browser.complaints(), [""; 0]);
    // The policy is there, and is what keeps a script out that somebody brought in.
    browser.run("const s = document.createElement('script'); s.textContent = 'window.isIn = true'; document.body.append(s)");
    assert_eq!(browser.run("return window.isIn ?? false"), false);
    assert!(browser.complaints().iter().any(|said| said.contains("Content Security Policy")));
}

#[test]
fn somebody_signs_in_asks_for_something_and_is_signed_out() {
    let server = seasoned();
    let Some(browser) = Browser::start() else { return };
    people::add(&server, "ada", "operate");
    people::add(&server, "root", "administer");
    see(&browser, &server, "/machines/p01/r1/u01");
    assert_eq!(
        browser.run("return document.querySelector('form.wishes') === null"),
        true,
        "who only looks asks nothing"
    );
    browser.go(&page(&server, "/sign-in?next=/machines/p01/r1/u01"));
    browser.shoot("sign-in");
    let sign_in = |name: &str, password: &str| {
        browser.run("document.getElementById('name').value = ''");
        browser.write("#name", name);
        browser.write("#password", password);
        browser.press(&[ENTER]);
    };
    sign_in("ada", "a wrong password");
    browser.until("document.body.innerText.includes('The name or the password is wrong.')");
    sign_in("ada", people::PASSWORD);
    browser.until("location.pathname === '/machines/p01/r1/u01' && document.querySelector('form.wishes')");
    assert!(browser.text("document.querySelector('.who').innerText").contains("ada · operate"));
    assert_eq!(browser.run("return document.cookie"), "", "no script can read the session");
    browser.click("form.wishes [value=drain]");
    browser.until("document.getElementById('said').textContent === 'Say why, in a few words.'");
    // A restart is a change.
    browser.write("#reason", "a new kernel");
    browser.run("const b = document.querySelector('form.wishes [name=restart]'); b.click(); b.click()");
    browser.until("document.querySelector('#said a')?.getAttribute('href') === '/changes/1'");
    let begun: Vec<api::change::ChangeRow> = server.get("/v1/changes");
    assert_eq!(begun.len(), 1, "whoever clicks twice asks once");
    browser.until("document.querySelectorAll('form.wishes button:disabled').length === 0");
    let gave_up = r#"{"wish": "abort", "reason": "not today"}"#;
    let _: api::change::ChangeDetail = server.post("/v1/changes/1", gave_up);
    browser.write("#reason", "a loud fan");
    browser.press(&[ENTER]);
    browser.until("document.getElementById('said').textContent === 'Press the button of what you ask for.'");
    browser.click("form.wishes [value=drain]");
    browser.until("document.getElementById('said').textContent === 'Done: it is draining.'");
    browser.until("document.body.innerText.includes('ada asked: drain (a loud fan)')");
    browser.shoot("machine-operate");
    // What cannot be taken back is typed.
    let wishes = "[...document.querySelectorAll('form.wishes button')].map((b) => b.value).join(' ')";
    assert_eq!(browser.text(wishes), "drain maintain return accept p01/r1/u01");
    let typed = browser.text("document.querySelector('.typed').innerText");
    assert!(
        typed.contains("zw reinstall p01/r1/u01") && typed.contains("zw retire p01/r1/u01 --reason"),
        "{typed}"
    );
    browser.click("form.wishes [value=return]");
    browser.until("document.getElementById('said').textContent.startsWith('Done: it is ')");
    browser.write("#reason", "a new fan");
    browser.click("form.wishes [value=maintain]");
    browser.until("document.getElementById('said').textContent === 'Done: it is maintenance.'");
    browser.shoot("machine-restart");
    browser.click("form.wishes [value=accept]");
    browser.until("document.body.innerText.includes('ada asked: accept')");
    // A controller that hangs: as if the time were over.
    browser.run("AbortSignal.timeout = () => AbortSignal.abort()");
    browser.click("form.wishes [value=return]");
    browser.until(
        "document.getElementById('said').textContent.startsWith('The controller does not answer: whether')",
    );
    browser.until("document.querySelectorAll('form.wishes button:disabled').length === 0");
    // Not for this role; the page says so and names the one that it needs.
    browser.go(&page(&server, "/audit"));
    assert!(browser.text("document.body.innerText").contains("This needs the role administer"));
    browser.click(".who button");
    browser.until("document.querySelector('a.who')");
    browser.go(&page(&server, "/audit"));
    browser.until("location.pathname === '/sign-in'");
    sign_in("root", people::PASSWORD);
    browser.until("location.pathname === '/audit' && document.querySelector('tbody tr')");
    let audit = browser.text("document.body.innerText");
    for told in [
        "sign in as ada",
        "refused: wrong name or password",
        "lab1/p01/r1/u01: drain (a loud fan)",
        "restart: p01/r1/u01 (a new kernel)",
        "lab1/p01/r1/u01: maintain (a new fan)",
        "sign out",
    ] {
        assert!(audit.contains(told), "no {told:?} in {audit}");
    }
    browser.shoot("audit");
    // Whose account is gone sees no more, also on a page that is open.
    let _: api::people::Accounts = server.post("/v1/accounts", r#"{"account": "remove", "name": "root"}"#);
    browser.until("location.pathname === '/sign-in'");
    let complaints = browser.complaints();
    assert!(
        complaints.iter().all(|said| ["401", "403", "404"].iter().any(|known| said.contains(known))),
        "{complaints:?}"
    );
}

#[test]
fn a_page_says_that_its_reader_is_signed_out() {
    let mut server = seasoned();
    let Some(browser) = Browser::start() else { return };
    people::add(&server, "ada", "operate");
    browser.go(&page(&server, "/sign-in?next=/machines/p01/r1/u01"));
    browser.write("#name", "ada");
    browser.write("#password", people::PASSWORD);
    browser.press(&[ENTER]);
    browser.until("document.querySelector('form.wishes')");
    browser.run("window.isSame = true");
    // Another role.
    let _: api::people::Accounts =
        server.post("/v1/accounts", r#"{"account": "role", "name": "ada", "role": "administer"}"#);
    browser.until("document.querySelector('nav a[href=\"/audit\"]')");
    browser
        .until("document.getElementById('identity').innerText.startsWith('You are ada · administer now.')");
    // Sessions end with the server.
    server.options.api_tcp = Some(server.api_tcp());
    server.stop();
    server.again();
    browser.until("document.querySelector('a.who')?.innerText === 'Sign in'");
    let said = browser.text("document.getElementById('identity').innerText");
    assert!(said.starts_with("You are signed out"), "{said}");
    browser.shoot("signed-out");
    browser.until("document.querySelector('form.wishes') === null");
    assert_eq!(browser.run("return window.isSame"), true);
    browser.click("#identity a");
    browser.until("location.pathname === '/sign-in'");
    assert_eq!(browser.text("document.querySelector('[name=next]').value"), "/machines/p01/r1/u01");
}

/// Watches the map from this host's loopback as long as what comes back is held; `None`: it was not let in.
fn watch(server: &Server) -> Option<TcpStream> {
    let mut stream = TcpStream::connect(server.api_tcp()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    write!(stream, "GET /page/map HTTP/1.1\r\nHost: {}\r\n\r\n", server.api_tcp()).unwrap();
    let mut status = [0; 12];
    stream.read_exact(&mut status).unwrap();
    status.ends_with(b"200").then_some(stream)
}

#[test]
fn those_who_only_look_leave_room_for_who_is_signed_in() {
    let server = seasoned();
    let Some(browser) = Browser::start() else { return };
    people::add(&server, "ada", "view");
    let watchers: Vec<TcpStream> = (0..500).map_while(|_| watch(&server)).collect();
    assert!(watchers.len() < 500);
    browser.go(&page(&server, "/"));
    browser.until("document.getElementById('away').innerText.startsWith('Too many are watching.')");
    browser.shoot("too-many");
    browser.go(&page(&server, "/sign-in"));
    browser.write("#name", "ada");
    browser.write("#password", people::PASSWORD);
    browser.press(&[ENTER]);
    until_ready(&browser, 1);
    assert_eq!(browser.run("return document.getElementById('away').hidden"), true);
    drop(watchers);
}

#[test]
fn without_scripts_times_are_those_of_the_calendar() {
    let server = seasoned();
    let (status, page) = server.request("GET", "/machines", "");
    assert_eq!(status, 200);
    let time = page.split("<time ").nth(1).and_then(|rest| rest.split(['>', '<']).nth(1)).unwrap_or_default();
    assert!(time.ends_with(" UTC") && time.len() == "2026-03-01 08:15:00 UTC".len(), "{time}");
}

#[test]
fn by_https_nothing_is_shown_before_somebody_signs_in() {
    let server = Server::start_with(|options| options.page_tls = Some("127.0.0.1:0".parse().unwrap()));
    let Some(browser) = Browser::start() else { return };
    people::add(&server, "ada", "view");
    let own = |path: &str| format!("https://{}{path}", server.page_tls());
    browser.go(&own("/machines"));
    browser.until("location.pathname === '/sign-in'");
    assert_eq!(browser.text("document.querySelectorAll('nav a').length"), "0");
    for path in ["/v1/status", "/page/zone.json", "/metrics"] {
        browser.go(&own(path));
        let text = browser.text("document.body.innerText");
        assert!(text.contains("Sign in") || text.contains("sign in first"), "{path}: {text}");
    }
    browser.go(&own("/machines"));
    browser.until("document.getElementById('name')");
    browser.write("#name", "ada");
    browser.write("#password", people::PASSWORD);
    browser.press(&[ENTER]);
    browser.until("location.pathname === '/machines' && document.querySelectorAll('tbody tr').length === 8");
    browser.go(&own("/"));
    browser.until("document.querySelector('#legend [data-only=expected]').dataset.count === '8'");
}

#[test]
fn a_change_is_followed_paused_and_aborted() {
    let mut server = Server::prepared();
    let ready = || Machine { state: State::Ready, ..Machine::default() };
    let places = ["p01/r1/u01", "p01/r1/u02", "p01/r1/u03", "p02/r1/u01"];
    let facts = Facts {
        machines: places.iter().map(|place| (Location::new(&format!("lab1/{place}")), ready())).collect(),
        ..Facts::default()
    };
    know(&mut server, &facts);
    people::add(&server, "ada", "operate");
    let Some(browser) = Browser::start() else { return };
    browser.go(&page(&server, "/changes"));
    browser.until("document.body.innerText.includes('No change is under way.')");
    // It comes up on the page that is open.
    let word = "kernel".repeat(80);
    let restart = format!(
        r#"{{"targets": ["p01/r1/u01", "p01/r1/u02", "p02/r1/u01"], "reason": "a new <i>kernel</i> {word}"}}"#
    );
    let begun: api::change::ChangeDetail = server.post("/v1/restart", &restart);
    let path = format!("/changes/{}", begun.row.id);
    browser.until(&format!("document.querySelector('article.change a[href=\"{path}\"]')"));
    assert!(browser.text("document.body.innerText").contains("a new <i>kernel</i>"));
    browser.shoot("changes");
    browser.go(&page(&server, &path));
    browser.until("document.querySelectorAll('tbody tr').length >= 3");
    assert_eq!(
        browser.run("return document.querySelector('form.wishes') === null"),
        true,
        "who only looks stops nothing"
    );
    browser.go(&page(&server, &format!("/sign-in?next={path}")));
    browser.write("#name", "ada");
    browser.write("#password", people::PASSWORD);
    browser.press(&[ENTER]);
    browser.until("document.querySelector('form.wishes')");
    let state = |wanted: &str| {
        browser.until(&format!("document.querySelector('.title .step').textContent === '{wanted}'"))
    };
    state("rolling");
    browser.write("#reason", "lunch");
    browser.click("form.wishes [value=pause]");
    state("paused");
    browser.until("document.getElementById('said').textContent === 'Done: it is paused.'");
    browser.shoot("change-paused");
    browser.click("form.wishes [value=resume]");
    state("rolling");
    browser.write("#reason", "the wrong kernel");
    browser.click("form.wishes [value=abort]");
    state("aborted");
    browser.until(
        "[...document.querySelectorAll('td .step')].some((step) => step.textContent === 'not reached')",
    );
    browser.until("document.body.innerText.includes('ada aborted it: the wrong kernel')");
    browser.until("document.querySelector('form.wishes') === null");
    let audit: api::people::Audit = server.get("/v1/audit");
    let told: Vec<_> =
        audit.entries.iter().filter(|entry| entry.by == "ada").map(|entry| entry.did.as_str()).collect();
    let id = begun.row.id;
    for did in [
        format!("change {id}: pause (lunch)"),
        format!("change {id}: resume"),
        format!("change {id}: abort (the wrong kernel)"),
    ] {
        assert!(told.contains(&did.as_str()), "no {did:?} in {told:?}");
    }
    // What another plan changes.
    server.edit("machines \"u{01..04}\"", "machines \"u{01..05}\"");
    let _: api::change::Applied = server.post("/v1/apply", r#"{"reason": "one more in each rack"}"#);
    browser.go(&page(&server, "/changes"));
    browser.until("document.querySelector('a[href=\"/plans/1/to/2\"]')");
    browser.click("a[href=\"/plans/1/to/2\"]");
    browser.until("document.body.innerText.includes('Appear · ')");
    assert!(browser.text("document.body.innerText").contains("hv-p01-r1-u05"));
    browser.shoot("diff");
    on_a_narrow_screen(&browser, &server, &["/changes", &path, "/plans/1/to/2"]);
    assert_eq!(browser.complaints(), [""; 0]);
}

#[test]
fn a_page_that_is_open_outlasts_a_restart_of_the_controller() {
    let mut server = seasoned();
    let Some(browser) = Browser::start() else { return };
    browser.go(&page(&server, "/"));
    until_ready(&browser, 1);
    browser.run("window.isSame = true");
    // The same port again.
    server.options.api_tcp = Some(server.api_tcp());
    server.stop();
    browser.until("!document.getElementById('away').hidden");
    browser.shoot("away");
    server.again();
    browser.until("document.getElementById('away').hidden");
    wish(&server, "p01/r1/u01", r#"{"wish": "maintain", "reason": "after it"}"#);
    until_ready(&browser, 0);
    assert_eq!(browser.run("return window.isSame"), true);
}

/// An edge on this host that was added with this ticket.
fn start_edge(server: &Server, ticket: &str) -> server::EdgeRunning {
    let state = server.scratch.0.join("edge");
    let agents = SocketAddr::from(([127, 0, 0, 1], server.ports().agents));
    let mut options = server::EdgeOptions::new(&state);
    options.address = Some(IpAddr::V4(Ipv4Addr::LOCALHOST));
    options.ports = server::BindPorts::ANY;
    options.boot_as_controllers = false;
    options.api_tcp = None;
    server.runtime.block_on(async {
        server::enrol(&state, &[agents], ticket).await.unwrap();
        server::start_edge(options, Arc::new(|_: &str| {})).await.unwrap()
    })
}

#[test]
fn edges_are_shown_as_they_are_heard_of() {
    let server = Server::start();
    let Some(browser) = Browser::start() else { return };
    browser.go(&page(&server, "/edges"));
    browser.until("document.body.innerText.includes('zw edge add NAME --address ADDRESS')");
    browser.run("window.isSame = true");
    let wished: api::edge::EdgeWished =
        server.post("/v1/edges", r#"{"wish": "add", "name": "p01", "addresses": ["10.32.4.2", "fd00::2"]}"#);
    browser.until("document.querySelector('tbody td')?.innerText === 'p01'");
    let row = "document.querySelector('tbody tr').innerText";
    assert!(browser.text(row).contains("10.32.4.2 fd00::2"));
    assert!(browser.text(row).contains("its ticket is not spent yet"));
    let edge = start_edge(&server, &wished.ticket.unwrap());
    browser.until(&format!("/plan #1\\s.* ago\\s+all [1-9]/.test({row})"));
    browser.shoot("edges");
    // It hears of no other plan.
    server.runtime.block_on(edge.stop());
    server.edit("machines \"u{01..04}\"", "machines \"u{01..05}\"");
    browser.until(&format!("{row}.includes('plan #1, not #2')"));
    assert_eq!(browser.run("return window.isSame"), true);
    browser.go(&page(&server, "/"));
    browser.until(&format!("{BESIDE}.includes('Edges · 1')"));
    browser.until(&format!("{BESIDE}.includes('p01 plan #1, not #2, all ')"));
    browser.shoot("beside-edges");
    let _: api::edge::EdgeWished = server.post("/v1/edges", r#"{"wish": "remove", "name": "p01"}"#);
    browser.until("document.querySelector('#beside').childNodes.length === 0");
    browser.resize(360, 740);
    assert_eq!(browser.complaints(), [""; 0]);
}

#[test]
fn who_leads_of_several_controllers_is_said_beside_the_map() {
    let Some(member) = Member::start() else { return };
    let controller = |name: &str| {
        let (address, name) = (member.address("zone"), name.to_owned());
        Server::start_with(move |options| {
            options.store = Some((address, store::etcd::Access::default()));
            options.name = Some(name);
        })
    };
    let mut a = controller("a");
    let b = controller("b");
    let Some(browser) = Browser::start() else { return };
    browser.go(&page(&b, "/"));
    browser.until(&format!("{BESIDE}.includes('a leads; there are a, b; this is b.')"));
    browser.shoot("beside-controllers");
    a.stop();
    browser.until(&format!("{BESIDE}.includes('b leads; ')"));
    assert_eq!(browser.complaints(), [""; 0]);
}
