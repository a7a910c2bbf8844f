//! A zone drawn by hand, so that these tests stand on nothing but the nouns: racks of machines behind a pair of
//! leaves that write a remote-id and a lights-out switch that writes none. In each rack
//!
//! - `u01`, `u02`, `u03` have `eno1`, `eno2` and a BMC of their own, and boot an image;
//! - `u04` boots its own disk;
//! - `u05` has a BMC that shares `eno1`;
//! - `u06` has `eno1` and `eno2` in `bond0`, and its leaves report the port-channel or the member;
//! - the rest are as `u01`.

use model::design::{
    Audience, Bond, Cable, Design, Device, DeviceKind, Expect, Image, Model, ModelKind, Network, PortRef,
    Role, Scope, Zone,
};
use model::facts::{Conflict, Facts, Machine, State};
use model::finding::Source;
use model::ids::{ImageId, ModelId, NetworkId, PortIndex, RoleId, SubnetId};
use model::plan::{Binding, Interface, Router, Subnet};
use model::view::{Site, SiteFile};
use model::{DeviceId, Generation, InterfaceId, Location, Mac, Plan, Time, View};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

/// The controllers: the first is the server identifier.
pub(crate) const CONTROLLERS: [Ipv4Addr; 2] = [Ipv4Addr::new(10, 0, 0, 2), Ipv4Addr::new(10, 0, 0, 3)];
/// The OUI that virtual machines of `u01`'s role have.
pub(crate) const GUEST_OUI: [u8; 3] = [0x52, 0x54, 0x99];

const LEAF: ModelId = ModelId(0);
const LOM: ModelId = ModelId(1);
const SERVER: ModelId = ModelId(2);
const SHARED: ModelId = ModelId(3);
const BONDED: ModelId = ModelId(4);

/// What a test may turn.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub racks: u16,
    pub units: u16,
    pub lease_seconds: u32,
    pub mtu: Option<u16>,
    pub resolvers: Vec<IpAddr>,
    pub domain: String,
    /// Prefix length of the machines' subnets.
    pub prefix: u8,
    /// Whether every address has one of IPv6 beside it.
    pub ipv6: bool,
    /// Whether the lights-out switches write, in DHCPv6, what they do not in Option 82.
    pub lom_says: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            racks: 2,
            units: 7,
            lease_seconds: 3600,
            mtu: None,
            resolvers: Vec::new(),
            domain: "ams1.example.net".to_owned(),
            prefix: 24,
            ipv6: true,
            lom_says: false,
        }
    }
}

/// The zone as most tests want it, with nothing observed.
pub(crate) fn view() -> View {
    view_of(&Settings::default(), &Facts::default())
}

pub(crate) fn view_of(settings: &Settings, facts: &Facts) -> View {
    plan::view(&Arc::new(plan_of(settings)), facts, &Arc::new(Site::default()))
}

/// The zone whose controllers have this file.
pub(crate) fn view_with_file(name: &str) -> View {
    let (name, source) = (name.to_owned(), "/nowhere".into());
    let file = SiteFile { name, size: 1, modified: (0, 0), sha256: None, source };
    let site = Site { files: vec![file], ..Site::default() };
    plan::view(&Arc::new(plan_of(&Settings::default())), &Facts::default(), &Arc::new(site))
}

/// The zone where relays send from these prefixes.
pub(crate) fn relayed_from(prefixes: Option<&[&str]>) -> View {
    let mut plan = plan_of(&Settings::default());
    let parsed = |text: &&str| text.parse().expect("a prefix");
    Arc::make_mut(&mut plan.design).zone.relays_from = prefixes.map(|all| all.iter().map(parsed).collect());
    plan::view(&Arc::new(plan), &Facts::default(), &Arc::new(Site::default()))
}

/// Facts in which one machine is as `change` leaves it.
pub(crate) fn facts(location: &str, change: impl FnOnce(&mut Machine)) -> Facts {
    let mut machine = Machine::default();
    change(&mut machine);
    Facts { machines: [(Location::new(location), machine)].into(), ..Facts::default() }
}

pub(crate) fn retired() -> State {
    State::Retired { reason: "old".to_owned(), by: "op".to_owned() }
}

pub(crate) fn conflict() -> Conflict {
    Conflict { at: Time(0), by: Mac([2, 0, 0, 0, 0, 9]) }
}

/// The interface of this name.
pub(crate) fn interface(view: &View, location: &str, name: &str) -> InterfaceId {
    let plan = &view.plan;
    let found = plan.interfaces.iter().position(|interface| {
        interface.name == name && plan.design.devices[interface.device.index()].location.as_str() == location
    });
    InterfaceId::from_index(found.unwrap_or_else(|| panic!("{location} {name}")))
}

/// Its address.
pub(crate) fn address(view: &View, location: &str, name: &str) -> Ipv4Addr {
    view.plan.interface(interface(view, location, name)).v4.expect("it has one")
}

/// The IPv6 address beside an IPv4 address: `10.1.2.3` and `2001:db8:a01:2::3`.
pub(crate) fn six(address: Ipv4Addr) -> Ipv6Addr {
    let [a, b, c, d] = address.octets();
    Ipv6Addr::new(0x2001, 0xdb8, u16::from_be_bytes([a, b]), c.into(), 0, 0, 0, d.into())
}

/// The leaf's own address on the machines' subnet of a rack, from 0.
pub(crate) fn leaf_a(rack: u16) -> Ipv4Addr {
    host(10, rack, 2)
}

pub(crate) fn leaf_b(rack: u16) -> Ipv4Addr {
    host(10, rack, 3)
}

/// The gateway that both leaves share.
pub(crate) fn gateway(rack: u16) -> Ipv4Addr {
    host(10, rack, 1)
}

pub(crate) fn lom(rack: u16) -> Ipv4Addr {
    host(11, rack, 2)
}

/// `base.x.y.last` of the subnet of a rack: machines' from 10.1.0.0, BMCs' from 11.1.0.0.
fn host(base: u8, rack: u16, last: u8) -> Ipv4Addr {
    let [high, low] = rack.to_be_bytes();
    Ipv4Addr::new(base, high + 1, low, last)
}

pub(crate) fn plan_of(settings: &Settings) -> Plan {
    let mut drawing = Drawing { ipv6: settings.ipv6, lom_says: settings.lom_says, ..Drawing::default() };
    drawing.design.zone = Zone {
        name: "ams1".to_owned(),
        domain: settings.domain.clone(),
        lease_seconds: settings.lease_seconds,
        resolvers: settings.resolvers.clone(),
        ..Zone::default()
    };
    drawing.design.models = models();
    drawing.design.networks = vec![
        network("control", Scope::Zone, Audience::Controller, None),
        network("boot", Scope::Rack, Audience::Machine, settings.mtu),
        network("bmc", Scope::Rack, Audience::Bmc, None),
    ];
    drawing.design.images = vec![Image {
        name: "kvm".to_owned(),
        kernel: "vmlinuz".to_owned(),
        initrd: Vec::new(),
        args: String::new(),
        installs: false,
        templates: Vec::new(),
        source: Source::default(),
    }];
    drawing.design.roles = vec![role("hypervisor", Some(ImageId(0))), role("storage", None)];
    drawing.subnet(0, "ams1", Ipv4Addr::new(10, 0, 0, 0), 24, Vec::new());
    for (number, v4) in (1..).zip(CONTROLLERS) {
        let device = drawing.device(&format!("ams1/ctl-{number}"), DeviceKind::Controller, SERVER, None);
        drawing.interface(device, "eno1", Audience::Controller, 0, v4, vec![0]);
    }
    for rack in 0..settings.racks {
        drawing.rack(rack, settings);
    }
    drawing.plan()
}

#[derive(Default)]
struct Drawing {
    design: Design,
    subnets: Vec<Subnet>,
    interfaces: Vec<Interface>,
    first_interface: Vec<u32>,
    bindings: Vec<Binding>,
    ipv6: bool,
    lom_says: bool,
}

impl Drawing {
    fn six(&self, address: Ipv4Addr) -> Option<Ipv6Addr> {
        self.ipv6.then(|| six(address))
    }

    fn plan(mut self) -> Plan {
        self.first_interface.push(u32::try_from(self.interfaces.len()).expect("small"));
        Plan {
            generation: Generation(1),
            design: Arc::new(self.design),
            aggregates: Vec::new(),
            subnets: self.subnets,
            interfaces: self.interfaces,
            first_interface: self.first_interface,
            bindings: self.bindings,
        }
    }

    fn subnet(
        &mut self,
        network: u16,
        location: &str,
        base: Ipv4Addr,
        prefix: u8,
        routers: Vec<Router>,
    ) -> u32 {
        let v4 = ipnet::Ipv4Net::new(base, prefix).expect("a prefix").trunc();
        let gateway4 = (!routers.is_empty()).then(|| Ipv4Addr::from(u32::from(base) + 1));
        self.subnets.push(Subnet {
            network: NetworkId(network),
            location: Location::new(location),
            v4: Some(v4),
            v6: self.six(base).map(|base| ipnet::Ipv6Net::new(base, 64).expect("a prefix").trunc()),
            gateway4,
            gateway6: gateway4.and_then(|gateway| self.six(gateway)),
            routers,
        });
        u32::try_from(self.subnets.len() - 1).expect("small")
    }

    fn device(&mut self, location: &str, kind: DeviceKind, model: ModelId, role: Option<RoleId>) -> DeviceId {
        self.first_interface.push(u32::try_from(self.interfaces.len()).expect("small"));
        self.design.devices.push(Device {
            location: Location::new(location),
            name: location.trim_start_matches("ams1/").replace('/', "-"),
            kind,
            pod: None,
            rack: None,
            slot: 0,
            model,
            role,
            source: Source::default(),
        });
        DeviceId::from_index(self.design.devices.len() - 1)
    }

    fn interface(
        &mut self,
        device: DeviceId,
        name: &str,
        audience: Audience,
        subnet: u32,
        v4: Ipv4Addr,
        ports: Vec<u16>,
    ) -> InterfaceId {
        let v6 = self.six(v4);
        self.interfaces.push(Interface {
            device,
            name: name.to_owned(),
            dns_name: format!("{}-{name}", self.design.devices[device.index()].name),
            audience,
            subnet: SubnetId(subnet),
            v4: Some(v4),
            v6,
            ports: ports.into_iter().map(|port| PortRef { device, port: PortIndex(port) }).collect(),
        });
        InterfaceId::from_index(self.interfaces.len() - 1)
    }

    /// A cable from the machine's port to port `swp{unit}` of the switch, and the identity that its relay sends.
    fn cable(&mut self, near: (DeviceId, u16), switch: DeviceId, unit: u16) {
        let near = PortRef { device: near.0, port: PortIndex(near.1) };
        let far = PortRef { device: switch, port: PortIndex(unit - 1) };
        self.design.cables.push(Cable {
            a: near,
            b: far,
            mbps: None,
            vlans: None,
            source: Source::default(),
        });
    }

    fn bind(
        &mut self,
        interface: InterfaceId,
        switch: DeviceId,
        unit: u16,
        circuit_id: &str,
        is_bmc: Option<bool>,
    ) {
        let device = &self.design.devices[switch.index()];
        let says = self.lom_says && device.model == LOM;
        let remote_id = (device.model == LEAF).then(|| Arc::from(device.name.as_bytes()));
        let port = PortRef { device: switch, port: PortIndex(unit - 1) };
        let cable = self.design.cables.iter().find(|cable| cable.b == port).expect("drawn before");
        self.bindings.push(Binding {
            interface,
            switch,
            port,
            own_port: cable.a,
            circuit_id: circuit_id.as_bytes().into(),
            remote_id,
            interface_id: says.then(|| format!("hex-{unit}").into_bytes().into()),
            remote_id6: says.then(|| Arc::from(device.name.as_bytes())),
            is_bmc_class: is_bmc,
        });
    }

    fn rack(&mut self, rack: u16, settings: &Settings) {
        let at = format!("ams1/p01/r{}", rack + 1);
        let ipv6 = self.ipv6;
        let router = |switch, v4| Router { switch, v4: Some(v4), v6: ipv6.then(|| six(v4)) };
        let leaf_a_id = self.device(&format!("{at}/leaf-a"), DeviceKind::Leaf, LEAF, None);
        let bmcs = u32::try_from(self.subnets.len() + 1).expect("small");
        self.interface(leaf_a_id, "mgmt", Audience::Switch, bmcs, host(11, rack, 200), Vec::new());
        let leaf_b_id = self.device(&format!("{at}/leaf-b"), DeviceKind::Leaf, LEAF, None);
        let lom_id = self.device(&format!("{at}/lom"), DeviceKind::Lom, LOM, None);
        let routers = vec![router(leaf_a_id, leaf_a(rack)), router(leaf_b_id, leaf_b(rack))];
        let boots = self.subnet(1, &at, host(10, rack, 0), settings.prefix, routers);
        self.subnet(2, &at, host(11, rack, 0), 24, vec![router(lom_id, lom(rack))]);
        for unit in 1..=settings.units {
            let role = RoleId(u16::from(unit == 4));
            let model = match unit {
                5 => SHARED,
                6 => BONDED,
                _ => SERVER,
            };
            let device = self.device(&format!("{at}/u{unit:02}"), DeviceKind::Machine, model, Some(role));
            self.cable((device, 0), leaf_a_id, unit);
            self.cable((device, 1), leaf_b_id, unit);
            let octet = |offset: u16| u8::try_from(10 + 3 * unit + offset).expect("36 units fit");
            let v4 = |base: u8, offset: u16| host(base, rack, octet(offset));
            let circuit_id = format!("swp{unit}");
            if model == BONDED {
                let bond = self.interface(device, "bond0", Audience::Machine, boots, v4(10, 0), vec![0, 1]);
                for switch in [leaf_a_id, leaf_b_id] {
                    self.bind(bond, switch, unit, &circuit_id, None);
                    self.bind(bond, switch, unit, &format!("PortChannel{unit}"), None);
                }
                continue;
            }
            let eno1 = self.interface(device, "eno1", Audience::Machine, boots, v4(10, 0), vec![0]);
            let eno2 = self.interface(device, "eno2", Audience::Machine, boots, v4(10, 1), vec![1]);
            let bmc = self.interface(device, "bmc", Audience::Bmc, bmcs, v4(11, 2), vec![2]);
            let is_shared = model == SHARED;
            self.bind(eno1, leaf_a_id, unit, &circuit_id, is_shared.then_some(false));
            self.bind(eno2, leaf_b_id, unit, &circuit_id, None);
            if is_shared {
                self.bind(bmc, leaf_a_id, unit, &circuit_id, Some(true));
            } else {
                self.cable((device, 2), lom_id, unit);
                self.bind(bmc, lom_id, unit, &circuit_id, None);
            }
        }
    }
}

fn models() -> Vec<Model> {
    let ports = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let switch: Vec<String> = (1..=48).map(|number| format!("swp{number}")).collect();
    let model = |name: &str, kind, ports: Vec<String>| Model {
        name: name.to_owned(),
        kind,
        ports,
        circuit_id: None,
        remote_id: None,
        interface_id: None,
        remote_id6: None,
        bonds: Vec::new(),
        bmc: None,
        bmc_shares: None,
        bmc_vendor_class: Vec::new(),
        height: 1,
        expect: Expect::default(),
        source: Source::default(),
    };
    let server = || ports(&["eno1", "eno2", "bmc"]);
    vec![
        model("leaf48", ModelKind::Switch, switch.clone()),
        model("lom48", ModelKind::Switch, switch),
        model("r650", ModelKind::Server, server()),
        Model {
            bmc_shares: Some(PortIndex(0)),
            bmc_vendor_class: vec!["iDRAC".to_owned(), "udhcp 0.9".to_owned()],
            ..model("r350", ModelKind::Server, server())
        },
        Model {
            bonds: vec![Bond {
                name: "bond0".to_owned(),
                members: vec![PortIndex(0), PortIndex(1)],
                port_channel: Some("PortChannel{unit}".to_owned()),
            }],
            ..model("r750", ModelKind::Server, server())
        },
    ]
}

fn network(name: &str, scope: Scope, audience: Audience, mtu: Option<u16>) -> Network {
    Network {
        name: name.to_owned(),
        scope,
        audience: vec![audience],
        vlan: None,
        native: false,
        interfaces: Vec::new(),
        spare: 0,
        mtu,
        ipv4: true,
        ipv6: false,
        source: Source::default(),
    }
}

fn role(name: &str, boot: Option<ImageId>) -> Role {
    Role {
        name: name.to_owned(),
        boot,
        os: None,
        disks: None,
        ssh_keys: Vec::new(),
        checks: Vec::new(),
        burn_in: Default::default(),
        services: Vec::new(),
        guest_ouis: vec![GUEST_OUI],
        after: Vec::new(),
        trust: Default::default(),
        https: false,
        source: Source::default(),
    }
}
