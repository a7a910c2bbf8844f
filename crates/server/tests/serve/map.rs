//! The map of the zone, and what wants attention beside it, in a real browser.

use crate::browser::{Browser, ENTER, RIGHT, TAB, UP};
use crate::page::{know, now, page, seasoned, until_ready, wish};
use crate::support::{Client, Server};
use model::facts::{Machine, Stage, State};
use model::{Facts, Location};
use serde_json::json;
use std::io::Write;
use std::path::Path;

/// How many units the legend counts of each state.
const COUNTED: &str =
    "[...document.querySelectorAll('#legend button')].map((b) => b.dataset.only + b.dataset.count).join(' ')";

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
pub(crate) const BESIDE: &str = "document.getElementById('beside').innerText";

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
