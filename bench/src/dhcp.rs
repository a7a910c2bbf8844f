//! DHCP through relays: whole exchanges, by our own generator at a given rate, and by `perfdhcp`.

pub(crate) mod load;
mod perfdhcp;
mod rivals;
pub(crate) mod storm;
pub(crate) mod v4;
mod v6;

use crate::arena::{Cores, Place};
use crate::page::{Spread, ratio, spread, table};
use crate::process::Server;
use crate::settings::Settings;
use crate::zone::{Port, Zone, ten_thousand};
pub(crate) use load::{Load, Speech as Spoken};
pub(crate) use rivals::ours;
pub(crate) use v4::{Judgement, Speech, option};
pub(crate) use v6::turn;

use load::Outcome;
use rivals::Rival;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

/// Exchanges in a second at which all are compared.
const COMMON_RATE: f64 = 2_000.0;
/// Where the search for a clean rate begins.
const FIRST_RATE: f64 = 400.0;
/// Exchanges under way while every port is served once, before anything is measured.
const WARM_WINDOW: usize = 16;
/// How long that may take a server.
const WARM_MAX: Duration = Duration::from_secs(90);
/// Ports in a smoke run.
const SMOKE_PORTS: usize = 300;
/// How long a smoke run waits for every answer: far above what any machine needs.
const SMOKE_MAX: Duration = Duration::from_secs(30);
/// How often a failed rate is tried again: other work of the machine is no fault of the server's.
const TRIES: usize = 2;
/// Steps between the last clean rate and the first that is not.
const STEPS: usize = 4;

/// One of those that are compared, running.
struct Runner {
    rival: Rival,
    place: Place,
    server: Server,
    speech: Box<dyn Spoken>,
    /// Where it answers.
    to: SocketAddr,
    /// Ports served before anything was measured.
    warm: usize,
    /// What the rounds gave.
    rounds: Vec<Round>,
}

#[derive(Default)]
struct Round {
    common: Option<Figures>,
    clean: Option<Figures>,
    overload: Option<Figures>,
    /// Of the reflector: at the clean rate of ours.
    as_ours: Option<Figures>,
    /// The first rate that was not clean was more than the generator can offer.
    is_ceiling: bool,
}

#[derive(Clone)]
struct Figures {
    outcome: Outcome,
    /// Of the server's core for each completed exchange, µs.
    cost: f64,
}

impl Figures {
    /// The share of the time that its core was busy, in per cent.
    fn busy(&self) -> f64 {
        self.cost * self.outcome.per_second() / 1e4
    }
}

/// Which of the two protocols.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Version {
    Four,
    Six,
}

/// Everything about DHCPv4.
pub(crate) fn section(settings: &Settings) -> Result<String, String> {
    version(settings, Version::Four)
}

/// Everything about DHCPv6.
pub(crate) fn section6(settings: &Settings) -> Result<String, String> {
    version(settings, Version::Six)
}

fn version(settings: &Settings, version: Version) -> Result<String, String> {
    let cores = Cores::take()?;
    let mut zone = Zone::read(&ten_thousand(&settings.scratch)?)?;
    if settings.is_smoke {
        zone.ports = stride(zone.ports);
    }
    let (listen, rivals): (SocketAddr, _) = match version {
        Version::Four => ((Ipv4Addr::UNSPECIFIED, 67).into(), rivals::ALL),
        Version::Six => ((Ipv6Addr::UNSPECIFIED, 547).into(), rivals::SIX),
    };
    let mut load = Load::open(listen)?;
    let (mut runners, absent) = start(settings, cores, &zone, &mut load, version, rivals)?;
    if !settings.is_smoke {
        let rounds = settings.rounds(5);
        for round in 0..rounds {
            crate::say(&format!("round {} of {rounds}", round + 1));
            let first = round % runners.len();
            runners.rotate_left(first);
            for runner in &mut runners {
                measure(runner, &mut load);
            }
            runners.rotate_right(first);
            reflect_as_ours(&mut runners, &mut load);
        }
    }
    drop(load);
    let mut text = title(version).to_owned() + &page(&runners, &absent, settings);
    if version == Version::Four {
        text += &perfdhcp::part(settings, cores, &zone, &runners)?;
    }
    Ok(text)
}

/// A smoke run's ports, of all racks.
fn stride(ports: Vec<Port>) -> Vec<Port> {
    let stride = (ports.len() / SMOKE_PORTS).max(1);
    ports.into_iter().step_by(stride).collect()
}

/// Starts each server in a place of its own and has every port served once. Gives also who is left out, and why.
fn start(
    settings: &Settings,
    cores: Cores,
    zone: &Zone,
    load: &mut Load,
    version: Version,
    rivals: &[Rival],
) -> Result<(Vec<Runner>, Vec<String>), String> {
    let (mut runners, mut absent) = (Vec::new(), Vec::new());
    for (number, rival) in (1..).zip(rivals) {
        if *rival != Rival::Limit && !settings.wants(rival.name()) {
            continue;
        }
        let missing = if version == Version::Four { rival.missing() } else { rival.missing6() };
        if let Some(missing) = missing {
            absent.push(format!("{} ({missing} is not installed)", rival.name()));
            continue;
        }
        let place = Place::new(number, rival.name())?;
        let judgement = rival.judgement();
        let (to, mut speech): (SocketAddr, Box<dyn Spoken>) = match version {
            Version::Four => ((place.address, 67).into(), Box::new(v4::Speech::new(zone, judgement))),
            Version::Six => ((place.address6, 547).into(), Box::new(v6::Speech::new(zone, judgement))),
        };
        let started = match version {
            Version::Four => rival.start(&place, cores, zone),
            Version::Six => rival.start6(&place, cores, zone),
        };
        let started = started.and_then(|mut server| {
            server.await_answer(|| load.one(&mut *speech, to))?;
            Ok(server)
        });
        let server = match started {
            Ok(started) => started,
            Err(why) if rival.is_ours() => return Err(format!("{} did not start: {why}", rival.name())),
            Err(why) => {
                crate::say(&format!("{} is left out: {why}", rival.name()));
                absent.push(format!("{} (it did not start)", rival.name()));
                continue;
            }
        };
        let patience = if settings.is_smoke { SMOKE_MAX } else { WARM_MAX };
        let outcome = load.each(&mut *speech, to, WARM_WINDOW, patience);
        crate::say(&format!("{}: {} of {} ports served", rival.name(), outcome.completed, zone.ports.len()));
        let is_complete = outcome.completed == zone.ports.len() as u64 && outcome.wrong.is_empty();
        if rival.is_ours() && !is_complete {
            return Err(format!("{}: not every port is served right: {outcome:?}", rival.name()));
        }
        let warm = usize::try_from(outcome.completed).unwrap_or(usize::MAX);
        runners.push(Runner { rival: *rival, place, server, speech, to, warm, rounds: Vec::new() });
    }
    Ok((runners, absent))
}

/// One round of one server: at the common rate, at the highest clean one, and above it.
fn measure(runner: &mut Runner, load: &mut Load) {
    let to = runner.to;
    let common = trial(runner, load, to, COMMON_RATE, 2.0);
    let mut first =
        runner.rounds.iter().filter_map(|round| round.clean.as_ref()).map(|clean| clean.outcome.rate);
    let mut rate = first.next_back().map_or(FIRST_RATE, |rate| rate * 0.7);
    let mut clean = None;
    while rate >= 10.0 && clean.is_none() {
        clean = cleanly(runner, load, to, rate).ok();
        if clean.is_none() {
            rate /= 2.0;
        }
    }
    let (mut low, mut high, mut is_ceiling) = (rate, rate * 1.5, false);
    if clean.is_some() {
        loop {
            match cleanly(runner, load, to, high) {
                Ok(figures) => {
                    (low, clean) = (high, Some(figures));
                    high *= 1.5;
                }
                Err(failed) => {
                    is_ceiling = failed.outcome.is_behind;
                    break;
                }
            }
        }
        for _ in 0..STEPS {
            let middle = (low * high).sqrt();
            match cleanly(runner, load, to, middle) {
                Ok(figures) => (low, clean) = (middle, Some(figures)),
                Err(failed) => (high, is_ceiling) = (middle, failed.outcome.is_behind),
            }
        }
    }
    let overload = clean.is_some().then(|| trial(runner, load, to, low * 3.0, 2.0));
    let said = |figures: &Option<Figures>| {
        figures.as_ref().map_or("–".to_owned(), |figures| format!("{:.0}", figures.outcome.per_second()))
    };
    settle(&runner.server);
    crate::say(&format!(
        "{}: {:.1} µs each at the common rate, clean {}, overloaded {}",
        runner.rival.name(),
        common.cost,
        said(&clean),
        said(&overload)
    ));
    runner.rounds.push(Round { common: Some(common), clean, overload, as_ours: None, is_ceiling });
}

/// What packets of the rate that was ours just now cost the reflector: the fewer come, the more each costs to wake up for.
fn reflect_as_ours(runners: &mut [Runner], load: &mut Load) {
    let ours = runners.iter().find(|runner| runner.rival == Rival::Ours).and_then(|ours| ours.rounds.last());
    let Some(rate) = ours.and_then(|round| Some(round.clean.as_ref()?.outcome.rate)) else { return };
    let Some(limit) = runners.iter_mut().find(|runner| runner.rival == Rival::Limit) else { return };
    let to = limit.to;
    let figures = trial(limit, load, to, rate, 1.0);
    if let Some(round) = limit.rounds.last_mut() {
        round.as_ours = Some(figures);
    }
}

/// A rate at which no more is lost than may be; else how it failed.
fn cleanly(runner: &mut Runner, load: &mut Load, to: SocketAddr, rate: f64) -> Result<Figures, Figures> {
    let mut figures = trial(runner, load, to, rate, 1.0);
    for _ in 1..TRIES {
        if figures.outcome.is_clean() {
            break;
        }
        figures = trial(runner, load, to, rate, 1.0);
    }
    if figures.outcome.is_clean() { Ok(figures) } else { Err(figures) }
}

/// Waits until a server that was overloaded has nothing left to do, so that the next one has the core for itself.
fn settle(server: &Server) {
    const LOOK: Duration = Duration::from_millis(100);
    for _ in 0..100 {
        let before = server.time();
        std::thread::sleep(LOOK);
        if server.time().saturating_sub(before) < LOOK / 10 {
            return;
        }
    }
}

fn trial(runner: &mut Runner, load: &mut Load, to: SocketAddr, rate: f64, seconds: f64) -> Figures {
    let before = runner.server.time();
    let outcome = load.offer(&mut *runner.speech, to, rate, seconds);
    let time = runner.server.time().saturating_sub(before);
    let cost = time.as_secs_f64() * 1e6 / outcome.completed as f64;
    Figures { outcome, cost }
}

/// Exchanges completed in a second.
fn at_rate(runner: Option<&Runner>, of: fn(&Round) -> Option<&Figures>) -> Option<Spread> {
    Spread::of(runner?.rounds.iter().filter_map(of).map(|figures| figures.outcome.per_second()))
}

fn title(version: Version) -> &'static str {
    match version {
        Version::Four => {
            "## DHCPv4: DISCOVER, OFFER, REQUEST, ACK through relays\n\n10,080 ports behind 280 relays; each request carries its port's circuit-id and remote-id (Option 82).\n"
        }
        Version::Six => {
            "## DHCPv6: Solicit, Advertise, Request, Reply through relays\n\n10,080 ports behind 280 relays; each request carries its port's interface-id (Option 18) and remote-id (Option 37).\n"
        }
    }
}

fn page(runners: &[Runner], absent: &[String], settings: &Settings) -> String {
    let mut text = String::from(
        "Every answer is checked. Cost: the time that the server ran, user and system, for each completed exchange.\n\n",
    );
    if !absent.is_empty() {
        text += &format!("Left out: {}.\n\n", absent.join(", "));
    }
    if settings.is_smoke {
        let rows = std::iter::once(["server", "ports served"].map(str::to_owned).to_vec()).chain(
            runners.iter().map(|runner| vec![runner.rival.name().to_owned(), runner.warm.to_string()]),
        );
        return text + &table(&rows.collect::<Vec<_>>());
    }
    let costs = |runner: &Runner, of: fn(&Round) -> Option<&Figures>| {
        Spread::of(runner.rounds.iter().filter_map(of).map(|figures| figures.cost))
    };
    let of = |rival: Rival| runners.iter().find(|runner| runner.rival == rival);
    let kea = of(Rival::Kea).and_then(|kea| costs(kea, |round| round.common.as_ref()));
    let limit = of(Rival::Limit).and_then(|limit| costs(limit, |round| round.common.as_ref()));
    let mut rows = vec![
        ["server", "cost at 2,000 /s, µs", "÷ Kea", "÷ reflector", "lost at 2,000 /s", "p99 at 2,000 /s, ms"]
            .map(str::to_owned)
            .to_vec(),
    ];
    for runner in runners {
        let cost = costs(runner, |round| round.common.as_ref());
        let figures: Vec<&Figures> = runner.rounds.iter().filter_map(|round| round.common.as_ref()).collect();
        let (lost, started) = figures.iter().fold((0, 0), |(lost, started), figures| {
            (lost + figures.outcome.lost(), started + figures.outcome.started)
        });
        let share = lost as f64 / started.max(1) as f64;
        let mark = if share > load::LOSSES_MAX { " (disqualified)" } else { "" };
        rows.push(vec![
            runner.rival.name().to_owned(),
            format!("{}{mark}", cost.map_or("–".to_owned(), |cost| cost.show(1))),
            ratio(cost, kea),
            ratio(cost, limit),
            format!("{:.2} %", share * 100.0),
            spread(figures.iter().map(|figures| figures.outcome.quantile(0.99) * 1e3), 2),
        ]);
    }
    text += &table(&rows);
    text += "At a rate that is far from a server's limit most of the cost is to wake up for every packet; at its clean rate that is gone.\n\
             The clean rate is the highest at which at most 0.1 % were lost, late or wrong; `≥` where the generator can offer no\n\
             more. Overload is three times that, or what the generator can offer.\n\n";
    let mut rows = vec![
        [
            "server",
            "clean rate, exchanges /s",
            "cost there, µs",
            "÷ Kea",
            "÷ reflector",
            "served at overload /s",
            "÷ clean",
            "core busy",
            "wrong answers",
        ]
        .map(str::to_owned)
        .to_vec(),
    ];
    let at_clean = |rival| of(rival).and_then(|runner| costs(runner, |round| round.clean.as_ref()));
    let kea = at_clean(Rival::Kea);
    let limit = of(Rival::Limit).and_then(|limit| costs(limit, |round| round.as_ours.as_ref()));
    if let Some(limit) = limit {
        let name = "reflector, as zonewright".to_owned();
        let nothing = || "–".to_owned();
        let rate = at_rate(of(Rival::Limit), |round| round.as_ours.as_ref());
        let rate = rate.map_or_else(nothing, |rate| rate.show(0));
        let ratios = [kea, Some(limit)].map(|of| ratio(Some(limit), of));
        let rest = std::iter::repeat_with(nothing).take(4);
        rows.push([name, rate, limit.show(1)].into_iter().chain(ratios).chain(rest).collect());
    }
    for runner in runners {
        let rounds = &runner.rounds;
        let cost = costs(runner, |round| round.clean.as_ref());
        let rate = at_rate(Some(runner), |round| round.clean.as_ref());
        let over = at_rate(Some(runner), |round| round.overload.as_ref());
        let busy = rounds.iter().filter_map(|round| round.overload.as_ref()).map(Figures::busy);
        let ceiling = if rounds.iter().any(|round| round.is_ceiling) { "≥ " } else { "" };
        let wrong: u64 = rounds
            .iter()
            .flat_map(|round| [&round.common, &round.clean, &round.overload])
            .flatten()
            .flat_map(|figures| figures.outcome.wrong.values())
            .sum();
        rows.push(vec![
            runner.rival.name().to_owned(),
            rate.map_or("none".to_owned(), |rate| format!("{ceiling}{}", rate.show(0))),
            cost.map_or("–".to_owned(), |cost| cost.show(1)),
            ratio(cost, kea),
            ratio(cost, limit),
            over.map_or("–".to_owned(), |over| over.show(0)),
            ratio(over, rate),
            Spread::of(busy).map_or("–".to_owned(), |busy| format!("{} %", busy.show(0))),
            wrong.to_string(),
        ]);
    }
    text + &table(&rows)
}
