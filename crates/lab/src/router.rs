//! What the lab's switches say to a machine that asks for an IPv6 router: who they are, which prefix is on the link, and that
//! addresses come from DHCPv6; where the plan has no IPv6, that there is none.
//!
//! Firmware waits for this. OVMF 2022.11 does not begin with DHCPv6 before an advertisement with the flag M. Debian 12's iPXE
//! (1.0.0+git-20190125) configures both families before it loads anything, and asks for a router at 0, 0.25, 0.8, 1.8, 4 and
//! 8 s; without an answer it goes on after sixteen seconds. An advertisement of nothing, as routers send in networks where
//! addresses come from elsewhere (RFC 4861 §6.2.1, AdvDefaultLifetime 0), ends that.

use crate::error::Error;
use crate::net::{Filter, Namespace, PacketSocket, link_local};
use ipnet::Ipv6Net;
use model::Mac;
use std::net::Ipv6Addr;
use std::time::Duration;
use tokio::time::{MissedTickBehavior, interval};

/// Its Ethernet type.
const ETHERTYPE: u16 = 0x86dd;
/// IPv6's number of ICMPv6, and its types for asking and telling (RFC 4861 §4.1, §4.2).
const ICMP6: u8 = 58;
const SOLICITATION: u8 = 133;
const ADVERTISEMENT: u8 = 134;
/// A hop limit that no router leaves as it is, so the message is of this link (§6.1.1).
const HOP_LIMIT: u8 = 255;
/// Where the parts of a frame begin: Ethernet, IPv6, ICMPv6.
const IPV6_AT: usize = 14;
const ICMP6_AT: usize = IPV6_AT + 40;
/// All nodes of the link, and the Ethernet address that stands for them (RFC 2464 §7).
const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
const ALL_NODES_MAC: Mac = Mac([0x33, 0x33, 0, 0, 0, 1]);

/// DHCPv6 has the addresses (M), and the rest (O).
const MANAGED: u8 = 0b1100_0000;
/// The prefix is on the link (L); nobody makes an address of it (A).
const ON_LINK: u8 = 0b1000_0000;
/// How long a router is believed, and a prefix, in seconds (RFC 4861 §6.2.1).
const ROUTER_SECONDS: u16 = 1800;
const PREFERRED_SECONDS: u32 = 604_800;
const VALID_SECONDS: u32 = 2_592_000;
/// How often it is said to all, so that nobody ceases to believe it.
const TELL_EVERY: Duration = Duration::from_secs(300);

/// A subnet that a switch routes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Link {
    /// Its bridge: number of the interface, and address.
    pub index: u32,
    pub mac: Mac,
    /// Its IPv6 prefix, if it has one.
    pub prefix: Option<Ipv6Net>,
}

/// Advertises on these links until the future is dropped.
///
/// # Errors
/// If the socket cannot be opened.
pub(crate) async fn serve(namespace: &Namespace, links: Vec<Link>) -> Result<(), Error> {
    let socket = PacketSocket::open(namespace, Filter::EtherType(ETHERTYPE))?;
    let mut again = interval(TELL_EVERY);
    again.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut frame = [0; 1500];
    loop {
        tokio::select! {
            received = socket.receive(&mut frame) => {
                // An interface that goes down is told as an error once; the others go on.
                let Ok(received) = received else { continue };
                let Some(link) = links.iter().find(|link| link.index == received.index) else { continue };
                let asked = frame.get(..received.length).unwrap_or_default();
                if let Some(answer) = answer(asked, link) {
                    let _ = socket.send(received.index, &answer);
                }
            }
            _ = again.tick() => {
                for link in links.iter().filter(|link| link.prefix.is_some()) {
                    let _ = socket.send(link.index, &advertisement(link, ALL_NODES, ALL_NODES_MAC));
                }
            }
        }
    }
}

/// The advertisement for a frame that asks for one.
fn answer(frame: &[u8], link: &Link) -> Option<Vec<u8>> {
    let (ethernet, ip) = frame.split_first_chunk::<IPV6_AT>()?;
    let header = ip.first_chunk::<40>()?;
    let is_asked = ethernet[12..] == ETHERTYPE.to_be_bytes()
        && header[6] == ICMP6
        && header[7] == HOP_LIMIT
        && ip.get(40) == Some(&SOLICITATION);
    if !is_asked {
        return None;
    }
    let from: [u8; 16] = header[8..24].try_into().ok()?;
    let asker: [u8; 6] = ethernet[6..12].try_into().ok()?;
    // Who has no address yet hears what is for all (§6.2.6).
    let (to, to_mac) = match Ipv6Addr::from(from) {
        Ipv6Addr::UNSPECIFIED => (ALL_NODES, ALL_NODES_MAC),
        from => (from, Mac(asker)),
    };
    Some(advertisement(link, to, to_mac))
}

/// RFC 4861 §4.2, §4.6.1, §4.6.2.
fn advertisement(link: &Link, to: Ipv6Addr, to_mac: Mac) -> Vec<u8> {
    let from = link_local(link.mac);
    let (flags, lifetime) = link.prefix.map_or((0, 0), |_| (MANAGED, ROUTER_SECONDS));
    // Hop limit 64, no times of its own, and its Ethernet address.
    let mut message = vec![ADVERTISEMENT, 0, 0, 0, 64, flags];
    message.extend(lifetime.to_be_bytes());
    message.extend([0, 0, 0, 0, 0, 0, 0, 0, 1, 1]);
    message.extend(link.mac.0);
    if let Some(prefix) = link.prefix {
        message.extend([3, 4, prefix.prefix_len(), ON_LINK]);
        message.extend(VALID_SECONDS.to_be_bytes());
        message.extend(PREFERRED_SECONDS.to_be_bytes());
        message.extend([0; 4]);
        message.extend(prefix.network().octets());
    }
    // 56 octets at most.
    let length = u16::try_from(message.len()).unwrap_or_default().to_be_bytes();
    let pseudo = [&from.octets()[..], &to.octets(), &[0, 0], &length, &[0, 0, 0, ICMP6]].concat();
    let [high, low] = crate::net::checksum(&[&pseudo, &message]).to_be_bytes();
    [message[2], message[3]] = [high, low];

    let mut frame = Vec::with_capacity(ICMP6_AT + message.len());
    frame.extend(to_mac.0);
    frame.extend(link.mac.0);
    frame.extend(ETHERTYPE.to_be_bytes());
    frame.extend([0x60, 0, 0, 0]);
    frame.extend(length);
    frame.extend([ICMP6, HOP_LIMIT]);
    frame.extend(from.octets());
    frame.extend(to.octets());
    frame.extend(message);
    frame
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    fn link(prefix: Option<&str>) -> Link {
        let prefix = prefix.map(|prefix| prefix.parse().expect("a prefix"));
        Link { index: 3, mac: Mac([2, 0xee, 0, 0, 0, 0xaa]), prefix }
    }

    /// As iPXE asks; `from` is the last octet of its address, and 0 is none.
    fn solicitation(from: u8) -> Vec<u8> {
        let mut frame =
            vec![0x33, 0x33, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 0x86, 0xdd, 0x60, 0, 0, 0, 0, 8, 58, 255];
        frame.extend(if from == 0 {
            [0; 16]
        } else {
            [0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, from]
        });
        frame.extend([0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2]);
        frame.extend([133, 0, 0, 0, 0, 0, 0, 0]);
        frame
    }

    fn hex(frame: &[u8]) -> String {
        let rows = frame.chunks(16).map(|row| row.iter().map(|octet| format!("{octet:02x}")).collect());
        rows.map(|row: String| row + "\n").collect()
    }

    #[test]
    fn an_advertisement_of_nothing_as_the_standard_draws_it() {
        let frame = answer(&solicitation(1), &link(None)).expect("an answer");
        expect![[r#"
            02000000000102ee000000aa86dd6000
            000000183afffe8000000000000000ee
            00fffe0000aafe800000000000000000
            00000000000186003779400000000000
            000000000000010102ee000000aa
        "#]]
        .assert_eq(&hex(&frame));
        // Summed with its checksum in place, a right message gives zero (RFC 1071 §1).
        let pseudo = [&frame[22..54], &[0, 0, 0, 24, 0, 0, 0, 58]].concat();
        assert_eq!(crate::net::checksum(&[&pseudo, &frame[54..]]), 0);
    }

    #[test]
    fn an_advertisement_of_a_prefix_whose_addresses_come_from_dhcp() {
        let frame = answer(&solicitation(1), &link(Some("2001:db8:64:1::/64"))).expect("an answer");
        expect![[r#"
            02000000000102ee000000aa86dd6000
            000000383afffe8000000000000000ee
            00fffe0000aafe800000000000000000
            0000000000018600f63d40c007080000
            000000000000010102ee000000aa0304
            408000278d0000093a80000000002001
            0db8006400010000000000000000
        "#]]
        .assert_eq(&hex(&frame));
        let pseudo = [&frame[22..54], &[0, 0, 0, 56, 0, 0, 0, 58]].concat();
        assert_eq!(crate::net::checksum(&[&pseudo, &frame[54..]]), 0);
    }

    #[test]
    fn who_has_no_address_hears_what_is_for_all() {
        let frame = answer(&solicitation(0), &link(None)).expect("an answer");
        assert_eq!(frame[..6], ALL_NODES_MAC.0);
        assert_eq!(frame[38..54], ALL_NODES.octets());
    }

    #[test]
    fn nothing_else_is_answered() {
        let asked = solicitation(1);
        for length in 0..55 {
            assert_eq!(answer(&asked[..length], &link(None)), None, "cut to {length}");
        }
        for (at, value) in [(13, 0), (20, 17), (21, 64), (54, 135)] {
            let mut other = asked.clone();
            other[at] = value;
            assert_eq!(answer(&other, &link(None)), None, "octet {at} set to {value}");
        }
    }
}
