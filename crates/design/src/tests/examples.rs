//! The examples of the repository parse clean.

use super::*;
use std::path::{Path, PathBuf};

/// The files of one example that a design may refer to, sorted by path.
pub(super) fn example(name: &str) -> Vec<File> {
    let root = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples")).join(name);
    let mut files = Vec::new();
    collect(&root, &root, &mut files);
    files.sort_by(|a, b| a.path.cmp(&b.path));
    files
}

#[expect(clippy::disallowed_methods, reason = "a test reads the examples of the repository")]
fn collect(root: &Path, directory: &Path, files: &mut Vec<File>) {
    for entry in std::fs::read_dir(directory).expect("the example's directory") {
        let path = entry.expect("a directory entry").path();
        if path.is_dir() {
            collect(root, &path, files);
        } else if path
            .extension()
            .is_some_and(|extension| ["hcl", "csv", "yaml"].iter().any(|known| extension == *known))
        {
            let relative = path.strip_prefix(root).expect("inside").to_str().expect("UTF-8").to_string();
            files.push(file(&relative, &std::fs::read_to_string(&path).expect("text")));
        }
    }
}

fn check(name: &str, expected: Expect) {
    let files = example(name);
    let (design, findings) = parse(&files);
    let mut out = shown(&files, &findings);
    if let Some(design) = design {
        out += &format!(
            "{} pods, {} racks, {} devices, {} cables\n",
            design.pods.len(),
            design.racks.len(),
            design.devices.len(),
            design.cables.len()
        );
    }
    expected.assert_eq(&out);
}

#[test]
fn pocket() {
    check(
        "pocket",
        expect![[r#"
        2 pods, 2 racks, 16 devices, 31 cables
    "#]],
    );
}

#[test]
fn metal() {
    check(
        "metal",
        expect![[r#"
        1 pods, 1 racks, 6 devices, 7 cables
    "#]],
    );
}

#[test]
fn hundred() {
    check(
        "hundred",
        expect![[r#"
        2 pods, 8 racks, 121 devices, 321 cables
    "#]],
    );
}

#[test]
fn ten_thousand() {
    check(
        "ten-thousand",
        expect![[r#"
        40 pods, 280 racks, 11004 devices, 31802 cables
    "#]],
    );
    let lines = example("ten-thousand")
        .iter()
        .filter(|file| file.path.ends_with(".hcl"))
        .map(|file| file.text.lines().count())
        .sum::<usize>();
    assert!(lines < 120, "a zone of 10,000 machines is {lines} lines");
}

#[test]
fn wiring() {
    check(
        "wiring",
        expect![[r#"
            sonic_lab_pdu_links.csv:10:9 "str-7250-7" warning[ZW0305] there is no device `str-7250-7`
              help: did you mean `str-7260-11`?
            sonic_lab_pdu_links.csv:11:9 "str-7250-7" warning[ZW0305] there is no device `str-7250-7`
              help: did you mean `str-7260-11`?
            sonic_lab_pdu_links.csv:12:9 "str-7250-7" warning[ZW0305] there is no device `str-7250-7`
              help: did you mean `str-7260-11`?
            sonic_lab_pdu_links.csv:13:9 "str-7250-7" warning[ZW0305] there is no device `str-7250-7`
              help: did you mean `str-7260-11`?
            sonic_lab_pdu_links.csv:16:1 "pdu-1,5,switch01-bmc,PSU1," warning[ZW0303] `5` of `pdu-1` is taken by the cable to `PSU1` of `switch01`, and cannot hold the one to `PSU1` of `switch01-bmc` too
              sonic_lab_pdu_links.csv:14:1 "pdu-1,5,switch01,PSU1,": taken here
            sonic_lab_pdu_links.csv:17:1 "pdu-1,6,switch01-bmc,PSU2," warning[ZW0303] `6` of `pdu-1` is taken by the cable to `PSU2` of `switch01`, and cannot hold the one to `PSU2` of `switch01-bmc` too
              sonic_lab_pdu_links.csv:15:1 "pdu-1,6,switch01,PSU2,": taken here
            1 pods, 1 racks, 18 devices, 90 cables
        "#]],
    );
}
