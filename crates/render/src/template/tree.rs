//! What a template may know: one tree for every template, from the plan and what the machine's ports showed.
//!
//! Every key is always there; what a machine does not have is `none`. Nothing in it is secret. Its shape is part of what
//! users build on: docs/guides/templates.md lists it.

use super::Asking;
use crate::{ipxe, system};
use model::design::{Audience, Image};
use model::octets::hexadecimal;
use model::plan::Interface;
use model::view::SiteFile;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::net::IpAddr;

pub(super) fn tree(asking: &Asking<'_>, image: &Image) -> Value {
    let Asking { plan, device, .. } = *asking;
    let design = &plan.design;
    let own = &design.devices[device.index()];
    let role = own.role.map(|role| &design.roles[role.index()]);
    let layout = role.and_then(|role| role.disks).map(|layout| &design.layouts[layout.index()]);
    let os = role.and_then(|role| role.os).map(|os| &design.systems[os.index()]);
    let speak = ipxe::Machine {
        location: own.location.as_str(),
        controllers: asking.controllers,
        near: asking.near,
        ports: asking.ports,
        is_secure: false,
    };
    let controllers: Vec<String> =
        ipxe::in_turn(&speak).iter().map(|controller| ipxe::base(*controller, asking.ports, false)).collect();
    let base = ipxe::sources(&speak)
        .first()
        .map(|server| ipxe::base(*server, asking.ports, false))
        .unwrap_or_default();
    let or_controllers = |addresses: &[IpAddr]| match addresses {
        [] => asking.controllers.to_vec(),
        some => some.to_vec(),
    };
    let files: Vec<Value> = system::files(plan, device, asking.seen)
        .into_iter()
        .map(|file| {
            let directory = file.path.rsplit_once('/').map_or("", |(directory, _)| directory);
            json!({ "path": file.path, "directory": directory, "mode": format!("{:04o}", file.mode), "mode_number": file.mode, "text": file.text })
        })
        .collect();
    json!({
        "generation": plan.generation.0,
        "machine": {
            "name": own.name,
            "fqdn": format!("{}.{}", own.name, design.zone.domain),
            "location": own.location.as_str(),
            "place": own.location.within_zone(),
            "role": role.map(|role| &role.name),
            "model": design.models[own.model.index()].name,
            "interfaces": interfaces(asking),
        },
        "zone": {
            "name": design.zone.name,
            "domain": design.zone.domain,
            "resolvers": or_controllers(&design.zone.resolvers),
            "time_servers": or_controllers(&design.zone.time_servers),
        },
        "image": { "name": image.name, "args": image.args, "installs": image.installs },
        "layout": layout.map(|layout| json!({
            "name": layout.name,
            "disks": layout.disks,
            "kind": layout.kind,
            "size_bytes": layout.size_bytes,
            "raid": layout.raid.map(|raid| raid.level()),
            "root_bytes": layout.root_bytes,
            "esp_bytes": layout.esp_bytes,
            "volumes": layout.volumes,
        })),
        "kernel_args": os.map(|os| &os.args),
        "ssh_keys": role.map(|role| role.ssh_keys.as_slice()).unwrap_or_default(),
        "files": files,
        "controllers": controllers,
        "base": base,
        "done_url": format!("{base}/boot/installed"),
        "agent_args": ipxe::disk_arguments(&speak, asking.ca_sha256, ""),
        "agent": asking.agent_sha256.map(|sha256| json!({
            "url": format!("{base}/{}", SiteFile::AGENT),
            "sha256": hexadecimal(sha256),
            "path": system::AGENT,
            "directory": system::AGENT.rsplit_once('/').map_or("", |(directory, _)| directory),
            "service_path": system::AGENT_UNIT,
            "service": system::agent_service(&ipxe::agent_flags(&speak, asking.ca_sha256)),
        })),
        "proxy": asking.proxy,
    })
}

/// Ports first, then bonds, then tagged networks: each stands after what carries it.
fn interfaces(asking: &Asking<'_>) -> Vec<Value> {
    let Asking { plan, device, .. } = *asking;
    let design = &plan.design;
    let model = &design.models[design.devices[device.index()].model.index()];
    let planned: Vec<&Interface> = plan
        .interfaces_of(device)
        .iter()
        .filter(|interface| interface.audience == Audience::Machine)
        .collect();
    let named = |name: &str| planned.iter().copied().find(|interface| interface.name == name);
    let ports: BTreeSet<_> =
        planned.iter().flat_map(|interface| &interface.ports).map(|port| port.port).collect();
    let mut all = Vec::new();
    for port in ports {
        let name = &model.ports[port.index()];
        let mac = asking.seen.iter().find(|(seen, _)| seen == name).map(|(_, mac)| mac.to_string());
        all.push(interface(asking, name, "port", named(name), json!({ "mac": mac })));
    }
    for bond in &model.bonds {
        let members: Vec<&str> = bond.members.iter().map(|port| model.ports[port.index()].as_str()).collect();
        all.push(interface(asking, &bond.name, "bond", named(&bond.name), json!({ "members": members })));
    }
    for tagged in &planned {
        let (carrier, Some(_)) = system::split(&tagged.name) else { continue };
        all.push(interface(asking, &tagged.name, "vlan", Some(tagged), json!({ "carrier": carrier })));
    }
    all
}

fn interface(asking: &Asking<'_>, name: &str, kind: &str, planned: Option<&Interface>, own: Value) -> Value {
    let mut all = json!({
        "name": name, "kind": kind, "mac": null, "members": [], "carrier": null, "vlan": null, "network": null, "mtu": null,
        "dhcp4": false, "dhcp6": false, "address4": null, "address6": null, "addresses": [], "gateway4": null, "gateway6": null,
    });
    let mut add = |more: Value| {
        if let (Value::Object(all), Value::Object(more)) = (&mut all, more) {
            all.extend(more);
        }
    };
    add(own);
    let Some(planned) = planned else { return all };
    let subnet = asking.plan.subnet(planned.subnet);
    let network = &asking.plan.design.networks[subnet.network.index()];
    let v4 = planned.v4.zip(subnet.v4);
    let v6 = planned.v6.zip(subnet.v6);
    let both = [
        v4.map(|(address, net)| format!("{address}/{}", net.prefix_len())),
        v6.map(|(address, net)| format!("{address}/{}", net.prefix_len())),
    ];
    add(json!({
        "vlan": network.vlan.filter(|_| kind == "vlan"),
        "network": network.name,
        "mtu": network.mtu,
        "dhcp4": v4.is_some() && kind != "vlan",
        "dhcp6": v6.is_some() && kind != "vlan",
        "address4": v4.map(|(address, net)| json!({ "address": address, "length": net.prefix_len(), "netmask": net.netmask() })),
        "address6": v6.map(|(address, net)| json!({ "address": address, "length": net.prefix_len() })),
        "addresses": both.iter().flatten().collect::<Vec<_>>(),
        "gateway4": subnet.gateway4,
        "gateway6": subnet.gateway6,
    }));
    all
}
