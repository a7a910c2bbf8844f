//! `zw arm | upgrade | reinstall | disarm`: allow disks to be written, and look on.

use crate::client::{self, Failure, Server};
use crate::commands::check::failed;
use crate::commands::wish;
use api::http::{Machine, System, UNDO_SECONDS, Wish, Zone};
use clap::Args as ClapArgs;
use model::size;
use std::collections::HashSet;
use std::fmt::Write as _;
use std::io::{BufRead, IsTerminal, Write};
use std::process::ExitCode;
use std::time::Duration;

/// How often `--wait` looks.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Characters of a progress bar.
const BAR: usize = 24;

/// Which machines, and for how long.
#[derive(ClapArgs)]
pub(crate) struct AllowArgs {
    #[command(flatten)]
    machines: wish::Args,
    /// How long it may begin.
    #[arg(long, default_value_t = 60, value_name = "MINUTES")]
    minutes: u32,
    /// Look on until all of them are ready, or one cannot be.
    #[arg(long, conflicts_with = "json")]
    wait: bool,
}

/// What `zw arm` and `zw reinstall` tell of it.
const STARTING: &str = "\
How they come to their installer:
  Firmware that waits for it goes on by itself. An agent that is connected is asked to restart its machine.
  If that does not come back from the network within 10 minutes, and where there is no agent, the BMC starts it from the
  network, once it is adopted (`zw bmc adopt`): three times at most, and no more than one in ten machines of a role at a time.";

/// Which machines, for how long, and who starts them from the network.
#[derive(ClapArgs)]
#[command(after_help = STARTING)]
pub(crate) struct ArmArgs {
    #[command(flatten)]
    allow: AllowArgs,
    /// Leave their BMCs alone: somebody else sees to it that they start from the network.
    #[arg(long)]
    no_bmc: bool,
}

/// Which machines, and that it is meant.
#[derive(ClapArgs)]
#[command(after_help = format!(
    "{STARTING}\n\nExamples:\n  zw reinstall p01/r1/u02 --wait\n  echo 2 | zw reinstall p01/r1/u02 p01/r1/u03"
))]
pub(crate) struct ReinstallArgs {
    #[command(flatten)]
    args: ArmArgs,
    /// For so long nothing begins, and `zw disarm` takes it back.
    #[arg(long, default_value_t = UNDO_SECONDS, value_name = "SECONDS")]
    undo: u32,
}

/// `zw arm`: for the plan that is in force now, and no later one.
pub(crate) fn arm(args: &ArmArgs) -> ExitCode {
    let no_bmc = args.no_bmc;
    allow(&args.allow, |generation, seconds| Wish::Arm { generation, seconds, no_bmc })
}

/// `zw disarm`.
pub(crate) fn disarm(args: &wish::Args) -> ExitCode {
    wish::ask(args, |_| Ok(Wish::Disarm))
}

/// `zw upgrade`.
pub(crate) fn upgrade(args: &AllowArgs) -> ExitCode {
    allow(args, |generation, seconds| Wish::Upgrade { generation, seconds })
}

/// `zw reinstall`: shows what is lost, and asks for the number of machines.
pub(crate) fn reinstall(args: &ReinstallArgs) -> ExitCode {
    let ReinstallArgs { args: ArmArgs { allow: args, no_bmc }, undo } = args;
    match is_meant(&args.machines) {
        Ok(true) => allow(args, |generation, seconds| Wish::Reinstall {
            generation,
            seconds,
            no_bmc: *no_bmc,
            undo_seconds: *undo,
        }),
        Ok(false) => {
            // Nothing more can be done when standard error is closed.
            let _ = writeln!(anstream::stderr(), "that is another number; nothing was touched");
            ExitCode::from(1)
        }
        Err(failure) => failed(&failure),
    }
}

fn allow(args: &AllowArgs, wish: impl Fn(u64, u32) -> Wish) -> ExitCode {
    let asked = wish::ask(&args.machines, |server| {
        let zone: Zone = client::get(server, "/v1/zone")?;
        Ok(wish(zone.generation, args.minutes.saturating_mul(60)))
    });
    if !args.wait || asked != ExitCode::SUCCESS {
        return asked;
    }
    let watched = args.machines.which.find().and_then(|server| watch(&server, &args.machines.targets));
    match watched {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(failure) => failed(&failure),
    }
}

/// Shows what would be lost; whether the number that is typed is that of the machines.
fn is_meant(machines: &wish::Args) -> Result<bool, Failure> {
    let server = machines.which.find()?;
    let mut text = "All that is on these disks is lost:\n".to_owned();
    let mut seen = HashSet::new();
    for target in &machines.targets {
        let machine: Machine = look(&server, target)?;
        if seen.insert(machine.row.location.clone()) {
            text += &lost(&machine);
        }
    }
    let _ = write!(text, "Type the number of machines to go on: ");
    let mut out = anstream::stderr();
    let _ = out.write_all(text.as_bytes());
    let _ = out.flush();
    let mut line = String::new();
    let read = std::io::stdin().lock().read_line(&mut line);
    if !std::io::stdin().is_terminal() {
        let _ = writeln!(out);
    }
    Ok(read.is_ok() && line.trim().parse() == Ok(seen.len()))
}

fn lost(machine: &Machine) -> String {
    let row = &machine.row;
    let mut text = format!("  {}  {}, {}", row.location.within_zone(), row.name, row.state);
    if let Some(image) = machine.system.as_ref().and_then(|system| system.image.as_deref()) {
        let _ = write!(text, ", runs {}", short(image));
    }
    text += "\n";
    for disk in machine.hardware.iter().flat_map(|hardware| &hardware.disks) {
        let _ = writeln!(text, "      {} {} {}", disk.name, disk.kind, size::decimal(disk.size_bytes));
    }
    text
}

/// `sha256:` and twelve digits: enough to tell one's own images apart.
pub(crate) fn short(digest: &str) -> &str {
    digest.get(..19).unwrap_or(digest)
}

fn look(server: &Server, target: &str) -> Result<Machine, Failure> {
    client::get(server, &format!("/v1/machines/{}", client::encoded(target)))
}

/// Shows the machines until each is ready or cannot be. Whether all are ready.
fn watch(server: &Server, targets: &[String]) -> Result<bool, Failure> {
    let mut out = anstream::stdout();
    let redraws = std::io::stdout().is_terminal();
    let mut before: Vec<String> = Vec::new();
    loop {
        let machines: Vec<Machine> =
            targets.iter().map(|target| look(server, target)).collect::<Result<_, _>>()?;
        let lines: Vec<String> = machines.iter().map(|machine| line(machine, redraws)).collect();
        let mut text = String::new();
        if redraws {
            if !before.is_empty() {
                let _ = write!(text, "\x1b[{}A\x1b[J", before.len());
            }
            text += &lines.iter().map(|line| line.clone() + "\n").collect::<String>();
        } else {
            // A log has a line for each change.
            let changed = lines.iter().enumerate().filter(|(at, line)| before.get(*at) != Some(line));
            text += &changed.map(|(_, line)| line.clone() + "\n").collect::<String>();
        }
        if out.write_all(text.as_bytes()).is_err() {
            return Ok(false);
        }
        let ends: Vec<Option<bool>> = machines.iter().map(end).collect();
        if ends.iter().all(Option::is_some) {
            return Ok(ends.into_iter().all(|end| end == Some(true)));
        }
        before = lines;
        std::thread::sleep(LOOK_EVERY);
    }
}

/// Whether it is over with a machine, and well.
fn end(machine: &Machine) -> Option<bool> {
    let row = &machine.row;
    let system = machine.system.clone().unwrap_or_default();
    // One that failed in the system that it had is still on its way to the installer.
    let starts = system.armed.as_ref().is_some_and(|armed| armed.starts);
    if row.state == "failed" && !starts || system.rejected.is_some() {
        return Some(false);
    }
    (row.state == "ready" && system.armed.is_none() && !system.on_trial).then_some(true)
}

fn line(machine: &Machine, with_bar: bool) -> String {
    let row = &machine.row;
    let mut line = format!("{}  {}", row.location.within_zone(), row.state);
    let system = machine.system.clone().unwrap_or_default();
    if let Some(rejected) = &system.rejected {
        let _ = write!(line, ": {rejected}");
    } else if let System { progress: Some(progress), .. } = &system {
        let _ = write!(line, ": {}", progress.step);
        if with_bar && progress.total_bytes > 0 {
            let _ = write!(
                line,
                "  {}  {} of {}, {}/s",
                bar(progress.done_bytes, progress.total_bytes),
                size::decimal(progress.done_bytes),
                size::decimal(progress.total_bytes),
                size::decimal(progress.bytes_per_second)
            );
        }
    } else if let Some(progress) = machine.burn_in.as_ref().and_then(|burn_in| burn_in.progress.as_ref())
        && !with_bar
    {
        // Where lines are not overwritten, each percent would be one.
        let _ = write!(line, ": burn-in: {}", progress.part);
    } else if let Some(wait) = &row.wait {
        let _ = write!(line, ": waits for {}", wait.on);
    } else if let Some(detail) = &row.detail {
        let _ = write!(line, ": {detail}");
    }
    line
}

fn bar(done: u64, total: u64) -> String {
    let full = (u128::from(done.min(total)) * BAR as u128 / u128::from(total.max(1))) as usize;
    format!("{}{}", "█".repeat(full), "░".repeat(BAR - full))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_is_as_full_as_the_work_is_done() {
        assert_eq!(bar(0, 10), "░".repeat(BAR));
        assert_eq!(bar(5, 10), "█".repeat(BAR / 2) + &"░".repeat(BAR / 2));
        assert_eq!(bar(12, 10), "█".repeat(BAR));
        assert_eq!(bar(0, 0), "░".repeat(BAR));
        assert_eq!(short("sha256:0123456789abcdef"), "sha256:0123456789ab");
        assert_eq!(short("none"), "none");
    }
}
