//! The part of the view that DHCP is answered from: who is asking, and what that interface is told.
//!
//! Identity is one hash look-up: the relay and the bytes that it writes for a port are known before any packet comes,
//! so nothing is parsed or guessed while serving. What follows from the plan alone is shared between the views of one
//! plan (it is most of the work); what follows from the facts is small.

use crate::design::Audience;
use crate::ids::{DeviceId, InterfaceId, SubnetId};
use crate::mac::Mac;
use crate::plan::Plan;
use ipnet::Ipv4Net;
use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::sync::Arc;

/// Who is asking, and the prepared answer.
#[derive(Debug, Default)]
pub struct DhcpView {
    /// Addresses that clients may know us by; the first is the server identifier that they are told. The same on
    /// every replica, so that their answers are the same bytes. Empty: nothing can be answered.
    pub servers: Vec<Ipv4Addr>,
    /// What follows from the plan.
    pub wiring: Arc<Wiring>,
    /// What zone and subnet tell their clients.
    pub told: Told,
    /// Interfaces that are not to be served as planned, and why.
    pub withheld: HashMap<InterfaceId, Withheld>,
    /// Where a hardware address was accepted. More than one place only if somebody forged it.
    pub accepted: HashMap<Mac, Vec<DeviceId>>,
}

/// Every identity that a request can have.
#[derive(PartialEq, Debug, Default)]
pub struct Wiring {
    /// By [`port_key`]: whose requests come by a port.
    pub ports: HashMap<Box<[u8]>, Port>,
    /// The switches whose relay may call itself by an address: its own on a subnet that it routes, the gateway that a
    /// pair of switches shares, or that of its management interface.
    pub relays: HashMap<Ipv4Addr, Vec<DeviceId>>,
    /// Whose address it is.
    pub addresses: HashMap<Ipv4Addr, InterfaceId>,
    /// The subnets that are for machines or BMCs, in order. None holds another.
    pub client_subnets: Vec<Ipv4Net>,
}

/// Whose requests come by one port: positions in [`crate::Plan::bindings`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Port {
    /// Of everything that asks there, or of everything but the BMC that shares the port.
    pub machine: Option<u32>,
    /// Of the BMC that shares the port.
    pub bmc: Option<u32>,
    /// Two interfaces have this identity, so it tells nothing.
    pub is_ambiguous: bool,
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

/// Who speaks for a port.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Relay<'a> {
    /// The relay writes a remote-id.
    Remote(&'a [u8]),
    /// It writes none that is known beforehand; its address told which switch it is.
    Switch(DeviceId),
}

/// A circuit-id and a remote-id of 255 octets, and two before them.
pub const PORT_KEY_MAX: usize = 512;

/// The key of a port in [`Wiring::ports`], written into `buffer`. No two (relay, circuit-id) have the same; `None` if
/// one of them is longer than a sub-option can be.
pub fn port_key<'b>(
    relay: Relay<'_>,
    circuit_id: &[u8],
    buffer: &'b mut [u8; PORT_KEY_MAX],
) -> Option<&'b [u8]> {
    let relay_end = match relay {
        Relay::Switch(switch) => {
            buffer[0] = 0;
            buffer[1..5].copy_from_slice(&switch.0.to_be_bytes());
            5
        }
        Relay::Remote(remote_id) => {
            buffer[0] = 1;
            buffer[1] = u8::try_from(remote_id.len()).ok()?;
            buffer[2..2 + remote_id.len()].copy_from_slice(remote_id);
            2 + remote_id.len()
        }
    };
    let end = relay_end + circuit_id.len();
    buffer.get_mut(relay_end..end)?.copy_from_slice(circuit_id);
    Some(&buffer[..end])
}

impl Wiring {
    /// Whose requests come by this port.
    pub fn port(&self, relay: Relay<'_>, circuit_id: &[u8]) -> Option<Port> {
        let mut buffer = [0; PORT_KEY_MAX];
        self.ports.get(port_key(relay, circuit_id, &mut buffer)?).copied()
    }

    /// Whether an address may be that of a machine or BMC: the plan gives it one, or gives it nobody on a subnet where they
    /// stand, so that they may take it.
    pub fn may_be_clients(&self, plan: &Plan, address: Ipv4Addr) -> bool {
        if self.relays.contains_key(&address) {
            return false;
        }
        if let Some(interface) = self.addresses.get(&address) {
            return matches!(plan.interface(*interface).audience, Audience::Machine | Audience::Bmc);
        }
        let after = self.client_subnets.partition_point(|subnet| subnet.network() <= address);
        after > 0 && self.client_subnets[after - 1].contains(&address)
    }
}
