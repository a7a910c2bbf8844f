//! Every cable, as the wiring file that `zw` reads.

use model::Plan;
use model::design::PortRef;
use std::borrow::Cow;

/// CSV with the header `StartDevice,StartPort,EndDevice,EndPort,BandWidth,VlanID`; devices by name.
pub fn cables(plan: &Plan) -> String {
    let mut out = String::from("StartDevice,StartPort,EndDevice,EndPort,BandWidth,VlanID\n");
    for cable in &plan.design.cables {
        let (a, b) = (end(plan, cable.a), end(plan, cable.b));
        let mbps = cable.mbps.map(|mbps| mbps.to_string()).unwrap_or_default();
        let vlans = cable.vlans.as_deref().unwrap_or_default();
        let cells = [a.0, a.1, b.0, b.1, &mbps, vlans].map(cell);
        out.push_str(&cells.join(","));
        out.push('\n');
    }
    out
}

fn end(plan: &Plan, port: PortRef) -> (&str, &str) {
    let device = &plan.design.devices[port.device.index()];
    let ports = &plan.design.models[device.model.index()].ports;
    (&device.name, ports.get(port.port.index()).map_or("", String::as_str))
}

/// RFC 4180 §2: quoted if it must be, quotes doubled.
fn cell(text: &str) -> Cow<'_, str> {
    if text.contains(['"', ',', '\n', '\r']) || text.starts_with('#') {
        format!("\"{}\"", text.replace('"', "\"\"")).into()
    } else {
        text.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_quoted_when_they_must_be() {
        assert_eq!(cell("Ethernet1/1"), "Ethernet1/1");
        assert_eq!(cell("1681,1682"), "\"1681,1682\"");
        assert_eq!(cell("19\""), "\"19\"\"\"");
    }
}
