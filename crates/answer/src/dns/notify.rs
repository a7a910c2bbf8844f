//! Telling secondaries that the zones have changed (RFC 1996), without socket or clock.
//!
//! Every secondary is told of every zone, again after a while if it does not answer, and not for ever: it looks by itself
//! after the SOA's refresh time. An answer counts if it comes from whom was told, with the id and the zone of what it was
//! told.

use model::view::DnsView;
use model::{Time, View};
use std::net::IpAddr;
use std::time::Duration;

/// Secondaries that are told; the design's first.
const SECONDARIES_MAX: usize = 32;
/// Messages that wait for an answer: 32 secondaries of a zone with 127 reverse zones.
const WAITING_MAX: usize = 4096;
/// Messages that are sent at once, and how long the next wait: a burst that overruns the secondary's socket helps nobody.
const BURST_MAX: u16 = 64;
const BURST_GAP: Duration = Duration::from_millis(20);
/// When an unanswered message is sent again; after the last it is given up.
const AGAIN_AFTER: [Duration; 5] = [
    Duration::from_secs(1),
    Duration::from_secs(3),
    Duration::from_secs(8),
    Duration::from_secs(20),
    Duration::from_secs(30),
];

/// Who is told: each single address of the design's `transfer_to`. A longer range says who may ask, not where anybody is.
pub fn secondaries(view: &View) -> Vec<IpAddr> {
    let may = view.plan.design.zone.transfer_to.iter();
    let hosts = may.filter(|net| net.prefix_len() == net.max_prefix_len()).map(ipnet::IpNet::addr);
    let mut secondaries = Vec::new();
    for host in hosts {
        if !secondaries.contains(&host) && secondaries.len() < SECONDARIES_MAX {
            secondaries.push(host);
        }
    }
    secondaries
}

/// What is still to be told to whom.
#[derive(Debug)]
pub struct Notifier {
    waiting: Vec<Waiting>,
    /// The state of the ids' generator.
    state: u64,
}

#[derive(Debug)]
struct Waiting {
    to: IpAddr,
    apex: Box<[u8]>,
    id: u16,
    sent: usize,
    due: Time,
}

/// How telling one secondary of one zone ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Outcome {
    /// The secondary.
    pub secondary: IpAddr,
    /// Its response code, `None` if it did not answer; 0 is well.
    pub code: Option<u8>,
}

impl Notifier {
    /// Nothing is to be told. `seed` makes ids that others cannot guess.
    pub fn new(seed: u64) -> Self {
        Self { waiting: Vec::new(), state: seed }
    }

    /// The zones have changed: whatever was to be told is replaced.
    pub fn tell(&mut self, dns: &DnsView, secondaries: &[IpAddr], now: Time) {
        self.waiting.clear();
        let pairs = dns.zones.iter().flat_map(|zone| secondaries.iter().map(move |to| (zone, *to)));
        for ((zone, to), position) in pairs.take(WAITING_MAX).zip(0_u16..) {
            let due = now + BURST_GAP * u32::from(position / BURST_MAX);
            let id = self.id();
            self.waiting.push(Waiting { to, apex: zone.apex.as_slice().into(), id, sent: 0, due });
        }
    }

    /// When there will be something to send; `None` if there is nothing.
    pub fn due(&self) -> Option<Time> {
        self.waiting.iter().map(|waiting| waiting.due).min()
    }

    /// Writes a message that is due over `out` and says whom it is for; `None` if none is.
    pub fn poll(&mut self, now: Time, out: &mut Vec<u8>) -> Option<IpAddr> {
        let waiting = self.waiting.iter_mut().find(|waiting| waiting.due <= now && !waiting.is_spent())?;
        wire::dns::write_notify(waiting.id, &waiting.apex, out);
        waiting.due = now + AGAIN_AFTER[waiting.sent];
        waiting.sent += 1;
        Some(waiting.to)
    }

    /// Gives up what was not answered, one for each call.
    pub fn give_up(&mut self, now: Time) -> Option<Outcome> {
        let position = self.waiting.iter().position(|waiting| waiting.due <= now && waiting.is_spent())?;
        let waiting = self.waiting.swap_remove(position);
        Some(Outcome { secondary: waiting.to, code: None })
    }

    /// Takes a packet that came from an address' DNS port; gives what it ended, if anything.
    pub fn receive(&mut self, from: IpAddr, packet: &[u8]) -> Option<Outcome> {
        let answer = wire::dns::decode_notified(packet)?;
        let is_answered = |waiting: &Waiting| {
            let names_it = answer.apex.is_none_or(|apex| {
                apex.strip_suffix(&[0]).is_some_and(|labels| labels.eq_ignore_ascii_case(&waiting.apex))
            });
            waiting.sent > 0 && waiting.id == answer.id && waiting.to == from.to_canonical() && names_it
        };
        let position = self.waiting.iter().position(is_answered)?;
        let waiting = self.waiting.swap_remove(position);
        Some(Outcome { secondary: waiting.to, code: Some(answer.code) })
    }

    fn id(&mut self) -> u16 {
        // SplitMix64 (Steele, Lea, Flood 2014).
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let [high, low, ..] = (mixed ^ (mixed >> 31)).to_be_bytes();
        u16::from_be_bytes([high, low])
    }
}

impl Waiting {
    fn is_spent(&self) -> bool {
        self.sent == AGAIN_AFTER.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::view::{DnsZone, DnsZoneKind};

    const TO: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 53));
    const OTHER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 54));

    fn dns(zones: usize) -> DnsView {
        let zone =
            |number: usize| DnsZone { apex: format!("\x04z{number:03}").into(), kind: DnsZoneKind::Forward };
        DnsView { zones: (0..zones).map(zone).collect(), ..DnsView::default() }
    }

    fn at(milliseconds: u64) -> Time {
        Time(1_000_000 + milliseconds)
    }

    /// Everything that is sent until `milliseconds`, each at its time.
    fn sent(notifier: &mut Notifier, milliseconds: u64) -> Vec<(u64, IpAddr, Vec<u8>)> {
        let (mut sent, mut out) = (Vec::new(), Vec::new());
        for now in 0..=milliseconds {
            while let Some(to) = notifier.poll(at(now), &mut out) {
                sent.push((now, to, out.clone()));
            }
        }
        sent
    }

    fn answered(message: &[u8]) -> Vec<u8> {
        let mut answer = message.to_vec();
        answer[2] |= 0x80;
        answer
    }

    #[test]
    fn who_does_not_answer_is_told_again_and_then_no_more() {
        let mut notifier = Notifier::new(1);
        notifier.tell(&dns(1), &[TO], at(0));
        assert_eq!(notifier.due(), Some(at(0)));
        let times: Vec<u64> = sent(&mut notifier, 100_000).into_iter().map(|(now, ..)| now).collect();
        assert_eq!(times, [0, 1_000, 4_000, 12_000, 32_000]);
        assert_eq!(notifier.due(), Some(at(62_000)));
        assert_eq!(notifier.give_up(at(61_999)), None);
        assert_eq!(notifier.give_up(at(62_000)), Some(Outcome { secondary: TO, code: None }));
        assert_eq!((notifier.give_up(at(62_000)), notifier.due()), (None, None));
    }

    #[test]
    fn an_answer_ends_it_and_a_forged_one_does_not() {
        let mut notifier = Notifier::new(1);
        notifier.tell(&dns(2), &[TO], at(0));
        assert_eq!(notifier.receive(TO, &answered(b"\0\0\x24\0\0\0\0\0\0\0\0\0")), None, "nothing was sent");
        let sent = sent(&mut notifier, 0);
        let [(_, _, first), (_, _, second)] = &sent[..] else { panic!("{sent:?}") };
        assert_ne!(first[..2], second[..2], "ids");
        let good = answered(first);
        let with = |position: usize, value: u8| {
            let mut spoiled = good.clone();
            spoiled[position] ^= value;
            spoiled
        };
        assert_eq!(notifier.receive(OTHER, &good), None, "from somebody else");
        assert_eq!(notifier.receive(TO, first), None, "no answer");
        assert_eq!(notifier.receive(TO, &with(0, 1)), None, "another id");
        assert_eq!(notifier.receive(TO, &with(2, 8)), None, "another opcode");
        assert_eq!(notifier.receive(TO, &with(15, 1)), None, "another zone");
        assert_eq!(notifier.receive(TO, &good[..20]), None, "cut off");
        let refused = with(3, 5);
        assert_eq!(notifier.receive(TO, &refused), Some(Outcome { secondary: TO, code: Some(5) }));
        assert_eq!(notifier.receive(TO, &good), None, "twice");
        let mapped = "::ffff:192.0.2.53".parse().unwrap();
        assert_eq!(
            notifier.receive(mapped, &answered(second)),
            Some(Outcome { secondary: TO, code: Some(0) })
        );
        assert_eq!(notifier.due(), None);
    }

    #[test]
    fn a_newer_change_takes_the_place_of_what_was_to_be_told() {
        let mut notifier = Notifier::new(1);
        notifier.tell(&dns(1), &[TO], at(0));
        let before = sent(&mut notifier, 0);
        notifier.tell(&dns(1), &[TO], at(10));
        assert_eq!(notifier.receive(TO, &answered(&before[0].2)), None);
        assert_eq!(sent(&mut notifier, 10).len(), 1);
    }

    #[test]
    fn what_waits_and_what_is_sent_at_once_are_bounded() {
        let mut notifier = Notifier::new(1);
        notifier.tell(&dns(3000), &[TO, OTHER], at(0));
        assert_eq!(notifier.waiting.len(), WAITING_MAX);
        let sent = sent(&mut notifier, 999);
        assert!(sent.iter().filter(|(now, ..)| *now == 0).count() <= usize::from(BURST_MAX));
        assert!(sent.len() > 1_000);
    }
}
