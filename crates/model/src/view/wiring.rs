//! Who is asking: ports, relays and addresses of a plan, as DHCP looks them up. The same for both families of addresses.
//!
//! Identity is one hash look-up: the relay and the bytes that it writes for a port are known before any packet comes, so
//! nothing is parsed or guessed while serving. What a decision needs of an interface stands beside it in a row of a few
//! octets: ten thousand machines that ask in turn would find nothing of a plan's wide rows in the processor's caches.

use crate::design::Audience;
use crate::ids::{DeviceId, InterfaceId, SubnetId};
use crate::quick::Map;
use std::hash::Hash;

/// Every identity that a request of one family can have.
#[derive(PartialEq, Eq, Debug)]
pub struct Wiring<A: Eq + Hash> {
    /// By [`port_key`]: whose requests come by a port. The relay is the remote-id where the switch's model says what it
    /// writes, else the switch.
    pub ports: Map<Box<[u8]>, Port>,
    /// The switches whose relay may call itself by an address: its own on a subnet that it routes, the gateway that a
    /// pair of switches shares, or that of its management interface.
    pub relays: Map<A, Vec<DeviceId>>,
    /// Whose address it is.
    pub addresses: Map<A, InterfaceId>,
    /// By [`InterfaceId`].
    pub seats: Vec<Seat<A>>,
    /// The first and the last address of each subnet that is for machines or BMCs, in order. None holds another.
    pub client_subnets: Vec<(A, A)>,
}

/// What a decision needs of an interface.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Seat<A> {
    /// Whose it is.
    pub device: DeviceId,
    /// The subnet that it is in.
    pub subnet: SubnetId,
    /// Its address, if it has one of this family.
    pub address: Option<A>,
    /// Which audience of the network it belongs to.
    pub audience: Audience,
}

/// Whose requests come by one port.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Port {
    /// Of everything that asks there, or of everything but the BMC that shares the port.
    pub machine: Option<Owner>,
    /// Of the BMC that shares the port.
    pub bmc: Option<Owner>,
    /// Two interfaces have this identity, so it tells nothing.
    pub is_ambiguous: bool,
}

/// An interface that asks by a port.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Owner {
    /// Which one.
    pub interface: InterfaceId,
    /// The switch whose relay speaks.
    pub switch: DeviceId,
    /// Position in [`crate::Plan::bindings`].
    pub binding: u32,
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
/// one of them is longer than a sub-option can be. DHCPv6's interface-id stands for the circuit-id.
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

impl<A: Eq + Hash> Default for Wiring<A> {
    fn default() -> Self {
        Self {
            ports: Map::default(),
            relays: Map::default(),
            addresses: Map::default(),
            seats: Vec::new(),
            client_subnets: Vec::new(),
        }
    }
}

impl<A: Copy + Ord + Hash> Wiring<A> {
    /// Whose requests come by this port.
    pub fn port(&self, relay: Relay<'_>, circuit_id: &[u8]) -> Option<Port> {
        let mut buffer = [0; PORT_KEY_MAX];
        self.ports.get(port_key(relay, circuit_id, &mut buffer)?).copied()
    }

    /// What a decision needs of an interface.
    pub fn seat(&self, interface: InterfaceId) -> &Seat<A> {
        &self.seats[interface.index()]
    }

    /// Whether an address may be that of a machine or BMC: the plan gives it one, or gives it nobody on a subnet where they
    /// stand, so that they may take it.
    pub fn may_be_clients(&self, address: A) -> bool {
        if self.relays.contains_key(&address) {
            return false;
        }
        match self.addresses.get(&address) {
            Some(interface) => {
                matches!(self.seat(*interface).audience, Audience::Machine | Audience::Bmc)
            }
            None => self.is_beside_clients(address),
        }
    }

    /// Whether machines or BMCs stand on the subnet of an address.
    pub fn is_beside_clients(&self, address: A) -> bool {
        let after = self.client_subnets.partition_point(|(first, _)| *first <= address);
        after > 0 && address <= self.client_subnets[after - 1].1
    }
}
