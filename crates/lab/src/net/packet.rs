//! Whole Ethernet frames, in and out of the interfaces of one namespace.
//!
//! One socket hears all interfaces of its namespace and says which one a frame came in by: that is how a relay knows
//! the port. A filter in the kernel keeps everything but the wanted UDP port away, so bulk traffic costs nothing here.

use super::Namespace;
use crate::error::{Doing, Error};
use nix::errno::Errno;
use nix::net::if_::InterfaceFlags;
use nix::sys::socket::{
    AddressFamily, LinkAddr, MsgFlags, SockFlag, SockProtocol, SockType, recvfrom, sendto, socket,
};
use socket2::{SockFilter, Socket};
use std::collections::HashMap;
use std::io;
use std::os::fd::AsRawFd;
use tokio::io::Interest;

/// Which frames a socket hears; always only those that come in, never those that this host sends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Filter {
    /// UDP over IPv4 to this port.
    UdpTo(u16),
    /// UDP over IPv6 to this port, without extension headers.
    Udp6To(u16),
    /// Frames of this Ethernet type.
    EtherType(u16),
}

/// A socket for whole frames.
#[derive(Debug)]
pub(crate) struct PacketSocket {
    /// The runtime's only safe way to wait for a descriptor that it did not open is one of its own socket types; no
    /// UDP call is ever made on it.
    socket: tokio::net::UdpSocket,
    interfaces: HashMap<u32, LinkAddr>,
}

/// A frame that came in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Received {
    /// The number of the interface.
    pub index: u32,
    /// How much of the buffer it fills.
    pub length: usize,
}

impl PacketSocket {
    /// Opens one in `namespace`, for the interfaces that are there now. It must be called inside a runtime.
    ///
    /// # Errors
    /// If a system call is refused.
    pub(crate) fn open(namespace: &Namespace, filter: Filter) -> Result<Self, Error> {
        let (socket, interfaces) = namespace.run(|| {
            let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
            let socket = socket(AddressFamily::Packet, SockType::Raw, flags, SockProtocol::EthAll)
                .doing(|| "open a packet socket")?;
            let socket = Socket::from(socket);
            socket.attach_filter(&filter.program()).doing(|| "filter a packet socket")?;
            Ok((socket, interfaces()?))
        })?;
        let socket = std::net::UdpSocket::from(std::os::fd::OwnedFd::from(socket));
        let socket = tokio::net::UdpSocket::from_std(socket).doing(|| "watch a packet socket")?;
        Ok(Self { socket, interfaces })
    }

    /// The next frame. Longer than the buffer means cut.
    ///
    /// # Errors
    /// As the kernel says; "network is down" is told for an interface that went down, and the socket stays good.
    pub(crate) async fn receive(&self, buffer: &mut [u8]) -> io::Result<Received> {
        loop {
            self.socket.readable().await?;
            let result = self.socket.try_io(Interest::READABLE, || {
                recvfrom::<LinkAddr>(self.socket.as_raw_fd(), buffer).map_err(io::Error::from)
            });
            match result {
                Ok((length, Some(from))) => {
                    return Ok(Received { index: u32::try_from(from.ifindex()).unwrap_or(0), length });
                }
                Ok((_, None)) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Sends a frame out of an interface. A full queue drops it, as a wire would; so does an interface that is down.
    ///
    /// # Errors
    /// If the interface was not there when the socket was opened, or the kernel refuses for another reason.
    pub(crate) fn send(&self, index: u32, frame: &[u8]) -> io::Result<()> {
        let to = self.interfaces.get(&index).ok_or_else(|| io::Error::from(Errno::ENODEV))?;
        match sendto(self.socket.as_raw_fd(), frame, to, MsgFlags::empty()) {
            Ok(_) | Err(Errno::EAGAIN | Errno::ENOBUFS | Errno::ENETDOWN | Errno::ENXIO | Errno::ENODEV) => {
                Ok(())
            }
            Err(error) => Err(error.into()),
        }
    }
}

/// Every interface of the current namespace by number, with the address that names it to the kernel.
fn interfaces() -> Result<HashMap<u32, LinkAddr>, Error> {
    let found = nix::ifaddrs::getifaddrs().doing(|| "list the interfaces of a namespace")?;
    Ok(found
        .filter_map(|interface| interface.address?.as_link_addr().copied())
        .filter_map(|address| Some((u32::try_from(address.ifindex()).ok()?, address)))
        .collect())
}

/// Whether an interface of a namespace hears the other end of its cable. It does not if that cannot be told.
pub(crate) fn has_carrier(namespace: &Namespace, index: u32) -> bool {
    // Not IFF_RUNNING: that follows the carrier by up to a second (net/core/link_watch.c).
    let running = namespace.run(|| {
        let found = nix::ifaddrs::getifaddrs().doing(|| "list the interfaces of a namespace")?;
        Ok(found
            .filter(|interface| interface.flags.contains(InterfaceFlags::IFF_LOWER_UP))
            .filter_map(|interface| interface.address?.as_link_addr()?.ifindex().try_into().ok())
            .collect::<Vec<u32>>())
    });
    running.is_ok_and(|running| running.contains(&index))
}

// Classic BPF (linux/bpf_common.h).
const LOAD_BYTE: u16 = 0x30;
const LOAD_HALF: u16 = 0x28;
const LOAD_HALF_INDEXED: u16 = 0x48;
const LOAD_IP_HEADER_LENGTH: u16 = 0xb1;
const JUMP_IF_EQUAL: u16 = 0x15;
const JUMP_IF_ANY_BIT: u16 = 0x45;
const RETURN: u16 = 0x06;
/// Where the kernel shows a packet's direction (linux/filter.h SKF_AD_OFF + SKF_AD_PKTTYPE).
const PACKET_TYPE_AT: u32 = 0xffff_f004;
/// linux/if_packet.h PACKET_OUTGOING.
const OUTGOING: u32 = 4;

impl Filter {
    fn program(self) -> Vec<SockFilter> {
        let op = SockFilter::new;
        match self {
            Filter::UdpTo(port) => vec![
                op(LOAD_BYTE, 0, 0, PACKET_TYPE_AT),
                op(JUMP_IF_EQUAL, 10, 0, OUTGOING),
                op(LOAD_HALF, 0, 0, 12),
                op(JUMP_IF_EQUAL, 0, 8, 0x0800),
                op(LOAD_BYTE, 0, 0, 23),
                op(JUMP_IF_EQUAL, 0, 6, 17),
                op(LOAD_HALF, 0, 0, 20),
                op(JUMP_IF_ANY_BIT, 4, 0, 0x1fff),
                op(LOAD_IP_HEADER_LENGTH, 0, 0, 14),
                op(LOAD_HALF_INDEXED, 0, 0, 16),
                op(JUMP_IF_EQUAL, 0, 1, u32::from(port)),
                op(RETURN, 0, 0, u32::from(u16::MAX)),
                op(RETURN, 0, 0, 0),
            ],
            Filter::Udp6To(port) => vec![
                op(LOAD_BYTE, 0, 0, PACKET_TYPE_AT),
                op(JUMP_IF_EQUAL, 7, 0, OUTGOING),
                op(LOAD_HALF, 0, 0, 12),
                op(JUMP_IF_EQUAL, 0, 5, 0x86dd),
                op(LOAD_BYTE, 0, 0, 20),
                op(JUMP_IF_EQUAL, 0, 3, 17),
                op(LOAD_HALF, 0, 0, 56),
                op(JUMP_IF_EQUAL, 0, 1, u32::from(port)),
                op(RETURN, 0, 0, u32::from(u16::MAX)),
                op(RETURN, 0, 0, 0),
            ],
            Filter::EtherType(kind) => vec![
                op(LOAD_BYTE, 0, 0, PACKET_TYPE_AT),
                op(JUMP_IF_EQUAL, 3, 0, OUTGOING),
                op(LOAD_HALF, 0, 0, 12),
                op(JUMP_IF_EQUAL, 0, 1, u32::from(kind)),
                op(RETURN, 0, 0, u32::from(u16::MAX)),
                op(RETURN, 0, 0, 0),
            ],
        }
    }
}
