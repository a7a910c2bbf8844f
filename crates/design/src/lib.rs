//! The design language: files in, a [`Design`] and what is wrong with it out.
//!
//! This is the only crate that knows the file format. It is pure: the caller reads the files. It finds all mistakes
//! at once, never panics on any text, and bounds what a text can make it allocate (`limits`).
//!
//! | module       | in → out                                                                        |
//! |--------------|----------------------------------------------------------------------------------|
//! | `tokens`     | text → tokens that cover it                                                       |
//! | `scan`       | tokens → top-level blocks, and quotes and brackets that do not match              |
//! | `syntax`     | text of one block → its tree, with places; the only user of the HCL parser        |
//! | `schema`     | the one table of blocks and attributes; the tree is compared with it              |
//! | `value`      | an attribute → text, number, list, reference, or a finding                        |
//! | `pattern`    | `u{01..36}` → names                                                               |
//! | `template`   | `hv-{pod}-{unit}`, `{name}:{port}` → parts                                        |
//! | `arithmetic` | `(rack - 1) * 4 + 2` → a compiled expression                                      |
//! | `size`       | `512GiB`, `12h`, `25G` → numbers                                                  |
//! | `tables`     | zone, network, image, role and view blocks → tables                               |
//! | `order`      | which roles start after which; circles                                            |
//! | `budgets`    | budget and rollout blocks → tables                                                |
//! | `images`     | image blocks, and the texts of their templates → tables                           |
//! | `systems`    | os and layout blocks → tables                                                     |
//! | `models`     | model blocks → tables                                                             |
//! | `draw`       | pod, rack and device blocks → devices                                             |
//! | `cable`      | `cable` rules → cables                                                            |
//! | `wiring`     | a wiring file (CSV) → cables                                                      |
//! | `format`     | text → the same text in its canonical layout                                      |
//! | `report`     | findings, gathered                                                                |
//! | `limits`     | named bounds                                                                      |
//! | `fuzzing`    | a wiring file → what always holds of it; no part of the product                   |

mod arithmetic;
mod budgets;
mod cable;
mod draw;
mod format;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod images;
mod limits;
mod models;
mod order;
mod pattern;
mod report;
mod scan;
mod schema;
mod size;
mod syntax;
mod systems;
mod tables;
mod template;
mod tokens;
mod trust;
mod units;
mod value;
mod wiring;

#[cfg(test)]
mod tests;

pub use format::format;

use model::design::{Cable, Design};
use model::finding::{Code, File, Finding, Source};
use report::Report;

/// Reads a design.
///
/// `files` is everything the design may refer to: its `*.hcl` files, wiring files (`*.csv`), files of checks (`*.yaml`) and
/// templates (`*.j2`), paths relative to the design's directory. Blocks count in the order of the files given; hand them over
/// sorted by path. There is a Design if no finding is an error. Findings come in the order of the text.
pub fn parse(files: &[File]) -> (Option<Design>, Vec<Finding>) {
    let mut report = Report::default();
    let design = Drawn::read(files, &mut report).map(|drawn| {
        let cables = drawn.connect(&mut report, files);
        drawn.with(cables)
    });
    let design = design.filter(|_| !report.has_errors());
    (design, report.into_findings())
}

/// A design that stands, and is not yet cabled.
struct Drawn {
    blocks: Vec<syntax::Block>,
    tables: tables::Tables,
    drawing: draw::Drawing,
}

impl Drawn {
    fn read(files: &[File], report: &mut Report) -> Option<Self> {
        let blocks = blocks(files, report)?;
        let tables = tables::read(report, &blocks, files);
        let drawing = draw::draw(report, &blocks, &tables);
        units::check(report, &tables, &drawing);
        Some(Self { blocks, tables, drawing })
    }

    fn connect(&self, report: &mut Report, files: &[File]) -> Vec<Cable> {
        cable::connect(report, &self.blocks, files, &self.tables, &self.drawing)
    }

    fn with(self, cables: Vec<Cable>) -> Design {
        let tables::Tables {
            zone,
            models,
            networks,
            images,
            templates,
            systems,
            layouts,
            roles,
            budgets,
            rollout,
            views,
            ..
        } = self.tables;
        let draw::Drawing { pods, racks, devices, .. } = self.drawing;
        Design {
            zone,
            models,
            networks,
            images,
            templates,
            systems,
            layouts,
            roles,
            budgets,
            rollout,
            dns_views: views,
            pods,
            racks,
            devices,
            cables,
        }
    }
}

/// The blocks of all files, if every one could be read.
fn blocks(files: &[File], report: &mut Report) -> Option<Vec<syntax::Block>> {
    if files.len() > limits::FILES_MAX {
        let sentence =
            format!("a design has at most {} files, and here are {}", limits::FILES_MAX, files.len());
        report.push(Finding::error(Code::WrongValue, Source::default(), sentence));
        return None;
    }
    for (index, file) in files.iter().enumerate().filter(|(_, file)| file.text.len() > limits::FILE_BYTES_MAX)
    {
        // `FILES_MAX` is below 65,536.
        let place = Source { file: index as u16, start: 0, end: 0 };
        let sentence = format!("`{}` is larger than {} MiB", file.path, limits::FILE_BYTES_MAX >> 20);
        report.push(Finding::error(Code::WrongValue, place, sentence).help("split it into several files"));
    }
    let designs = || files.iter().filter(|file| file.path.ends_with(".hcl"));
    let bytes: usize = designs().map(|file| file.text.len()).sum();
    if bytes > limits::DESIGN_BYTES_MAX {
        let sentence = format!(
            "the design files are {} MiB together, and {} are read",
            bytes >> 20,
            limits::DESIGN_BYTES_MAX >> 20
        );
        report.push(
            Finding::error(Code::WrongValue, Source::default(), sentence)
                .help("draw what repeats with patterns, as in `u{01..36}`"),
        );
    }
    if report.has_errors() {
        return None;
    }
    let mut blocks = Vec::new();
    let mut found = false;
    for (index, file) in files.iter().enumerate().filter(|(_, file)| file.path.ends_with(".hcl")) {
        found = true;
        // `FILES_MAX` is below 65,536.
        let whole = syntax::read(index as u16, file, report);
        schema::check(&whole, &schema::FILE, report);
        blocks.extend(whole.blocks);
    }
    if !found {
        let sentence = "no file here ends in `.hcl`";
        report.push(
            Finding::error(Code::NothingHere, Source::default(), sentence)
                .help("name the design's directory, or start one with `zw new DIRECTORY`"),
        );
        return None;
    }
    if report.has_syntax_errors() {
        // A block that could not be read would be missed by those that name it: false findings.
        return None;
    }
    Some(blocks)
}
