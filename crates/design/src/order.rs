//! Which roles start after which others: the `after` of `role` blocks.

use crate::report::Report;
use crate::syntax::{Block, Spanned};
use crate::value;
use model::design::Role;
use model::finding::{Code, Finding};
use model::ids::RoleId;
use std::collections::HashMap;

/// Reads it once all roles have names, and refuses circles: nobody in one could ever start.
pub(crate) fn read(
    report: &mut Report,
    blocks: &[&Block],
    role_ids: &HashMap<String, RoleId>,
    roles: &mut [Role],
) {
    let names: Vec<String> = roles.iter().map(|role| role.name.clone()).collect();
    let mut named: Vec<Vec<(usize, Spanned<String>)>> = vec![Vec::new(); roles.len()];
    for block in blocks {
        let id = block.labels.first().and_then(|label| role_ids.get(&label.value));
        let Some((id, attribute)) = id.zip(block.get("after")) else { continue };
        let role = &mut roles[id.index()];
        for other in value::texts(report, attribute).unwrap_or_default() {
            match role_ids.get(&other.value) {
                Some(_) if role.after.contains(&other.value) => {
                    let sentence = format!("role `{}` is named twice", other.value);
                    report.push(Finding::error(Code::WrittenTwice, other.source, sentence));
                }
                Some(before) => {
                    role.after.push(other.value.clone());
                    named[id.index()].push((before.index(), other));
                }
                None => {
                    let known = names.iter().map(String::as_str);
                    value::unknown_name(report, other.source, "role", &other.value, known);
                }
            }
        }
    }
    circles(report, &names, &named);
}

/// Tells each circle once, at the word that closes it.
fn circles(report: &mut Report, names: &[String], named: &[Vec<(usize, Spanned<String>)>]) {
    let mut is_done = vec![false; names.len()];
    for first in 0..names.len() {
        // The way here, and for each role of it which of its words is looked at next.
        let mut way: Vec<(usize, usize)> = vec![(first, 0)];
        while let Some((role, next)) = way.last_mut() {
            let role = *role;
            let word = named[role].get(*next);
            *next += 1;
            match word {
                _ if is_done[role] => drop(way.pop()),
                None => {
                    is_done[role] = true;
                    way.pop();
                }
                Some((before, word)) => match way.iter().position(|(role, _)| role == before) {
                    Some(at) => {
                        let circle = way[at..].iter().map(|(role, _)| *role).chain([*before]);
                        let said: Vec<String> = circle.map(|role| format!("`{}`", names[role])).collect();
                        let sentence = format!(
                            "roles would start after each other in a circle: {}",
                            said.join(" after ")
                        );
                        report.push(Finding::error(Code::StartsInACircle, word.source, sentence));
                    }
                    None => way.push((*before, 0)),
                },
            }
        }
    }
}
