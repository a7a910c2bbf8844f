//! `zw-agent`: the agent by itself, for machines and installers. All that it needs stands on the kernel's command line;
//! flags replace it.

use agent::DRIVES;
use agent::options::{CommandLine, TPM};
use agent::{Notice, Options, hold, ramdisk};
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

const USAGE: &str =
    "usage: zw-agent [--controller https://ADDRESS:PORT]... [--ca-pin sha256:HEX] [--location L]
                [--state DIR] [--hardware FILE] [--tpm DEVICE] [--once] [--ramdisk]
       zw-agent hold [--state DIR] WHY...    nobody restarts this machine from here on
       zw-agent release [--state DIR]        they may again
what is not given is read from the kernel's command line (zw.controller, zw.ca, zw.location);
DIR is /var/lib/zonewright-agent unless given, DEVICE /dev/tpmrm0
as the first process of a machine (/init of an initramfs) it mounts what is needed and starts itself with --ramdisk:
then it loads drivers, takes addresses by DHCP on every interface, and is the agent, with its state in memory";

fn main() -> ExitCode {
    if std::process::id() == 1 {
        ramdisk::first_process(say);
    }
    let words: Vec<String> = std::env::args().skip(1).collect();
    if let Some((command @ ("hold" | "release"), rest)) =
        words.split_first().map(|(first, rest)| (first.as_str(), rest))
    {
        return hold_or_release(command == "hold", rest);
    }
    let (options, is_ramdisk) = match options(words.into_iter()) {
        Ok(given) => given,
        Err(error) => {
            say(&format!("{error}\n{USAGE}"));
            return ExitCode::from(2);
        }
    };
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            say(&format!("failed to start: {error}"));
            return ExitCode::from(3);
        }
    };
    let outcome = runtime.block_on(async {
        if is_ramdisk {
            ramdisk::prepare(say).await?;
        }
        agent::run(options).await?;
        Ok::<_, Box<dyn std::error::Error>>(())
    });
    // Threads that speak DHCP wait for packets that may never come.
    runtime.shutdown_background();
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let cause = error.source().map(|cause| format!(": {cause}")).unwrap_or_default();
            say(&format!("{error}{cause}"));
            ExitCode::from(3)
        }
    }
}

/// Somebody on the machine lets nobody restart it, or lets go of it.
fn hold_or_release(is_hold: bool, words: &[String]) -> ExitCode {
    let (state_dir, words) = match words {
        [flag, directory, rest @ ..] if flag == "--state" => (PathBuf::from(directory), rest),
        words => (ramdisk::state_dir_here(), words),
    };
    let why = words.join(" ");
    if is_hold == why.trim().is_empty() {
        let sentence = if is_hold { "say why, in a few words" } else { "release takes no reason" };
        say(&format!("{sentence}\n{USAGE}"));
        return ExitCode::from(2);
    }
    let outcome = match is_hold {
        true => hold::hold(&state_dir, &why).map(|()| "nobody restarts this machine from here on"),
        false => hold::release(&state_dir)
            .map(|was_held| if was_held { "it may be restarted again" } else { "it was not held" }),
    };
    match outcome {
        Ok(sentence) => {
            say(sentence);
            ExitCode::SUCCESS
        }
        Err(error) => {
            say(&format!("{}: {error}", state_dir.display()));
            ExitCode::from(1)
        }
    }
}

/// What it is started with, and whether there is no system yet.
fn options(mut arguments: impl Iterator<Item = String>) -> Result<(Options, bool), String> {
    let mut given = CommandLine::default();
    let (mut state_dir, mut hardware_file, mut tpm) = (None, None, None);
    let (mut once, mut is_ramdisk) = (false, false);
    while let Some(flag) = arguments.next() {
        match flag.as_str() {
            "--once" => {
                once = true;
                continue;
            }
            ramdisk::FLAG => {
                is_ramdisk = true;
                continue;
            }
            _ => {}
        }
        let value = arguments.next().ok_or_else(|| format!("{flag} needs a value"))?;
        match flag.as_str() {
            "--controller" => given.controllers.push(value.parse()?),
            "--ca-pin" => given.ca_pin = Some(value.parse()?),
            "--location" => given.location = Some(model::Location::new(&value)),
            "--state" => state_dir = Some(PathBuf::from(value)),
            "--hardware" => hardware_file = Some(value.into()),
            "--tpm" => tpm = Some(PathBuf::from(value)),
            _ => return Err(format!("there is no {flag}")),
        }
    }
    let (controllers, ca_pin, location) = given.complete()?;
    let options = Options {
        controllers,
        ca_pin,
        location,
        state_dir: state_dir.unwrap_or_else(|| ramdisk::state_dir(is_ramdisk)),
        hardware_file,
        tpm: tpm.unwrap_or_else(|| TPM.into()),
        drives: DRIVES.into(),
        is_ramdisk,
        is_played: false,
        once,
        tell: Arc::new(|notice: &Notice| say(&notice.to_string())),
    };
    Ok((options, is_ramdisk))
}

/// A log line. If nobody reads it, the agent goes on.
fn say(line: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}
