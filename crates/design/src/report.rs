//! The findings of one parse, gathered.
//!
//! A mistake in a `machines` block shows once for each of its ten thousand machines. Findings about the drawing of one
//! code at one place are one finding, with the sentence of the first and a count; findings about words and values are
//! one only if they say the same.

use crate::limits::{FINDINGS_MAX, NAMES_BYTES_MAX, SUGGESTIONS_MAX};
use model::finding::{Code, Finding, Severity, Source};
use std::collections::HashMap;

/// Findings so far.
#[derive(Default)]
pub(crate) struct Report {
    findings: Vec<Finding>,
    repeats: Vec<u32>,
    by_place: HashMap<(Code, Source, String), usize>,
    left_out: usize,
    /// How many of those kept are warnings.
    warnings: usize,
    errors: bool,
    syntax: bool,
    suggested: u32,
    names_bytes: usize,
}

impl Report {
    /// Keeps a finding, or counts it if its place has one of its code already.
    pub(crate) fn push(&mut self, finding: Finding) {
        self.errors |= finding.severity == Severity::Error;
        let said_once = finding.code < Code::BadExpression;
        let words = if said_once { finding.sentence.clone() } else { String::new() };
        let key = (finding.code, finding.source, words);
        if let Some(&index) = self.by_place.get(&key) {
            self.repeats[index] += 1;
            return;
        }
        if self.findings.len() >= FINDINGS_MAX {
            self.left_out += 1;
            if finding.severity == Severity::Warning || self.warnings == 0 {
                return;
            }
            // A design must not be refused with nothing but warnings to show for it.
            let last = self.findings.iter().rposition(|finding| finding.severity == Severity::Warning);
            let Some(index) = last else { return };
            self.warnings -= 1;
            self.by_place.retain(|_, kept| *kept != index);
            self.by_place.insert(key, index);
            self.findings[index] = finding;
            self.repeats[index] = 0;
            return;
        }
        self.warnings += usize::from(finding.severity == Severity::Warning);
        self.by_place.insert(key, self.findings.len());
        self.findings.push(finding);
        self.repeats.push(0);
    }

    /// Keeps a finding about text that could not be read, and so is missing from the tree.
    pub(crate) fn push_unreadable(&mut self, finding: Finding) {
        self.syntax = true;
        self.push(finding);
    }

    /// Whether a search for what may have been meant is still to be afforded.
    pub(crate) fn may_suggest(&mut self) -> bool {
        self.suggested = self.suggested.saturating_add(1);
        self.suggested <= SUGGESTIONS_MAX
    }

    /// Whether names of so many bytes are still to be held.
    pub(crate) fn may_hold_names(&mut self, bytes: usize) -> bool {
        let fits = self.names_bytes.saturating_add(bytes) <= NAMES_BYTES_MAX;
        self.names_bytes += if fits { bytes } else { 0 };
        fits
    }

    /// Whether anything so far forbids a plan.
    pub(crate) fn has_errors(&self) -> bool {
        self.errors
    }

    /// Whether part of the text could not be read.
    pub(crate) fn has_syntax_errors(&self) -> bool {
        self.syntax
    }

    /// All of them, in the order of the text.
    pub(crate) fn into_findings(self) -> Vec<Finding> {
        let Self { mut findings, repeats, left_out, .. } = self;
        for (finding, repeats) in findings.iter_mut().zip(repeats) {
            if repeats > 0 {
                let places = if repeats == 1 { "place" } else { "places" };
                finding.sentence.push_str(&format!(" (and so in {repeats} more {places})"));
            }
        }
        findings.sort_by_key(|finding| (finding.source.file, finding.source.start, finding.code));
        if left_out > 0
            && let Some(last) = findings.last_mut()
        {
            let note = format!("{left_out} more findings are not shown; mend these first");
            last.help = Some(last.help.take().map_or(note.clone(), |help| format!("{help} ({note})")));
        }
        findings
    }
}
