//! DHCP in whole Ethernet frames, as a client needs it that has no address: a packet socket takes them beside the IP stack.

use model::Mac;
use nix::libc::{
    BPF_ABS, BPF_B, BPF_H, BPF_IND, BPF_JEQ, BPF_JMP, BPF_JSET, BPF_K, BPF_LD, BPF_LDX, BPF_MSH, BPF_RET,
    BPF_W,
};
use socket2::SockFilter;
use std::net::Ipv4Addr;
use wire::dhcp4::{CLIENT_PORT, SERVER_PORT};

/// `ETH_P_IP`.
pub(crate) const IPV4: u16 = 0x0800;

/// Octets of Ethernet, IPv4 and UDP header before a message that we send.
const HEADERS: usize = 14 + 20 + 8;

/// A client's message for every server on the link.
pub(crate) fn broadcast(mac: Mac, from: Ipv4Addr, message: &[u8]) -> Vec<u8> {
    let total = u16::try_from(HEADERS - 14 + message.len()).unwrap_or(u16::MAX);
    let mut frame = Vec::with_capacity(HEADERS + message.len());
    frame.extend([0xff; 6]);
    frame.extend(mac.0);
    frame.extend(IPV4.to_be_bytes());
    let mut header = [0; 20];
    header[0] = 0x45;
    header[2..4].copy_from_slice(&total.to_be_bytes());
    (header[8], header[9]) = (64, 17);
    header[12..16].copy_from_slice(&from.octets());
    header[16..].fill(0xff);
    let checksum = checksum(&header);
    header[10..12].copy_from_slice(&checksum.to_be_bytes());
    frame.extend(header);
    frame.extend(CLIENT_PORT.to_be_bytes());
    frame.extend(SERVER_PORT.to_be_bytes());
    frame.extend((total - 20).to_be_bytes());
    // UDP over IPv4 may go without a checksum (RFC 768).
    frame.extend([0; 2]);
    frame.extend(message);
    frame
}

/// What UDP carries in a frame that [`filter`] let pass.
pub(crate) fn payload(frame: &[u8]) -> Option<&[u8]> {
    let packet = frame.get(14..)?;
    let header = usize::from(packet.first()? & 0xf) * 4;
    packet.get(header.max(20) + 8..)
}

/// RFC 1071.
fn checksum(header: &[u8; 20]) -> u16 {
    let words = header.chunks_exact(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(pair[1]));
    let sum: u32 = words.sum();
    let folded = (sum >> 16) + (sum & 0xffff);
    !((folded >> 16) + folded) as u16
}

/// Lets pass what is UDP over IPv4, not a later fragment, to a client's port, and of this exchange if one is named: everything
/// else that this machine receives costs nothing here.
pub(crate) fn filter(xid: Option<u32>) -> [SockFilter; 11] {
    let load = |size: u32, at: u32| SockFilter::new((BPF_LD | size | BPF_ABS) as u16, 0, 0, at);
    let within = |size: u32, at: u32| SockFilter::new((BPF_LD | size | BPF_IND) as u16, 0, 0, at);
    let jump = |test: u32, value: u32, yes: u8, no: u8| {
        SockFilter::new((BPF_JMP | test | BPF_K) as u16, yes, no, value)
    };
    let end = |octets: u32| SockFilter::new((BPF_RET | BPF_K) as u16, 0, 0, octets);
    [
        load(BPF_B, 14 + 9),
        jump(BPF_JEQ, 17, 0, 8),
        load(BPF_H, 14 + 6),
        jump(BPF_JSET, 0x1fff, 6, 0),
        // The length of the IPv4 header.
        SockFilter::new((BPF_LDX | BPF_B | BPF_MSH) as u16, 0, 0, 14),
        within(BPF_H, 14 + 2),
        jump(BPF_JEQ, CLIENT_PORT.into(), 0, 3),
        within(BPF_W, 14 + 8 + 4),
        // Of any exchange: whatever the number is.
        jump(BPF_JEQ, xid.unwrap_or_default(), 0, u8::from(xid.is_some())),
        end(u32::MAX),
        end(0),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ip_stack_takes_a_frame_of_ours() {
        let mac = Mac([2, 0, 0, 0, 0, 1]);
        let frame = broadcast(mac, Ipv4Addr::new(10, 0, 0, 7), b"message");
        assert_eq!(&frame[..14], [[0xff; 6], mac.0].concat().into_iter().chain([8, 0]).collect::<Vec<_>>());
        let header: &[u8; 20] = frame[14..34].try_into().expect("long enough");
        assert_eq!(checksum(header), 0, "over a header with a right checksum");
        assert_eq!(header[12..16], [10, 0, 0, 7]);
        assert_eq!(usize::from(u16::from_be_bytes([frame[16], frame[17]])), frame.len() - 14);
        assert_eq!(payload(&frame), Some(&b"message"[..]));
        for length in 0..HEADERS {
            assert_eq!(payload(&frame[..length]), None);
        }
    }
}
