//! That the reference describes the document, and nothing else.

use super::*;
use crate::testing::{POCKET, plan};
use serde_json::Value;
use std::collections::BTreeSet;

const REFERENCE: &str = include_str!("../../../../docs/reference/plan-json.md");

/// Every path of a value that ends in no object: `machines[].location`. Lists of anything but objects are an end.
fn paths(value: &Value, path: &str, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                paths(value, &path, found);
            }
        }
        Value::Array(rows) if rows.iter().any(Value::is_object) => {
            rows.iter().for_each(|row| paths(row, &format!("{path}[]"), found));
        }
        _ => {
            found.insert(path.to_owned());
        }
    }
}

/// The fields in the first column of the tables of a page's first or second part.
fn described(part: usize) -> BTreeSet<String> {
    let part = REFERENCE.split("\n# ").nth(part).unwrap();
    let cells = part.lines().filter_map(|line| line.strip_prefix("| `")?.split(" | ").next());
    cells.flat_map(|cell| cell.split(", ")).map(|field| field.trim_matches('`').to_owned()).collect()
}

#[test]
fn the_reference_lists_every_field_of_a_plan() {
    // What stands there only where it is written.
    let written = "remote_id  = \"{name}\"\n  interface_id = \"{port}\"\n  remote_id6 = \"{name}\"";
    let system =
        "os \"d\" {\n  image = \"d\"\n}\nlayout \"l\" {\n  volume \"v\" {\n    mount = \"/srv\"\n  }\n}\n";
    let plan = plan(&(POCKET.replacen("remote_id  = \"{name}\"", written, 1) + system));
    let mut found = BTreeSet::new();
    paths(&serde_json::to_value(document(&plan)).unwrap(), "", &mut found);
    assert_eq!(found, described(0));
    assert!(REFERENCE.contains(&format!("`format` is {FORMAT}.")));
}

#[test]
fn the_reference_lists_every_field_of_a_difference() {
    let Value::Object(fields) = serde_json::to_value(crate::Diff::default()).unwrap() else { panic!() };
    assert_eq!(fields.keys().cloned().collect::<BTreeSet<_>>(), described(1));
}
