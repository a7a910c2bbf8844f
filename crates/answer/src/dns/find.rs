//! Which zone a name is in, and where in it.
//!
//! Forward names are looked up; reverse names are read as the address or prefix they spell.

use ipnet::{Ipv4Net, Ipv6Net};
use model::view::{DnsNameId, DnsView, DnsZoneKind};
use std::net::{Ipv4Addr, Ipv6Addr};
use wire::dns::NAME_MAX;

/// A name of one of our zones.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Found {
    /// The zone's position.
    pub zone: usize,
    /// Where in it.
    pub place: Place,
}

/// Where in a zone a name is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Place {
    /// It is the zone's own.
    Apex,
    /// A forward name.
    Name(DnsNameId),
    /// The name of an address that somebody has.
    Address4(Ipv4Addr),
    /// The same in IPv6.
    Address6(Ipv6Addr),
    /// There is nothing at it, but below it (RFC 4592 §2.2.2): it exists.
    Between,
    /// It does not exist.
    Nowhere,
}

/// Looks a name up by its labels, of whatever case. `None` if it is in no zone of ours.
pub(super) fn find(dns: &DnsView, labels: &[u8]) -> Option<Found> {
    let mut octets = [0; NAME_MAX];
    let octets = octets.get_mut(..labels.len())?;
    octets.copy_from_slice(labels);
    // Lengths are below 64, so that only letters change.
    octets.make_ascii_lowercase();
    reverse(dns, octets).or_else(|| forward(dns, octets))
}

fn forward(dns: &DnsView, name: &[u8]) -> Option<Found> {
    let zone = dns.zones.iter().position(|zone| zone.kind == DnsZoneKind::Forward)?;
    let below = below(name, &dns.zones[zone].apex)?;
    let place = match dns.find(below) {
        Some(DnsNameId::APEX) => Place::Apex,
        Some(id) if dns.rows_of(id).is_empty() => Place::Between,
        Some(id) => Place::Name(id),
        None => Place::Nowhere,
    };
    Some(Found { zone, place })
}

/// What of `name` is below `apex`, if it ends in it at the boundary of a label.
fn below<'n>(name: &'n [u8], apex: &[u8]) -> Option<&'n [u8]> {
    let length = name.len().checked_sub(apex.len())?;
    let mut at = 0;
    while at < length {
        at += 1 + usize::from(name[at]);
    }
    (at == length && &name[length..] == apex).then_some(&name[..length])
}

fn reverse(dns: &DnsView, name: &[u8]) -> Option<Found> {
    if let Some(below) = below(name, b"\x07in-addr\x04arpa") {
        let (net, rest) = spelled4(below);
        let holds = |kind: &DnsZoneKind| matches!(kind, DnsZoneKind::Reverse4(zone) if zone.contains(&net));
        let zone = dns.zones.iter().position(|zone| holds(&zone.kind))?;
        let place = if dns.zones[zone].kind == DnsZoneKind::Reverse4(net) && rest == Rest::Nothing {
            Place::Apex
        } else if rest == Rest::Something || dns.pointers4(net).is_empty() {
            Place::Nowhere
        } else if net.prefix_len() == 32 {
            Place::Address4(net.addr())
        } else {
            Place::Between
        };
        return Some(Found { zone, place });
    }
    let (net, rest) = spelled6(below(name, b"\x03ip6\x04arpa")?);
    let holds = |kind: &DnsZoneKind| matches!(kind, DnsZoneKind::Reverse6(zone) if zone.contains(&net));
    let zone = dns.zones.iter().position(|zone| holds(&zone.kind))?;
    let place = if dns.zones[zone].kind == DnsZoneKind::Reverse6(net) && rest == Rest::Nothing {
        Place::Apex
    } else if rest == Rest::Something || dns.pointers6(net).is_empty() {
        Place::Nowhere
    } else if net.prefix_len() == 128 {
        Place::Address6(net.addr())
    } else {
        Place::Between
    };
    Some(Found { zone, place })
}

/// Whether labels are left that spell no part of an address.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Rest {
    Nothing,
    Something,
}

/// The prefix that labels spell, last label first, and whether others are left.
fn spelled4(labels: &[u8]) -> (Ipv4Net, Rest) {
    let (mut value, mut length, mut rest) = (0_u32, 0_u8, Rest::Nothing);
    for label in from_the_root(labels) {
        let Some(octet) = octet(label).filter(|_| length < 32) else {
            rest = Rest::Something;
            break;
        };
        length += 8;
        value |= u32::from(octet) << (32 - length);
    }
    (Ipv4Net::new(Ipv4Addr::from(value), length).unwrap_or_default(), rest)
}

/// The same for nibbles.
fn spelled6(labels: &[u8]) -> (Ipv6Net, Rest) {
    let (mut value, mut length, mut rest) = (0_u128, 0_u8, Rest::Nothing);
    for label in from_the_root(labels) {
        let nibble = match label {
            [digit] => char::from(*digit).to_digit(16),
            _ => None,
        };
        let Some(nibble) = nibble.filter(|_| length < 128) else {
            rest = Rest::Something;
            break;
        };
        length += 4;
        value |= u128::from(nibble) << (128 - length);
    }
    (Ipv6Net::new(Ipv6Addr::from(value), length).unwrap_or_default(), rest)
}

/// An octet as it is written without leading zeros.
fn octet(label: &[u8]) -> Option<u8> {
    let is_plain = matches!(label, [b'0'] | [b'1'..=b'9', ..]) && label.iter().all(u8::is_ascii_digit);
    if is_plain { std::str::from_utf8(label).ok()?.parse().ok() } else { None }
}

/// Labels in wire form, last first.
fn from_the_root(labels: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut starts = [0_u8; 128];
    let (mut count, mut at) = (0, 0);
    while at < labels.len() {
        // A name has at most 127 labels, and is at most 255 octets long.
        starts[count] = u8::try_from(at).unwrap_or_default();
        count += 1;
        at += 1 + usize::from(labels[at]);
    }
    (0..count).rev().map(move |position| {
        let start = usize::from(starts[position]);
        &labels[start + 1..start + 1 + usize::from(labels[start])]
    })
}
