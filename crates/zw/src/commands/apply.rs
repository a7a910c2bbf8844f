//! `zw apply | rollback | restart`: shows what would happen, asks, begins it, and looks on.

use crate::client::{self, Failure, Server, Which};
use crate::commands::change;
use crate::commands::check::failed;
use crate::times;
use api::change::{
    Applied, Apply, ChangeDetail, GoneRow, MemberRow, PlanRow, Predicted, Restart, Rollback, Tightest,
};
use clap::Args as ClapArgs;
use model::Location;
use std::fmt::Write as _;
use std::io::{BufRead, IsTerminal, Write};
use std::process::ExitCode;
use std::time::Duration;

/// Machines that are listed before it begins.
const LISTED_MAX: usize = 12;

/// Make the design as it lies before the controller current, and bring it to machines in service wave by wave.
///
/// Addresses, names, DNS and new machines follow the new plan at once. A machine in service keeps what it runs by until its turn: one
/// machine of each role first, then those machines' racks, their pods, the zone, each wave watched before the next. What goes
/// wrong stops it and is taken back.
#[derive(ClapArgs)]
#[command(
    override_usage = "zw apply -m <WORDS> [OPTIONS]\n       zw apply --dry-run [OPTIONS]",
    after_help = "Examples:\n  zw apply --dry-run\n  zw apply -m 'kernel 6.1.140' --wait\n  zw apply -m 'rack 7 is gone' --remove 36 --yes"
)]
pub(crate) struct Args {
    #[command(flatten)]
    why: Why,
    #[command(flatten)]
    allowed: Allowed,
    #[command(flatten)]
    how: How,
}

/// Why it is done.
#[derive(ClapArgs)]
struct Why {
    /// Why, for everybody who asks later; left out only with --dry-run.
    #[arg(long, short = 'm', value_name = "WORDS", required_unless_present = "dry_run", value_parser = words)]
    reason: Option<String>,
}

impl Why {
    fn told(&self) -> String {
        self.reason.clone().unwrap_or_default()
    }
}

fn words(text: &str) -> Result<String, &'static str> {
    if text.trim().is_empty() { Err("say why, in a few words") } else { Ok(text.to_owned()) }
}

/// What a plan may do that needs a word of its own.
#[derive(ClapArgs, Clone, Copy)]
struct Allowed {
    /// Existing addresses may change.
    #[arg(long)]
    renumber: bool,
    /// So many machines may disappear; needed for every one that is in service.
    #[arg(long, default_value_t = 0, value_name = "COUNT")]
    remove: u32,
    /// So many may be new, where they more than double the zone.
    #[arg(long, default_value_t = 0, value_name = "COUNT")]
    grow: u32,
}

/// Make the design of a plan of before current again, as a new plan, and bring machines back to it wave by wave.
///
/// What was wiped stays wiped, and the design's files stay as they are: put them right, or the next `zw apply` brings them back.
#[derive(ClapArgs)]
#[command(
    override_usage = "zw rollback -m <WORDS> [OPTIONS]\n       zw rollback --dry-run [OPTIONS]",
    after_help = "Examples:\n  zw rollback --dry-run\n  zw rollback --to 41 -m 'slow disks since 42' --wait\n  zw rollback -m 'rack 7 is not there yet' --remove 36"
)]
pub(crate) struct RollbackArgs {
    /// Which plan [default: the newest before the current one that was not taken back].
    #[arg(long, value_name = "PLAN")]
    to: Option<u64>,
    #[command(flatten)]
    why: Why,
    #[command(flatten)]
    allowed: Allowed,
    #[command(flatten)]
    how: How,
}

/// Restart machines wave by wave, as the budgets allow.
#[derive(ClapArgs)]
#[command(
    override_usage = "zw restart -m <WORDS> [OPTIONS] <TARGET>...\n       zw restart --dry-run [OPTIONS] <TARGET>...",
    after_help = "Examples:\n  zw restart pod=p07,role=hypervisor -m 'microcode' --wait\n  zw restart p01/r2 --dry-run"
)]
pub(crate) struct RestartArgs {
    /// Locations, names, addresses, racks, pods, selectors (`pod=p07,role=hypervisor`), or `all`.
    #[arg(required = true, value_name = "TARGET")]
    targets: Vec<String>,
    #[command(flatten)]
    why: Why,
    #[command(flatten)]
    how: How,
}

/// How it is gone about.
#[derive(ClapArgs)]
struct How {
    /// Only say what would happen.
    #[arg(long)]
    dry_run: bool,
    /// Do not ask.
    #[arg(long, short)]
    yes: bool,
    /// Look on until it is over; exit with status 1 if it did not come off.
    #[arg(long)]
    wait: bool,
    /// Print JSON, as the API gives it; does not ask.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    which: Which,
}

/// `zw apply`.
pub(crate) fn run(args: &Args) -> ExitCode {
    let begin = |server: &Server, seen: Option<&Applied>| -> Result<Applied, Failure> {
        let Allowed { renumber, remove, grow } = args.allowed;
        let asked = Apply {
            reason: args.why.told(),
            renumber,
            remove,
            grow,
            dry_run: seen.is_none(),
            against: seen.map(|seen| seen.generation),
            design: seen.and_then(|seen| seen.design.clone()),
        };
        client::post(server, "/v1/apply", &asked)
    };
    finish(began(&args.how, begin))
}

/// `zw rollback`.
pub(crate) fn rollback(args: &RollbackArgs) -> ExitCode {
    let begin = |server: &Server, seen: Option<&Applied>| -> Result<Applied, Failure> {
        let Allowed { renumber, remove, grow } = args.allowed;
        // The one that was shown: which it is by itself may be another by now.
        let shown = seen.and_then(|seen| seen.back_to.as_ref()).map(|row| row.generation);
        let asked = Rollback {
            to: shown.or(args.to).unwrap_or_default(),
            reason: args.why.told(),
            renumber,
            remove,
            grow,
            dry_run: seen.is_none(),
            against: seen.map(|seen| seen.generation),
        };
        client::post(server, "/v1/rollback", &asked)
    };
    finish(began(&args.how, begin))
}

/// `zw restart`.
pub(crate) fn restart(args: &RestartArgs) -> ExitCode {
    finish(restarted(args))
}

fn finish(outcome: Result<ExitCode, Failure>) -> ExitCode {
    outcome.unwrap_or_else(|failure| failed(&failure))
}

/// Shows, asks, begins what was shown and nothing else, and looks on.
fn began(
    how: &How,
    begin: impl Fn(&Server, Option<&Applied>) -> Result<Applied, Failure>,
) -> Result<ExitCode, Failure> {
    let server = how.which.find()?;
    let shown = begin(&server, None)?;
    if !how.json {
        say(&preview(&shown, how.dry_run));
    }
    if how.dry_run || shown.refused.is_some() {
        print_json(how, &shown);
        return Ok(if shown.refused.is_some() { ExitCode::from(1) } else { ExitCode::SUCCESS });
    }
    if !shown.machines.is_empty() && !is_meant(how) {
        say("nothing was begun\n");
        return Ok(ExitCode::from(1));
    }
    let applied = begin(&server, Some(&shown))?;
    print_json(how, &applied);
    if !how.json {
        say(&outcome(&applied));
    }
    match (applied.change, &applied.refused) {
        (_, Some(_)) => Ok(ExitCode::from(1)),
        (Some(id), None) if how.wait => change::watch(&server, id),
        _ => Ok(ExitCode::SUCCESS),
    }
}

fn restarted(args: &RestartArgs) -> Result<ExitCode, Failure> {
    let how = &args.how;
    let server = how.which.find()?;
    let ask = |dry_run: bool| -> Result<ChangeDetail, Failure> {
        let asked = Restart { targets: args.targets.clone(), reason: args.why.told(), dry_run };
        client::post(&server, "/v1/restart", &asked)
    };
    let shown = ask(true)?;
    if !how.json {
        say(&touched(&shown.machines));
        say(&waves(&shown.ahead));
    }
    if how.dry_run {
        print_json(how, &shown);
        return Ok(ExitCode::SUCCESS);
    }
    if !is_meant(how) {
        say("nothing was begun\n");
        return Ok(ExitCode::from(1));
    }
    let begun = ask(false)?;
    print_json(how, &begun);
    if !how.json {
        say(&format!(
            "change {} has begun; `zw change {}` shows how far it is\n",
            begun.row.id, begun.row.id
        ));
    }
    if how.wait { change::watch(&server, begun.row.id) } else { Ok(ExitCode::SUCCESS) }
}

/// What would happen, in words. What is refused is not to be read through before that is seen, but where it was asked for.
fn preview(applied: &Applied, is_asked_for: bool) -> String {
    let mut text = String::new();
    for finding in &applied.findings {
        let _ = writeln!(
            text,
            "{}:{}:{}: {} {}: {}",
            finding.file, finding.line, finding.column, finding.severity, finding.code, finding.sentence
        );
        if let Some(help) = &finding.help {
            let _ = writeln!(text, "    {help}");
        }
    }
    if let Some(to) = &applied.back_to {
        let at = times::date_and_time(to.at);
        let _ = writeln!(text, "back to plan #{} of {at}, by {}: {}", to.generation, to.author, to.reason);
    }
    text += &gone(&applied.gone);
    // What is in force already is said once: afterwards, if somebody meant to begin it.
    let is_outcome = applied.in_force.is_some();
    if is_asked_for || (applied.refused.is_none() && !is_outcome) {
        text += &expected(applied);
    }
    if let Some(refused) = &applied.refused {
        let _ = writeln!(text, "plan #{} stays in force: {refused}", applied.generation);
    }
    text
}

/// What happens to machines that stay.
fn expected(applied: &Applied) -> String {
    if let Some(row) = &applied.in_force {
        return already(row);
    }
    let mut text = match applied.machines.is_empty() {
        false => touched(&applied.machines),
        true if applied.gone.iter().any(|row| row.in_service) => String::new(),
        // Nothing is known of a design that could not be compiled.
        true if applied.findings.iter().any(|finding| finding.severity == "error") => String::new(),
        true => "No machine in service is touched.\n".to_owned(),
    };
    text += &waves(&applied.waves);
    for sentence in &applied.for_good {
        let _ = writeln!(text, "For good: {sentence}.");
    }
    text
}

/// Machines that go, and how much goes with them.
fn gone(rows: &[GoneRow]) -> String {
    let mut text = String::new();
    // Those in service first: they are what the number is asked for.
    let (first, then): (Vec<&GoneRow>, Vec<&GoneRow>) = rows.iter().partition(|row| row.in_service);
    for row in first.iter().chain(&then).take(LISTED_MAX) {
        let _ = writeln!(
            text,
            "  gone    {:<14} {:<9} {}, {}",
            row.location.within_zone(),
            row.state,
            counted(row.addresses.len(), "address", "addresses"),
            counted(row.names.len(), "name", "names")
        );
    }
    if rows.len() > LISTED_MAX {
        let _ = writeln!(text, "  … and {} more (--json lists all)", rows.len() - LISTED_MAX);
    }
    if !rows.is_empty() {
        let sum = |of: fn(&GoneRow) -> usize| rows.iter().map(of).sum();
        let _ = writeln!(
            text,
            "{} gone, {} in service; {} and {} with them",
            counted(rows.len(), "machine", "machines"),
            first.len(),
            counted(sum(|row| row.addresses.len()), "address", "addresses"),
            counted(sum(|row| row.names.len()), "name", "names")
        );
    }
    text
}

fn counted(count: usize, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

fn touched(rows: &[MemberRow]) -> String {
    let mut text = String::new();
    for row in rows.iter().take(LISTED_MAX) {
        let _ = writeln!(
            text,
            "  {:<7} {:<14} {:<9} {}{}",
            row.wave,
            row.location.within_zone(),
            row.effect,
            row.because,
            row.why.as_ref().map(|why| format!("; passed over: {why}")).unwrap_or_default()
        );
    }
    if rows.len() > LISTED_MAX {
        let _ = writeln!(text, "  … and {} more (--json lists all)", rows.len() - LISTED_MAX);
    }
    text
}

fn waves(waves: &[Predicted]) -> String {
    let mut text = String::new();
    for wave in waves {
        let _ = writeln!(
            text,
            "wave {:<7} {:>5} machine{} {:>4} at once   about {}",
            wave.reach,
            wave.machines,
            if wave.machines == 1 { ", " } else { "s," },
            wave.at_once,
            lifecycle::why::about(Duration::from_secs(wave.seconds))
        );
        if let Some(margin) = &wave.margin {
            let _ = writeln!(text, "  {}", margin_in_words(margin));
        }
        if wave.passed > 0 {
            let _ = writeln!(text, "  {} of them not in service: passed over", wave.passed);
        }
    }
    if waves.len() > 1 {
        let _ = writeln!(text, "in all about {}, if nothing is in the way", change::in_all(waves));
    }
    text
}

/// `margin: compute in p01/r1 lets 2 of 20 be out: 1 taken at a time, 1 left`.
fn margin_in_words(margin: &Tightest) -> String {
    let Tightest { budget, domain, members, limit, out, taken, left } = margin;
    let place = match domain.contains('/') {
        true => Location::new(domain).within_zone().to_owned(),
        false => "the zone".to_owned(),
    };
    let already = match out {
        0 => String::new(),
        1 => "1 is out already, ".to_owned(),
        out => format!("{out} are out already, "),
    };
    let rest = match taken {
        0 => "it waits".to_owned(),
        _ => format!("{taken} taken at a time, {left} left"),
    };
    format!("margin: {budget} in {place} lets {limit} of {members} be out: {already}{rest}")
}

fn outcome(applied: &Applied) -> String {
    match (&applied.refused, applied.change) {
        (Some(refused), _) => format!("plan #{} stays in force: {refused}\n", applied.generation),
        (None, Some(id)) => format!(
            "plan #{} is in force, and change {id} brings it to the machines; `zw change {id}` shows how far it is\n",
            applied.generation
        ),
        (None, None) if applied.changed => format!("plan #{} is in force\n", applied.generation),
        (None, None) => match &applied.in_force {
            Some(row) => already(row),
            None => format!("plan #{} is in force; nothing changed\n", applied.generation),
        },
    }
}

/// Whose plan it is that is of this design already: nothing that is said now is kept with it.
fn already(row: &PlanRow) -> String {
    let at = times::date_and_time(row.at);
    format!(
        "nothing changes: this design is in force since {at}, as plan #{} of {}: {}\n",
        row.generation, row.author, row.reason
    )
}

/// Whether whoever is at the terminal says so; without one, only `--yes` and `--json` do.
fn is_meant(how: &How) -> bool {
    if how.yes || how.json {
        return true;
    }
    let mut out = anstream::stderr();
    let _ = write!(out, "Begin? [y/N] ");
    let _ = out.flush();
    let mut line = String::new();
    let read = std::io::stdin().lock().read_line(&mut line);
    if !std::io::stdin().is_terminal() {
        let _ = writeln!(out);
    }
    read.is_ok() && matches!(line.trim(), "y" | "Y" | "yes")
}

fn print_json(how: &How, value: &impl serde::Serialize) {
    if how.json
        && let Ok(text) = serde_json::to_string(value)
    {
        say(&(text + "\n"));
    }
}

fn say(text: &str) {
    // Nothing more can be done when standard output is closed.
    let _ = anstream::stdout().write_all(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::{Args, RollbackArgs, preview};
    use api::change::{Applied, GoneRow, MemberRow, PlanRow, Predicted, Tightest};
    use clap::Parser;
    use expect_test::{Expect, expect};
    use model::{Location, Time};

    fn nothing() -> Applied {
        Applied {
            generation: 12,
            changed: false,
            change: None,
            refused: None,
            findings: Vec::new(),
            machines: Vec::new(),
            waves: Vec::new(),
            for_good: Vec::new(),
            gone: Vec::new(),
            design: None,
            back_to: None,
            in_force: None,
        }
    }

    fn restart() -> Applied {
        let machine = MemberRow {
            location: Location::new("lab1/p01/r1/u01"),
            wave: "canary".to_owned(),
            effect: "restart".to_owned(),
            because: "image kvm has changed".to_owned(),
            step: "waiting".to_owned(),
            since: None,
            took_ms: None,
            why: None,
        };
        let margin = Tightest {
            budget: "compute".to_owned(),
            domain: "lab1/p01/r1".to_owned(),
            members: 20,
            limit: 2,
            out: 0,
            taken: 1,
            left: 1,
        };
        let wave = Predicted {
            reach: "canary".to_owned(),
            machines: 1,
            passed: 0,
            at_once: 1,
            seconds: 60,
            margin: Some(margin),
        };
        Applied { machines: vec![machine], waves: vec![wave], ..nothing() }
    }

    fn row(generation: u64) -> PlanRow {
        PlanRow {
            generation,
            parent: generation - 1,
            author: "alice".to_owned(),
            reason: "new kernel".to_owned(),
            at: Time(1_795_245_741_733),
            commit: None,
            change: None,
        }
    }

    fn gone(location: &str, in_service: bool) -> GoneRow {
        GoneRow {
            location: Location::new(location),
            state: if in_service { "ready" } else { "expected" }.to_owned(),
            in_service,
            names: vec!["hv".to_owned(), "hv-bmc".to_owned()],
            addresses: vec![[10, 64, 0, 9].into()],
        }
    }

    fn check(applied: &Applied, is_dry: bool, expected: Expect) {
        expected.assert_eq(&preview(applied, is_dry));
    }

    #[test]
    fn what_is_refused_is_said_before_what_it_would_do() {
        check(
            &nothing(),
            false,
            expect![[r#"
            No machine in service is touched.
        "#]],
        );
        check(
            &restart(),
            false,
            expect![[r#"
                  canary  p01/r1/u01     restart   image kvm has changed
                wave canary      1 machine,     1 at once   about 1 min 0 s
                  margin: compute in p01/r1 lets 2 of 20 be out: 1 taken at a time, 1 left
            "#]],
        );
        let refused = Applied { refused: Some("change 2 is under way".to_owned()), ..restart() };
        check(
            &refused,
            false,
            expect![[r#"
            plan #12 stays in force: change 2 is under way
        "#]],
        );
        check(
            &refused,
            true,
            expect![[r#"
                  canary  p01/r1/u01     restart   image kvm has changed
                wave canary      1 machine,     1 at once   about 1 min 0 s
                  margin: compute in p01/r1 lets 2 of 20 be out: 1 taken at a time, 1 left
                plan #12 stays in force: change 2 is under way
            "#]],
        );
    }

    #[test]
    fn machines_that_go_are_shown_with_what_goes_with_them() {
        let gone = vec![gone("lab1/p01/r1/u05", false), gone("lab1/p01/r1/u04", true)];
        let refused = Some("2 machines would be gone".to_owned());
        check(
            &Applied { gone: gone.clone(), refused, ..nothing() },
            false,
            expect![[r#"
              gone    p01/r1/u04     ready     1 address, 2 names
              gone    p01/r1/u05     expected  1 address, 2 names
            2 machines gone, 1 in service; 2 addresses and 4 names with them
            plan #12 stays in force: 2 machines would be gone
        "#]],
        );
        check(
            &Applied { gone: gone[..1].to_vec(), ..nothing() },
            false,
            expect![[r#"
              gone    p01/r1/u05     expected  1 address, 2 names
            1 machine gone, 0 in service; 1 address and 2 names with them
            No machine in service is touched.
        "#]],
        );
    }

    #[test]
    fn a_way_back_says_where_it_leads() {
        check(
            &Applied { back_to: Some(row(9)), ..nothing() },
            false,
            expect![[r#"
            back to plan #9 of 2026-11-21T07:22:21Z, by alice: new kernel
            No machine in service is touched.
        "#]],
        );
    }

    #[test]
    fn what_is_in_force_already_says_whose_it_is() {
        let applied = Applied { in_force: Some(row(12)), ..nothing() };
        check(
            &applied,
            true,
            expect![[r#"
            nothing changes: this design is in force since 2026-11-21T07:22:21Z, as plan #12 of alice: new kernel
        "#]],
        );
        check(&applied, false, expect![""]);
        expect![[r#"
            nothing changes: this design is in force since 2026-11-21T07:22:21Z, as plan #12 of alice: new kernel
        "#]].assert_eq(&super::outcome(&applied));
    }

    #[derive(Parser)]
    enum Line {
        Apply(Args),
        Rollback(RollbackArgs),
    }

    #[test]
    fn a_reason_is_words() {
        let said = |words: &[&str]| {
            Line::try_parse_from([&["zw"], words].concat()).err().map(|error| error.to_string())
        };
        assert_eq!(said(&["apply", "-m", "new kernel"]), None);
        assert_eq!(said(&["rollback", "--dry-run"]), None);
        for words in [&["rollback", "-m", " "][..], &["apply", "-m", ""]] {
            assert!(said(words).is_some_and(|said| said.contains("say why, in a few words")), "{words:?}");
        }
        assert!(said(&["apply"]).is_some_and(|said| said.contains("zw apply -m <WORDS>")));
    }
}
