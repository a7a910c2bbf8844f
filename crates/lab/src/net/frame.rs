//! Ethernet frames that carry UDP, to and from bytes. Pure.
//!
//! Firmware has no address when it asks for one, and a relay must know the port a request came in by: both speak
//! whole frames. Checksums are written but not checked: over a veth the kernel leaves them for a card to fill in.

use model::Mac;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddrV4, SocketAddrV6};

/// The Ethernet broadcast address.
pub(crate) const BROADCAST: Mac = Mac([0xff; 6]);

const ETHERNET: usize = 14;
const IPV4: usize = 20;
const IPV6: usize = 40;
const UDP: usize = 8;
const ETHERTYPE_IPV4: [u8; 2] = [0x08, 0x00];
const ETHERTYPE_IPV6: [u8; 2] = [0x86, 0xdd];
const PROTOCOL_UDP: u8 = 17;

/// One UDP datagram with the addresses around it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Datagram<'a, Address = SocketAddrV4> {
    /// Who sent the frame.
    pub from_mac: Mac,
    /// To whom.
    pub to_mac: Mac,
    /// Who sent the datagram.
    pub from: Address,
    /// To whom.
    pub to: Address,
    /// What it says.
    pub payload: &'a [u8],
}

/// The frame of a datagram. A payload above 65,507 octets, which UDP cannot carry, is cut.
pub(crate) fn encode_udp(datagram: &Datagram<'_>) -> Vec<u8> {
    let payload = &datagram.payload[..datagram.payload.len().min(65_507)];
    let mut frame = Vec::with_capacity(ETHERNET + IPV4 + UDP + payload.len());
    frame.extend_from_slice(&datagram.to_mac.0);
    frame.extend_from_slice(&datagram.from_mac.0);
    frame.extend_from_slice(&ETHERTYPE_IPV4);

    let [total_high, total_low] = length(IPV4 + UDP + payload.len());
    let [s0, s1, s2, s3] = datagram.from.ip().octets();
    let [d0, d1, d2, d3] = datagram.to.ip().octets();
    let mut ip =
        [0x45, 0, total_high, total_low, 0, 0, 0, 0, 64, PROTOCOL_UDP, 0, 0, s0, s1, s2, s3, d0, d1, d2, d3];
    let [high, low] = checksum(&[&ip]).to_be_bytes();
    ip[10] = high;
    ip[11] = low;
    frame.extend_from_slice(&ip);

    let [udp_high, udp_low] = length(UDP + payload.len());
    let [sp_high, sp_low] = datagram.from.port().to_be_bytes();
    let [dp_high, dp_low] = datagram.to.port().to_be_bytes();
    let pseudo = [s0, s1, s2, s3, d0, d1, d2, d3, 0, PROTOCOL_UDP, udp_high, udp_low];
    let mut udp = [sp_high, sp_low, dp_high, dp_low, udp_high, udp_low, 0, 0];
    // RFC 768: a sum of zero is sent as all ones, because zero means "no checksum".
    let sum = match checksum(&[&pseudo, &udp, payload]) {
        0 => 0xffff,
        sum => sum,
    };
    [udp[6], udp[7]] = sum.to_be_bytes();
    frame.extend_from_slice(&udp);
    frame.extend_from_slice(payload);
    frame
}

/// The datagram of a frame; `None` if it is anything else, or cut short, or a fragment.
pub(crate) fn decode_udp(frame: &[u8]) -> Option<Datagram<'_>> {
    let (ethernet, rest) = frame.split_first_chunk::<ETHERNET>()?;
    if ethernet[12..14] != ETHERTYPE_IPV4 {
        return None;
    }
    let header = rest.first_chunk::<IPV4>()?;
    let header_length = usize::from(header[0] & 0x0f) * 4;
    let total = usize::from(u16::from_be_bytes([header[2], header[3]]));
    let fragment = u16::from_be_bytes([header[6], header[7]]) & 0x3fff;
    if header[0] >> 4 != 4 || header_length < IPV4 || header[9] != PROTOCOL_UDP || fragment != 0 {
        return None;
    }
    let body = rest.get(header_length..total)?;
    let (udp, payload) = body.split_first_chunk::<UDP>()?;
    let length = usize::from(u16::from_be_bytes([udp[4], udp[5]]));
    let payload = payload.get(..length.checked_sub(UDP)?)?;
    let ip = |at: usize| Ipv4Addr::new(header[at], header[at + 1], header[at + 2], header[at + 3]);
    let port = |at: usize| u16::from_be_bytes([udp[at], udp[at + 1]]);
    Some(Datagram {
        from_mac: mac(ethernet, 6),
        to_mac: mac(ethernet, 0),
        from: SocketAddrV4::new(ip(12), port(0)),
        to: SocketAddrV4::new(ip(16), port(2)),
        payload,
    })
}

fn length(octets: usize) -> [u8; 2] {
    u16::try_from(octets).unwrap_or(u16::MAX).to_be_bytes()
}

/// The frame of a datagram over IPv6. A payload above 65,527 octets, which UDP cannot carry, is cut.
pub(crate) fn encode_udp6(datagram: &Datagram<'_, SocketAddrV6>) -> Vec<u8> {
    let payload = &datagram.payload[..datagram.payload.len().min(65_527)];
    let udp_length = length(UDP + payload.len());
    let mut frame = Vec::with_capacity(ETHERNET + IPV6 + UDP + payload.len());
    frame.extend_from_slice(&datagram.to_mac.0);
    frame.extend_from_slice(&datagram.from_mac.0);
    frame.extend_from_slice(&ETHERTYPE_IPV6);
    frame.extend_from_slice(&[0x60, 0, 0, 0]);
    frame.extend_from_slice(&udp_length);
    frame.extend_from_slice(&[PROTOCOL_UDP, 64]);
    let addresses = [datagram.from.ip().octets(), datagram.to.ip().octets()].concat();
    frame.extend_from_slice(&addresses);

    let [high, low] = udp_length;
    let [sp_high, sp_low] = datagram.from.port().to_be_bytes();
    let [dp_high, dp_low] = datagram.to.port().to_be_bytes();
    let mut udp = [sp_high, sp_low, dp_high, dp_low, high, low, 0, 0];
    // RFC 8200 §8.1: over IPv6 there is always a sum, and one of zero is sent as all ones.
    let pseudo = [0, 0, high, low, 0, 0, 0, PROTOCOL_UDP];
    let sum = match checksum(&[&addresses, &pseudo, &udp, payload]) {
        0 => 0xffff,
        sum => sum,
    };
    [udp[6], udp[7]] = sum.to_be_bytes();
    frame.extend_from_slice(&udp);
    frame.extend_from_slice(payload);
    frame
}

/// The datagram of a frame over IPv6; `None` if it is anything else, cut short, or behind an extension header.
pub(crate) fn decode_udp6(frame: &[u8]) -> Option<Datagram<'_, SocketAddrV6>> {
    let (ethernet, rest) = frame.split_first_chunk::<ETHERNET>()?;
    let (header, rest) = rest.split_first_chunk::<IPV6>()?;
    if ethernet[12..14] != ETHERTYPE_IPV6 || header[0] >> 4 != 6 || header[6] != PROTOCOL_UDP {
        return None;
    }
    let body = rest.get(..usize::from(u16::from_be_bytes([header[4], header[5]])))?;
    let (udp, payload) = body.split_first_chunk::<UDP>()?;
    let length = usize::from(u16::from_be_bytes([udp[4], udp[5]]));
    let payload = payload.get(..length.checked_sub(UDP)?)?;
    let address = |at: usize, port: usize| {
        let octets: [u8; 16] = header.get(at..)?.first_chunk().copied()?;
        let port = u16::from_be_bytes([udp[port], udp[port + 1]]);
        Some(SocketAddrV6::new(Ipv6Addr::from(octets), port, 0, 0))
    };
    Some(Datagram {
        from_mac: mac(ethernet, 6),
        to_mac: mac(ethernet, 0),
        from: address(8, 0)?,
        to: address(24, 2)?,
        payload,
    })
}

fn mac(ethernet: &[u8; ETHERNET], at: usize) -> Mac {
    Mac(std::array::from_fn(|octet| ethernet[at + octet]))
}

/// The link-local address of a hardware address (RFC 4291, appendix A).
pub(crate) fn link_local(mac: Mac) -> Ipv6Addr {
    let Mac([a, b, c, d, e, f]) = mac;
    Ipv6Addr::from([0xfe, 0x80, 0, 0, 0, 0, 0, 0, a ^ 2, b, c, 0xff, 0xfe, d, e, f])
}

/// The Internet checksum (RFC 1071) of these pieces; all but the last must be of even length.
pub(crate) fn checksum(pieces: &[&[u8]]) -> u16 {
    let mut sum = 0u32;
    for piece in pieces {
        for pair in piece.chunks(2) {
            sum += u32::from(u16::from_be_bytes([pair[0], pair.get(1).copied().unwrap_or(0)]));
            sum = (sum & 0xffff) + (sum >> 16);
        }
    }
    !u16::try_from(sum).unwrap_or(u16::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DATAGRAM: Datagram<'static> = Datagram {
        from_mac: Mac([2, 0, 0, 0, 0, 1]),
        to_mac: BROADCAST,
        from: SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 68),
        to: SocketAddrV4::new(Ipv4Addr::BROADCAST, 67),
        payload: b"abc",
    };

    const DATAGRAM6: Datagram<'static, SocketAddrV6> = Datagram {
        from_mac: Mac([2, 0, 0, 0, 0, 1]),
        to_mac: Mac([0x33, 0x33, 0, 1, 0, 2]),
        from: SocketAddrV6::new(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1), 546, 0, 0),
        to: SocketAddrV6::new(Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 1, 2), 547, 0, 0),
        payload: b"abc",
    };

    #[test]
    fn over_ipv6_what_is_written_is_read_back_and_its_checksum_is_that_of_the_rfc() {
        let frame = encode_udp6(&DATAGRAM6);
        assert_eq!(decode_udp6(&frame), Some(DATAGRAM6));
        assert_eq!(checksum(&[&frame[22..54], &[0, 0, 0, 11, 0, 0, 0, 17], &frame[54..]]), 0);
        for length in 0..frame.len() {
            assert_eq!(decode_udp6(&frame[..length]), None, "cut to {length}");
        }
        // Another type, another version, a longer packet, another header, lengths of UDP.
        for (at, value) in [(12, 8), (14, 0x45), (19, 12), (20, 0), (59, 12), (59, 7)] {
            let mut other = frame.clone();
            other[at] = value;
            assert_eq!(decode_udp6(&other), None, "octet {at} set to {value}");
        }
    }

    #[test]
    fn what_is_written_is_read_back() {
        assert_eq!(decode_udp(&encode_udp(&DATAGRAM)), Some(DATAGRAM));
    }

    #[test]
    fn the_checksums_are_those_of_the_rfcs() {
        let frame = encode_udp(&DATAGRAM);
        // Summed with its checksum in place, a right header gives zero (RFC 1071 §1).
        assert_eq!(checksum(&[&frame[14..34]]), 0);
        let mut pseudo = frame[26..34].to_vec();
        pseudo.extend_from_slice(&[0, 17, 0, 11]);
        assert_eq!(checksum(&[&pseudo, &frame[34..]]), 0);
    }

    #[test]
    fn nothing_shorter_or_other_is_taken_for_a_datagram() {
        let frame = encode_udp(&DATAGRAM);
        for length in 0..frame.len() {
            assert_eq!(decode_udp(&frame[..length]), None, "cut to {length}");
        }
        for (at, value) in [(12, 0x86), (14, 0x65), (14, 0x44), (20, 0x20), (23, 6), (39, 200), (39, 7)] {
            let mut other = frame.clone();
            other[at] = value;
            assert_eq!(decode_udp(&other), None, "octet {at} set to {value}");
        }
    }

    #[test]
    fn any_frame_with_a_fixed_seed_is_dropped_or_stays_what_it_is() {
        let samples = [encode_udp(&DATAGRAM), encode_udp(&Datagram { payload: &[7; 300], ..DATAGRAM })];
        let pieces: [&[u8]; 4] = [b"\x45", b"\x46\0\0\0", b"\0\0", b"\xff\xff"];
        crate::spoil::spoil(&samples, &pieces, 50_000, |frame| {
            let Some(datagram) = decode_udp(frame) else { return };
            assert_eq!(decode_udp(&encode_udp(&datagram)), Some(datagram));
        });
        let samples = [encode_udp6(&DATAGRAM6), encode_udp6(&Datagram { payload: &[7; 300], ..DATAGRAM6 })];
        crate::spoil::spoil(&samples, &pieces, 50_000, |frame| {
            let Some(datagram) = decode_udp6(frame) else { return };
            assert_eq!(decode_udp6(&encode_udp6(&datagram)), Some(datagram));
        });
    }

    #[test]
    fn padding_of_a_short_frame_is_no_payload() {
        let mut frame = encode_udp(&DATAGRAM);
        frame.resize(60, 0);
        assert_eq!(decode_udp(&frame), Some(DATAGRAM));
    }
}
