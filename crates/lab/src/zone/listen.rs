//! The control socket's end in the lab.

use super::program::Order;
use super::{Zone, changes};
use crate::control::{Reply, Request};
use crate::directory::Directory;
use crate::error::{Doing, Error};
use crate::net::Namespace;
use crate::vm;
use std::os::fd::{AsFd, AsRawFd};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};

/// The longest request.
const REQUEST_MAX: u64 = 64 << 10;
/// Watchers are told at most this often; a zone that powers on changes a thousand times a second.
const TELL_EVERY: Duration = Duration::from_millis(100);

/// Opens the control socket.
///
/// # Errors
/// If the file cannot be made.
pub(super) fn bind(directory: &Directory) -> Result<UnixListener, Error> {
    let path = directory.control();
    // One that crashed left its file, and the lock says that nobody else listens on it.
    let _ = std::fs::remove_file(&path);
    UnixListener::bind(&path).doing(|| format!("listen on {}", path.display()))
}

/// Answers requests until the process ends.
pub(super) async fn serve(zone: Arc<Zone>, listener: UnixListener) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let zone = Arc::clone(&zone);
                tokio::spawn(async move {
                    // A client that went away is nobody's failure.
                    let _ = converse(&zone, stream).await;
                });
            }
            Err(_) => tokio::time::sleep(TELL_EVERY).await,
        }
    }
}

async fn converse(zone: &Arc<Zone>, mut stream: UnixStream) -> std::io::Result<()> {
    let (read, mut write) = stream.split();
    let mut line = String::new();
    BufReader::new(read.take(REQUEST_MAX)).read_line(&mut line).await?;
    let request = match serde_json::from_str(&line) {
        Ok(request) => request,
        Err(error) => {
            return say(&mut write, &Reply::Failed { words: format!("understand the request: {error}") })
                .await;
        }
    };
    if request == Request::Watch {
        let mut changes = zone.progress.subscribe();
        loop {
            say(&mut write, &Reply::Progress(zone.progress())).await?;
            tokio::time::sleep(TELL_EVERY).await;
            // A quiet lab is told once a second, so that its clock goes on.
            let _ = tokio::time::timeout(Duration::from_secs(1), changes.changed()).await;
        }
    }
    let reply = answer(zone, request).await.unwrap_or_else(|error| Reply::Failed { words: error.chain() });
    say(&mut write, &reply).await
}

async fn say(write: &mut (impl AsyncWriteExt + Unpin), reply: &Reply) -> std::io::Result<()> {
    let mut line = serde_json::to_vec(reply)?;
    line.push(b'\n');
    write.write_all(&line).await
}

async fn answer(zone: &Arc<Zone>, request: Request) -> Result<Reply, Error> {
    let words = match request {
        Request::Watch | Request::Status => return Ok(Reply::Progress(zone.progress())),
        Request::Enter { target } => return enter(zone, &target),
        Request::Cut { target } => changes::cut(zone, &target, false).await?,
        Request::Mend { target } => changes::cut(zone, &target, true).await?,
        Request::Swap { a, b } => changes::swap(zone, &a, &b).await?,
        Request::Replace { target } => changes::replace(zone, &target)?,
        Request::Power { target, power } => changes::power(zone, &target, power)?,
        Request::Console { target } => return console(zone, &target),
        Request::PowerCycle { target } => changes::power_cycle(zone, &target)?,
        Request::Break { target, what } => changes::break_machine(zone, &target, &what)?,
        Request::Crash { target } => changes::order(zone, &target, Order::Crash)?,
        Request::Pause { target } => changes::order(zone, &target, Order::Pause)?,
        Request::Resume { target } => changes::order(zone, &target, Order::Resume)?,
    };
    Ok(Reply::Done { words })
}

fn console(zone: &Zone, target: &str) -> Result<Reply, Error> {
    let host = changes::host(zone, target)?;
    if !zone.real.contains_key(&host) {
        return Err(Error::new(format!(
            "find a console at {target}: its firmware is played; `zw lab up --vm {target}` gives it real one"
        )));
    }
    let (log, socket) = vm::console(&zone.machine_directory(host));
    Ok(Reply::Console { log, socket })
}

fn enter(zone: &Zone, target: &str) -> Result<Reply, Error> {
    let host = changes::host(zone, target)?;
    if zone.real.contains_key(&host) {
        return Err(Error::new(format!(
            "enter {target}: it is real, and nothing of it is to be seen from here; see its console (zw lab console {target}) or its switch"
        )));
    }
    let namespace: &Namespace = zone.namespace(host)?;
    // The outer process made a user namespace if and only if this one is not the machine's own root.
    let map = std::fs::read_to_string(Path::new("/proc/self/uid_map")).doing(|| "read the user map")?;
    let has_user_namespace = !map.split_whitespace().eq(["0", "0", "4294967295"]);
    Ok(Reply::Entered { has_user_namespace, network: namespace.as_fd().as_raw_fd() })
}
