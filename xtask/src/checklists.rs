//! `docs/internals/checklists.md` against the tree: every item of the lists is there, and the tests that it names exist.
//!
//! A row is `| C1 | what must hold | names of tests in backquotes, then their file in backquotes; … |`. A name without a
//! slash is a test, one with a slash the file of those before it.

use crate::run;
use std::collections::BTreeMap;
use std::fs;

/// Where the lists stand.
const PAGE: &str = "docs/internals/checklists.md";
/// The lists: letter and number of items.
const LISTS: &[(char, u32)] = &[('C', 25), ('P', 12), ('A', 16)];
/// Items that nothing does yet; the page says so in their place.
const OPEN: &[&str] = &[];

/// What is wrong with the page.
pub(crate) fn check() -> Vec<String> {
    let read = |path: &str| fs::read_to_string(run::root().join(path)).ok();
    match read(PAGE) {
        Some(page) => wrong(&page, read),
        None => vec![format!("{PAGE} is not there")],
    }
}

fn wrong(page: &str, read: impl Fn(&str) -> Option<String>) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut rows: BTreeMap<&str, &str> = BTreeMap::new();
    for line in page.lines() {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let ["", item, _, tests, ""] = cells[..] else { continue };
        if is_item(item) && rows.insert(item, tests).is_some() {
            wrong.push(format!("{PAGE} has {item} twice"));
        }
    }
    for item in LISTS.iter().flat_map(|(list, last)| (1..=*last).map(move |number| format!("{list}{number}")))
    {
        match rows.remove(item.as_str()) {
            Some(tests) => row(&item, tests, &read, &mut wrong),
            None => wrong.push(format!("{PAGE} lacks {item}")),
        }
    }
    wrong.extend(rows.keys().map(|item| format!("{PAGE} has {item}, which is in no list")));
    wrong
}

fn is_item(text: &str) -> bool {
    let mut letters = text.chars();
    letters.next().is_some_and(|letter| LISTS.iter().any(|(list, _)| *list == letter))
        && !letters.as_str().is_empty()
        && letters.all(|digit| digit.is_ascii_digit())
}

fn row(item: &str, tests: &str, read: &impl Fn(&str) -> Option<String>, wrong: &mut Vec<String>) {
    let mut names = Vec::new();
    let mut count = 0;
    for word in tests.split('`').skip(1).step_by(2) {
        if !word.contains('/') {
            names.push(word);
            continue;
        }
        let text = read(word);
        if text.is_none() {
            wrong.push(format!("{PAGE}: {item} names {word}, which is not there"));
        }
        for name in names.drain(..) {
            count += 1;
            if !text.as_deref().is_some_and(|text| is_test(text, name)) {
                wrong.push(format!("{PAGE}: {item} names the test {name}, which is not in {word}"));
            }
        }
    }
    wrong.extend(names.iter().map(|name| format!("{PAGE}: {item} does not say in which file {name} is")));
    let is_open = OPEN.contains(&item);
    if is_open == (count > 0) {
        wrong.push(match is_open {
            true => format!("{item} has a test now: take it from the open ones in xtask/src/checklists.rs"),
            false => format!("{PAGE}: {item} names no test"),
        });
    }
}

/// Whether a file has a test of this name.
fn is_test(text: &str, name: &str) -> bool {
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    lines.iter().enumerate().any(|(at, line)| {
        let is_named = line.split("fn ").nth(1).and_then(|rest| rest.split('(').next()) == Some(name);
        let attributes =
            lines[..at].iter().rev().take_while(|line| line.starts_with('#') || line.starts_with("//"));
        is_named
            && attributes
                .into_iter()
                .any(|line| line.starts_with("#[test]") || line.starts_with("#[tokio::test"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A page with every item, of which one row is another.
    fn page(item: &str, row: &str) -> String {
        let items =
            LISTS.iter().flat_map(|(list, last)| (1..=*last).map(move |number| format!("{list}{number}")));
        let rows = items.map(|at| match (at == item, OPEN.contains(&at.as_str())) {
            (true, _) => format!("{row}\n"),
            (false, true) => format!("| {at} | not yet | – |\n"),
            (false, false) => format!("| {at} | holds | `one`, `two` in `tests/a.rs` |\n"),
        });
        rows.collect()
    }

    fn check(item: &str, row: &str, expected: &[&str]) {
        let read = |path: &str| {
            let text = "#[test]\nfn one() {\n}\n#[tokio::test]\n#[expect(x)]\nasync fn two() {\n}\nfn three() {\n}\n";
            (path == "tests/a.rs").then(|| text.to_owned())
        };
        assert_eq!(wrong(&page(item, row), read), expected, "{row}");
    }

    #[test]
    fn what_a_page_can_have_wrong_is_named() {
        check("none", "", &[]);
        check("C7", "", &["docs/internals/checklists.md lacks C7"]);
        check(
            "C7",
            "| C7 | | `one` |",
            &[
                "docs/internals/checklists.md: C7 does not say in which file one is",
                "docs/internals/checklists.md: C7 names no test",
            ],
        );
        check(
            "C7",
            "| C7 | | `three` in `tests/a.rs` |",
            &["docs/internals/checklists.md: C7 names the test three, which is not in tests/a.rs"],
        );
        check(
            "C7",
            "| C7 | | `one` in `tests/b.rs` |",
            &[
                "docs/internals/checklists.md: C7 names tests/b.rs, which is not there",
                "docs/internals/checklists.md: C7 names the test one, which is not in tests/b.rs",
            ],
        );
        check(
            "P12",
            "| P12 | | `one` in `tests/a.rs` |\n| P13 | | `one` in `tests/a.rs` |",
            &["docs/internals/checklists.md has P13, which is in no list"],
        );
        check(
            "A1",
            "| A1 | | `one` in `tests/a.rs` |\n| A1 | | `one` in `tests/a.rs` |",
            &["docs/internals/checklists.md has A1 twice"],
        );
    }
}
