//! DHCPv6 on one interface, from the link-local address that the kernel makes. Routers and what is on the link come from router
//! advertisements, which the kernel minds by itself.

use super::held::Given;
use super::{Interface, LOOK_EVERY, Tell};
use crate::dhcp::{Client6, Lease6};
use crate::trust;
use model::Time;
use nix::errno::Errno;
use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use std::io::{self, Read};
use std::net::{Ipv6Addr, SocketAddrV6};
use std::time::{Duration, Instant};
use wire::dhcp6::{ALL_RELAYS_AND_SERVERS, CLIENT_PORT, MESSAGE_MAX, SERVER_PORT};

/// Speaks DHCPv6 on one interface until nobody wants to hear of it. Advertisements need not ask for it: without a server there is a
/// message every two minutes. Where the kernel has no IPv6 there is nothing to do.
pub(super) fn speak(interface: &Interface, tell: &Tell<'_>) -> io::Result<()> {
    let mut socket = match socket(interface) {
        Err(error) if error.raw_os_error() == Some(Errno::EAFNOSUPPORT as i32) => return Ok(()),
        opened => opened?,
    };
    let all = SockAddr::from(SocketAddrV6::new(ALL_RELAYS_AND_SERVERS, SERVER_PORT, 0, interface.index));
    let began = Instant::now();
    let now = || Time(u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX));
    let mut client = Client6::new(interface.mac, trust::random() as u32, now());
    let (mut told, mut buffer) = (None, [0; MESSAGE_MAX]);
    loop {
        while let Some(message) = client.poll(now()) {
            // Without a cable nobody hears, nor before the link-local address is ready, and the client asks again in its time;
            // without the interface nobody ever will.
            match socket.send_to(&message, &all) {
                Err(error)
                    if [Errno::ENODEV, Errno::ENXIO]
                        .map(|it| Some(it as i32))
                        .contains(&error.raw_os_error()) =>
                {
                    return Ok(());
                }
                _ => {}
            }
        }
        let lease = client.lease().cloned();
        if lease != told {
            if !tell(lease.as_ref().map(given)) {
                return Ok(());
            }
            told = lease;
        }
        let wait = client.deadline().map_or(LOOK_EVERY, |deadline| deadline.since(now()));
        socket.set_read_timeout(Some(wait.clamp(Duration::from_millis(1), LOOK_EVERY)))?;
        // An error is that nothing came, or that the cable went: time passes.
        if let Ok(length) = socket.read(&mut buffer) {
            client.receive(&buffer[..length], now());
        }
        client.tick(now());
    }
}

fn given(lease: &Lease6) -> Given {
    // What else is on the link is not the server's to say (RFC 8415 §18.2.10.1).
    Given { address: lease.address.into(), prefix_length: 128, router: None, name: lease.host_name.clone() }
}

fn socket(interface: &Interface) -> io::Result<Socket> {
    let socket = Socket::new(Domain::IPV6, Type::DGRAM.cloexec(), Some(Protocol::UDP))?;
    socket.set_only_v6(true)?;
    socket.set_reuse_address(true)?;
    socket.bind_device(Some(interface.name.as_bytes()))?;
    socket.bind(&SocketAddrV6::new(Ipv6Addr::UNSPECIFIED, CLIENT_PORT, 0, 0).into())?;
    Ok(socket)
}
