//! What is done to the code rather than by it: `cargo xtask test`, `ci`, `tidy`, `reference`, `agent`.
//!
//! `cargo xtask ci` is the one gate; `.ci/run` and the README call the same commands.

mod agent;
mod checklists;
mod newer;
mod packages;
mod reference;
mod run;
mod tidy;

use std::process::ExitCode;

const USAGE: &str = "\
usage: cargo xtask COMMAND

  test        install what the tests need (Debian packages, if root and apt are there; else name them), run all tests;
              with `--firmware` also the long ones of real firmware in QEMU
  ci          the gate: format, clippy, tidy, reference, tests, and the zone of README powered on and off
  tidy        the rules that a program can check: who may depend on whom, a reason for each dependency, sizes
  reference   write docs/reference anew from the code; `--check` only says whether it is fresh
  bench       measure us and the servers that people use today, and write bench/results.md; with the name of a section
              (limit, dhcp, dhcp6, dns, storm, memory, change, plan, lab), `--smoke`, `--rounds N` or `--only SERVER` it only prints
  sim         the deciding code with everything around it played, in virtual time, by seeds: `--seed N`, `--seeds A..B`,
              `--machines N`, `--hours H`, `--trace FILE`, `--no-troubles`
  rehearsal   a lab of 200 machines (or so many) in which everything goes wrong that changes, controllers and edges are to survive;
              it prints what each took
  agent       build zw-agent as a static program, for the installer: `zw image build installer` finds it
  firmware    unpack a newer OVMF and iPXE beside what cargo builds, for the tests of HTTPS boot
  packages    install the Debian packages and Python programs that the tests use, or name them
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let outcome = match words.as_slice() {
        ["test", rest @ ..] => test(rest),
        ["ci"] => ci(),
        ["tidy"] => tidy::tidy(),
        ["reference"] => reference::write(),
        ["reference", "--check"] => reference::check(),
        ["bench", words @ ..] => bench(words),
        ["sim", words @ ..] => sim(words),
        ["rehearsal"] => rehearsal("200"),
        ["rehearsal", machines] => rehearsal(machines),
        ["agent"] => agent::build(),
        ["packages"] => packages::install(),
        ["firmware"] => {
            newer::fetch();
            Ok(())
        }
        _ => {
            run::say(USAGE);
            return ExitCode::from(2);
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            run::say(&format!("xtask: {why}\n"));
            ExitCode::FAILURE
        }
    }
}

fn test(rest: &[&str]) -> Result<(), String> {
    packages::install()?;
    // The tests of the whole run the program itself.
    run::cargo(&["build", "--quiet", "--package", "zw"])?;
    // Real machines boot it.
    if let Err(why) = agent::build() {
        run::say(&format!("tests that boot real machines are skipped: {why}\n"));
    }
    if rest.contains(&"--firmware") {
        newer::fetch();
    }
    let mut arguments = vec!["test", "--workspace", "--no-fail-fast"];
    arguments.extend(rest.iter().filter(|word| **word != "--firmware"));
    // Those that take long wait for kernels, clients and time-outs more than they work; real firmware works.
    let threads = (2 * std::thread::available_parallelism().map_or(1, usize::from)).to_string();
    let environment = if rest.contains(&"--firmware") {
        &[("ZW_FIRMWARE", "1")][..]
    } else if std::env::var_os("RUST_TEST_THREADS").is_none() {
        &[("RUST_TEST_THREADS", threads.as_str())][..]
    } else {
        &[]
    };
    run::cargo_with(&arguments, environment)
}

/// Builds the bench and what it measures, and becomes it.
fn bench(words: &[&str]) -> Result<(), String> {
    packages::install()?;
    run::cargo(&["build", "--quiet", "--release", "--package", "zw", "--package", "bench"])?;
    release("bench", words)
}

/// Builds the simulator, and becomes it.
fn sim(words: &[&str]) -> Result<(), String> {
    run::cargo(&["build", "--quiet", "--release", "--package", "sim"])?;
    release("sim", words)
}

/// A lab with everything in it, and all of its troubles.
fn rehearsal(machines: &str) -> Result<(), String> {
    let is_round = machines
        .parse()
        .is_ok_and(|machines: usize| (20..=500).contains(&machines) && machines.is_multiple_of(10));
    if !is_round {
        return Err(format!("a rehearsal has 20 to 500 machines, ten at a time, not {machines}"));
    }
    packages::install()?;
    run::cargo(&["build", "--quiet", "--package", "zw"])?;
    let arguments = ["test", "--quiet", "--package", "zw", "--test", "lab", "--", "rehearsal", "--nocapture"];
    run::cargo_with(&arguments, &[("ZW_REHEARSAL", machines)])
}

/// Runs a program that was built for release.
fn release(name: &str, words: &[&str]) -> Result<(), String> {
    // Beside this program's own directory, wherever cargo was told to build.
    let this = std::env::current_exe().map_err(|error| format!("failed to find this program: {error}"))?;
    let program = this.ancestors().nth(2).map(|target| target.join("release").join(name));
    let program = program.ok_or("this program is in no target directory")?;
    run::program(&program.display().to_string(), words)
}

fn ci() -> Result<(), String> {
    run::step("format", || run::cargo(&["fmt", "--all", "--check"]))?;
    run::step("tidy", tidy::tidy)?;
    run::step("reference", reference::check)?;
    run::step("clippy", || {
        run::cargo(&["clippy", "--workspace", "--all-targets", "--", "--deny", "warnings"])
    })?;
    run::step("test", || test(&[]))?;
    run::step("several hundred seeds", || sim(&["--seeds", "1..401"]))?;
    run::step("a thousand machines", || sim(&["--seeds", "1..3", "--machines", "1000", "--hours", "2"]))?;
    run::step("ten thousand", || sim(&["--seed", "1", "--machines", "10000"]))?;
    run::step("a zone powered on", || {
        run::cargo(&["run", "--release", "--", "lab", "up", "examples/pocket"])
    })?;
    run::step("and off", || run::cargo(&["run", "--release", "--", "lab", "down"]))?;
    run::step("the bench in short", || bench(&["--smoke"]))
}
