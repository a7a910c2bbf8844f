//! Tests over whole designs.

use crate::parse;
use expect_test::{Expect, expect};
use model::finding::{File, Finding, Severity};

#[path = "../../../fuzz/corpus.rs"]
#[expect(clippy::disallowed_methods, reason = "a corpus is a folder of files")]
mod corpus;
mod drawing;
mod examples;
mod findings;
mod garbage;
mod reference;
#[path = "../../../fuzz/spoil.rs"]
mod spoil;
mod systems;
mod wiring;

/// The findings of a design, each as `file:line:col severity code sentence`, label, related places and help.
fn shown(files: &[File], findings: &[Finding]) -> String {
    let place = |source: model::Source| {
        let Some(file) = files.get(source.file as usize) else { return "?".to_string() };
        let before = &file.text[..source.start as usize];
        let line = before.matches('\n').count() + 1;
        let column = before.len() - before.rfind('\n').map_or(0, |newline| newline + 1) + 1;
        let marked = &file.text[source.start as usize..source.end as usize];
        format!("{}:{line}:{column} {marked:?}", file.path)
    };
    let mut out = String::new();
    for finding in findings {
        let severity = if finding.severity == Severity::Error { "error" } else { "warning" };
        out += &format!("{} {severity}[{}] {}\n", place(finding.source), finding.code, finding.sentence);
        for (source, words) in &finding.related {
            out += &format!("  {}: {words}\n", place(*source));
        }
        if let Some(help) = &finding.help {
            out += &format!("  help: {help}\n");
        }
    }
    out
}

fn file(path: &str, text: &str) -> File {
    File { path: path.to_string(), text: text.into() }
}
