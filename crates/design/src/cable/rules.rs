//! The entries of a `cable` object, read once for their block.
//!
//! In: `eno1 = leaf.a.swp[unit]`. Out: which device is meant and which port of it, as far as that can be said before
//! all devices stand. It resolves nothing.

use crate::arithmetic::{self, Arithmetic, Variable};
use crate::report::Report;
use crate::syntax::{Attribute, Expression, Kind, Spanned, Step};
use crate::template::{self, Field, Naming, PortNaming};
use crate::value;
use model::design::DeviceKind;
use model::finding::{Code, Finding, Source};

/// One entry of a `cable` object.
pub(crate) struct Rule {
    pub(super) own: Spanned<String>,
    /// `None` for `null`: this port is not cabled.
    pub(super) target: Option<Target>,
    pub(super) source: Source,
}

pub(super) struct Target {
    pub(super) device: Selector,
    pub(super) port: PortSelector,
}

/// Which device a rule leads to.
pub(super) enum Selector {
    /// The nearest of this kind and label: in the rack, else in its pod, else at the root.
    Near(DeviceKind, Option<String>),
    /// By name or location.
    Named(Naming),
}

/// Which port of it.
pub(super) enum PortSelector {
    /// The port whose name is `base` and a number.
    Numbered(String, Arithmetic),
    Exact(PortNaming),
}

/// Words that begin a path to a port.
pub(super) const ROOTS: [(&str, DeviceKind); 6] = [
    ("core", DeviceKind::Core),
    ("spine", DeviceKind::Spine),
    ("leaf", DeviceKind::Leaf),
    ("lom", DeviceKind::Lom),
    ("controller", DeviceKind::Controller),
    ("device", DeviceKind::Other),
];

/// Reads a `cable` object.
pub(crate) fn rules(
    report: &mut Report,
    attribute: &Attribute,
    variables: &[Variable],
    fields: &[Field],
) -> Vec<Rule> {
    let entries = value::entries(report, attribute).unwrap_or_default();
    let mut rules = Vec::with_capacity(entries.len());
    for entry in entries {
        let target = match entry.value.kind {
            Kind::Null => None,
            Kind::Invalid => continue,
            _ => match target(report, &entry.value, variables, fields) {
                Some(target) => Some(target),
                None => continue,
            },
        };
        rules.push(Rule { own: entry.key.clone(), target, source: entry.value.source });
    }
    rules
}

fn target(
    report: &mut Report,
    value: &Expression,
    variables: &[Variable],
    fields: &[Field],
) -> Option<Target> {
    match &value.kind {
        Kind::Path(root, steps) if !steps.is_empty() => {
            let Some((_, kind)) = ROOTS.iter().find(|(word, _)| word == root) else {
                let sentence = format!("`{root}` is nothing that a cable leads to");
                let finding = Finding::error(Code::BadExpression, value.source, sentence);
                let near = model::finding::nearest(root, ROOTS.iter().map(|(word, _)| *word));
                report.push(match near {
                    Some(near) => finding.help(format!("did you mean `{near}`?")),
                    None => finding.help("a path begins with core, spine, leaf, lom, controller or device"),
                });
                return None;
            };
            path(report, value.source, *kind, steps, variables)
        }
        Kind::Text(text) => {
            named(report, &Spanned { value: text.clone(), source: value.source }, variables, fields)
        }
        _ => {
            let sentence = "a cable leads to a port";
            report.push(
                Finding::error(Code::BadExpression, value.source, sentence)
                    .help("write `leaf.a.swp[unit]`, `leaf.a[\"swp14\"]` or `\"device:port\"`"),
            );
            None
        }
    }
}

/// `leaf.a.swp[unit]`, `lom.swp[unit]`, `leaf.a["Ethernet1/{unit}"]`, `core.c1.swp3`.
fn path(
    report: &mut Report,
    source: Source,
    kind: DeviceKind,
    steps: &[Step],
    variables: &[Variable],
) -> Option<Target> {
    let is_text = |index: &Expression| matches!(index.kind, Kind::Text(_));
    let (label, port) = match steps {
        [label @ .., Step::Word(base), Step::Index(index)] if !is_text(index) => {
            let number = arithmetic::compile(report, index, variables)?;
            (label, PortSelector::Numbered(base.value.clone(), number))
        }
        [label @ .., Step::Index(Expression { kind: Kind::Text(text), source })] => {
            let text = Spanned { value: text.clone(), source: *source };
            (label, PortSelector::Exact(template::port_naming(report, &text, variables)?))
        }
        [label @ .., Step::Word(word)] => {
            (label, PortSelector::Exact(template::port_naming(report, word, &[])?))
        }
        _ => {
            report.push(bad_path(source));
            return None;
        }
    };
    let label = match label {
        [] => None,
        [Step::Word(label)] => Some(label.value.clone()),
        [Step::Index(Expression { kind: Kind::Text(label), .. })] => Some(label.clone()),
        _ => {
            report.push(bad_path(source));
            return None;
        }
    };
    Some(Target { device: Selector::Near(kind, label), port })
}

fn bad_path(source: Source) -> Finding {
    Finding::error(Code::BadExpression, source, "this path does not lead to a port").help(
        "write the kind, the label and the port: `leaf.a.swp[unit]`, or `leaf.a[\"swp14\"]` for one port",
    )
}

/// `"device:port"`.
fn named(
    report: &mut Report,
    text: &Spanned<String>,
    variables: &[Variable],
    fields: &[Field],
) -> Option<Target> {
    let Some((device, port)) = text.value.split_once(':') else {
        report.push(
            Finding::error(Code::BadExpression, text.source, format!("`{}` names no port", text.value))
                .help("write `\"device:port\"`, the device by its name or location"),
        );
        return None;
    };
    let device = Spanned { value: device.to_string(), source: text.source };
    let port = Spanned { value: port.to_string(), source: text.source };
    let device = template::naming(report, &device, fields)?;
    let port = template::port_naming(report, &port, variables)?;
    Some(Target { device: Selector::Named(device), port: PortSelector::Exact(port) })
}
