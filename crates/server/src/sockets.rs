//! Opening sockets, with one clear sentence where that fails.

use crate::options::StartError;
use nix::sys::socket::{setsockopt, sockopt};
use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use std::fs::{DirBuilder, Permissions};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::os::fd::AsFd;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::Path;
use tokio::net::UnixListener;

/// Octets that the kernel holds for a UDP socket while its thread is busy: a second of a zone's power-on.
const UDP_BUFFER: usize = 4 << 20;
/// Connections that the kernel holds until they are accepted.
const BACKLOG: i32 = 1024;

/// What a port is for, in the sentence about it.
#[derive(Clone, Copy)]
pub(crate) struct Purpose {
    pub(crate) service: &'static str,
    pub(crate) transport: &'static str,
}

/// The addresses to serve on: the one that was given, or all of both families.
pub(crate) fn addresses(given: Option<IpAddr>) -> Vec<IpAddr> {
    match given {
        Some(address) => vec![address],
        None => vec![IpAddr::V4(Ipv4Addr::UNSPECIFIED), IpAddr::V6(Ipv6Addr::UNSPECIFIED)],
    }
}

/// One UDP socket on each address, all on one port.
pub(crate) fn udp(
    addresses: &[IpAddr],
    port: u16,
    interface: Option<&str>,
    purpose: Purpose,
) -> Result<Vec<Socket>, StartError> {
    each(addresses, port, purpose, |address| datagram_socket(address, interface, false))
}

/// A UDP socket on an IPv6 address; none on a host without IPv6.
pub(crate) fn udp6(
    address: Ipv6Addr,
    port: u16,
    interface: Option<&str>,
    purpose: Purpose,
) -> Result<Option<Socket>, StartError> {
    let address = SocketAddr::new(address.into(), port);
    match datagram_socket(address, interface, false) {
        Ok(socket) => Ok(Some(socket)),
        Err(error) if is_no_such_family(&error) => Ok(None),
        Err(error) => Err(StartError::Bind(sentence(address, purpose, &error))),
    }
}

/// Several UDP sockets on each address, all on one port, among which the kernel deals out what comes.
///
/// The first of each is bound alone: `SO_REUSEPORT` from the start would let a second server share the port with us
/// silently. The first ones come first in what is returned.
pub(crate) fn udp_groups(
    addresses: &[IpAddr],
    port: u16,
    interface: Option<&str>,
    purpose: Purpose,
    members: usize,
) -> Result<Vec<Socket>, StartError> {
    let mut sockets = udp(addresses, port, interface, purpose)?;
    for position in 0..sockets.len() {
        share(&mut sockets, position, interface, purpose, members)?;
    }
    Ok(sockets)
}

/// Opens the other members of the group whose first socket is at `position`.
fn share(
    sockets: &mut Vec<Socket>,
    position: usize,
    interface: Option<&str>,
    purpose: Purpose,
    members: usize,
) -> Result<(), StartError> {
    let first = &sockets[position];
    let Some(address) = first.local_addr().ok().and_then(|address| address.as_socket()) else {
        return Ok(());
    };
    let failed = |error: io::Error| StartError::Bind(sentence(address, purpose, &error));
    first.set_reuse_port(true).map_err(failed)?;
    for _ in 1..members {
        sockets.push(datagram_socket(address, interface, true).map_err(failed)?);
    }
    Ok(())
}

fn datagram_socket(address: SocketAddr, interface: Option<&str>, is_shared: bool) -> io::Result<Socket> {
    let socket = unbound(address, Type::DGRAM, Protocol::UDP, interface)?;
    socket.set_reuse_port(is_shared)?;
    // Root may exceed net.core.rmem_max; anybody else gets what it allows, and serves with less.
    if setsockopt(&socket, sockopt::RcvBufForce, &UDP_BUFFER).is_err() {
        let _ = socket.set_recv_buffer_size(UDP_BUFFER);
    }
    let _ = socket.set_send_buffer_size(UDP_BUFFER);
    socket.set_broadcast(true)?;
    socket.bind(&SockAddr::from(address))?;
    Ok(socket)
}

/// One listening TCP socket on each address, all on one port.
pub(crate) fn tcp(addresses: &[IpAddr], port: u16, purpose: Purpose) -> Result<Vec<TcpListener>, StartError> {
    let sockets = each(addresses, port, purpose, |address| {
        let socket = unbound(address, Type::STREAM, Protocol::TCP, None)?;
        socket.bind(&SockAddr::from(address))?;
        socket.listen(BACKLOG)?;
        Ok(socket)
    })?;
    Ok(sockets.into_iter().map(TcpListener::from).collect())
}

/// The listening TCP socket that is standard input, as a supervisor passes it on.
pub(crate) fn inherited() -> Result<TcpListener, StartError> {
    let socket = io::stdin().as_fd().try_clone_to_owned().map(TcpListener::from);
    let listener = socket.and_then(|listener| {
        listener.local_addr()?;
        listener.set_nonblocking(true)?;
        Ok(listener)
    });
    listener.map_err(|error| StartError::Bind(format!("standard input is no listening TCP socket: {error}")))
}

/// A listening unix socket that only its owner may use. One that a dead server left is replaced, a live one is not.
pub(crate) fn unix(path: &Path) -> Result<UnixListener, StartError> {
    let failed = |error: io::Error| {
        StartError::Bind(format!("the API's socket {} cannot be made: {error}", path.display()))
    };
    if let Some(directory) = path.parent() {
        DirBuilder::new().recursive(true).mode(0o755).create(directory).map_err(failed)?;
    }
    if std::os::unix::net::UnixStream::connect(path).is_ok() {
        return Err(StartError::Bind(format!(
            "the API's socket {} is in use by another zw serve; stop that one first, or name another with --api-socket",
            path.display()
        )));
    }
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
        _ => {}
    }
    // Nobody can connect between bind and chmod that could not before: it does not listen yet.
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None).map_err(failed)?;
    socket.bind(&SockAddr::unix(path).map_err(failed)?).map_err(failed)?;
    std::fs::set_permissions(path, Permissions::from_mode(0o600)).map_err(failed)?;
    socket.listen(BACKLOG).map_err(failed)?;
    socket.set_nonblocking(true).map_err(failed)?;
    UnixListener::from_std(socket.into()).map_err(failed)
}

/// The port of a socket.
pub(crate) fn port(socket: &Socket) -> u16 {
    socket.local_addr().ok().and_then(|address| address.as_socket()).map_or(0, |address| address.port())
}

fn each(
    addresses: &[IpAddr],
    mut port: u16,
    purpose: Purpose,
    open: impl Fn(SocketAddr) -> io::Result<Socket>,
) -> Result<Vec<Socket>, StartError> {
    let mut sockets = Vec::new();
    for address in addresses {
        match open(SocketAddr::new(*address, port)) {
            Ok(socket) => {
                port = self::port(&socket);
                sockets.push(socket);
            }
            // A host without IPv6 still serves IPv4.
            Err(error) if !sockets.is_empty() && is_no_such_family(&error) => {}
            Err(error) => {
                return Err(StartError::Bind(sentence(SocketAddr::new(*address, port), purpose, &error)));
            }
        }
    }
    Ok(sockets)
}

fn unbound(
    address: SocketAddr,
    kind: Type,
    protocol: Protocol,
    interface: Option<&str>,
) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), kind, Some(protocol))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    if kind == Type::STREAM {
        // A restart does not wait for the last connections' TIME-WAIT. Never on UDP: there it would let a second
        // server take the port silently.
        socket.set_reuse_address(true)?;
    }
    if let Some(interface) = interface {
        socket.bind_device(Some(interface.as_bytes()))?;
    }
    socket.set_nonblocking(true)?;
    Ok(socket)
}

fn is_no_such_family(error: &io::Error) -> bool {
    use nix::libc::{EADDRNOTAVAIL, EAFNOSUPPORT};
    matches!(error.raw_os_error(), Some(EAFNOSUPPORT | EADDRNOTAVAIL))
}

fn sentence(address: SocketAddr, Purpose { service, transport }: Purpose, error: &io::Error) -> String {
    let (host, port) = (address.ip(), address.port());
    let flag = if transport == "udp" { 'u' } else { 't' };
    match error.kind() {
        io::ErrorKind::AddrInUse => format!(
            "{service} cannot be served: port {port}/{transport} on {host} is in use by another program; find it with `ss -{flag}lpn sport = :{port}`"
        ),
        io::ErrorKind::PermissionDenied if port < 1024 => format!(
            "{service} cannot be served: port {port}/{transport} needs root or the capability CAP_NET_BIND_SERVICE (in a systemd unit: AmbientCapabilities=CAP_NET_BIND_SERVICE)"
        ),
        io::ErrorKind::PermissionDenied => format!(
            "{service} cannot be served: binding to one interface needs root or the capability CAP_NET_RAW"
        ),
        io::ErrorKind::AddrNotAvailable => {
            format!(
                "{service} cannot be served: this host does not have the address {host}; give it one that it has with --address"
            )
        }
        _ if error.raw_os_error() == Some(nix::libc::ENODEV) => {
            format!("{service} cannot be served: this host has no such network interface")
        }
        _ => format!("{service} cannot be served on {host} port {port}/{transport}: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    const DNS: Purpose = Purpose { service: "DNS", transport: "udp" };

    #[test]
    fn a_group_is_shared_by_its_members_and_by_nobody_else() {
        let here = [IpAddr::V4(Ipv4Addr::LOCALHOST)];
        let group = udp_groups(&here, 0, None, DNS, 3).unwrap();
        let ports: Vec<u16> = group.iter().map(port).collect();
        assert!(ports.len() == 3 && ports.iter().all(|port| *port == ports[0]), "{ports:?}");
        assert!(udp(&here, ports[0], None, DNS).is_err());
        assert!(udp_groups(&here, ports[0], None, DNS, 3).is_err(), "a second server took the port silently");
    }

    #[test]
    fn each_failure_is_one_sentence_that_says_what_to_do() {
        let say = |errno| sentence("0.0.0.0:53".parse().unwrap(), DNS, &io::Error::from_raw_os_error(errno));
        expect!["DNS cannot be served: port 53/udp on 0.0.0.0 is in use by another program; find it with `ss -ulpn sport = :53`"]
            .assert_eq(&say(nix::libc::EADDRINUSE));
        expect!["DNS cannot be served: port 53/udp needs root or the capability CAP_NET_BIND_SERVICE (in a systemd unit: AmbientCapabilities=CAP_NET_BIND_SERVICE)"]
            .assert_eq(&say(nix::libc::EACCES));
        expect!["DNS cannot be served: this host does not have the address 0.0.0.0; give it one that it has with --address"]
            .assert_eq(&say(nix::libc::EADDRNOTAVAIL));
        expect!["DNS cannot be served: this host has no such network interface"]
            .assert_eq(&say(nix::libc::ENODEV));
    }

    #[test]
    fn a_taken_udp_port_is_not_shared() {
        let localhost = [IpAddr::V4(Ipv4Addr::LOCALHOST)];
        let first = udp(&localhost, 0, None, DNS).unwrap();
        let error = udp(&localhost, port(&first[0]), None, DNS).err().map(|error| error.to_string());
        assert!(error.is_some_and(|text| text.contains("is in use by another program")));
    }
}
