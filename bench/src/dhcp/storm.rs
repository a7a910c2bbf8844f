//! The storm: after a power cut all machines ask within a second, and each boots in three stages, each of which asks
//! anew with the timing of its firmware. A machine that hears nothing gives up, as real ones do.

use super::load::{Heard, PORT_BITS, Speech as _};
use super::rivals::Rival;
use super::v4::Speech;
use super::{Load, Runner, Version, start, stride};
use crate::arena::Cores;
use crate::datagrams::Datagrams;
use crate::page::{spread, table};
use crate::settings::Settings;
use crate::zone::{Zone, ten_thousand};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

/// Who is compared.
const ALL: &[Rival] = &[Rival::Ours, Rival::Kea, Rival::Dnsmasq];
/// All machines ask within this time.
const WITHIN: Duration = Duration::from_secs(1);
/// From an ACK to the next stage's first DISCOVER: a loader or an image is fetched.
const BETWEEN: Duration = Duration::from_secs(1);
/// When the last machine has surely given up: three stages of the longest patience.
const END: Duration = Duration::from_secs(240);
/// The same where nothing is judged: ours has time enough, a rival is only looked at.
const SMOKE_END: [Duration; 2] = [Duration::from_secs(60), Duration::from_secs(4)];

/// One stage of a boot.
struct Stage {
    /// What it says of itself, as options.
    says: &'static [u8],
    /// Seconds from each message to the next, and from the last until it gives up.
    waits: &'static [u64],
}

/// EDK2 sends at 0, 1, 9 and 25 s (seen with OVMF 2022.11); iPXE doubles from 1 s (`dhcp.c`: DHCP_MIN_TIMEOUT); an
/// operating system does as RFC 2131 §4.1 says.
const STAGES: [Stage; 3] = [
    Stage {
        // Vendor class, architecture (RFC 4578): x86-64 UEFI.
        says: b"\x3c\x20PXEClient:Arch:00007:UNDI:003000\x5d\x02\x00\x07\x5e\x03\x01\x03\x00",
        waits: &[1, 8, 16, 32],
    },
    Stage {
        // The same and user class iPXE, with its features: HTTP and the EFI program.
        says: b"\x3c\x20PXEClient:Arch:00007:UNDI:003010\x5d\x02\x00\x07\x5e\x03\x01\x03\x0a\x4d\x04iPXE\xaf\x06\x13\x01\x01\x24\x01\x01",
        waits: &[1, 2, 4, 8],
    },
    Stage { says: b"", waits: &[4, 8, 16, 32] },
];

/// Where a machine is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// A stage is about to begin.
    Pausing,
    Discovering,
    Requesting,
    /// All stages are through.
    Up,
    GaveUp,
}

#[derive(Clone, Copy)]
struct Machine {
    stage: usize,
    state: State,
    /// Messages of this state.
    sent: usize,
    began: Instant,
    /// Tells a timer that is still meant from one that is not.
    timer: u32,
}

/// What came of one storm.
#[derive(Default)]
struct Told {
    up: usize,
    gave_up: usize,
    naks: u64,
    wrong: u64,
    discovers_most: usize,
    /// From the first DISCOVER of a stage to its ACK, seconds; sorted.
    delays: Vec<f64>,
}

impl Told {
    fn quantile(&self, share: f64) -> f64 {
        let place = (self.delays.len() as f64 * share) as usize;
        self.delays.get(place.min(self.delays.len().saturating_sub(1))).copied().unwrap_or(f64::NAN)
    }
}

/// The section.
pub(crate) fn section(settings: &Settings) -> Result<String, String> {
    let cores = Cores::take()?;
    let mut zone = Zone::read(&ten_thousand(&settings.scratch)?)?;
    if settings.is_smoke {
        zone.ports = stride(zone.ports);
    }
    let (mut runners, absent) = {
        let mut load = Load::open((Ipv4Addr::UNSPECIFIED, 67).into())?;
        start(settings, cores, &zone, &mut load, Version::Four, ALL)?
    };
    let mut told: Vec<Vec<Told>> = runners.iter().map(|_| Vec::new()).collect();
    for round in 0..settings.rounds(3) {
        for place in 0..runners.len() {
            let number = (place + round) % runners.len();
            let runner = &mut runners[number];
            let end = match (settings.is_smoke, runner.rival.is_ours()) {
                (false, _) => END,
                (true, true) => SMOKE_END[0],
                (true, false) => SMOKE_END[1],
            };
            let outcome = storm(runner, &zone, end)?;
            crate::say(&format!(
                "{}: {} up, {} gave up, p99.9 {:.3} s",
                runner.rival.name(),
                outcome.up,
                outcome.gave_up,
                outcome.quantile(0.999)
            ));
            if settings.is_smoke
                && runner.rival.is_ours()
                && (outcome.up != zone.ports.len() || outcome.wrong > 0)
            {
                return Err(format!("{} of {} machines are up", outcome.up, zone.ports.len()));
            }
            super::settle(&runner.server);
            told[number].push(outcome);
        }
    }
    Ok(page(&runners, &told, &absent, zone.ports.len()))
}

fn page(runners: &[Runner], told: &[Vec<Told>], absent: &[String], machines: usize) -> String {
    let head = [
        "server",
        "machines up, the worst round",
        "gave up",
        "p50, ms",
        "p99, ms",
        "p99.9, ms",
        "NAKs",
        "DISCOVERs in a stage, most",
        "wrong answers",
    ];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    for (runner, told) in runners.iter().zip(told) {
        let delays = |share: f64| spread(told.iter().map(|told| told.quantile(share) * 1e3), 1);
        let most = |of: fn(&Told) -> usize| told.iter().map(of).max().unwrap_or(0);
        let least_up = told.iter().map(|told| told.up).min().unwrap_or(0);
        rows.push(vec![
            runner.rival.name().to_owned(),
            format!("{:.2} %", least_up as f64 * 100.0 / machines as f64),
            most(|told| told.gave_up).to_string(),
            delays(0.5),
            delays(0.99),
            delays(0.999),
            told.iter().map(|told| told.naks).sum::<u64>().to_string(),
            most(|told| told.discovers_most).to_string(),
            told.iter().map(|told| told.wrong).sum::<u64>().to_string(),
        ]);
    }
    let absent =
        if absent.is_empty() { String::new() } else { format!("Left out: {}.\n\n", absent.join(", ")) };
    format!(
        "## The storm: {machines} machines within a second\n\nThree stages each (EDK2, iPXE, an operating system) with their own patience: EDK2 sends at 0, 1, 9 and 25 s, iPXE after\n\
         1, 2, 4 s, the operating system after 4, 8, 16 s. Delays are of single exchanges, from the first DISCOVER of a stage\n\
         to its ACK, repetitions included. Every port was served once before.\n\n{absent}{}",
        table(&rows)
    )
}

/// One storm over one server.
fn storm(runner: &Runner, zone: &Zone, end: Duration) -> Result<Told, String> {
    let judgement = runner.rival.judgement();
    let mut speeches = STAGES.map(|stage| Speech::saying(zone, judgement, stage.says));
    let mut datagrams = Datagrams::open((Ipv4Addr::UNSPECIFIED, 67).into())?;
    let to = SocketAddr::from((runner.place.address, 67));
    let count = zone.ports.len();
    let began = Instant::now();
    let mut machines = vec![Machine { stage: 0, state: State::Pausing, sent: 0, began, timer: 0 }; count];
    let mut timers = BinaryHeap::new();
    for port in 0..count {
        // Spread evenly over the time, and neighbours in the rack far from each other.
        let turn = (port * super::load::STRIDE) % count;
        timers.push(Reverse((began + WITHIN.mul_f64(turn as f64 / count as f64), port, 0)));
    }
    let mut told = Told::default();
    while told.up + told.gave_up < count && began.elapsed() < end {
        let now = Instant::now();
        while let Some(Reverse((_, port, timer))) =
            timers.peek().copied().filter(|Reverse((due, ..))| *due <= now)
        {
            timers.pop();
            let machine = &mut machines[port];
            if machine.timer != timer {
                continue;
            }
            let stage = &STAGES[machine.stage];
            if machine.state == State::Pausing {
                (machine.state, machine.sent, machine.began) = (State::Discovering, 0, now);
            }
            let Some(wait) = stage.waits.get(machine.sent) else {
                machine.state = State::GaveUp;
                told.gave_up += 1;
                continue;
            };
            machine.sent += 1;
            let speech = &mut speeches[machine.stage];
            let number = u32::try_from(machine.stage).unwrap_or(0);
            if machine.state == State::Discovering {
                told.discovers_most = told.discovers_most.max(machine.sent);
                datagrams.push(speech.ask(port, number), to);
            } else {
                datagrams.push(speech.accept(port, number), to);
            }
            machine.timer += 1;
            timers.push(Reverse((now + Duration::from_secs(*wait), port, machine.timer)));
        }
        datagrams.flush();
        for number in 0..datagrams.receive(false) {
            let (octets, _) = datagrams.datagram(number);
            let transaction =
                octets.get(4..8).and_then(|octets| octets.try_into().ok()).map_or(0, u32::from_be_bytes);
            let port = (transaction & ((1 << PORT_BITS) - 1)) as usize;
            let Some(machine) = machines.get_mut(port) else { continue };
            let stage = machine.stage;
            let due = |now: Instant, wait: u64| now + Duration::from_secs(wait);
            match speeches[stage].hear(octets) {
                Heard::Offer(_, of) if of as usize == stage && machine.state == State::Discovering => {
                    (machine.state, machine.sent) = (State::Requesting, 1);
                    machine.timer += 1;
                    timers.push(Reverse((due(now, STAGES[stage].waits[0]), port, machine.timer)));
                    datagrams.push(speeches[stage].accept(port, of), to);
                }
                Heard::Done(_, of) if of as usize == stage && machine.state == State::Requesting => {
                    told.delays.push((now - machine.began).as_secs_f64());
                    machine.timer += 1;
                    if stage + 1 == STAGES.len() {
                        machine.state = State::Up;
                        told.up += 1;
                    } else {
                        (machine.stage, machine.state) = (stage + 1, State::Pausing);
                        timers.push(Reverse((now + BETWEEN, port, machine.timer)));
                    }
                }
                Heard::Wrong("NAK") => told.naks += 1,
                // Of another stage: what came too late for it.
                Heard::Wrong(_) if transaction >> PORT_BITS == stage as u32 => told.wrong += 1,
                _ => {}
            }
        }
        datagrams.flush();
    }
    told.delays.sort_by(f64::total_cmp);
    Ok(told)
}
