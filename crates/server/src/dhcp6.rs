//! DHCPv6 sockets: port 547, one thread each. Deciding is `answer::dhcp6`'s.

use crate::answering::Answering;
use crate::clock;
use crate::counters::Protocol;
use crate::dhcp::{GATHER, SAMPLE_EVERY, place, tell};
use crate::refusals::Details;
use crate::udp::{self, Path, Stop};
use answer::dhcp::limit::Limiter;
use answer::dhcp6::{self, Answer, Arrival, Refused};
use model::{Mac, View};
use nix::net::if_::if_nameindex;
use socket2::Socket;
use std::hash::{BuildHasher, RandomState};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use wire::dhcp6::{ALL_RELAYS_AND_SERVERS, ALL_SERVERS, Packet, SERVER_PORT};

/// How often the groups are joined on network interfaces that have come since.
const JOIN_EVERY: Duration = Duration::from_secs(10);

/// Answers on one socket until it is stopped.
pub(crate) fn run(answering: &Answering, socket: &Socket, stop: &Stop) {
    let traffic = answering.counters.of(Protocol::Dhcp6);
    let is_bound_elsewhere = crate::sockets::port(socket) != SERVER_PORT;
    let mut limiter = Limiter::new(RandomState::new().hash_one(SERVER_PORT));
    let mut refusals_unsampled = 0_u32;
    udp::serve_lanes(std::slice::from_ref(socket), true, GATHER, stop, traffic, |packet, path, reply| {
        let SocketAddr::V6(source) = path.from else { return None };
        let view = answering.view.load();
        let arrival = Arrival { source, is_multicast: path.to.is_multicast() };
        let outcome = match path.is_pressed {
            false => dhcp6::v6(&view, packet, arrival, reply),
            true => dhcp6::v6_limited(&view, packet, arrival, &mut limiter, clock::now(), reply),
        };
        let (observed, destination) = match outcome {
            Ok(Answer { observed, destination }) => (observed, Some(destination)),
            Err(refused) => {
                traffic.refused[refused.refusal.reason as usize].one();
                refusals_unsampled = refusals_unsampled.wrapping_add(1);
                if !path.is_pressed || refusals_unsampled.is_multiple_of(SAMPLE_EVERY) {
                    sample(answering, &view, packet, path, &refused);
                }
                (refused.observed, refused.destination)
            }
        };
        if let Some(observed) = observed {
            tell(answering, &view, observed);
        }
        // Without privilege, nothing on this host is on the ports of relays and clients: who asks is answered where it is.
        destination.map(|destination| match is_bound_elsewhere {
            true => path.from,
            false => SocketAddr::V6(destination.address()),
        })
    });
}

/// Where there is no socket: says why, once, as soon as the zone has something to say there.
pub(crate) async fn say_why_not(answering: Arc<Answering>, why: String, mut stopping: watch::Receiver<bool>) {
    let mut published = answering.published.subscribe();
    while answering.view.load().plan.design.zone.supernet6.is_none() {
        tokio::select! {
            changed = published.changed() => if changed.is_err() {
                return;
            },
            _ = stopping.wait_for(|stop| *stop) => return,
        }
    }
    answering.say(&format!("{why}; the zone has IPv6, and machines get no answer until a new start"));
}

/// Joins the groups that clients and relays speak to, now and on interfaces that come later, until it is time to stop.
pub(crate) async fn join(socket: Socket, interface: Option<String>, mut stopping: watch::Receiver<bool>) {
    loop {
        join_now(&socket, interface.as_deref());
        tokio::select! {
            () = tokio::time::sleep(JOIN_EVERY) => {}
            _ = stopping.wait_for(|stop| *stop) => return,
        }
    }
}

/// Joins them on every interface, or on this one.
pub(crate) fn join_now(socket: &Socket, interface: Option<&str>) {
    let Ok(interfaces) = if_nameindex() else { return };
    for found in &interfaces {
        if interface.is_some_and(|wanted| found.name().to_bytes() != wanted.as_bytes()) {
            continue;
        }
        for group in [ALL_RELAYS_AND_SERVERS, ALL_SERVERS] {
            // It fails where it is joined already, and on what has no IPv6: nobody asks by multicast there.
            let _ = socket.join_multicast_v6(&group, found.index());
        }
    }
}

fn sample(answering: &Answering, view: &View, packet: &[u8], path: Path, refused: &Refused) {
    let refusal = refused.refusal;
    let read = Packet::parse(packet).ok();
    let nearest = read.as_ref().and_then(Packet::nearest);
    let interface_id = nearest.and_then(|relay| relay.interface_id());
    let remote_id = nearest.and_then(|relay| relay.remote_id());
    // Not the client's identifier: a flood varies it. Who has no relay is told apart by where it speaks from.
    let sender = nearest.map_or(path.from.ip(), |relay| IpAddr::V6(relay.link));
    let cause = (sender, interface_id, remote_id);
    answering.refusals.note(Protocol::Dhcp6, refusal.reason, cause, clock::now(), || {
        let peer = nearest.map_or(path.from.ip(), |relay| IpAddr::V6(relay.peer));
        let mac = nearest.and_then(|relay| relay.client_mac());
        let mac = mac.or_else(|| read.as_ref().and_then(|read| read.message.duid_mac()));
        let client = mac.map_or_else(|| peer.to_string(), |mac| Mac(mac).to_string());
        let subject = dhcp6::in_words(view, packet);
        Details { client, subject, ..place(view, refusal, sender, [interface_id, remote_id]) }
    });
}
