//! DHCPv4 on one interface, through a packet socket: there is no address yet.

use super::held::Given;
use super::{Interface, LOOK_EVERY, Tell};
use crate::dhcp::frame::{self, IPV4};
use crate::dhcp::{Accepts, Client, Destination, Lease, Persona};
use crate::trust;
use model::Time;
use model::facts::Stage;
use nix::errno::Errno;
use nix::sys::socket::{LinkAddr, MsgFlags, recvfrom, sendto};
use socket2::{Domain, Protocol, Socket, Type};
use std::borrow::Cow;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddrV4};
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};
use wire::dhcp4::{CLIENT_PORT, SERVER_PORT, code};

/// What this client calls itself (Option 60).
const CLASS: &str = "zonewright-ramdisk";
const PARAMETERS: &[u8] = &[
    code::SUBNET_MASK,
    code::ROUTER,
    code::HOST_NAME,
    code::DOMAIN_NAME,
    code::INTERFACE_MTU,
    code::RENEWAL_TIME,
    code::REBINDING_TIME,
];

/// What a system without disk says of itself.
fn persona() -> Persona {
    Persona {
        stage: Stage::Os,
        vendor_class: Cow::Borrowed(CLASS),
        architecture: None,
        user_class: "",
        parameters: PARAMETERS,
        maximum_size: Some(1472),
        more: &[],
        sends_uuid: false,
        broadcast: true,
        accepts: Accepts::Address,
        waits: &[],
    }
}

/// Speaks DHCP on one interface until nobody wants to hear of it.
pub(super) fn speak(interface: &Interface, link: &LinkAddr, tell: &Tell<'_>) -> io::Result<()> {
    let protocol = Protocol::from(i32::from(IPV4.to_be()));
    let socket = Socket::new(Domain::PACKET, Type::RAW.cloexec(), Some(protocol))?;
    socket.attach_filter(&frame::filter(None))?;
    let renewing = renewal_socket(interface)?;
    let began = Instant::now();
    let now = || Time(u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX));
    let seed = trust::random() as u32;
    let mut client = Client::new(persona(), interface.mac, [0; 16], seed, now());
    let (mut told, mut buffer) = (None, [0; 2048]);
    loop {
        while let Some((message, destination)) = client.poll(now()) {
            let from = match destination {
                Destination::Server { to, .. } => {
                    // Not reached is not answered: the client asks again in its time.
                    let _ = renewing.send_to(&message, &SocketAddrV4::new(to, SERVER_PORT).into());
                    continue;
                }
                Destination::Broadcast => Ipv4Addr::UNSPECIFIED,
                Destination::BroadcastFrom(own) => own,
            };
            let frame = frame::broadcast(interface.mac, from, &message);
            let sent = sendto(socket.as_raw_fd(), &frame, link, MsgFlags::empty());
            // Without a cable nobody hears, and the client asks again in its time; without the interface nobody ever will.
            if matches!(sent, Err(Errno::ENODEV | Errno::ENXIO)) {
                return Ok(());
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
        match recvfrom::<LinkAddr>(socket.as_raw_fd(), &mut buffer) {
            Ok((length, Some(from))) if u32::try_from(from.ifindex()) == Ok(interface.index) => {
                if let Some(message) = frame::payload(&buffer[..length]) {
                    client.receive(message, now());
                }
            }
            // Of another interface; or nothing came, or the cable went: time passes.
            Ok(_) | Err(_) => {}
        }
        if client.deadline().is_some_and(|deadline| now() >= deadline) {
            client.tick(now());
        }
    }
}

fn given(lease: &Lease) -> Given {
    Given {
        address: lease.address.into(),
        prefix_length: lease.prefix_length,
        router: lease.routers.first().copied().map(IpAddr::V4),
        name: lease.host_name.clone(),
    }
}

/// Renewals go to one server from the own address. Answers are heard beside it, by the packet socket; without this one
/// the kernel would tell the server that nobody listens.
fn renewal_socket(interface: &Interface) -> io::Result<Socket> {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM.cloexec(), Some(Protocol::UDP))?;
    socket.set_reuse_address(true)?;
    socket.bind_device(Some(interface.name.as_bytes()))?;
    socket.bind(&SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, CLIENT_PORT).into())?;
    Ok(socket)
}
