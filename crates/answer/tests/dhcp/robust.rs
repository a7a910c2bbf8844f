//! Nonsense, and packets that are nearly right: nothing panics, no reply is larger than it may be, nobody but whom the
//! plan means gets an address.

use crate::client::*;
use crate::zone::{self, address};
use crate::{any_input, corpus};
use std::net::SocketAddrV4;
use wire::dhcp4::{MessageType, Request};

/// Xorshift: the same packets on every run.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(end.max(1)).expect("small")).expect("small")
    }

    fn octet(&mut self) -> u8 {
        self.next().to_le_bytes()[3]
    }
}

fn seeds(view: &model::View) -> Vec<Vec<u8>> {
    let its = address(view, "ams1/p01/r1/u01", "eno1");
    let firmware = Request {
        vendor_class: b"PXEClient:Arch:00007:UNDI:003016".to_vec(),
        architectures: vec![7, 11],
        parameter_list: vec![1, 3, 6, 12, 15, 28, 42, 43, 60, 66, 67, 97, 119, 150],
        uuid: Some([3; 16]),
        maximum_size: Some(1472),
        client_identifier: Some(vec![1, 2, 0, 0, 0, 0, 1]),
        ..discover()
    };
    let ipxe = Request { user_class: b"\x04iPXE".to_vec(), more: vec![(175, vec![1])], ..firmware.clone() };
    let shared = Port { circuit_id: "swp5", ..u01() };
    vec![
        through(&discover(), u01()),
        through(&firmware, u01()),
        through(&ipxe, shared),
        through(&selecting(its), u01()),
        through(&init_reboot(its), u01_bmc()),
        renewing(its).encode(),
        Request { ciaddr: its, ..request(MessageType::Inform) }.encode(),
        Request { ciaddr: its, more: vec![(43, vec![71, 4, 0, 0, 0, 0])], ..firmware }.encode(),
    ]
}

#[test]
fn two_hundred_thousand_packets_that_are_nonsense_or_nearly_right() {
    let view = zone::view();
    let seeds = seeds(&view);
    let mut dice = Dice(0x2545_f491_4f6c_dd1d);
    let mut out = Vec::new();
    let (mut answered, mut refused) = (0, 0);
    for round in 0..200_000 {
        let mut input = vec![u8::from(round % 3 == 0)];
        if round % 8 == 0 {
            let length = dice.below(900);
            input.extend((0..length).map(|_| dice.octet()));
        } else {
            input.extend(mutated(&seeds, &mut dice));
        }
        match any_input::check(&view, &input, &mut out) {
            true => answered += 1,
            false => refused += 1,
        }
    }
    assert!(answered > 10_000 && refused > 10_000, "the mutations reach both: {answered} {refused}");
}

#[test]
fn what_the_fuzzer_kept() {
    let view = zone::view();
    let mut out = Vec::new();
    corpus::run("dhcp4", |input| {
        any_input::check(&view, input, &mut out);
    });
}

fn mutated(seeds: &[Vec<u8>], dice: &mut Dice) -> Vec<u8> {
    let mut packet = seeds[dice.below(seeds.len())].clone();
    for _ in 0..dice.below(5) {
        let at = dice.below(packet.len());
        match dice.below(4) {
            0 => packet[at] = dice.octet(),
            1 => packet.truncate(at.max(200)),
            2 => {
                // Options move, repeat and break where they are duplicated.
                let from = 240 + dice.below(packet.len().saturating_sub(240));
                let copy: Vec<u8> = packet.iter().skip(from).take(dice.below(40)).copied().collect();
                let to = 240 + dice.below(packet.len().saturating_sub(240));
                packet.splice(to.min(packet.len())..to.min(packet.len()), copy);
            }
            _ => {
                let bit = dice.below(8);
                packet[at] ^= 1 << bit;
            }
        }
    }
    packet
}

#[test]
fn a_bomb_of_options_is_read_once_and_answered_small() {
    let view = zone::view();
    // As many options as a packet holds, each empty, and an Option 55 that lists every code many times over.
    let empty = Request {
        more: (0..900).map(|n| (200 + u8::try_from(n % 50).expect("small"), vec![])).collect(),
        ..discover()
    };
    let listing = Request { parameter_list: (0..1500).map(|n| (n % 256) as u8).collect(), ..discover() };
    for request in [empty, listing] {
        let outcome = relayed(&view, &request, u01());
        assert_eq!(outcome.granted(), address(&view, "ams1/p01/r1/u01", "eno1"));
        assert!(outcome.bytes.len() < 600);
    }
    let mut huge = through(&discover(), u01());
    huge.resize(5000, 0);
    let outcome = send(&view, &huge, SocketAddrV4::new(zone::leaf_a(0), 67), 67);
    outcome.assert_silent(model::Reason::Malformed);
}

#[test]
fn amplification_is_bounded_by_the_least_length_of_bootp() {
    let view = zone::view();
    // The smallest packets that get an answer.
    let giaddr = zone::leaf_a(0);
    let mut smallest = Request { giaddr, ..discover() }.encode();
    smallest.truncate(240);
    smallest.extend([53, 1, 1, 82, 21, 1, 4]);
    smallest.extend(b"swp1");
    smallest.extend([2, 13]);
    smallest.extend(b"p01-r1-leaf-a");
    let outcome = send(&view, &smallest, SocketAddrV4::new(giaddr, 67), 67);
    assert!(
        outcome.bytes.len() * 10 < smallest.len() * 15,
        "{} from {}",
        outcome.bytes.len(),
        smallest.len()
    );
    let mut nak = smallest.clone();
    nak[242] = 3;
    nak.extend([50, 4, 1, 2, 3, 4]);
    let outcome = send(&view, &nak, SocketAddrV4::new(giaddr, 67), 67);
    outcome.assert_nak(model::Reason::WrongAddress);
    assert!(outcome.bytes.len() * 10 < nak.len() * 15, "{} from {}", outcome.bytes.len(), nak.len());
}
