//! `zw export svg boot`: the last boot of a running zone, from its controller's history.

use super::output::{Output, usage};
use crate::client::{self, Failure, Server, Which};
use crate::commands::check::failed;
use crate::times::{self, Since};
use api::http::{Machine, MachineRow, Machines, Status, Zone};
use clap::Args as ClapArgs;
use render::picture::{self, Booted, Happened};
use std::process::ExitCode;

/// The last boot of all machines together, phase by phase: asks the controller.
///
/// How many machines were in which phase at any time, how long phases took, the slowest ten; then a line for each machine, or of
/// more than 400 for each rack. Boots are together where what is between them is short against them; --since takes others.
#[derive(ClapArgs)]
#[command(
    after_help = "Examples:\n  zw export svg boot -o storm.html\n  zw export svg boot p01 --paper a3 -o storm\n  \
                        zw export svg boot --since 30m -o storm.html\n  \
                        zw export svg boot --server 127.0.0.1:8480 -o storm.html"
)]
pub(super) struct Args {
    /// Racks (p01/r1), pods (p01) or machines. Default: all.
    #[arg(value_name = "PLACE")]
    places: Vec<String>,
    /// Machines whose last boot began then or later, however far apart: 2026-11-21T06:45:03Z, or so long ago: 90s, 30m, 12h, 7d.
    #[arg(long, value_name = "TIME", value_parser = times::since)]
    since: Option<Since>,
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    which: Which,
}

/// Runs the command.
pub(super) fn run(args: &Args) -> ExitCode {
    let asked = args.which.find().and_then(|server| {
        // By the controller's clock, as all times of boots are.
        let now = |since: Since| Ok(since.time(client::get::<Status>(&server, "/v1/status")?.now).0);
        let since = args.since.map(now).transpose()?;
        Ok((since, history(&server, &args.places)?))
    });
    match asked {
        Ok((since, (zone, machines))) => {
            match picture::boot(&zone, &machines, since, args.output.paper()) {
                sheets if sheets.is_empty() && since.is_some() => {
                    usage("no machine there has booted since then")
                }
                sheets if sheets.is_empty() => usage("no machine there has booted"),
                // There are two at least, of however few machines.
                sheets => args.output.write(&zone, &sheets, ""),
            }
        }
        Err(failure) => failed(&failure),
    }
}

/// The zone's name, and its machines with what happened to them.
fn history(server: &Server, places: &[String]) -> Result<(String, Vec<Booted>), Failure> {
    let zone = client::get::<Zone>(server, "/v1/zone")?.name;
    let rows = client::get::<Machines>(server, "/v1/machines")?.machines;
    for place in places {
        if !rows.iter().any(|row| is_in(row, place)) {
            let known = rows.iter().flat_map(|row| {
                let within = row.location.within_zone();
                within.match_indices('/').map(|(at, _)| &within[..at]).chain([within])
            });
            let near = model::finding::nearest(place, known);
            let near = near.map(|near| format!("; did you mean {near}?")).unwrap_or_default();
            return Err(Failure::NotFound(format!("the zone has no machine at {place}{near}")));
        }
    }
    let wanted =
        rows.into_iter().filter(|row| places.is_empty() || places.iter().any(|place| is_in(row, place)));
    let mut machines = Vec::new();
    for row in wanted {
        // It counts among those that should have come.
        if row.state == "expected" {
            machines.push(Booted { location: row.location, name: row.name, events: Vec::new() });
            continue;
        }
        let path = format!("/v1/machines/{}", client::encoded(row.location.within_zone()));
        let machine: Machine = client::get(server, &path)?;
        let events = machine.timeline.into_iter().map(|event| Happened {
            at: event.at.0,
            fetched: event.kind == "file-fetched",
            state: event.state,
        });
        machines.push(Booted { location: row.location, name: row.name, events: events.collect() });
    }
    Ok((zone, machines))
}

/// Whether a machine stands there, or is named so.
fn is_in(row: &MachineRow, place: &str) -> bool {
    let below =
        |path: &str| path.strip_prefix(place).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    row.name == place || below(row.location.as_str()) || below(row.location.within_zone())
}
