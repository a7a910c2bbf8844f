//! The part of the view that DHCPv6 is answered from, as [`super::dhcp`] is for DHCPv4.
//!
//! What both families share stands there: who was accepted where, and why an interface is not served.

use super::dhcp::Withheld;
use super::wiring::Wiring;
use crate::ids::{InterfaceId, SubnetId};
use crate::quick::Map;
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
    /// What follows from the plan. Empty in a zone without IPv6.
    pub wiring: Arc<Wiring<Ipv6Addr>>,
    /// The subnets that a controller stands in: who asks without a relay is on one of them.
    pub links: Vec<SubnetId>,
    /// What the zone tells its clients.
    pub told: Told,
    /// Interfaces that are not to be served as planned, and why.
    pub withheld: Map<InterfaceId, Withheld>,
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
