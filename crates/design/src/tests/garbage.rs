//! No text makes the reader panic, and no layout changes what is read.

use super::examples::example;
use super::*;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

const PIECES: [&str; 24] = [
    "\"",
    "{",
    "}",
    "[",
    "]",
    "(",
    "\n",
    "#",
    "/*",
    "<<END\n",
    "${",
    "{1..",
    "..",
    "=",
    "-",
    "0",
    "99999999999999999999",
    "ü",
    "\0",
    "at \"p01/r1/u01\" {}\n",
    "null",
    "unit",
    "\\",
    "\u{feff}",
];

/// A change of a text: at a place, so many bytes are replaced by a piece or by a copy of what stands elsewhere.
#[derive(Clone, Debug)]
struct Edit {
    place: usize,
    length: usize,
    piece: Option<usize>,
    from: usize,
}

fn edits() -> impl Strategy<Value = Vec<Edit>> {
    let edit = (any::<usize>(), 0..40usize, proptest::option::of(0..PIECES.len()), any::<usize>())
        .prop_map(|(place, length, piece, from)| Edit { place, length, piece, from });
    proptest::collection::vec(edit, 1..6)
}

fn edited(text: &str, edits: &[Edit]) -> String {
    let mut text = text.to_string();
    for edit in edits {
        let boundary = |text: &str, mut at: usize| {
            at %= text.len() + 1;
            while !text.is_char_boundary(at) {
                at -= 1;
            }
            at
        };
        let start = boundary(&text, edit.place);
        let end = boundary(&text, (start + edit.length).min(text.len())).max(start);
        let piece = match edit.piece {
            Some(piece) => PIECES[piece].to_string(),
            None => {
                let from = boundary(&text, edit.from);
                let to = boundary(&text, (from + edit.length).min(text.len())).max(from);
                text[from..to].to_string()
            }
        };
        text.replace_range(start..end, &piece);
    }
    text
}

/// A fixed seed: the same texts on every run.
fn runner(cases: u32) -> TestRunner {
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha))
}

fn never_panics(name: &str, cases: u32) {
    let files = example(name);
    let outcome = runner(cases).run(&(edits(), any::<usize>()), |(edits, which)| {
        let mut files = files.clone();
        let which = which % files.len();
        files[which].text = edited(&files[which].text, &edits).as_str().into();
        let (_, findings) = parse(&files);
        for finding in &findings {
            for source in
                std::iter::once(finding.source).chain(finding.related.iter().map(|(source, _)| *source))
            {
                let text = &files[source.file as usize].text;
                let place = source.start as usize..source.end as usize;
                prop_assert!(text.get(place).is_some(), "{finding} stands outside of its text: {source:?}");
            }
        }
        if let Some(formatted) = crate::format(&files[which].text) {
            prop_assert_eq!(crate::format(&formatted), Some(formatted.clone()), "twice is once");
        }
        Ok(())
    });
    if let Err(failure) = outcome {
        panic!("{failure}");
    }
}

#[test]
fn mutated_pocket_never_panics() {
    never_panics("pocket", 700);
}

#[test]
fn mutated_hundred_never_panics() {
    never_panics("hundred", 300);
}

#[test]
fn mutated_wiring_never_panics() {
    never_panics("wiring", 300);
}

#[test]
fn layout_changes_nothing_that_is_read() {
    for name in ["pocket", "metal", "hundred", "ten-thousand", "wiring"] {
        let files = example(name);
        let squeezed: Vec<File> = files
            .iter()
            .map(|original| {
                // Every run of spaces made one, outside of quotes and comments: a layout nobody would write.
                let tokens = crate::tokens::tokens(&original.text);
                let spaces = crate::tokens::TokenKind::Space;
                let text: String = tokens
                    .map(|token| if token.kind == spaces { " " } else { token.of(&original.text) })
                    .collect();
                if original.path.ends_with(".hcl") { file(&original.path, &text) } else { original.clone() }
            })
            .collect();
        for (original, squeezed) in
            files.iter().zip(&squeezed).filter(|(file, _)| file.path.ends_with(".hcl"))
        {
            assert_eq!(
                crate::format(&squeezed.text).as_deref(),
                Some(&*original.text),
                "{name}/{}",
                original.path
            );
        }
        let (before, after) = (parse(&files).0.expect("clean"), parse(&squeezed).0.expect("clean"));
        assert_eq!(before.networks.len(), after.networks.len());
        let plain = |design: &model::Design| {
            format!(
                "{:?}",
                (
                    &design.cables.iter().map(|c| (c.a, c.b)).collect::<Vec<_>>(),
                    design.devices.iter().map(|d| (&d.location, &d.name)).collect::<Vec<_>>()
                )
            )
        };
        assert_eq!(plain(&before), plain(&after), "{name}");
    }
}
