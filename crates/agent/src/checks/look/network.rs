//! Ports, connections, names, pages and interfaces.

use super::{Found, Value};
use nix::ifaddrs::getifaddrs;
use std::collections::BTreeSet;
use std::fs::File;
use std::io::Read;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, lookup_host};

/// The longest table of sockets that is read, in octets.
const TABLE_MAX: u64 = 16 << 20;

/// The most of a page that is read, in octets.
const PAGE_MAX: u64 = 64 << 10;

/// `TCP_LISTEN`, and the state of a UDP socket that is bound and not connected, as the kernel's tables show them.
const LISTENING: [&str; 2] = ["0A", "07"];

/// `tcp:22`: whether somebody listens, and on which addresses.
pub(super) fn port(name: &str) -> Found {
    let (protocol, number) = name.split_once(':').unwrap_or(("tcp", name));
    let number: u16 = number.parse().map_err(|_| format!("{name} names no port"))?;
    let mut table = String::new();
    let read = File::open(format!("/proc/net/{protocol}"))
        .and_then(|file| file.take(TABLE_MAX).read_to_string(&mut table));
    // Without IPv6 in the kernel there is no table, and nobody listens.
    let addresses = if read.is_ok() { listening(&table, number) } else { Vec::new() };
    Ok(vec![("listening", Value::Flag(!addresses.is_empty())), ("ip", Value::List(addresses))])
}

/// The addresses on which a table of `/proc/net` shows a listener.
fn listening(table: &str, port: u16) -> Vec<String> {
    let addresses: BTreeSet<IpAddr> = table
        .lines()
        .skip(1)
        .filter_map(|line| {
            let mut fields = line.split_ascii_whitespace().skip(1);
            let (local, state) = (fields.next()?, fields.nth(1)?);
            let (address, own) = local.split_once(':')?;
            (LISTENING.contains(&state) && u16::from_str_radix(own, 16) == Ok(port))
                .then(|| self::address(address))?
        })
        .collect();
    addresses.iter().map(ToString::to_string).collect()
}

/// An address in the kernel's tables: words of 32 bits, each in the machine's own byte order.
fn address(hex: &str) -> Option<IpAddr> {
    let words: Vec<[u8; 4]> = hex
        .as_bytes()
        .chunks(8)
        .map(|word| u32::from_str_radix(std::str::from_utf8(word).ok()?, 16).ok().map(u32::to_ne_bytes))
        .collect::<Option<_>>()?;
    match words.as_slice() {
        [v4] => Some(Ipv4Addr::from(*v4).into()),
        [_, _, _, _] => <[u8; 16]>::try_from(words.concat()).ok().map(|v6| Ipv6Addr::from(v6).into()),
        _ => None,
    }
}

/// `tcp://host:port`: whether it can be connected to.
pub(super) async fn addr(name: &str) -> Found {
    let target = name.strip_prefix("tcp://").unwrap_or(name);
    Ok(vec![("reachable", Value::Flag(TcpStream::connect(target).await.is_ok()))])
}

/// What the system's resolver says of a name.
pub(super) async fn dns(name: &str) -> Found {
    let addresses: BTreeSet<IpAddr> = lookup_host((name, 0))
        .await
        .map(|found| found.map(|address| address.ip()).collect())
        .unwrap_or_default();
    let resolvable = Value::Flag(!addresses.is_empty());
    let addresses = addresses.iter().map(ToString::to_string).collect();
    Ok(vec![
        ("resolvable", resolvable.clone()),
        ("resolveable", resolvable),
        ("addrs", Value::List(addresses)),
    ])
}

/// `http://host[:port]/path`: one request, no redirects.
pub(super) async fn http(url: &str) -> Found {
    let rest = url.strip_prefix("http://").unwrap_or(url);
    let (host, path) = rest.find('/').map_or((rest, "/"), |slash| rest.split_at(slash));
    let bare_ipv6 = host.ends_with(']');
    let target = if host.contains(':') && !bare_ipv6 { host.to_owned() } else { format!("{host}:80") };
    let failed = |error: std::io::Error| format!("failed to fetch {url}: {error}");
    let mut socket = TcpStream::connect(&target).await.map_err(failed)?;
    // Version 1.0: the answer comes whole and without chunks (RFC 9112 §6.1).
    let request = format!("GET {path} HTTP/1.0\r\nHost: {host}\r\nUser-Agent: zw-agent\r\n\r\n");
    socket.write_all(request.as_bytes()).await.map_err(failed)?;
    let mut octets = Vec::new();
    socket.take(PAGE_MAX).read_to_end(&mut octets).await.map_err(failed)?;
    let (status, body) =
        page(&octets).ok_or_else(|| format!("failed to fetch {url}: what answers is no HTTP server"))?;
    Ok(vec![("status", Value::Number(status)), ("body", Value::Lines(body))])
}

/// Status and body of an answer.
fn page(octets: &[u8]) -> Option<(i64, String)> {
    let end = octets.windows(4).position(|four| four == b"\r\n\r\n")?;
    let head = std::str::from_utf8(&octets[..end]).ok()?;
    let status = head.strip_prefix("HTTP/1.")?.split(' ').nth(1)?.trim_end().parse().ok()?;
    Some((status, String::from_utf8_lossy(&octets[end + 4..]).into_owned()))
}

pub(super) fn interface(name: &str) -> Found {
    let all = getifaddrs().map_err(|error| format!("failed to list the interfaces: {error}"))?;
    let own: Vec<_> = all.filter(|interface| interface.interface_name == name).collect();
    if own.is_empty() {
        return Ok(vec![("exists", Value::Flag(false))]);
    }
    let addresses = own.iter().filter_map(|interface| {
        let (address, mask) = (interface.address.as_ref()?, interface.netmask.as_ref());
        if let Some(v4) = address.as_sockaddr_in() {
            let bits = mask
                .and_then(|mask| mask.as_sockaddr_in())
                .map_or(32, |mask| u32::from(mask.ip()).count_ones());
            return Some(format!("{}/{bits}", v4.ip()));
        }
        let v6 = SocketAddr::from(*address.as_sockaddr_in6()?).ip();
        let bits = mask
            .and_then(|mask| mask.as_sockaddr_in6())
            .map_or(128, |mask| u128::from(mask.ip()).count_ones());
        Some(format!("{v6}/{bits}"))
    });
    let mut found = vec![("exists", Value::Flag(true)), ("addrs", Value::List(addresses.collect()))];
    let mtu = std::fs::read_to_string(format!("/sys/class/net/{name}/mtu"));
    found.extend(mtu.ok().and_then(|text| text.trim().parse().ok()).map(|mtu| ("mtu", Value::Number(mtu))));
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    #[test]
    #[cfg(target_endian = "little")]
    fn the_kernels_tables_are_read() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid\n\
            0: 0100007F:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0\n\
            1: 00000000:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0\n\
            2: 0100007F:0016 0100007F:D431 01 00000000:00000000 00:00000000 00000000     0\n\
            3: 0100007F:0050 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0\n\
            broken\n";
        assert_eq!(listening(table, 22), ["0.0.0.0", "127.0.0.1"]);
        assert_eq!(listening(table, 443), Vec::<String>::new());
        assert_eq!(address("00000000000000000000000001000000"), Some("::1".parse().expect("an address")));
        assert_eq!(
            address("B80D0120000000000000000001000000"),
            Some("2001:db8::1".parse().expect("an address"))
        );
        for bad in ["", "0100007", "zz00007F", "0100007F0100007F"] {
            assert_eq!(address(bad).is_some(), bad == "0100007", "{bad}");
        }
    }

    #[tokio::test]
    async fn a_listener_is_found_and_reached_and_its_page_read() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
        let own = listener.local_addr().expect("bound");
        assert_eq!(
            port(&format!("tcp:{}", own.port())),
            Ok(vec![("listening", Value::Flag(true)), ("ip", Value::List(vec!["127.0.0.1".into()]))])
        );
        assert_eq!(addr(&format!("tcp://{own}")).await, Ok(vec![("reachable", Value::Flag(true))]));
        // The connection that was only opened waits first in the queue.
        drop(listener.accept().await.expect("accepted"));
        let url = format!("http://{own}/a?b");
        let (found, served) = tokio::join!(http(&url), async {
            let (mut socket, _) = listener.accept().await.expect("accepted");
            let mut octets = [0; 512];
            let read = socket.read(&mut octets).await.expect("read");
            socket.write_all(b"HTTP/1.1 404 Not Found\r\nX: y\r\n\r\nnobody here").await.expect("written");
            String::from_utf8_lossy(&octets[..read]).into_owned()
        });
        assert_eq!(
            found,
            Ok(vec![("status", Value::Number(404)), ("body", Value::Lines("nobody here".into()))])
        );
        assert!(served.starts_with("GET /a?b HTTP/1.0\r\nHost: 127.0.0.1:"), "{served}");
        drop(listener);
        assert_eq!(addr(&format!("tcp://{own}")).await, Ok(vec![("reachable", Value::Flag(false))]));
    }

    #[test]
    fn what_is_no_page_is_none() {
        assert_eq!(page(b"SSH-2.0-x\r\n\r\n"), None);
        assert_eq!(page(b"HTTP/1.1 200 OK\r\n"), None);
        assert_eq!(page(b"HTTP/1.1 abc\r\n\r\n"), None);
        assert_eq!(page(b"HTTP/1.0 200\r\n\r\n"), Some((200, String::new())));
    }

    #[test]
    fn the_loopback_has_its_address() {
        let found = interface("lo").expect("looked");
        assert!(
            found
                .iter()
                .any(|(_, value)| matches!(value, Value::List(list) if list.contains(&"127.0.0.1/8".into())))
        );
        assert_eq!(interface("no-such-if"), Ok(vec![("exists", Value::Flag(false))]));
    }
}
