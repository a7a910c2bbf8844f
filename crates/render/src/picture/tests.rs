//! What every sheet must hold, for the examples: well-formed XML, no text over another or outside the sheet, and everything once.

use super::*;
use model::Plan;
use model::finding::File;

mod reader;

/// An example's plan.
fn example(name: &str) -> Plan {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples").join(name);
    let mut files = Vec::new();
    collect(&root, &root, &mut files);
    files.sort_by(|a: &File, b| a.path.cmp(&b.path));
    of(&files)
}

fn collect(root: &std::path::Path, directory: &std::path::Path, files: &mut Vec<File>) {
    for entry in std::fs::read_dir(directory).unwrap().flatten() {
        let path = entry.path();
        let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
        if path.is_dir() {
            collect(root, &path, files);
        } else if ["hcl", "csv", "yaml"].iter().any(|kind| name.ends_with(kind)) {
            #[expect(clippy::disallowed_methods, reason = "a test reads the examples")]
            let text = std::fs::read_to_string(&path).unwrap();
            files.push(File { path: name.into(), text: text.into() });
        }
    }
}

fn of(files: &[File]) -> Plan {
    let (design, found) = design::parse(files);
    let (plan, more) = plan::compile(design.unwrap_or_else(|| panic!("{found:#?}")), None);
    plan.unwrap_or_else(|| panic!("{more:#?}"))
}

const EXAMPLES: [&str; 5] = ["pocket", "metal", "hundred", "wiring", "ten-thousand"];
const PAPERS: [Paper; 4] = [Paper::A4, Paper::A3, Paper::Letter, Paper::Tabloid];

/// Each of the plan's, exactly once.
fn once(what: &str, sheets: &[Sheet], expected: impl Iterator<Item = String>) {
    let mut shown: Vec<String> = sheets.iter().flat_map(|sheet| reader::values(&sheet.svg, what)).collect();
    let mut expected: Vec<String> = expected.collect();
    shown.sort();
    expected.sort();
    assert_eq!(shown.len(), expected.len(), "{what}");
    assert!(shown == expected, "{what}");
}

fn good(sheets: &[Sheet]) {
    let mut names: Vec<&str> = sheets.iter().map(|sheet| sheet.name.as_str()).collect();
    for sheet in sheets {
        reader::check(&sheet.name, &sheet.svg);
    }
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), sheets.len(), "two sheets have one name");
}

#[test]
fn elevations_show_each_device_once() {
    for name in EXAMPLES {
        let plan = example(name);
        let all = Places::of(&plan, &[]).unwrap();
        for paper in PAPERS.into_iter().take(if name == "ten-thousand" { 1 } else { 4 }) {
            for row in [false, true] {
                let sheets = elevations(&plan, &all, Elevations { paper, row });
                good(&sheets);
                once("device", &sheets, plan.design.devices.iter().map(|device| device.location.to_string()));
                assert!(elevations(&plan, &all, Elevations { paper, row }) == sheets, "the same again");
            }
        }
    }
}

#[test]
fn a_place_that_is_not_there_is_named_with_what_was_meant() {
    let plan = example("pocket");
    let names = |targets: &[&str]| {
        let targets: Vec<String> = targets.iter().map(|target| (*target).to_owned()).collect();
        let places = Places::of(&plan, &targets)?;
        let all = elevations(&plan, &places, Elevations { paper: Paper::A4, row: false });
        Ok::<_, String>(all.into_iter().map(|sheet| sheet.name).collect::<Vec<_>>().join(" "))
    };
    assert_eq!(names(&[]).unwrap(), "elevation-lab1 elevation-p01-r1 elevation-p02-r1");
    assert_eq!(names(&["p02"]).unwrap(), "elevation-p02-r1");
    assert_eq!(names(&["lab1/p01/r1"]).unwrap(), "elevation-p01-r1");
    assert_eq!(names(&["rack=r1"]).unwrap(), "elevation-p01-r1 elevation-p02-r1");
    assert_eq!(names(&["pod=p01,rack=r1"]).unwrap(), "elevation-p01-r1");
    assert_eq!(names(&["p01/r2"]).unwrap_err(), "the zone has no rack or pod p01/r2; did you mean p01/r1?");
    assert_eq!(
        names(&["role=x"]).unwrap_err(),
        "`role=x`: a selector of racks may name pod and rack: pod=p01,rack=r1"
    );
}
