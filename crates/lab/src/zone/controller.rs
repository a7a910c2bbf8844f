//! The controllers: the very program that serves a real zone, in its machine's namespace. One, or several that share an etcd.

use super::program::{Program, State};
use super::{Zone, api, page, store};
use crate::control;
use crate::error::{Doing, Error};
use crate::mirror;
use crate::net::Namespace;
use crate::vm;
use model::Plan;
use model::ids::DeviceId;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::UnixStream;
use tokio::process::{Child, Command};

/// The longest time that a controller may take until its API answers.
const START_MAX: Duration = Duration::from_secs(30);
/// How often the API's socket is tried while it starts.
const TRY_EVERY: Duration = Duration::from_millis(25);
/// How often several are asked who leads, and how long one may take to say so.
const ASK_EVERY: Duration = Duration::from_millis(250);
const ANSWER_MAX: Duration = Duration::from_secs(2);
/// Octets of the key that seals secrets.
const KEY_LENGTH: usize = 32;
/// Of each controller, what says how far its clock is wrong.
const CLOCK: &str = "clock";

/// Boot programs that the zone's firmware asks for, and a length like the real ones'.
const LOADERS: &[(&str, usize)] = &[
    ("undionly.kpxe", 72 << 10),
    ("ipxe.efi", 256 << 10),
    ("snponly.efi", 256 << 10),
    ("ipxe-arm64.efi", 256 << 10),
];

/// A controller of the design that serves.
#[derive(Clone)]
pub(super) struct Seat {
    device: DeviceId,
    pub(super) name: String,
    /// Its place among those that serve.
    place: usize,
    pub(super) namespace: Namespace,
    /// Its API's socket.
    api: PathBuf,
    state: PathBuf,
}

/// Those that serve: the first ones drawn.
fn seats(zone: &Zone) -> Result<Vec<Seat>, Error> {
    let count = zone.start.controllers;
    let directory = &zone.start.directory;
    let drawn = zone.controllers().take(count).enumerate().map(|(place, device)| {
        let host = zone.topology.host_of(device);
        let host = host.ok_or_else(|| Error::new("find the controller's namespace"))?;
        let name = zone.plan.design.devices[device.index()].name.clone();
        let (api, state) = match count {
            1 => (directory.api(), directory.path.join("controller")),
            _ => (directory.api_of(&name), directory.path.join(format!("controller-{name}"))),
        };
        Ok(Seat { device, name, place, namespace: zone.namespace(host)?.clone(), api, state })
    });
    drawn.collect()
}

/// What people are shown of those that are to serve, before they do.
pub(super) fn shown(plan: &Plan, devices: impl Iterator<Item = DeviceId>) -> Vec<control::Controller> {
    let shown = |device: DeviceId| control::Controller {
        name: plan.design.devices[device.index()].name.clone(),
        address: plan.interfaces_of(device).iter().find_map(|own| own.v4).map(|own| own.to_string()),
        state: "off".to_owned(),
    };
    devices.map(shown).collect()
}

/// Starts them and waits until each one's API answers. They are then kept running until the lab ends.
///
/// # Errors
/// If one ends before it answers, or does not answer in time.
pub(super) async fn start(zone: &Arc<Zone>) -> Result<Vec<Program>, Error> {
    let seats = seats(zone)?;
    let Some(first) = seats.first() else { return Err(Error::new("find a controller in the design")) };
    let directory = &zone.start.directory.path;
    let loaders = directory.join("loaders");
    if zone.real.is_empty() {
        write_loaders(&loaders)?;
    } else if zone.start.loaders.is_none() {
        // Real firmware runs what it fetches.
        vm::lay_loaders(&loaders, zone.real.values().any(|choice| choice.secure_boot))?;
    }
    if !zone.start.mirrors.is_empty() {
        mirror::carry(&first.namespace, &zone.start.directory)?;
    }
    let mut programs = Vec::new();
    if seats.len() > 1 {
        programs.push(store::start(zone, &seats).await?);
        lead_to(zone, &first.api)?;
    }
    let mut key = [0; KEY_LENGTH];
    File::open("/dev/urandom").and_then(|mut file| file.read_exact(&mut key)).doing(|| "make a key")?;
    for seat in &seats {
        fs::create_dir_all(&seat.state).doing(|| "create the controller's state directory")?;
        if seats.len() > 1 {
            // What is sealed by one is opened by all.
            let file = seat.state.join("secrets.key");
            fs::write(&file, key).doing(|| format!("write {}", file.display()))?;
        }
        if zone.start.clocks {
            set_clock(seat, 0)?;
        }
        programs.push(start_one(zone, seat).await?);
    }
    if seats.len() > 1 {
        page::carry(zone, seats.clone())?;
        for seat in seats {
            tokio::spawn(look(Arc::clone(zone), seat));
        }
    }
    Ok(programs)
}

async fn start_one(zone: &Arc<Zone>, seat: &Seat) -> Result<Program, Error> {
    let mut child = spawn(zone, seat)?;
    let answers = async {
        while UnixStream::connect(&seat.api).await.is_err() {
            tokio::time::sleep(TRY_EVERY).await;
        }
    };
    let log = zone.start.directory.log_of(&seat.name, zone.start.controllers);
    tokio::select! {
        result = tokio::time::timeout(START_MAX, answers) => {
            result.doing(|| format!("hear from the controller; see {}", log.display()))?;
        }
        status = child.wait() => {
            let status = status.doing(|| "wait for the controller")?;
            let said = fs::read_to_string(&log).unwrap_or_default();
            let last = said.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("it said nothing").to_owned();
            return Err(Error::new(format!("start the controller ({status}): {last}")));
        }
    }
    tell(zone, seat.place, "serves");
    let (spawning, telling, place) = ((Arc::clone(zone), seat.clone()), Arc::clone(zone), seat.place);
    let spawn = move || spawn(&spawning.0, &spawning.1);
    Ok(Program::keep(&seat.name, child, spawn, move |state| {
        tell(&telling, place, if state == State::Runs { "starts" } else { store::word(state) });
    }))
}

fn tell(zone: &Zone, place: usize, state: &str) {
    zone.progress.send_if_modified(|progress| {
        let Some(shown) = progress.controllers.get_mut(place).filter(|shown| shown.state != state) else {
            return false;
        };
        state.clone_into(&mut shown.state);
        true
    });
}

/// Asks one of several who decides, as long as the lab runs. The API of the lab is that of the one that does; while nobody does, of one
/// that answers.
async fn look(zone: Arc<Zone>, seat: Seat) {
    loop {
        tokio::time::sleep(ASK_EVERY).await;
        let said = tokio::time::timeout(ANSWER_MAX, api::get_at(&seat.api, "/v1/status")).await;
        let said = said.ok().and_then(Result::ok);
        let leads = said.as_ref().map(|said| said["controllers"]["leads"].as_str() == Some(&seat.name));
        let state = match leads {
            Some(true) => "leads",
            Some(false) => "follows",
            None => "does not answer",
        };
        let (is_held, is_alone) = {
            let progress = zone.progress.borrow();
            let now = progress.controllers.get(seat.place).map(|shown| shown.state.as_str());
            let is_answering =
                |shown: &control::Controller| matches!(shown.state.as_str(), "leads" | "follows");
            (matches!(now, Some("off" | "paused")), !progress.controllers.iter().any(is_answering))
        };
        // What was done to it says more than that it does not answer.
        if is_held && leads.is_none() {
            continue;
        }
        let is_first = leads == Some(true) || leads == Some(false) && is_alone;
        tell(&zone, seat.place, state);
        if is_first || leads.is_some() && !answers(&zone).await {
            // It is tried again soon.
            let _ = lead_to(&zone, &seat.api);
        }
    }
}

/// Whether somebody listens where the API of the lab leads to, and is not known to be stopped.
async fn answers(zone: &Zone) -> bool {
    let api = zone.start.directory.api();
    let leads_to = fs::read_link(&api).ok();
    let is_there = {
        let progress = zone.progress.borrow();
        let of = |shown: &&control::Controller| {
            leads_to.as_deref() == Some(zone.start.directory.api_of(&shown.name).as_path())
        };
        let shown = progress.controllers.iter().find(of);
        shown.is_some_and(|shown| matches!(shown.state.as_str(), "leads" | "follows" | "serves"))
    };
    is_there && UnixStream::connect(&api).await.is_ok()
}

/// Has the API of the lab be that of one of several controllers.
fn lead_to(zone: &Zone, socket: &Path) -> Result<(), Error> {
    let api = zone.start.directory.api();
    if fs::read_link(&api).is_ok_and(|found| found == socket) {
        return Ok(());
    }
    // There is one at any time.
    let next = zone.start.directory.path.join("api.next");
    let _ = fs::remove_file(&next);
    symlink(socket, &next).doing(|| format!("lead to {}", socket.display()))?;
    fs::rename(&next, &api).doing(|| format!("lead to {}", socket.display()))
}

/// Sets a controller's clock so many seconds ahead.
///
/// # Errors
/// If it is no controller that serves, or the lab's controllers have the machine's own clock.
pub(super) fn wrong_clock(zone: &Zone, name: &str, seconds: i64) -> Result<(), Error> {
    let seats = seats(zone)?;
    let seat = seats.iter().find(|seat| seat.name == name);
    let seat = seat.ok_or_else(|| Error::new(format!("set the clock of {name}: it does not serve")))?;
    if !zone.start.clocks {
        return Err(Error::new(format!(
            "set the clock of {name}: this lab's controllers have this machine's; `zw lab up --clocks` gives each its own"
        )));
    }
    set_clock(seat, seconds)
}

fn set_clock(seat: &Seat, seconds: i64) -> Result<(), Error> {
    let file = seat.state.join(CLOCK);
    fs::write(&file, format!("{seconds:+}\n")).doing(|| format!("write {}", file.display()))
}

/// Debian's libfaketime.
pub(super) fn faketime() -> Option<PathBuf> {
    let found = fs::read_dir("/usr/lib").ok()?.flatten();
    found.map(|entry| entry.path().join("faketime/libfaketime.so.1")).find(|path| path.exists())
}

fn spawn(zone: &Zone, seat: &Seat) -> Result<Child, Error> {
    let directory = &zone.start.directory;
    let path = directory.log_of(&seat.name, zone.start.controllers);
    let log =
        File::options().create(true).append(true).open(&path).doing(|| format!("open {}", path.display()))?;
    let errors = log.try_clone().doing(|| "share a log")?;
    let is_alone = zone.start.controllers == 1;
    let page = if is_alone {
        Stdio::from(zone.page.try_clone().doing(|| "share the page's socket")?)
    } else {
        Stdio::null()
    };
    let runtime = tokio::runtime::Handle::current();
    let loaders = zone.start.loaders.clone().unwrap_or_else(|| directory.path.join("loaders"));
    let address = zone.plan.interfaces_of(seat.device).iter().find_map(|own| own.v4);
    let proxy = address.filter(|_| !zone.start.mirrors.is_empty());
    let proxy = proxy.map(|address| format!("--proxy=http://{address}:{}", mirror::PORT));
    let store = (zone.start.controllers > 1).then(|| format!("--store={}", store::address(seat.place)));
    let mut command = Command::new("/proc/self/exe");
    if let Some(library) = faketime().filter(|_| zone.start.clocks) {
        let environment: [(&str, OsString); 6] = [
            ("LD_PRELOAD", library.into()),
            ("FAKETIME_TIMESTAMP_FILE", seat.state.join(CLOCK).into()),
            ("FAKETIME_CACHE_DURATION", "1".into()),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1".into()),
            ("DONT_FAKE_MONOTONIC", "1".into()),
            ("NO_FAKE_STAT", "1".into()),
        ];
        command.envs(environment);
    }
    command
        .arg0("zw")
        .arg("serve")
        .arg(&zone.start.design)
        .args(["--controller", &seat.name])
        .arg("--state")
        .arg(&seat.state)
        .arg("--loaders")
        .arg(loaders)
        .arg("--api-socket")
        .arg(&seat.api)
        .args(is_alone.then_some("--api-inherited"))
        .args(store)
        .args(proxy)
        .stdin(page)
        .stdout(log)
        .stderr(errors)
        .kill_on_drop(true);
    seat.namespace.run(|| {
        let _inside = runtime.enter();
        command.spawn().doing(|| "start the controller")
    })
}

/// Firmware of the lab fetches these whole and runs none of them, so any octets will do.
fn write_loaders(directory: &Path) -> Result<(), Error> {
    fs::create_dir_all(directory).doing(|| format!("create {}", directory.display()))?;
    for (name, octets) in LOADERS {
        let line = format!("{name} of a zonewright lab: fetched, counted, never run\n");
        let text: Vec<u8> = line.bytes().cycle().take(*octets).collect();
        fs::write(directory.join(name), text).doing(|| format!("write {name}"))?;
    }
    Ok(())
}
