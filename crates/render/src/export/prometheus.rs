//! Prometheus service discovery: the form that `file_sd_configs` and `http_sd_configs` share.

use super::{address, labels, machines};
use model::Plan;
use serde_json::{Map, Value, json};
use std::net::SocketAddr;

/// One group for each machine that has an address, as JSON: `targets` is its address and `port`; `labels` are
/// `instance` (its name), `location`, `pod`, `rack`, `role` and `model`.
pub fn prometheus(plan: &Plan, port: u16) -> String {
    let mut groups = Vec::new();
    for (id, device) in machines(plan) {
        let Some(address) = address(plan, id) else { continue };
        let mut all = Map::new();
        all.insert("instance".into(), device.name.as_str().into());
        all.extend(
            labels(plan, device).into_iter().map(|(word, value)| (word.to_owned(), Value::from(value))),
        );
        groups.push(json!({ "targets": [SocketAddr::new(address, port).to_string()], "labels": all }));
    }
    let mut text = format!("{:#}", Value::Array(groups));
    text.push('\n');
    text
}
