//! Many datagrams in one system call: what came, and what goes out.

use super::{BATCH, DATAGRAM_MAX, Path};
use crate::counters::Traffic;
use nix::errno::Errno;
use nix::libc;
use nix::sys::socket::{
    ControlMessage, ControlMessageOwned, MsgFlags, MultiHeaders, SockaddrStorage, recvmmsg, sendmmsg,
};
use socket2::Socket;
use std::io::{IoSlice, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::AsRawFd;

/// From one room of an inbound datagram to the next: a cache line more than a page, or the beginnings of all would compete
/// for the same few places of the processor's cache.
const ROOM: usize = DATAGRAM_MAX + 64;

/// How a datagram came.
#[derive(Clone, Copy)]
pub(crate) struct Arrival {
    pub(crate) from: SocketAddr,
    pub(crate) to: IpAddr,
    pub(crate) interface: u32,
    /// It was sent to everybody on the wire, and not to us by address.
    pub(crate) is_broadcast: bool,
}

impl Arrival {
    /// The way of a reply to it, where nothing is pressed.
    pub(crate) fn path(&self) -> Path {
        Path { from: self.from, to: self.to, interface: self.interface, is_pressed: false }
    }
}

/// Room for what comes to the sockets of one family. `recvmmsg` of nix 0.31 leaves the lengths of address and packet
/// information in a header as the kernel wrote them at its last use, so after IPv4 there is too little room for IPv6: it
/// comes without them (MSG_CTRUNC), and could not be answered.
pub(crate) struct Inbound {
    buffers: Vec<u8>,
    headers: MultiHeaders<SockaddrStorage>,
    /// Length and arrival of each that came; `None` for one that told too little of itself.
    arrived: Vec<Option<(usize, Arrival)>>,
}

impl Inbound {
    pub(crate) fn new() -> Self {
        // Room for the larger of the two kinds of packet information.
        let control = nix::cmsg_space!(libc::in6_pktinfo);
        Self {
            buffers: vec![0; BATCH * ROOM],
            headers: MultiHeaders::preallocate(BATCH, Some(control)),
            arrived: Vec::with_capacity(BATCH),
        }
    }

    /// Takes what is there now, at most [`BATCH`]; how many.
    pub(crate) fn receive(&mut self, socket: &Socket) -> usize {
        loop {
            match self.receive_once(socket) {
                Ok(()) => return self.arrived.len(),
                // The network's answer to something that we sent (ICMP unreachable): not about what is still to be
                // read.
                Err(Errno::ECONNREFUSED | Errno::EHOSTUNREACH | Errno::EINTR) => {}
                Err(_) => return 0,
            }
        }
    }

    fn receive_once(&mut self, socket: &Socket) -> nix::Result<()> {
        self.arrived.clear();
        let mut rooms = self.buffers.chunks_exact_mut(ROOM);
        let mut pieces: [[IoSliceMut<'_>; 1]; BATCH] = std::array::from_fn(|_| {
            let room = rooms.next().and_then(|room| room.get_mut(..DATAGRAM_MAX));
            [IoSliceMut::new(room.unwrap_or_default())]
        });
        let (socket, pieces) = (socket.as_raw_fd(), pieces.iter_mut());
        let messages = recvmmsg(socket, &mut self.headers, pieces, MsgFlags::MSG_DONTWAIT, None)?;
        self.arrived.extend(messages.map(|message| {
            let arrival = arrival(message.address?, message.cmsgs().ok()?)?;
            Some((message.bytes, arrival))
        }));
        Ok(())
    }

    /// The datagram at this position of those received.
    pub(crate) fn get(&self, position: usize) -> Option<(&[u8], Arrival)> {
        let (length, arrival) = self.arrived.get(position).copied().flatten()?;
        let room = self.buffers.get(position * ROOM..)?;
        Some((room.get(..length)?, arrival))
    }
}

fn arrival(address: SockaddrStorage, controls: impl Iterator<Item = ControlMessageOwned>) -> Option<Arrival> {
    let from = socket_address(&address)?;
    for control in controls {
        match control {
            ControlMessageOwned::Ipv4PacketInfo(info) => {
                // spec_dst, not addr: for a broadcast it is our own address on that interface.
                let [to, sent_to] = [info.ipi_spec_dst, info.ipi_addr]
                    .map(|address| Ipv4Addr::from(u32::from_be(address.s_addr)));
                let interface = u32::try_from(info.ipi_ifindex).unwrap_or(0);
                return Some(Arrival { from, to: to.into(), interface, is_broadcast: to != sent_to });
            }
            ControlMessageOwned::Ipv6PacketInfo(info) => {
                let to = Ipv6Addr::from(info.ipi6_addr.s6_addr);
                let interface = info.ipi6_ifindex;
                return Some(Arrival { from, to: to.into(), interface, is_broadcast: to.is_multicast() });
            }
            _ => {}
        }
    }
    None
}

/// Answers that go out together.
pub(crate) struct Outbound {
    is_v4: bool,
    headers: MultiHeaders<SockaddrStorage>,
    replies: Vec<Vec<u8>>,
    to: [Option<SockaddrStorage>; BATCH],
    ways: [Way; BATCH],
    count: usize,
}

/// The address and the interface that a datagram leaves by; neither where the routes decide.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Way {
    source: IpAddr,
    interface: u32,
}

impl Outbound {
    pub(crate) fn new(is_v4: bool) -> Self {
        // Exactly what is filled in below: the kernel refuses room that is left over.
        let control =
            if is_v4 { nix::cmsg_space!(libc::in_pktinfo) } else { nix::cmsg_space!(libc::in6_pktinfo) };
        Self {
            is_v4,
            headers: MultiHeaders::preallocate(BATCH, Some(control)),
            replies: (0..BATCH).map(|_| Vec::with_capacity(DATAGRAM_MAX)).collect(),
            to: [None; BATCH],
            ways: [Way { source: IpAddr::V4(Ipv4Addr::UNSPECIFIED), interface: 0 }; BATCH],
            count: 0,
        }
    }

    /// Where the next reply is written; it is sent only if it is pushed then. There is room for one for each datagram
    /// of a batch.
    pub(crate) fn next_reply(&mut self) -> &mut Vec<u8> {
        let reply = &mut self.replies[self.count];
        reply.clear();
        reply
    }

    /// What was written last goes to this address.
    pub(crate) fn push(&mut self, to: SocketAddr, path: Path) {
        // A broadcast goes back to the wire that the request came by, and so does what is for a link-local address;
        // anything else as routes say.
        let is_bound_to_wire = match (to.ip(), path.to) {
            (IpAddr::V4(to), _) => to.is_broadcast(),
            (_, IpAddr::V6(source)) => source.is_unicast_link_local(),
            _ => false,
        };
        self.to[self.count] = Some(SockaddrStorage::from(to));
        // Nothing is sent from an address of many: the wire decides which of ours it is.
        let (source, is_bound_to_wire) = match path.to.is_multicast() {
            true if self.is_v4 => (Ipv4Addr::UNSPECIFIED.into(), true),
            true => (Ipv6Addr::UNSPECIFIED.into(), true),
            false => (path.to, is_bound_to_wire),
        };
        self.ways[self.count] = Way { source, interface: if is_bound_to_wire { path.interface } else { 0 } };
        self.count += 1;
    }

    /// Sends all that was pushed. What the system does not take is counted and gone, as on any network.
    pub(crate) fn flush(&mut self, socket: &Socket, traffic: &Traffic) {
        let mut first = 0;
        while first < self.count {
            let way = self.ways[first];
            let others = self.ways[first..self.count].iter().take_while(|other| **other == way);
            let end = first + others.count();
            match self.send(socket, first, end, way) {
                Ok(sent) if sent > 0 => {
                    traffic.answered.add(sent as u64);
                    let octets = self.replies[first..first + sent].iter().map(|reply| reply.len() as u64);
                    traffic.octets.add(octets.sum());
                    first += sent;
                }
                Err(Errno::EINTR) => {}
                // It is about the first one.
                _ => {
                    traffic.send_failed.one();
                    first += 1;
                }
            }
        }
        self.count = 0;
    }

    /// Sends some that leave by the same way; how many went.
    fn send(&mut self, socket: &Socket, first: usize, end: usize, way: Way) -> nix::Result<usize> {
        let mut replies = self.replies[first..end].iter();
        let pieces: [[IoSlice<'_>; 1]; BATCH] =
            std::array::from_fn(|_| [IoSlice::new(replies.next().map_or(&[], Vec::as_slice))]);
        let (pieces, to) = (&pieces[..end - first], &self.to[first..end]);
        let socket = socket.as_raw_fd();
        let sent = match way.source {
            IpAddr::V4(source) if self.is_v4 => {
                let info = libc::in_pktinfo {
                    ipi_ifindex: i32::try_from(way.interface).unwrap_or(0),
                    ipi_spec_dst: libc::in_addr { s_addr: u32::from(source).to_be() },
                    ipi_addr: libc::in_addr { s_addr: 0 },
                };
                let control = [ControlMessage::Ipv4PacketInfo(&info)];
                sendmmsg(socket, &mut self.headers, pieces, to, control, MsgFlags::MSG_DONTWAIT)?.count()
            }
            source => {
                let IpAddr::V6(source) = source else { return Err(Errno::EAFNOSUPPORT) };
                let info = libc::in6_pktinfo {
                    ipi6_addr: libc::in6_addr { s6_addr: source.octets() },
                    ipi6_ifindex: way.interface,
                };
                let control = [ControlMessage::Ipv6PacketInfo(&info)];
                sendmmsg(socket, &mut self.headers, pieces, to, control, MsgFlags::MSG_DONTWAIT)?.count()
            }
        };
        Ok(sent)
    }
}

fn socket_address(address: &SockaddrStorage) -> Option<SocketAddr> {
    if let Some(v4) = address.as_sockaddr_in() {
        return Some(SocketAddr::V4(SocketAddrV4::new(v4.ip(), v4.port())));
    }
    let v6 = address.as_sockaddr_in6()?;
    Some(SocketAddr::V6(SocketAddrV6::new(v6.ip(), v6.port(), v6.flowinfo(), v6.scope_id())))
}
