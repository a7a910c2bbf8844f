//! What the lab's switches say to a machine that asks for an IPv6 router: that there is none, at once.
//!
//! Debian 12's iPXE (1.0.0+git-20190125) configures both families before it loads anything, and asks for a router at 0,
//! 0.25, 0.8, 1.8, 4 and 8 s; without an answer it goes on after sixteen seconds. An advertisement of nothing, as routers
//! send in networks where addresses come from elsewhere (RFC 4861 §6.2.1, AdvDefaultLifetime 0), ends that.

use crate::error::Error;
use crate::net::{Filter, Namespace, PacketSocket};
use model::Mac;
use std::collections::HashMap;
use std::net::Ipv6Addr;

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

/// Answers at these ports (interface number, address) until the future is dropped.
///
/// # Errors
/// If the socket cannot be opened.
pub(crate) async fn serve(namespace: &Namespace, ports: Vec<(u32, Mac)>) -> Result<(), Error> {
    let socket = PacketSocket::open(namespace, Filter::EtherType(ETHERTYPE))?;
    let ports: HashMap<u32, Mac> = ports.into_iter().collect();
    let mut frame = [0; 1500];
    loop {
        // An interface that goes down is told as an error once; the others go on.
        let Ok(received) = socket.receive(&mut frame).await else { continue };
        let Some(own) = ports.get(&received.index) else { continue };
        if let Some(answer) = answer(&frame[..received.length], *own) {
            let _ = socket.send(received.index, &answer);
        }
    }
}

/// The advertisement for a frame that asks for one.
fn answer(frame: &[u8], own: Mac) -> Option<Vec<u8>> {
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
    let Mac([a, b, c, d, e, f]) = own;
    // The link-local address of a MAC (RFC 4291 appendix A).
    let link_local = [0xfe, 0x80, 0, 0, 0, 0, 0, 0, a ^ 2, b, c, 0xff, 0xfe, d, e, f];

    // Hop limit 64, no flags, router for no time, no times of its own, and its Ethernet address.
    let mut message = vec![ADVERTISEMENT, 0, 0, 0, 64, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1];
    message.extend(own.0);
    let length = u16::try_from(message.len()).ok()?.to_be_bytes();
    let pseudo = [&link_local[..], &to.octets(), &[0, 0], &length, &[0, 0, 0, ICMP6]].concat();
    let [high, low] = crate::net::checksum(&[&pseudo, &message]).to_be_bytes();
    [message[2], message[3]] = [high, low];

    let mut answer = Vec::with_capacity(ICMP6_AT + message.len());
    answer.extend(to_mac.0);
    answer.extend(own.0);
    answer.extend(ETHERTYPE.to_be_bytes());
    answer.extend([0x60, 0, 0, 0]);
    answer.extend(length);
    answer.extend([ICMP6, HOP_LIMIT]);
    answer.extend(link_local);
    answer.extend(to.octets());
    answer.extend(message);
    Some(answer)
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    const OWN: Mac = Mac([2, 0xee, 0, 0, 0, 0xaa]);

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
    fn an_advertisement_as_the_standard_draws_it() {
        let frame = answer(&solicitation(1), OWN).expect("an answer");
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
    fn who_has_no_address_hears_what_is_for_all() {
        let frame = answer(&solicitation(0), OWN).expect("an answer");
        assert_eq!(frame[..6], ALL_NODES_MAC.0);
        assert_eq!(frame[38..54], ALL_NODES.octets());
    }

    #[test]
    fn nothing_else_is_answered() {
        let asked = solicitation(1);
        for length in 0..55 {
            assert_eq!(answer(&asked[..length], OWN), None, "cut to {length}");
        }
        for (at, value) in [(13, 0), (20, 17), (21, 64), (54, 135)] {
            let mut other = asked.clone();
            other[at] = value;
            assert_eq!(answer(&other, OWN), None, "octet {at} set to {value}");
        }
    }
}
