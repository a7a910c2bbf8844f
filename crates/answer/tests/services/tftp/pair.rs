//! The two ends against each other over a network in virtual time that loses, doubles and reorders by a seed.

use super::NOW;
use answer::tftp::{Fetch, Fetched, Outcome, Outgoing, Transfer};
use model::Time;
use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use std::collections::BTreeMap;
use wire::tftp::{self, Mode, Options, Packet};

/// A repeatable source of chance (SplitMix64).
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }
}

/// How bad the network is, in percent.
#[derive(Clone, Copy, Debug)]
struct Weather {
    lost: u64,
    doubled: u64,
    late: u64,
}

/// A packet on its way, to the client or to the server.
struct Flying {
    bytes: Vec<u8>,
    is_to_client: bool,
}

/// A network in virtual time.
struct Network {
    chance: Chance,
    weather: Weather,
    /// By time of arrival and order of sending.
    flying: BTreeMap<(u64, u64), Flying>,
    sent: u64,
}

impl Network {
    fn send(&mut self, now: Time, bytes: &[u8], is_to_client: bool) {
        let copies = if self.chance.below(100) < self.weather.doubled { 2 } else { 1 };
        for _ in 0..copies {
            if self.chance.below(100) < self.weather.lost {
                continue;
            }
            let is_late = self.chance.below(100) < self.weather.late;
            let delay = 1 + if is_late { self.chance.below(300) } else { 0 };
            self.sent += 1;
            self.flying.insert((now.0 + delay, self.sent), Flying { bytes: bytes.to_vec(), is_to_client });
        }
    }
}

/// How a run ended.
struct Run {
    received: Vec<u8>,
    fetched: Option<Fetched>,
    outcome: Option<Outcome>,
    packets: u64,
}

/// Fetches `file` from a server that would agree to `agreed`.
fn run(file: &[u8], asked: Options, agreed: Options, weather: Weather, seed: u64) -> Run {
    let mut network = Network { chance: Chance(seed), weather, flying: BTreeMap::new(), sent: 0 };
    let mut now = NOW;
    let mut fetch = Fetch::new("file", Mode::Octet, asked, now);
    let mut transfer: Option<Transfer> = None;
    let mut received = Vec::new();
    let mut bytes = Vec::new();
    // Until both ends are done and nothing is on its way; a thousand virtual seconds are more than any retry takes.
    while now.0 < NOW.0 + 1_000_000 {
        while fetch.poll(now, &mut bytes) {
            network.send(now, &bytes, false);
        }
        if let Some(transfer) = &mut transfer {
            while let Some(packet) = transfer.poll(now) {
                bytes.clear();
                match packet {
                    Outgoing::Oack(options) => tftp::encode(&Packet::Oack(options), &mut bytes),
                    Outgoing::Data { block, range } => {
                        let range =
                            usize::try_from(range.start).unwrap()..usize::try_from(range.end).unwrap();
                        tftp::encode(&Packet::Data { block, data: &file[range] }, &mut bytes);
                    }
                    Outgoing::Error(code) => tftp::encode(&Packet::Error { code, message: b"" }, &mut bytes),
                }
                network.send(now, &bytes, true);
            }
        }
        let deadlines = [fetch.deadline(), transfer.as_ref().and_then(Transfer::deadline)];
        let arrival = network.flying.keys().next().map(|(at, _)| Time(*at));
        let Some(next) = deadlines.into_iter().chain([arrival]).flatten().min() else { break };
        now = now.max(next);
        fetch.tick(now);
        if let Some(transfer) = &mut transfer {
            transfer.tick(now);
        }
        while let Some(entry) = network.flying.first_entry().filter(|entry| entry.key().0 <= now.0) {
            let packet = entry.remove();
            let decoded = tftp::decode(&packet.bytes).expect("both ends write packets");
            if packet.is_to_client {
                received.extend_from_slice(fetch.receive(&decoded, now));
            } else if let Some(transfer) = &mut transfer {
                transfer.receive(&decoded, now);
            } else if matches!(decoded, Packet::Read(_)) {
                transfer = Some(Transfer::new(file.len() as u64, agreed, now));
            }
        }
    }
    let outcome = transfer.and_then(|transfer| transfer.outcome());
    Run { received, fetched: fetch.outcome(), outcome, packets: network.sent }
}

fn file(octets: usize, seed: u64) -> Vec<u8> {
    let mut chance = Chance(seed);
    (0..octets).map(|_| chance.next().to_le_bytes()[0]).collect()
}

const CLEAR: Weather = Weather { lost: 0, doubled: 0, late: 0 };

#[test]
fn p09_a_server_that_knows_no_options_is_understood() {
    let file = file(3000, 1);
    let asked = Options { blksize: Some(1468), tsize: Some(0), windowsize: Some(8), ..Options::default() };
    let run = run(&file, asked, Options::default(), CLEAR, 1);
    assert_eq!(
        (run.received == file, run.fetched, run.outcome),
        (true, Some(Fetched::Done), Some(Outcome::Done))
    );
}

#[test]
fn p09_a_server_that_offers_what_was_not_asked_for_is_left() {
    let file = file(3000, 1);
    for (asked, agreed) in [
        (Options::default(), Options { blksize: Some(1024), ..Options::default() }),
        (
            Options { blksize: Some(512), ..Options::default() },
            Options { blksize: Some(1024), ..Options::default() },
        ),
        (
            Options { timeout: Some(2), ..Options::default() },
            Options { timeout: Some(3), ..Options::default() },
        ),
    ] {
        let run = run(&file, asked, agreed, CLEAR, 1);
        assert_eq!(run.fetched, Some(Fetched::BadOptions));
        assert_eq!(run.outcome, Some(Outcome::Aborted { code: 8, octets: 0 }));
    }
}

#[test]
fn p09_a_window_saves_packets() {
    let file = file(512 * 160, 1);
    let options = |windowsize| Options { windowsize: Some(windowsize), ..Options::default() };
    let packets = |windowsize| run(&file, options(windowsize), options(windowsize), CLEAR, 1).packets;
    // Request, OACK and its ACK; 161 blocks; an ACK for each window.
    assert_eq!(packets(1), 3 + 161 + 161);
    assert_eq!(packets(16), 3 + 161 + 11);
}

#[test]
fn p09_beyond_32_mb_every_octet_arrives() {
    let file = file(512 * 65_600, 2);
    let options = Options { windowsize: Some(32), ..Options::default() };
    let run = run(&file, options, options, Weather { lost: 1, doubled: 1, late: 1 }, 3);
    assert!(run.received == file && run.fetched == Some(Fetched::Done));
}

proptest! {
    // Always the same cases: chance may lose any packet often enough to end a transfer, in one of some million runs.
    #![proptest_config(ProptestConfig { cases: 300, rng_seed: RngSeed::Fixed(9), ..ProptestConfig::default() })]
    #[test]
    fn p09_what_arrives_is_the_file(
        octets in 0_usize..60_000,
        blksize in prop_oneof![Just(None), (8_u16..1468).prop_map(Some)],
        windowsize in prop_oneof![Just(None), (1_u16..64).prop_map(Some)],
        tsize: bool,
        lost in 0_u64..15,
        doubled in 0_u64..15,
        late in 0_u64..30,
        seed: u64,
    ) {
        let file = file(octets.min(usize::from(blksize.unwrap_or(512)) * 400), seed);
        let options = Options { blksize, windowsize, tsize: tsize.then_some(0), timeout: None };
        let agreed = Options { tsize: tsize.then_some(file.len() as u64), ..options };
        let run = run(&file, options, agreed, Weather { lost, doubled, late }, seed);
        // Whatever the network does, what is received is the file's beginning; and it does not lose so much that
        // seven tries are not enough.
        prop_assert!(file.starts_with(&run.received));
        prop_assert_eq!(run.fetched, Some(Fetched::Done));
        prop_assert_eq!(run.received.len(), file.len());
        // The last ACK may be lost for good; then the server ends in silence, and knows that it does not know.
        let is_known = matches!(run.outcome, Some(Outcome::Done | Outcome::Silent { .. }));
        prop_assert!(is_known, "{:?}", run.outcome);
        prop_assert!(run.packets < 40 + 20 * (file.len() as u64 / u64::from(blksize.unwrap_or(512)) + 1));
    }

    #[test]
    fn p09_the_same_seed_is_the_same_run(seed: u64) {
        let file = file(20_000, seed);
        let options = Options { windowsize: Some(4), ..Options::default() };
        let weather = Weather { lost: 10, doubled: 10, late: 10 };
        let [first, second] = [(), ()].map(|()| run(&file, options, options, weather, seed));
        prop_assert_eq!((first.packets, first.outcome), (second.packets, second.outcome));
    }
}
