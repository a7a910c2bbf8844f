//! What is wrong with a design, in words, at a place in a file.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;

mod codes;
pub use codes::Code;

/// A range of bytes in one of the files of a design.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Source {
    /// Index into [`Files`].
    pub file: u16,
    /// First byte.
    pub start: u32,
    /// One past the last byte.
    pub end: u32,
}

/// One file of a design: `path` as the user would say it, `text` whole.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct File {
    /// Path relative to the design's directory.
    pub path: String,
    /// Its text.
    pub text: Arc<str>,
}

/// The files a design was read from, indexed by [`Source::file`].
pub type Files = Vec<File>;

/// How bad it is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// There is no plan until it is mended.
    Error,
    /// The plan stands; look at it.
    Warning,
}

/// One thing that is wrong.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Finding {
    /// Its stable code; the reference page explains each.
    pub code: Code,
    /// How bad.
    pub severity: Severity,
    /// One sentence, lower case, no full stop.
    pub sentence: String,
    /// What the mark under the source line says; may be empty.
    pub label: String,
    /// Where.
    pub source: Source,
    /// Other places that matter, each with a few words ("first written here").
    pub related: Vec<(Source, String)>,
    /// What to do; may be "did you mean `x`?".
    pub help: Option<String>,
}

impl Finding {
    /// An error with this sentence at this place.
    pub fn error(code: Code, source: Source, sentence: impl Into<String>) -> Self {
        Self {
            code,
            severity: Severity::Error,
            sentence: sentence.into(),
            label: String::new(),
            source,
            related: Vec::new(),
            help: None,
        }
    }

    /// A warning with this sentence at this place.
    pub fn warning(code: Code, source: Source, sentence: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(code, source, sentence) }
    }

    /// With words under the mark.
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = label.into();
        self
    }

    /// With another place that matters.
    pub fn related(mut self, source: Source, words: impl Into<String>) -> Self {
        self.related.push((source, words.into()));
        self
    }

    /// With advice.
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// With "did you mean", if a candidate is close to what was written.
    pub fn did_you_mean<'a>(self, written: &str, candidates: impl IntoIterator<Item = &'a str>) -> Self {
        match nearest(written, candidates) {
            Some(candidate) => self.help(format!("did you mean `{candidate}`?")),
            None => self,
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.sentence)
    }
}

/// The longest word, in octets, that is compared with others: comparing takes the product of both lengths.
const NEAREST_MAX: usize = 256;

/// The candidate closest to `written` by edit distance, if it is close enough to be meant.
pub fn nearest<'a>(written: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if written.len() > NEAREST_MAX {
        return None;
    }
    let length = written.chars().count();
    let limit = length.div_ceil(3).max(1);
    candidates
        .into_iter()
        // The distance is at least the difference in length: a word of another size need not be measured.
        .filter(|candidate| candidate.chars().count().abs_diff(length) <= limit)
        .map(|candidate| (distance(written, candidate), candidate))
        .filter(|(distance, _)| *distance <= limit)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Edit distance that counts a swap of neighbours as one.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut rows = [vec![0; b.len() + 1], (0..=b.len()).collect::<Vec<_>>(), vec![0; b.len() + 1]];
    for i in 1..=a.len() {
        rows[2][0] = i;
        for j in 1..=b.len() {
            let substituted = rows[1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = substituted.min(rows[1][j] + 1).min(rows[2][j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(rows[0][j - 2] + 1);
            }
            rows[2][j] = best;
        }
        rows.rotate_left(1);
    }
    rows[1][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_word_is_offered_only_when_it_is_near() {
        let words = ["circuit_id", "remote_id", "ports", "kind"];
        assert_eq!(nearest("circiut_id", words), Some("circuit_id"));
        assert_eq!(nearest("port", words), Some("ports"));
        assert_eq!(nearest("colour", words), None);
        assert_eq!(distance("swap", "sawp"), 1);
        assert_eq!(distance("", "abc"), 3);
    }
}
