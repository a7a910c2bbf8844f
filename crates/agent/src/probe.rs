//! Which DHCP servers answer in this machine's networks: a DISCOVER on each, and whoever offers something.
//!
//! In: the interval that the controller wants. Out: every answer's server, once for each interface. It takes no address
//! from anybody, and no DHCP client of this machine notices: frames go out and come in beside the IP stack, through one
//! packet socket (needs CAP_NET_RAW) with a number of its own for the exchange.

use crate::backoff::{Jitter, scaled};
use crate::dhcp::frame::{self, IPV4};
use model::Mac;
use model::event::PROBE_CLASS;
use model::facts::DhcpServer;
use nix::ifaddrs::getifaddrs;
use nix::net::if_::InterfaceFlags;
use nix::sys::socket::{LinkAddr, MsgFlags, recvfrom, sendto};
use socket2::{Domain, Protocol, Socket, Type};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::AsRawFd;
use std::path::Path;
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use wire::dhcp4::{Message, MessageType, Request, code};

/// How long answers are waited for: some servers first look for three seconds whether an address is in use.
const LISTEN: Duration = Duration::from_secs(5);

/// More interfaces are not asked on: a host of many guests has thousands.
const INTERFACES_MAX: usize = 64;

/// More answers are not kept.
const SERVERS_MAX: usize = 64;

/// `ARPHRD_ETHER`.
const ETHERNET: u16 = 1;

/// Asks now and then. What it does is in no future, so that one that is dropped loses nothing.
pub(crate) struct Prober {
    every: Duration,
    at: Instant,
    jitter: Jitter,
    running: Option<JoinHandle<io::Result<Vec<DhcpServer>>>>,
    has_failed: bool,
}

impl Prober {
    /// One that asks every so many seconds, or never if they are 0.
    pub(crate) fn new(seconds: u32, jitter: Jitter) -> Self {
        let (every, at) = (Duration::ZERO, Instant::now());
        let mut prober = Self { every, at, jitter, running: None, has_failed: false };
        prober.set(seconds);
        prober
    }

    /// The same with another interval.
    pub(crate) fn set(&mut self, seconds: u32) {
        let every = Duration::from_secs(seconds.into());
        if every != self.every {
            self.every = every;
            // Anywhere in it: machines that connect in the same second do not ask in the same second for ever.
            self.at = Instant::now() + scaled(every, self.jitter.next());
        }
    }

    /// What the next probe heard.
    ///
    /// # Errors
    /// It could not be done. It is tried again, and not told again.
    pub(crate) async fn heard(&mut self) -> io::Result<Vec<DhcpServer>> {
        loop {
            if self.running.is_none() {
                if self.every.is_zero() {
                    return std::future::pending().await;
                }
                tokio::time::sleep_until(self.at).await;
                self.at = Instant::now() + self.every - scaled(self.every / 10, self.jitter.next());
                let xid = (self.jitter.next() >> 32) as u32;
                self.running = Some(tokio::task::spawn_blocking(move || probe(xid)));
            }
            let Some(running) = &mut self.running else { continue };
            let outcome = running.await.unwrap_or_else(|error| Err(io::Error::other(error)));
            self.running = None;
            match outcome {
                Err(_) if self.has_failed => {}
                outcome => {
                    self.has_failed = outcome.is_err();
                    return outcome;
                }
            }
        }
    }
}

/// Asks on every interface, and listens.
fn probe(xid: u32) -> io::Result<Vec<DhcpServer>> {
    let protocol = Protocol::from(i32::from(IPV4.to_be()));
    let socket = Socket::new(Domain::PACKET, Type::RAW.cloexec(), Some(protocol))?;
    socket.attach_filter(&frame::filter(Some(xid)))?;
    let mut names = BTreeMap::new();
    for (name, address, mac) in interfaces(Path::new("/sys/class/net"))? {
        // An interface that went down meanwhile has no servers to offer.
        if sendto(socket.as_raw_fd(), &discover(mac, xid), &address, MsgFlags::empty()).is_ok() {
            names.insert(address.ifindex(), name);
        }
    }
    let mut heard = BTreeSet::new();
    let until = std::time::Instant::now() + LISTEN;
    let mut frame = [0; 2048];
    while heard.len() < SERVERS_MAX {
        let left = until.saturating_duration_since(std::time::Instant::now());
        if left.is_zero() {
            break;
        }
        socket.set_read_timeout(Some(left))?;
        let Ok((length, Some(from))) = recvfrom::<LinkAddr>(socket.as_raw_fd(), &mut frame) else { continue };
        let Some(name) = names.get(&from.ifindex()) else { continue };
        heard.extend(frame.get(..length).and_then(|frame| offer(frame, xid, name)));
    }
    Ok(heard.into_iter().collect())
}

/// The Ethernet interfaces that are up and stand for themselves: of a bond or bridge the whole, and not its members.
fn interfaces(sys: &Path) -> io::Result<Vec<(String, LinkAddr, Mac)>> {
    let wanted = InterfaceFlags::IFF_UP | InterfaceFlags::IFF_RUNNING;
    let found = getifaddrs()?.filter(|interface| interface.flags.contains(wanted)).filter_map(|interface| {
        let address = *interface.address?.as_link_addr()?;
        let mac = Mac(address.addr()?);
        let is_member = sys.join(&interface.interface_name).join("master").exists();
        (address.hatype() == ETHERNET && !is_member).then_some((interface.interface_name, address, mac))
    });
    Ok(found.take(INTERFACES_MAX).collect())
}

/// A frame for everybody, as a client sends it that has no address yet.
fn discover(mac: Mac, xid: u32) -> Vec<u8> {
    let mut identifier = vec![0];
    identifier.extend_from_slice(PROBE_CLASS);
    identifier.extend_from_slice(&mac.0);
    let message = Request {
        vendor_class: PROBE_CLASS.to_vec(),
        // Not the one by which this machine's own client is known.
        client_identifier: Some(identifier),
        parameter_list: vec![code::SUBNET_MASK, code::ROUTER],
        ..Request::new(MessageType::Discover, mac.0, xid)
    }
    .encode();
    frame::broadcast(mac, Ipv4Addr::UNSPECIFIED, &message)
}

/// The server that speaks in a frame, if that is an answer to this exchange. No octet of it is trusted.
fn offer(frame: &[u8], xid: u32, interface: &str) -> Option<DhcpServer> {
    let mac = Mac(frame.get(6..12)?.try_into().ok()?);
    let source: [u8; 4] = frame.get(26..30)?.try_into().ok()?;
    let message = Message::parse(frame::payload(frame)?).ok()?;
    if message.is_request() || message.xid() != xid {
        return None;
    }
    let identifier = message.server_identifier().unwrap_or(Ipv4Addr::from(source));
    let offered = Some(message.yiaddr()).filter(|offered| !offered.is_unspecified());
    Some(DhcpServer {
        identifier: IpAddr::V4(identifier),
        mac,
        interface: interface.to_owned(),
        offered: offered.map(IpAddr::V4),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAC: Mac = Mac([2, 0, 0, 0, 0, 1]);
    /// Octets of Ethernet, IPv4 and UDP header before a message that we send.
    const HEADERS: usize = 14 + 20 + 8;

    /// The DISCOVER turned into an answer: of a server that says who it is, or does not.
    fn answer(says: Option<[u8; 4]>) -> Vec<u8> {
        let mut frame = discover(MAC, 7);
        frame[6..12].copy_from_slice(&[2, 9, 9, 9, 9, 9]);
        frame[26..30].copy_from_slice(&[10, 9, 9, 9]);
        frame[HEADERS] = 2;
        frame[HEADERS + 16..HEADERS + 20].copy_from_slice(&[10, 9, 9, 77]);
        if let Some(says) = says {
            let options = [&[53, 1, 2, 54, 4][..], &says, &[255]].concat();
            frame[HEADERS + 240..HEADERS + 240 + options.len()].copy_from_slice(&options);
        }
        frame
    }

    #[test]
    fn an_answer_tells_its_server_by_what_it_says_or_by_where_it_came_from() {
        let check = |frame: &[u8], identifier: &str| {
            let server = offer(frame, 7, "eno1").expect("an answer");
            assert_eq!(server.identifier.to_string(), identifier);
            assert_eq!(server.offered.expect("an offer").to_string(), "10.9.9.77");
            assert_eq!((server.mac, &*server.interface), (Mac([2, 9, 9, 9, 9, 9]), "eno1"));
        };
        check(&answer(Some([10, 9, 9, 1])), "10.9.9.1");
        check(&answer(None), "10.9.9.9");
        assert_eq!(offer(&answer(None), 8, "eno1"), None, "of another exchange");
        assert_eq!(offer(&discover(MAC, 7), 7, "eno1"), None, "a question");
    }

    #[test]
    fn no_frame_is_too_strange() {
        let whole = answer(Some([10, 9, 9, 1]));
        let mut jitter = Jitter(6);
        for length in 0..whole.len() {
            let mut frame = whole[..length].to_vec();
            offer(&frame, 7, "eno1");
            for _ in 0..16 {
                let random = jitter.next().to_be_bytes();
                let at = usize::from(u16::from_be_bytes([random[0], random[1]])) % length.max(1);
                frame.get_mut(at).into_iter().for_each(|octet| *octet = random[2]);
                offer(&frame, 7, "eno1");
            }
        }
    }

    #[tokio::test]
    async fn a_prober_that_is_told_never_asks_nothing() {
        let mut prober = Prober::new(0, Jitter(1));
        tokio::select! {
            biased;
            heard = prober.heard() => panic!("{heard:?}"),
            () = std::future::ready(()) => {}
        }
        assert!(prober.running.is_none());
        prober.set(30);
        assert!(prober.at <= Instant::now() + Duration::from_secs(30));
    }
}
