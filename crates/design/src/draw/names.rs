//! Names and locations stand once.

use super::Drawing;
use crate::report::Report;
use crate::tables::is_dns_label;
use model::design::DeviceKind;
use model::finding::{Code, Finding};
use model::ids::PodId;
use model::quick::Map;
use std::borrow::Cow;
use std::collections::HashMap;

/// Every name is a DNS label and stands once; so does every location at the root.
pub(super) fn check(report: &mut Report, drawing: &Drawing, pod_ids: &HashMap<String, PodId>) {
    let mut names: Map<Cow<'_, str>, usize> = Map::default();
    names.reserve(drawing.devices.len());
    let mut others: Map<&str, usize> = Map::default();
    for (index, device) in drawing.devices.iter().enumerate() {
        if !is_dns_label(&device.name) {
            let sentence = format!("`{}` cannot be the name of `{}`", device.name, device.location);
            report.push(
                Finding::error(Code::BadName, device.source, sentence)
                    .help("a DNS label is letters, digits and hyphens, at most 63, no hyphen first or last"),
            );
        }
        let key = if device.name.bytes().any(|byte| byte.is_ascii_uppercase()) {
            device.name.to_ascii_lowercase().into()
        } else {
            device.name.as_str().into()
        };
        if let Some(other) = names.insert(key, index) {
            let other = &drawing.devices[other];
            let sentence = format!(
                "`{}` and `{}` have the same name `{}`",
                other.location, device.location, device.name
            );
            let finding = Finding::error(Code::DuplicateName, device.source, sentence)
                .help("let `name` use `{pod}`, `{rack}` and `{unit}` or `{label}`");
            report.push(if other.source == device.source {
                finding
            } else {
                finding.related(other.source, "the other")
            });
        }
        if device.kind == DeviceKind::Other || device.kind == DeviceKind::Controller {
            let twice =
                others.insert(device.location.as_str(), index).map(|other| drawing.devices[other].source);
            let pod = device.pod.is_none().then(|| pod_ids.get(device.location.leaf())).flatten();
            if let Some(first) = twice.or(pod.map(|pod| drawing.pods[pod.index()].source)) {
                let sentence = format!("`{}` is written twice", device.location);
                report.push(
                    Finding::error(Code::WrittenTwice, device.source, sentence).related(first, "first here"),
                );
            }
        }
    }
}
