//! `cargo xtask bench`: whole processes, measured, written to bench/results.md. README and docs quote only that file.
//!
//! Each figure is the median of several rounds with its least and most; the machine stands above the table. The designs
//! are the examples, and larger ones made from them by a few replaced words, so that nobody has to trust a generator.

use crate::run;
use nix::sys::resource::{UsageWho, getrusage};
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

/// Rounds for each figure.
const ROUNDS: usize = 7;
/// Rounds of powering a lab on and off.
const LAB_ROUNDS: usize = 3;

/// Runs the named bench, or all.
pub(crate) fn bench(which: &[&str]) -> Result<(), String> {
    run::cargo(&["build", "--release", "--package", "zw"])?;
    let scratch = std::env::temp_dir().join(format!("zw-bench-{}", std::process::id()));
    let mut page = format!(
        "# Results\n\nWritten by `cargo xtask bench`; run it to have your own. Whole processes of the release build, on a machine that other\n\
         work may share: median, least and most of {ROUNDS} rounds ({LAB_ROUNDS} for the lab).\n\n{}\n",
        machine()
    );
    let wanted = |name: &str| which.is_empty() || which.contains(&name);
    if wanted("plan") {
        page += &plan(&scratch)?;
    }
    if wanted("lab") {
        page += &lab(&scratch)?;
    }
    fs::remove_dir_all(&scratch)
        .map_err(|error| format!("failed to remove {}: {error}", scratch.display()))?;
    run::say(&page);
    if !which.is_empty() {
        return Ok(());
    }
    let results = run::root().join("bench/results.md");
    fs::create_dir_all(run::root().join("bench"))
        .and_then(|()| fs::write(&results, page))
        .map_err(|error| format!("failed to write {}: {error}", results.display()))
}

fn plan(scratch: &Path) -> Result<String, String> {
    let ten = design(scratch, "examples/ten-thousand", "ten", &[])?;
    let mtu = design(scratch, "examples/ten-thousand", "mtu", &[("mtu  = 9000", "mtu  = 1500")])?;
    let changed = design(
        scratch,
        "examples/ten-thousand",
        "changed",
        &[("mtu  = 9000", "mtu  = 1500"), ("u{01..36}", "u{01..37}")],
    )?;
    let hundred = design(
        scratch,
        "examples/ten-thousand",
        "hundred-thousand",
        &[
            ("p{01..40}", "p{001..400}"),
            ("pods = 64", "pods = 512"),
            ("10.32.0.0/13", "10.0.0.0/10"),
            ("2001:db8:3200::/40", "2001:db8:3000::/36"),
            ("Ethernet{1..512}", "Ethernet{1..1024}"),
            ("[510 + number]", "[1022 + number]"),
        ],
    )?;
    let mut table = String::from(
        "## From text to plan\n\n| work | median | least – most | peak memory |\n|---|---|---|---|\n",
    );
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
        for _ in 0..ROUNDS {
            let began = Instant::now();
            zw(&arguments)?;
            seconds.push(began.elapsed().as_secs_f64());
        }
        table +=
            &format!("| {what} | {} | {} MB |\n", spread(&mut seconds, "s"), peak_megabytes(&arguments)?);
    }
    Ok(table + "\n")
}

fn lab(scratch: &Path) -> Result<String, String> {
    // Zones of their own, so that a lab that somebody has open is left alone.
    let pocket = design(scratch, "examples/pocket", "pocket", &[("zone \"lab1\"", "zone \"bench8\"")])?;
    let two_hundred = design(
        scratch,
        "examples/pocket",
        "two-hundred",
        &[
            ("zone \"lab1\"", "zone \"bench200\""),
            ("pods = 4, racks = 2, units = 16", "pods = 8, racks = 1, units = 32"),
            ("p{01..02}", "p{01..08}"),
            ("u{01..04}", "u{01..25}"),
        ],
    )?;
    let mut table = String::from(
        "## A zone powered on (`zw lab up`): from the command to every machine ready\n\n| zone | median | least – most |\n|---|---|---|\n",
    );
    for (what, zone, design) in [
        ("8 machines, 8 BMCs, 7 switches", "bench8", &pocket),
        ("200 machines, 200 BMCs, 25 switches", "bench200", &two_hundred),
    ] {
        let mut seconds = Vec::new();
        for _ in 0..LAB_ROUNDS {
            let began = Instant::now();
            let up = zw(&["lab", "up", design]);
            seconds.push(began.elapsed().as_secs_f64());
            zw(&["lab", "down", "--zone", zone])?;
            up?;
        }
        table += &format!("| {what} | {} |\n", spread(&mut seconds, "s"));
    }
    Ok(table + "\n")
}

/// A copy of an example with some words replaced; each must be there.
fn design(scratch: &Path, example: &str, name: &str, words: &[(&str, &str)]) -> Result<String, String> {
    let (from, to) = (run::root().join(example), scratch.join(name));
    let failed = |error: std::io::Error| format!("failed to make {}: {error}", to.display());
    copy(&from, &to).map_err(failed)?;
    let file = to.join("zone.hcl");
    let mut text = fs::read_to_string(&file).map_err(failed)?;
    for (old, new) in words {
        if !text.contains(old) {
            return Err(format!("{example}/zone.hcl has no `{old}` any more"));
        }
        text = text.replace(old, new);
    }
    fs::write(&file, text).map_err(failed)?;
    Ok(to.display().to_string())
}

fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let (path, copied): (PathBuf, PathBuf) =
            (entry.as_ref().map(fs::DirEntry::path).unwrap_or_default(), to.join(entry?.file_name()));
        if path.is_dir() { copy(&path, &copied)? } else { fs::copy(&path, &copied).map(drop)? }
    }
    Ok(())
}

fn zw(arguments: &[&str]) -> Result<(), String> {
    let program = run::root().join("target/release/zw");
    let output = Command::new(&program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .output()
        .map_err(|error| format!("failed to start {}: {error}", program.display()))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!(
        "zw {} ended with {}\n{}",
        arguments.join(" "),
        output.status,
        String::from_utf8_lossy(&output.stderr)
    ))
}

/// The peak memory of one more run, in megabytes. The kernel keeps only the largest of all children, so a process of its
/// own has this one child.
fn peak_megabytes(arguments: &[&str]) -> Result<String, String> {
    let this = std::env::current_exe().map_err(|error| format!("failed to find this program: {error}"))?;
    let output = run::output(&this.display().to_string(), &[&["peak"], arguments].concat())?;
    Ok(String::from_utf8_lossy(&output).trim().to_owned())
}

/// Runs `zw` and prints the peak memory of that, in megabytes.
pub(crate) fn peak(arguments: &[&str]) -> Result<(), String> {
    zw(arguments)?;
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).map_err(|error| format!("getrusage: {error}"))?;
    writeln!(std::io::stdout(), "{}", usage.max_rss() / 1024).map_err(|error| error.to_string())
}

fn spread(figures: &mut [f64], unit: &str) -> String {
    figures.sort_by(f64::total_cmp);
    let [least, .., most] = figures else { return String::from("– | –") };
    let (least, most) = (*least, *most);
    format!("{:.2} {unit} | {least:.2} – {most:.2}", figures[figures.len() / 2])
}

fn machine() -> String {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let (processors, memory) = (read("/proc/cpuinfo"), read("/proc/meminfo"));
    let value = |text: &str, key: &str| {
        let line = text.lines().find(|line| line.starts_with(key));
        line.and_then(|line| line.split_once(':'))
            .map_or_else(|| "unknown".to_owned(), |(_, value)| value.trim().to_owned())
    };
    format!(
        "Machine: {} × {}, memory {}, Linux {}.\n",
        processors.lines().filter(|line| line.starts_with("processor")).count(),
        value(&processors, "model name"),
        value(&memory, "MemTotal"),
        read("/proc/sys/kernel/osrelease").trim(),
    )
}
