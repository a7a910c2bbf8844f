//! DNS sockets: threads for UDP, a task for each TCP connection, one that tells secondaries. Deciding is `answer::dns`'s.

pub(crate) mod notify;
mod places;
pub(crate) mod tcp;

use crate::answering::Answering;
use crate::clock;
use crate::counters::Protocol;
use crate::refusals::Details;
use crate::udp::{self, Stop};
use answer::dns::{Answer, Transport, answer};
use model::{Reason, View};
use socket2::Socket;
use std::net::IpAddr;
use std::time::Duration;

/// What a query may wait for others where they come closely: as long as it is on its way through a switch or two.
const GATHER: Duration = Duration::from_micros(200);

/// Answers on one UDP socket until it is stopped.
pub(crate) fn run_udp(answering: &Answering, socket: &Socket, stop: &Stop) {
    let traffic = answering.counters.of(Protocol::Dns);
    // Nobody asks a name server by broadcast; each thread would answer it.
    udp::serve_lanes(std::slice::from_ref(socket), false, GATHER, stop, traffic, |packet, path, reply| {
        let view = answering.view.load();
        let client = path.from.ip().to_canonical();
        match answer(&view, packet, client, Transport::Udp, reply) {
            Ok(Answer::Reply(reason)) => {
                if let Some(reason) = reason {
                    refuse(answering, &view, reason, client, packet);
                }
                Some(path.from)
            }
            // There is none over UDP.
            Ok(Answer::Transfer(_)) => None,
            Err(refusal) => {
                refuse(answering, &view, refusal.reason, client, packet);
                None
            }
        }
    });
}

fn refuse(answering: &Answering, view: &View, reason: Reason, client: IpAddr, packet: &[u8]) {
    answering.counters.of(Protocol::Dns).refused[reason as usize].one();
    // Not what is asked for, which the client chooses: one client would push out the samples of all others.
    answering.refusals.note(Protocol::Dns, reason, client, clock::now(), || {
        let machine = view.boot.places.machine_at(client);
        Details {
            client: client.to_string(),
            machine: machine.map(|device| view.plan.design.devices[device.index()].location.clone()),
            subject: wire::dns::decode(packet).map(|query| query.to_string()).unwrap_or_default(),
            ..Details::default()
        }
    });
}
