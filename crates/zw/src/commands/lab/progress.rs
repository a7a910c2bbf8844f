//! A lab on its way up, shown: live lines on a terminal, plain lines elsewhere, and the table at the end.

use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, Table};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use lab::control::{Machine, Phase, Progress};
use std::collections::BTreeMap;
use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

/// A zone with more machines than this is shown by counts, not machine by machine.
const LINES_MAX: usize = 24;
/// Without a terminal, at most one line in this time, unless the phase changes.
const PLAIN_EVERY: Duration = Duration::from_secs(2);

/// What is on the screen.
pub(crate) struct Shown {
    how: How,
    began: Instant,
}

enum How {
    Live { screen: MultiProgress, bar: ProgressBar, lines: Vec<ProgressBar> },
    Plain { last: String, at: Option<Instant> },
}

impl Shown {
    /// Nothing yet.
    pub(crate) fn new() -> Self {
        let how = if std::io::stderr().is_terminal() {
            let screen = MultiProgress::new();
            let bar = screen.add(ProgressBar::new(1));
            if let Ok(style) =
                ProgressStyle::with_template("{prefix:12} {bar:32.green/dim} {pos}/{len} {msg}")
            {
                bar.set_style(style);
            }
            How::Live { screen, bar, lines: Vec::new() }
        } else {
            How::Plain { last: String::new(), at: None }
        };
        Self { how, began: Instant::now() }
    }

    /// Shows how far the lab is.
    pub(crate) fn show(&mut self, progress: &Progress) {
        match &mut self.how {
            How::Live { screen, bar, lines } => {
                let (done, all) = amount(progress);
                bar.set_prefix(phase(progress));
                bar.set_length(all as u64);
                bar.set_position(done as u64);
                bar.set_message(counts(progress));
                if progress.phase != Phase::Running || progress.machines.len() > LINES_MAX {
                    return;
                }
                if lines.is_empty() {
                    let style = ProgressStyle::with_template("  {prefix:24} {msg}").ok();
                    for machine in &progress.machines {
                        let line = screen.add(ProgressBar::new_spinner());
                        if let Some(style) = &style {
                            line.set_style(style.clone());
                        }
                        line.set_prefix(machine.name.clone());
                        lines.push(line);
                    }
                }
                for (line, machine) in lines.iter().zip(&progress.machines) {
                    let doing = if machine.state == "ready" { "" } else { machine.doing.as_str() };
                    let taken = machine.took_ms.map(seconds).unwrap_or_default();
                    line.set_message(format!("{:<10} {taken:>7}  {doing}", machine.state));
                }
            }
            How::Plain { last, at } => {
                let (done, all) = amount(progress);
                let text = format!("{} {done}/{all} {}", phase(progress), counts(progress));
                let is_new_phase = !last.starts_with(&phase(progress));
                let is_done = progress.phase == Phase::Running && done == all;
                if text != *last
                    && (is_new_phase || is_done || at.is_none_or(|at| at.elapsed() > PLAIN_EVERY))
                {
                    let elapsed = self.began.elapsed().as_secs_f64();
                    let _ = writeln!(anstream::stderr(), "{elapsed:6.1} s  {text}");
                    *last = text;
                    *at = Some(Instant::now());
                }
            }
        }
    }

    /// Takes the live lines away; the table follows.
    pub(crate) fn end(self) {
        if let How::Live { screen, bar, lines } = self.how {
            lines.iter().chain([&bar]).for_each(ProgressBar::finish_and_clear);
            // Without it the lines stay above the table, which says the same.
            let _ = screen.clear();
        }
    }
}

fn phase(progress: &Progress) -> String {
    match progress.phase {
        Phase::Building => "building",
        Phase::Starting => "controller",
        Phase::Running => "machines",
        Phase::Failed { .. } => "failed",
    }
    .to_owned()
}

fn amount(progress: &Progress) -> (usize, usize) {
    match progress.phase {
        Phase::Building => progress.built,
        Phase::Starting | Phase::Failed { .. } => (0, 1),
        Phase::Running => {
            let ready = progress.machines.iter().filter(|machine| machine.state == "ready").count();
            (ready, progress.machines.len())
        }
    }
}

fn counts(progress: &Progress) -> String {
    if progress.phase != Phase::Running {
        return String::new();
    }
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for machine in &progress.machines {
        *counts.entry(machine.state.as_str()).or_default() += 1;
    }
    let mut parts: Vec<String> = counts.iter().map(|(state, count)| format!("{count} {state}")).collect();
    let (up, all) = progress.bmcs;
    parts.push(format!("BMCs {up}/{all}"));
    parts.join(", ")
}

/// Every machine.
pub(crate) fn everyone(_: &Machine) -> bool {
    true
}

/// A machine that is not ready.
pub(crate) fn not_ready(machine: &Machine) -> bool {
    machine.state != "ready"
}

/// Name, location, address, state and time of the machines that `is_listed` picks.
pub(crate) fn table(progress: &Progress, is_listed: &dyn Fn(&Machine) -> bool) -> String {
    let mut table = Table::new();
    let are_real = progress.machines.iter().any(|machine| machine.real.is_some());
    let mut header = vec!["NAME", "LOCATION", "ADDRESS", "STATE", "TIME"];
    header.extend(are_real.then_some("REAL"));
    table.load_style(NOTHING).set_header(header);
    for machine in progress.machines.iter().filter(|machine| is_listed(machine)) {
        let taken = machine.took_ms.map(seconds).unwrap_or_default();
        let mut row = vec![&machine.name, &machine.location, &machine.address, &machine.state, &taken];
        row.extend(&machine.real);
        table.add_row(row);
    }
    if let Some(column) = table.column_mut(4) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    let mut text: String = table.lines().map(|line| format!("{}\n", line.trim_end())).collect();
    if table.row_count() == 0 {
        text.clear();
    }
    text
}

/// Of several controllers, how each is; nothing of a single one.
pub(crate) fn controllers(progress: &Progress) -> String {
    if progress.controllers.len() < 2 {
        return String::new();
    }
    let mut table = Table::new();
    table.load_style(NOTHING).set_header(["CONTROLLER", "ADDRESS", "STATE"]);
    for controller in &progress.controllers {
        let address = controller.address.clone().unwrap_or_default();
        table.add_row([controller.name.as_str(), address.as_str(), controller.state.as_str()]);
    }
    if let Some(store) = &progress.store {
        table.add_row(["etcd", "", store]);
    }
    let lines: String = table.lines().map(|line| format!("{}\n", line.trim_end())).collect();
    format!("\n{lines}")
}

/// One line: how many are ready, and how long it took.
pub(crate) fn summary(progress: &Progress) -> String {
    let (ready, all) = amount(&Progress { phase: Phase::Running, ..progress.clone() });
    let (up, bmcs) = progress.bmcs;
    let slowest = progress.machines.iter().filter_map(|machine| machine.took_ms).max();
    let slowest = slowest.map(|time| format!(", the slowest in {}", seconds(time))).unwrap_or_default();
    let own_disk = match progress.machines.iter().filter(|machine| machine.boots_own_disk).count() {
        0 => String::new(),
        count => format!(" ({count} of them boot their own disk, where the lab has no agent)"),
    };
    format!(
        "\n{}: {ready} of {all} machines ready{slowest}{own_disk}; {up} of {bmcs} BMCs up; {} since the lab was started\n",
        progress.zone,
        seconds(progress.elapsed_ms)
    )
}

fn seconds(milliseconds: u64) -> String {
    format!("{}.{} s", milliseconds / 1000, milliseconds % 1000 / 100)
}
