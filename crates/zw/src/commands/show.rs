//! `zw show`: one machine whole, a plan of before with its design, or what was refused.

use crate::client::{self, Failure, Server, Which};
use crate::commands::check::failed;
use crate::commands::install::short;
use crate::times;
use anstyle::Style;
use api::change::PlanFiles;
use api::http::{Event, Machine, Proof, Refusal, Refusals, Status, System};
use clap::Args as ClapArgs;
use model::{Time, size};
use std::fmt::Write as _;
use std::io::Write;
use std::path::{Component, Path, PathBuf};
use std::process::ExitCode;

/// Show a machine: place, cables, addresses, hardware, and the timeline of its boot; a plan with its design; or what was refused.
#[derive(ClapArgs)]
#[command(
    after_help = "Examples:\n  zw show p01/r1/u02\n  zw show hv-p01-r1-u02\n  zw show 10.64.0.7\n  zw show 41 --files /tmp/41\n  zw show refusals"
)]
pub(crate) struct Args {
    /// A location, name or address; the number of a plan; or `refusals`.
    #[arg(value_name = "TARGET")]
    target: String,
    /// Print JSON, as the API gives it.
    #[arg(long)]
    json: bool,
    /// Of a plan: write its design's files into this directory, which must not be there yet.
    #[arg(long, value_name = "DIRECTORY", conflicts_with = "json")]
    files: Option<PathBuf>,
    #[command(flatten)]
    which: Which,
}

impl Args {
    /// The number of a plan.
    fn generation(&self) -> Option<u64> {
        self.target.trim_start_matches('#').parse().ok()
    }

    fn is_misused(&self) -> Option<String> {
        (self.files.is_some() && self.generation().is_none())
            .then(|| format!("--files is of a plan, and `{}` is none", self.target))
    }
}

/// Runs the command.
pub(crate) fn run(args: &Args) -> ExitCode {
    if let Some(why) = args.is_misused() {
        // Nothing more can be done when standard error is closed.
        let _ = writeln!(anstream::stderr(), "failed: {why}");
        return ExitCode::from(2);
    }
    match args.which.find().and_then(|server| shown(args, &server)) {
        Ok(text) => {
            // Nothing more can be done when standard output is closed.
            let _ = anstream::stdout().write_all(text.as_bytes());
            ExitCode::SUCCESS
        }
        Err(failure) => failed(&failure),
    }
}

fn shown(args: &Args, server: &Server) -> Result<String, Failure> {
    if let Some(generation) = args.generation() {
        let path = format!("/v1/plans/{generation}");
        if args.json {
            return Ok(client::get_text(server, &path)? + "\n");
        }
        return plan(&client::get(server, &path)?, args.files.as_deref());
    }
    let path = match args.target.as_str() {
        "refusals" => "/v1/refusals".to_owned(),
        target => format!("/v1/machines/{}", client::encoded(target)),
    };
    if args.json {
        return Ok(client::get_text(server, &path)? + "\n");
    }
    let now = client::get::<Status>(server, "/v1/status")?.now;
    if args.target == "refusals" {
        return Ok(refusals(&client::get(server, &path)?, now));
    }
    Ok(machine(&client::get(server, &path)?, now))
}

/// A plan of before: who, when, why, and its design; or that written to files.
fn plan(plan: &PlanFiles, directory: Option<&Path>) -> Result<String, Failure> {
    let row = &plan.row;
    let mut text = format!("plan #{}, after #{}\n", row.generation, row.parent);
    let commit = row.commit.as_deref().map(|commit| format!(", commit {commit}")).unwrap_or_default();
    let _ = writeln!(text, "{} by {}: {}{commit}", times::date_and_time(row.at), row.author, row.reason);
    let Some(directory) = directory else {
        for file in &plan.files {
            let _ = write!(text, "\n# --- {} ---\n{}", file.path, file.text);
        }
        return Ok(text);
    };
    let failed = |path: &Path, error: std::io::Error| {
        Failure::NotFound(format!("failed to write {}: {error}", path.display()))
    };
    std::fs::create_dir(directory).map_err(|error| failed(directory, error))?;
    for file in &plan.files {
        // A design's paths are relative and stay below it; a controller that says otherwise is not believed.
        let inside = Path::new(&file.path).components().all(|part| matches!(part, Component::Normal(_)));
        if !inside {
            return Err(Failure::NotFound(format!("`{}` leads out of the design", file.path)));
        }
        let path = directory.join(&file.path);
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(|error| failed(folder, error))?;
        }
        std::fs::write(&path, &file.text).map_err(|error| failed(&path, error))?;
    }
    let _ = writeln!(text, "{} files are in {}", plan.files.len(), directory.display());
    Ok(text)
}

/// A machine as text with colours; print it through `anstream`.
fn machine(machine: &Machine, now: Time) -> String {
    let bold = Style::new().bold();
    let row = &machine.row;
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = write!(text, "{bold}{}{bold:#}  {}  {bold}{}{bold:#}", row.location, row.name, row.state);
    if let Some(detail) = &row.detail {
        let _ = write!(text, " ({detail})");
    }
    if let Some(since) = row.since {
        let _ = write!(text, ", {}", times::ago(since, now));
    }
    text += "\n";
    let mut line = |label: &str, value: String| {
        let _ = writeln!(text, "  {label:<10}{value}");
    };
    line("model", row.model.clone());
    if let Some(role) = &row.role {
        line("role", role.clone());
    }
    if let Some(took) = row.boot_took_ms {
        line("last boot", format!("{} from its first packet to ready", times::took(took)));
    }
    line("agent", if row.connected { "connected" } else { "not connected" }.to_owned());
    if let Some(why) = &machine.held {
        line("held", format!("nobody may restart it: {why}"));
    }
    if machine.proof == Proof::Bmc {
        line("proof", "a key that its BMC hands it".to_owned());
    }
    if let Some(tpm) = &machine.tpm {
        let registers: Vec<String> = tpm.registers.iter().map(|register| register.pcr.to_string()).collect();
        line("tpm", format!("{}, registers {}", tpm.ek_sha256, registers.join(", ")));
    }
    if let Some(system) = &machine.system {
        for (label, value) in system_lines(system, now) {
            line(label, value);
        }
    }
    if let Some(burn_in) = &machine.burn_in
        && let Some(passed) = burn_in.passed
    {
        line("burnt in", times::ago(passed, now));
        burn_in.found.iter().for_each(|sentence| line("", sentence.clone()));
    }
    if let Some(wait) = &row.wait {
        let late = if wait.overdue { " (longer than is ordinary)" } else { "" };
        line("waits for", format!("{}{late}", wait.on));
    }
    if let Some(doubt) = &row.miscabled {
        line("cabling", doubt.clone());
    }
    section(
        &mut text,
        "Interfaces",
        machine.interfaces.iter().map(|interface| {
            let addresses = [interface.ipv4.as_deref(), interface.ipv6.as_deref()];
            let addresses: Vec<&str> = addresses.into_iter().flatten().collect();
            let mut lines = format!(
                "{:<10}{}  {}  {}",
                interface.name,
                addresses.join("  "),
                interface.dns_name,
                interface.network
            );
            for seen in &interface.seen {
                let accepted = match seen.accepted {
                    Some(true) => "accepted",
                    Some(false) => "another than was accepted",
                    None => "not accepted yet",
                };
                let _ = write!(
                    lines,
                    "\n{:12}{} {} as {} on {}, {}, {accepted}",
                    "",
                    seen.interface,
                    seen.mac,
                    seen.stage,
                    seen.port,
                    times::ago(seen.at, now)
                );
            }
            lines
        }),
    );
    section(
        &mut text,
        "Cables",
        machine.cables.iter().map(|cable| {
            format!("{:<10}{} {}  ({})", cable.port, cable.far_name, cable.far_port, cable.far.within_zone())
        }),
    );
    if let Some(hardware) = &machine.hardware {
        let disks = hardware
            .disks
            .iter()
            .map(|disk| format!("disk      {} {} {}", disk.name, disk.kind, size::decimal(disk.size_bytes)));
        let nics = hardware.nics.iter().map(|nic| {
            let speed = nic.mbps.map(|mbps| format!(" {mbps} Mbit/s")).unwrap_or_default();
            let far = nic.neighbour.as_ref().map(|far| format!(" to {far}")).unwrap_or_default();
            format!("nic       {} {}{speed}{far}", nic.name, nic.mac)
        });
        let first = [
            format!("cpus      {}", hardware.cpus),
            format!("memory    {}", size::binary(hardware.memory_bytes)),
            format!("firmware  {}", hardware.firmware),
            format!("serial    {}", hardware.serial),
            format!("system    {}", hardware.system),
        ];
        section(&mut text, "Hardware", first.into_iter().chain(disks).chain(nics));
    }
    section(
        &mut text,
        "Checks",
        machine.checks.iter().map(|check| {
            format!("{}  {}: {}", if check.passed { "✓" } else { "✗" }, check.name, check.detail)
        }),
    );
    section(&mut text, "Timeline (UTC)", timeline(&machine.timeline));
    text
}

/// What is on its disks, and what may be written there.
fn system_lines(system: &System, now: Time) -> Vec<(&'static str, String)> {
    let mut lines = Vec::new();
    if let Some(runs) = &system.runs {
        let image = system.image.as_deref().map(|image| format!(", {}", short(image))).unwrap_or_default();
        let trial = if system.on_trial { ", on trial" } else { "" };
        lines.push(("runs", format!("{runs}{image}{trial}")));
    }
    if system.wanted.is_some() && system.image.is_some() && system.wanted != system.image {
        let wanted = system.wanted.as_deref().map(short).unwrap_or_default();
        lines.push(("wanted", format!("{wanted} (`zw upgrade`)")));
    }
    if let Some(rejected) = &system.rejected {
        lines.push(("rejected", rejected.clone()));
    }
    if let Some(armed) = &system.armed {
        lines.push((
            "armed",
            match armed.undo_until {
                Some(until) => {
                    let left = times::took(until.0.saturating_sub(now.0));
                    format!("{}, begins in {left}; `zw disarm` takes it back", armed.purpose)
                }
                None => {
                    let left = times::took(armed.until.0.saturating_sub(now.0));
                    format!("{}, may begin for {left}", armed.purpose)
                }
            },
        ));
    }
    if let Some(progress) = system.progress.as_ref().filter(|progress| progress.total_bytes > 0) {
        lines.push((
            "written",
            format!(
                "{} of {}, {}/s",
                size::decimal(progress.done_bytes),
                size::decimal(progress.total_bytes),
                size::decimal(progress.bytes_per_second)
            ),
        ));
    }
    lines
}

fn section(text: &mut String, title: &str, lines: impl Iterator<Item = String>) {
    let mut lines = lines.peekable();
    if lines.peek().is_none() {
        return;
    }
    let bold = Style::new().bold();
    let _ = writeln!(text, "\n{bold}{title}{bold:#}");
    for line in lines {
        let _ = writeln!(text, "  {line}");
    }
}

/// Each event with the time since the one before, and the state where it changes.
fn timeline(events: &[Event]) -> impl Iterator<Item = String> {
    events.iter().enumerate().map(|(index, event)| {
        let before = index.checked_sub(1).map(|before| &events[before]);
        let gap = before.map(|before| {
            format!("+{}", times::took(event.at.since(before.at).as_millis().try_into().unwrap_or(u64::MAX)))
        });
        let state =
            if before.is_none_or(|before| before.state != event.state) { event.state.as_str() } else { "" };
        format!("{}  {:>12}  {state:<12}{}", times::exact(event.at), gap.unwrap_or_default(), event.sentence)
    })
}

fn refusals(refusals: &Refusals, now: Time) -> String {
    if refusals.counts.is_empty() {
        return "nothing was refused since the controller started\n".to_owned();
    }
    let mut text = String::new();
    for (protocol, reasons) in &refusals.counts {
        for (reason, count) in reasons {
            let _ = writeln!(text, "{protocol:<6}{reason:<18}{count:>10}");
        }
    }
    text += "\n";
    for refusal in &refusals.recent {
        text += &told(refusal, now);
    }
    text
}

/// One cause, in three or four lines.
pub(crate) fn told(refusal: &Refusal, now: Time) -> String {
    let bold = Style::new().bold();
    let times_ = if refusal.count == 1 { "once".to_owned() } else { format!("{} times", refusal.count) };
    let mut text = format!(
        "{bold}{} {}{bold:#}  {times_}, last {}: {}\n",
        refusal.protocol,
        refusal.reason,
        times::ago(refusal.last, now),
        refusal.meaning
    );
    let mut facts = vec![format!("from {}", refusal.client)];
    let mut add = |label: &str, value: &str| {
        if !value.is_empty() {
            facts.push(format!("{label} {value}"));
        }
    };
    add("by relay", if refusal.relay == refusal.client { "" } else { &refusal.relay });
    add("circuit-id", &refusal.circuit_id);
    add("remote-id", &refusal.remote_id);
    add("switch", refusal.switch.as_ref().map_or("", |switch| switch.within_zone()));
    add("for", refusal.machine.as_ref().map_or("", |machine| machine.within_zone()));
    let _ = writeln!(text, "    {}", facts.join(", "));
    if !refusal.subject.is_empty() {
        let _ = writeln!(text, "    {}", refusal.subject);
    }
    if let Some(expected) = &refusal.expected {
        let _ = writeln!(text, "    the nearest that is expected: {expected}");
    }
    let _ = writeln!(text, "    to do: {}", refusal.remedy);
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;
    use model::Location;

    fn event(seq: u64, at: u64, state: &str, sentence: &str) -> Event {
        Event {
            seq,
            at: Time(at),
            location: Location::new("z/p/r/u"),
            kind: "asked".into(),
            sentence: sentence.into(),
            state: state.into(),
        }
    }

    #[test]
    fn a_timeline_shows_gaps_and_where_the_state_changes() {
        let lines: Vec<_> = timeline(&[
            event(1, 1_795_243_503_120, "seen", "it asked"),
            event(2, 1_795_243_503_420, "seen", "it asked again"),
            event(3, 1_795_243_565_420, "booting", "it fetched its script"),
        ])
        .collect();
        expect![[r#"
            2026-11-21 06:45:03.120                seen        it asked
            2026-11-21 06:45:03.420        +0.3 s              it asked again
            2026-11-21 06:46:05.420    +1 min 2 s  booting     it fetched its script"#]]
        .assert_eq(&lines.join("\n"));
    }

    #[test]
    fn a_refusal_says_who_where_and_what_to_do() {
        let refusal = Refusal {
            protocol: "dhcp".into(),
            reason: "unknown-port".into(),
            meaning: "nothing is drawn there".into(),
            remedy: "draw the cable".into(),
            count: 12,
            first: Time(0),
            last: Time(9_000),
            client: "52:54:00:00:00:01".into(),
            relay: "10.0.0.2".into(),
            circuit_id: "`swp9`".into(),
            remote_id: String::new(),
            expected: Some("circuit-id `swp1` of leaf-a swp1".into()),
            switch: Some(Location::new("z/p01/r1/leaf-a")),
            machine: None,
            subject: "DISCOVER".into(),
        };
        expect![[r#"
            dhcp unknown-port  12 times, last 1.0 s ago: nothing is drawn there
                from 52:54:00:00:00:01, by relay 10.0.0.2, circuit-id `swp9`, switch p01/r1/leaf-a
                DISCOVER
                the nearest that is expected: circuit-id `swp1` of leaf-a swp1
                to do: draw the cable
        "#]]
        .assert_eq(&anstream::adapter::strip_str(&told(&refusal, Time(10_000))).to_string());
    }

    #[test]
    fn files_are_of_a_plan() {
        #[derive(clap::Parser)]
        struct Line {
            #[command(flatten)]
            args: Args,
        }
        let misused = |words: &[&str]| {
            let line = <Line as clap::Parser>::try_parse_from([&["show"], words].concat());
            line.expect("a command line").args.is_misused()
        };
        assert_eq!(misused(&["#41", "--files", "/tmp/41"]), None);
        assert_eq!(misused(&["p01/r1/u01"]), None);
        let said = "--files is of a plan, and `p01/r1/u01` is none";
        assert_eq!(misused(&["p01/r1/u01", "--files", "/tmp/41"]).as_deref(), Some(said));
    }
}
