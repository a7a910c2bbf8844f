//! The reference of the language is true: its examples are one design without a mistake, and it names every word.

use super::*;
use crate::schema;

const PAGE: &str = include_str!("../../../../docs/reference/design.md");

/// What stands between the fences of one language, in order.
fn fenced(language: &str) -> String {
    let mut out = String::new();
    let mut inside = false;
    for line in PAGE.lines() {
        match line.strip_prefix("```") {
            Some(opened) => inside = !inside && opened == language,
            None if inside => {
                out.push_str(line);
                out.push('\n');
            }
            None => {}
        }
    }
    out
}

#[test]
fn the_examples_are_one_clean_design() {
    let files =
        [file("checks/kvm.yaml", ""), file("design.hcl", &fenced("hcl")), file("power.csv", &fenced("csv"))];
    let (design, findings) = parse(&files);
    expect![[""]].assert_eq(&shown(&files, &findings));
    let design = design.expect("a design");
    assert_eq!(design.devices.len(), 2 + 1 + 2 + 8 * (1 + 4 * (3 + 20 + 1) + 1) - 2);
}

#[test]
fn the_examples_are_laid_out_as_zw_fmt_does() {
    for block in PAGE.split("```hcl\n").skip(1) {
        let text = block.split("```").next().unwrap_or_default();
        assert_eq!(crate::format(text).as_deref(), Some(text));
    }
}

#[test]
fn every_word_of_the_language_is_explained() {
    for kind in schema::KINDS {
        for word in [&[kind.name], kind.required, kind.optional].concat() {
            let shown = [format!("`{word}`"), format!("{word} "), format!("`{word} ")];
            assert!(
                shown.iter().any(|form| PAGE.contains(form)),
                "`{word}` of `{}` is not explained",
                kind.name
            );
        }
    }
}
