//! `zw check`: everything that is wrong with a design, at once.

use crate::findings;
use clap::Args as ClapArgs;
use model::Plan;
use model::design::{Design, DeviceKind};
use model::finding::{Code, File, Finding};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Say what is wrong with a design: every mistake at once, each under its source line.
///
/// Reads all *.hcl files of the directory, compiles the zone, and touches nothing. Warnings are shown and do not
/// count: the exit status is 0 if there is a plan, and 1 if a mistake forbids it.
#[derive(ClapArgs)]
#[command(
    after_help = "Examples:\n  zw check my-zone\n  zw check my-zone --json | jq '.findings[].sentence'\n\n\
                        Every code (ZW0304) is explained in docs/reference/findings.md."
)]
pub(crate) struct Args {
    /// The design's directory.
    #[arg(default_value = ".", value_name = "DESIGN")]
    directory: PathBuf,
    /// Print JSON: `findings`, and `zone` with its counts if there is a plan.
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub(crate) fn run(args: &Args) -> ExitCode {
    let files = match server::files::read_design(&args.directory) {
        Ok(files) => files,
        Err(error) => return failed(&error),
    };
    let (plan, found) = compiled(&args.directory, &files);
    let output = if args.json {
        let value = serde_json::json!({
            "findings": findings::json(&files, &found),
            "zone": plan.as_ref().map(|plan| summary(&plan.design)),
        });
        let mut text = value.to_string();
        text.push('\n');
        anstream::stdout().write_all(text.as_bytes())
    } else {
        let mut text = findings::rendered(&args.directory, &files, &found);
        if let Some(plan) = &plan {
            text.push_str(&said(&plan.design));
        }
        anstream::stdout().write_all(text.as_bytes())
    };
    if let Err(error) = output {
        return failed(&error);
    }
    if findings::has_errors(&found) { ExitCode::from(1) } else { ExitCode::SUCCESS }
}

/// The plan of a design that was read from `directory`, and everything that was found on the way to it.
pub(crate) fn compiled(directory: &Path, files: &[File]) -> (Option<Plan>, Vec<Finding>) {
    let (design, mut findings) = design::parse(files);
    let mut compiled = None;
    if let Some(design) = design {
        findings.extend(missing_images(directory, &design));
        let (plan, more) = plan::compile(design, None);
        findings.extend(more);
        compiled = plan;
    }
    findings.sort_by_key(|finding| (finding.source.file, finding.source.start, finding.severity));
    (compiled, findings)
}

/// Images whose files are not there. They may be built later, so this is a warning.
fn missing_images(directory: &Path, design: &Design) -> Vec<Finding> {
    let mut findings = Vec::new();
    for image in &design.images {
        for path in std::iter::once(&image.kernel).chain(&image.initrd) {
            if !directory.join(path).is_file() {
                let sentence = format!("image `{}` names `{path}`, which is not there", image.name);
                findings.push(Finding::warning(Code::MissingFile, image.source, sentence).help(
                    "machines that boot it wait until it is; paths are relative to the design's directory",
                ));
            }
        }
    }
    findings
}

fn summary(design: &Design) -> serde_json::Value {
    let count =
        |wanted: fn(DeviceKind) -> bool| design.devices.iter().filter(|device| wanted(device.kind)).count();
    serde_json::json!({
        "name": design.zone.name,
        "pods": design.pods.len(),
        "racks": design.racks.len(),
        "machines": count(|kind| kind == DeviceKind::Machine),
        "switches": count(DeviceKind::is_switch),
        "controllers": count(|kind| kind == DeviceKind::Controller),
        "cables": design.cables.len(),
    })
}

fn said(design: &Design) -> String {
    let value = summary(design);
    let part = |key: &str, one: &str, many: &str| match value[key].as_u64() {
        Some(1) => format!("1 {one}"),
        count => format!("{} {many}", count.unwrap_or(0)),
    };
    format!(
        "{}: {}, {}, {}, {}, {}, {}\n",
        design.zone.name,
        part("pods", "pod", "pods"),
        part("racks", "rack", "racks"),
        part("machines", "machine", "machines"),
        part("switches", "switch", "switches"),
        part("controllers", "controller", "controllers"),
        part("cables", "cable", "cables"),
    )
}

/// Says why, with every cause, and gives exit status 3.
pub(crate) fn failed(error: &dyn std::error::Error) -> ExitCode {
    let mut text = format!("zw: {error}");
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    text.push('\n');
    // Nothing more can be done when standard error is closed too.
    let _ = anstream::stderr().write_all(text.as_bytes());
    ExitCode::from(3)
}
