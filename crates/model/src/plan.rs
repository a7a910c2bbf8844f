//! The drawing, decided. Nothing is left to choose after this.
//!
//! A Plan is immutable. It carries the Design it came from, so that one value answers every question; what it adds
//! are prefixes, addresses and the exact bytes each port's relay will send.

use crate::design::{Audience, Design, PortRef};
use crate::ids::{DeviceId, Generation, InterfaceId, NetworkId, SubnetId};
use crate::location::Location;
use ipnet::{Ipv4Net, Ipv6Net};
use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

/// A compiled zone.
#[derive(Clone, Debug)]
pub struct Plan {
    /// 0 until published.
    pub generation: Generation,
    /// What it was compiled from; device, model, role and cable ids index into its tables.
    pub design: Arc<Design>,
    /// The block that holds each pod and rack: one route each.
    pub aggregates: Vec<Aggregate>,
    /// Every network in every place it exists.
    pub subnets: Vec<Subnet>,
    /// Every addressed interface, in device order.
    pub interfaces: Vec<Interface>,
    /// `interfaces[first_interface[d] .. first_interface[d + 1]]` are device `d`'s; one longer than the devices.
    pub first_interface: Vec<u32>,
    /// Every identity by which a DHCP request can be known, in device order.
    pub bindings: Vec<Binding>,
}

impl Plan {
    /// The interfaces of one device.
    pub fn interfaces_of(&self, device: DeviceId) -> &[Interface] {
        let from = self.first_interface[device.index()] as usize;
        let to = self.first_interface[device.index() + 1] as usize;
        &self.interfaces[from..to]
    }

    /// Where the interfaces of one device stand in the table.
    pub fn interface_ids_of(&self, device: DeviceId) -> impl Iterator<Item = InterfaceId> + use<> {
        let [from, to] = [device.index(), device.index() + 1].map(|position| self.first_interface[position]);
        (from..to).map(InterfaceId)
    }

    /// One interface.
    pub fn interface(&self, id: InterfaceId) -> &Interface {
        &self.interfaces[id.index()]
    }

    /// One subnet.
    pub fn subnet(&self, id: SubnetId) -> &Subnet {
        &self.subnets[id.index()]
    }
}

/// The block that holds everything of one pod or rack.
#[derive(Clone, PartialEq, Debug)]
pub struct Aggregate {
    /// The pod or rack.
    pub location: Location,
    /// Its IPv4 block.
    pub v4: Option<Ipv4Net>,
    /// Its IPv6 block.
    pub v6: Option<Ipv6Net>,
}

/// A network in one place.
#[derive(Clone, PartialEq, Debug)]
pub struct Subnet {
    /// The `network` block.
    pub network: NetworkId,
    /// The zone, pod or rack it serves.
    pub location: Location,
    /// Its IPv4 prefix.
    pub v4: Option<Ipv4Net>,
    /// Its IPv6 prefix, a /64.
    pub v6: Option<Ipv6Net>,
    /// The IPv4 router that its clients are told: the first host address, shared by the switches that serve it.
    pub gateway4: Option<Ipv4Addr>,
    /// The IPv6 router.
    pub gateway6: Option<Ipv6Addr>,
    /// The switches that route it and relay DHCP from it, with their own address on it.
    pub routers: Vec<Router>,
}

/// A switch's own foot in a subnet it routes.
#[derive(Clone, PartialEq, Debug)]
pub struct Router {
    /// The switch.
    pub switch: DeviceId,
    /// Its own IPv4 address there; its relay's giaddr (the gateway's address is as good).
    pub v4: Option<Ipv4Addr>,
    /// Its own IPv6 address there.
    pub v6: Option<Ipv6Addr>,
}

/// One addressed interface of a device on one network.
#[derive(Clone, PartialEq, Debug)]
pub struct Interface {
    /// The device.
    pub device: DeviceId,
    /// `eno1`, `bond0`, `bmc`, `eno1.300` for a tagged network, `mgmt` for a switch's own.
    pub name: String,
    /// Its DNS label: the device's name for the first interface, `name-bmc`, `name-eno2`, `name-eno1-300` for others.
    pub dns_name: String,
    /// Which audience of the network it belongs to.
    pub audience: Audience,
    /// The subnet it is in.
    pub subnet: SubnetId,
    /// Its IPv4 address.
    pub v4: Option<Ipv4Addr>,
    /// Its IPv6 address.
    pub v6: Option<Ipv6Addr>,
    /// The device's own ports that carry it: one, or the members of a bond.
    pub ports: Vec<PortRef>,
}

/// One identity by which an interface's DHCP request is known, computed from the cable that leads to it.
#[derive(Clone, PartialEq, Debug)]
pub struct Binding {
    /// Whose request it is.
    pub interface: InterfaceId,
    /// The switch whose relay speaks.
    pub switch: DeviceId,
    /// The switch port it speaks of; for a port-channel, the first member's.
    pub port: PortRef,
    /// The device's own port at the other end of that cable: a member of a bond, and not the bond.
    pub own_port: PortRef,
    /// The circuit-id bytes that the relay writes.
    pub circuit_id: Box<[u8]>,
    /// The remote-id bytes; `None` when the relay's model writes none, and giaddr alone tells the relay.
    pub remote_id: Option<Arc<[u8]>>,
    /// The interface-id bytes that it writes in DHCPv6; `None`: those of the circuit-id.
    pub interface_id: Option<Box<[u8]>>,
    /// The remote-id bytes that it is known by in DHCPv6; `None`: the link-address alone tells the relay.
    pub remote_id6: Option<Arc<[u8]>>,
    /// On a port that a BMC shares: the request is this interface's only if Option 60 starts with one of the BMC's
    /// prefixes (`Some(true)`), or with none of them (`Some(false)`). `None`: the port is not shared.
    pub is_bmc_class: Option<bool>,
}

impl Binding {
    /// What the relay writes for the port in DHCPv6.
    pub fn interface_id(&self) -> &[u8] {
        self.interface_id.as_deref().unwrap_or(&self.circuit_id)
    }
}
