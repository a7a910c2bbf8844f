//! The part of the view that DHCP is answered from: who is asking, and what that interface is told.
//!
//! What follows from the plan alone is shared between the views of one plan (it is most of the work); what follows from
//! the facts is small.

use crate::ids::{DeviceId, InterfaceId, SubnetId};
use crate::mac::Mac;
use crate::quick::Map;
use crate::view::wiring::Wiring;
use std::net::Ipv4Addr;
use std::sync::Arc;

/// Who is asking, and the prepared answer.
#[derive(Debug, Default)]
pub struct DhcpView {
    /// Addresses that clients may know us by; the first is the server identifier that they are told. The same on
    /// every controller, so that their answers are the same bytes; an edge comes first in its own. Empty: nothing can be answered.
    pub servers: Vec<Ipv4Addr>,
    /// What follows from the plan.
    pub wiring: Arc<Wiring<Ipv4Addr>>,
    /// What zone and subnet tell their clients.
    pub told: Told,
    /// Interfaces that are not to be served as planned, and why.
    pub withheld: Map<InterfaceId, Withheld>,
    /// Where a hardware address was accepted. More than one place only if somebody forged it.
    pub accepted: Map<Mac, Homes>,
}

/// The devices at which one hardware address was accepted; nearly always one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Homes {
    first: DeviceId,
    others: Vec<DeviceId>,
}

impl Homes {
    /// One.
    pub fn of(device: DeviceId) -> Self {
        Self { first: device, others: Vec::new() }
    }

    /// One more, if it is not there.
    pub fn add(&mut self, device: DeviceId) {
        if !self.contains(device) {
            self.others.push(device);
        }
    }

    /// Whether it is one of them.
    pub fn contains(&self, device: DeviceId) -> bool {
        self.first == device || self.others.contains(&device)
    }
}

/// Why an interface is not served.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Withheld {
    /// Its device is retired.
    Retired,
    /// A client heard somebody else at its address.
    Conflict,
}

/// Option values, as they go on the wire.
#[derive(Debug, Default)]
pub struct Told {
    /// By [`SubnetId`]; `None` without IPv4.
    pub subnets: Vec<Option<SubnetTold>>,
    /// Option 6.
    pub resolvers: Vec<u8>,
    /// Option 42.
    pub time_servers: Vec<u8>,
    /// Option 119: the zone's domain as a list of one.
    pub search: Vec<u8>,
    /// Option 51, in seconds; all ones is for ever.
    pub lease: [u8; 4],
    /// Options 58 and 59, in seconds; `None` if the lease is for ever.
    pub renewal: Option<([u8; 4], [u8; 4])>,
}

impl Told {
    /// What a subnet tells.
    pub fn subnet(&self, id: SubnetId) -> Option<&SubnetTold> {
        self.subnets.get(id.index())?.as_ref()
    }
}

/// What one subnet tells its clients.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SubnetTold {
    /// Option 1.
    pub mask: [u8; 4],
    /// Option 3.
    pub router: Option<[u8; 4]>,
    /// Option 28; subnets of two addresses have none (RFC 3021).
    pub broadcast: Option<[u8; 4]>,
    /// Option 26.
    pub mtu: Option<[u8; 2]>,
    /// Octets of IP datagram that surely pass to a client there.
    pub path_mtu: u16,
}
