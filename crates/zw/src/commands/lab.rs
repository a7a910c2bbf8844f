//! `zw lab …`: a zone on this machine. The work is done in crate `lab`; here is what people type and see.

mod images;
mod progress;

use super::check::failed;
use crate::findings;
use clap::{Args as ClapArgs, Subcommand};
use lab::console;
use lab::control::{self, Phase, Power, Progress, Reply, Request};
use lab::directory::{self, Directory, Holder};
use lab::down::{self, Down};
use lab::load::LoadError;
use lab::mirror::Mirror;
use lab::supervisor::{self, Supervise};
use lab::{Error, mirror, vm, zone};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Machines that `up` lists one by one at its end; of more, only those that are not ready.
const LISTED_MAX: usize = 300;
/// Machines of which `up` says why they are not ready.
const WAITING_MAX: usize = 20;
/// The patience of `up`, with played machines and with real ones: an emulated one takes minutes where others work beside it.
const PATIENCE: Duration = Duration::from_secs(90);
const PATIENCE_REAL: Duration = Duration::from_secs(600);
/// A lab in which every machine is ready or failed, and stays so this long, is done.
const SETTLED: Duration = Duration::from_secs(3);

/// Power a zone on, on this machine: namespaces, cables, relays, firmware, the real controller and agents.
///
/// Works as root and as an ordinary user where user namespaces are allowed. Nothing of it can be reached from outside,
/// and nothing is left when it ends.
#[derive(ClapArgs)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
    /// Which lab, by its zone's name, if several run.
    #[arg(long, global = true, value_name = "ZONE")]
    zone: Option<String>,
}

#[derive(Subcommand)]
enum Command {
    /// Build the zone and power it on; returns when every machine is ready.
    Up {
        /// The design's directory.
        #[arg(default_value = ".", value_name = "DESIGN")]
        design: PathBuf,
        /// Give a machine real firmware: QEMU with OVMF, or SeaBIOS, and disks. It begins with a location, name or
        /// address; `bios`, `uefi-http` (no PXE), `secure-boot`, `tpm` and `ipv6` may follow. May be repeated.
        #[arg(long, value_name = "TARGET[,bios][,tpm]")]
        vm: Vec<vm::Choice>,
        /// Where the boot programs for such machines lie [default: Debian's iPXE, with `secure-boot` also its shim and
        /// GRUB].
        #[arg(long, value_name = "DIRECTORY", requires = "vm")]
        loaders: Option<PathBuf>,
        /// Where OVMF lies, the UEFI of such machines. Boot by HTTPS needs that of EDK2 2025.05 or newer.
        #[arg(long, value_name = "DIRECTORY", requires = "vm", default_value = vm::OVMF)]
        ovmf: PathBuf,
        /// Let the zone's installers fetch what lies below this URL (`http://HOST[:PORT][/PATH]`): the controller's address, port
        /// 3142, is an HTTP proxy for it, and for nothing else; templates know it as `proxy`. May be repeated.
        #[arg(long, value_name = "URL")]
        mirror: Vec<Mirror>,
        /// Put an edge (`zw edge`) beside the controllers: the relays know it too, and `zw lab power off ctl1` leaves it alone.
        #[arg(long)]
        edge: bool,
        /// How many controllers serve: the first ones drawn. More than one share an etcd (Debian's `etcd-server`).
        #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=7))]
        controllers: u8,
        /// Give each controller a clock that can be set (`zw lab break ctl1 clock=+86400`), by Debian's `libfaketime`.
        #[arg(long)]
        clocks: bool,
        /// Seconds without any change after which it stops waiting and says who waits for what [default: 90, with --vm
        /// 600].
        #[arg(long, value_name = "SECONDS")]
        patience: Option<u64>,
    },
    /// End a lab, or clear away what a crashed one left.
    Down {
        /// Every lab of this user.
        #[arg(long)]
        all: bool,
    },
    /// Say how far each machine is.
    Status {
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Cut the cables of a machine or switch, or one of them (`p01/r1/u01:eno1`).
    Cut {
        /// A location, name or address, with or without `:INTERFACE`.
        target: String,
    },
    /// Bring cut cables up again.
    Mend {
        /// A location, name or address, with or without `:INTERFACE`.
        target: String,
    },
    /// Swap the cables of two machines: all of them, or of one interface.
    Swap {
        /// A location, name or address, with or without `:INTERFACE`.
        a: String,
        /// The other.
        b: String,
    },
    /// Put other hardware in the place of a machine: new MACs, UUID and serial.
    Replace {
        /// A location, name or address.
        target: String,
    },
    /// Power a machine off and on, or all of them.
    PowerCycle {
        /// A location, name or address, or `all`.
        target: String,
    },
    /// Turn a machine on or off, or reset it. Its BMC stays as it is. A controller that is off was killed, as `etcd` may be.
    Power {
        /// What to do with it.
        power: PowerWord,
        /// A location, name or address.
        target: String,
    },
    /// Sit at the serial port of a real machine: what it said before, what it says, and what is typed. Ctrl-] ends it.
    Console {
        /// A location, name or address.
        target: String,
        /// Only print what it said.
        #[arg(long)]
        log: bool,
    },
    /// Make a machine differ from its model, and power it off and on; or set a controller's clock (`clock=+86400`, `clock=right`).
    Break {
        /// A location, name or address.
        target: String,
        /// `memory=256GiB`, `cpus=8`, `disks=0`, `firmware=2.1` or `nic_mbps=1000`; `rtc=2060-01-01` sets a real
        /// machine's clock, `rtc=right` mends it.
        fault: String,
    },
    /// Kill the controller; it starts again on its state.
    Crash {
        /// `controller`: of several, the one that decides; or one by name, or the `etcd` that they share.
        what: String,
    },
    /// Stop a controller where it is: it is there, and does nothing.
    Pause {
        /// A controller's name, `controller` for the one that decides, or `etcd`.
        target: String,
    },
    /// Let a controller that was stopped go on, as if nothing had been.
    Resume {
        /// A controller's name, or `etcd`.
        target: String,
    },
    /// Run a program in the namespace of a machine, switch, controller or BMC (`p01/r1/u01:bmc`).
    Exec {
        /// A location, name or address.
        target: String,
        /// The program and its arguments.
        #[arg(last = true, required = true, value_name = "COMMAND")]
        command: Vec<String>,
    },
    /// Write what passes the interfaces of a machine or switch to a file that Wireshark and tcpdump read.
    Capture {
        /// A location, name or address.
        target: String,
        /// The file; `-` is standard output.
        #[arg(default_value = "-")]
        file: PathBuf,
        /// Stop after so many frames; without it, at Ctrl-C.
        #[arg(long, value_name = "N")]
        frames: Option<u64>,
    },
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum PowerWord {
    /// On, if it is off.
    On,
    /// Off, at once, as when the cable is pulled.
    Off,
    /// Off and on, with its BMC: `zw lab power-cycle`.
    Cycle,
    /// Begin anew without losing its power.
    Reset,
}

/// The processes that hold a lab; started by `zw lab up`.
#[derive(ClapArgs)]
pub(crate) struct SupervisorArgs {
    /// The design's directory.
    #[arg(long)]
    design: PathBuf,
    /// The lab's directory.
    #[arg(long)]
    directory: PathBuf,
    /// A machine that is real.
    #[arg(long)]
    vm: Vec<vm::Choice>,
    /// Where their boot programs lie.
    #[arg(long)]
    loaders: Option<PathBuf>,
    /// Where their OVMF lies.
    #[arg(long, default_value = vm::OVMF)]
    ovmf: PathBuf,
    /// What the zone may fetch of the world.
    #[arg(long)]
    mirror: Vec<Mirror>,
    /// How many controllers serve.
    #[arg(long, default_value_t = 1)]
    controllers: u8,
    /// Each has a clock that can be set.
    #[arg(long)]
    clocks: bool,
    /// An edge answers beside the controllers.
    #[arg(long)]
    edge: bool,
    /// The inner of the two processes.
    #[arg(long)]
    inner: bool,
    /// The process that fetches.
    #[arg(long)]
    fetcher: bool,
}

/// Runs `zw lab-supervisor`. Call it while the process has one thread.
pub(crate) fn supervise(args: &SupervisorArgs) -> ExitCode {
    let directory = Directory { path: args.directory.clone() };
    if args.inner {
        let (design, real, loaders) = (args.design.clone(), args.vm.clone(), args.loaders.clone());
        let (mirrors, ovmf) = (args.mirror.clone(), args.ovmf.clone());
        let (controllers, clocks) = (usize::from(args.controllers), args.clocks);
        return ExitCode::from(zone::run(zone::Start {
            design,
            directory,
            real,
            loaders,
            ovmf,
            mirrors,
            controllers,
            clocks,
            edge: args.edge,
        }));
    }
    if args.fetcher {
        let fetched = mirror::fetch(&directory, args.mirror.clone());
        return fetched.map_or_else(|error| complain(&error), |()| ExitCode::SUCCESS);
    }
    let real = Real {
        machines: &args.vm,
        loaders: args.loaders.as_deref(),
        ovmf: &args.ovmf,
        mirrors: &args.mirror,
        controllers: args.controllers,
        clocks: args.clocks,
        edge: args.edge,
    };
    let as_the = |process: &str| {
        let mut words = arguments(&args.design, &directory, real);
        words.push(process.to_owned());
        words
    };
    let (inner, fetcher) = (as_the("--inner"), (!args.mirror.is_empty()).then(|| as_the("--fetcher")));
    ExitCode::from(supervisor::stand_guard(&Supervise {
        design: args.design.clone(),
        directory,
        inner,
        fetcher,
    }))
}

/// What is real in a lab, and how many controllers serve.
#[derive(Clone, Copy)]
struct Real<'a> {
    machines: &'a [vm::Choice],
    loaders: Option<&'a Path>,
    ovmf: &'a Path,
    mirrors: &'a [Mirror],
    controllers: u8,
    clocks: bool,
    edge: bool,
}

fn arguments(design: &Path, directory: &Directory, real: Real<'_>) -> Vec<String> {
    let text = |path: &Path| path.to_string_lossy().into_owned();
    let [design, directory] = [text(design), text(&directory.path)];
    let mut words =
        vec!["lab-supervisor".to_owned(), "--design".to_owned(), design, "--directory".to_owned(), directory];
    words.extend(real.machines.iter().flat_map(|choice| ["--vm".to_owned(), choice.to_string()]));
    words.extend(real.mirrors.iter().flat_map(|mirror| ["--mirror".to_owned(), mirror.to_string()]));
    words.extend(real.loaders.into_iter().flat_map(|path| ["--loaders".to_owned(), text(path)]));
    words.extend(["--ovmf".to_owned(), text(real.ovmf), format!("--controllers={}", real.controllers)]);
    words.extend(real.clocks.then(|| "--clocks".to_owned()));
    words.extend(real.edge.then(|| "--edge".to_owned()));
    words
}

/// Runs the command. Call it while the process has one thread.
pub(crate) fn run(args: &Args) -> ExitCode {
    let outcome = match &args.command {
        Command::Up { design, vm, loaders, ovmf, mirror, controllers, clocks, edge, patience } => {
            let patience =
                patience.map_or(if vm.is_empty() { PATIENCE } else { PATIENCE_REAL }, Duration::from_secs);
            let (loaders, controllers, clocks) = (loaders.as_deref(), *controllers, *clocks);
            let real =
                Real { machines: vm, loaders, ovmf, mirrors: mirror, controllers, clocks, edge: *edge };
            return up(design, real, patience);
        }
        Command::Console { target, log: true } => chosen(args.zone.as_deref())
            .and_then(|lab| console::show(&lab, target))
            .map(|()| ExitCode::SUCCESS),
        Command::Console { target, log: false } => chosen(args.zone.as_deref())
            .and_then(|lab| console::attach(&lab, target))
            .map(|()| ExitCode::SUCCESS),
        Command::Down { all } => take_down(args.zone.as_deref(), *all),
        Command::Status { json } => status(args.zone.as_deref(), *json),
        Command::Exec { target, command } => chosen(args.zone.as_deref())
            .and_then(|lab| control::execute(&lab, target, command))
            .map(ExitCode::from),
        Command::Capture { target, file, frames } => chosen(args.zone.as_deref())
            .and_then(|lab| lab::capture::capture(&lab, target, file, *frames))
            .map(|()| ExitCode::SUCCESS),
        other => change(args.zone.as_deref(), &request(other)),
    };
    outcome.unwrap_or_else(|error| complain(&error))
}

fn request(command: &Command) -> Request {
    let clone = |target: &String| target.clone();
    match command {
        Command::Cut { target } => Request::Cut { target: clone(target) },
        Command::Mend { target } => Request::Mend { target: clone(target) },
        Command::Swap { a, b } => Request::Swap { a: clone(a), b: clone(b) },
        Command::Replace { target } => Request::Replace { target: clone(target) },
        Command::PowerCycle { target } | Command::Power { target, power: PowerWord::Cycle } => {
            Request::PowerCycle { target: clone(target) }
        }
        Command::Power { target, power: PowerWord::On } => {
            Request::Power { target: clone(target), power: Power::On }
        }
        Command::Power { target, power: PowerWord::Off } => {
            Request::Power { target: clone(target), power: Power::Off }
        }
        Command::Power { target, power: PowerWord::Reset } => {
            Request::Power { target: clone(target), power: Power::Reset }
        }
        Command::Break { target, fault } => Request::Break { target: clone(target), what: clone(fault) },
        Command::Crash { what } => Request::Crash { target: clone(what) },
        Command::Pause { target } => Request::Pause { target: clone(target) },
        Command::Resume { target } => Request::Resume { target: clone(target) },
        Command::Exec { .. }
        | Command::Console { .. }
        | Command::Capture { .. }
        | Command::Up { .. }
        | Command::Down { .. }
        | Command::Status { .. } => Request::Status,
    }
}

fn complain(error: &Error) -> ExitCode {
    say_error(&format!("zw: failed to {}\n", error.chain()));
    ExitCode::from(3)
}

fn say(text: &str) {
    // A closed standard output, as of `zw lab status | head`, is nobody's failure.
    let _ = anstream::stdout().write_all(text.as_bytes());
}

fn say_error(text: &str) {
    let _ = anstream::stderr().write_all(text.as_bytes());
}

/// The lab that is meant.
fn chosen(zone: Option<&str>) -> Result<Directory, Error> {
    if let Some(zone) = zone {
        let lab = Directory::of(&directory::base(), zone);
        return match lab.holder() {
            Holder::Supervisor(_) => Ok(lab),
            _ => Err(Error::new(format!("find the lab of zone {zone}: it does not run"))),
        };
    }
    let mut running = directory::running();
    match running.len() {
        0 => Err(Error::new("find a lab: none runs (zw lab up DESIGN)")),
        1 => Ok(running.remove(0)),
        _ => {
            let names: Vec<_> = running.iter().map(Directory::zone).collect();
            Err(Error::new(format!("choose a lab: several run, say --zone {}", names.join(" or --zone "))))
        }
    }
}

fn change(zone: Option<&str>, request: &Request) -> Result<ExitCode, Error> {
    if let Reply::Done { words } = control::ask(&chosen(zone)?, request)? {
        say(&format!("{words}\n"));
    }
    Ok(ExitCode::SUCCESS)
}

fn status(zone: Option<&str>, json: bool) -> Result<ExitCode, Error> {
    let Reply::Progress(progress) = control::ask(&chosen(zone)?, &Request::Status)? else {
        return Ok(ExitCode::from(3));
    };
    if json {
        let text =
            serde_json::to_string_pretty(&progress).map_err(|error| Error::because("write JSON", error))?;
        say(&format!("{text}\n"));
    } else {
        say(&progress::table(&progress, &progress::everyone));
        say(&progress::controllers(&progress));
        say(&progress::summary(&progress));
    }
    Ok(ExitCode::SUCCESS)
}

fn take_down(zone: Option<&str>, all: bool) -> Result<ExitCode, Error> {
    let base = directory::base();
    let labs = match zone {
        Some(zone) => vec![Directory::of(&base, zone)],
        None if all => directory::all(&base),
        None => meant(directory::all(&base), directory::running()),
    };
    if labs.len() > 1 && !all {
        let names: Vec<_> = labs.iter().map(Directory::zone).collect();
        return Err(Error::new(format!("choose a lab of {}: say --zone ZONE or --all", names.join(", "))));
    }
    for lab in &labs {
        let zone = lab.zone();
        say(&match down::down(lab)? {
            Down::Nothing => format!("{zone}: nothing was there\n"),
            Down::Remains => format!("{zone}: cleared away what a crash had left\n"),
            Down::Lab => format!("{zone}: down, nothing is left\n"),
        });
    }
    if labs.is_empty() {
        say("no lab is there\n");
    }
    Ok(ExitCode::SUCCESS)
}

/// Of labs that are there, those that nobody named mean: what is left of others that were killed is in nobody's way.
fn meant<T>(there: Vec<T>, running: Vec<T>) -> Vec<T> {
    if running.len() == 1 { running } else { there }
}

fn up(design: &Path, real: Real<'_>, patience: Duration) -> ExitCode {
    let machines = real.machines;
    let absolute = std::path::absolute::<&Path>;
    let (design, loaders, ovmf) =
        match (absolute(design), real.loaders.map(absolute).transpose(), absolute(real.ovmf)) {
            (Ok(design), Ok(loaders), Ok(ovmf)) => (design, loaders, ovmf),
            (Err(error), ..) | (_, Err(error), _) | (.., Err(error)) => return failed(&error),
        };
    let real = Real { loaders: loaders.as_deref(), ovmf: &ovmf, ..real };
    let plan = match lab::load::load(&design) {
        Ok((plan, found, files)) => {
            say_error(&findings::rendered(&design, &files, &found));
            plan
        }
        Err(LoadError::Findings(found, files)) => {
            say_error(&findings::rendered(&design, &files, &found));
            return ExitCode::from(1);
        }
        Err(LoadError::Read(error)) => return complain(&error),
    };
    let lab = Directory::of(&directory::base(), &plan.design.zone.name);
    // Before minutes are spent on images.
    if let Err(error) = is_free(&lab).and_then(|()| vm::check(machines.iter(), loaders.is_some(), &ovmf)) {
        return complain(&error);
    }
    if let Err(status) = images::provide(&plan, &design, machines) {
        return status;
    }
    bring_up(&design, &lab, real, patience).unwrap_or_else(|error| complain(&error))
}

/// Whether nobody has the zone's lab up.
fn is_free(lab: &Directory) -> Result<(), Error> {
    let Holder::Supervisor(process) = lab.holder() else { return Ok(()) };
    let zone = lab.zone();
    Err(Error::new(format!(
        "power on {zone}: its lab is up already (process {process}); see it with `zw lab status`, end it with `zw lab down`"
    )))
}

fn bring_up(design: &Path, lab: &Directory, real: Real<'_>, patience: Duration) -> Result<ExitCode, Error> {
    // Somebody may have powered it on since that was looked at.
    is_free(lab)?;
    if lab.holder() == Holder::Remains {
        lab.remove()?;
    }
    let interrupted = lab.clone();
    // Held while the supervisor starts: an interrupt then waits until there is something to end.
    let starting = Arc::new(Mutex::new(()));
    let started = Arc::clone(&starting);
    let guard = starting.lock().unwrap_or_else(PoisonError::into_inner);
    let is_interrupted = Arc::new(AtomicBool::new(false));
    let interrupting = Arc::clone(&is_interrupted);
    down::on_interrupt(move || {
        interrupting.store(true, Ordering::SeqCst);
        let _started = started.lock().unwrap_or_else(PoisonError::into_inner);
        let words = match down::down(&interrupted) {
            Ok(_) => format!("\n{}: interrupted; down, nothing is left\n", interrupted.zone()),
            Err(error) => format!("\nzw: failed to {}\n", error.chain()),
        };
        say_error(&words);
        std::process::exit(130);
    })?;
    let start = || {
        lab.create()?;
        if !real.machines.is_empty() || real.controllers > 1 {
            lab.make_room()?;
        }
        supervisor::start(&arguments(design, lab, real), lab)
    };
    if let Err(error) = start() {
        // It said why; what it left is of no use to anybody.
        let _ = lab.remove();
        return Err(error);
    }
    drop(guard);
    let mut shown = progress::Shown::new();
    let mut waiting = Waiting { last: Progress::default(), since: Instant::now(), patience, verdict: None };
    let is_told = control::watch(lab, |progress| {
        shown.show(&progress);
        waiting.take(progress)
    });
    shown.end();
    if !matches!(is_told, Ok(true)) && is_interrupted.load(Ordering::SeqCst) {
        // The lab ended because we end it; the thread that does so ends this process too.
        loop {
            std::thread::park();
        }
    }
    let is_told = is_told?;
    let Waiting { last, verdict, .. } = waiting;
    if !is_told {
        return Err(Error::new(format!("watch the lab: it ended; see {}", lab.log().display())));
    }
    if let Phase::Failed { words } = &last.phase {
        down::down(lab)?;
        return Err(Error::new(words.clone()));
    }
    let page = lab.page_url().unwrap_or_default();
    Ok(conclude(&last, verdict, patience, &lab.log(), &page))
}

/// Decides when `up` has seen enough.
struct Waiting {
    last: Progress,
    /// When anything last changed.
    since: Instant,
    patience: Duration,
    verdict: Option<Verdict>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Verdict {
    AllReady,
    Settled,
    Stuck,
}

impl Waiting {
    /// Takes in one progress; whether it was the last that is needed.
    fn take(&mut self, progress: Progress) -> bool {
        let states = |progress: &Progress| -> Vec<String> {
            progress.machines.iter().map(|machine| machine.state.clone()).collect()
        };
        let changed = states(&progress) != states(&self.last)
            || progress.built != self.last.built
            || progress.phase != self.last.phase
            || progress.bmcs != self.last.bmcs;
        if changed {
            self.since = Instant::now();
        }
        self.last = progress;
        let quiet = self.since.elapsed();
        let machines = &self.last.machines;
        let is_up = self.last.phase == Phase::Running && self.last.bmcs.0 == self.last.bmcs.1;
        self.verdict = if is_up && machines.iter().all(control::Machine::is_up) {
            Some(Verdict::AllReady)
        } else if is_up
            && quiet > SETTLED
            && machines
                .iter()
                .all(|machine| machine.is_up() || matches!(machine.state.as_str(), "failed" | "off"))
        {
            Some(Verdict::Settled)
        } else if quiet > self.patience {
            Some(Verdict::Stuck)
        } else {
            None
        };
        self.verdict.is_some() || matches!(self.last.phase, Phase::Failed { .. })
    }
}

/// The table at the end, and where to look next.
fn conclude(
    last: &Progress,
    verdict: Option<Verdict>,
    patience: Duration,
    log: &Path,
    page: &str,
) -> ExitCode {
    let is_listed: &dyn Fn(&control::Machine) -> bool =
        if last.machines.len() <= LISTED_MAX { &progress::everyone } else { &progress::not_ready };
    say(&progress::table(last, is_listed));
    say(&progress::summary(last));
    let example = last.machines.iter().find(|machine| !machine.is_up()).or(last.machines.first());
    let location = example.map_or("LOCATION", |machine| machine.location.as_str());
    let within = location.split_once('/').map_or(location, |(_, rest)| rest);
    if verdict == Some(Verdict::AllReady) {
        say(&format!(
            "\nlook at it    {page} or zw status\nask it        zw why {within}\nswap a box    zw lab replace {within}\n\
             miscable it   zw lab swap A B\nend it        zw lab down\n"
        ));
        return ExitCode::SUCCESS;
    }
    let waiting: Vec<_> = last.machines.iter().filter(|machine| !machine.is_up()).collect();
    let (up, bmcs) = last.bmcs;
    let quiet = match verdict {
        Some(Verdict::Stuck) => format!(", and nothing changed for {} s", patience.as_secs()),
        _ => String::new(),
    };
    say_error(&format!(
        "zw: {} of {} machines are not ready, {} of {bmcs} BMCs are not up{quiet}\n",
        waiting.len(),
        last.machines.len(),
        bmcs - up
    ));
    for machine in waiting.iter().take(WAITING_MAX) {
        let control::Machine { location, state, doing, why, .. } = machine;
        let why = if why.is_empty() { doing } else { why };
        say_error(&format!("  {location}: {state}: {why}\n"));
    }
    if waiting.len() > WAITING_MAX {
        say_error(&format!("  and {} more\n", waiting.len() - WAITING_MAX));
    }
    say_error(&format!(
        "\nask why       zw why {within}\nlook          {}\nend it        zw lab down\n",
        log.display()
    ));
    ExitCode::from(3)
}

#[cfg(test)]
mod tests {
    use super::meant;

    #[test]
    fn what_a_killed_lab_left_makes_nobody_choose() {
        assert_eq!(meant(vec!["killed", "lab1"], vec!["lab1"]), ["lab1"]);
        assert_eq!(meant(vec!["killed", "lab1", "lab2"], vec!["lab1", "lab2"]).len(), 3);
        assert_eq!(meant(vec!["killed"], vec![]), ["killed"]);
    }
}
