//! Namespaces, bridges, cables, addresses and routes, as `topology` worked them out.

use super::Zone;
use crate::error::{Doing, Error};
use crate::net::{Links, Namespace, Port};
use crate::topology::{End, Kind, Wire};
use std::collections::HashMap;
use std::sync::Arc;

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
    let mut links = HashMap::new();
    for (id, host) in zone.topology.hosts.iter().enumerate() {
        let own = Links::open(&namespaces[id])?;
        own.set_up(1, true).await?;
        for bridge in &host.bridges {
            own.add_bridge(bridge.index, &bridge.name, bridge.mac).await?;
        }
        if matches!(host.kind, Kind::Switch | Kind::Controller) {
            links.insert(id, own);
        }
    }
    for wire in &zone.topology.wires {
        lay(&links, &namespaces, wire).await?;
    }
    for (id, own) in &links {
        for (index, address, prefix_length) in &zone.topology.hosts[*id].addresses {
            own.add_address(*index, *address, *prefix_length).await?;
        }
    }
    for (id, own) in &links {
        for (to, gateway) in &zone.topology.hosts[*id].routes {
            own.add_route(*to, *gateway).await?;
        }
    }
    zone.progress.send_modify(|progress| progress.built.0 = progress.built.1);
    Ok(namespaces)
}

async fn lay(links: &HashMap<usize, Links>, namespaces: &[Namespace], wire: &Wire) -> Result<(), Error> {
    match links.get(&wire.near.host) {
        Some(near) => lay_from(near, namespaces, wire).await,
        None => lay_from(&Links::open(&namespaces[wire.near.host])?, namespaces, wire).await,
    }
}

/// Lays one cable from its near end; a switch's far end joins its bridge.
///
/// # Errors
/// As netlink says.
pub(super) async fn lay_from(near: &Links, namespaces: &[Namespace], wire: &Wire) -> Result<(), Error> {
    let far_namespace = &namespaces[wire.far.host];
    near.add_cable(&port(&wire.near), far_namespace, &port(&wire.far)).await?;
    if let Some(bridge) = wire.far.bridge {
        Links::open(far_namespace)?.join_bridge(wire.far.index, bridge).await?;
    }
    Ok(())
}

fn port(end: &End) -> Port<'_> {
    Port { index: end.index, name: &end.name, mac: Some(end.mac), bridge: end.bridge }
}
