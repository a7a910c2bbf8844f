//! The edge of a lab: added, enrolled and run as on any host, in a namespace beside the controller's.

use super::program::Program;
use super::{Zone, api};
use crate::error::{Doing, Error};
use crate::net::Namespace;
use crate::topology::{self, Family, HostId};
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::net::IpAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;
use tokio::process::{Child, Command};

/// What it is called.
pub(super) const NAME: &str = "edge";
/// The longest time until it has everything that the zone boots.
const WHOLE_MAX: Duration = Duration::from_secs(120);
/// How often the controller is asked for that.
const ASK_EVERY: Duration = Duration::from_millis(100);

/// Adds it, enrols it, starts it, and waits until it has all files. It is then kept running until the lab ends.
///
/// # Errors
/// If any of that fails.
pub(super) async fn start(zone: &Arc<Zone>, host: HostId, address: IpAddr) -> Result<Program, Error> {
    let namespace = zone.namespace(host)?.clone();
    let ticket = zone.start.directory.path.join("edge.ticket");
    let text = api::add_edge(zone, NAME, address).await?;
    OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&ticket)
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .doing(|| format!("write {}", ticket.display()))?;
    let controllers = topology::controllers(&zone.plan, Family::V4).into_iter().take(zone.start.controllers);
    let controllers: Vec<String> = controllers.map(|address| address.to_string()).collect();
    let ticket_path = ticket.to_string_lossy().into_owned();
    let words = ["enrol", "--controller", &controllers.join(","), "--ticket", &ticket_path];
    let status = run(zone, &namespace, &words)?.wait().await.doing(|| "enrol the edge")?;
    fs::remove_file(&ticket).doing(|| format!("remove {}", ticket.display()))?;
    if !status.success() {
        return Err(Error::new(format!("enrol the edge ({status}): see {}", log(zone).display())));
    }
    let child = run(zone, &namespace, &[])?;
    let again = Arc::clone(zone);
    let program = Program::keep(NAME, child, move || run(&again, &namespace, &[]), |_| {});
    let is_whole = async {
        loop {
            let listed = api::get(zone, "/v1/edges").await.unwrap_or_default();
            let report = &listed["edges"][0]["report"];
            if report["files"].as_u64() > Some(0) && report["missing"] == 0 {
                return;
            }
            tokio::time::sleep(ASK_EVERY).await;
        }
    };
    let limit = tokio::time::timeout(WHOLE_MAX, is_whole).await;
    limit.doing(|| format!("wait until the edge has all boot files; see {}", log(zone).display()))?;
    Ok(program)
}

fn log(zone: &Zone) -> std::path::PathBuf {
    zone.start.directory.path.join("edge.log")
}

/// `zw edge …` in its namespace.
fn run(zone: &Zone, namespace: &Namespace, words: &[&str]) -> Result<Child, Error> {
    let path = log(zone);
    let log =
        File::options().create(true).append(true).open(&path).doing(|| format!("open {}", path.display()))?;
    let errors = log.try_clone().doing(|| "share a log")?;
    let runtime = tokio::runtime::Handle::current();
    namespace.run(|| {
        let _inside = runtime.enter();
        Command::new("/proc/self/exe")
            .arg0("zw")
            .arg("edge")
            .args(words)
            .arg("--state")
            .arg(zone.start.directory.path.join("edge"))
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(errors)
            .kill_on_drop(true)
            .spawn()
            .doing(|| "start the edge")
    })
}
