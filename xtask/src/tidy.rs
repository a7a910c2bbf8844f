//! The rules that a program can check.
//!
//! Each check gives every violation as a sentence, so that one run shows all; each is proved by a planted one below.

use crate::{checklists, run};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// Which of our crates each crate may use: the table of ARCHITECTURE.md, as a program reads it.
const MAY_USE: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("design", &["model"]),
    ("plan", &["model", "design"]), // `design` only in its tests and benches, see `DEVELOPMENT_ONLY`
    ("lifecycle", &["model", "design", "plan"]),
    ("wire", &[]),
    ("answer", &["model", "wire", "render", "design", "plan"]),
    ("render", &["model", "design", "plan"]),
    ("api", &["model"]),
    ("store", &["model", "design", "plan"]),
    ("agent", &["model", "lifecycle", "wire", "api", "tpm", "pin"]),
    ("tpm", &[]),
    ("pin", &[]),
    ("image", &["api"]),
    ("bmc", &["pin"]),
    (
        "server",
        &[
            "model",
            "design",
            "plan",
            "lifecycle",
            "wire",
            "answer",
            "render",
            "api",
            "store",
            "bmc",
            "tpm",
            "pin",
        ],
    ),
    (
        "lab",
        &[
            "model",
            "design",
            "plan",
            "lifecycle",
            "wire",
            "answer",
            "render",
            "api",
            "store",
            "server",
            "agent",
        ],
    ),
    (
        "zw",
        &[
            "model",
            "design",
            "plan",
            "lifecycle",
            "wire",
            "answer",
            "render",
            "api",
            "store",
            "server",
            "agent",
            "tpm",
            "image",
            "lab",
        ],
    ),
    // It plays everything around the deciding code, and nothing depends on it.
    ("sim", &["model", "design", "plan", "lifecycle", "wire", "answer", "render"]),
    // It measures the program from outside; what one packet takes, from inside.
    ("bench", &["model", "design", "plan", "wire", "answer"]),
    ("xtask", &["model"]),
];

/// Uses that are for tests and benches alone.
const DEVELOPMENT_ONLY: &[(&str, &str)] = &[
    ("plan", "design"),
    ("lifecycle", "design"),
    ("lifecycle", "plan"),
    ("answer", "design"),
    ("answer", "plan"),
    ("render", "design"),
    ("render", "plan"),
    ("store", "design"),
    ("store", "plan"),
    ("zw", "tpm"),
];

/// Crates that decide: none of these may be among their dependencies, however far down they would use them themselves.
const DECIDING: &[&str] = &["model", "design", "plan", "lifecycle", "wire", "answer", "render"];
const DOING: &[&str] = &["axum", "hyper", "log", "mio", "nix", "rusqlite", "socket2", "tokio", "tracing"];

/// ARCHITECTURE.md is read at one sitting.
const ARCHITECTURE_LINES_MAX: usize = 300;
/// A file past this is two subjects.
const FILE_LINES_MAX: usize = 900;

/// Runs every check.
pub(crate) fn tidy() -> Result<(), String> {
    let metadata = run::output("cargo", &["metadata", "--format-version", "1", "--no-deps", "--offline"])
        .or_else(|_| run::output("cargo", &["metadata", "--format-version", "1", "--no-deps"]))?;
    let metadata: Value =
        serde_json::from_slice(&metadata).map_err(|error| format!("cargo metadata: {error}"))?;
    let uses = uses(&metadata);
    let reasons = fs::read_to_string(run::root().join("docs/dependencies.md")).unwrap_or_default();
    let architecture = fs::read_to_string(run::root().join("ARCHITECTURE.md")).unwrap_or_default();

    let mut wrong = dependencies_between(&uses);
    wrong.extend(doing_in_deciding(&uses));
    wrong.extend(unexplained(&uses, &reasons));
    if architecture.is_empty() || architecture.lines().count() > ARCHITECTURE_LINES_MAX {
        wrong
            .push(format!("ARCHITECTURE.md should be there and at most {ARCHITECTURE_LINES_MAX} lines long"));
    }
    sources(&run::root(), &mut wrong);
    wrong.extend(checklists::check());
    if wrong.is_empty() { Ok(()) } else { Err(format!("\n  {}", wrong.join("\n  "))) }
}

/// One crate's direct dependencies: (name, development only).
type Uses = BTreeMap<String, Vec<(String, bool)>>;

fn uses(metadata: &Value) -> Uses {
    let packages = metadata["packages"].as_array().into_iter().flatten();
    packages
        .map(|package| {
            let dependencies = package["dependencies"].as_array().into_iter().flatten();
            let names =
                dependencies.map(|dependency| (text(&dependency["name"]), dependency["kind"] == "dev"));
            (text(&package["name"]), names.collect())
        })
        .collect()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn dependencies_between(uses: &Uses) -> Vec<String> {
    let is_ours = |name: &str| MAY_USE.iter().any(|(ours, _)| *ours == name);
    let unlisted = uses.keys().filter(|name| !is_ours(name));
    let mut wrong: Vec<String> =
        unlisted.map(|name| format!("the crate {name} is not in the table of who may use whom")).collect();
    for (name, may_use) in MAY_USE {
        let Some(dependencies) = uses.get(*name) else {
            wrong.push(format!("the crate {name} of the table is not in the workspace"));
            continue;
        };
        for (dependency, development) in dependencies {
            let development_only = DEVELOPMENT_ONLY.contains(&(name, dependency.as_str()));
            if is_ours(dependency)
                && (!may_use.contains(&dependency.as_str()) || development_only && !development)
            {
                wrong.push(format!("{name} may not use {dependency}"));
            }
        }
    }
    wrong
}

fn doing_in_deciding(uses: &Uses) -> Vec<String> {
    let of = |name: &&str| {
        uses.get(*name).into_iter().flatten().map(|(dependency, _)| dependency.as_str()).collect::<Vec<_>>()
    };
    DECIDING
        .iter()
        .flat_map(|name| {
            of(name)
                .into_iter()
                .filter(|dependency| DOING.contains(dependency))
                .map(move |dependency| format!("{name} decides, and so may not use {dependency}"))
        })
        .collect()
}

fn unexplained(uses: &Uses, reasons: &str) -> Vec<String> {
    let mut wrong: Vec<String> = uses
        .values()
        .flatten()
        .filter(|(dependency, _)| !uses.contains_key(dependency))
        .filter(|(dependency, _)| !reasons.contains(&format!("`{dependency}`")))
        .map(|(dependency, _)| format!("docs/dependencies.md gives no reason for `{dependency}`"))
        .collect();
    wrong.sort();
    wrong.dedup();
    wrong
}

/// Walks our Rust files.
fn sources(directory: &Path, wrong: &mut Vec<String>) {
    let Ok(entries) = fs::read_dir(directory) else { return };
    let mut paths: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    for path in paths {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_dir() {
            if name != "target" && !name.starts_with('.') {
                sources(&path, wrong);
            }
        } else if name.ends_with(".md") {
            let shown = path.strip_prefix(run::root()).unwrap_or(&path).display().to_string();
            let text = fs::read_to_string(&path).unwrap_or_default();
            wrong.extend(dead_links(&shown, &text, |link| directory.join(link).exists()));
        } else if name.ends_with(".rs") {
            let shown = path.strip_prefix(run::root()).unwrap_or(&path).display().to_string();
            source(&shown, &fs::read_to_string(&path).unwrap_or_default(), wrong);
        }
    }
}

/// Links of a page that lead nowhere. Addresses elsewhere are not looked at.
fn dead_links(page: &str, text: &str, exists: impl Fn(&str) -> bool) -> Vec<String> {
    text.split("](")
        .skip(1)
        .filter_map(|rest| rest.split_once(')').map(|(link, _)| link.split('#').next().unwrap_or_default()))
        .filter(|link| !link.is_empty() && !link.contains(':') && !link.contains(char::is_whitespace))
        .filter(|link| !exists(link))
        .map(|link| format!("{page} links to {link}, which is not there"))
        .collect()
}

fn source(path: &str, text: &str, wrong: &mut Vec<String>) {
    if !text.starts_with("//!") && !text.starts_with("#!") {
        wrong.push(format!("{path} should say in its first line what it is"));
    }
    let lines = text.lines().count();
    if lines > FILE_LINES_MAX {
        wrong.push(format!("{path} has {lines} lines; past {FILE_LINES_MAX} it should be two files"));
    }
    let stem = Path::new(path).file_stem().unwrap_or_default().to_string_lossy().into_owned();
    if ["utils", "util", "common", "misc", "helpers", "helper"].contains(&stem.as_str()) {
        wrong.push(format!("{path} should be named after what is in it"));
    }
    // Split, so that this file does not find itself.
    for word in [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("X", "XX")] {
        if text.contains(word) {
            wrong.push(format!("{path} leaves a {word}; do it, or write an issue"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn planted(of: &str, uses: &[(&str, bool)]) -> Uses {
        let mut all: Uses = MAY_USE.iter().map(|(name, _)| ((*name).to_owned(), Vec::new())).collect();
        all.insert(
            of.to_owned(),
            uses.iter().map(|(name, development)| ((*name).to_owned(), *development)).collect(),
        );
        all
    }

    #[test]
    fn a_dependency_against_the_table_is_named() {
        assert_eq!(dependencies_between(&planted("wire", &[("model", false)])), ["wire may not use model"]);
        assert_eq!(dependencies_between(&planted("plan", &[("design", true), ("model", false)])), [""; 0]);
        assert_eq!(dependencies_between(&planted("plan", &[("design", false)])), ["plan may not use design"]);
    }

    #[test]
    fn a_crate_that_the_table_does_not_know_is_named() {
        assert_eq!(
            dependencies_between(&planted("clock", &[("tokio", false)])),
            ["the crate clock is not in the table of who may use whom"]
        );
    }

    #[test]
    fn a_deciding_crate_with_a_socket_is_named() {
        assert_eq!(
            doing_in_deciding(&planted("answer", &[("tokio", false)])),
            ["answer decides, and so may not use tokio"]
        );
    }

    #[test]
    fn a_dependency_without_a_reason_is_named() {
        let uses = planted("wire", &[("dhcproto", false), ("left-pad", false)]);
        assert_eq!(
            unexplained(&uses, "`dhcproto`: the codec"),
            ["docs/dependencies.md gives no reason for `left-pad`"]
        );
    }

    #[test]
    fn a_link_that_leads_nowhere_is_named() {
        let text = "[a](here.md) and [b](gone.md#part), [c](https://example.net)";
        assert_eq!(
            dead_links("p.md", text, |link| link == "here.md"),
            ["p.md links to gone.md, which is not there"]
        );
    }

    #[test]
    fn a_file_that_does_not_say_what_it_is_is_named() {
        let mut wrong = Vec::new();
        source("crates/x/src/utils.rs", "fn main() {}", &mut wrong);
        assert_eq!(wrong.len(), 2, "{wrong:?}");
    }
}
