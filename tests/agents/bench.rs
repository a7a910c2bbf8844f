//! A zone of two machines on loopback addresses, the real listener, and a clock that is set by hand.

use api::agent::FromController;
use api::key_media;
use lifecycle::machine::Action;
use lifecycle::{Applied, Zone};
use model::burn_in::BurnIn;
use model::design::{Audience, CheckFile, Design, Device, DeviceKind, Model, ModelKind, Role, Trust};
use model::event::What;
use model::facts::{Facts, Machine, Stage};
use model::ids::{DeviceId, ModelId, RoleId, SubnetId};
use model::plan::Interface;
use model::{Event, Generation, Location, Mac, Plan, Source, Time};
use server::agents::{Agents, Authority, ByBmc, Half, Present, Push, Situation, Verdict};
use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, RwLock};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;

/// Where machine `u01` or `u02` speaks from.
pub(crate) const U01: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 1);
pub(crate) const U02: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

/// Nothing that a test waits for takes longer.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// When the tests begin.
pub(crate) const BEGIN: Time = Time(1_800_000_000_000);

/// The controller's half: what survives its restart, and the running listener.
pub(crate) struct Bench {
    pub(crate) zone: Arc<RwLock<Zone>>,
    clock: Arc<AtomicU64>,
    /// Since when the clock goes by itself; `None`: it stands.
    clock_runs: Option<Instant>,
    /// Every event that was given to the keeper, in order.
    pub(crate) events: Arc<Mutex<Vec<Event>>>,
    /// Counts the events; who waits for one waits here.
    counted: watch::Sender<usize>,
    /// The store fails: events change the facts in memory, and nobody hears that they are stored.
    pub(crate) store_fails: Arc<AtomicBool>,
    /// The keeper's queue takes nothing.
    pub(crate) queue_full: Arc<AtomicBool>,
    pub(crate) authority: Arc<Authority>,
    pub(crate) present: Arc<Present>,
    pub(crate) address: SocketAddr,
    heartbeat: Duration,
    unproven: Duration,
    published: watch::Sender<Generation>,
    listener: JoinHandle<()>,
    secret: Vec<u8>,
    pub(crate) bmcs: Arc<Bmcs>,
}

/// Plays the machines' BMCs: a CD that is inserted is a file in the directory of the machine's drives.
pub(crate) struct Bmcs {
    directory: PathBuf,
    are_broken: AtomicBool,
    /// Halves that are out, and how many there were.
    halves: Mutex<(HashMap<Location, Half>, u8)>,
}

impl Bmcs {
    fn new() -> Self {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let number = COUNT.fetch_add(1, Ordering::SeqCst);
        let directory = std::env::temp_dir().join(format!("zw-drives-{}-{number}", std::process::id()));
        Self { directory, are_broken: AtomicBool::new(false), halves: Mutex::default() }
    }

    /// Where the machine's agent looks for drives.
    pub(crate) fn drives(&self, location: &Location) -> PathBuf {
        let path = self.directory.join(location.within_zone().replace('/', "-"));
        std::fs::create_dir_all(&path).expect("a directory");
        path
    }

    pub(crate) fn break_down(&self) {
        self.are_broken.store(true, Ordering::SeqCst);
    }

    pub(crate) fn has_key(&self, location: &Location) -> bool {
        self.drives(location).join("sr0").exists()
    }

    /// What is on the CD in the machine's drive.
    pub(crate) fn read(&self, location: &Location) -> [u8; 32] {
        let image = std::fs::read(self.drives(location).join("sr0")).expect("a CD is inserted");
        let at = usize::try_from(key_media::FILE_AT).expect("small");
        key_media::half(&image[at..at + key_media::SECTOR]).expect("half of a token")
    }
}

impl ByBmc for Bmcs {
    fn half(&self, location: &Location) -> Result<Half, String> {
        if self.are_broken.load(Ordering::SeqCst) {
            return Err("it has no BMC".to_owned());
        }
        let (halves, count) = &mut *self.halves.lock().expect("whole");
        *count += 1;
        let volume = format!("ZW_{}", location.leaf().to_uppercase());
        let fresh = Half { octets: [*count; 32], volume };
        Ok(halves.entry(location.clone()).or_insert(fresh).clone())
    }

    fn hand(&self, location: &Location) {
        let half = self.halves.lock().expect("whole").0[location].clone();
        let image = key_media::image(&half.volume, &half.octets);
        std::fs::write(self.drives(location).join("sr0"), image).expect("inserted");
    }

    fn spent(&self, location: &Location) {
        self.halves.lock().expect("whole").0.remove(location);
        let _ = std::fs::remove_file(self.drives(location).join("sr0"));
    }
}

impl Drop for Bmcs {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

/// What the kernel gives to nobody who asks for any port: a controller that is dead finds its own free when it starts again.
const PORTS: std::ops::Range<u16> = 20_000..32_000;
/// How many there were.
static BENCHES: AtomicU16 = AtomicU16::new(0);

impl Bench {
    /// A controller at its first start.
    pub(crate) async fn new() -> Self {
        Self::with(BEGIN, Duration::from_secs(20), server::agents::UNPROVEN_TIME_MAX).await
    }

    /// A controller whose clock is right when the test begins, for agents whose clocks are compared with it.
    pub(crate) async fn today() -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
        let now = Time(u64::try_from(now.as_millis()).expect("before the end of time"));
        let runs = Some(Instant::now());
        Self::start(now, Duration::from_secs(20), server::agents::UNPROVEN_TIME_MAX, 2, runs).await
    }

    /// A controller that wants a heartbeat, and a proof from strangers, this soon.
    pub(crate) async fn with(begin: Time, heartbeat: Duration, unproven: Duration) -> Self {
        Self::start(begin, heartbeat, unproven, 2, None).await
    }

    /// A controller of so many machines; the last of their names and addresses is [`place`]`(machines - 1)`.
    pub(crate) async fn of(machines: u16) -> Self {
        Self::start(BEGIN, Duration::from_secs(20), server::agents::UNPROVEN_TIME_MAX, machines, None).await
    }

    async fn start(
        begin: Time,
        heartbeat: Duration,
        unproven: Duration,
        machines: u16,
        clock_runs: Option<Instant>,
    ) -> Self {
        let (authority, secret) = Authority::open_or_found(None, "ams1", begin).expect("founded");
        let zone = Zone::new(Arc::new(plan(1, "", machines)), Facts::default());
        let listener = (0..PORTS.len()).find_map(|_| {
            let number = usize::from(BENCHES.fetch_add(1, Ordering::Relaxed)) + std::process::id() as usize;
            let port = PORTS.start + u16::try_from(number % PORTS.len()).expect("a port");
            bound(SocketAddr::from(([127, 0, 0, 1], port))).ok()
        });
        let listener = listener.expect("a free port");
        let mut bench = Self {
            zone: Arc::new(RwLock::new(zone)),
            clock: Arc::new(AtomicU64::new(begin.0)),
            clock_runs,
            events: Arc::default(),
            counted: watch::Sender::new(0),
            store_fails: Arc::default(),
            queue_full: Arc::default(),
            authority: Arc::new(authority),
            present: Arc::new(Present::new()),
            address: listener.local_addr().expect("bound"),
            heartbeat,
            unproven,
            published: watch::Sender::new(Generation(1)),
            listener: tokio::spawn(async {}),
            bmcs: Arc::new(Bmcs::new()),
            secret: secret.expect("a new authority is to be stored"),
        };
        bench.listen(listener);
        bench
    }

    /// The controller dies: every connection with it.
    pub(crate) async fn crash(&mut self) {
        self.listener.abort();
        let _ = (&mut self.listener).await;
    }

    /// It starts again on the same address, with what was stored.
    pub(crate) fn restart(&mut self) {
        let (authority, secret) =
            Authority::open_or_found(Some(&self.secret), "ams1", self.now()).expect("opened");
        assert!(secret.is_none(), "an authority that is opened is not stored again");
        assert_eq!(authority.sha256(), self.authority.sha256(), "the pin survives a restart");
        self.authority = Arc::new(authority);
        self.present = Arc::new(Present::new());
        self.listen(bound(self.address).expect("its own port"));
    }

    fn listen(&mut self, listener: TcpListener) {
        let (zone, events, store_fails) =
            (Arc::clone(&self.zone), Arc::clone(&self.events), Arc::clone(&self.store_fails));
        let (counted, queue_full) = (self.counted.clone(), Arc::clone(&self.queue_full));
        let present = Arc::clone(&self.present);
        let submit = move |event: Event, verdict: oneshot::Sender<Verdict>| {
            if queue_full.load(Ordering::SeqCst) {
                return false;
            }
            events.lock().expect("whole").push(event.clone());
            let applied = zone.write().expect("whole").apply(&event);
            told(&present, &applied);
            counted.send_modify(|count| *count += 1);
            match applied.refused {
                Some(why) => drop(verdict.send(Verdict::Refused(why.into_owned()))),
                None if store_fails.load(Ordering::SeqCst) => drop(verdict),
                None => drop(verdict.send(Verdict::Stored)),
            }
            true
        };
        let (zone, clock, runs) = (Arc::clone(&self.zone), Arc::clone(&self.clock), self.clock_runs);
        let look = move |location: &Location| {
            let zone = zone.read().expect("whole");
            let device = zone.roster().device_at(location);
            Situation {
                plan: Arc::clone(zone.plan()),
                device,
                machine: zone.facts().machines.get(location).cloned(),
                order: device.and_then(|device| {
                    let machine = zone.facts().machines.get(location)?;
                    let order = lifecycle::burn_in::order(zone.plan(), device, machine)?;
                    Some(FromController::BurnIn { order: Some(order) })
                }),
            }
        };
        let homes = Arc::clone(&self.zone);
        let agents = Agents {
            submit: Arc::new(submit),
            look: Arc::new(look),
            foreign: Arc::new(<[_]>::to_vec),
            home_of_tpm: Arc::new(move |ek| homes.read().expect("whole").home_of_tpm(ek).cloned()),
            by_bmc: Arc::clone(&self.bmcs) as Arc<dyn ByBmc>,
            now: Arc::new(move || time(&clock, runs)),
            authority: Arc::clone(&self.authority),
            published: self.published.subscribe(),
            present: Arc::clone(&self.present),
            heartbeat: self.heartbeat,
            check_every: Duration::from_secs(300),
            is_shared: Arc::new(|| false),
            unproven: self.unproven,
            edges: None,
        };
        let addresses = vec![self.address.ip()];
        self.listener = tokio::spawn(async move {
            server::agents::serve(agents, listener, addresses)
                .await
                .expect("it can issue its own certificate");
        });
    }

    pub(crate) fn now(&self) -> Time {
        time(&self.clock, self.clock_runs)
    }

    pub(crate) fn advance(&self, by: Duration) {
        self.clock.fetch_add(u64::try_from(by.as_millis()).expect("a test's time"), Ordering::SeqCst);
    }

    /// Something happened that the agents' listener has no part in.
    pub(crate) fn happen(&self, location: &Location, what: What) {
        assert_eq!(self.try_to(location, what), None);
    }

    /// The same of what may be refused: why it is.
    pub(crate) fn try_to(&self, location: &Location, what: What) -> Option<String> {
        let event = Event { at: self.now(), location: location.clone(), what };
        let applied = self.zone.write().expect("whole").apply(&event);
        told(&self.present, &applied);
        applied.refused.map(|why| why.into_owned())
    }

    /// DHCP saw the machine begin a boot.
    pub(crate) fn boot(&self, location: &Location, mac: Mac) {
        let what = What::Asked {
            interface: "eno1".into(),
            mac,
            uuid: None,
            stage: Stage::UefiPxe,
            port: "leaf-a swp1".into(),
        };
        self.happen(location, what);
    }

    pub(crate) fn machine(&self, location: &Location) -> Machine {
        self.zone.read().expect("whole").facts().machines[location].clone()
    }

    /// Another plan, whose hypervisors have this check file.
    pub(crate) fn publish(&self, generation: u64, checks: &str) {
        self.replan(plan(generation, checks, 2));
    }

    /// Another plan, whose hypervisors are burnt in.
    pub(crate) fn publish_burn_in(&self, generation: u64, burn_in: BurnIn) {
        let mut plan = plan(generation, "", 2);
        Arc::make_mut(&mut plan.design).roles[0].burn_in = burn_in;
        self.replan(plan);
    }

    fn replan(&self, plan: Plan) {
        let plan = Arc::new(plan);
        let roster = Arc::new(model::Roster::of(&plan));
        self.zone.write().expect("whole").replan(plan, roster, None);
        let generation = self.zone.read().expect("whole").plan().generation;
        self.published.send_replace(generation);
    }

    /// The same plan, whose machines prove themselves so.
    pub(crate) fn want(&self, trust: Trust) {
        let mut zone = self.zone.write().expect("whole");
        let mut plan = Plan::clone(zone.plan());
        let mut design = Design::clone(&plan.design);
        design.roles[0].trust = trust;
        plan.design = Arc::new(design);
        let roster = Arc::new(model::Roster::of(&plan));
        zone.replan(Arc::new(plan), roster, None);
    }

    pub(crate) fn check_again(&self, location: &Location) -> bool {
        self.present.push(location, Push::CheckAgain)
    }

    /// Waits until the facts are as `wanted` says, or fails after a while with what they are.
    pub(crate) async fn until(&self, location: &Location, wanted: impl Fn(&Machine) -> bool) -> Machine {
        let mut counted = self.counted.subscribe();
        let reached = counted.wait_for(|_| wanted(&self.machine(location)));
        let reached = tokio::time::timeout(PATIENCE, reached).await.is_ok();
        let machine = self.machine(location);
        assert!(reached, "not in time: {machine:#?}");
        machine
    }

    /// How often an event of this kind came.
    pub(crate) fn count(&self, kind: impl Fn(&What) -> bool) -> usize {
        self.events.lock().expect("whole").iter().filter(|event| kind(&event.what)).count()
    }
}

/// What the keeper says to agents after an event, but for what every report is followed by anyway.
fn told(present: &Present, applied: &Applied) {
    for (location, _) in applied.actions.iter().filter(|(_, action)| *action == Action::TellAgent) {
        present.push(location, Push::Order);
    }
}

fn time(clock: &AtomicU64, runs: Option<Instant>) -> Time {
    Time(clock.load(Ordering::SeqCst)) + runs.map_or(Duration::ZERO, |since| since.elapsed())
}

pub(crate) fn u01() -> Location {
    Location::new("ams1/p01/r1/u01")
}

pub(crate) fn u02() -> Location {
    Location::new("ams1/p01/r1/u02")
}

/// A machine's location, address and hardware address by its slot; the first two are `u01` and `u02`.
pub(crate) fn place(slot: u16) -> (Location, Ipv4Addr, Mac) {
    let [high, low] = (slot + 1).to_be_bytes();
    let location = Location::new(&format!("ams1/p01/r1/u{:02}", slot + 1));
    (location, Ipv4Addr::new(127, 0, high, low), Mac([2, 0, 0, 0, high, low]))
}

const MAC: Mac = Mac([2, 0, 0, 0, 0, 1]);

/// An address that an agent reports from here: the machine that its firmware's request is from. Any will do where it sees no interface.
pub(crate) fn own_mac() -> Mac {
    agent::hardware::gather().nics.first().map_or(MAC, |nic| nic.mac)
}

/// A listener that may take over an address that was used a moment ago.
fn bound(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(1024)
}

fn plan(generation: u64, checks: &str, machines: u16) -> Plan {
    let device = |slot: u16| Device {
        location: place(slot).0,
        name: format!("hv-{slot}"),
        kind: DeviceKind::Machine,
        pod: None,
        rack: None,
        slot: slot.into(),
        model: ModelId(0),
        role: Some(RoleId(0)),
        source: Source::default(),
    };
    let model = Model {
        name: "r650".into(),
        kind: ModelKind::Server,
        ports: vec!["eno1".into()],
        circuit_id: None,
        remote_id: None,
        interface_id: None,
        remote_id6: None,
        bonds: Vec::new(),
        bmc: None,
        bmc_shares: None,
        bmc_vendor_class: Vec::new(),
        height: 1,
        expect: Default::default(),
        source: Source::default(),
    };
    let role = Role {
        name: "hypervisor".into(),
        after: Vec::new(),
        boot: None,
        os: None,
        disks: None,
        ssh_keys: Vec::new(),
        checks: match checks {
            "" => Vec::new(),
            text => vec![CheckFile { path: "checks/kvm.yaml".into(), text: text.into() }],
        },
        burn_in: Default::default(),
        services: Vec::new(),
        guest_ouis: Vec::new(),
        trust: Trust::Port,
        https: false,
        source: Source::default(),
    };
    let interface = |slot: u16| Interface {
        device: DeviceId(slot.into()),
        name: "eno1".into(),
        dns_name: "hv".into(),
        audience: Audience::Machine,
        subnet: SubnetId(0),
        v4: Some(place(slot).1),
        v6: None,
        ports: Vec::new(),
    };
    Plan {
        generation: Generation(generation),
        design: Arc::new(Design {
            models: vec![model],
            roles: vec![role],
            devices: (0..machines).map(device).collect(),
            ..Design::default()
        }),
        aggregates: Vec::new(),
        subnets: Vec::new(),
        interfaces: (0..machines).map(interface).collect(),
        first_interface: (0..=u32::from(machines)).collect(),
        bindings: Vec::new(),
    }
}

/// Loopback addresses as the tests write them.
pub(crate) fn ip(address: Ipv4Addr) -> IpAddr {
    IpAddr::V4(address)
}
