//! Machines that a plan has and the next one has not.

use model::design::DeviceKind;
use model::{DeviceId, Location, Plan};
use std::collections::HashSet;
use std::net::IpAddr;

/// A machine that is not drawn any more, and what goes with it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Gone {
    /// Where it was.
    pub location: Location,
    /// Its names in DNS, without the domain.
    pub names: Vec<String>,
    /// Its addresses, with its BMC's.
    pub addresses: Vec<IpAddr>,
}

/// The machines of `old` that are not in `new`, in the order of `old`.
pub fn gone(old: &Plan, new: &Plan) -> Vec<Gone> {
    let now: HashSet<&Location> = new.design.devices.iter().map(|device| &device.location).collect();
    let devices = old.design.devices.iter().zip((0..).map(DeviceId));
    let machines = devices.filter(|(device, _)| device.kind == DeviceKind::Machine);
    let missing = machines.filter(|(device, _)| !now.contains(&device.location));
    missing
        .map(|(device, id)| {
            let interfaces = old.interfaces_of(id);
            let both = |it: &model::plan::Interface| [it.v4.map(IpAddr::V4), it.v6.map(IpAddr::V6)];
            Gone {
                location: device.location.clone(),
                names: interfaces.iter().map(|interface| interface.dns_name.clone()).collect(),
                addresses: interfaces.iter().flat_map(both).flatten().collect(),
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::gone;
    use crate::testing::{POCKET, plan};

    #[test]
    fn what_is_not_drawn_any_more_is_gone_with_its_names_and_addresses() {
        let (four, three) = (plan(POCKET), plan(&POCKET.replace("u{01..04}", "u{01..03}")));
        let found = gone(&four, &three);
        let places: Vec<&str> = found.iter().map(|gone| gone.location.within_zone()).collect();
        assert_eq!(places, ["p01/r1/u04", "p02/r1/u04"]);
        assert_eq!(found[0].names, ["hv-p01-r1-u04", "hv-p01-r1-u04-bmc"]);
        let v4: Vec<String> =
            found[0].addresses.iter().filter(|it| it.is_ipv4()).map(ToString::to_string).collect();
        assert_eq!(v4, ["10.64.0.9", "10.64.0.41"]);
        assert_eq!(gone(&three, &four), []);
    }
}
