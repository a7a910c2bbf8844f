//! A program's exit status and output.
//!
//! The program gets no input, a bare environment and its own process group, which is ended with it when its time is over.

use super::super::schema::Check;
use super::{Found, Value};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use std::process::Stdio;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::Command;

/// What is kept of each output, in octets; the rest is read and dropped, so that the program does not notice.
const OUTPUT_MAX: usize = 64 << 10;

/// Where programs are looked for.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

pub(super) async fn found(check: &Check) -> Found {
    let output = output(&check.command).await?;
    Ok(vec![
        ("exit-status", Value::Number(output.status)),
        ("stdout", Value::Lines(output.stdout)),
        ("stderr", Value::Lines(output.stderr)),
    ])
}

/// What a program said.
pub(super) struct Output {
    /// Its exit status; 128 and the signal's number if a signal ended it.
    pub(super) status: i64,
    pub(super) stdout: String,
    pub(super) stderr: String,
}

/// Runs a program to its end. Dropped before that, it ends the program and all it started.
pub(super) async fn output(words: &[String]) -> Result<Output, String> {
    let (program, arguments) = words.split_first().ok_or("there is no command")?;
    let failed = |error: std::io::Error| format!("failed to run {program}: {error}");
    let mut child = Command::new(program)
        .args(arguments)
        .env_clear()
        .env("PATH", PATH)
        .env("LC_ALL", "C")
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
        .map_err(failed)?;
    let group = Group(child.id().and_then(|id| i32::try_from(id).ok()).map(Pid::from_raw));
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    // A daemon that the program left behind may hold its output open; the program's end is what counts.
    let ((stdout, stderr), status) =
        tokio::join!(async { tokio::join!(kept(stdout), kept(stderr)) }, child.wait());
    let status = status.map_err(failed)?;
    group.ended();
    let signalled =
        || std::os::unix::process::ExitStatusExt::signal(&status).map_or(255, |signal| 128 + signal);
    Ok(Output { status: status.code().unwrap_or_else(signalled).into(), stdout, stderr })
}

/// The beginning of a stream that is read to its end.
async fn kept(stream: Option<impl AsyncRead + Unpin>) -> String {
    let Some(mut stream) = stream else { return String::new() };
    let mut kept = Vec::new();
    let mut octets = [0; 4096];
    while let Ok(read @ 1..) = stream.read(&mut octets).await {
        let room = OUTPUT_MAX - kept.len();
        kept.extend_from_slice(&octets[..read.min(room)]);
    }
    String::from_utf8_lossy(&kept).into_owned()
}

/// A process group that ends with this value.
struct Group(Option<Pid>);

impl Group {
    fn ended(mut self) {
        self.0 = None;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            // Gone already is as good.
            let _ = killpg(group, Signal::SIGKILL);
        }
    }
}
