//! `zw status`: a map of the zone, and what to look at.

use crate::client::{self, Failure, Server, Which};
use crate::commands::check::failed;
use crate::times;
use anstyle::{AnsiColor, Style};
use api::http::{Status, UnitMap};
use clap::Args as ClapArgs;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

/// How often `--watch` looks.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// The width that is used if the terminal does not say its own.
const WIDTH: usize = 100;
/// Troubles that are listed.
const TROUBLES_MAX: usize = 20;

/// Show pods, racks and units by state, and what to look at.
#[derive(ClapArgs)]
#[command(after_help = "Examples:\n  zw status --watch\n  zw status --json | jq .states")]
pub(crate) struct Args {
    /// Print JSON, as the API gives it.
    #[arg(long)]
    json: bool,
    /// Show it again every second, until interrupted.
    #[arg(long, conflicts_with = "json")]
    watch: bool,
    #[command(flatten)]
    which: Which,
}

/// Runs the command.
pub(crate) fn run(args: &Args) -> ExitCode {
    let outcome =
        args.which.find().and_then(|server| if args.watch { watch(&server) } else { once(args, &server) });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failed(&failure),
    }
}

fn once(args: &Args, server: &Server) -> Result<(), Failure> {
    let text = if args.json {
        client::get_text(server, "/v1/status")? + "\n"
    } else {
        drawn(&client::get(server, "/v1/status")?, width())
    };
    // Nothing more can be done when standard output is closed.
    let _ = anstream::stdout().write_all(text.as_bytes());
    Ok(())
}

fn watch(server: &Server) -> Result<(), Failure> {
    // The first failure is told and ends it; later ones are a controller that is being restarted.
    let mut text = drawn(&client::get(server, "/v1/status")?, width());
    loop {
        let lines = text.lines().count();
        if anstream::stdout().write_all(text.as_bytes()).is_err() {
            return Ok(());
        }
        std::thread::sleep(LOOK_EVERY);
        text = match client::get(server, "/v1/status") {
            Ok(status) => drawn(&status, width()),
            Err(failure) => format!("{failure}\n"),
        };
        // Back to where the last one began, and clear from there: no flicker, and what was above stays.
        if anstream::stdout().write_all(format!("\x1b[{lines}A\x1b[J").as_bytes()).is_err() {
            return Ok(());
        }
    }
}

fn width() -> usize {
    std::env::var("COLUMNS")
        .ok()
        .and_then(|columns| columns.parse().ok())
        .filter(|width| *width >= 40)
        .unwrap_or(WIDTH)
}

/// The status as text with colours; print it through `anstream`.
fn drawn(status: &Status, width: usize) -> String {
    let bold = Style::new().bold();
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = writeln!(
        text,
        "{bold}{}{bold:#}  plan #{}, serving for {}, {} answered, {} refused, {} agents connected\n",
        status.zone,
        status.generation,
        times::took(status.now.0.saturating_sub(status.started.0)),
        status.answered,
        status.refused,
        status.agents,
    );
    if let Some(controllers) = &status.controllers {
        let leads = match &controllers.leads {
            Some(leads) if *leads == controllers.this => "this one decides".to_owned(),
            Some(leads) => format!("{leads} decides"),
            None => "nobody is known to decide".to_owned(),
        };
        let present = controllers.present.join(", ");
        let _ = writeln!(text, "controller {} of {present}: {leads}\n", controllers.this);
    }
    for pod in &status.pods {
        let label_width = status.pods.iter().map(|pod| pod.pod.chars().count()).max().unwrap_or(0);
        let racks: Vec<(String, usize)> = pod
            .racks
            .iter()
            .map(|rack| {
                let glyphs: String = rack.units.iter().map(glyph).collect();
                let plain = rack.rack.chars().count() + 1 + rack.units.len();
                (format!("{} {glyphs}", rack.rack), plain)
            })
            .collect();
        for (index, line) in wrapped(&racks, width.saturating_sub(label_width + 2)).into_iter().enumerate() {
            let label = if index == 0 { pod.pod.as_str() } else { "" };
            let _ = writeln!(text, "{bold}{label:label_width$}{bold:#}  {line}");
        }
    }
    text += "\n";
    text += &legend(&status.states);
    if status.overdue > 0 {
        let _ = writeln!(text, "{} wait longer than is ordinary", status.overdue);
    }
    if !status.troubles.is_empty() {
        text += "\n";
    }
    for trouble in status.troubles.iter().take(TROUBLES_MAX) {
        let warn = AnsiColor::Yellow.on_default().bold();
        let at = trouble
            .location
            .as_ref()
            .map(|location| format!("{}: ", location.within_zone()))
            .unwrap_or_default();
        let code = trouble.code.as_ref().map(|code| format!(" [{code}]")).unwrap_or_default();
        let _ = writeln!(text, "{warn}!{warn:#} {at}{}{code}", trouble.sentence);
    }
    let more = status.troubles.len().saturating_sub(TROUBLES_MAX) + status.more_troubles;
    if more > 0 {
        let _ = writeln!(text, "  and {more} more: zw status --json");
    }
    text
}

/// Pieces side by side, in lines of at most `width` characters. Each comes with its width without colours.
fn wrapped(pieces: &[(String, usize)], width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    let mut used = 0;
    for (piece, plain) in pieces {
        match lines.last_mut().filter(|_| used + 2 + plain <= width) {
            Some(line) => {
                *line += "  ";
                *line += piece;
                used += 2 + plain;
            }
            None => {
                lines.push(piece.clone());
                used = *plain;
            }
        }
    }
    lines
}

/// States in the order of a machine's life, each with its glyph.
const STATES: [(&str, char, Style); 10] = [
    ("expected", '·', Style::new().dimmed()),
    ("seen", '○', AnsiColor::Cyan.on_default()),
    ("booting", '◔', AnsiColor::Cyan.on_default()),
    ("installing", '◑', AnsiColor::Blue.on_default()),
    ("validating", '◕', AnsiColor::Blue.on_default()),
    ("ready", '●', AnsiColor::Green.on_default()),
    ("draining", '▽', AnsiColor::Magenta.on_default()),
    ("maintenance", '□', AnsiColor::Magenta.on_default()),
    ("failed", '✗', AnsiColor::Red.on_default()),
    ("retired", '–', Style::new().dimmed()),
];

fn glyph(unit: &UnitMap) -> String {
    let known = STATES.iter().find(|(state, ..)| *state == unit.state);
    let (glyph, style) = known.map_or(('?', Style::new()), |(_, glyph, style)| (*glyph, *style));
    let style = if unit.attention { AnsiColor::Yellow.on_default().invert() } else { style };
    format!("{style}{glyph}{style:#}")
}

fn legend(states: &BTreeMap<String, usize>) -> String {
    let counted = STATES.iter().filter_map(|(state, glyph, style)| {
        let count = states.get(*state)?;
        Some(format!("{style}{glyph}{style:#} {count} {state}"))
    });
    let total: usize = states.values().sum();
    counted.collect::<Vec<_>>().join("   ") + &format!("   of {total}\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use api::http::{PodMap, RackMap, Trouble};
    use expect_test::expect;
    use model::{Location, Time};

    fn status(pods: Vec<PodMap>, troubles: Vec<Trouble>) -> Status {
        let mut states = BTreeMap::new();
        for unit in pods.iter().flat_map(|pod| &pod.racks).flat_map(|rack| &rack.units) {
            *states.entry(unit.state.clone()).or_default() += 1;
        }
        Status {
            zone: "ams1".into(),
            version: "0".into(),
            generation: 3,
            now: Time(100_000),
            started: Time(40_000),
            states,
            overdue: 1,
            agents: 2,
            pods,
            troubles,
            more_troubles: 0,
            controllers: None,
            refused: 4,
            answered: 50,
        }
    }

    fn rack(label: &str, states: &[&str]) -> RackMap {
        let unit = |(index, state): (usize, &&str)| UnitMap {
            unit: format!("u{index}"),
            state: (*state).into(),
            attention: false,
        };
        RackMap { rack: label.into(), units: states.iter().enumerate().map(unit).collect() }
    }

    fn plain(status: &Status, width: usize) -> String {
        anstream::adapter::strip_str(&drawn(status, width)).to_string()
    }

    #[test]
    fn each_unit_is_one_glyph() {
        let pods = vec![
            PodMap {
                pod: "p01".into(),
                racks: vec![rack("r1", &["ready", "ready", "failed"]), rack("r2", &["booting", "seen"])],
            },
            PodMap { pod: "p02".into(), racks: vec![rack("r1", &["expected", "retired"])] },
        ];
        let trouble = Trouble {
            about: "cabling".into(),
            location: Some(Location::new("ams1/p01/r1/u03")),
            change: None,
            code: Some("ZW0701".into()),
            sentence: "u03 and u04 are swapped".into(),
        };
        expect![[r#"
            ams1  plan #3, serving for 1 min 0 s, 50 answered, 4 refused, 2 agents connected

            p01  r1 ●●✗  r2 ◔○
            p02  r1 ·–

            · 1 expected   ○ 1 seen   ◔ 1 booting   ● 2 ready   ✗ 1 failed   – 1 retired   of 7
            1 wait longer than is ordinary

            ! p01/r1/u03: u03 and u04 are swapped [ZW0701]
        "#]]
        .assert_eq(&plain(&status(pods, vec![trouble]), 80));
    }

    #[test]
    fn racks_wrap_at_the_width_of_the_terminal() {
        let racks = (1..=5).map(|number| rack(&format!("r{number}"), &["ready"; 10])).collect();
        let drawn = plain(&status(vec![PodMap { pod: "p1".into(), racks }], vec![]), 40);
        let map: Vec<&str> =
            drawn.lines().filter(|line| line.contains('●') && line.contains('r')).take(3).collect();
        assert_eq!(
            map,
            ["p1  r1 ●●●●●●●●●●  r2 ●●●●●●●●●●", "    r3 ●●●●●●●●●●  r4 ●●●●●●●●●●", "    r5 ●●●●●●●●●●",]
        );
    }

    #[test]
    fn a_unit_that_needs_attention_stands_out() {
        let unit = UnitMap { unit: "u1".into(), state: "ready".into(), attention: true };
        assert_ne!(glyph(&unit), glyph(&UnitMap { attention: false, ..unit.clone() }));
    }
}
