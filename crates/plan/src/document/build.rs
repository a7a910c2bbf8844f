//! Plan → Document.

use super::{
    AggregateRow, BindingRow, CableRow, DeviceRow, DnsRows, Document, EndRow, FORMAT, Identity, ImageRow,
    InterfaceRow, LayoutRow, NetworkRow, OsRow, RoleRow, RouterRow, SubnetRow, ZoneRow,
};
use crate::dns;
use model::design::{Design, Device, DeviceKind, PortRef, Trust};
use model::plan::{Plan, Subnet};

/// The document of a plan. Rows come in the order of the design's tables.
pub fn document(plan: &Plan) -> Document<'_> {
    let design: &Design = &plan.design;
    let zone = &design.zone;
    let is_machine = |device: &&Device| matches!(device.kind, DeviceKind::Machine | DeviceKind::Controller);
    let (machines, switches): (Vec<&Device>, Vec<&Device>) = design.devices.iter().partition(is_machine);
    let (zones, records) = dns::records(plan);
    Document {
        format: FORMAT,
        generation: plan.generation.0,
        zone: ZoneRow {
            name: zone.name.as_str().into(),
            domain: zone.domain.as_str().into(),
            supernet4: zone.supernet4,
            supernet6: zone.supernet6,
            capacity: zone.capacity,
            count_from: zone.count_from,
            lease_seconds: zone.lease_seconds,
            resolvers: zone.resolvers.as_slice().into(),
            time_servers: zone.time_servers.as_slice().into(),
            transfer_to: zone.transfer_to.as_slice().into(),
            relays_from: zone.relays_from.as_deref().map(Into::into),
            dhcp_probe_seconds: Some(zone.dhcp_probe_seconds),
        },
        images: images(design),
        systems: systems(design),
        layouts: layouts(design),
        roles: roles(design),
        aggregates: plan
            .aggregates
            .iter()
            .map(|aggregate| AggregateRow {
                location: aggregate.location.clone(),
                v4: aggregate.v4,
                v6: aggregate.v6,
            })
            .collect(),
        networks: networks(plan),
        switches: switches.into_iter().map(|device| device_row(design, device)).collect(),
        machines: machines.into_iter().map(|device| device_row(design, device)).collect(),
        interfaces: interfaces(plan),
        cables: cables(design),
        dns: DnsRows { zones, records },
        dhcp: bindings(plan),
    }
}

fn images(design: &Design) -> Vec<ImageRow<'_>> {
    let mut rows = Vec::with_capacity(design.images.len());
    for image in &design.images {
        rows.push(ImageRow {
            name: image.name.as_str().into(),
            kernel: image.kernel.as_str().into(),
            initrd: image.initrd.as_slice().into(),
            args: image.args.as_str().into(),
            installs: image.installs,
        });
    }
    rows
}

fn systems(design: &Design) -> Vec<OsRow<'_>> {
    let mut rows = Vec::with_capacity(design.systems.len());
    for os in &design.systems {
        rows.push(OsRow {
            name: os.name.as_str().into(),
            image: os.image.as_str().into(),
            digest: os.digest.as_deref().map(Into::into),
            args: os.args.as_str().into(),
        });
    }
    rows
}

fn layouts(design: &Design) -> Vec<LayoutRow<'_>> {
    let mut rows = Vec::with_capacity(design.layouts.len());
    for layout in &design.layouts {
        rows.push(LayoutRow {
            name: layout.name.as_str().into(),
            disks: layout.disks,
            size_bytes: layout.size_bytes,
            kind: layout.kind.as_deref().map(Into::into),
            raid: layout.raid,
            slots: layout.slots,
            root_bytes: layout.root_bytes,
            esp_bytes: layout.esp_bytes,
            volumes: layout.volumes.as_slice().into(),
        });
    }
    rows
}

fn roles(design: &Design) -> Vec<RoleRow<'_>> {
    let mut rows = Vec::with_capacity(design.roles.len());
    for role in &design.roles {
        rows.push(RoleRow {
            name: role.name.as_str().into(),
            image: role.boot.map(|image| design.images[image.index()].name.as_str().into()),
            os: role.os.map(|os| design.systems[os.index()].name.as_str().into()),
            disks: role.disks.map(|layout| design.layouts[layout.index()].name.as_str().into()),
            ssh_keys: role.ssh_keys.as_slice().into(),
            trust: match &role.trust {
                Trust::Port => None,
                Trust::Bmc => Some("bmc".into()),
                Trust::Tpm(_) => Some("tpm".into()),
            },
            tpm_registers: role.trust.tpm().map(|trust| trust.pcrs.as_slice().into()),
            https: role.https,
            checks: role.checks.iter().map(|check| check.path.as_str().into()).collect(),
            burn_in: role.burn_in,
            services: role.services.as_slice().into(),
            after: role.after.as_slice().into(),
        });
    }
    rows
}

fn networks(plan: &Plan) -> Vec<NetworkRow<'_>> {
    let mut rows = Vec::with_capacity(plan.design.networks.len());
    for network in &plan.design.networks {
        rows.push(NetworkRow {
            name: network.name.as_str().into(),
            scope: network.scope,
            audience: network.audience.as_slice().into(),
            vlan: network.vlan,
            native: network.native,
            mtu: network.mtu,
            subnets: Vec::new(),
        });
    }
    for subnet in &plan.subnets {
        rows[subnet.network.index()].subnets.push(subnet_row(&plan.design, subnet));
    }
    rows
}

fn subnet_row(design: &Design, subnet: &Subnet) -> SubnetRow {
    let router = |router: &model::plan::Router| RouterRow {
        switch: design.devices[router.switch.index()].location.clone(),
        v4: router.v4,
        v6: router.v6,
    };
    SubnetRow {
        location: subnet.location.clone(),
        v4: subnet.v4,
        v6: subnet.v6,
        gateway4: subnet.gateway4,
        gateway6: subnet.gateway6,
        routers: subnet.routers.iter().map(router).collect(),
    }
}

fn device_row<'a>(design: &'a Design, device: &'a Device) -> DeviceRow<'a> {
    DeviceRow {
        location: device.location.clone(),
        name: device.name.as_str().into(),
        kind: device.kind,
        slot: device.slot,
        model: design.models[device.model.index()].name.as_str().into(),
        role: device.role.map(|role| design.roles[role.index()].name.as_str().into()),
    }
}

fn interfaces(plan: &Plan) -> Vec<InterfaceRow<'_>> {
    let design: &Design = &plan.design;
    let mut rows = Vec::with_capacity(plan.interfaces.len());
    for interface in &plan.interfaces {
        let subnet = plan.subnet(interface.subnet);
        rows.push(InterfaceRow {
            location: design.devices[interface.device.index()].location.clone(),
            name: interface.name.as_str().into(),
            dns_name: interface.dns_name.as_str().into(),
            audience: interface.audience,
            network: design.networks[subnet.network.index()].name.as_str().into(),
            subnet: subnet.location.clone(),
            v4: interface.v4,
            v6: interface.v6,
            ports: interface.ports.iter().map(|port| port_name(design, *port).into()).collect(),
        });
    }
    rows
}

fn cables(design: &Design) -> Vec<CableRow<'_>> {
    let end = |port: PortRef| EndRow {
        location: design.devices[port.device.index()].location.clone(),
        port: port_name(design, port).into(),
    };
    let mut rows = Vec::with_capacity(design.cables.len());
    for cable in &design.cables {
        let vlans = cable.vlans.as_deref().map(Into::into);
        rows.push(CableRow { a: end(cable.a), b: end(cable.b), mbps: cable.mbps, vlans });
    }
    rows
}

fn bindings(plan: &Plan) -> Vec<BindingRow<'_>> {
    let design: &Design = &plan.design;
    let mut rows = Vec::with_capacity(plan.bindings.len());
    for binding in &plan.bindings {
        let interface = plan.interface(binding.interface);
        let network = plan.subnet(interface.subnet).network;
        rows.push(BindingRow {
            location: design.devices[interface.device.index()].location.clone(),
            interface: interface.name.as_str().into(),
            network: design.networks[network.index()].name.as_str().into(),
            switch: design.devices[binding.switch.index()].location.clone(),
            port: port_name(design, binding.port).into(),
            circuit_id: Identity(binding.circuit_id.as_ref().into()),
            remote_id: binding.remote_id.as_ref().map(|remote_id| Identity(remote_id.as_ref().into())),
            interface_id: binding.interface_id.as_ref().map(|id| Identity(id.as_ref().into())),
            remote_id6: binding.remote_id6.as_ref().map(|id| Identity(id.as_ref().into())),
            is_bmc_class: binding.is_bmc_class,
        });
    }
    rows
}

fn port_name(design: &Design, port: PortRef) -> &str {
    let model = &design.models[design.devices[port.device.index()].model.index()];
    model.ports.get(port.port.index()).map_or("", String::as_str)
}
