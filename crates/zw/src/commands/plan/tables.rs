//! A plan as people read it.

use super::Table;
use super::table::Columns;
use model::design::{Audience, DeviceKind, Scope};
use plan::Document;
use plan::document::{InterfaceRow, NetworkRow, SubnetRow};
use std::collections::HashMap;
use std::fmt::Write;

/// Rows of each table in the overview.
const OVERVIEW_ROWS: usize = 16;

/// The overview, or one table whole.
pub(super) fn text(document: &Document<'_>, only: Option<Table>) -> String {
    let mut out = String::new();
    match only {
        None => overview(document, &mut out),
        Some(Table::Machines) => machines(document, usize::MAX, &mut out),
        Some(Table::Interfaces) => interfaces(document, &mut out),
        Some(Table::Networks) => networks(document, usize::MAX, &mut out),
        Some(Table::Cables) => cables(document, &mut out),
        Some(Table::Dns) => dns(document, &mut out),
        Some(Table::Dhcp) => dhcp(document, &mut out),
    }
    out
}

fn overview(document: &Document<'_>, out: &mut String) {
    summary(document, out);
    out.push('\n');
    networks(document, OVERVIEW_ROWS, out);
    out.push('\n');
    machines(document, OVERVIEW_ROWS, out);
    let (interfaces, cables) = (document.interfaces.len(), document.cables.len());
    let (records, bindings) = (document.dns.records.len(), document.dhcp.len());
    say(
        out,
        format_args!(
            "\n{interfaces} interfaces, {cables} cables, {records} DNS records, {bindings} DHCP bindings: --only \
             prints a table whole, --json everything\n"
        ),
    );
}

/// What there is, and what there is room for.
fn summary(document: &Document<'_>, out: &mut String) {
    let zone = &document.zone;
    let is = |wanted: DeviceKind| document.machines.iter().filter(|row| row.kind == wanted).count();
    let (machines, controllers) = (is(DeviceKind::Machine), is(DeviceKind::Controller));
    let switches = document.switches.iter().filter(|row| row.kind.is_switch()).count();
    let mut pods = 0;
    let mut racks = 0;
    for aggregate in &document.aggregates {
        match aggregate.location.as_str().matches('/').count() {
            1 => pods += 1,
            _ => racks += 1,
        }
    }
    let capacity = zone.capacity;
    let room = u64::from(capacity.pods) * u64::from(capacity.racks) * u64::from(capacity.units);
    let subnets: usize = document.networks.iter().map(|network| network.subnets.len()).sum();
    let supernets =
        zone.supernet4.map(|it| it.to_string()).into_iter().chain(zone.supernet6.map(|it| it.to_string()));
    let supernets = supernets.collect::<Vec<_>>().join(" and ");
    say(
        out,
        format_args!(
            "{}: {}, {}, {}, {subnets} subnets in {supernets}\n",
            zone.name,
            count(machines, "machine"),
            if switches == 1 { "1 switch".into() } else { format!("{switches} switches") },
            count(controllers, "controller"),
        ),
    );
    let free = room.saturating_sub(u64::try_from(machines).unwrap_or(u64::MAX));
    say(
        out,
        format_args!(
            "room: {pods} of {} pods, {racks} of {} racks, {free} machines more before anything renumbers\n",
            capacity.pods,
            u64::from(capacity.pods) * u64::from(capacity.racks),
        ),
    );
}

fn count(count: usize, word: &str) -> String {
    if count == 1 { format!("1 {word}") } else { format!("{count} {word}s") }
}

/// One line per subnet; in an overview, the first few of each network.
fn networks(document: &Document<'_>, max: usize, out: &mut String) {
    let mut used: HashMap<(&str, &str), usize> = HashMap::new();
    for row in &document.interfaces {
        *used.entry((row.network.as_ref(), row.subnet.as_str())).or_default() += 1;
    }
    let each = if max == usize::MAX { max } else { (max / document.networks.len().max(1)).max(2) };
    let mut columns = Columns::new(["NETWORK", "WHERE", "IPV4", "IPV6", "GATEWAY", "USED", "VLAN", "FOR"]);
    let mut more = 0;
    for network in &document.networks {
        for subnet in network.subnets.iter().take(each) {
            let used = used.get(&(network.name.as_ref(), subnet.location.as_str())).copied().unwrap_or(0);
            columns.row(subnet_cells(network, subnet, used));
        }
        more += network.subnets.len().saturating_sub(each);
    }
    columns.push_to(out, usize::MAX);
    if more > 0 {
        say(out, format_args!("… and {more} subnets more\n"));
    }
}

fn subnet_cells(network: &NetworkRow<'_>, subnet: &SubnetRow, used: usize) -> [String; 8] {
    let place = match network.scope {
        Scope::Zone => subnet.location.as_str(),
        Scope::Pod | Scope::Rack => subnet.location.within_zone(),
    };
    // Network, gateway, router and broadcast addresses are no room for anybody.
    let reserved = subnet.routers.len() + 3;
    let room = subnet.v4.map(|net| (1_usize << (32 - u32::from(net.prefix_len()))).saturating_sub(reserved));
    let audience = |audience: &Audience| match audience {
        Audience::Machine => "machines",
        Audience::Bmc => "BMCs",
        Audience::Switch => "switches",
        Audience::Controller => "controllers",
    };
    [
        network.name.to_string(),
        place.to_owned(),
        text_of(subnet.v4),
        text_of(subnet.v6),
        subnet.gateway4.map_or_else(|| text_of(subnet.gateway6), |gateway| gateway.to_string()),
        room.map_or_else(|| used.to_string(), |room| format!("{used} of {room}")),
        match network.vlan {
            Some(vlan) if network.native => format!("{vlan} untagged"),
            Some(vlan) => vlan.to_string(),
            None => "-".into(),
        },
        network.audience.iter().map(audience).collect::<Vec<_>>().join(", "),
    ]
}

fn machines(document: &Document<'_>, max: usize, out: &mut String) {
    let mut rows_of: HashMap<&str, &[InterfaceRow<'_>]> = HashMap::with_capacity(document.machines.len());
    for rows in document.interfaces.chunk_by(|a, b| a.location == b.location) {
        rows_of.insert(rows[0].location.as_str(), rows);
    }
    let mut columns = Columns::new(["LOCATION", "NAME", "ROLE", "MODEL", "ADDRESS", "IPV6", "BMC"]);
    for row in document.machines.iter().take(max) {
        let interfaces = rows_of.get(row.location.as_str()).copied().unwrap_or(&[]);
        let first = interfaces.iter().find(|interface| interface.audience != Audience::Bmc);
        let bmc = interfaces.iter().find(|interface| interface.audience == Audience::Bmc);
        columns.row([
            row.location.to_string(),
            row.name.to_string(),
            row.role.as_ref().map_or_else(|| "-".into(), ToString::to_string),
            row.model.to_string(),
            text_of(first.and_then(|interface| interface.v4)),
            text_of(first.and_then(|interface| interface.v6)),
            text_of(bmc.and_then(|interface| interface.v4)),
        ]);
    }
    columns.push_to(out, max);
    if document.machines.len() > max {
        say(out, format_args!("… and {} machines more\n", document.machines.len() - max));
    }
}

fn interfaces(document: &Document<'_>, out: &mut String) {
    let mut columns = Columns::new(["LOCATION", "INTERFACE", "NETWORK", "IPV4", "IPV6", "DNS", "PORTS"]);
    for row in &document.interfaces {
        columns.row([
            row.location.to_string(),
            row.name.to_string(),
            row.network.to_string(),
            text_of(row.v4),
            text_of(row.v6),
            row.dns_name.to_string(),
            row.ports.join(" "),
        ]);
    }
    columns.push_to(out, usize::MAX);
}

fn cables(document: &Document<'_>, out: &mut String) {
    let mut columns = Columns::new(["DEVICE", "PORT", "TO DEVICE", "PORT", "MBIT/S", "VLANS"]);
    for row in &document.cables {
        columns.row([
            row.a.location.to_string(),
            row.a.port.to_string(),
            row.b.location.to_string(),
            row.b.port.to_string(),
            text_of(row.mbps),
            text_of(row.vlans.as_ref()),
        ]);
    }
    columns.push_to(out, usize::MAX);
}

fn dns(document: &Document<'_>, out: &mut String) {
    let mut columns = Columns::new(["NAME", "TYPE", "DATA"]);
    for row in &document.dns.records {
        columns.row([row.name.to_string(), row.kind.as_str().to_owned(), row.data.to_string()]);
    }
    columns.push_to(out, usize::MAX);
}

fn dhcp(document: &Document<'_>, out: &mut String) {
    let mut columns = Columns::new([
        "LOCATION",
        "INTERFACE",
        "NETWORK",
        "SWITCH",
        "PORT",
        "CIRCUIT-ID",
        "REMOTE-ID",
        "CLASS",
    ]);
    for row in &document.dhcp {
        columns.row([
            row.location.to_string(),
            row.interface.to_string(),
            row.network.to_string(),
            row.switch.to_string(),
            row.port.to_string(),
            row.circuit_id.to_string(),
            text_of(row.remote_id.as_ref()),
            match row.is_bmc_class {
                Some(true) => "BMC",
                Some(false) => "not BMC",
                None => "-",
            }
            .to_owned(),
        ]);
    }
    columns.push_to(out, usize::MAX);
}

fn text_of(value: Option<impl ToString>) -> String {
    value.map_or_else(|| "-".into(), |value| value.to_string())
}

fn say(out: &mut String, words: std::fmt::Arguments<'_>) {
    // Writing to a String cannot fail.
    let _ = out.write_fmt(words);
}
