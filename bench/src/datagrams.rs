//! Many datagrams for one system call, received and sent: the generator's socket, and the bare reflector's.

use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, MultiHeaders, SockaddrStorage, recvmmsg, sendmmsg};
use socket2::{Domain, Protocol, Socket, Type};
use std::io::{self, IoSlice, IoSliceMut};
use std::net::{SocketAddr, SocketAddrV4, SocketAddrV6, UdpSocket};
use std::os::fd::AsRawFd as _;

/// Datagrams of one call.
pub(crate) const BATCH: usize = 64;
/// The longest datagram; all that is measured here fits an Ethernet frame.
const LENGTH_MAX: usize = 1500;
/// What may wait in a socket, octets: a burst that the generator cannot look at yet is not a loss of the server.
const WAITING_MAX: usize = 16 << 20;

/// A socket with room for a batch each way.
pub(crate) struct Datagrams {
    socket: UdpSocket,
    /// Sending writes addresses of its own into the headers: receiving needs others.
    to_receive: MultiHeaders<SockaddrStorage>,
    to_send: MultiHeaders<SockaddrStorage>,
    incoming: Vec<[u8; LENGTH_MAX]>,
    received: Vec<(usize, Option<SockaddrStorage>)>,
    outgoing: Vec<Vec<u8>>,
    addresses: Vec<Option<SockaddrStorage>>,
}

impl Datagrams {
    /// Listens on an address and port.
    pub(crate) fn open(address: SocketAddr) -> Result<Self, String> {
        let socket = open(address).map_err(|error| format!("failed to listen on {address}: {error}"))?;
        Ok(Self {
            socket,
            to_receive: MultiHeaders::preallocate(BATCH, None),
            to_send: MultiHeaders::preallocate(BATCH, None),
            incoming: vec![[0; LENGTH_MAX]; BATCH],
            received: Vec::with_capacity(BATCH),
            outgoing: Vec::new(),
            addresses: Vec::new(),
        })
    }

    /// Takes what is there, waiting for the first if `waits`. Gives how many there are; [`Datagrams::datagram`] has them.
    pub(crate) fn receive(&mut self, waits: bool) -> usize {
        let flags = if waits { MsgFlags::MSG_WAITFORONE } else { MsgFlags::MSG_DONTWAIT };
        let mut slices: Vec<[IoSliceMut<'_>; 1]> =
            self.incoming.iter_mut().map(|buffer| [IoSliceMut::new(buffer)]).collect();
        self.received.clear();
        // What fails is the answer to something that was sent (ICMP unreachable): nothing is there to be read.
        if let Ok(results) =
            recvmmsg(self.socket.as_raw_fd(), &mut self.to_receive, slices.iter_mut(), flags, None)
        {
            self.received.extend(results.map(|message| (message.bytes, message.address)));
        }
        self.received.len()
    }

    /// One of the batch that was received last, and its sender.
    pub(crate) fn datagram(&mut self, number: usize) -> (&mut [u8], Option<SockaddrStorage>) {
        let (length, from) = self.received[number];
        (&mut self.incoming[number][..length], from)
    }

    /// Sends back all of the batch that was received last.
    pub(crate) fn reflect(&mut self) {
        let slices: Vec<[IoSlice<'_>; 1]> = (self.incoming.iter().zip(&self.received))
            .map(|(buffer, (length, _))| [IoSlice::new(&buffer[..*length])])
            .collect();
        let addresses: Vec<_> = self.received.iter().map(|(_, from)| *from).collect();
        send(&self.socket, &mut self.to_send, &slices, &addresses);
    }

    /// Puts a datagram into the batch to be sent.
    pub(crate) fn push(&mut self, datagram: &[u8], to: SocketAddr) {
        let used = self.addresses.len();
        if used == self.outgoing.len() {
            self.outgoing.push(Vec::with_capacity(LENGTH_MAX));
        }
        self.outgoing[used].clear();
        self.outgoing[used].extend_from_slice(datagram);
        self.addresses.push(Some(storage(to)));
        if self.addresses.len() == BATCH {
            self.flush();
        }
    }

    /// Sends the batch.
    pub(crate) fn flush(&mut self) {
        if self.addresses.is_empty() {
            return;
        }
        let slices: Vec<[IoSlice<'_>; 1]> =
            self.outgoing[..self.addresses.len()].iter().map(|datagram| [IoSlice::new(datagram)]).collect();
        send(&self.socket, &mut self.to_send, &slices, &self.addresses);
        self.addresses.clear();
    }
}

fn open(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    // The administrator may pass the system's limit; who is not keeps what is usual.
    let _ = nix::sys::socket::setsockopt(&socket, nix::sys::socket::sockopt::RcvBufForce, &WAITING_MAX);
    let _ = nix::sys::socket::setsockopt(&socket, nix::sys::socket::sockopt::SndBufForce, &WAITING_MAX);
    socket.bind(&address.into())?;
    Ok(socket.into())
}

fn send(
    socket: &UdpSocket,
    headers: &mut MultiHeaders<SockaddrStorage>,
    slices: &[[IoSlice<'_>; 1]],
    addresses: &[Option<SockaddrStorage>],
) {
    let mut sent = 0;
    while sent < slices.len() {
        let (rest, to) = (&slices[sent..], &addresses[sent..]);
        let flags = MsgFlags::MSG_DONTWAIT;
        match sendmmsg(socket.as_raw_fd(), headers, rest.iter(), to, [], flags) {
            Ok(results) => sent += results.count().max(1),
            // The cable is full for the moment.
            Err(Errno::EAGAIN | Errno::EINTR | Errno::ENOBUFS) => std::hint::spin_loop(),
            // Told of an earlier one that was not wanted (ICMP unreachable): the call sent nothing.
            Err(Errno::ECONNREFUSED) => {}
            Err(_) => sent += 1,
        }
    }
}

fn storage(address: SocketAddr) -> SockaddrStorage {
    match address {
        SocketAddr::V4(v4) => SockaddrStorage::from(SocketAddrV4::new(*v4.ip(), v4.port())),
        SocketAddr::V6(v6) => {
            SockaddrStorage::from(SocketAddrV6::new(*v6.ip(), v6.port(), v6.flowinfo(), v6.scope_id()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    #[test]
    fn more_than_a_batch_comes_back_from_the_reflector_as_it_was_sent() {
        let open = || Datagrams::open((Ipv4Addr::LOCALHOST, 0).into()).expect("a socket");
        let (mut asker, mut reflector) = (open(), open());
        let to = reflector.socket.local_addr().expect("an address");
        let wanted: Vec<Vec<u8>> = (0..=BATCH).map(|number| vec![b'.'; number + 1]).collect();
        for datagram in &wanted {
            asker.push(datagram, to);
        }
        asker.flush();
        let mut reflected = 0;
        while reflected < wanted.len() {
            reflected += reflector.receive(true);
            reflector.reflect();
        }
        let mut heard = Vec::new();
        while heard.len() < wanted.len() {
            for number in 0..asker.receive(true) {
                heard.push(asker.datagram(number).0.to_vec());
            }
        }
        assert_eq!(heard, wanted);
    }
}
