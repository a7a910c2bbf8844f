//! The controller: the very program that serves a real zone, in its machine's namespace.

use super::Zone;
use crate::error::{Doing, Error};
use crate::mirror;
use crate::net::Namespace;
use crate::vm;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::UnixStream;
use tokio::process::{Child, Command};
use tokio::sync::mpsc;

/// The longest time that a controller may take until its API answers.
const START_MAX: Duration = Duration::from_secs(30);
/// The pause before a controller that ended is started again.
const RESTART: Duration = Duration::from_millis(500);
/// How often the API's socket is tried while it starts.
const TRY_EVERY: Duration = Duration::from_millis(25);

/// Boot programs that the zone's firmware asks for, and a length like the real ones'.
const LOADERS: &[(&str, usize)] = &[
    ("undionly.kpxe", 72 << 10),
    ("ipxe.efi", 256 << 10),
    ("snponly.efi", 256 << 10),
    ("ipxe-arm64.efi", 256 << 10),
];

/// Starts it and waits until its API answers. It is then kept running until the lab ends.
///
/// # Errors
/// If it ends before it answers, or does not answer in time.
pub(super) async fn start(zone: &Arc<Zone>, crashes: mpsc::Receiver<()>) -> Result<(), Error> {
    let device = zone.controllers().next().ok_or_else(|| Error::new("find a controller in the design"))?;
    let host = zone.topology.host_of(device).ok_or_else(|| Error::new("find the controller's namespace"))?;
    let namespace = zone.namespace(host)?.clone();
    let name = zone.plan.design.devices[device.index()].name.clone();
    let directory = &zone.start.directory.path;
    let loaders = directory.join("loaders");
    if zone.real.is_empty() {
        write_loaders(&loaders)?;
    } else if zone.start.loaders.is_none() {
        // Real firmware runs what it fetches.
        vm::lay_loaders(&loaders, zone.real.values().any(|choice| choice.secure_boot))?;
    }
    if !zone.start.mirrors.is_empty() {
        mirror::carry(&namespace, &zone.start.directory)?;
    }
    fs::create_dir_all(directory.join("controller")).doing(|| "create the controller's state directory")?;
    let mut child = spawn(zone, &namespace, &name)?;
    let answers = async {
        while UnixStream::connect(zone.start.directory.api()).await.is_err() {
            tokio::time::sleep(TRY_EVERY).await;
        }
    };
    let log = directory.join("controller.log");
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
    tokio::spawn(keep(Arc::clone(zone), namespace, name, child, crashes));
    Ok(())
}

/// Starts it again whenever it ends; kills it when told.
async fn keep(
    zone: Arc<Zone>,
    namespace: Namespace,
    name: String,
    mut child: Child,
    mut crashes: mpsc::Receiver<()>,
) {
    loop {
        tokio::select! {
            status = child.wait() => {
                let words = status.map_or_else(|error| error.to_string(), |status| status.to_string());
                let _ = writeln!(io::stderr(), "the controller ended ({words}) and is started again");
            }
            Some(()) = crashes.recv() => {
                // It may have ended by itself in this moment.
                let _ = child.kill().await;
            }
        }
        loop {
            tokio::time::sleep(RESTART).await;
            match spawn(&zone, &namespace, &name) {
                Ok(started) => {
                    child = started;
                    break;
                }
                Err(error) => {
                    let _ = writeln!(io::stderr(), "failed to {}", error.chain());
                }
            }
        }
    }
}

fn spawn(zone: &Zone, namespace: &Namespace, name: &str) -> Result<Child, Error> {
    let directory = &zone.start.directory;
    let path = directory.path.join("controller.log");
    let log =
        File::options().create(true).append(true).open(&path).doing(|| format!("open {}", path.display()))?;
    let errors = log.try_clone().doing(|| "share a log")?;
    let page = zone.page.try_clone().doing(|| "share the page's socket")?;
    let runtime = tokio::runtime::Handle::current();
    let loaders = zone.start.loaders.clone().unwrap_or_else(|| directory.path.join("loaders"));
    let device = zone.controllers().find(|device| zone.plan.design.devices[device.index()].name == name);
    let address = device.and_then(|device| zone.plan.interfaces_of(device).iter().find_map(|own| own.v4));
    let proxy = address.filter(|_| !zone.start.mirrors.is_empty());
    let proxy = proxy.map(|address| format!("--proxy=http://{address}:{}", mirror::PORT));
    namespace.run(|| {
        let _inside = runtime.enter();
        Command::new("/proc/self/exe")
            .arg0("zw")
            .arg("serve")
            .arg(&zone.start.design)
            .args(["--controller", name])
            .arg("--state")
            .arg(directory.path.join("controller"))
            .arg("--loaders")
            .arg(loaders)
            .arg("--api-socket")
            .arg(directory.api())
            .arg("--api-inherited")
            .args(proxy)
            .stdin(Stdio::from(page))
            .stdout(log)
            .stderr(errors)
            .kill_on_drop(true)
            .spawn()
            .doing(|| "start the controller")
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
