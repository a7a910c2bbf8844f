//! The loop around a UDP socket: receive, answer, send. Nothing between the two waits.
//!
//! The answer leaves by the address that the request came to: a client or relay that asked one of several addresses
//! drops what comes from another.

use crate::counters::Traffic;
use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::socket::{
    ControlMessage, ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg, sendmsg, setsockopt, sockopt,
};
use socket2::Socket;
use std::io::{self, IoSlice, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::{AsFd, AsRawFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

/// The largest datagram that is looked at; a longer one is cut, and so malformed.
pub(crate) const DATAGRAM_MAX: usize = 4096;
/// Datagrams that are answered before the stop signal is looked at again.
const ROUND_MAX: usize = 256;

/// Ends every loop that holds a copy.
#[derive(Clone)]
pub(crate) struct Stop(Arc<EventFd>);

impl Stop {
    pub(crate) fn new() -> io::Result<Self> {
        let flags = EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK;
        Ok(Self(Arc::new(EventFd::from_value_and_flags(0, flags)?)))
    }

    /// Now. It stays readable, so that every loop sees it.
    pub(crate) fn stop(&self) {
        // It fails only when the counter is full, and then it is readable already.
        let _ = self.0.write(1);
    }
}

/// Where a datagram came from and to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Path {
    /// The sender.
    pub(crate) from: SocketAddr,
    /// Our address that it came to, and by which the answer leaves.
    pub(crate) to: IpAddr,
    /// The network interface that it came by.
    pub(crate) interface: u32,
}

/// Prepares a socket to tell where each datagram came to.
pub(crate) fn prepare(socket: &Socket) -> io::Result<()> {
    if is_v4(socket)? {
        setsockopt(socket, sockopt::Ipv4PacketInfo, &true)?;
    } else {
        setsockopt(socket, sockopt::Ipv6RecvPacketInfo, &true)?;
    }
    Ok(())
}

fn is_v4(socket: &Socket) -> io::Result<bool> {
    Ok(socket.local_addr()?.is_ipv4())
}

/// Answers datagrams until it is stopped. `answer` writes into the buffer and says where to; `None` sends nothing. A
/// panic in it costs one datagram.
pub(crate) fn serve(
    socket: &Socket,
    stop: &Stop,
    traffic: &Traffic,
    mut answer: impl FnMut(&[u8], Path, &mut Vec<u8>) -> Option<SocketAddr>,
) {
    let port = crate::sockets::port(socket);
    let mut buffer = vec![0; DATAGRAM_MAX];
    let mut reply = Vec::with_capacity(DATAGRAM_MAX);
    loop {
        let mut ready =
            [PollFd::new(socket.as_fd(), PollFlags::POLLIN), PollFd::new(stop.0.as_fd(), PollFlags::POLLIN)];
        // An interrupted poll is asked again; nothing else can fail here.
        let _ = poll(&mut ready, PollTimeout::NONE);
        if ready[1].any().unwrap_or(true) {
            return;
        }
        for _ in 0..ROUND_MAX {
            let Some((length, path)) = receive(socket, port, &mut buffer) else { break };
            traffic.received.one();
            reply.clear();
            let outcome = catch_unwind(AssertUnwindSafe(|| answer(&buffer[..length], path, &mut reply)));
            match outcome {
                Ok(None) => {}
                Ok(Some(to)) => match send(socket, &reply, to, path) {
                    Ok(()) => {
                        traffic.answered.one();
                        traffic.octets.add(reply.len() as u64);
                    }
                    Err(_) => traffic.send_failed.one(),
                },
                Err(_) => traffic.panicked.one(),
            }
        }
    }
}

/// One datagram; `None` when there is none now.
fn receive(socket: &Socket, port: u16, buffer: &mut [u8]) -> Option<(usize, Path)> {
    let mut control = nix::cmsg_space!(libc::in6_pktinfo);
    loop {
        let mut pieces = [IoSliceMut::new(buffer)];
        let received = recvmsg::<SockaddrStorage>(
            socket.as_raw_fd(),
            &mut pieces,
            Some(&mut control),
            MsgFlags::MSG_DONTWAIT,
        );
        let message = match received {
            Ok(message) => message,
            // The network's answer to something that we sent (ICMP unreachable): not about what is still to be read.
            Err(
                nix::errno::Errno::ECONNREFUSED | nix::errno::Errno::EHOSTUNREACH | nix::errno::Errno::EINTR,
            ) => continue,
            Err(_) => return None,
        };
        let from = message.address.as_ref().and_then(socket_address)?;
        let (mut to, mut interface) = (None, 0);
        for control in message.cmsgs().into_iter().flatten() {
            match control {
                ControlMessageOwned::Ipv4PacketInfo(info) => {
                    // spec_dst, not addr: for a broadcast it is our own address on that interface.
                    to = Some(IpAddr::V4(Ipv4Addr::from(u32::from_be(info.ipi_spec_dst.s_addr))));
                    interface = u32::try_from(info.ipi_ifindex).unwrap_or(0);
                }
                ControlMessageOwned::Ipv6PacketInfo(info) => {
                    to = Some(IpAddr::V6(Ipv6Addr::from(info.ipi6_addr.s6_addr)));
                    interface = info.ipi6_ifindex;
                }
                _ => {}
            }
        }
        // A sender that claims to be this very socket would make us talk to ourselves for ever.
        let Some(to) = to else { continue };
        if from.port() == port && from.ip() == to {
            continue;
        }
        return Some((message.bytes, Path { from, to, interface }));
    }
}

fn send(socket: &Socket, reply: &[u8], to: SocketAddr, path: Path) -> nix::Result<()> {
    let pieces = [IoSlice::new(reply)];
    let address = SockaddrStorage::from(to);
    let sent = match path.to {
        IpAddr::V4(source) => {
            let source = libc::in_addr { s_addr: u32::from(source).to_be() };
            // A broadcast goes back to the wire that the request came by; anything else as routes say.
            let is_broadcast = to.ip() == IpAddr::V4(Ipv4Addr::BROADCAST);
            let interface = if is_broadcast { i32::try_from(path.interface).unwrap_or(0) } else { 0 };
            let info = libc::in_pktinfo {
                ipi_ifindex: interface,
                ipi_spec_dst: source,
                ipi_addr: libc::in_addr { s_addr: 0 },
            };
            let control = [ControlMessage::Ipv4PacketInfo(&info)];
            sendmsg(socket.as_raw_fd(), &pieces, &control, MsgFlags::MSG_DONTWAIT, Some(&address))
        }
        IpAddr::V6(source) => {
            let scoped = source.is_unicast_link_local();
            let info = libc::in6_pktinfo {
                ipi6_addr: libc::in6_addr { s6_addr: source.octets() },
                ipi6_ifindex: if scoped { path.interface } else { 0 },
            };
            let control = [ControlMessage::Ipv6PacketInfo(&info)];
            sendmsg(socket.as_raw_fd(), &pieces, &control, MsgFlags::MSG_DONTWAIT, Some(&address))
        }
    };
    sent.map(drop)
}

fn socket_address(address: &SockaddrStorage) -> Option<SocketAddr> {
    if let Some(v4) = address.as_sockaddr_in() {
        return Some(SocketAddr::V4(SocketAddrV4::new(v4.ip(), v4.port())));
    }
    let v6 = address.as_sockaddr_in6()?;
    Some(SocketAddr::V6(SocketAddrV6::new(v6.ip(), v6.port(), v6.flowinfo(), v6.scope_id())))
}
