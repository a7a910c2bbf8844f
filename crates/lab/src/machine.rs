//! One machine, or one BMC, from power-on to power-off: sockets, clock and processes around `firmware`.
//!
//! A machine boots as iron does. Firmware asks for an address and a boot program on one interface after the other;
//! the program (iPXE) asks again, fetches its script and what the script names; then "the kernel" asks as a system
//! does, on every interface, and starts the agent, the same program as this one. Power-off takes everything away but
//! the hardware. What it fetched is not run: nothing here executes what came over the network.

use crate::error::{Doing, Error};
use crate::fetch::{self, Believed};
use crate::firmware::{Client, Destination, Fetching, Lease, Platform, Script, Step, persona};
use crate::hardware::Fault;
use crate::net::{
    BROADCAST, Datagram, Filter, Links, Namespace, PacketSocket, decode_udp, encode_udp, has_carrier,
};
use crate::topology::Kind;
use crate::vm::tpm;
use crate::{hardware, identity};
use ipnet::{IpNet, Ipv4Net};
use model::facts::Stage;
use model::{Mac, Time};
use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;
use std::{fs, io};
use tokio::sync::{Notify, mpsc};
use wire::dhcp4::{CLIENT_PORT, SERVER_PORT};

/// The pause of a BIOS between "no bootable device" and its next round.
const NOTHING_BOOTED: Duration = Duration::from_secs(5);
/// The pause before a program that ended is started again, as an init does.
const RESTART: Duration = Duration::from_secs(1);
/// How long a kernel that panics stands still before it restarts its machine, as with `panic=5`.
const PANIC: Duration = Duration::from_secs(5);
/// The longest command line of a kernel (Linux: COMMAND_LINE_SIZE on x86 is 2048).
const COMMAND_LINE_MAX: usize = 2048;

/// What a machine is made of.
#[derive(Clone, Debug)]
pub(crate) struct Body {
    /// As machine or as BMC.
    pub kind: Kind,
    /// Its location.
    pub location: String,
    /// Its firmware.
    pub firmware: Stage,
    /// Its role has no image: its firmware's first boot option is its own disk.
    pub boots_own_disk: bool,
    /// Its role believes nothing but a TPM.
    pub has_tpm: bool,
    /// Its model, for the hardware it shows.
    pub model: model::design::Model,
    /// Its ports: name, interface number.
    pub ports: Vec<(String, u32)>,
    /// The ports that ask for an address each, once a system runs: first cabled, then the other members of a bond.
    pub asking: Vec<Vec<u32>>,
    /// Where it keeps its files.
    pub directory: PathBuf,
    /// What its firmware believes about servers.
    pub believed: Believed,
}

/// What happens to a machine.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Command {
    /// On, if it is off.
    PowerOn,
    /// Off, at once.
    PowerOff,
    /// Off and on.
    PowerCycle,
    /// Begins anew without losing its power; a played machine knows no difference to `PowerCycle`.
    Reset,
    /// Other hardware in its place, then on.
    Replace,
    /// It shows other hardware than its model has, from the next power-on.
    Break(Fault),
}

/// Who is told what a machine is doing.
pub(crate) type Tell = Arc<dyn Fn(Doings) + Send + Sync>;

/// What a machine is doing.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Doings {
    /// It was powered on.
    PoweredOn,
    /// It was powered off.
    PoweredOff,
    /// It is real, and runs like this.
    RunsAs(String),
    /// In words.
    Doing(String),
    /// It holds an address, by interface number.
    Holds(u32, Ipv4Addr),
    /// It holds none.
    HoldsNone,
}

/// A machine that is on.
struct Machine {
    body: Body,
    namespace: Namespace,
    links: Links,
    tell: Tell,
    cables: Arc<Notify>,
    replaced: u32,
    boots: u32,
    faults: Vec<Fault>,
    /// Addresses on interfaces, to be taken off at power-off.
    held: HashMap<u32, (Ipv4Addr, u8)>,
    /// Its TPM, for as long as it is on.
    tpm: Option<tokio::process::Child>,
}

/// Runs a machine until the sender of commands is gone. `cables` tells that one came or went.
pub(crate) async fn run(
    body: Body,
    namespace: Namespace,
    tell: Tell,
    mut commands: mpsc::Receiver<Command>,
    cables: Arc<Notify>,
) {
    let links = match Links::open(&namespace) {
        Ok(links) => links,
        Err(error) => {
            tell(Doings::Doing(format!("failed to {}", error.chain())));
            return;
        }
    };
    let (faults, held) = (Vec::new(), HashMap::new());
    let mut machine =
        Machine { body, namespace, links, tell, cables, replaced: 0, boots: 0, faults, held, tpm: None };
    let mut is_on = true;
    loop {
        let command = if is_on {
            machine.boots += 1;
            let command = tokio::select! {
                () = machine.live() => Some(Command::Reset),
                command = next(&mut commands) => command,
            };
            machine.power_off().await;
            command
        } else {
            (machine.tell)(Doings::PoweredOff);
            commands.recv().await
        };
        match command {
            Some(Command::PowerOn | Command::PowerCycle) => is_on = true,
            Some(Command::PowerOff) => is_on = false,
            Some(Command::Reset) => {}
            Some(Command::Replace) => {
                is_on = true;
                machine.replace().await;
            }
            Some(Command::Break(fault)) => {
                is_on = true;
                machine.faults.push(fault);
            }
            None => return,
        }
    }
}

/// The next command that changes something about a machine that is on.
async fn next(commands: &mut mpsc::Receiver<Command>) -> Option<Command> {
    loop {
        let command = commands.recv().await;
        if command != Some(Command::PowerOn) {
            return command;
        }
    }
}

/// How a system is to be started.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Boot {
    /// With this command line, over this interface.
    Kernel { line: String, index: u32, panics: Option<Duration> },
    /// From the own disk.
    LocalDisk,
}

impl Machine {
    fn say(&self, words: impl Into<String>) {
        (self.tell)(Doings::Doing(words.into()));
    }

    /// From power-on until it restarts, if it does.
    async fn live(&mut self) {
        (self.tell)(Doings::PoweredOn);
        if self.body.kind == Kind::Bmc {
            self.say("asks for an address");
            return self.system(Stage::Bmc, None).await;
        }
        self.tpm = self.start_tpm().await;
        let boot = if self.body.boots_own_disk { Boot::LocalDisk } else { self.firmware().await };
        match boot {
            Boot::Kernel { panics: Some(after), .. } => {
                self.say(format!("its kernel panics; it restarts in {} s", after.as_secs()));
                tokio::time::sleep(after).await;
            }
            Boot::Kernel { line, index, .. } => {
                self.say("system starts");
                self.system(Stage::Os, Some((line, index))).await
            }
            Boot::LocalDisk => {
                self.say("boots its own disk");
                self.system(Stage::Os, None).await
            }
        }
    }

    /// Its TPM, if its role wants one; without it there is no use in going on.
    async fn start_tpm(&self) -> Option<tokio::process::Child> {
        if !self.body.has_tpm {
            return None;
        }
        let serial = identity::serial(&self.body.location, self.replaced);
        loop {
            match tpm::play(&self.body.directory, &serial).await {
                Ok(child) => return Some(child),
                Err(error) => self.say(format!("failed to {}", error.chain())),
            }
            tokio::time::sleep(NOTHING_BOOTED).await;
        }
    }

    async fn power_off(&mut self) {
        if let Some(mut tpm) = self.tpm.take() {
            // It ended by itself, or does now.
            let _ = tpm.kill().await;
        }
        for (index, (address, prefix_length)) in self.held.drain() {
            // The interface may be gone with its cable, and the address with it.
            let _ = self.links.remove_address(index, address.into(), prefix_length).await;
        }
        (self.tell)(Doings::HoldsNone);
    }

    async fn replace(&mut self) {
        self.replaced += 1;
        self.faults.clear();
        tpm::replace(&self.body.directory);
        for (name, index) in self.body.ports.clone() {
            let _ = self.links.set_mac(index, self.mac(&name)).await;
        }
    }

    fn mac(&self, port: &str) -> Mac {
        let port = if self.body.kind == Kind::Bmc { "bmc" } else { port };
        identity::mac(&self.body.location, self.replaced, port)
    }

    fn client(&self, stage: Stage, index: u32) -> Client {
        let on_bios = self.body.firmware == Stage::BiosPxe;
        let port =
            self.body.ports.iter().find(|(_, own)| *own == index).map_or("", |(name, _)| name.as_str());
        let mac = self.mac(port);
        let [.., a, b, c, d] = mac.0;
        let seed = u32::from_be_bytes([a, b, c, d]) ^ (self.boots << 8) ^ stage as u32;
        let uuid = identity::uuid(&self.body.location, self.replaced);
        let mut persona = persona(stage, on_bios);
        // On a port that it shares, a BMC is known by the class that its model is drawn with.
        if let Some(class) = self.body.model.bmc_vendor_class.first().filter(|_| stage == Stage::Bmc) {
            persona.vendor_class = class.clone().into();
        }
        Client::new(persona, mac, uuid, seed, fetch::now())
    }

    /// Firmware's rounds over its boot options, until one boots.
    async fn firmware(&mut self) -> Boot {
        let data: Vec<(String, u32)> = self.body.ports.clone();
        loop {
            for (name, index) in &data {
                match self.boot_from(name, *index).await {
                    Ok(boot) => return boot,
                    Err(error) => self.say(format!("{name}: failed to {}", error.chain())),
                }
                self.forget(*index).await;
            }
            tokio::time::sleep(NOTHING_BOOTED).await;
        }
    }

    async fn boot_from(&mut self, name: &str, index: u32) -> Result<Boot, Error> {
        let firmware = self.body.firmware;
        let words = match firmware {
            Stage::BiosPxe => "BIOS PXE",
            Stage::UefiHttp => "UEFI HTTP",
            _ => "UEFI PXE",
        };
        // Firmware looks for a link before it asks, and goes on to its next boot option without one.
        if !has_carrier(&self.namespace, index) {
            return Err(Error::new("find a link: nothing is at the other end of the cable"));
        }
        self.say(format!("{words} on {name}"));
        let lease = self.ask(firmware, index).await?;
        let loader = if firmware == Stage::UefiHttp {
            fetch::http(&self.fetcher(lease.address), &lease.boot_file, true).await?
        } else {
            let server = lease.next_server.unwrap_or(lease.server);
            fetch::tftp(&self.namespace, lease.address, server, &lease.boot_file).await?
        };
        if loader.octets == 0 {
            return Err(Error::new(format!("run {}: it is empty", lease.boot_file)));
        }
        self.say(format!("iPXE on {name}"));
        let lease = self.ask(Stage::Ipxe, index).await?;
        let text = self.script(&lease, &lease.boot_file).await?;
        self.run_script(&lease, text, index).await
    }

    /// Asks on one interface until there is a lease or firmware gives up, and puts the address on it.
    async fn ask(&mut self, stage: Stage, index: u32) -> Result<Lease, Error> {
        let mut asking = Asking::open(&self.namespace, vec![(index, self.client(stage, index))])?;
        loop {
            asking.step().await?;
            let client = &asking.clients[0].1;
            if let Some(lease) = client.lease().cloned() {
                self.hold(index, &lease).await?;
                return Ok(lease);
            }
            if client.gave_up() {
                return Err(Error::new("get an address: no server answered"));
            }
        }
    }

    /// Puts a lease's address on an interface, and its default route.
    async fn hold(&mut self, index: u32, lease: &Lease) -> Result<(), Error> {
        let new = (lease.address, lease.prefix_length);
        if self.held.get(&index).is_some_and(|old| *old != new) {
            self.forget(index).await;
        }
        self.links.add_address(index, new.0.into(), new.1).await?;
        self.held.insert(index, new);
        if let Some(router) = lease.routers.first() {
            self.links.add_route(IpNet::V4(Ipv4Net::default()), (*router).into()).await?;
        }
        (self.tell)(Doings::Holds(index, lease.address));
        Ok(())
    }

    async fn forget(&mut self, index: u32) {
        if let Some((address, prefix_length)) = self.held.remove(&index) {
            let _ = self.links.remove_address(index, address.into(), prefix_length).await;
        }
    }

    /// Where its firmware speaks from.
    fn fetcher(&self, address: Ipv4Addr) -> fetch::Fetcher<'_> {
        fetch::Fetcher { namespace: &self.namespace, address, believed: &self.body.believed }
    }

    async fn script(&self, lease: &Lease, file: &str) -> Result<String, Error> {
        let fetched = if file.starts_with("http://") || file.starts_with("https://") {
            fetch::http(&self.fetcher(lease.address), file, false).await?
        } else {
            let server = lease.next_server.unwrap_or(lease.server);
            fetch::tftp(&self.namespace, lease.address, server, file).await?
        };
        Ok(String::from_utf8_lossy(&fetched.start).into_owned())
    }

    async fn run_script(&self, lease: &Lease, text: String, index: u32) -> Result<Boot, Error> {
        let platform = if self.body.firmware == Stage::BiosPxe { Platform::Bios } else { Platform::Uefi };
        let mut script = Script::new(&text, platform);
        let (mut kernel, mut panics) = (None::<String>, None);
        let mut worked = true;
        loop {
            match script.next(worked) {
                Step::Fetch { what: Fetching::Chain, url, .. } => match self.script(lease, &url).await {
                    Ok(text) => {
                        script = Script::new(&text, platform);
                        kernel = None;
                        worked = true;
                    }
                    Err(error) => {
                        self.say(format!("iPXE: failed to {}", error.chain()));
                        worked = false;
                    }
                },
                Step::Fetch { what, url, arguments } => {
                    match fetch::http(&self.fetcher(lease.address), &url, false).await {
                        Ok(file) if what == Fetching::Kernel => {
                            panics = is_to_panic(&file);
                            kernel = Some(arguments.chars().take(COMMAND_LINE_MAX).collect());
                            worked = true;
                        }
                        Ok(_) => worked = true,
                        Err(error) => {
                            self.say(format!("iPXE: failed to {}", error.chain()));
                            worked = false;
                        }
                    }
                }
                Step::Free => (kernel, worked) = (None, true),
                Step::Boot => match kernel.take() {
                    Some(line) => return Ok(Boot::Kernel { line, index, panics }),
                    None => worked = false,
                },
                Step::LocalDisk => return Ok(Boot::LocalDisk),
                Step::Say(words) => {
                    self.say(words);
                    worked = true;
                }
                Step::Sleep(time) => {
                    tokio::time::sleep(time).await;
                    worked = true;
                }
                // A BIOS goes on with its disk; so does UEFI after anything but "fine".
                Step::Exit { why, .. } if why.starts_with("exit") => return Ok(Boot::LocalDisk),
                Step::Exit { why, .. } => return Err(Error::new(format!("run the boot script: {why}"))),
            }
        }
    }

    /// A running system: addresses on every interface, renewed for ever, and the agent if the kernel was told of one.
    /// Ends when the agent has it restart.
    async fn system(&mut self, stage: Stage, kernel: Option<(String, u32)>) {
        let boot_index = kernel.as_ref().map(|(_, index)| *index);
        let mut clients = Vec::new();
        for ports in &self.body.asking {
            // Of a bond, the member that firmware booted from carries the traffic.
            let carrier = ports.iter().find(|index| Some(**index) == boot_index).or(ports.first());
            if let Some(carrier) = carrier {
                clients.push((*carrier, self.client(stage, *carrier)));
            }
        }
        let mut asking = loop {
            match Asking::open(&self.namespace, clients.clone()) {
                Ok(asking) => break asking,
                Err(error) => self.say(format!("failed to {}", error.chain())),
            }
            tokio::time::sleep(NOTHING_BOOTED).await;
        };
        let mut agent: Option<tokio::process::Child> = None;
        let mut restart: Option<tokio::time::Instant> = None;
        let mut applied: HashMap<u32, Lease> = HashMap::new();
        loop {
            tokio::select! {
                result = asking.step() => if let Err(error) = result {
                    self.say(format!("failed to {}", error.chain()));
                    tokio::time::sleep(RESTART).await;
                },
                status = ended(&mut agent) => {
                    if status.as_ref().is_ok_and(|status| status.code() == Some(agent::options::RESTARTS)) {
                        self.say("restarts, as its agent was told");
                        return;
                    }
                    let status = status.map_or_else(|error| error.to_string(), |status| status.to_string());
                    self.say(format!("the agent ended ({status}) and is started again"));
                    agent = None;
                    restart = Some(tokio::time::Instant::now() + RESTART);
                }
                () = at(restart) => restart = None,
                () = self.cables.notified() => {
                    for place in 0..asking.clients.len() {
                        self.fail_over(&mut asking, place, stage, &mut applied).await;
                    }
                }
            }
            for (index, client) in &asking.clients {
                let index = *index;
                match client.lease() {
                    Some(lease) if applied.get(&index) != Some(lease) => {
                        applied.insert(index, lease.clone());
                        if let Err(error) = self.hold(index, lease).await {
                            self.say(format!("failed to {}", error.chain()));
                        } else if stage == Stage::Bmc {
                            self.say("up");
                        }
                    }
                    None if applied.remove(&index).is_some() => self.forget(index).await,
                    _ => {}
                }
            }
            let is_reachable = boot_index.is_some() && !applied.is_empty();
            if let Some((line, _)) =
                kernel.as_ref().filter(|_| is_reachable && agent.is_none() && restart.is_none())
            {
                match self.start_agent(line) {
                    Ok(Some(child)) => {
                        self.say("system runs, agent started");
                        agent = Some(child);
                    }
                    // No agent on this command line: an image of somebody else's.
                    Ok(None) => restart = Some(tokio::time::Instant::now() + Duration::from_secs(3600)),
                    Err(error) => {
                        self.say(format!("failed to {}", error.chain()));
                        restart = Some(tokio::time::Instant::now() + RESTART);
                    }
                }
            }
        }
    }

    /// A bond whose carrying member lost its link goes on over another: it asks there, and gets the same address.
    async fn fail_over(
        &mut self,
        asking: &mut Asking,
        place: usize,
        stage: Stage,
        applied: &mut HashMap<u32, Lease>,
    ) {
        let carrier = asking.clients[place].0;
        let bond = self.body.asking.iter().find(|ports| ports.contains(&carrier));
        if has_carrier(&self.namespace, carrier) {
            return;
        }
        let others = bond.into_iter().flatten().filter(|port| **port != carrier);
        let Some(next) = others.copied().find(|port| has_carrier(&self.namespace, *port)) else { return };
        applied.remove(&carrier);
        self.forget(carrier).await;
        let client = self.client(stage, next);
        asking.macs.insert(next, client.mac());
        asking.clients[place] = (next, client);
    }

    /// Starts the agent as the image's init would: from the kernel's command line.
    fn start_agent(&self, line: &str) -> Result<Option<tokio::process::Child>, Error> {
        let word = |key: &str| line.split_whitespace().find_map(|word| word.strip_prefix(key));
        let (Some(ca), Some(location)) = (word("zw.ca="), word("zw.location=")) else { return Ok(None) };
        let directory = &self.body.directory;
        let state = directory.join("state");
        // The image runs from memory: nothing of an earlier boot is left, unless this boot's agent was restarted.
        let marker = directory.join("boot");
        let boot = format!("{} {}\n", self.replaced, self.boots);
        if fs::read_to_string(&marker).ok().as_deref() != Some(boot.as_str()) {
            let _ = fs::remove_dir_all(&state);
        }
        fs::create_dir_all(&state).doing(|| format!("create {}", state.display()))?;
        fs::write(&marker, boot).doing(|| format!("write {}", marker.display()))?;
        let shown = hardware::hardware(&self.body, self.replaced, &self.faults, &|port| self.mac(port));
        let file = directory.join("hardware.json");
        let text = serde_json::to_string_pretty(&shown).doing(|| "describe the hardware")?;
        fs::write(&file, text).doing(|| format!("write {}", file.display()))?;
        let log = directory.join("agent.log");
        let log = fs::File::options()
            .create(true)
            .append(true)
            .open(&log)
            .doing(|| format!("open {}", log.display()))?;
        let errors = log.try_clone().doing(|| "share a log")?;
        let runtime = tokio::runtime::Handle::current();
        self.namespace.run(|| {
            let _inside = runtime.enter();
            let mut command = tokio::process::Command::new("/proc/self/exe");
            command.arg0("zw").arg("agent");
            for controller in line.split_whitespace().filter_map(|word| word.strip_prefix("zw.controller=")) {
                command.args(["--controller", controller]);
            }
            command
                .args(["--ca-pin", ca, "--location", location])
                .arg("--state")
                .arg(&state)
                .arg("--hardware")
                .arg(&file)
                // Never this host's.
                .arg("--tpm")
                .arg(directory.join(tpm::SOCKET))
                .arg("--played")
                .stdin(Stdio::null())
                .stdout(log)
                .stderr(errors)
                .kill_on_drop(true);
            command.spawn().map(Some).doing(|| "start the agent")
        })
    }
}

/// Whether a stand-in for a kernel says of itself that it panics, and how long it then stands still: a line `lab: panics`, or
/// `lab: panics 20` for 20 seconds.
fn is_to_panic(kernel: &fetch::File) -> Option<Duration> {
    let text = String::from_utf8_lossy(&kernel.start);
    let said = text.lines().find_map(|line| line.strip_prefix("lab: panics"))?;
    Some(said.trim().parse().map_or(PANIC, Duration::from_secs))
}

async fn ended(agent: &mut Option<tokio::process::Child>) -> io::Result<ExitStatus> {
    match agent {
        Some(child) => child.wait().await,
        None => std::future::pending().await,
    }
}

async fn at(time: Option<tokio::time::Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time).await,
        None => std::future::pending().await,
    }
}

/// DHCP clients of one machine over one socket.
struct Asking {
    socket: PacketSocket,
    namespace: Namespace,
    /// The interface each asks on, and the client.
    clients: Vec<(u32, Client)>,
    /// From which renewals are sent, by own address.
    renewing: HashMap<Ipv4Addr, tokio::net::UdpSocket>,
    macs: HashMap<u32, Mac>,
    buffer: Vec<u8>,
}

impl Asking {
    fn open(namespace: &Namespace, clients: Vec<(u32, Client)>) -> Result<Self, Error> {
        let socket = PacketSocket::open(namespace, Filter::UdpTo(CLIENT_PORT))?;
        let macs = clients.iter().map(|(index, client)| (*index, client.mac())).collect();
        let renewing = HashMap::new();
        Ok(Self { socket, namespace: namespace.clone(), clients, renewing, macs, buffer: vec![0; 4096] })
    }

    /// Sends what is due and takes in one packet or the passing of time.
    async fn step(&mut self) -> Result<(), Error> {
        for (index, client) in &mut self.clients {
            while let Some((message, destination)) = client.poll(fetch::now()) {
                let own = match destination {
                    Destination::Server { from, to } => {
                        let socket = match self.renewing.entry(from) {
                            std::collections::hash_map::Entry::Occupied(open) => open.into_mut(),
                            std::collections::hash_map::Entry::Vacant(free) => {
                                free.insert(renewal_socket(&self.namespace, from)?)
                            }
                        };
                        // Not reached is not answered: the client asks again in its time.
                        let _ = socket.send_to(&message, (to, SERVER_PORT)).await;
                        continue;
                    }
                    Destination::Broadcast => Ipv4Addr::UNSPECIFIED,
                    Destination::BroadcastFrom(own) => own,
                };
                let frame = encode_udp(&Datagram {
                    from_mac: self.macs.get(index).copied().unwrap_or(BROADCAST),
                    to_mac: BROADCAST,
                    from: SocketAddrV4::new(own, CLIENT_PORT),
                    to: SocketAddrV4::new(Ipv4Addr::BROADCAST, SERVER_PORT),
                    payload: &message,
                });
                let _ = self.socket.send(*index, &frame);
            }
        }
        if self.clients.iter().any(|(_, client)| client.gave_up()) {
            return Ok(());
        }
        let deadline = self.clients.iter().filter_map(|(_, client)| client.deadline()).min();
        let wait = deadline.map_or(Duration::from_secs(3600), |deadline| deadline.since(fetch::now()));
        match tokio::time::timeout(wait, self.socket.receive(&mut self.buffer)).await {
            Ok(Ok(received)) => {
                if let Some(datagram) = decode_udp(&self.buffer[..received.length]) {
                    let own = self.clients.iter_mut().filter(|(index, _)| *index == received.index);
                    own.for_each(|(_, client)| client.receive(datagram.payload, fetch::now()));
                }
            }
            // An interface went down; its client's time passes.
            Ok(Err(_)) | Err(_) => {
                let now: Time = fetch::now();
                self.clients.iter_mut().for_each(|(_, client)| client.tick(now));
            }
        }
        Ok(())
    }
}

fn renewal_socket(namespace: &Namespace, from: Ipv4Addr) -> Result<tokio::net::UdpSocket, Error> {
    let socket = namespace.run(|| {
        let socket = UdpSocket::bind((from, CLIENT_PORT)).doing(|| format!("bind {from}:{CLIENT_PORT}"))?;
        socket.set_nonblocking(true).doing(|| "prepare a socket")?;
        Ok(socket)
    })?;
    tokio::net::UdpSocket::from_std(socket).doing(|| "watch a socket")
}
