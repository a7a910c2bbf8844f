//! Namespaces, bridges, cables, addresses and routes, as `topology` worked them out.

use super::Zone;
use crate::error::{Doing, Error};
use crate::net::{Links, Namespace, Port, Tap, has_ipv6};
use crate::topology::{End, Kind, Wire};
use std::sync::{Arc, PoisonError};

/// How often progress is told while building, in hosts.
const TELL_EVERY: usize = 8;

/// Builds everything; answers the namespaces by host.
///
/// # Errors
/// At the first thing the kernel refuses.
pub(super) async fn build(zone: &Arc<Zone>) -> Result<Vec<Namespace>, Error> {
    let mut namespaces = Vec::with_capacity(zone.topology.hosts.len());
    for (number, host) in zone.topology.hosts.iter().enumerate() {
        let forwards = host.kind == Kind::Switch;
        let made = tokio::task::spawn_blocking(move || Namespace::create(forwards));
        namespaces.push(made.await.doing(|| "create a namespace")??);
        if number % TELL_EVERY == 0 {
            zone.progress.send_modify(|progress| progress.built.0 = number);
        }
    }
    let mut links = Vec::with_capacity(namespaces.len());
    for (id, host) in zone.topology.hosts.iter().enumerate() {
        let own = Links::open(&namespaces[id])?;
        own.set_up(1, true).await?;
        for bridge in &host.bridges {
            own.add_bridge(bridge.index, &bridge.name, bridge.mac).await?;
        }
        links.push(own);
    }
    for wire in &zone.topology.wires {
        lay(zone, &namespaces, &links[wire.near.host], &links[wire.far.host], wire).await?;
    }
    let is_spoken = |is_ipv6: bool| !is_ipv6 || has_ipv6();
    for (id, own) in links.iter().enumerate() {
        let host = &zone.topology.hosts[id];
        let indexes = host.addresses.iter().filter(|(_, address, _)| address.is_ipv6()).map(|it| it.0);
        let names: Vec<&str> = indexes.filter_map(|index| zone.topology.interface_name(id, index)).collect();
        if !names.is_empty() && has_ipv6() {
            namespaces[id].speak_ipv6(&names)?;
        }
        for (index, address, prefix_length) in &host.addresses {
            if is_spoken(address.is_ipv6()) {
                own.add_address(*index, *address, *prefix_length).await?;
            }
        }
    }
    for (own, host) in links.iter().zip(&zone.topology.hosts) {
        for (to, gateway) in host.routes.iter().filter(|(_, gateway)| is_spoken(gateway.is_ipv6())) {
            own.add_route(*to, *gateway).await?;
        }
    }
    zone.progress.send_modify(|progress| progress.built.0 = progress.built.1);
    Ok(namespaces)
}

/// Lays one cable, both ends up and on their bridges.
///
/// # Errors
/// As netlink says.
pub(super) async fn lay(
    zone: &Zone,
    namespaces: &[Namespace],
    near: &Links,
    far: &Links,
    wire: &Wire,
) -> Result<(), Error> {
    if zone.real.contains_key(&wire.far.host) {
        return lay_to_real(zone, &namespaces[wire.near.host], near, &wire.near).await;
    }
    near.add_cable(&port(&wire.near), &namespaces[wire.far.host], &port(&wire.far)).await?;
    if let Some(bridge) = wire.far.bridge {
        far.join_bridge(wire.far.index, bridge).await?;
    }
    far.set_up(wire.far.index, true).await
}

/// Lays a cable to a machine that is real: the switch's end is a tap, and the other end its descriptor.
async fn lay_to_real(zone: &Zone, switch: &Namespace, links: &Links, near: &End) -> Result<(), Error> {
    let tap = Tap::create(switch, near.index, &near.name)?;
    links.set_mac(near.index, near.mac).await?;
    if let Some(bridge) = near.bridge {
        links.join_bridge(near.index, bridge).await?;
    }
    links.set_up(near.index, true).await?;
    let mut taps = zone.taps.lock().unwrap_or_else(PoisonError::into_inner);
    taps.insert((near.host, near.index), Arc::new(tap));
    Ok(())
}

fn port(end: &End) -> Port<'_> {
    Port { index: end.index, name: &end.name, mac: Some(end.mac), bridge: end.bridge }
}
