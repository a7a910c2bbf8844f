//! `zw check`: everything that is wrong with a design, at once.

use crate::findings;
use clap::Args as ClapArgs;
use model::Plan;
use model::design::{Design, DeviceKind};
use model::finding::{Code, File, Finding, Source};
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
        findings.extend(server::files::missing_images(directory, &design));
        findings.extend(bad_checks(files, &design));
        let (plan, more) = plan::compile(design, None);
        findings.extend(more);
        findings.extend(plan.iter().flat_map(|plan| render::template::findings(files, plan)));
        compiled = plan.filter(|_| !findings::has_errors(&findings));
    }
    findings.sort_by_key(|finding| (finding.source.file, finding.source.start, finding.severity));
    (compiled, findings)
}

/// What the agents could not read in the files of checks: they read with the same code.
fn bad_checks(files: &[File], design: &Design) -> Vec<Finding> {
    let mut named: Vec<&str> =
        design.roles.iter().flat_map(|role| &role.checks).map(|check| check.path.as_str()).collect();
    named.sort_unstable();
    named.dedup();
    let mut findings = Vec::new();
    for (index, file) in files.iter().enumerate().filter(|(_, file)| named.contains(&file.path.as_str())) {
        for (line, sentence) in agent::checks::parse(&file.text).err().unwrap_or_default() {
            findings.push(Finding::error(Code::BadChecks, line_source(index, &file.text, line), sentence));
        }
    }
    findings
}

/// Line `number`, from 1, of the file at `index`, without the space around it.
fn line_source(index: usize, text: &str, number: usize) -> Source {
    let line = text.split('\n').nth(number.saturating_sub(1)).unwrap_or("");
    let before: usize = text.split_inclusive('\n').take(number.saturating_sub(1)).map(str::len).sum();
    let start = before + line.len() - line.trim_start().len();
    // Files of a design and their sizes are bounded far below these types by `server::files`.
    Source { file: index as u16, start: start as u32, end: (start + line.trim().len()) as u32 }
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

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    #[test]
    fn a_mistake_in_a_file_of_checks_is_shown_at_its_line() {
        let directory = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/pocket"));
        let mut files = server::files::read_design(directory).expect("the example");
        let (plan, findings) = compiled(directory, &files);
        assert_eq!(findings, []);
        assert!(plan.is_some());
        let checks = files.iter_mut().find(|file| file.path == "checks/kvm.yaml").expect("its checks");
        checks.text = "file:\n  /proc:\n    exits: true\n".into();
        let (plan, findings) = compiled(directory, &files);
        assert!(plan.is_none());
        let shown = findings::rendered(Path::new("pocket"), &files, &findings);
        expect![[r#"
            error[ZW0212]: there is no attribute of file `exits`; did you mean `exists`?
              ╭▸ pocket/checks/kvm.yaml:3:5
              │
            3 │     exits: true
              ╰╴    ━━━━━━━━━━━

            1 error
        "#]]
        .assert_eq(&anstream::adapter::strip_str(&shown).to_string());
    }
}
