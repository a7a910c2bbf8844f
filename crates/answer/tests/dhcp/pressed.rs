//! A server that is pressed: who is left out, and who is not.

use crate::client::*;
use crate::zone::{self, Settings, address};
use answer::dhcp::limit::Limiter;
use answer::dhcp::{Arrival, v4_limited};
use model::{Mac, Reason, Time, View};
use std::net::SocketAddrV4;
use wire::dhcp4::Request;

const NOW: Time = Time(1_700_000_000_000);

/// The reason of a refusal, or none for an answer.
fn ask(view: &View, limiter: &mut Limiter, packet: &[u8], source: SocketAddrV4) -> Option<Reason> {
    let mut out = Vec::new();
    let arrival = Arrival { source, port: 67 };
    v4_limited(view, packet, arrival, limiter, NOW, &mut out).err().map(|refused| refused.refusal.reason)
}

fn relay() -> SocketAddrV4 {
    SocketAddrV4::new(zone::leaf_a(0), 67)
}

fn invented(number: u32) -> Request {
    let [_, a, b, c] = number.to_be_bytes();
    Request { hardware: vec![0x06, 0, 0, a, b, c], ..discover() }
}

#[test]
fn a_flood_of_invented_machines_on_one_port_leaves_every_other_request_answered() {
    let facts = zone::facts("ams1/p01/r1/u01", |machine| {
        machine.accepted.insert("eno1".to_owned(), Mac(MAC));
    });
    let view = zone::view_of(&Settings::default(), &facts);
    let mut limiter = Limiter::new(1);
    let flood = (0..10_000).filter(|number| {
        let packet = through(&invented(*number), u01());
        ask(&view, &mut limiter, &packet, relay()) != Some(Reason::TooMany)
    });
    let passed = flood.count();
    assert!((1..100).contains(&passed), "{passed} of the flood passed");
    // The machine that belongs there, the new one on the next port, and a renewal past the relay.
    assert_eq!(ask(&view, &mut limiter, &through(&discover(), u01()), relay()), None);
    assert_eq!(ask(&view, &mut limiter, &through(&invented(1), u02()), relay()), None);
    let its = address(&view, "ams1/p01/r1/u01", "eno1");
    assert_eq!(ask(&view, &mut limiter, &renewing(its).encode(), SocketAddrV4::new(its, 68)), None);
}

#[test]
fn whoever_is_left_out_teaches_nothing() {
    let view = zone::view();
    let mut limiter = Limiter::new(1);
    let mut out = Vec::new();
    for number in 0..100 {
        let packet = through(&invented(number), u01());
        let arrival = Arrival { source: relay(), port: 67 };
        if let Err(refused) = v4_limited(&view, &packet, arrival, &mut limiter, NOW, &mut out) {
            assert_eq!((refused.refusal.reason, refused.observed), (Reason::TooMany, None));
            assert!(out.is_empty() && refused.destination.is_none());
            return;
        }
    }
    panic!("a hundred at once are within one port's budget");
}
