//! The part of the view that DHCPv6 is answered from: as `dhcp` has it, from the same plan, facts and site.

use super::dhcp::{LEASE_SECONDS_MIN, search, timers, unlike};
use super::wiring::{V6, wiring};
use super::{Known, withheld};
use model::Plan;
use model::design::{Audience, Zone};
use model::view::dhcp6::Told;
use model::view::wiring::Wiring;
use model::view::{Dhcp6View, Site};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

/// The shortest time after which a client without address asks again (IRT_MINIMUM, RFC 8415 §7.6).
const REFRESH_SECONDS_MIN: u32 = 600;

/// Prepares it.
pub(super) fn view(plan: &Plan, known: &Known<'_>, site: &Site) -> Dhcp6View {
    with_wiring(Arc::new(wiring(plan, &V6)), plan, known, site)
}

/// The same for newer facts, or for another plan that is wired alike: the wiring, which is most of the work, is shared.
pub(super) fn succeed(previous: &Dhcp6View, plan: &Plan, known: &Known<'_>, site: &Site) -> Dhcp6View {
    with_wiring(Arc::clone(&previous.wiring), plan, known, site)
}

fn with_wiring(wiring: Arc<Wiring<Ipv6Addr>>, plan: &Plan, known: &Known<'_>, site: &Site) -> Dhcp6View {
    // Nothing asks, so nothing is prepared.
    if wiring.addresses.is_empty() {
        return Dhcp6View { wiring, ..Dhcp6View::default() };
    }
    let controllers =
        || plan.interfaces.iter().filter(|interface| interface.audience == Audience::Controller);
    let of = |addresses: &[IpAddr]| addresses.iter().copied().filter_map(v6).collect::<Vec<_>>();
    let told_controllers =
        unlike(of(&site.controllers).into_iter().chain(controllers().filter_map(|interface| interface.v6)));
    let resolvers = unlike(of(&site.own).into_iter().chain(told_controllers.iter().copied()));
    let servers = unlike(resolvers.iter().copied().chain(of(&site.edges)));
    let mut links: Vec<_> = controllers().map(|interface| interface.subnet).collect();
    links.dedup();
    Dhcp6View {
        server_id: server_id(&plan.design.zone),
        told: told(&plan.design.zone, &resolvers, &told_controllers),
        // Hardware that belongs elsewhere is in DHCPv4's part, which both families read.
        withheld: withheld(plan, known, |interface| interface.v6.map(IpAddr::V6)),
        servers,
        wiring,
        links,
    }
}

fn v6(address: IpAddr) -> Option<Ipv6Addr> {
    match address {
        IpAddr::V6(address) => Some(address),
        IpAddr::V4(_) => None,
    }
}

/// A DUID-UUID (RFC 6355) of the zone's name and domain: their FNV-1a hash, as a UUID of the kind that anybody may make
/// up (RFC 9562 §5.8). No hash of the standard library is the same in every release of it.
fn server_id(zone: &Zone) -> [u8; 18] {
    const OFFSET: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
    const PRIME: u128 = 0x0000_0000_0100_0000_0000_0000_0000_013b;
    let octets = zone.name.bytes().chain([0]).chain(zone.domain.bytes());
    let hash = octets.fold(OFFSET, |hash, octet| (hash ^ u128::from(octet)).wrapping_mul(PRIME));
    let mut uuid = hash.to_be_bytes();
    uuid[6] = uuid[6] & 0x0f | 0x80;
    uuid[8] = uuid[8] & 0x3f | 0x80;
    let mut duid = [0; 18];
    duid[1] = 4;
    duid[2..].copy_from_slice(&uuid);
    duid
}

fn told(zone: &Zone, resolvers: &[Ipv6Addr], controllers: &[Ipv6Addr]) -> Told {
    let lease_seconds = zone.lease_seconds.max(LEASE_SECONDS_MIN);
    let addresses = |list: &[IpAddr], or: &[Ipv6Addr]| -> Vec<Ipv6Addr> {
        if list.is_empty() { or.to_vec() } else { list.iter().copied().filter_map(v6).collect() }
    };
    let octets = |list: &[Ipv6Addr]| list.iter().flat_map(Ipv6Addr::octets).collect();
    let time_servers = addresses(&zone.time_servers, controllers);
    // Sub-option 1, an address of sixteen octets (RFC 5908 §4.1).
    let ntp =
        time_servers.iter().flat_map(|address| [0, 1, 0, 16].into_iter().chain(address.octets())).collect();
    let (first, second) = match lease_seconds {
        // For ever is never extended.
        u32::MAX => ([u8::MAX; 4], [u8::MAX; 4]),
        seconds => timers(seconds),
    };
    let mut renewal = [0; 8];
    renewal[..4].copy_from_slice(&first);
    renewal[4..].copy_from_slice(&second);
    Told {
        resolvers: octets(&addresses(&zone.resolvers, resolvers)),
        search: search(zone),
        time_servers: octets(&time_servers),
        ntp,
        lease: lease_seconds.to_be_bytes(),
        renewal,
        refresh: lease_seconds.max(REFRESH_SECONDS_MIN).to_be_bytes(),
    }
}

#[cfg(test)]
mod tests;
