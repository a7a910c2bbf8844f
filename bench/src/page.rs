//! The page of figures, and what stands in its tables.

use crate::settings::Settings;
use std::fs;

/// The first lines: what this is, and on which machine.
pub(crate) fn head(settings: &Settings) -> String {
    let kind = if settings.is_smoke {
        "A smoke run: what is said here about speed means nothing.\n".to_owned()
    } else {
        let rounds = settings
            .rounds
            .map_or("several rounds".to_owned(), |rounds| format!("{rounds} round(s), as was asked for"));
        format!(
            "Processes of the release build, on a machine that other work may share. A figure is the median of {rounds},\n\
             with its least and most; rounds of all servers are interleaved. How to read it, and how each server is configured:\n\
             [docs/internals/benchmarks.md](../docs/internals/benchmarks.md).\n"
        )
    };
    format!("# Results\n\nWritten by `cargo xtask bench`; run it to have your own. {kind}\n{}\n", machine())
}

/// The median of some figures, the least and the most.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    least: f64,
    most: f64,
}

impl Spread {
    /// `None` if there are none.
    pub(crate) fn of(figures: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut figures: Vec<f64> = figures.into_iter().filter(|figure| figure.is_finite()).collect();
        figures.sort_by(f64::total_cmp);
        Some(Self {
            median: *figures.get(figures.len() / 2)?,
            least: *figures.first()?,
            most: *figures.last()?,
        })
    }

    /// `12.3 (11.9–14.0)`, with so many decimals.
    pub(crate) fn show(self, decimals: usize) -> String {
        let Self { median, least, most } = self;
        format!("{median:.decimals$} ({least:.decimals$}–{most:.decimals$})")
    }
}

/// The spread of some figures as a table shows it.
pub(crate) fn spread(figures: impl IntoIterator<Item = f64>, decimals: usize) -> String {
    Spread::of(figures).map_or_else(|| "–".to_owned(), |spread| spread.show(decimals))
}

/// How many times `whole` is in `part`, as a table shows it.
pub(crate) fn ratio(part: Option<Spread>, whole: Option<Spread>) -> String {
    match (part, whole) {
        (Some(part), Some(whole)) if whole.median > 0.0 => format!("{:.2}", part.median / whole.median),
        _ => "–".to_owned(),
    }
}

/// A table of Markdown. The first row is its head; the first column is text, the others are figures.
pub(crate) fn table(rows: &[Vec<String>]) -> String {
    let mut text = String::new();
    for (number, row) in rows.iter().enumerate() {
        text += &format!("| {} |\n", row.join(" | "));
        if number == 0 {
            text += &format!("|---|{}\n", "---:|".repeat(row.len().saturating_sub(1)));
        }
    }
    text + "\n"
}

fn machine() -> String {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let (processors, memory) = (read("/proc/cpuinfo"), read("/proc/meminfo"));
    let value = |text: &str, key: &str| {
        let line = text.lines().find(|line| line.starts_with(key));
        line.and_then(|line| line.split_once(':'))
            .map_or_else(|| "unknown".to_owned(), |(_, value)| value.trim().to_owned())
    };
    format!(
        "Machine: {} × {}, memory {}, Linux {}.\n",
        processors.lines().filter(|line| line.starts_with("processor")).count(),
        value(&processors, "model name"),
        value(&memory, "MemTotal"),
        read("/proc/sys/kernel/osrelease").trim(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spread_is_the_median_with_its_ends() {
        assert_eq!(spread([3.0, 1.0, 2.0], 1), "2.0 (1.0–3.0)");
        assert_eq!(spread([f64::NAN], 1), "–");
        assert_eq!(ratio(Spread::of([6.0]), Spread::of([4.0])), "1.50");
        assert_eq!(ratio(Spread::of([6.0]), None), "–");
    }

    #[test]
    fn a_table_has_a_rule_below_its_head() {
        let row = |words: [&str; 2]| words.map(str::to_owned).to_vec();
        assert_eq!(table(&[row(["a", "b"]), row(["c", "1"])]), "| a | b |\n|---|---:|\n| c | 1 |\n\n");
    }
}
