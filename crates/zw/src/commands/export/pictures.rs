//! `zw export svg`, `labels`, `pulls`: drawings and lists of the plan, for the wall, the aisle and the cable.

use super::output::{FEWER, Output, print, usage};
use super::plan;
use clap::{Args as ClapArgs, Subcommand, ValueEnum};
use model::Plan;
use render::picture::{self, Elevations, Labels, Places, Pulls, Sheet, Stock};
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
    /// How everything is cabled: the zone and its pods in tiers, with counts; each rack port by port.
    Cabling(SheetArgs),
    /// The address plan: pods, racks and subnets to scale, with what is in use and what growth has.
    Addresses(SheetArgs),
    Boot(super::storm::Args),
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

#[derive(ClapArgs)]
struct SheetArgs {
    #[command(flatten)]
    part: Part,
    #[command(flatten)]
    output: Output,
}

/// Cable labels, one for each end: flags that say on both halves which end this is and where the other one is.
#[derive(ClapArgs)]
#[command(
    after_help = "Print in actual size (100 %), not fitted to the page.\n\nExamples:\n  zw export labels my-zone p01/r1 -o p01-r1.html\n  \
                        zw export labels my-zone p01 --stock letter-30 --skip 12 -o p01.html\n  zw export labels my-zone --csv > labels.csv"
)]
pub(crate) struct LabelsArgs {
    #[command(flatten)]
    part: Part,
    /// The sheets of labels.
    #[arg(long, value_enum, default_value_t = Sheets::A4_48)]
    stock: Sheets,
    /// The thickest cable, in millimetres: the middle of a label goes around it.
    #[arg(long, value_name = "MM", default_value_t = 3.0)]
    cable: f64,
    /// How many labels of the first sheet are used up.
    #[arg(long, value_name = "COUNT", default_value_t = 0)]
    skip: usize,
    /// A line of CSV for each label, for a label printer, to standard output.
    #[arg(long, conflicts_with_all = ["output", "stock", "skip", "cable"])]
    csv: bool,
    /// Where the sheets go: a directory; FILE.html, all of them, for a browser to print; FILE.svg or `-`, where there is one.
    #[arg(short, long, value_name = "PATH")]
    output: Option<PathBuf>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Sheets {
    /// A4, 4 × 12 labels of 45.7 × 21.2 mm (as Avery L4778)
    #[value(name = "a4-48")]
    A4_48,
    /// A4, 3 × 8 labels of 63.5 × 33.9 mm (as Avery L4773)
    #[value(name = "a4-24")]
    A4_24,
    /// Letter, 3 × 10 labels of 2⅝ × 1 inches (as Avery 5520)
    #[value(name = "letter-30")]
    Letter30,
}

/// Cable pull lists: the cables of each rack by where they lead, with both ends, a length, and a box to tick.
///
/// Text to standard output; sheets of paper with --output.
#[derive(ClapArgs)]
#[command(
    after_help = "Examples:\n  zw export pulls my-zone p01/r1\n  zw export pulls my-zone p01 -o p01.html\n  \
                        zw export pulls my-zone --csv > cables.csv"
)]
pub(crate) struct PullsArgs {
    #[command(flatten)]
    part: Part,
    /// A line of CSV for each cable, for a spreadsheet, to standard output.
    #[arg(long, conflicts_with_all = ["output", "paper"])]
    csv: bool,
    #[command(flatten)]
    output: Output,
}

impl LabelsArgs {
    fn on(&self, stock: Sheets) -> Labels {
        let stock = match stock {
            Sheets::A4_48 => Stock::A4_48,
            Sheets::A4_24 => Stock::A4_24,
            Sheets::Letter30 => Stock::LETTER_30,
        };
        Labels { stock, cable: self.cable, skip: self.skip }
    }
}

/// That a label has no room for its words, and which would.
fn too_small(args: &LabelsArgs, pulls: &Pulls<'_>, words: &str) -> String {
    let name =
        |stock: Sheets| stock.to_possible_value().map_or_else(String::new, |it| it.get_name().to_owned());
    let has_room = |stock: &&Sheets| picture::labels(pulls, args.on(**stock)).is_ok();
    let others: Vec<String> = Sheets::value_variants()
        .iter()
        .filter(has_room)
        .map(|stock| format!("--stock {}", name(*stock)))
        .collect();
    let instead = if others.is_empty() {
        "no stock has room; --csv is for a label printer".to_owned()
    } else {
        format!("{} has room", others.join(" or "))
    };
    format!("`{words}` has no room on {} in letters that can be read; {instead}", name(args.stock))
}

/// Runs `zw export labels`.
pub(super) fn labels(args: &LabelsArgs) -> ExitCode {
    if !(0.5..=30.0).contains(&args.cable) {
        return usage("--cable is a cable's thickness in millimetres, 0.5 to 30");
    }
    with(&args.part, |plan, places| {
        let pulls = Pulls::of(plan, places);
        if args.csv {
            return print(&picture::labels_csv(&pulls));
        }
        match picture::labels(&pulls, args.on(args.stock)) {
            Ok(sheets) => {
                super::output::write(args.output.as_deref(), &plan.design.zone.name, &sheets, FEWER)
            }
            Err(small) => usage(&too_small(args, &pulls, &small.words)),
        }
    })
}

/// Runs `zw export pulls`.
pub(super) fn pulls(args: &PullsArgs) -> ExitCode {
    with(&args.part, |plan, places| {
        let pulls = Pulls::of(plan, places);
        if pulls.is_empty() {
            usage("there is no cable to pull there")
        } else if args.csv {
            print(&pulls.csv())
        } else if args.output.is_given() {
            args.output.write(&plan.design.zone.name, &pulls.sheets(args.output.paper()), FEWER)
        } else {
            print(&pulls.text())
        }
    })
}

/// Runs `zw export svg`.
pub(super) fn svg(args: &SvgArgs) -> ExitCode {
    match &args.sheet {
        Drawing::Elevations(args) => draw(&args.part, &args.output, |plan, places| {
            picture::elevations(plan, places, Elevations { paper: args.output.paper(), row: args.row })
        }),
        Drawing::Boot(args) => super::storm::run(args),
        Drawing::Cabling(args) => {
            draw(&args.part, &args.output, |plan, places| picture::cabling(plan, places, args.output.paper()))
        }
        Drawing::Addresses(args) => draw(&args.part, &args.output, |plan, places| {
            picture::addresses(plan, places, args.output.paper())
        }),
    }
}

fn draw(part: &Part, output: &Output, sheets: impl Fn(&Plan, &Places) -> Vec<Sheet>) -> ExitCode {
    with(part, |plan, places| output.write(&plan.design.zone.name, &sheets(plan, places), FEWER))
}

/// The plan, and the places of it that are wanted.
fn with(part: &Part, work: impl Fn(&Plan, &Places) -> ExitCode) -> ExitCode {
    let plan = match plan(&part.directory) {
        Ok(plan) => plan,
        Err(status) => return status,
    };
    match Places::of(&plan, &part.places) {
        Ok(places) => work(&plan, &places),
        Err(sentence) => usage(&sentence),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::finding::File;

    /// The pocket zone, whose devices have names of this beginning.
    fn said(beginning: &str, stock: Sheets) -> Option<String> {
        let text = include_str!("../../../../../examples/pocket/zone.hcl")
            .replace("\"hv-{pod}", &format!("\"{beginning}-{{pod}}"));
        let files = [
            File { path: "checks/kvm.yaml".into(), text: "".into() },
            File { path: "zone.hcl".into(), text: text.into() },
        ];
        let (design, found) = design::parse(&files);
        let (plan, more) = plan::compile(design.unwrap_or_else(|| panic!("{found:#?}")), None);
        let plan = plan.unwrap_or_else(|| panic!("{more:#?}"));
        let part = Part { directory: PathBuf::new(), places: Vec::new() };
        let args = LabelsArgs { part, stock, cable: 12.0, skip: 0, csv: false, output: None };
        let pulls = Pulls::of(&plan, &Places::of(&plan, &[]).unwrap());
        let small = picture::labels(&pulls, args.on(stock)).err()?;
        Some(too_small(&args, &pulls, &small.words))
    }

    #[test]
    fn a_label_that_is_too_small_is_told_with_those_that_are_not() {
        assert_eq!(said("hv", Sheets::A4_48), None);
        assert_eq!(
            said("hypervisor-with-a-long-name", Sheets::A4_48).unwrap(),
            "`hypervisor-with-a-long-name-p01-r1-u01 eno1 p01-r1-leaf-a swp1` has no room on a4-48 in letters that can be read; \
             --stock a4-24 or --stock letter-30 has room"
        );
        assert_eq!(said("hypervisor-with-a-long-name", Sheets::A4_24), None);
    }
}
