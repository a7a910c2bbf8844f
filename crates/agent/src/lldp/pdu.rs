//! One LLDP data unit: octets to who and how long.
//!
//! In: the octets after the Ethernet header. Out: chassis, port, names and time to live, or what is wrong. Pure; takes
//! what a frame holds, allocates no more than that.

use crate::hardware::shown;
use model::facts::Neighbour;
use std::fmt;

/// What a neighbour says of itself.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Pdu {
    /// Chassis ID (§8.5.2) in words.
    pub chassis: String,
    /// Port ID (§8.5.3) in words.
    pub port: String,
    /// Seconds until it is to be forgotten; 0 means now (§8.5.4).
    pub ttl_seconds: u16,
    /// Port Description (§8.5.5), if it sends one.
    pub port_description: Option<String>,
    /// System Name (§8.5.6), if it sends one.
    pub system_name: Option<String>,
    /// Whether the Port ID is a hardware address, which says little to people.
    pub port_is_address: bool,
}

impl Pdu {
    /// The neighbour in the words that a design uses: system name and port name, as far as it tells them.
    pub fn neighbour(&self) -> Neighbour {
        let port = match &self.port_description {
            Some(description) if self.port_is_address => description,
            _ => &self.port,
        };
        Neighbour { system: self.system_name.as_ref().unwrap_or(&self.chassis).clone(), port: port.clone() }
    }
}

/// What is wrong with a data unit (§9.2.7.7).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BadPdu {
    /// It ends within a TLV.
    Short,
    /// Chassis ID, Port ID and Time To Live must come first, in this order, once.
    Order,
    /// One of these has a length that it cannot have.
    Length,
}

impl fmt::Display for BadPdu {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Short => "it ends within a field",
            Self::Order => "chassis, port and time to live are not its first fields",
            Self::Length => "a field has a length that it cannot have",
        })
    }
}

/// Reads a data unit.
///
/// # Errors
/// [`BadPdu`]. What follows the mandatory fields is taken as far as it can be read: §9.2.7.7 has a bad optional field
/// dropped, not the neighbour.
pub fn parse(octets: &[u8]) -> Result<Pdu, BadPdu> {
    let (chassis, rest) = mandatory(octets, 1)?;
    let (port, rest) = mandatory(rest, 2)?;
    let (ttl, mut rest) = mandatory(rest, 3)?;
    let [high, low, ..] = ttl else { return Err(BadPdu::Length) };
    let (chassis, _) = id(chassis, &[4], &[5])?;
    let (port, port_is_address) = id(port, &[3], &[4])?;
    let mut pdu = Pdu {
        chassis,
        port,
        ttl_seconds: u16::from_be_bytes([*high, *low]),
        port_description: None,
        system_name: None,
        port_is_address,
    };
    while let Ok((kind, value, after)) = field(rest) {
        rest = after;
        let words = || Some(shown(&String::from_utf8_lossy(value))).filter(|words| !words.is_empty());
        match kind {
            0 => break,
            4 => pdu.port_description = pdu.port_description.or_else(words),
            5 => pdu.system_name = pdu.system_name.or_else(words),
            _ => {}
        }
    }
    Ok(pdu)
}

/// The next TLV: seven bits of type, nine of length (§8.4).
fn field(octets: &[u8]) -> Result<(u8, &[u8], &[u8]), BadPdu> {
    let ([first, second], rest) = octets.split_first_chunk::<2>().ok_or(BadPdu::Short)?;
    let length = usize::from(first & 1) << 8 | usize::from(*second);
    let (value, rest) = rest.split_at_checked(length).ok_or(BadPdu::Short)?;
    Ok((first >> 1, value, rest))
}

fn mandatory(octets: &[u8], wanted: u8) -> Result<(&[u8], &[u8]), BadPdu> {
    let (kind, value, rest) = field(octets)?;
    if kind == wanted { Ok((value, rest)) } else { Err(BadPdu::Order) }
}

/// A Chassis ID or Port ID in words: its subtype says whether it is a hardware address, a network address or text.
/// The second value tells a hardware address.
fn id(value: &[u8], address: &[u8], network: &[u8]) -> Result<(String, bool), BadPdu> {
    let (subtype, id) = value.split_first().ok_or(BadPdu::Length)?;
    if id.is_empty() || id.len() > 255 {
        return Err(BadPdu::Length);
    }
    if address.contains(subtype) {
        let hex: Vec<_> = id.iter().map(|octet| format!("{octet:02x}")).collect();
        return Ok((hex.join(":"), true));
    }
    if network.contains(subtype) {
        // An IANA address family number, then the address.
        let words = match id {
            [1, v4 @ ..] if v4.len() == 4 => std::net::Ipv4Addr::new(v4[0], v4[1], v4[2], v4[3]).to_string(),
            [2, v6 @ ..] => match <[u8; 16]>::try_from(v6) {
                Ok(v6) => std::net::Ipv6Addr::from(v6).to_string(),
                Err(_) => return Err(BadPdu::Length),
            },
            other => model::octets::hexadecimal(other),
        };
        return Ok((words, false));
    }
    Ok((shown(&String::from_utf8_lossy(id)), false))
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};
    use proptest::prelude::*;

    fn tlv(kind: u8, value: &[u8]) -> Vec<u8> {
        let length = u16::try_from(value.len()).expect("a test's field");
        let [high, low] = (u16::from(kind) << 9 | length).to_be_bytes();
        [&[high, low], value].concat()
    }

    fn check(fields: &[(u8, &[u8])], expected: Expect) {
        let octets: Vec<u8> = fields.iter().flat_map(|(kind, value)| tlv(*kind, value)).collect();
        let shown = match parse(&octets) {
            Ok(pdu) => {
                let Neighbour { system, port } = pdu.neighbour();
                format!("{system} | {port} | {} s", pdu.ttl_seconds)
            }
            Err(error) => error.to_string(),
        };
        expected.assert_eq(&shown);
    }

    const CHASSIS: (u8, &[u8]) = (1, b"\x04\x02\0\0\0\0\x01");
    const PORT: (u8, &[u8]) = (2, b"\x05swp14");
    const TTL: (u8, &[u8]) = (3, &[0, 120]);
    const END: (u8, &[u8]) = (0, &[]);

    #[test]
    fn neighbours_are_told_in_the_words_of_the_design() {
        check(&[CHASSIS, PORT, TTL, (5, b"p01-r1-leaf-a"), END], expect!["p01-r1-leaf-a | swp14 | 120 s"]);
        check(&[CHASSIS, PORT, TTL, END], expect!["02:00:00:00:00:01 | swp14 | 120 s"]);
        // A hardware address as Port ID, with a description that people know it by.
        check(
            &[CHASSIS, (2, b"\x03\x02\0\0\0\0\x0e"), TTL, (4, b"Ethernet14"), (5, b"leaf")],
            expect!["leaf | Ethernet14 | 120 s"],
        );
        check(
            &[CHASSIS, (2, b"\x03\x02\0\0\0\0\x0e"), TTL, (5, b"leaf")],
            expect!["leaf | 02:00:00:00:00:0e | 120 s"],
        );
        // A name as Port ID stands, whatever the description says.
        check(
            &[CHASSIS, (2, b"\x07Ethernet0"), TTL, (4, b"to u01")],
            expect!["02:00:00:00:00:01 | Ethernet0 | 120 s"],
        );
        check(&[(1, b"\x05\x01\x0a\0\0\x02"), PORT, (3, &[0, 0])], expect!["10.0.0.2 | swp14 | 0 s"]);
        check(&[(1, b"\x07sw\x1b[2J1\n"), PORT, TTL], expect!["sw [2J1 | swp14 | 120 s"]);
        // An optional field that is cut short costs only itself.
        check(&[CHASSIS, PORT, TTL, (5, b"leaf"), (127, b"\0\x80\xc2")], expect!["leaf | swp14 | 120 s"]);
    }

    #[test]
    fn what_is_not_lldp_is_named() {
        check(&[], expect!["it ends within a field"]);
        check(&[CHASSIS, TTL, PORT], expect!["chassis, port and time to live are not its first fields"]);
        check(&[PORT], expect!["chassis, port and time to live are not its first fields"]);
        check(&[(1, b"\x04"), PORT, TTL], expect!["a field has a length that it cannot have"]);
        check(&[CHASSIS, PORT, (3, &[1])], expect!["a field has a length that it cannot have"]);
        check(&[(1, &[4; 300]), PORT, TTL], expect!["a field has a length that it cannot have"]);
        assert_eq!(parse(&[2, 7, 4, 2]), Err(BadPdu::Short));
    }

    proptest! {
        #![proptest_config(ProptestConfig { rng_seed: proptest::test_runner::RngSeed::Fixed(802), ..ProptestConfig::default() })]

        #[test]
        fn any_octets_are_read_or_refused(octets in proptest::collection::vec(any::<u8>(), 0..1500)) {
            if let Ok(pdu) = parse(&octets) {
                let neighbour = pdu.neighbour();
                prop_assert!(neighbour.system.len() <= 1024 && neighbour.port.len() <= 1024);
            }
        }

        #[test]
        fn a_good_frame_with_any_tail_keeps_its_neighbour(tail in proptest::collection::vec(any::<u8>(), 0..600)) {
            let mut octets: Vec<u8> = [CHASSIS, PORT, TTL].iter().flat_map(|(kind, value)| tlv(*kind, value)).collect();
            octets.extend(tail);
            prop_assert_eq!(parse(&octets).expect("good").port, "swp14");
        }
    }
}
