//! The part of the view that DHCPv6 is answered from, as [`super::dhcp`] is for DHCPv4.
//!
//! What both families share stands there: who was accepted where, and why an interface is not served.

use super::dhcp::{PORT_KEY_MAX, Port, Relay, Withheld, port_key};
use crate::design::Audience;
use crate::ids::{DeviceId, InterfaceId, SubnetId};
use crate::plan::Plan;
use ipnet::Ipv6Net;
use std::collections::HashMap;
use std::net::Ipv6Addr;
use std::sync::Arc;

/// Who is asking, and the prepared answer.
#[derive(PartialEq, Eq, Debug, Default)]
pub struct Dhcp6View {
    /// Our DUID, of the zone's name (RFC 6355): the same on every replica, so that their answers are the same bytes and
    /// each may extend what another gave.
    pub server_id: [u8; 18],
    /// The controllers' addresses; the first is in the URLs that machines boot from.
    pub servers: Vec<Ipv6Addr>,
    /// What follows from the plan.
    pub wiring: Arc<Wiring>,
    /// The subnets that a controller stands in: who asks without a relay is on one of them.
    pub links: Vec<SubnetId>,
    /// What the zone tells its clients.
    pub told: Told,
    /// Interfaces that are not to be served as planned, and why.
    pub withheld: HashMap<InterfaceId, Withheld>,
}

/// Every identity that a request can have. Empty in a zone without IPv6.
#[derive(PartialEq, Eq, Debug, Default)]
pub struct Wiring {
    /// By [`port_key`] of the interface-id: whose requests come by a port. The relay is the remote-id where the switch's
    /// model says what it writes as Option 37, else the switch.
    pub ports: HashMap<Box<[u8]>, Port>,
    /// The switches whose relay may name a link by an address: its own on a subnet that it routes, the gateway that a
    /// pair of switches shares, or that of its management interface.
    pub relays: HashMap<Ipv6Addr, Vec<DeviceId>>,
    /// Whose address it is.
    pub addresses: HashMap<Ipv6Addr, InterfaceId>,
    /// The subnets that are for machines or BMCs, in order. None holds another.
    pub client_subnets: Vec<Ipv6Net>,
}

impl Wiring {
    /// Whose requests come by this port.
    pub fn port(&self, relay: Relay<'_>, interface_id: &[u8]) -> Option<Port> {
        let mut buffer = [0; PORT_KEY_MAX];
        self.ports.get(port_key(relay, interface_id, &mut buffer)?).copied()
    }

    /// Whether an address may be that of a machine or BMC: the plan gives it one, or gives it nobody on a subnet where they
    /// stand, so that they may take it.
    pub fn may_be_clients(&self, plan: &Plan, address: Ipv6Addr) -> bool {
        if self.relays.contains_key(&address) {
            return false;
        }
        if let Some(interface) = self.addresses.get(&address) {
            return matches!(plan.interface(*interface).audience, Audience::Machine | Audience::Bmc);
        }
        self.is_beside_clients(address)
    }

    /// Whether machines or BMCs stand on the subnet of an address.
    pub fn is_beside_clients(&self, address: Ipv6Addr) -> bool {
        let after = self.client_subnets.partition_point(|subnet| subnet.network() <= address);
        after > 0 && self.client_subnets[after - 1].contains(&address)
    }
}

/// Option values, as they go on the wire.
#[derive(PartialEq, Eq, Debug, Default)]
pub struct Told {
    /// Option 23.
    pub resolvers: Vec<u8>,
    /// Option 24: the zone's domain as a list of one.
    pub search: Vec<u8>,
    /// Option 31.
    pub time_servers: Vec<u8>,
    /// Option 56: the same as sub-options.
    pub ntp: Vec<u8>,
    /// How long an address is good, in seconds; all ones is for ever.
    pub lease: [u8; 4],
    /// T1 and T2 of an association, in seconds.
    pub renewal: [u8; 8],
    /// Option 32, in seconds.
    pub refresh: [u8; 4],
}
