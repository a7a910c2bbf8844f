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
