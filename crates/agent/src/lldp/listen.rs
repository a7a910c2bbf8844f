//! Hears LLDP on every interface.
//!
//! In: frames of Ethernet type 0x88cc, from one packet socket (needs CAP_NET_RAW; without it there are simply no
//! neighbours). Out: the newest neighbour of each interface, forgotten when its time to live is over.

use super::{Neighbours, pdu};
use crate::options::Notice;
use model::facts::Neighbour;
use nix::libc;
use nix::sys::socket::{LinkAddr, recvfrom};
use socket2::{Domain, Protocol, Socket, Type};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::mem::size_of_val;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::unix::AsyncFd;
use tokio::sync::watch;
use tokio::time::Instant;

/// The Ethernet type of LLDP (§7.5).
const ETHER_TYPE: u16 = 0x88cc;

/// The group address "nearest bridge" (§7.1), which no bridge forwards: whoever is heard is at the end of the cable.
const GROUP: [u8; 6] = [0x01, 0x80, 0xc2, 0x00, 0x00, 0x0e];

/// The longest data unit that is looked at.
const FRAME_MAX: usize = 1500;

/// More interfaces with neighbours are not remembered.
const INTERFACES_MAX: usize = 512;

/// New interfaces are found this often.
const REFRESH: Duration = Duration::from_secs(30);

/// Listens for as long as somebody has the receiver.
pub(crate) fn listen(tell: Arc<dyn Fn(&Notice) + Send + Sync>) -> watch::Receiver<Neighbours> {
    let (sender, receiver) = watch::channel(Neighbours::new());
    match socket() {
        Ok(socket) => {
            tokio::spawn(async move {
                if let Err(error) = hear(&socket, &sender).await {
                    tell(&Notice::Trouble(format!("failed to hear lldp: {error}")));
                }
            });
        }
        Err(error) => {
            tell(&Notice::Trouble(format!("failed to listen for lldp, neighbours stay unknown: {error}")))
        }
    }
    receiver
}

#[expect(unsafe_code, reason = "the safe constructor of AsyncFd is deprecated in favour of this one")]
fn socket() -> io::Result<AsyncFd<OwnedFd>> {
    let protocol = Protocol::from(i32::from(ETHER_TYPE.to_be()));
    let socket = Socket::new(Domain::PACKET, Type::DGRAM.nonblocking().cloexec(), Some(protocol))?;
    // SAFETY: the descriptor is owned by what is registered, is closed only when that is dropped, and is not taken out.
    unsafe { AsyncFd::register(socket.into()) }.map_err(io::Error::from)
}

async fn hear(socket: &AsyncFd<OwnedFd>, sender: &watch::Sender<Neighbours>) -> io::Result<()> {
    let mut joined = BTreeSet::new();
    let mut heard = Heard::default();
    let mut refresh_at = Instant::now();
    loop {
        if Instant::now() >= refresh_at {
            join_all(socket.get_ref(), &mut joined);
            refresh_at = Instant::now() + REFRESH;
        }
        let wake_at = heard.next_end().map_or(refresh_at, |end| end.min(refresh_at));
        tokio::select! {
            () = sender.closed() => return Ok(()),
            () = tokio::time::sleep_until(wake_at) => {
                heard.forget(Instant::now());
            }
            ready = socket.readable() => {
                let mut octets = [0; FRAME_MAX];
                let received = ready?.try_io(|fd| {
                    recvfrom::<LinkAddr>(fd.get_ref().as_raw_fd(), &mut octets).map_err(io::Error::from)
                });
                let Ok(received) = received else { continue };
                let (length, from) = match received {
                    Ok((length, Some(from))) => (length, from),
                    Ok((_, None)) => continue,
                    // An interface went down while it was read from.
                    Err(error) if error.raw_os_error() == Some(libc::ENETDOWN) => continue,
                    Err(error) => return Err(error),
                };
                let Ok(index) = u32::try_from(from.ifindex()) else { continue };
                let Some(name) = name(index) else { continue };
                if let Ok(pdu) = pdu::parse(&octets[..length.min(FRAME_MAX)]) {
                    heard.take(name, &pdu, Instant::now());
                }
            }
        }
        let now = heard.neighbours();
        sender.send_if_modified(|known| {
            let changed = *known != now;
            *known = now;
            changed
        });
    }
}

/// Who was heard, and until when that counts.
#[derive(Default)]
struct Heard(BTreeMap<String, (Neighbour, Instant)>);

impl Heard {
    fn take(&mut self, interface: String, pdu: &pdu::Pdu, now: Instant) {
        if pdu.ttl_seconds == 0 {
            self.0.remove(&interface);
        } else if self.0.len() < INTERFACES_MAX || self.0.contains_key(&interface) {
            let end = now + Duration::from_secs(pdu.ttl_seconds.into());
            self.0.insert(interface, (pdu.neighbour(), end));
        }
    }

    fn forget(&mut self, now: Instant) {
        self.0.retain(|_, (_, end)| *end > now);
    }

    fn next_end(&self) -> Option<Instant> {
        self.0.values().map(|(_, end)| *end).min()
    }

    fn neighbours(&self) -> Neighbours {
        self.0.iter().map(|(interface, (neighbour, _))| (interface.clone(), neighbour.clone())).collect()
    }
}

/// Lets every interface's filter pass the group address. An interface that refuses is one without such a filter.
fn join_all(socket: &OwnedFd, joined: &mut BTreeSet<u32>) {
    let Ok(interfaces) = nix::net::if_::if_nameindex() else { return };
    let present: BTreeSet<u32> = interfaces.iter().map(nix::net::if_::Interface::index).collect();
    joined.retain(|index| present.contains(index));
    for index in present {
        if !joined.contains(&index) && join(socket, index).is_ok() {
            joined.insert(index);
        }
    }
}

#[expect(unsafe_code, reason = "no safe wrapper of PACKET_ADD_MEMBERSHIP exists in the crates we use")]
fn join(socket: &OwnedFd, index: u32) -> io::Result<()> {
    let mut address = [0; 8];
    address[..6].copy_from_slice(&GROUP);
    let request = libc::packet_mreq {
        mr_ifindex: i32::try_from(index).map_err(|_| io::ErrorKind::InvalidInput)?,
        mr_type: libc::PACKET_MR_MULTICAST as libc::c_ushort,
        mr_alen: 6,
        mr_address: address,
    };
    let length = libc::socklen_t::try_from(size_of_val(&request)).map_err(|_| io::ErrorKind::InvalidInput)?;
    // SAFETY: the descriptor is open as long as `socket` is borrowed; the pointer is to `request`, which outlives the
    // call, and `length` is its size. The kernel only reads it (packet(7)).
    let outcome = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_PACKET,
            libc::PACKET_ADD_MEMBERSHIP,
            (&raw const request).cast(),
            length,
        )
    };
    if outcome == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

fn name(index: u32) -> Option<String> {
    nix::net::if_::if_indextoname(index).ok()?.into_string().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pdu(port: &str, ttl_seconds: u16) -> pdu::Pdu {
        pdu::Pdu {
            chassis: "c".into(),
            port: port.into(),
            ttl_seconds,
            port_description: None,
            system_name: Some("leaf".into()),
            port_is_address: false,
        }
    }

    #[test]
    fn a_neighbour_counts_until_its_time_is_over_or_it_says_goodbye() {
        let (mut heard, now) = (Heard::default(), Instant::now());
        heard.take("eno1".into(), &pdu("swp1", 120), now);
        heard.take("eno2".into(), &pdu("swp1", 30), now);
        heard.take("eno1".into(), &pdu("swp2", 120), now);
        assert_eq!(heard.neighbours()["eno1"].port, "swp2");
        assert_eq!(heard.next_end(), Some(now + Duration::from_secs(30)));
        heard.forget(now + Duration::from_secs(30));
        assert_eq!(heard.neighbours().into_keys().collect::<Vec<_>>(), ["eno1"]);
        heard.take("eno1".into(), &pdu("swp2", 0), now);
        assert!(heard.neighbours().is_empty());
    }

    #[test]
    fn interfaces_without_end_are_not_remembered() {
        let (mut heard, now) = (Heard::default(), Instant::now());
        for interface in 0..2 * INTERFACES_MAX {
            heard.take(format!("v{interface}"), &pdu("swp1", 120), now);
        }
        assert_eq!(heard.neighbours().len(), INTERFACES_MAX);
    }
}
