//! Which of the design's controllers this host is, by its addresses.

use crate::options::{Options, StartError};
use model::Plan;
use model::design::DeviceKind;
use std::collections::HashSet;
use std::net::IpAddr;

/// Those that the plan gives to a controller. Without an address given, this host must have one: else machines would be
/// told of a controller that is not there.
pub(super) fn addresses_of_this_host(options: &Options, plan: &Plan) -> Result<Vec<IpAddr>, StartError> {
    let design = &plan.design;
    let controllers =
        design.devices.iter().enumerate().filter(|(_, device)| device.kind == DeviceKind::Controller);
    let meant: Vec<_> = controllers
        .filter(|(_, device)| {
            options.controller.as_ref().is_none_or(|name| device.name == *name || device.location.is(name))
        })
        .collect();
    if let (Some(name), true) = (&options.controller, meant.is_empty()) {
        let names = design
            .devices
            .iter()
            .filter(|device| device.kind == DeviceKind::Controller)
            .map(|device| device.name.as_str());
        let names: Vec<_> = names.collect();
        return Err(StartError::Controller(format!(
            "the design has no controller {name}; it has {}",
            names.join(", ")
        )));
    }
    if options.address.is_some() {
        return Ok(Vec::new());
    }
    let own: HashSet<IpAddr> = nix::ifaddrs::getifaddrs()
        .into_iter()
        .flatten()
        .filter_map(|interface| {
            let address = interface.address?;
            let v4 = address.as_sockaddr_in().map(|v4| IpAddr::V4(v4.ip()));
            v4.or_else(|| address.as_sockaddr_in6().map(|v6| IpAddr::V6(v6.ip())))
        })
        .collect();
    let interfaces =
        meant.iter().flat_map(|(index, _)| plan.interfaces_of(model::DeviceId::from_index(*index)));
    let planned: Vec<IpAddr> = interfaces
        .flat_map(|interface| [interface.v4.map(IpAddr::V4), interface.v6.map(IpAddr::V6)])
        .flatten()
        .collect();
    let here: Vec<_> = planned.iter().copied().filter(|address| own.contains(address)).collect();
    if !here.is_empty() {
        return Ok(here);
    }
    let names: Vec<_> = meant.iter().map(|(_, device)| device.name.as_str()).collect();
    let planned: Vec<_> = planned.iter().map(IpAddr::to_string).collect();
    Err(StartError::Controller(format!(
        "this host has no address that the design gives to a controller ({}: {}); add it to an interface, or name the one to serve on with --address",
        names.join(", "),
        planned.join(", ")
    )))
}
