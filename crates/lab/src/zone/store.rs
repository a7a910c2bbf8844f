//! The etcd that several controllers of a lab share: Debian's, one member, in a namespace of its own that only they have a cable to.
//!
//! It is no device of the design, so it has no address of the plan: each cable to it is a network of two, of link-local addresses.

use super::Zone;
use super::controller::Seat;
use super::program::{Program, State};
use crate::error::{Doing, Error};
use crate::net::{Links, Namespace, Port};
use std::fs::{self, File};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;
use tokio::process::{Child, Command};

/// What it is called where a controller's name may stand.
pub(super) const NAME: &str = "etcd";
/// Where it listens.
const PORT: u16 = 2379;
/// The interface number of its cable in a controller's namespace: above those of the design's cables.
pub(super) const INDEX: u32 = 100_000;
/// The most that it may keep; a lab's zone is small.
const QUOTA: &str = "268435456";
/// The longest that it may take to listen.
const START_MAX: Duration = Duration::from_secs(30);
const TRY_EVERY: Duration = Duration::from_millis(50);

/// The two ends of the cable to a controller, by its place among those that serve.
fn ends(place: usize) -> [Ipv4Addr; 2] {
    let first = u8::try_from(place * 4 + 1).unwrap_or(u8::MAX - 1);
    [Ipv4Addr::new(169, 254, 107, first), Ipv4Addr::new(169, 254, 107, first + 1)]
}

/// What a controller is told of it.
pub(super) fn address(place: usize) -> String {
    format!("etcd://{}:{PORT}/lab", ends(place)[0])
}

/// Starts it, with a cable to each controller, and waits until it listens.
///
/// # Errors
/// If it is not installed, or does not listen in time.
pub(super) async fn start(zone: &Arc<Zone>, seats: &[Seat]) -> Result<Program, Error> {
    let own = Namespace::create(false)?;
    let links = Links::open(&own)?;
    links.set_up(1, true).await?;
    for (place, seat) in seats.iter().enumerate() {
        let index = 2 + u32::try_from(place).unwrap_or_default();
        let [near, far] = ends(place);
        let name = format!("to{place}");
        let port = Port { index, name: &name, mac: None, bridge: None };
        let other = Port { index: INDEX, name: NAME, mac: None, bridge: None };
        links.add_cable(&port, &seat.namespace, &other).await?;
        let theirs = Links::open(&seat.namespace)?;
        theirs.set_up(INDEX, true).await?;
        links.add_address(index, IpAddr::V4(near), 30).await?;
        theirs.add_address(INDEX, IpAddr::V4(far), 30).await?;
    }
    let data = zone.start.directory.disks().join(NAME);
    fs::create_dir_all(&data).doing(|| format!("create {}", data.display()))?;
    let spawning = (Arc::clone(zone), own);
    let spawn = move || spawn(&spawning.0, &spawning.1);
    let mut child = spawn()?;
    let listens = async {
        let target = SocketAddr::from((ends(0)[0], PORT));
        let is_there = || {
            let Some(seat) = seats.first() else { return false };
            seat.namespace.run(|| Ok(TcpStream::connect_timeout(&target, TRY_EVERY).is_ok())).unwrap_or(false)
        };
        while !is_there() {
            tokio::time::sleep(TRY_EVERY).await;
        }
    };
    let log = zone.start.directory.path.join("etcd.log");
    tokio::select! {
        result = tokio::time::timeout(START_MAX, listens) => {
            result.doing(|| format!("hear from etcd; see {}", log.display()))?;
        }
        status = child.wait() => {
            let status = status.doing(|| "wait for etcd")?;
            let said = fs::read_to_string(&log).unwrap_or_default();
            let last = said.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("it said nothing");
            return Err(Error::new(format!("start etcd ({status}): {last}")));
        }
    }
    let telling = Arc::clone(zone);
    Ok(Program::keep(NAME, child, spawn, move |state| {
        telling.progress.send_modify(|progress| progress.store = Some(word(state).to_owned()));
    }))
}

/// For people.
pub(super) fn word(state: State) -> &'static str {
    match state {
        State::Runs => "runs",
        State::Off => "off",
        State::Paused => "paused",
    }
}

fn spawn(zone: &Zone, namespace: &Namespace) -> Result<Child, Error> {
    let path = zone.start.directory.path.join("etcd.log");
    let log =
        File::options().create(true).append(true).open(&path).doing(|| format!("open {}", path.display()))?;
    let errors = log.try_clone().doing(|| "share a log")?;
    let runtime = tokio::runtime::Handle::current();
    let client = format!("http://0.0.0.0:{PORT}");
    let reached = format!("http://{}:{PORT}", ends(0)[0]);
    let peer = "http://127.0.0.1:2380";
    namespace.run(|| {
        let _inside = runtime.enter();
        Command::new(NAME)
            .args(["--name", "lab", "--initial-cluster", &format!("lab={peer}"), "--data-dir"])
            .arg(zone.start.directory.disks().join(NAME))
            .args(["--listen-client-urls", &client, "--advertise-client-urls", &reached])
            .args(["--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer])
            .args(["--quota-backend-bytes", QUOTA, "--snapshot-count", "10000"])
            .args(["--max-snapshots", "1", "--max-wals", "1"])
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(errors)
            .kill_on_drop(true)
            .spawn()
            .doing(|| "start etcd, which several controllers share (Debian's etcd-server)")
    })
}
