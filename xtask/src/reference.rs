//! docs/reference: the pages that are made from the code, and whether they are fresh.

use crate::run;
use model::{Code, Reason};
use std::fs;

/// Writes the pages.
pub(crate) fn write() -> Result<(), String> {
    for (path, text) in pages() {
        fs::write(run::root().join(path), text)
            .map_err(|error| format!("failed to write {path}: {error}"))?;
    }
    Ok(())
}

/// Says which pages are not what the code says.
pub(crate) fn check() -> Result<(), String> {
    let stale: Vec<&str> = pages()
        .into_iter()
        .filter(|(path, text)| fs::read_to_string(run::root().join(path)).ok().as_ref() != Some(text))
        .map(|(path, _)| path)
        .collect();
    if stale.is_empty() {
        Ok(())
    } else {
        Err(format!("{} is stale: run `cargo xtask reference`", stale.join(", ")))
    }
}

fn pages() -> [(&'static str, String); 2] {
    [("docs/reference/findings.md", findings()), ("docs/reference/refusals.md", refusals())]
}

fn findings() -> String {
    let mut page = String::from(
        "# Findings\n\nWhat `zw check`, `zw plan` and `zw status` can say is wrong, by code. Codes are never reused.\n\
         This page is generated from the code by `cargo xtask reference`.\n",
    );
    for code in Code::ALL {
        page += &format!("\n## {code}\n\n{}\n\nWhat to do: {}\n", code.meaning(), code.remedy());
    }
    page
}

fn refusals() -> String {
    let mut page = String::from(
        "# Refusals\n\nWhy a packet or request was not answered: the reason is the label of the metric `zw_refusals_total`\n\
         and the word in `zw show refusals` and `zw why`. Generated from the code by `cargo xtask reference`.\n\n\
         | reason | what it means | what to do |\n|---|---|---|\n",
    );
    for reason in Reason::ALL {
        page += &format!("| `{reason}` | {} | {} |\n", reason.meaning(), reason.remedy());
    }
    page
}
