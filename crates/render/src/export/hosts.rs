//! A hosts file: every address with its name, whole and short.

use model::Plan;
use std::fmt::Write;
use std::net::IpAddr;

/// The lines, in the order of interfaces, IPv4 first.
pub fn hosts(plan: &Plan) -> String {
    let domain = &plan.design.zone.domain;
    let mut out = String::with_capacity(64 * plan.interfaces.len());
    for interface in &plan.interfaces {
        let name = &interface.dns_name;
        for address in interface.v4.map(IpAddr::V4).into_iter().chain(interface.v6.map(IpAddr::V6)) {
            // Writing to a String cannot fail.
            let _ = writeln!(out, "{address} {name}.{domain} {name}");
        }
    }
    out
}
