//! DHCP servers that are not the zone's: how often machines ask who answers, and whose answer is foreign.
//!
//! A machine's agent broadcasts a DISCOVER of its own and reports every server that offers something. Nothing is ever
//! accepted from any of them. The machines of a network share the work, so that each asks seldom.

use crate::Zone;
use model::design::Audience;
use model::facts::DhcpServer;
use model::{DeviceId, Location, Plan, View};
use std::collections::BTreeMap;
use std::net::IpAddr;

/// A network is asked so many times while a new server in it may stay unheard of: agents keep no step with each other.
const PROBES_WITHIN: u32 = 3;
/// No machine asks more often, and none that asks at all more seldom.
const EVERY_MIN: u32 = 10;
const EVERY_MAX: u32 = 3600;
/// Interfaces beside a machine's own in the plan among which its neighbours are counted: a rack's, several times over.
const NEIGHBOURS_MAX: usize = 512;
/// Servers of one machine that are kept.
const SERVERS_MAX: usize = 16;
/// Characters of an interface's name that are kept.
const NAME_MAX: usize = 32;

/// How often a machine's agent asks who answers DHCP, in seconds; 0: never.
pub fn every_seconds(plan: &Plan, device: DeviceId) -> u32 {
    let within = plan.design.zone.dhcp_probe_seconds;
    if within == 0 {
        return 0;
    }
    let crowds = plan.interface_ids_of(device).filter_map(|id| {
        let own = plan.interface(id);
        let from = id.index().saturating_sub(NEIGHBOURS_MAX);
        let near = plan.interfaces[from..].iter().take(2 * NEIGHBOURS_MAX);
        let crowd =
            near.filter(|other| other.subnet == own.subnet && other.audience == Audience::Machine).count();
        (own.audience == Audience::Machine).then(|| u32::try_from(crowd).unwrap_or(u32::MAX))
    });
    let crowd = crowds.min().unwrap_or(1).max(1);
    (within.saturating_mul(crowd) / PROBES_WITHIN).clamp(EVERY_MIN, EVERY_MAX)
}

/// Those of the servers that a machine heard that are not the zone's, in a fixed order. Ours calls itself by a
/// controller's address, or by that of the relay that stands for it (RFC 5107), and offers what the plan has.
pub fn foreign(view: &View, heard: &[DhcpServer]) -> Vec<DhcpServer> {
    let is_ours = |server: &DhcpServer| {
        let IpAddr::V4(identifier) = server.identifier else { return false };
        let wiring = &view.dhcp.wiring;
        let is_known = view.dhcp.servers.contains(&identifier) || wiring.relays.contains_key(&identifier);
        is_known
            && server.offered.is_none_or(
                |offered| matches!(offered, IpAddr::V4(offered) if wiring.addresses.contains_key(&offered)),
            )
    };
    // A name comes from a machine: what is kept of it can be shown anywhere.
    let name = |name: &str| name.chars().filter(char::is_ascii_graphic).take(NAME_MAX).collect();
    let mut servers: Vec<DhcpServer> = heard
        .iter()
        .filter(|server| !is_ours(server))
        .map(|server| DhcpServer { interface: name(&server.interface), ..server.clone() })
        .collect();
    servers.sort();
    servers.dedup();
    servers.truncate(SERVERS_MAX);
    servers
}

/// One that a machine heard, as a sentence.
pub fn in_words(server: &DhcpServer) -> String {
    let DhcpServer { identifier, mac, interface, offered } = server;
    let offers = offered.map(|offered| format!(", and offers {offered}")).unwrap_or_default();
    format!("a DHCP server that is not ours answers at {interface}: {identifier} ({mac}){offers}")
}

/// A foreign server, by all that hear it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Heard {
    /// The server, as the first of them heard it.
    pub server: DhcpServer,
    /// That machine.
    pub by: Location,
    /// How many machines hear it besides.
    pub others: usize,
}

/// Every foreign server of the zone.
pub fn heard(zone: &Zone) -> Vec<Heard> {
    let mut all: BTreeMap<_, Heard> = BTreeMap::new();
    for (location, machine) in &zone.facts().machines {
        // What a place said that the plan no longer has is nobody's to mend.
        if machine.foreign_servers.is_empty() || zone.roster().device_at(location).is_none() {
            continue;
        }
        let mut counted = Vec::new();
        for server in &machine.foreign_servers {
            let key = (server.identifier, server.mac);
            let known = all.entry(key).or_insert_with(|| {
                counted.push(key);
                Heard { server: server.clone(), by: location.clone(), others: 0 }
            });
            if !counted.contains(&key) {
                counted.push(key);
                known.others += 1;
            }
        }
    }
    all.into_values().collect()
}
