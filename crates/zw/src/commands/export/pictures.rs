//! `zw export svg`: drawings of the plan, for paper and for the wall.

use super::output::{Output, usage};
use super::plan;
use clap::{Args as ClapArgs, Subcommand};
use model::Plan;
use render::picture::{self, Elevations, Places, Sheet};
use std::path::PathBuf;
use std::process::ExitCode;

/// Drawings: rack elevations, cabling, the address plan, and a boot of the whole zone.
#[derive(ClapArgs)]
#[command(
    arg_required_else_help = true,
    disable_help_subcommand = true,
    after_help = "Examples:\n  zw export svg elevations my-zone -o racks          # a file for each rack\n  \
                        zw export svg elevations my-zone p01 --row --paper a3 -o p01.html\n  \
                        zw export svg elevations my-zone p01/r1 | rsvg-convert -f pdf > p01-r1.pdf"
)]
pub(crate) struct SvgArgs {
    #[command(subcommand)]
    sheet: Drawing,
}

#[derive(Subcommand)]
enum Drawing {
    Elevations(ElevationsArgs),
}

/// Which part of which design.
#[derive(ClapArgs)]
pub(super) struct Part {
    /// The design's directory.
    #[arg(default_value = ".", value_name = "DESIGN")]
    directory: PathBuf,
    /// Racks (p01/r1), pods (p01) or selectors (pod=p01,rack=r1). Default: all.
    #[arg(value_name = "PLACE")]
    places: Vec<String>,
}

/// What stands in each rack, unit by unit, and where each port leads.
#[derive(ClapArgs)]
struct ElevationsArgs {
    #[command(flatten)]
    part: Part,
    /// Racks beside each other on a lying sheet, instead of one on each.
    #[arg(long)]
    row: bool,
    #[command(flatten)]
    output: Output,
}

/// Runs the command.
pub(super) fn svg(args: &SvgArgs) -> ExitCode {
    match &args.sheet {
        Drawing::Elevations(args) => draw(&args.part, &args.output, |plan, places| {
            picture::elevations(plan, places, Elevations { paper: args.output.paper(), row: args.row })
        }),
    }
}

fn draw(part: &Part, output: &Output, sheets: impl Fn(&Plan, &Places) -> Vec<Sheet>) -> ExitCode {
    let plan = match plan(&part.directory) {
        Ok(plan) => plan,
        Err(status) => return status,
    };
    match Places::of(&plan, &part.places) {
        Ok(places) => output.write(&plan.design.zone.name, &sheets(&plan, &places)),
        Err(sentence) => usage(&sentence),
    }
}
