//! Nonsense, and packets that are nearly right: the check that the fuzz target drives, and its twin of fixed seed.

use super::client::*;
use crate::{corpus, spoil, zone};
use wire::dhcp6::{MessageType, code};

#[path = "any_input.rs"]
mod any_input;

#[test]
fn any_datagram_is_answered_within_bounds_or_refused() {
    let view = zone::view();
    let wants = [23, 24, 31, 32, 39, 56, 59, 60, 82, 83];
    let class = [&[0, 0, 1, 0x57, 0, 10][..], b"HTTPClient"].concat();
    let kinds = [
        MessageType::Solicit,
        MessageType::Request,
        MessageType::Confirm,
        MessageType::Renew,
        MessageType::Rebind,
        MessageType::Release,
        MessageType::Decline,
        MessageType::InformationRequest,
    ];
    let mut samples = Vec::new();
    for kind in kinds {
        let mut request = message(&view, kind).wants(&wants);
        if kind != MessageType::InformationRequest {
            request = request.association(7, &[its(&view)]);
        }
        samples.push([&[0], &request.encode()[..]].concat());
        let request = request.with(code::VENDOR_CLASS, class.clone()).with(code::IA_PD, [0; 12]);
        let once = through(&request.encode(), 0, u01());
        samples.push([&[1], &once[..]].concat());
        let uplink = Port { interface_id: b"swp48", remote_id: Some("spine"), ..u01() };
        samples.push([&[1], &through(&once, 1, uplink)[..]].concat());
    }
    let address = its(&view).octets();
    let pieces: [&[u8]; 12] = [
        b"\0\x01\0\x0a",
        &[0, 9, 0, 60],
        &[12, 0],
        &[0, 3, 0, 12],
        &[0, 5, 0, 24],
        &address,
        b"\0\x12\0\x04swp1",
        &[0, 6, 0, 2, 0, 59],
        &[0, 14, 0, 0],
        &[0, 37, 0, 2, 1, 1],
        &[0xff, 0xff],
        &[0, 25, 0, 12],
    ];
    let (mut out, mut answered, mut refused) = (Vec::new(), 0, 0);
    spoil::spoil(&samples, &pieces, 100_000, |input| match any_input::check(&view, input, &mut out) {
        true => answered += 1,
        false => refused += 1,
    });
    assert!(answered > 5_000 && refused > 5_000, "the inputs reach both: {answered} {refused}");
}

#[test]
fn what_the_fuzzer_kept() {
    let view = zone::view();
    let mut out = Vec::new();
    corpus::run("dhcp6", |input| {
        any_input::check(&view, input, &mut out);
    });
}
