//! `zw` as a whole process, with no network to answer: from text to plan, and a zone powered on.

use crate::page::{spread, table};
use crate::process;
use crate::settings::Settings;
use crate::zone::{copy_design, hundred_thousand, ten_thousand};
use nix::sys::resource::{UsageWho, getrusage};
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::Instant;

/// From text to plan.
pub(crate) fn plan(settings: &Settings) -> Result<String, String> {
    let scratch = &settings.scratch;
    let ten = ten_thousand(scratch)?;
    let mtu = copy_design(scratch, "examples/ten-thousand", "mtu", &[("mtu  = 9000", "mtu  = 1500")])?;
    let words = [("mtu  = 9000", "mtu  = 1500"), ("u{01..36}", "u{01..37}")];
    let changed = copy_design(scratch, "examples/ten-thousand", "changed", &words)?;
    let hundred = hundred_thousand(scratch)?;
    let mut rows = vec![["work", "s", "peak memory, MB"].map(str::to_owned).to_vec()];
    for (what, arguments) in [
        ("`zw check`, 10,080 machines", vec!["check", &ten]),
        ("`zw plan`, 10,080 machines", vec!["plan", &ten]),
        ("`zw plan --json`, 10,080 machines (33 MB written)", vec!["plan", &ten, "--json"]),
        ("`zw plan --against`, 10,080 machines, none changes", vec!["plan", &ten, "--against", &ten]),
        ("`zw plan --against`, 10,080 machines, each must reboot", vec!["plan", &mtu, "--against", &ten]),
        ("the same, and 280 machines are new", vec!["plan", &changed, "--against", &ten]),
        ("`zw plan`, 100,800 machines", vec!["plan", &hundred]),
    ] {
        let mut seconds = Vec::new();
        for _ in 0..settings.rounds(7) {
            let began = Instant::now();
            zw(&arguments)?;
            seconds.push(began.elapsed().as_secs_f64());
        }
        rows.push(vec![what.to_owned(), spread(seconds, 2), peak_megabytes(&arguments)?]);
    }
    Ok(format!("## From text to plan\n\n{}", table(&rows)))
}

/// A zone powered on.
pub(crate) fn lab(settings: &Settings) -> Result<String, String> {
    // Zones of their own, so that a lab that somebody has open is left alone.
    let scratch = &settings.scratch;
    let words = [("zone \"lab1\"", "zone \"bench8\"")];
    let pocket = copy_design(scratch, "examples/pocket", "pocket", &words)?;
    let words = [
        ("zone \"lab1\"", "zone \"bench200\""),
        ("pods = 4, racks = 2, units = 16", "pods = 8, racks = 1, units = 32"),
        ("p{01..02}", "p{01..08}"),
        ("u{01..04}", "u{01..25}"),
    ];
    let two_hundred = copy_design(scratch, "examples/pocket", "two-hundred", &words)?;
    let mut rows = vec![["zone", "s"].map(str::to_owned).to_vec()];
    let both = [
        ("8 machines, 8 BMCs, 7 switches", "bench8", &pocket),
        ("200 machines, 200 BMCs, 25 switches", "bench200", &two_hundred),
    ];
    for (what, zone, design) in &both[..if settings.is_smoke { 1 } else { 2 }] {
        let mut seconds = Vec::new();
        for _ in 0..settings.rounds(3) {
            let began = Instant::now();
            let up = zw(&["lab", "up", design]);
            seconds.push(began.elapsed().as_secs_f64());
            zw(&["lab", "down", "--zone", zone])?;
            up?;
        }
        rows.push(vec![(*what).to_owned(), spread(seconds, 2)]);
    }
    Ok(format!(
        "## A zone powered on (`zw lab up`): from the command to every machine ready\n\n{}",
        table(&rows)
    ))
}

fn zw(arguments: &[&str]) -> Result<(), String> {
    let output = Command::new(process::zw()?)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .output()
        .map_err(|error| format!("failed to start zw: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let errors = String::from_utf8_lossy(&output.stderr);
    Err(format!("zw {} ended with {}\n{errors}", arguments.join(" "), output.status))
}

/// The peak memory of one more run, in megabytes. The kernel keeps only the largest of all children, so a process of its
/// own has this one child.
fn peak_megabytes(arguments: &[&str]) -> Result<String, String> {
    let this = std::env::current_exe().map_err(|error| format!("failed to find this program: {error}"))?;
    let output = Command::new(this)
        .arg("peak")
        .args(arguments)
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| format!("failed to start this program again: {error}"))?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Runs `zw` and prints the peak memory of that, in megabytes.
pub(crate) fn peak(arguments: &[&str]) -> Result<(), String> {
    zw(arguments)?;
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).map_err(|error| format!("getrusage: {error}"))?;
    writeln!(std::io::stdout(), "{}", usage.max_rss() / 1024).map_err(|error| error.to_string())
}
