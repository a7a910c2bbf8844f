//! The DHCP relay of a switch: Option 82 in, Option 82 out, exactly as the plan says that this model writes it. That of
//! DHCPv6 is in [`version6`].
//!
//! [`Relay`] decides, on octets. The other half owns the sockets: one for frames, which tells the port that a request
//! came in by, and one for each relay address. Every client on a port is served, ours and anybody's.

use crate::error::{Doing, Error};
use crate::net::{BROADCAST, Datagram, Filter, Namespace, PacketSocket, decode_udp, encode_udp};
use crate::topology::{Bridge, End, Family, HostId, Topology};
use model::plan::Binding;
use model::{Mac, Plan};
use nix::sys::socket::sockopt;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4, UdpSocket};
use std::sync::{Arc, Mutex, PoisonError};
use wire::dhcp4::{CLIENT_PORT, Message, MessageType, SERVER_PORT, insert_relay_agent, strip_relay_agent};

pub(crate) mod version6;

/// Clients remembered by port, to answer the right one of several ports with one identity. A lab's rack has fewer.
const REMEMBERED_MAX: usize = 4096;

/// The largest datagram that is relayed.
const DATAGRAM_MAX: usize = 4096;

/// What the relay of one switch knows.
#[derive(Debug, Default)]
pub(crate) struct Relay {
    /// By interface number.
    ports: HashMap<u32, Port>,
    controllers: Vec<Ipv4Addr>,
    /// The port that a client asked by last.
    asked: HashMap<Mac, u32>,
}

/// A port that machines hang on.
#[derive(Clone, PartialEq, Debug)]
struct Port {
    circuit_id: Box<[u8]>,
    remote_id: Option<Arc<[u8]>>,
    giaddr: Ipv4Addr,
    mac: Mac,
}

/// What to do with a request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Relayed {
    /// Send it from this address and the servers' port
    pub from: IpAddr,
    /// to the same port of each controller.
    pub packet: Vec<u8>,
}

/// A port of a switch that machines hang on.
struct Hung<'a> {
    end: &'a End,
    bridge: &'a Bridge,
    /// What the switch relays from.
    address: IpAddr,
    /// What it writes for the port.
    binding: &'a Binding,
}

/// The ports of a switch at which it relays requests of this family.
fn hung<'a>(
    plan: &'a Plan,
    topology: &'a Topology,
    switch: HostId,
    family: Family,
) -> impl Iterator<Item = Hung<'a>> {
    let host = &topology.hosts[switch];
    let ends = topology.wires.iter().map(|wire| &wire.near).filter(move |end| end.host == switch);
    ends.filter_map(move |end| {
        let bridge = host.bridges.iter().find(|bridge| Some(bridge.index) == end.bridge)?;
        let port = end.port?;
        let subnet = plan.subnet(bridge.subnet);
        // A switch from outside the subnet's pod or rack has no address of its own there; the gateway's, which the
        // first router holds, is as good.
        let own = subnet.routers.iter().find(|router| router.switch == host.device);
        let is_first = subnet.routers.first().is_some_and(|router| router.switch == host.device);
        let own = own.and_then(|router| family.foot(router));
        let address = own.or(family.gateway(subnet).filter(|_| is_first))?;
        // On a port-channel only the first member has a binding; the others report the same.
        let own = plan.bindings.iter().find(|binding| binding.switch == host.device && binding.port == port);
        let binding = own.or_else(|| {
            let far = topology.wires.iter().find(|wire| wire.near == *end)?.far.port?;
            plan.bindings.iter().find(|binding| {
                binding.switch == host.device && plan.interface(binding.interface).ports.contains(&far)
            })
        })?;
        Some(Hung { end, bridge, address, binding })
    })
}

fn v4(address: IpAddr) -> Option<Ipv4Addr> {
    match address {
        IpAddr::V4(address) => Some(address),
        IpAddr::V6(_) => None,
    }
}

impl Relay {
    /// The relay of a switch of the plan.
    pub(crate) fn new(plan: &Plan, topology: &Topology, switch: HostId) -> Self {
        let controllers = crate::topology::controllers(plan, Family::V4).into_iter().filter_map(v4).collect();
        let mut relay = Self { controllers, ..Self::default() };
        relay.controllers.extend(topology.edge.and_then(|(_, address)| v4(address)));
        for Hung { end, bridge, address, binding } in hung(plan, topology, switch, Family::V4) {
            let Some(giaddr) = v4(address) else { continue };
            let (circuit_id, remote_id) = (binding.circuit_id.clone(), binding.remote_id.clone());
            relay.ports.insert(end.index, Port { circuit_id, remote_id, giaddr, mac: bridge.mac });
        }
        relay
    }

    /// The addresses it relays from.
    pub(crate) fn addresses(&self) -> Vec<Ipv4Addr> {
        let mut addresses: Vec<_> = self.ports.values().map(|port| port.giaddr).collect();
        addresses.sort_unstable();
        addresses.dedup();
        addresses
    }

    /// A frame for port 67 came in by an interface.
    pub(crate) fn request(&mut self, index: u32, datagram: &Datagram<'_>) -> Option<Relayed> {
        let port = self.ports.get(&index)?;
        // A unicast to a server passes by as any packet does; the relay minds broadcasts and its own addresses.
        if !datagram.to.ip().is_broadcast() && *datagram.to.ip() != port.giaddr {
            return None;
        }
        let remote_id = port.remote_id.as_deref().unwrap_or_default();
        let packet = insert_relay_agent(datagram.payload, &port.circuit_id, remote_id, port.giaddr)?;
        let from = IpAddr::V4(port.giaddr);
        if let Some(mac) = Message::parse(&packet).ok().and_then(|message| message.mac()) {
            if self.asked.len() >= REMEMBERED_MAX {
                self.asked.clear();
            }
            self.asked.insert(Mac(mac), index);
        }
        Some(Relayed { from, packet })
    }

    /// A reply came for relay address `to`: the frames to send, each with its interface.
    pub(crate) fn reply(&self, to: Ipv4Addr, octets: &[u8]) -> Vec<(u32, Vec<u8>)> {
        let Ok(message) = Message::parse(octets) else { return Vec::new() };
        if message.is_request() {
            return Vec::new();
        }
        let circuit_id = message.relay_agent().and_then(|option| option.circuit_id());
        let Some(mac) = message.mac() else { return Vec::new() };
        let mut ports: Vec<u32> = self
            .ports
            .iter()
            .filter(|(_, port)| port.giaddr == to && Some(&*port.circuit_id) == circuit_id)
            .map(|(index, _)| *index)
            .collect();
        ports.sort_unstable();
        if let Some(asked) = self.asked.get(&Mac(mac)).filter(|asked| ports.contains(asked)) {
            ports = vec![*asked];
        }
        // RFC 2131 §4.1: to everybody if the client wants that or has no address, which is also so with a refusal.
        let everybody = message.broadcast() || message.message_type() == Some(MessageType::Nak);
        let address = if message.ciaddr().is_unspecified() { message.yiaddr() } else { message.ciaddr() };
        let (to_mac, to_ip) = if everybody || address.is_unspecified() {
            (BROADCAST, Ipv4Addr::BROADCAST)
        } else {
            (Mac(mac), address)
        };
        let payload = strip_relay_agent(octets);
        let frame = |index: &u32| {
            let from_mac = self.ports.get(index).map_or(BROADCAST, |port| port.mac);
            encode_udp(&Datagram {
                from_mac,
                to_mac,
                from: SocketAddrV4::new(to, SERVER_PORT),
                to: SocketAddrV4::new(to_ip, CLIENT_PORT),
                payload: &payload,
            })
        };
        ports.iter().map(|index| (*index, frame(index))).collect()
    }
}

/// What relays of both families have in common: frames in and datagrams out, and back.
pub(crate) trait Relays: Send + 'static {
    /// The port of servers, which relays use too.
    const PORT: u16;
    /// Frames that may be requests.
    const FILTER: Filter;
    /// The addresses that it relays from.
    fn from(&self) -> Vec<IpAddr>;
    /// Those that it relays to.
    fn controllers(&self) -> Vec<IpAddr>;
    /// A frame came in by an interface.
    fn requested(&mut self, index: u32, frame: &[u8]) -> Option<Relayed>;
    /// A reply came for one of its addresses: the frames to send, each with its interface.
    fn replied(&self, to: IpAddr, octets: &[u8]) -> Vec<(u32, Vec<u8>)>;
}

impl Relays for Relay {
    const PORT: u16 = SERVER_PORT;
    const FILTER: Filter = Filter::UdpTo(SERVER_PORT);

    fn from(&self) -> Vec<IpAddr> {
        self.addresses().into_iter().map(IpAddr::V4).collect()
    }

    fn controllers(&self) -> Vec<IpAddr> {
        self.controllers.iter().copied().map(IpAddr::V4).collect()
    }

    fn requested(&mut self, index: u32, frame: &[u8]) -> Option<Relayed> {
        self.request(index, &decode_udp(frame)?)
    }

    fn replied(&self, to: IpAddr, octets: &[u8]) -> Vec<(u32, Vec<u8>)> {
        v4(to).map(|to| self.reply(to, octets)).unwrap_or_default()
    }
}

/// Relays between the ports of a switch and the controllers, until the future is dropped.
///
/// # Errors
/// If its sockets cannot be opened.
pub(crate) async fn serve<R: Relays>(relay: R, namespace: &Namespace) -> Result<(), Error> {
    let frames = Arc::new(PacketSocket::open(namespace, R::FILTER)?);
    let controllers = relay.controllers();
    let mut sockets = HashMap::new();
    for address in relay.from() {
        let socket = relay_socket(namespace, (address, R::PORT).into())?;
        sockets.insert(address, Arc::new(socket));
    }
    let relay = Arc::new(Mutex::new(relay));
    let mut replies = tokio::task::JoinSet::new();
    for (address, socket) in &sockets {
        replies.spawn(hand_on_replies(Arc::clone(&relay), Arc::clone(&frames), *address, Arc::clone(socket)));
    }
    let mut buffer = vec![0; DATAGRAM_MAX];
    loop {
        // An interface that goes down is told as an error once; the others go on.
        let Ok(received) = frames.receive(&mut buffer).await else { continue };
        let frame = buffer.get(..received.length).unwrap_or_default();
        let relayed = relay.lock().unwrap_or_else(PoisonError::into_inner).requested(received.index, frame);
        let Some(Relayed { from, packet }) = relayed else { continue };
        let Some(socket) = sockets.get(&from) else { continue };
        for controller in &controllers {
            // A controller that cannot be reached is the client's retry, as on any wire.
            let _ = socket.send_to(&packet, (*controller, R::PORT)).await;
        }
    }
}

async fn hand_on_replies<R: Relays>(
    relay: Arc<Mutex<R>>,
    frames: Arc<PacketSocket>,
    address: IpAddr,
    socket: Arc<tokio::net::UdpSocket>,
) {
    let mut buffer = vec![0; DATAGRAM_MAX];
    loop {
        let Ok(length) = socket.recv(&mut buffer).await else { continue };
        let out = relay.lock().unwrap_or_else(PoisonError::into_inner).replied(address, &buffer[..length]);
        for (index, frame) in out {
            let _ = frames.send(index, &frame);
        }
    }
}

fn relay_socket(namespace: &Namespace, address: SocketAddr) -> Result<tokio::net::UdpSocket, Error> {
    let socket = namespace.run(|| {
        let socket = UdpSocket::bind(address).doing(|| format!("bind {address}"))?;
        socket.set_nonblocking(true).doing(|| "prepare a relay's socket")?;
        // A rack that powers on sends all its requests at once.
        let _ = nix::sys::socket::setsockopt(&socket, sockopt::RcvBuf, &(1 << 20));
        Ok(socket)
    })?;
    tokio::net::UdpSocket::from_std(socket).doing(|| "watch a relay's socket")
}

#[cfg(test)]
mod tests;
