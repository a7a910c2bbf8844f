//! The zone as a graph for Graphviz: racks and pods are boxes, cables are lines with their ports at the ends.

use model::Plan;
use model::design::{Device, DeviceKind, PortRef};
use std::fmt::Write;

/// The graph, undirected. `dot -Tsvg` draws a pod; `sfdp -Tsvg` a zone.
pub fn dot(plan: &Plan) -> String {
    let design = &plan.design;
    let mut out = String::new();
    line(&mut out, 0, format_args!("graph {} {{", quoted(&design.zone.name)));
    line(&mut out, 1, format_args!("node [shape=box];"));
    let mut of_pod = vec![Vec::new(); design.pods.len()];
    let mut of_rack = vec![Vec::new(); design.racks.len()];
    let mut racks_of = vec![Vec::new(); design.pods.len()];
    for (index, rack) in design.racks.iter().enumerate() {
        racks_of[rack.pod.index()].push(index);
    }
    for device in &design.devices {
        match (device.pod, device.rack) {
            (_, Some(rack)) => of_rack[rack.index()].push(device),
            (Some(pod), None) => of_pod[pod.index()].push(device),
            (None, None) => node(&mut out, 1, device),
        }
    }
    for (index, pod) in design.pods.iter().enumerate() {
        box_of(&mut out, 1, pod.location.within_zone(), pod.location.leaf());
        of_pod[index].iter().for_each(|device| node(&mut out, 2, device));
        for &rack in &racks_of[index] {
            let location = &design.racks[rack].location;
            box_of(&mut out, 2, location.within_zone(), location.leaf());
            of_rack[rack].iter().for_each(|device| node(&mut out, 3, device));
            line(&mut out, 2, format_args!("}}"));
        }
        line(&mut out, 1, format_args!("}}"));
    }
    for cable in &design.cables {
        let (a, b) = (end(plan, cable.a), end(plan, cable.b));
        let (tail, head) = (quoted(a.1), quoted(b.1));
        let words = format_args!("{} -- {} [taillabel={tail}, headlabel={head}];", quoted(a.0), quoted(b.0));
        line(&mut out, 1, words);
    }
    out.push_str("}\n");
    out
}

fn box_of(out: &mut String, depth: usize, path: &str, label: &str) {
    line(out, depth, format_args!("subgraph {} {{", quoted(&format!("cluster {path}"))));
    line(out, depth + 1, format_args!("label={};", quoted(label)));
}

fn node(out: &mut String, depth: usize, device: &Device) {
    let style = match device.kind {
        DeviceKind::Machine => "",
        DeviceKind::Controller => ", style=bold",
        DeviceKind::Other => ", style=dashed",
        DeviceKind::Core | DeviceKind::Spine | DeviceKind::Leaf | DeviceKind::Lom => ", style=rounded",
    };
    let (id, label) = (quoted(device.location.as_str()), quoted(&device.name));
    line(out, depth, format_args!("{id} [label={label}{style}];"));
}

fn end(plan: &Plan, port: PortRef) -> (&str, &str) {
    let device = &plan.design.devices[port.device.index()];
    let ports = &plan.design.models[device.model.index()].ports;
    (device.location.as_str(), ports.get(port.port.index()).map_or("", String::as_str))
}

/// A quoted identifier: only the quote needs an escape, and a backslash before it would be taken for one.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

fn line(out: &mut String, depth: usize, words: std::fmt::Arguments<'_>) {
    // Writing to a String cannot fail.
    let _ = writeln!(out, "{:1$}{words}", "", 2 * depth);
}
