//! The generator: relays and their clients in one thread, at a rate that does not wait for the server.

use crate::datagrams::{BATCH, Datagrams};
use nix::sys::socket::SockaddrStorage;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// The share of exchanges that may fail at a clean rate.
pub(crate) const LOSSES_MAX: f64 = 0.001;
/// After the last one began, the rest may take so long.
const REST: Duration = Duration::from_millis(500);
/// A generator that offers less than this share of the rate is behind.
const OFFERED_LEAST: f64 = 0.97;
/// A client that hears nothing asks again, where all shall be served and none is measured.
const AGAIN: Duration = Duration::from_millis(500);
/// Ports follow one another at this distance, so that neighbours in time are of different racks.
pub(crate) const STRIDE: usize = 6_133;

/// Numbers of a port's exchanges before they begin anew: 7 bits, since a transaction of DHCPv6 has 24 for all.
const NUMBERS: u32 = 1 << 7;
/// A port's exchanges that may be under way at once: under overload answers come late, but they come, and a client waits
/// for them longer than a port's turn takes to come again.
const UNDER_WAY: usize = 16;
/// Bits of a transaction that tell the port.
pub(crate) const PORT_BITS: u32 = 17;

/// What an answer is.
pub(crate) enum Heard {
    /// The first answer to this port's exchange, with this number.
    Offer(usize, u32),
    /// The last.
    Done(usize, u32),
    /// To a port's exchange, but not what it must be.
    Wrong(&'static str),
}

/// A protocol of two questions and two answers.
pub(crate) trait Speech {
    /// How many ports there are.
    fn ports(&self) -> usize;
    /// The first question of a port's exchange with this number, which the answers tell again.
    fn ask(&mut self, port: usize, number: u32) -> &[u8];
    /// Judges an answer.
    fn hear(&mut self, datagram: &[u8]) -> Heard;
    /// The second question, after the offer was heard.
    fn accept(&mut self, port: usize, number: u32) -> &[u8];
}

/// What came of some exchanges.
#[derive(Clone, Default, Debug)]
pub(crate) struct Outcome {
    /// That were to begin in a second.
    pub(crate) rate: f64,
    /// That began.
    pub(crate) started: u64,
    /// That ended as they must, in time.
    pub(crate) completed: u64,
    /// Answers that came after their exchange was given up.
    pub(crate) late: u64,
    /// Answers that were wrong, by what was wrong.
    pub(crate) wrong: BTreeMap<&'static str, u64>,
    /// How long exchanges began.
    pub(crate) took: Duration,
    /// The generator could not offer the rate.
    pub(crate) is_behind: bool,
    /// How long each completed one took.
    latencies: Vec<u32>,
}

impl Outcome {
    /// Exchanges that came to nothing.
    pub(crate) fn lost(&self) -> u64 {
        self.started.saturating_sub(self.completed)
    }

    /// Completed in a second.
    pub(crate) fn per_second(&self) -> f64 {
        self.completed as f64 / self.took.as_secs_f64()
    }

    /// Whether this rate counts.
    pub(crate) fn is_clean(&self) -> bool {
        let failed = self.lost() + self.wrong.values().sum::<u64>();
        !self.is_behind && self.started > 0 && failed as f64 <= self.started as f64 * LOSSES_MAX
    }

    /// The time that this share of the completed ones took at most, in seconds.
    pub(crate) fn quantile(&self, share: f64) -> f64 {
        let mut latencies = self.latencies.clone();
        latencies.sort_unstable();
        let place = (latencies.len() as f64 * share) as usize;
        latencies
            .get(place.min(latencies.len().saturating_sub(1)))
            .map_or(f64::NAN, |micros| f64::from(*micros) / 1e6)
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Idle,
    Asked,
    Accepted,
}

/// One of a port's exchanges.
#[derive(Clone, Copy)]
struct Exchange {
    number: u32,
    stage: Stage,
    began: Instant,
}

/// The generator and its socket.
pub(crate) struct Load {
    datagrams: Datagrams,
    /// [`UNDER_WAY`] of each port.
    exchanges: Vec<Exchange>,
    /// The number of each port's newest exchange.
    numbers: Vec<u32>,
    /// Whose turn it is.
    next: usize,
}

impl Load {
    /// Listens as all relays.
    pub(crate) fn open(address: SocketAddr) -> Result<Self, String> {
        Ok(Self { datagrams: Datagrams::open(address)?, exchanges: Vec::new(), numbers: Vec::new(), next: 0 })
    }

    /// Begins exchanges at this rate, whatever becomes of them. A port with [`UNDER_WAY`] exchanges gives up the oldest when
    /// its turn comes again: that one is lost.
    pub(crate) fn offer(
        &mut self,
        speech: &mut dyn Speech,
        to: SocketAddr,
        rate: f64,
        seconds: f64,
    ) -> Outcome {
        self.prepare(speech);
        let mut outcome = Outcome { rate, ..Outcome::default() };
        let began = Instant::now();
        let planned = (rate * seconds) as u64;
        while outcome.started < planned {
            let now = Instant::now();
            let elapsed = (now - began).as_secs_f64();
            if elapsed > seconds {
                break;
            }
            let due = ((rate * elapsed) as u64).min(planned) - outcome.started;
            for _ in 0..due.min(BATCH as u64 / 2) {
                self.begin(speech, to, now);
                outcome.started += 1;
            }
            self.datagrams.flush();
            self.hear(speech, to, &mut outcome);
        }
        outcome.took = began.elapsed();
        outcome.is_behind = (outcome.started as f64) < planned as f64 * OFFERED_LEAST;
        let ended = Instant::now();
        while outcome.completed < outcome.started && ended.elapsed() < REST {
            self.hear(speech, to, &mut outcome);
        }
        outcome
    }

    /// Serves every port once, so many at a time, asking again until it is answered or patience ends.
    pub(crate) fn each(
        &mut self,
        speech: &mut dyn Speech,
        to: SocketAddr,
        window: usize,
        patience: Duration,
    ) -> Outcome {
        self.prepare(speech);
        let ports = speech.ports();
        let mut outcome = Outcome::default();
        let began = Instant::now();
        let mut under_way: Vec<usize> = Vec::new();
        while outcome.completed < ports as u64 && began.elapsed() < patience {
            let now = Instant::now();
            under_way.retain(|port| self.newest(*port).stage != Stage::Idle);
            for port in under_way.iter().copied() {
                if now - self.newest(port).began > AGAIN {
                    self.begin_at(port, speech, to, now);
                }
            }
            while under_way.len() < window && outcome.started < ports as u64 {
                under_way.push(self.begin(speech, to, now));
                outcome.started += 1;
            }
            self.datagrams.flush();
            self.hear(speech, to, &mut outcome);
        }
        outcome.took = began.elapsed();
        outcome
    }

    /// Whether one exchange is completed soon: a server that has just started is asked so until it answers.
    pub(crate) fn one(&mut self, speech: &mut dyn Speech, to: SocketAddr) -> bool {
        const AGAIN: Duration = Duration::from_millis(20);
        const SOON: Duration = Duration::from_millis(500);
        self.prepare(speech);
        let mut outcome = Outcome::default();
        let began = Instant::now();
        self.begin_at(0, speech, to, began);
        let mut sent = began;
        while began.elapsed() < SOON && outcome.completed == 0 {
            // The same exchange: an answer to either question counts, however late.
            if sent.elapsed() > AGAIN {
                let Exchange { number, stage, .. } = self.newest(0);
                let question =
                    if stage == Stage::Asked { speech.ask(0, number) } else { speech.accept(0, number) };
                self.datagrams.push(question, to);
                sent = Instant::now();
            }
            self.datagrams.flush();
            self.hear(speech, to, &mut outcome);
        }
        outcome.completed > 0
    }

    fn newest(&self, port: usize) -> Exchange {
        self.exchanges[place(port, self.numbers[port])]
    }

    fn prepare(&mut self, speech: &dyn Speech) {
        let now = Instant::now();
        let idle = Exchange { number: 0, stage: Stage::Idle, began: now };
        self.exchanges.resize(speech.ports() * UNDER_WAY, idle);
        self.numbers.resize(speech.ports(), 0);
        for exchange in &mut self.exchanges {
            exchange.stage = Stage::Idle;
        }
        self.next = 0;
    }

    fn begin(&mut self, speech: &mut dyn Speech, to: SocketAddr, now: Instant) -> usize {
        let port = self.next;
        let ports = self.numbers.len();
        // Every port has its turn, since no number of ports here has a factor in common with the stride.
        self.next = (port + STRIDE) % ports;
        self.begin_at(port, speech, to, now);
        port
    }

    fn begin_at(&mut self, port: usize, speech: &mut dyn Speech, to: SocketAddr, now: Instant) {
        let number = (self.numbers[port] + 1) % NUMBERS;
        self.numbers[port] = number;
        self.exchanges[place(port, number)] = Exchange { number, stage: Stage::Asked, began: now };
        self.datagrams.push(speech.ask(port, number), to);
    }

    fn hear(&mut self, speech: &mut dyn Speech, to: SocketAddr, outcome: &mut Outcome) {
        let received = self.datagrams.receive(false);
        if received == 0 {
            std::hint::spin_loop();
            return;
        }
        let now = Instant::now();
        for datagram in 0..received {
            let (octets, from) = self.datagrams.datagram(datagram);
            // What another server still had to say belongs to no exchange of this one.
            if from.is_none_or(|from| !is_from(&from, to)) {
                continue;
            }
            match speech.hear(octets) {
                Heard::Offer(port, number) => {
                    let exchange = &mut self.exchanges[place(port, number)];
                    if exchange.stage == Stage::Asked && exchange.number == number {
                        exchange.stage = Stage::Accepted;
                        self.datagrams.push(speech.accept(port, number), to);
                    } else {
                        outcome.late += 1;
                    }
                }
                Heard::Done(port, number) => {
                    let exchange = &mut self.exchanges[place(port, number)];
                    if exchange.stage == Stage::Accepted && exchange.number == number {
                        exchange.stage = Stage::Idle;
                        outcome.completed += 1;
                        let micros = (now - exchange.began).as_micros();
                        outcome.latencies.push(u32::try_from(micros).unwrap_or(u32::MAX));
                    } else {
                        outcome.late += 1;
                    }
                }
                Heard::Wrong(what) => *outcome.wrong.entry(what).or_default() += 1,
            }
        }
        self.datagrams.flush();
    }
}

/// Where a port's exchange with this number is kept.
fn place(port: usize, number: u32) -> usize {
    port * UNDER_WAY + number as usize % UNDER_WAY
}

fn is_from(from: &SockaddrStorage, server: SocketAddr) -> bool {
    match server {
        SocketAddr::V4(server) => from.as_sockaddr_in().is_some_and(|from| from.ip() == *server.ip()),
        SocketAddr::V6(server) => from.as_sockaddr_in6().is_some_and(|from| from.ip() == *server.ip()),
    }
}
