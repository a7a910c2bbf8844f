//! The page, in a real browser.

use crate::browser::{Browser, ENTER, RIGHT, TAB, UP};
use crate::etcd::Member;
use crate::people;
use crate::support::{Client, PATIENCE, Server};
use api::http::Done;
use model::facts::{Hardware, Machine, Stage, State};
use model::{Facts, Location};
use serde_json::json;
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use store::Store;

/// How many units the legend counts of each state.
const COUNTED: &str =
    "[...document.querySelectorAll('#legend button')].map((b) => b.dataset.only + b.dataset.count).join(' ')";

fn page(server: &Server, path: &str) -> String {
    format!("http://{}{path}", server.api_tcp())
}

/// Goes to a page, and waits until its heading is there.
fn see(browser: &Browser, server: &Server, path: &str) {
    browser.go(&page(server, path));
    browser.until("document.querySelector('h1')");
}

/// Waits until the map's legend counts so many machines as ready.
fn until_ready(browser: &Browser, machines: u32) {
    let count = "document.querySelector('#legend [data-only=ready]').dataset.count";
    browser.until(&format!("{count} === '{machines}'"));
}

/// None of these pages is wider than a telephone.
fn on_a_narrow_screen(browser: &Browser, server: &Server, paths: &[&str]) {
    browser.resize(360, 740);
    for path in paths {
        see(browser, server, path);
        let wide = browser.run("return [document.documentElement.scrollWidth, innerWidth]");
        assert!(wide[0].as_u64() <= wide[1].as_u64(), "{path} is wider than the screen: {wide}");
        browser.shoot(&format!("narrow{}", path.replace('/', "-")));
    }
}

fn wish(server: &Server, machine: &str, wish: &str) {
    let _: Done = server.post(&format!("/v1/machines/{machine}/wish"), wish);
}

/// Starts a server that has known this much for long.
pub(crate) fn know(server: &mut Server, facts: &Facts) {
    let mut store = Store::open(&server.options.state).unwrap();
    store.append(&[], facts.machines.iter(), []).unwrap();
    drop(store);
    server.again();
}

fn now() -> model::Time {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    model::Time(u64::try_from(since.as_millis()).unwrap())
}

/// A zone of which much is known: each machine in another state, one miscabled, one whose serial somebody looks for.
fn seasoned() -> Server {
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
fn the_map_shows_every_state_and_stays_current() {
    let server = seasoned();
    let Some(browser) = Browser::start() else { return };
    browser.go(&page(&server, "/"));
    until_ready(&browser, 1);
    let counted = browser.text(COUNTED);
    assert_eq!(
        counted,
        "expected2 seen0 booting0 installing0 validating1 ready1 draining1 maintenance1 failed1 retired1 attention2"
    );
    browser.run("window.isSame = true");
    browser.shoot("map-light");
    wish(&server, "p02/r1/u04", r#"{"wish": "maintain", "reason": "a new fan"}"#);
    browser.until("document.querySelector('#legend [data-only=maintenance]').dataset.count === '2'");
    // A machine that asks for the first time.
    Client { mac: [0x52, 0x54, 0, 0, 0, 4], circuit: "swp4", ..Client::u01() }.lease(&server);
    browser.until("document.querySelector('#legend [data-only=expected]').dataset.count === '0'");
    // Another plan, with more machines.
    server.edit("machines \"u{01..04}\"", "machines \"u{01..06}\"");
    browser.until("document.querySelector('#counts').textContent.includes('Plan #2 · 12 machines')");
    assert_eq!(browser.run("return window.isSame"), true, "all of it without loading the page again");
    assert_eq!(browser.complaints(), [""; 0]);
}

/// What is drawn on the cell of a machine beside its name: each pixel by whether it is the cell's colour.
const DRAWN: &str = "(() => {
  const cell = { width: 52, height: 20, gap: 3 };
  const canvas = document.querySelectorAll('#map canvas')[POD];
  const top = canvas.height - (UNIT + 1) * (cell.height + cell.gap);
  const { data } = canvas.getContext('2d').getImageData(3, top + 3, 13, cell.height - 6);
  const colour = data.slice(0, 3).join();
  let text = '';
  for (let at = 0; at < data.length; at += 4) { text += data.slice(at, at + 3).join() === colour ? '.' : '#'; }
  return text; })()";

#[test]
fn states_are_told_apart_without_their_colours() {
    let mut server = Server::prepared();
    let by = || "ada".to_owned();
    let reason = || "a fan".to_owned();
    let states = [
        State::Seen { stage: Stage::Ipxe },
        State::Booting { generation: model::Generation(1) },
        State::Installing { progress: Default::default() },
        State::Validating { hardware_fits: true },
        State::Ready,
        State::Draining { reason: reason(), by: by() },
        State::Maintenance { reason: reason(), by: by() },
        State::Failed { reasons: vec![reason()] },
    ];
    let mut facts = Facts::default();
    for (at, state) in states.into_iter().enumerate() {
        let place = format!("lab1/p{:02}/r1/u{:02}", at / 4 + 1, at % 4 + 1);
        facts.machines.insert(Location::new(&place), Machine { state, since: now(), ..Machine::default() });
    }
    know(&mut server, &facts);
    let Some(browser) = Browser::start() else { return };
    browser.go(&page(&server, "/"));
    until_ready(&browser, 1);
    browser.shoot("map-marks");
    let drawn = |at: usize| {
        browser.text(&DRAWN.replace("POD", &(at / 4).to_string()).replace("UNIT", &(at % 4).to_string()))
    };
    let marks: std::collections::BTreeSet<String> = (0..8).map(drawn).collect();
    assert_eq!(marks.len(), 8, "{marks:#?}");
    let legend = browser.run(
        "return [...document.querySelectorAll('#legend .state')].map((one) => {
           const { backgroundImage, backgroundSize, borderTopWidth } = getComputedStyle(one, '::before');
           return backgroundImage.replace(/rgb[^)]*./g, '') + backgroundSize + borderTopWidth; })",
    );
    let legend: std::collections::BTreeSet<String> =
        legend.as_array().unwrap().iter().map(|one| one.to_string()).collect();
    assert_eq!(legend.len(), 10, "{legend:#?}");
}

/// Lines of what stands beside the map.
const BESIDE: &str = "document.getElementById('beside').innerText";

#[test]
fn what_wants_attention_stands_beside_the_map_with_its_reason() {
    let server = seasoned();
    let Some(browser) = Browser::start() else { return };
    browser.go(&page(&server, "/"));
    browser.until(&format!("{BESIDE}.includes('Wants attention · 2')"));
    let lines =
        browser.text("[...document.querySelectorAll('#beside li')].map((li) => li.innerText).join('\\n')");
    assert_eq!(
        lines,
        "p01/r1/u03 hv-p01-r1-u03 failed: 1 of 2 CPUs is missing\np02/r1/u01 eno1 and eno2 are swapped ZW0801"
    );
    browser.run("window.isSame = true");
    // A change that somebody paused waits for somebody.
    let begun: api::change::ChangeDetail =
        server.post("/v1/restart", r#"{"targets": ["p01/r1/u01"], "reason": "a new kernel"}"#);
    let path = format!("/v1/changes/{}", begun.row.id);
    let _: api::change::ChangeDetail =
        server.post(&path, r#"{"wish": "pause", "reason": "lunch <i>now</i>"}"#);
    let paused = "change 1 waits for somebody to resume it: ";
    browser.until(&format!("{BESIDE}.includes('{paused}')"));
    assert!(browser.text(BESIDE).contains("paused it (lunch <i>now</i>)"));
    let first = browser.text("document.querySelector('#beside li a').getAttribute('href')");
    assert_eq!(first, "/changes/1", "what stops more than one machine is first");
    browser.shoot("beside");
    let status: api::http::Status = server.get("/v1/status");
    assert_eq!((status.troubles[0].change, status.more_troubles), (Some(1), 0));
    // Whoever has a machine in hand needs no telling.
    wish(&server, "p01/r1/u03", r#"{"wish": "maintain", "reason": "a new CPU"}"#);
    browser.until(&format!("{BESIDE}.includes('Wants attention · 2')"));
    assert!(!browser.text(BESIDE).contains("p01/r1/u03"));
    for (scheme, width) in [("dark", 1280), ("light", 360)] {
        browser.prefer(scheme);
        browser.resize(width, 900);
        let wide = browser.run("return [document.documentElement.scrollWidth, innerWidth]");
        assert!(wide[0].as_u64() <= wide[1].as_u64(), "wider than the screen: {wide}");
        browser.shoot(&format!("beside-{scheme}-{width}"));
    }
    browser.click("#beside li a");
    browser.until("location.pathname === '/changes/1'");
    assert_eq!(browser.complaints(), [""; 0]);
}

#[test]
fn a_map_whose_server_ends_while_it_is_drawn_is_drawn_when_it_is_back() {
    let server = seasoned();
    let Some(browser) = Browser::start() else { return };
    let source = "const ask = window.fetch; let gone = 1;
        window.fetch = (...what) => gone-- > 0 ? Promise.reject(new TypeError('gone')) : ask(...what);";
    browser.chromium("Page.addScriptToEvaluateOnNewDocument", &json!({ "source": source }));
    browser.go(&page(&server, "/"));
    until_ready(&browser, 1);
    wish(&server, "p02/r1/u04", r#"{"wish": "maintain", "reason": "a new fan"}"#);
    browser.until("document.querySelector('#legend [data-only=maintenance]').dataset.count === '2'");
}

#[test]
fn the_keyboard_moves_and_opens_a_machine() {
    let server = seasoned();
    let Some(browser) = Browser::start() else { return };
    browser.go(&page(&server, "/"));
    until_ready(&browser, 1);
    browser.run("document.getElementById('map').focus()");
    let here =
        |text: &str| browser.until(&format!("document.getElementById('here').textContent === '{text}'"));
    browser.press(&[UP]);
    here("p01/r1/u01: ready");
    browser.press(&[UP]);
    here("p01/r1/u02: draining");
    browser.press(&[RIGHT]);
    here("p02/r1/u02: maintenance");
    browser.press(&["n"]);
    here("p01/r1/u03: failed, wants attention");
    browser.press(&["n"]);
    here("p02/r1/u01: validating, wants attention");
    browser.shoot("map-keyboard");
    browser.press(&[ENTER]);
    browser.until("location.pathname === '/machines/p02/r1/u01' && document.querySelector('h1')");
    assert!(browser.text("document.body.innerText").contains("eno1 and eno2 are swapped"));
    // Whoever has no pointer sees where the focus is.
    browser.press(&[TAB]);
    assert_eq!(browser.text("document.activeElement.className"), "skip");
    assert_eq!(browser.complaints(), [""; 0]);
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

/// Who asks at the same time.
const THREADS: u32 = 50;

/// With `ZW_MEASURE` set it goes on for ten seconds and prints what it measured; it asserts no time either way.
#[test]
fn ten_thousand_machines_are_on_the_map_and_change_a_thousand_a_second() {
    let mut server = Server::prepared();
    server.options.design = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/ten-thousand");
    server.resume().unwrap();
    let locations: Vec<String> = server
        .get::<api::http::Machines>("/v1/machines")
        .machines
        .iter()
        .map(|row| row.location.to_string())
        .collect();
    server.stop();
    let states = [
        State::Ready,
        State::Ready,
        State::Ready,
        State::Validating { hardware_fits: true },
        State::Failed { reasons: vec!["1 disk is missing".to_owned()] },
        State::Ready,
        State::Seen { stage: model::facts::Stage::Ipxe },
    ];
    let machine = |at: usize| Machine { state: states[at * 7919 % 101 % 7].clone(), ..Machine::default() };
    let facts: Facts = Facts {
        machines: locations
            .iter()
            .enumerate()
            .map(|(at, place)| (Location::new(place), machine(at)))
            .collect(),
        ..Facts::default()
    };
    know(&mut server, &facts);
    let Some(browser) = Browser::start() else { return };
    browser.go(&page(&server, "/"));
    browser.until("performance.getEntriesByName('zw-first-map').length === 1");
    let first = browser.text("performance.getEntriesByName('zw-first-map')[0].startTime.toFixed(0)");
    browser.shoot("ten-thousand");
    // Most are counted, and not listed.
    let failed =
        facts.machines.values().filter(|machine| matches!(machine.state, State::Failed { .. })).count();
    browser.until(&format!("parseInt({BESIDE}.split('Wants attention · ')[1]) >= {failed}"));
    assert_eq!(browser.text("document.querySelectorAll('#beside li').length"), "12");
    assert!(browser.text(BESIDE).contains(" more: Findings"));
    let drawn = browser.text(COUNTED);
    assert_eq!(
        drawn
            .split("ready")
            .nth(1)
            .and_then(|rest| rest.split(' ').next())
            .unwrap()
            .parse::<usize>()
            .unwrap(),
        facts.machines.values().filter(|machine| machine.state == State::Ready).count()
    );
    browser.run(
        "window.frames_ = []; let last = performance.now();
         const frame = (now) => { window.frames_.push(now - last); last = now; requestAnimationFrame(frame); };
         requestAnimationFrame(frame);",
    );
    let is_measured = std::env::var_os("ZW_MEASURE").is_some();
    let seconds = if is_measured { 10 } else { 1 };
    let (began, ask) = (std::time::Instant::now(), &server);
    let asked = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|thread| {
                let locations = &locations;
                scope.spawn(move || {
                    let mut count = 0;
                    for turn in 0..seconds * 1000 / THREADS {
                        let due = std::time::Duration::from_millis(u64::from(turn * THREADS + thread));
                        std::thread::sleep(due.saturating_sub(began.elapsed()));
                        let at = (turn * THREADS + thread) as usize * 11 % locations.len();
                        wish(ask, &locations[at], r#"{"wish": "maintain", "reason": "a measurement"}"#);
                        count += 1;
                    }
                    count
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum::<usize>()
    });
    let took = began.elapsed();
    browser.until(&format!(
        "document.querySelector('#legend [data-only=maintenance]').dataset.count === '{asked}'"
    ));
    browser.shoot("ten-thousand-changing");
    let frames = browser.text(
        "(() => { const all = window.frames_.sort((a, b) => a - b); const at = (part) => all[Math.floor((all.length - 1) * part)].toFixed(1);
          return `${all.length} frames: median ${at(0.5)} ms, 95 % ${at(0.95)} ms, 99 % ${at(0.99)} ms, longest ${at(1)} ms`; })()",
    );
    if is_measured {
        let machines = locations.len();
        let _ = writeln!(
            std::io::stderr(),
            "{machines} machines: first map after {first} ms; {asked} changed in {:.1} s: {frames}",
            took.as_secs_f64()
        );
    }
    assert_eq!(browser.complaints(), [""; 0]);
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
