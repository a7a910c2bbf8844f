//! Other people's programs: fixed arguments, no input, bounded output, a time limit, and what they said when they fail.

use std::io;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::process::{Child, Command};

/// A file system on the largest disks takes minutes.
const PATIENCE: Duration = Duration::from_secs(900);
/// What is kept of what a program says.
const OUTPUT_MAX: u64 = 4 << 10;

/// Runs a program to its end. Only from a thread that may block, of a runtime that somebody else drives.
pub(super) fn run(program: &str, arguments: &[&str]) -> Result<(), String> {
    tokio::runtime::Handle::current().block_on(async {
        let failed = |why: &dyn std::fmt::Display| format!("{program} failed: {why}");
        let mut child = Command::new(program)
            .args(arguments)
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .env("LC_ALL", "C")
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| failed(&error))?;
        let (said, status) = tokio::time::timeout(PATIENCE, end(&mut child))
            .await
            .map_err(|_| failed(&format!("it did not end in {} s", PATIENCE.as_secs())))?
            .map_err(|error| failed(&error))?;
        if status.success() {
            return Ok(());
        }
        let last = said.lines().map(str::trim).rfind(|line| !line.is_empty()).unwrap_or("it said nothing");
        Err(failed(&format!("{status}: {}", last.escape_default())))
    })
}

async fn end(child: &mut Child) -> io::Result<(String, std::process::ExitStatus)> {
    let mut said = Vec::new();
    if let Some(mut errors) = child.stderr.take() {
        (&mut errors).take(OUTPUT_MAX).read_to_end(&mut said).await?;
        // The rest is read and forgotten, so that nobody waits for room.
        tokio::io::copy(&mut errors, &mut tokio::io::sink()).await?;
    }
    Ok((String::from_utf8_lossy(&said).into_owned(), child.wait().await?))
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn outcome(script: &'static str) -> Result<(), String> {
        tokio::task::spawn_blocking(move || run("sh", &["-c", script])).await.expect("no panic")
    }

    #[tokio::test]
    async fn a_program_that_fails_is_told_with_its_last_words() {
        assert_eq!(outcome("exit 0").await, Ok(()));
        assert_eq!(
            outcome("echo first >&2; printf 'no\\033 room\\n' >&2; exit 5").await,
            Err("sh failed: exit status: 5: no\\u{1b} room".into())
        );
        let much = outcome("head -c 300000 /dev/zero | tr '\\0' x >&2; exit 1").await.expect_err("it failed");
        assert!(much.len() < 5000, "{}", much.len());
        let gone = tokio::task::spawn_blocking(|| run("zw-no-such-program", &[])).await.expect("no panic");
        assert!(gone.is_err_and(|error| error.starts_with("zw-no-such-program failed: ")));
    }
}
