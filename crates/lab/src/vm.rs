//! One real machine, from power-on to power-off: QEMU with OVMF or SeaBIOS, its disks, its TPM, its cables' ends.
//!
//! It takes the place of what `machine` plays, behind the same commands; everything around it is the same. QEMU and swtpm
//! are children of the lab's first process and end with it. Nothing here looks into the machine: what it does is seen on
//! its console, and by the controller.

mod arguments;
mod choice;
mod host;
mod qmp;
pub(crate) mod tpm;

pub use arguments::OVMF;
pub(crate) use choice::chosen;
pub use choice::{Choice, Firmware, NotAChoice};
pub use host::check;
pub(crate) use host::{check_https, check_kernel, check_tpm, lay_loaders};

use crate::error::{Doing, Error};
use crate::hardware::{self, Fault};
use crate::identity;
use crate::machine::{Body, Command, Doings, Tell};
use crate::net::{Namespace, Tap, hand_down, has_carrier};
use arguments::{Accelerator, Nic};
use qmp::Monitor;
use serde_json::{Value, json};
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::fd::{AsFd, AsRawFd};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;
use tokio::process::Child;
use tokio::sync::{Notify, mpsc};

/// The longest time from QEMU's start to its first word, on a machine that has much else to do.
const START_MAX: Duration = Duration::from_secs(60);
/// The longest log of a console that is kept when a machine is powered on; the one before is kept beside it.
const CONSOLE_LOG_MAX: u64 = 16 << 20;
/// What QEMU gives over what a system is to find, in percent: firmware and kernel keep some for themselves.
const MEMORY_PERCENT: u64 = 107;

/// A cable that lies at a machine now.
pub(crate) struct Plug {
    /// The machine's port.
    pub port: String,
    /// The switch at the other end, and the number of its port there.
    pub switch: Namespace,
    /// As above.
    pub index: u32,
    /// Its end.
    pub tap: Arc<Tap>,
}

/// Tells the cables of a machine as they lie, in the order of its ports.
pub(crate) type Cabling = Arc<dyn Fn() -> Vec<Plug> + Send + Sync>;

/// Where a console is: what was said, and where to speak.
pub(crate) fn console(directory: &Path) -> (PathBuf, PathBuf) {
    (directory.join(arguments::CONSOLE_LOG), directory.join(arguments::CONSOLE_SOCKET))
}

/// A machine that is real.
struct Machine {
    body: Body,
    choice: Choice,
    files: Files,
    namespace: Namespace,
    tell: Tell,
    cabling: Cabling,
    cables: Arc<Notify>,
    accelerator: Accelerator,
    replaced: u32,
    faults: Vec<Fault>,
}

/// What it finds on this computer.
pub(crate) struct Files {
    /// The directory of its disks.
    pub disks: PathBuf,
    /// That of OVMF.
    pub ovmf: PathBuf,
    /// What its firmware believes about servers, as firmware keeps it; `None`: nothing.
    pub authorities: Option<PathBuf>,
}

/// What it is while it is on.
struct Running {
    qemu: Child,
    monitor: Monitor,
    /// It ends with QEMU; held so that it also ends if QEMU never reached it.
    _tpm: Option<Child>,
    /// Its cables, and whether each has been told to have a link.
    plugs: Vec<(Plug, bool)>,
}

/// Why a machine is not on any more.
enum Ended {
    /// It was told something that needs it to be off first.
    Told(Command),
    /// Its system switched it off, or it could not be run.
    Off,
    /// The accelerator does not carry it; it starts again without.
    Again,
    /// The lab ends.
    Lab,
}

/// Runs a machine until the sender of commands is gone. `cables` tells that a cable came or
/// went.
pub(crate) async fn run(
    body: Body,
    choice: Choice,
    files: Files,
    namespace: Namespace,
    tell: Tell,
    mut commands: mpsc::Receiver<Command>,
    (cabling, cables): (Cabling, Arc<Notify>),
) {
    let accelerator = host::accelerator();
    let (replaced, faults) = (0, Vec::new());
    let mut machine =
        Machine { body, choice, files, namespace, tell, cabling, cables, accelerator, replaced, faults };
    let mut is_on = true;
    loop {
        let command = if is_on {
            match machine.live(&mut commands).await {
                Ended::Told(command) => command,
                Ended::Again => continue,
                Ended::Off => {
                    is_on = false;
                    continue;
                }
                Ended::Lab => return,
            }
        } else {
            (machine.tell)(Doings::PoweredOff);
            let Some(command) = commands.recv().await else { return };
            command
        };
        match command {
            Command::PowerOn | Command::PowerCycle => is_on = true,
            Command::PowerOff => is_on = false,
            // It has no power, so there is nothing to reset.
            Command::Reset => {}
            Command::Replace => {
                is_on = true;
                machine.replaced += 1;
                machine.faults.clear();
                if let Err(error) = machine.forget() {
                    machine.say(format!("failed to {}", error.chain()));
                }
            }
            Command::Break(fault) => {
                is_on = true;
                machine.faults.push(fault);
            }
        }
    }
}

impl Machine {
    fn say(&self, words: impl Into<String>) {
        (self.tell)(Doings::Doing(words.into()));
    }

    /// From power-on to power-off.
    async fn live(&mut self, commands: &mut mpsc::Receiver<Command>) -> Ended {
        (self.tell)(Doings::PoweredOn);
        let mut running = match self.power_on().await {
            Ok(running) => running,
            Err(error) => return self.without(&format!("failed to {}", error.chain())),
        };
        let ended = self.attend(&mut running, commands).await;
        // A process that is being killed holds its disks until it is gone.
        let _ = running.qemu.kill().await;
        ended
    }

    /// A machine that cannot be run: if the accelerator may be the reason, the slow way is tried.
    fn without(&mut self, words: &str) -> Ended {
        self.say(words);
        if self.accelerator == Accelerator::Tcg {
            return Ended::Off;
        }
        let _ = writeln!(io::stderr(), "{}: {words}; it goes on without KVM", self.body.location);
        self.accelerator = Accelerator::Tcg;
        Ended::Again
    }

    async fn attend(&mut self, running: &mut Running, commands: &mut mpsc::Receiver<Command>) -> Ended {
        loop {
            let done = tokio::select! {
                event = running.monitor.event() => match event.as_deref() {
                    Ok("RESET") => {
                        self.say("reset");
                        Ok(())
                    }
                    Ok("WATCHDOG") => {
                        self.say("its watchdog had enough");
                        Ok(())
                    }
                    Ok("STOP") => match running.status().await {
                        // An accelerator that cannot do what the firmware asks of it.
                        Ok(status) if status == "internal-error" => {
                            return self.without("QEMU cannot go on (internal-error)");
                        }
                        Ok(status) => {
                            self.say(format!("QEMU cannot go on ({status})"));
                            return Ended::Off;
                        }
                        Err(error) => Err(error),
                    },
                    Ok(_) => Ok(()),
                    // Its end says more.
                    Err(_) => {
                        let status = running.qemu.wait().await;
                        if status.is_ok_and(|status| status.success()) {
                            return Ended::Off;
                        }
                        return self.without(&format!("QEMU ended: {}", self.last_words()));
                    }
                },
                () = self.cables.notified() => running.set_links().await,
                command = commands.recv() => match command {
                    Some(Command::PowerOn) => Ok(()),
                    Some(Command::Reset) => running.monitor.execute("system_reset", Value::Null).await.map(drop),
                    Some(command) => return Ended::Told(command),
                    None => return Ended::Lab,
                },
            };
            if let Err(error) = done {
                self.say(format!("failed to {}", error.chain()));
            }
        }
    }

    /// Starts QEMU with all that belongs to the machine, and lets it go.
    async fn power_on(&mut self) -> Result<Running, Error> {
        let directory = &self.body.directory;
        fs::create_dir_all(directory).doing(|| format!("create {}", directory.display()))?;
        let mac = |port: &str| identity::mac(&self.body.location, self.replaced, port);
        let hardware = hardware::hardware(&self.body, self.replaced, &self.faults, &mac);
        self.prepare(&hardware)?;
        let plugs = (self.cabling)();
        plugs.iter().for_each(|plug| plug.tap.drain());
        let nics: Vec<Nic> = plugs
            .iter()
            .map(|plug| Nic { mac: mac(&plug.port), descriptor: plug.tap.as_fd().as_raw_fd() })
            .collect();

        let (control, monitor) = qmp::pair()?;
        let tpm = match self.choice.tpm {
            true => Some(tpm::start(directory, &identity::serial(&self.body.location, self.replaced)).await?),
            false => None,
        };
        let wanted = hardware.memory_bytes / 100 * MEMORY_PERCENT / (1 << 20);
        let memory_mib = host::memory_mib(wanted);
        let expected = self.body.model.expect.firmware.as_deref();
        let day = self.faults.iter().rev().find_map(|fault| match fault {
            Fault::Rtc(day) => Some(day.as_str()),
            _ => None,
        });
        let is_broken = self.faults.iter().any(|fault| matches!(fault, Fault::Firmware(_)));
        let arguments = arguments::arguments(&arguments::Machine {
            choice: &self.choice,
            ovmf: &self.files.ovmf,
            authorities: self.files.authorities.as_deref(),
            day: day.filter(|day| !day.is_empty()),
            accelerator: self.accelerator,
            hardware: &hardware,
            firmware_version: expected.or(is_broken.then_some("")).map(|_| hardware.firmware.as_str()),
            memory_mib,
            nics: &nics,
            monitor: monitor.as_raw_fd(),
            tpm: tpm.as_ref().map(|(_, control)| control.as_raw_fd()),
        });
        let descriptors: Vec<_> = plugs
            .iter()
            .map(|plug| plug.tap.as_fd())
            .chain([monitor.as_fd()])
            .chain(tpm.as_ref().map(|(_, control)| control.as_fd()))
            .collect();
        let qemu = self.start(&arguments, &descriptors)?;
        drop(monitor);
        let greeted = tokio::time::timeout(START_MAX, Monitor::greet(control)).await;
        let monitor = match greeted {
            Ok(Ok(monitor)) => monitor,
            Ok(Err(_)) => return Err(Error::new(format!("start QEMU: {}", self.last_words()))),
            Err(late) => return Err(Error::because("hear from QEMU", late)),
        };
        // Its network interfaces are born with a link.
        let plugs = plugs.into_iter().map(|plug| (plug, true)).collect();
        let mut running = Running { qemu, monitor, _tpm: tpm.map(|(child, _)| child), plugs };
        running.set_links().await?;
        running.monitor.execute("cont", Value::Null).await?;
        (self.tell)(Doings::RunsAs(self.described()));
        if memory_mib < wanted {
            self.say(format!("has {memory_mib} MiB of {wanted}: this machine can spare no more"));
        }
        Ok(running)
    }

    fn described(&self) -> String {
        let firmware = match self.choice.firmware {
            Firmware::Bios => "BIOS",
            Firmware::BiosUndionly => "BIOS undionly",
            Firmware::Uefi => "UEFI",
            Firmware::UefiHttp => "UEFI HTTP",
        };
        let accelerator = match self.accelerator {
            Accelerator::Kvm => "KVM",
            Accelerator::Tcg => "TCG",
        };
        let ipv6 = if self.choice.ipv6 { " IPv6" } else { "" };
        let secure_boot = if self.choice.secure_boot { ", Secure Boot" } else { "" };
        let tpm = if self.choice.tpm { ", TPM" } else { "" };
        format!("{firmware}{ipv6}{secure_boot}{tpm}, {accelerator}")
    }

    /// The files that a machine has: what it did not have yet is as it comes from the factory.
    fn prepare(&self, hardware: &model::facts::Hardware) -> Result<(), Error> {
        let directory = &self.body.directory;
        let variables = directory.join(arguments::OWN_VARIABLES);
        if self.choice.firmware == Firmware::BiosUndionly {
            let path = directory.join(arguments::CHAIN);
            // What the ROM of a network card that is no iPXE comes to: it has an address, and loads what it was told.
            let script = "#!ipxe\ndhcp\nchain tftp://${next-server}/undionly.kpxe\n";
            fs::write(&path, script).doing(|| format!("write {}", path.display()))?;
        }
        if !self.choice.firmware.is_bios() && !variables.exists() {
            let new =
                if self.choice.secure_boot { arguments::VARIABLES_SECURE } else { arguments::VARIABLES };
            let new = self.files.ovmf.join(new);
            fs::copy(&new, &variables).doing(|| format!("copy {}", new.display()))?;
        }
        let link = directory.join(arguments::DISKS);
        fs::create_dir_all(&self.files.disks).doing(|| format!("create {}", self.files.disks.display()))?;
        if fs::symlink_metadata(&link).is_err() {
            std::os::unix::fs::symlink(&self.files.disks, &link)
                .doing(|| format!("create {}", link.display()))?;
        }
        for (number, disk) in hardware.disks.iter().enumerate() {
            let path = directory.join(arguments::disk_file(number));
            let file = File::options().create(true).truncate(false).write(true).open(&path);
            let file = file.doing(|| format!("create {}", path.display()))?;
            let length = file.metadata().doing(|| format!("look at {}", path.display()))?.len();
            if length == 0 {
                file.set_len(disk.size_bytes)
                    .doing(|| format!("make {} as large as drawn", path.display()))?;
            }
        }
        let log = directory.join(arguments::CONSOLE_LOG);
        if fs::metadata(&log).is_ok_and(|log| log.len() > CONSOLE_LOG_MAX) {
            let before = directory.join("console.log.1");
            fs::rename(&log, before).doing(|| format!("put {} aside", log.display()))?;
        }
        Ok(())
    }

    /// Other hardware takes this one's place.
    fn forget(&self) -> Result<(), Error> {
        let directory = &self.body.directory;
        for path in
            [directory.join(arguments::OWN_VARIABLES), directory.join(tpm::STATE), self.files.disks.clone()]
        {
            let removed = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
            match removed {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(Error::because(format!("remove {}", path.display()), error));
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn start(
        &self,
        arguments: &[String],
        descriptors: &[std::os::fd::BorrowedFd<'_>],
    ) -> Result<Child, Error> {
        let directory = &self.body.directory;
        let log = File::create(directory.join(LOG)).doing(|| "open QEMU's log")?;
        let errors = log.try_clone().doing(|| "share a log")?;
        let runtime = tokio::runtime::Handle::current();
        // Its own namespace has no interface but these cables' ends, and they lie elsewhere.
        self.namespace.run(|| {
            let _inside = runtime.enter();
            let mut command = tokio::process::Command::new(host::QEMU);
            command
                .args(arguments)
                .current_dir(directory)
                .stdin(Stdio::null())
                .stdout(log)
                .stderr(errors)
                .kill_on_drop(true);
            hand_down(&mut command, descriptors);
            command.spawn().doing(|| "start QEMU")
        })
    }

    /// What QEMU said last.
    fn last_words(&self) -> String {
        let said = fs::read(self.body.directory.join(LOG)).unwrap_or_default();
        let said = String::from_utf8_lossy(&said);
        said.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("it said nothing").to_owned()
    }
}

/// What QEMU says of itself.
const LOG: &str = "qemu.log";

impl Running {
    async fn status(&mut self) -> Result<String, Error> {
        let status = self.monitor.execute("query-status", Value::Null).await?;
        Ok(status.get("status").and_then(Value::as_str).unwrap_or("unknown").to_owned())
    }

    /// Tells firmware and system which cables are in: without it they would ask into a dead wire for minutes.
    async fn set_links(&mut self) -> Result<(), Error> {
        for (number, (plug, told)) in self.plugs.iter_mut().enumerate() {
            let up = has_carrier(&plug.switch, plug.index);
            if up != *told {
                let arguments = json!({ "name": format!("nic{number}"), "up": up });
                self.monitor.execute("set_link", arguments).await?;
                *told = up;
            }
        }
        Ok(())
    }
}
