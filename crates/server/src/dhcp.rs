//! DHCP sockets: ports 67 and 4011, one thread each. Deciding is `answer::dhcp`'s.

use crate::clock;
use crate::controller::Controller;
use crate::counters::Protocol;
use crate::refusals::Details;
use crate::udp::{self, Path, Stop};
use answer::dhcp::{self, Arrival, Destination, Refused};
use lifecycle::why::bytes_in_words;
use model::{Mac, View};
use socket2::Socket;
use std::net::{IpAddr, SocketAddr};
use wire::dhcp4::Message;

/// Answers on one socket until it is stopped. `port` is which of the two it stands for, whatever port it is bound to.
pub(crate) fn run(controller: &Controller, socket: &Socket, port: u16, stop: &Stop) {
    let traffic = controller.counters.of(Protocol::Dhcp);
    let is_bound_elsewhere = crate::sockets::port(socket) != port;
    udp::serve(socket, stop, traffic, |packet, path, reply| {
        let SocketAddr::V4(source) = path.from else { return None };
        let view = controller.view.load();
        let outcome = dhcp::v4(&view, packet, Arrival { source, port }, reply);
        let (observed, destination) = match outcome {
            Ok(answer) => (answer.observed, answer.destination),
            Err(refused) => {
                traffic.refused[refused.refusal.reason as usize].one();
                sample(controller, &view, packet, path, &refused);
                (refused.observed, refused.destination)
            }
        };
        if let Some(observed) = observed {
            controller.tell(observed.event(&view.plan, clock::now()));
        }
        destination.map(|destination| match destination {
            // Without privilege, nothing on this host is a relay on port 67: whoever asks is answered where it is.
            Destination::Relay(_) if is_bound_elsewhere => path.from,
            destination => SocketAddr::V4(destination.address()),
        })
    });
}

fn sample(controller: &Controller, view: &View, packet: &[u8], path: Path, refused: &Refused) {
    let refusal = refused.refusal;
    let message = Message::parse(packet).ok();
    let agent = message.as_ref().and_then(Message::relay_agent);
    let (circuit, remote) =
        (agent.and_then(|agent| agent.circuit_id()), agent.and_then(|agent| agent.remote_id()));
    let relay = message.as_ref().map(Message::giaddr).filter(|relay| !relay.is_unspecified());
    // Not the hardware address: a flood varies it. Who has no relay is told apart by where it speaks from.
    let sender = relay.map_or(path.from.ip(), IpAddr::V4);
    let design = &view.plan.design;
    controller.refusals.note(Protocol::Dhcp, refusal.reason, (sender, circuit, remote), clock::now(), || {
        let machine = refusal.interface.map(|interface| view.plan.interface(interface).device);
        let location = |device: model::DeviceId| design.devices[device.index()].location.clone();
        Details {
            client: message
                .as_ref()
                .and_then(Message::mac)
                .map_or_else(|| path.from.ip().to_string(), |mac| Mac(mac).to_string()),
            relay: sender.to_string(),
            circuit: circuit.map(bytes_in_words).unwrap_or_default(),
            remote: remote.map(bytes_in_words).unwrap_or_default(),
            switch: refusal.switch.map(location),
            machine: machine.map(location),
            subject: dhcp::in_words(view, packet),
        }
    });
}
