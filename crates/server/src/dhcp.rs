//! DHCP sockets: port 67 by several threads, 4011 by one. Deciding is `answer::dhcp`'s.

use crate::answering::Answering;
use crate::clock;
use crate::counters::Protocol;
use crate::refusals::Details;
use crate::udp::{self, Path, Stop};
use answer::dhcp::limit::Limiter;
use answer::dhcp::{self, Answer, Arrival, Destination, Observed, Refused};
use lifecycle::why::bytes_in_words;
use model::{DeviceId, Mac, Refusal, View};
use socket2::Socket;
use std::hash::{BuildHasher, RandomState};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use wire::dhcp4::Message;

/// What a request may wait for others where they come closely: a client waits a second at least.
pub(crate) const GATHER: Duration = Duration::from_millis(1);
/// Of a pressed server's refusals one in so many is kept as a sample: they are mostly alike, and take a lock.
pub(crate) const SAMPLE_EVERY: u32 = 256;

/// What one thread serves.
pub(crate) struct Worker {
    /// Sockets of one port, what matters most first.
    pub(crate) sockets: Vec<Socket>,
    /// Which of the two ports they stand for, whatever port they are bound to.
    pub(crate) port: u16,
    /// Broadcasts come to every thread; this one answers them.
    pub(crate) hears_broadcasts: bool,
}

/// Answers until it is stopped.
pub(crate) fn run(answering: &Answering, worker: &Worker, stop: &Stop) {
    let traffic = answering.counters.of(Protocol::Dhcp);
    let port = worker.port;
    let is_bound_elsewhere = worker.sockets.first().is_none_or(|socket| crate::sockets::port(socket) != port);
    let mut limiter = Limiter::new(RandomState::new().hash_one(port));
    let mut refusals_unsampled = 0_u32;
    udp::serve_lanes(
        &worker.sockets,
        worker.hears_broadcasts,
        GATHER,
        stop,
        traffic,
        |packet, path, reply| {
            let SocketAddr::V4(source) = path.from else { return None };
            let view = answering.view.load();
            let arrival = Arrival { source, port };
            let outcome = match path.is_pressed {
                false => dhcp::v4(&view, packet, arrival, reply),
                true => dhcp::v4_limited(&view, packet, arrival, &mut limiter, clock::now(), reply),
            };
            let Answer { observed, destination } = outcome.unwrap_or_else(|refused| {
                traffic.refused[refused.refusal.reason as usize].one();
                refusals_unsampled = refusals_unsampled.wrapping_add(1);
                if !path.is_pressed || refusals_unsampled.is_multiple_of(SAMPLE_EVERY) {
                    sample(answering, &view, packet, path, &refused);
                }
                Answer { observed: refused.observed, destination: refused.destination }
            });
            if let Some(observed) = observed {
                tell(answering, &view, observed);
            }
            destination.map(|destination| match destination {
                // Without privilege, nothing on this host is a relay on port 67: whoever asks is answered where it is.
                Destination::Relay(_) if is_bound_elsewhere => path.from,
                destination => SocketAddr::V4(destination.address()),
            })
        },
    );
}

/// Tells the keeper what was seen, unless it was told the same just now.
pub(crate) fn tell(answering: &Answering, view: &View, observed: Observed) {
    let now = clock::now();
    if answering.told.is_news(observed.interface, &observed, now)
        && !answering.tell(observed.event(&view.plan, now))
    {
        answering.told.forget_one(observed.interface);
    }
}

fn sample(answering: &Answering, view: &View, packet: &[u8], path: Path, refused: &Refused) {
    let refusal = refused.refusal;
    let message = Message::parse(packet).ok();
    let agent = message.as_ref().and_then(Message::relay_agent);
    let (circuit, remote) =
        (agent.and_then(|agent| agent.circuit_id()), agent.and_then(|agent| agent.remote_id()));
    let relay = message.as_ref().map(Message::giaddr).filter(|relay| !relay.is_unspecified());
    // Not the hardware address: a flood varies it. Who has no relay is told apart by where it speaks from.
    let sender = relay.map_or(path.from.ip(), IpAddr::V4);
    answering.refusals.note(Protocol::Dhcp, refusal.reason, (sender, circuit, remote), clock::now(), || {
        let mac = message.as_ref().and_then(Message::mac);
        let client = mac.map_or_else(|| path.from.ip().to_string(), |mac| Mac(mac).to_string());
        Details {
            client,
            subject: dhcp::in_words(view, packet),
            ..place(view, refusal, sender, [circuit, remote])
        }
    });
}

/// Where a refused request came from, as far as it was understood.
pub(crate) fn place(
    view: &View,
    refusal: Refusal,
    sender: IpAddr,
    [circuit, remote]: [Option<&[u8]>; 2],
) -> Details {
    let machine = refusal.interface.map(|interface| view.plan.interface(interface).device);
    let location = |device: DeviceId| view.plan.design.devices[device.index()].location.clone();
    Details {
        relay: sender.to_string(),
        circuit: circuit.map(bytes_in_words).unwrap_or_default(),
        remote: remote.map(bytes_in_words).unwrap_or_default(),
        switch: refusal.switch.map(location),
        machine: machine.map(location),
        ..Details::default()
    }
}
