//! Findings as people and programs read them.
//!
//! In: the files of a design and what is wrong with them. Out: each finding under its source line, or as JSON. This is
//! the only file that touches the renderer.

use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};
use model::finding::{File, Finding, Severity, Source};
use serde_json::{Value, json};
use std::path::Path;

/// Lines between two places of one file that are still shown as one snippet.
const NEAR_LINES: usize = 60;

/// Columns of a rendered finding.
const WIDTH: usize = 120;

/// All findings, each with its source line and a mark under it, and a last line that counts them. With colours; print
/// it through `anstream`, which takes them out where they are not wanted. Empty if there are none.
pub(crate) fn rendered(directory: &Path, files: &[File], findings: &[Finding]) -> String {
    let renderer = Renderer::styled().decor_style(DecorStyle::Unicode).term_width(WIDTH);
    let mut out = String::new();
    for finding in findings {
        out.push_str(&renderer.render(&groups(directory, files, finding)));
        out.push_str("\n\n");
    }
    if !findings.is_empty() {
        out.push_str(&counted(findings));
        out.push('\n');
    }
    out
}

/// `2 errors, 1 warning`.
pub(crate) fn counted(findings: &[Finding]) -> String {
    let errors = findings.iter().filter(|finding| finding.severity == Severity::Error).count();
    let warnings = findings.len() - errors;
    let said = |count: usize, word: &str| match count {
        0 => None,
        1 => Some(format!("1 {word}")),
        _ => Some(format!("{count} {word}s")),
    };
    let parts: Vec<String> =
        [said(errors, "error"), said(warnings, "warning")].into_iter().flatten().collect();
    if parts.is_empty() { "no findings".to_string() } else { parts.join(", ") }
}

/// Whether any of them forbids a plan.
pub(crate) fn has_errors(findings: &[Finding]) -> bool {
    findings.iter().any(|finding| finding.severity == Severity::Error)
}

/// All findings as JSON: an array of objects, lines and columns counted from 1, columns in characters.
pub(crate) fn json(files: &[File], findings: &[Finding]) -> Value {
    let place = |source: Source| {
        let Some(place) = place(files, source) else { return json!(null) };
        let ((line, column), (end_line, end_column)) = (place.start, place.end);
        json!({ "file": place.path, "line": line, "column": column, "end_line": end_line, "end_column": end_column })
    };
    findings
        .iter()
        .map(|finding| {
            json!({
                "code": finding.code.as_str(),
                "severity": finding.severity,
                "sentence": finding.sentence,
                "label": finding.label,
                "place": place(finding.source),
                "related": finding
                    .related
                    .iter()
                    .map(|(source, words)| json!({ "words": words, "place": place(*source) }))
                    .collect::<Vec<_>>(),
                "help": finding.help,
            })
        })
        .collect()
}

struct Place<'f> {
    path: &'f str,
    start: (usize, usize),
    end: (usize, usize),
}

/// A source as file, line and column; `None` for a finding that is about no file.
fn place(files: &[File], source: Source) -> Option<Place<'_>> {
    let file = files.get(usize::from(source.file))?;
    let position = |offset: u32| {
        let before = file.text.get(..offset as usize).unwrap_or(&file.text);
        let line = before.rsplit_once('\n').map_or(before, |(_, line)| line);
        (before.matches('\n').count() + 1, line.chars().count() + 1)
    };
    Some(Place { path: &file.path, start: position(source.start), end: position(source.end) })
}

fn groups<'a>(directory: &Path, files: &'a [File], finding: &'a Finding) -> Vec<Group<'a>> {
    let level = if finding.severity == Severity::Error { Level::ERROR } else { Level::WARNING };
    let title = level.primary_title(finding.sentence.as_str()).id(finding.code.as_str());
    let mut group = Group::with_title(title);
    let mut marks = vec![(finding.source, finding.label.as_str(), AnnotationKind::Primary)];
    marks.extend(
        finding.related.iter().map(|(source, words)| (*source, words.as_str(), AnnotationKind::Context)),
    );
    while !marks.is_empty() {
        let (first, ..) = marks[0];
        let Some(file) = files.get(usize::from(first.file)) else {
            marks.remove(0);
            continue;
        };
        // The renderer reads all of the text it is given: give it the lines around the marks.
        let centre = line_of(file, first.start);
        let (near, far): (Vec<_>, Vec<_>) = marks.into_iter().partition(|(source, ..)| {
            source.file == first.file && line_of(file, source.start).abs_diff(centre) <= NEAR_LINES
        });
        marks = far;
        let from = near.iter().map(|(source, ..)| source.start).min().unwrap_or(0);
        let to = near.iter().map(|(source, ..)| source.end).max().unwrap_or(0);
        let from =
            file.text.get(..from as usize).map_or(0, |before| before.rfind('\n').map_or(0, |at| at + 1));
        let to = file
            .text
            .get(to as usize..)
            .and_then(|after| after.find('\n'))
            .map_or(file.text.len(), |at| at + to as usize);
        let snippet = Snippet::source(&file.text[from..to])
            .line_start(line_of(file, from as u32) + 1)
            .path(directory.join(&file.path).display().to_string())
            .annotations(near.into_iter().map(|(source, words, kind)| {
                let span = (source.start as usize - from)..(source.end as usize - from);
                let words = Some(words).filter(|words| !words.is_empty());
                kind.span(span).label(words)
            }));
        group = group.element(snippet);
    }
    if let Some(help) = &finding.help {
        group = group.element(Level::HELP.message(help.as_str()));
    }
    vec![group]
}

/// Lines before the one that holds byte `offset`.
fn line_of(file: &File, offset: u32) -> usize {
    file.text.get(..offset as usize).unwrap_or(&file.text).matches('\n').count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};
    use model::finding::Code;

    fn design() -> Vec<File> {
        let text = "zone \"a\" {\n  domian = \"a.example\" # ü\n}\n\nzone \"b\" {}\n";
        vec![File { path: "zone.hcl".into(), text: text.into() }]
    }

    fn source(start: u32, end: u32) -> Source {
        Source { file: 0, start, end }
    }

    fn check(findings: &[Finding], expected: Expect) {
        let styled = rendered(Path::new("my-zone"), &design(), findings);
        expected.assert_eq(&anstream::adapter::strip_str(&styled).to_string());
    }

    #[test]
    fn a_finding_stands_under_its_line() {
        check(
            &[
                Finding::error(Code::UnknownKey, source(13, 19), "`zone` has no attribute `domian`")
                    .did_you_mean("domian", ["domain"]),
                Finding::error(Code::WrittenTwice, source(42, 50), "a design is of one zone")
                    .label("and this is another")
                    .related(source(0, 8), "the zone is written here"),
                Finding::warning(
                    Code::NoController,
                    Source { file: 9, start: 0, end: 0 },
                    "nobody would answer",
                ),
            ],
            expect![[r#"
                error[ZW0202]: `zone` has no attribute `domian`
                  ╭▸ my-zone/zone.hcl:2:3
                  │
                2 │   domian = "a.example" # ü
                  │   ━━━━━━
                  │
                  ╰ help: did you mean `domain`?

                error[ZW0207]: a design is of one zone
                  ╭▸ my-zone/zone.hcl:5:1
                  │
                1 │ zone "a" {
                  │ ──────── the zone is written here
                  ┆
                5 │ zone "b" {}
                  ╰╴━━━━━━━━ and this is another

                warning[ZW0312]: nobody would answer

                2 errors, 1 warning
            "#]],
        );
        check(&[], expect![[""]]);
    }

    #[test]
    fn json_counts_from_one_in_characters() {
        let finding = Finding::error(Code::UnknownKey, source(13, 19), "no").help("do");
        let value = json(&design(), &[finding]);
        expect![[r#"
            [
              {
                "code": "ZW0202",
                "help": "do",
                "label": "",
                "place": {
                  "column": 3,
                  "end_column": 9,
                  "end_line": 2,
                  "file": "zone.hcl",
                  "line": 2
                },
                "related": [],
                "sentence": "no",
                "severity": "error"
              }
            ]"#]]
        .assert_eq(&serde_json::to_string_pretty(&value).unwrap_or_default());
    }
}
