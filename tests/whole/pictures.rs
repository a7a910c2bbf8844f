//! Our pictures, judged by other people's programs: libxml2, librsvg, and Chromium's printing.

use crate::network::have;
use crate::zw;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A directory of our own, gone afterwards.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("zw-pictures-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).expect("a directory");
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn export(words: &[&str], to: &Path) {
    let output = zw::zw(&zw::root()).arg("export").args(words).arg("-o").arg(to).output().expect("zw runs");
    assert!(output.status.success(), "{words:?}: {}", zw::transcript(&output));
}

/// Runs a judge over files, some hundred at a time; what it says is nothing.
fn judged(program: &str, options: &[&str], files: &[PathBuf]) {
    for files in files.chunks(200) {
        let output = Command::new(program).args(options).args(files).output().expect("the judge runs");
        let said = [output.stdout, output.stderr].concat();
        assert!(output.status.success() && said.is_empty(), "{program}: {}", String::from_utf8_lossy(&said));
    }
}

fn files_in(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> =
        fs::read_dir(folder).expect("a directory").flatten().map(|it| it.path()).collect();
    files.sort();
    files
}

const SHEETS: [&[&str]; 6] = [
    &["svg", "elevations"],
    &["svg", "elevations", "--row"],
    &["svg", "cabling"],
    &["svg", "addresses"],
    &["labels"],
    &["pulls"],
];

#[test]
fn xmllint_accepts_every_sheet_and_rsvg_draws_the_first_of_each() {
    if !have(&["xmllint", "rsvg-convert"]) {
        return;
    }
    let folder = Folder::new("judged");
    for example in ["examples/pocket", "examples/hundred", "examples/wiring", "examples/ten-thousand"] {
        for (number, sheets) in SHEETS.into_iter().enumerate() {
            let to = folder.0.join(format!("{}-{number}", example.replace('/', "-")));
            export(&[sheets, &[example]].concat(), &to);
            let files = files_in(&to);
            assert!(!files.is_empty(), "{sheets:?} {example}");
            judged("xmllint", &["--noout", "--nonet"], &files);
            // A PNG begins with its name, and an empty sheet compresses to next to nothing.
            let drawn = Command::new("rsvg-convert").arg(&files[0]).output().expect("rsvg-convert runs");
            let said = String::from_utf8_lossy(&drawn.stderr).into_owned();
            assert!(drawn.status.success() && said.is_empty(), "{said}");
            assert!(
                drawn.stdout.starts_with(b"\x89PNG") && drawn.stdout.len() > 4000,
                "{sheets:?} {example}"
            );
        }
    }
}

/// One HTML document, printed: as many pages as sheets, each of its size.
#[test]
fn chromium_prints_each_sheet_on_a_page_of_its_own() {
    if !have(&["chromium", "pdfinfo"]) {
        return;
    }
    let folder = Folder::new("printed");
    let (sheets, html, pdf) = (folder.0.join("sheets"), folder.0.join("all.html"), folder.0.join("all.pdf"));
    let words = ["svg", "cabling", "examples/hundred", "p1", "--paper", "letter"];
    export(&words, &sheets);
    export(&words, &html);
    let printed = Command::new("chromium")
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--no-pdf-header-footer"])
        .arg(format!("--user-data-dir={}", folder.0.join("profile").display()))
        .arg(format!("--print-to-pdf={}", pdf.display()))
        .arg(format!("file://{}", html.display()))
        .output()
        .expect("chromium runs");
    assert!(printed.status.success(), "{}", String::from_utf8_lossy(&printed.stderr));
    let told =
        Command::new("pdfinfo").args(["-f", "1", "-l", "1000"]).arg(&pdf).output().expect("pdfinfo runs");
    let told = String::from_utf8_lossy(&told.stdout).into_owned();
    let sizes: Vec<&str> =
        told.lines().filter(|line| line.starts_with("Page ") && line.contains(" size:")).collect();
    assert_eq!(sizes.len(), files_in(&sheets).len(), "{told}");
    // Lying (tiers) and upright (racks) sheets in one document: 792 × 612 points and 612 × 792.
    assert!(sizes.iter().any(|size| size.contains("79") && size.contains(" x 61")), "{told}");
    assert!(sizes.iter().any(|size| size.contains("61") && size.contains(" x 79")), "{told}");
}
