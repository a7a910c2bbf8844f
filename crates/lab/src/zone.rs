//! A running lab: built, powered on, watched, and changed on request.
//!
//! Everything here happens in the inner process. Building asks the kernel for what `topology` worked out; then every
//! switch relays and tells its neighbours, the controller starts, every machine and BMC is powered on. From then on
//! requests from the control socket change it. Nothing here decides anything of the zone itself: states come from the
//! controller, by its API.

mod api;
mod authority;
mod build;
mod changes;
mod controller;
mod edge;
mod listen;
mod observe;
mod page;
mod program;
mod store;

use crate::control::{self, Phase, Progress};
use crate::directory::Directory;
use crate::error::{Doing, Error};
use crate::fetch::Believed;
use crate::machine::{self, Body, Command, Doings};
use crate::net::{Namespace, Tap, has_ipv6, open_descriptors};
use crate::topology::{self, Family, Kind, Topology, Wire};
use crate::{fetch, lldp, load, mirror, relay, router, supervisor, vm};
use model::design::{Audience, DeviceKind};
use model::facts::Stage;
use model::ids::DeviceId;
use model::roster::Roster;
use model::{Mac, Plan, Time};
use std::collections::HashMap;
use std::io::{self, Write};
use std::net::IpAddr;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{Notify, mpsc, watch};

/// Commands that wait for one machine; people give them one by one.
const COMMANDS_MAX: usize = 16;
/// Descriptors that one namespace costs at most: itself, its netlink socket, its sockets.
const DESCRIPTORS_PER_HOST: u64 = 8;

/// What the inner process is started with.
#[derive(Clone, Debug)]
pub struct Start {
    /// The design's directory, absolute.
    pub design: PathBuf,
    /// Where the lab keeps its files.
    pub directory: Directory,
    /// The machines that are real.
    pub real: Vec<vm::Choice>,
    /// Where the boot programs for real machines lie, if not where Debian's package puts them.
    pub loaders: Option<PathBuf>,
    /// Where their OVMF lies.
    pub ovmf: PathBuf,
    /// What the zone's installers may fetch of the world.
    pub mirrors: Vec<mirror::Mirror>,
    /// An edge answers beside the controllers.
    pub edge: bool,
    /// How many controllers serve: more than one share an etcd.
    pub controllers: usize,
    /// Each has a clock that can be set.
    pub clocks: bool,
}

/// A lab that is being built or runs.
pub(crate) struct Zone {
    start: Start,
    began: Instant,
    plan: Plan,
    roster: Roster,
    topology: Topology,
    /// By host; filled while building.
    namespaces: OnceLock<Vec<Namespace>>,
    /// The cables as they lie now.
    wires: Mutex<Vec<Wire>>,
    /// The machines that are real.
    real: HashMap<topology::HostId, vm::Choice>,
    /// The switches' ends of their cables, by host and interface number.
    taps: Mutex<HashMap<(topology::HostId, u32), Arc<Tap>>>,
    /// To each machine and BMC.
    reach: Mutex<HashMap<topology::HostId, Reach>>,
    progress: watch::Sender<Progress>,
    /// The controllers, and what several share.
    programs: OnceLock<Vec<program::Program>>,
    power: Mutex<Power>,
    /// The socket that browsers of this machine come to, for each controller process in turn.
    page: OwnedFd,
    /// What a machine that boots by HTTPS believes about servers.
    believed: Believed,
}

/// The way to a machine or BMC.
struct Reach {
    commands: mpsc::Sender<Command>,
    /// Tells it that one of its cables came or went.
    cables: Arc<Notify>,
}

/// When machines were powered on, and which BMCs hold their address.
#[derive(Default)]
struct Power {
    on_since: HashMap<topology::HostId, Time>,
    bmcs_up: std::collections::HashSet<topology::HostId>,
}

/// The inner process, from here to its end. Answers the exit code. It must be called while the process has one thread.
pub fn run(start: Start) -> u8 {
    match enter(start) {
        Ok(()) => 0,
        Err(error) => {
            let _ = writeln!(io::stdout(), "{}", error.chain());
            let _ = writeln!(io::stderr(), "failed to {}", error.chain());
            3
        }
    }
}

fn enter(start: Start) -> Result<(), Error> {
    let page = supervisor::settle()?;
    let (plan, _, _) = load::load(&start.design).map_err(|error| Error::new(error.line()))?;
    let topology = match start.edge {
        true => topology::topology_with_edge(&plan),
        false => topology::topology(&plan),
    };
    if start.edge && topology.edge.is_none() {
        return Err(Error::new("put an edge beside the controllers: their network has no IPv4 address left"));
    }
    check(&plan, &topology)?;
    check_controllers(&start, &plan)?;
    let mut real = vm::chosen(&plan, &topology, &start.real)?;
    for (host, choice) in &mut real {
        let device = topology.hosts[*host].device;
        choice.tpm |= has_tpm(&plan, device);
        choice.ipv6 |= !choice.firmware.is_bios() && has_ipv6_alone(&plan, device);
    }
    vm::check(real.values(), start.loaders.is_some(), &start.ovmf)?;
    if topology.hosts.iter().any(|host| host.kind == Kind::Machine && has_tpm(&plan, host.device)) {
        vm::check_tpm()?;
    }
    for (host, choice) in &real {
        // The others come to PXE first.
        if choice.firmware == vm::Firmware::UefiHttp && boots_by_https(&plan, topology.hosts[*host].device) {
            vm::check_https(&choice.target, &start.ovmf)?;
        }
        if let Some(image) = plan.design.image_of(topology.hosts[*host].device) {
            vm::check_kernel(&choice.target, &start.design.join(&image.kernel))?;
        }
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .doing(|| "start the runtime")?;
    runtime.block_on(live(start, plan, topology, real, page))
}

/// What a design needs to be powered on here.
fn check(plan: &Plan, topology: &Topology) -> Result<(), Error> {
    let has_controller = |family| !topology::controllers(plan, family).is_empty();
    if !has_controller(Family::V4) && !has_controller(Family::V6) {
        return Err(Error::new("power on the zone: the design draws no controller with an address"));
    }
    let is_ipv6_alone = |subnet: &model::plan::Subnet| subnet.v4.is_none() && subnet.v6.is_some();
    if plan.subnets.iter().any(is_ipv6_alone) && !has_ipv6() {
        return Err(Error::new(
            "power on the zone: it has networks of IPv6 alone, and this kernel has no IPv6",
        ));
    }
    let may = open_descriptors()?;
    let need = 256 + topology.hosts.len() as u64 * DESCRIPTORS_PER_HOST;
    if may < need {
        return Err(Error::new(format!(
            "power on the zone: {} namespaces need some {need} open files and the hard limit is {may}; raise it (ulimit -Hn)",
            topology.hosts.len()
        )));
    }
    Ok(())
}

/// What is needed for as many controllers as are asked for.
fn check_controllers(start: &Start, plan: &Plan) -> Result<(), Error> {
    let drawn = plan.design.devices.iter().filter(|device| device.kind == DeviceKind::Controller).count();
    if start.controllers == 0 || start.controllers > drawn {
        return Err(Error::new(format!(
            "start {} controllers: the design draws {drawn}; draw as many as are to serve",
            start.controllers
        )));
    }
    if start.clocks && controller::faketime().is_none() {
        return Err(Error::new("give each controller a clock of its own: that needs Debian's libfaketime"));
    }
    Ok(())
}

async fn live(
    start: Start,
    plan: Plan,
    topology: Topology,
    real: HashMap<topology::HostId, vm::Choice>,
    page: OwnedFd,
) -> Result<(), Error> {
    let zone = Arc::new(Zone {
        began: Instant::now(),
        roster: Roster::of(&plan),
        progress: watch::Sender::new(first_progress(&plan, &topology, start.controllers)),
        real,
        taps: Mutex::default(),
        believed: Believed::default(),
        namespaces: OnceLock::new(),
        wires: Mutex::new(topology.wires.clone()),
        reach: Mutex::default(),
        power: Mutex::default(),
        programs: OnceLock::new(),
        page,
        start,
        plan,
        topology,
    });
    let listener = listen::bind(&zone.start.directory)?;
    supervisor::say_listening(&zone.start.directory.log())?;
    tokio::spawn(listen::serve(Arc::clone(&zone), listener));
    if let Err(error) = zone.power_on().await {
        let words = error.chain();
        let _ = writeln!(io::stderr(), "failed to {words}");
        zone.progress.send_modify(|progress| progress.phase = Phase::Failed { words });
    }
    // The lab runs until its supervisor ends it.
    std::future::pending().await
}

fn first_progress(plan: &Plan, topology: &Topology, controllers: usize) -> Progress {
    let machines = topology.hosts.iter().filter(|host| host.kind == Kind::Machine);
    Progress {
        zone: plan.design.zone.name.clone(),
        built: (0, topology.hosts.len()),
        bmcs: (0, topology.hosts.iter().filter(|host| host.kind == Kind::Bmc).count()),
        controllers: controller::shown(plan, controllers_of(plan).take(controllers)),
        store: (controllers > 1).then(|| "runs".to_owned()),
        machines: machines
            .map(|host| {
                let device = &plan.design.devices[host.device.index()];
                let interfaces = plan.interfaces_of(host.device).iter();
                let mut addresses = interfaces.map(|it| (it.v4.map(IpAddr::V4), it.v6.map(IpAddr::V6)));
                let address = addresses.find_map(|(v4, v6)| v4.or(v6));
                control::Machine {
                    location: device.location.to_string(),
                    name: device.name.clone(),
                    address: address.map(|address| address.to_string()).unwrap_or_default(),
                    state: "off".to_owned(),
                    boots_own_disk: boots_own_disk(plan, host.device),
                    ..control::Machine::default()
                }
            })
            .collect(),
        ..Progress::default()
    }
}

/// Whether nothing but a TPM says who it is.
fn has_tpm(plan: &Plan, device: DeviceId) -> bool {
    lifecycle::attestation::wanted(plan, device).is_some()
}

/// Whether it is given no IPv4 address.
fn has_ipv6_alone(plan: &Plan, device: DeviceId) -> bool {
    let own = plan.interfaces_of(device).iter().filter(|interface| interface.audience == Audience::Machine);
    let (mut v4, mut v6) = (false, false);
    own.for_each(|interface| (v4, v6) = (v4 || interface.v4.is_some(), v6 || interface.v6.is_some()));
    v6 && !v4
}

/// Whether its firmware is told to boot by HTTPS.
fn boots_by_https(plan: &Plan, device: DeviceId) -> bool {
    let design = &plan.design;
    design.devices[device.index()].role.is_some_and(|role| design.roles[role.index()].https)
}

fn boots_own_disk(plan: &Plan, device: DeviceId) -> bool {
    plan.design.image_of(device).is_none()
}

impl Zone {
    /// Builds, starts the controller, powers on.
    async fn power_on(self: &Arc<Self>) -> Result<(), Error> {
        let namespaces = build::build(self).await?;
        let _ = self.namespaces.set(namespaces);
        for (id, host) in self.topology.hosts.iter().enumerate() {
            if host.kind == Kind::Switch {
                self.start_switch(id)?;
            }
        }
        self.progress.send_modify(|progress| progress.phase = Phase::Starting);
        let mut programs = controller::start(self).await?;
        if let Some((host, address)) = self.topology.edge {
            programs.push(edge::start(self, host, address).await?);
        }
        let _ = self.programs.set(programs);
        authority::learn(self).await?;
        for host in self.real.keys() {
            let design = &self.plan.design;
            let device = &design.devices[self.topology.hosts[*host].device.index()];
            if device.role.is_some_and(|role| design.roles[role.index()].os.is_some()) {
                api::arm(self, device.location.as_str()).await?;
            }
        }
        tokio::spawn(observe::observe(Arc::clone(self)));
        self.progress.send_modify(|progress| progress.phase = Phase::Running);
        for (id, host) in self.topology.hosts.iter().enumerate() {
            if matches!(host.kind, Kind::Machine | Kind::Bmc) {
                self.start_machine(id)?;
            }
        }
        Ok(())
    }

    fn namespace(&self, host: topology::HostId) -> Result<&Namespace, Error> {
        let all =
            self.namespaces.get().ok_or_else(|| Error::new("reach it: the lab is still being built"))?;
        Ok(&all[host])
    }

    fn wires(&self) -> MutexGuard<'_, Vec<Wire>> {
        self.wires.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn start_switch(&self, id: topology::HostId) -> Result<(), Error> {
        let namespace = self.namespace(id)?.clone();
        let relay = relay::Relay::new(&self.plan, &self.topology, id);
        let name = self.plan.design.devices[self.topology.hosts[id].device.index()].name.clone();
        let ports: Vec<(u32, String, Mac)> = self
            .topology
            .wires
            .iter()
            .map(|wire| &wire.near)
            .filter(|end| end.host == id)
            .filter_map(|end| {
                Some((end.index, topology::port_name(&self.plan, end.port?).to_owned(), end.mac))
            })
            .collect();
        let relay6 = relay::version6::Relay::new(&self.plan, &self.topology, id);
        if !relay6.addresses().is_empty() && has_ipv6() {
            let (namespace, switch) = (namespace.clone(), name.clone());
            tokio::spawn(async move {
                if let Err(error) = relay::serve(relay6, &namespace).await {
                    let _ = writeln!(io::stderr(), "DHCPv6 relay of {switch}: failed to {}", error.chain());
                }
            });
        }
        if !relay.addresses().is_empty() {
            let namespace = namespace.clone();
            let switch = name.clone();
            tokio::spawn(async move {
                if let Err(error) = relay::serve(relay, &namespace).await {
                    let _ = writeln!(io::stderr(), "relay of {switch}: failed to {}", error.chain());
                }
            });
        }
        // Played machines ask for no router.
        if !self.real.is_empty() {
            let links: Vec<_> = self.links_of(id).collect();
            let (namespace, switch) = (namespace.clone(), name.clone());
            tokio::spawn(async move {
                if let Err(error) = router::serve(&namespace, links).await {
                    let _ = writeln!(io::stderr(), "router {switch}: failed to {}", error.chain());
                }
            });
        }
        tokio::spawn(async move {
            if let Err(error) = lldp::serve(&namespace, &name, ports).await {
                let _ = writeln!(io::stderr(), "lldp of {name}: failed to {}", error.chain());
            }
        });
        Ok(())
    }

    /// The subnets that a switch routes; and those that nobody does, in which a machine is told so.
    fn links_of(&self, id: topology::HostId) -> impl Iterator<Item = router::Link> {
        let host = &self.topology.hosts[id];
        host.bridges.iter().filter_map(|bridge| {
            let subnet = self.plan.subnet(bridge.subnet);
            let is_router = subnet.routers.iter().any(|router| router.switch == host.device);
            let prefix = subnet.v6.filter(|_| is_router && has_ipv6());
            (is_router || subnet.routers.is_empty()).then_some(router::Link {
                index: bridge.index,
                mac: bridge.mac,
                prefix,
            })
        })
    }

    fn start_machine(self: &Arc<Self>, id: topology::HostId) -> Result<(), Error> {
        let namespace = self.namespace(id)?.clone();
        let (sender, commands) = mpsc::channel(COMMANDS_MAX);
        let cables = Arc::new(Notify::new());
        let reach = Reach { commands: sender, cables: Arc::clone(&cables) };
        self.reach.lock().unwrap_or_else(PoisonError::into_inner).insert(id, reach);
        let body = self.body(id);
        let zone = Arc::clone(self);
        let tell: machine::Tell = Arc::new(move |doings| zone.told(id, doings));
        match self.real.get(&id) {
            None => drop(tokio::spawn(machine::run(body, namespace, tell, commands, cables))),
            Some(choice) => {
                let name = &self.plan.design.devices[self.topology.hosts[id].device.index()].name;
                let is_https = boots_by_https(&self.plan, self.topology.hosts[id].device);
                let files = vm::Files {
                    disks: self.start.directory.disks().join(name),
                    ovmf: self.start.ovmf.clone(),
                    authorities: is_https.then(|| authority::for_firmware(self)),
                };
                let zone = Arc::clone(self);
                let cabling: vm::Cabling = Arc::new(move || zone.plugs(id));
                let cables = (cabling, cables);
                tokio::spawn(vm::run(body, choice.clone(), files, namespace, tell, commands, cables));
            }
        }
        Ok(())
    }

    /// The cables that lie at a real machine, in the order of its model's ports.
    fn plugs(&self, id: topology::HostId) -> Vec<vm::Plug> {
        let taps = self.taps.lock().unwrap_or_else(PoisonError::into_inner);
        let wires = self.wires();
        let mut found: Vec<_> = wires
            .iter()
            .filter(|wire| wire.far.host == id)
            .filter_map(|wire| {
                let (near, port) = (&wire.near, wire.far.port?);
                let plug = vm::Plug {
                    port: topology::port_name(&self.plan, port).to_owned(),
                    switch: self.namespace(near.host).ok()?.clone(),
                    index: near.index,
                    tap: Arc::clone(taps.get(&(near.host, near.index))?),
                };
                Some((port.port, plug))
            })
            .collect();
        found.sort_by_key(|(port, _)| *port);
        found.into_iter().map(|(_, plug)| plug).collect()
    }

    /// Where a machine keeps its files.
    fn machine_directory(&self, id: topology::HostId) -> PathBuf {
        let name = &self.plan.design.devices[self.topology.hosts[id].device.index()].name;
        self.start.directory.path.join("machines").join(name)
    }

    fn body(&self, id: topology::HostId) -> Body {
        let host = &self.topology.hosts[id];
        let device = &self.plan.design.devices[host.device.index()];
        let ends = self.topology.wires.iter().flat_map(|wire| [&wire.near, &wire.far]);
        let ports: Vec<(String, u32)> = ends
            .filter(|end| end.host == id)
            .filter_map(|end| Some((topology::port_name(&self.plan, end.port?).to_owned(), end.index)))
            .collect();
        let asking = topology::asking(&self.plan, &self.topology, id);
        // Firmware's own boot order: kinds are mixed over the zone so that each is met everywhere.
        let firmware = match device.slot % 3 {
            0 => Stage::BiosPxe,
            1 => Stage::UefiPxe,
            _ => Stage::UefiHttp,
        };
        Body {
            kind: host.kind,
            location: device.location.to_string(),
            firmware,
            boots_own_disk: boots_own_disk(&self.plan, host.device),
            has_tpm: has_tpm(&self.plan, host.device),
            model: self.plan.design.models[device.model.index()].clone(),
            asking,
            ports,
            directory: self.machine_directory(id),
            believed: Arc::clone(&self.believed),
        }
    }

    /// A machine tells what it is doing.
    fn told(&self, id: topology::HostId, doings: Doings) {
        let host = &self.topology.hosts[id];
        let mut power = self.power.lock().unwrap_or_else(PoisonError::into_inner);
        match (&doings, host.kind) {
            (Doings::PoweredOn, _) => {
                power.on_since.insert(id, fetch::now());
            }
            (Doings::PoweredOff, _) => {
                power.on_since.remove(&id);
            }
            (Doings::Holds(..), Kind::Bmc) => {
                power.bmcs_up.insert(id);
            }
            (Doings::HoldsNone, Kind::Bmc) => {
                power.bmcs_up.remove(&id);
            }
            _ => {}
        }
        let bmcs_up = power.bmcs_up.len();
        drop(power);
        let location = &self.plan.design.devices[host.device.index()].location;
        self.progress.send_modify(|progress| {
            progress.bmcs.0 = bmcs_up;
            if host.kind == Kind::Bmc {
                return;
            }
            let Some(machine) =
                progress.machines.iter_mut().find(|machine| location.as_str() == machine.location)
            else {
                return;
            };
            match doings {
                Doings::PoweredOn => {
                    machine.doing = "powered on".to_owned();
                    machine.took_ms = None;
                    machine.state = "on".to_owned();
                }
                Doings::PoweredOff => {
                    // A machine that cannot be powered on says why.
                    machine.state = "off".to_owned();
                    machine.took_ms = None;
                }
                Doings::RunsAs(words) => {
                    machine.real = Some(words);
                    machine.doing = "firmware".to_owned();
                }
                Doings::Doing(words) => machine.doing = words,
                Doings::Holds(..) | Doings::HoldsNone => {}
            }
        });
    }

    /// The current progress, with the time.
    fn progress(&self) -> Progress {
        let mut progress = self.progress.borrow().clone();
        progress.elapsed_ms = milliseconds(self.began.elapsed());
        progress
    }

    /// The devices that run `zw serve`.
    fn controllers(&self) -> impl Iterator<Item = DeviceId> + '_ {
        controllers_of(&self.plan)
    }
}

fn controllers_of(plan: &Plan) -> impl Iterator<Item = DeviceId> + '_ {
    let devices = plan.design.devices.iter().enumerate();
    devices
        .filter(|(_, device)| device.kind == DeviceKind::Controller)
        .map(|(index, _)| DeviceId::from_index(index))
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
