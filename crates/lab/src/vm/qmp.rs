//! QEMU's monitor: JSON objects on lines, over a socket that only QEMU has the other end of.

use crate::error::{Doing, Error};
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::os::fd::OwnedFd;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};

/// A connection to the monitor of one QEMU.
#[derive(Debug)]
pub(super) struct Monitor {
    lines: Lines<BufReader<OwnedReadHalf>>,
    write: OwnedWriteHalf,
    /// Events that came while an answer was awaited.
    events: VecDeque<String>,
}

/// A pair of connected sockets: ours, and the end for the child.
///
/// # Errors
/// If there are no descriptors left.
pub(super) fn pair() -> Result<(std::os::unix::net::UnixStream, OwnedFd), Error> {
    let (ours, other) =
        std::os::unix::net::UnixStream::pair().doing(|| "connect two sockets with each other")?;
    Ok((ours, other.into()))
}

impl Monitor {
    /// Hears QEMU's greeting and agrees on the protocol (docs/interop/qmp-spec.txt §4).
    ///
    /// # Errors
    /// If QEMU ends before.
    pub(super) async fn greet(stream: std::os::unix::net::UnixStream) -> Result<Self, Error> {
        stream.set_nonblocking(true).doing(|| "prepare QEMU's monitor")?;
        let stream = UnixStream::from_std(stream).doing(|| "watch QEMU's monitor")?;
        let (read, write) = stream.into_split();
        let mut monitor = Self { lines: BufReader::new(read).lines(), write, events: VecDeque::new() };
        monitor.line().await?;
        monitor.execute("qmp_capabilities", Value::Null).await?;
        Ok(monitor)
    }

    /// Has a command done, and gives what it answers.
    ///
    /// # Errors
    /// In QEMU's words, or because it is gone.
    pub(super) async fn execute(&mut self, command: &str, arguments: Value) -> Result<Value, Error> {
        let mut request = json!({ "execute": command });
        if !arguments.is_null() {
            request["arguments"] = arguments;
        }
        let line = format!("{request}\n");
        self.write.write_all(line.as_bytes()).await.doing(|| format!("tell QEMU {command}"))?;
        loop {
            let mut answer = self.line().await?;
            if let Some(event) = answer.get("event").and_then(Value::as_str) {
                self.events.push_back(event.to_owned());
            } else if let Some(error) = answer.pointer("/error/desc").and_then(Value::as_str) {
                return Err(Error::new(format!("have QEMU do {command}: {error}")));
            } else if let Some(result) = answer.get_mut("return") {
                return Ok(result.take());
            }
        }
    }

    /// The name of the next event. Dropped while it waits, nothing is lost.
    ///
    /// # Errors
    /// If QEMU is gone.
    pub(super) async fn event(&mut self) -> Result<String, Error> {
        if let Some(event) = self.events.pop_front() {
            return Ok(event);
        }
        loop {
            let said = self.line().await?;
            if let Some(event) = said.get("event").and_then(Value::as_str) {
                return Ok(event.to_owned());
            }
        }
    }

    async fn line(&mut self) -> Result<Value, Error> {
        let line = self.lines.next_line().await.doing(|| "hear from QEMU")?;
        let line = line.ok_or_else(|| Error::new("hear from QEMU: it ended"))?;
        serde_json::from_str(&line).doing(|| "understand QEMU")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{BufRead, BufReader, Write};

    #[tokio::test]
    async fn events_between_command_and_answer_are_kept() {
        let (ours, other) = pair().expect("sockets");
        let qemu = std::thread::spawn(move || {
            let mut stream = std::os::unix::net::UnixStream::from(other);
            let mut lines = BufReader::new(stream.try_clone().expect("a socket")).lines();
            let mut told = Vec::new();
            for said in [
                "{\"QMP\": {}}\n",
                "{\"return\": {}}\n",
                "{\"event\": \"RESUME\"}\n{\"event\": \"STOP\"}\n{\"return\": {\"status\": \"paused\"}}\n",
                "{\"error\": {\"class\": \"GenericError\", \"desc\": \"no such device\"}}\n",
            ] {
                if !said.contains("QMP") {
                    told.push(lines.next().expect("a line").expect("text"));
                }
                stream.write_all(said.as_bytes()).expect("a reader");
            }
            told
        });
        let mut monitor = Monitor::greet(ours).await.expect("a greeting");
        let status = monitor.execute("query-status", Value::Null).await.expect("a status");
        assert_eq!(status["status"], "paused");
        let refused = monitor.execute("set_link", json!({ "name": "nic7", "up": false })).await;
        assert_eq!(refused.expect_err("a refusal").chain(), "have QEMU do set_link: no such device");
        assert_eq!(monitor.event().await.expect("an event"), "RESUME");
        assert_eq!(monitor.event().await.expect("an event"), "STOP");
        assert_eq!(monitor.event().await.expect_err("the end").chain(), "hear from QEMU: it ended");
        let told = qemu.join().expect("the thread");
        assert_eq!(told[2], "{\"arguments\":{\"name\":\"nic7\",\"up\":false},\"execute\":\"set_link\"}");
    }
}
