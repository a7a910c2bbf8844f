//! What holds of any wiring file, with the zone that it belongs to drawn once: the check of the fuzz target `wiring`.
//!
//! The whole way, from the text of the zone, is the check of `wiring_zone`, in `tests/any_input.rs`. This one is quick
//! enough for as many files as a fuzzer needs. Built for tests and fuzzing only.

use crate::Drawn;
use crate::report::Report;
use model::design::Cable;
use model::finding::{File, Finding, Severity};
use std::cell::RefCell;

/// A zone of one rack, whose machines and switches stand, and its wiring file `wires.csv`.
pub(crate) const ZONE: &str = include_str!("../../../fuzz/one-rack.hcl");

/// The files of [`ZONE`] with a wiring file; wrong rows are refused or skipped.
pub(crate) fn files(text: &str, wrong_rows: &str) -> Vec<File> {
    let zone = format!("{ZONE}\ncabling \"wires.csv\" {{ wrong_rows = \"{wrong_rows}\" }}\n");
    [("wires.csv", text), ("zone.hcl", &zone)]
        .map(|(path, text)| File { path: path.into(), text: text.into() })
        .into()
}

struct Zone {
    drawn: Drawn,
    files: Vec<File>,
}

thread_local! {
    static ZONES: RefCell<[Zone; 2]> = RefCell::new(["refuse", "skip"].map(|wrong_rows| {
        let files = files("", wrong_rows);
        let drawn = Drawn::read(&files, &mut Report::default()).expect("it stands");
        Zone { drawn, files }
    }));
}

/// A wiring file of the zone, whose wrong rows are skipped, and for some files refused too: there is one way for both.
pub fn wiring(text: &str) {
    ZONES.with_borrow_mut(|[refusing, skipping]| {
        let (cables, findings) = skipping.wire(text);
        if text.len().is_multiple_of(8) {
            let (kept, refused) = refusing.wire(text);
            assert_eq!(cables, kept, "what is kept does not depend on what becomes of the others");
            assert_eq!(findings.len(), refused.len());
        }
        assert!(cables.len() <= text.lines().count());
        let mut ends: Vec<_> = cables.iter().flat_map(|cable| [cable.a, cable.b]).collect();
        ends.sort_unstable();
        assert!(ends.windows(2).all(|pair| pair[0] != pair[1]), "a port holds one plug: {findings:#?}");
        for end in ends {
            let device = &skipping.drawn.drawing.devices[end.device.index()];
            assert!(end.port.index() < refusing.drawn.tables.models[device.model.index()].ports.len());
        }
    });
}

/// The cables of a wiring file whose wrong rows are skipped, and what is told of it.
#[cfg(test)]
pub(crate) fn wired(text: &str) -> (Vec<Cable>, Vec<Finding>) {
    ZONES.with_borrow_mut(|[_, skipping]| skipping.wire(text))
}

impl Zone {
    /// What the file says, and what is told of it.
    fn wire(&mut self, text: &str) -> (Vec<Cable>, Vec<Finding>) {
        self.files[0].text = text.into();
        let mut report = Report::default();
        let cables = self.drawn.connect(&mut report, &self.files);
        let is_broken = report.has_errors();
        let findings = report.into_findings();
        assert_eq!(is_broken, findings.iter().any(|finding| finding.severity == Severity::Error));
        assert!(findings.len() <= 500);
        for finding in &findings {
            let related = finding.related.iter().map(|(source, _)| *source);
            for source in std::iter::once(finding.source).chain(related) {
                let text = &self.files[usize::from(source.file)].text;
                let place = source.start as usize..source.end as usize;
                assert!(text.get(place).is_some(), "{finding} stands outside of its text: {source:?}");
            }
            assert!(!finding.sentence.is_empty());
        }
        (cables, findings)
    }
}
