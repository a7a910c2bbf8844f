//! `sim`: runs seeds, tells how they ended, and how fast that was. `cargo xtask sim` builds and starts it.

use sim::{Report, Settings};
use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

const USAGE: &str = "\
usage: cargo xtask sim [OPTIONS]

  --seed N        run this seed [1]
  --seeds A..B    run these seeds, B not included, on all CPUs
  --machines N    machines of the zone, about [by the seed: 4 to 16]
  --hours H       simulated hours [5; 1 of a zone of more than 5,000 machines]
  --trace FILE    write what happens, a line for each step (one seed)
  --no-troubles   nothing goes wrong
";

fn main() -> ExitCode {
    match options(std::env::args().skip(1)) {
        Ok(options) => match go(&options) {
            Ok(true) => ExitCode::SUCCESS,
            Ok(false) => ExitCode::FAILURE,
            Err(why) => {
                say(&format!("sim: {why}\n"));
                ExitCode::from(3)
            }
        },
        Err(why) => {
            say(&format!("{why}{USAGE}"));
            ExitCode::from(2)
        }
    }
}

struct Options {
    settings: Settings,
    seeds: std::ops::Range<u64>,
    trace: Option<String>,
}

fn options(mut words: impl Iterator<Item = String>) -> Result<Options, String> {
    let mut options = Options { settings: Settings::of(1), seeds: 1..2, trace: None };
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or(format!("{word} wants a value\n"));
        let bad = |value: &str| format!("{word} does not take {value}\n");
        let number = |text: String| text.parse::<u64>().map_err(|_| bad(&text));
        match word.as_str() {
            "--seed" => {
                let seed = number(value()?)?;
                options.seeds = seed..seed + 1;
            }
            "--seeds" => {
                let text = value()?;
                let (from, to) = text.split_once("..").ok_or(bad(&text))?;
                options.seeds = number(from.to_owned())?..number(to.to_owned())?;
            }
            "--machines" => options.settings.machines = usize::try_from(number(value()?)?).ok(),
            "--hours" => {
                let text = value()?;
                options.settings.hours = Some(text.parse().map_err(|_| bad(&text))?);
            }
            "--trace" => options.trace = Some(value()?),
            "--no-troubles" => options.settings.troubles = false,
            "--help" => return Err(String::new()),
            _ => return Err(format!("{word} is no option\n")),
        }
    }
    Ok(options)
}

/// Whether nothing was found.
fn go(options: &Options) -> Result<bool, String> {
    #[expect(
        clippy::disallowed_methods,
        reason = "it is told how fast the simulation was, which knows no clock"
    )]
    let began = Instant::now();
    if options.seeds.clone().count() == 1 {
        let settings = Settings { seed: options.seeds.start, ..options.settings.clone() };
        let mut file = match &options.trace {
            Some(path) => {
                let file = File::create(path).map_err(|error| format!("failed to write {path}: {error}"))?;
                Some(BufWriter::new(file))
            }
            None => None,
        };
        let report = sim::run(&settings, file.as_mut().map(|file| file as &mut dyn std::io::Write));
        rate(std::slice::from_ref(&report), began, 1);
        whole(&report);
        return Ok(report.violation.is_none());
    }
    let next = AtomicU64::new(options.seeds.start);
    let reports = Mutex::new(Vec::new());
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= options.seeds.end {
                        return;
                    }
                    let report = sim::run(&Settings { seed, ..options.settings.clone() }, None);
                    if report.violation.is_some() {
                        line(&report);
                    }
                    if let Ok(mut reports) = reports.lock() {
                        reports.push(report);
                    }
                }
            });
        }
    });
    let mut reports = reports.into_inner().map_err(|_| "a run panicked".to_owned())?;
    reports.sort_by_key(|report| report.seed);
    let found = reports.iter().filter(|report| report.violation.is_some()).count();
    let digest = reports.iter().fold(0_u64, |all, report| all.rotate_left(7) ^ report.digest);
    rate(&reports, began, threads);
    let Options { seeds, .. } = options;
    say(&format!("seeds {}..{}: {found} found something, digest {digest:016x}\n", seeds.start, seeds.end));
    Ok(found == 0)
}

/// How much was simulated, and how fast.
fn rate(reports: &[Report], began: Instant, threads: usize) {
    let took = began.elapsed().as_secs_f64();
    let hours = |report: &Report| report.simulated_ms as f64 / 3_600_000.0;
    let all: f64 = reports.iter().map(hours).sum();
    let machines: f64 = reports.iter().map(|report| hours(report) * report.machines as f64).sum();
    let count = |of: fn(&Report) -> u64| reports.iter().map(of).sum::<u64>();
    say(&format!(
        "{} runs, {all:.0} hours, {machines:.0} machine-hours in {took:.1} s on {threads} threads: {:.1} hours/s, {:.0} machine-hours/s\n",
        reports.len(),
        all / took,
        machines / took,
    ));
    say(&format!(
        "{} events, {} packets ({} refused), {} views, {} power cycles of what hung, {} looks by checkers\n",
        count(|report| report.tally.events),
        count(|report| report.tally.packets),
        count(|report| report.tally.refusals),
        count(|report| report.tally.views),
        count(|report| report.tally.cycled),
        count(|report| report.looks.values().sum()),
    ));
}

/// All of one run; the seed is on the last line.
fn whole(report: &Report) {
    let states = report.states.iter().map(|(state, count)| format!("{count} {state}"));
    say(&format!("{} machines: {}\n", report.machines, states.collect::<Vec<_>>().join(", ")));
    let looks = report.looks.iter().map(|(checker, count)| format!("{checker} {count}"));
    say(&format!("checked: {}\n", looks.collect::<Vec<_>>().join(", ")));
    line(report);
}

fn line(report: &Report) {
    let found = match &report.violation {
        Some(violation) => format!("{} at {} ms: {}", violation.checker, violation.at_ms, violation.words),
        None => "nothing found".to_owned(),
    };
    say(&format!("seed {}: {found}; {} lines, digest {:016x}\n", report.seed, report.lines, report.digest));
}

fn say(text: &str) {
    // If nobody listens there is nobody to tell.
    let _ = std::io::stdout().write_all(text.as_bytes());
}
