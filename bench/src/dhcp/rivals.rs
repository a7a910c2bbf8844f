//! Who is compared, and how each is configured: as a careful administrator would for speed, and for the same networks.

use super::v4::Judgement;
use crate::arena::{Cores, Place};
use crate::limit;
use crate::process::{Server, find, zw};
use crate::zone::Zone;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Seconds: the lease that the example's zone gives.
const LEASE: u32 = 43_200;

/// One that is compared.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Rival {
    /// The bare reflector, which the generator takes for a server.
    Limit,
    /// Zonewright.
    Ours,
    /// Kea with a pool for each network.
    Kea,
    /// Kea with a reservation by circuit-id for each port: the same promise as ours.
    KeaReservations,
    /// dnsmasq.
    Dnsmasq,
    /// The DHCP server of ISC that Kea follows.
    Isc,
}

/// In the order of the table.
pub(crate) const ALL: &[Rival] =
    &[Rival::Limit, Rival::Ours, Rival::Kea, Rival::KeaReservations, Rival::Dnsmasq, Rival::Isc];

impl Rival {
    /// As the table calls it, and `--only`.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Limit => "reflector",
            Self::Ours => "zonewright",
            Self::Kea => "kea",
            Self::KeaReservations => "kea reservations",
            Self::Dnsmasq => "dnsmasq",
            Self::Isc => "dhcpd",
        }
    }

    /// Whether its failure is ours.
    pub(crate) fn is_ours(self) -> bool {
        matches!(self, Self::Limit | Self::Ours)
    }

    /// The program that it needs and that is not here.
    pub(crate) fn missing(self) -> Option<&'static str> {
        let program = match self {
            Self::Limit | Self::Ours => return None,
            Self::Kea | Self::KeaReservations => "kea-dhcp4",
            Self::Dnsmasq => "dnsmasq",
            Self::Isc => "dhcpd",
        };
        find(program).is_none().then_some(program)
    }

    /// What its answers must be.
    pub(crate) fn judgement(self) -> Judgement {
        match self {
            Self::Limit => Judgement::Anything,
            Self::Ours | Self::KeaReservations => Judgement::Planned,
            Self::Kea | Self::Dnsmasq | Self::Isc => Judgement::OfNetwork,
        }
    }

    /// Starts it in its place.
    pub(crate) fn start(self, place: &Place, cores: Cores, zone: &Zone) -> Result<Server, String> {
        match self {
            Self::Limit => limit::start(place, cores, (place.address, 67).into(), "dhcp4"),
            Self::Ours => ours(place, cores, &zone.design.display().to_string(), "state"),
            Self::Kea => kea(place, cores, zone, false),
            Self::KeaReservations => kea(place, cores, zone, true),
            Self::Dnsmasq => dnsmasq(place, cores, zone),
            Self::Isc => isc(place, cores, zone),
        }
    }
}

/// The servers of DHCPv6.
pub(crate) const SIX: &[Rival] = &[Rival::Limit, Rival::Ours, Rival::Kea];

impl Rival {
    /// The program that it needs for DHCPv6 and that is not here.
    pub(crate) fn missing6(self) -> Option<&'static str> {
        (self == Self::Kea && find("kea-dhcp6").is_none()).then_some("kea-dhcp6")
    }

    /// Starts its DHCPv6.
    pub(crate) fn start6(self, place: &Place, cores: Cores, zone: &Zone) -> Result<Server, String> {
        match self {
            Self::Limit => limit::start(place, cores, (place.address6, 547).into(), "dhcp6"),
            Self::Ours => {
                serve(place, cores, &zone.design.display().to_string(), "state", place.address6.into())
            }
            _ => kea6(place, cores, zone),
        }
    }
}

/// As for DHCPv4; a reservation by interface-id is not to be had without a hook.
fn kea6(place: &Place, cores: Cores, zone: &Zone) -> Result<Server, String> {
    let directory = place.directory()?.display().to_string();
    let subnets: Vec<String> = (1..)
        .zip(&zone.subnets)
        .map(|(number, subnet)| {
            let first = u128::from(subnet.v6.network()) + 0x1000;
            let (first, last) = (Ipv6Addr::from(first), Ipv6Addr::from(first + 0xfff));
            format!(
                r#"{{ "id": {number}, "subnet": "{}", "pools": [ {{ "pool": "{first} - {last}" }} ] }}"#,
                subnet.v6
            )
        })
        .collect();
    let text = format!(
        r#"{{ "Dhcp6": {{
  "interfaces-config": {{ "interfaces": [ "uplink/{address}" ] }},
  "lease-database": {{ "type": "memfile", "persist": true, "name": "{directory}/leases.csv", "lfc-interval": 0 }},
  "multi-threading": {{ "enable-multi-threading": false }},
  "expired-leases-processing": {{ "reclaim-timer-wait-time": 0 }},
  "preferred-lifetime": {LEASE}, "valid-lifetime": {LEASE},
  "option-data": [
    {{ "name": "dns-servers", "data": "{address}" }}, {{ "name": "domain-search", "data": "{domain}" }} ],
  "loggers": [ {{ "name": "kea-dhcp6", "severity": "ERROR", "output_options": [ {{ "output": "stderr" }} ] }} ],
  "subnet6": [
    {subnets} ] }} }}
"#,
        address = place.address6,
        domain = zone.domain,
        subnets = subnets.join(",\n    ")
    );
    let configuration = place.write("kea6.conf", &text)?;
    let (lock, pid) = (format!("KEA_LOCKFILE_DIR={directory}"), format!("KEA_PIDFILE_DIR={directory}"));
    Server::start(place, cores, &["env", &lock, &pid, "kea-dhcp6", "-c", &configuration])
}

/// `zw serve`, as the first controller.
pub(crate) fn ours(place: &Place, cores: Cores, design: &str, state: &str) -> Result<Server, String> {
    serve(place, cores, design, state, place.address.into())
}

fn serve(place: &Place, cores: Cores, design: &str, state: &str, address: IpAddr) -> Result<Server, String> {
    let state = place.directory()?.join(state).display().to_string();
    let socket = place.directory()?.join("api.sock").display().to_string();
    let address = address.to_string();
    Server::start(
        place,
        cores,
        &[
            &zw()?,
            "serve",
            design,
            "--address",
            &address,
            "--controller",
            "ctl1",
            "--state",
            &state,
            "--api-socket",
            &socket,
        ],
    )
}

/// Memfile, one thread as one core has, a UDP socket (all clients are behind relays).
fn kea(place: &Place, cores: Cores, zone: &Zone, has_reservations: bool) -> Result<Server, String> {
    let directory = place.directory()?.display().to_string();
    let mut reservations: Vec<Vec<String>> = vec![Vec::new(); zone.subnets.len()];
    if has_reservations {
        for port in &zone.ports {
            reservations[port.subnet].push(format!(
                r#"{{ "circuit-id": "'{}'", "ip-address": "{}" }}"#,
                port.circuit_id, port.address4
            ));
        }
    }
    let subnets: Vec<String> = (1..)
        .zip(zone.subnets.iter().zip(&reservations))
        .map(|(number, (subnet, reservations))| {
            // Reserved addresses need no pool, and outside of one Kea looks up less.
            let (first, last) = subnet.pool4();
            let pool = if has_reservations {
                String::new()
            } else {
                format!("{{ \"pool\": \"{first} - {last}\" }}")
            };
            format!(
                r#"{{ "id": {number}, "subnet": "{}", "pools": [ {pool} ],
      "option-data": [ {{ "name": "routers", "data": "{}" }} ],
      "reservations": [ {} ] }}"#,
                subnet.v4,
                subnet.gateway4,
                reservations.join(", ")
            )
        })
        .collect();
    let text = format!(
        r#"{{ "Dhcp4": {{
  "interfaces-config": {{ "interfaces": [ "uplink" ], "dhcp-socket-type": "udp" }},
  "lease-database": {{ "type": "memfile", "persist": true, "name": "{directory}/leases.csv", "lfc-interval": 0 }},
  "multi-threading": {{ "enable-multi-threading": false }},
  "host-reservation-identifiers": [ "circuit-id" ],
  "reservations-global": false, "reservations-in-subnet": {has_reservations},
  "reservations-out-of-pool": {has_reservations},
  "expired-leases-processing": {{ "reclaim-timer-wait-time": 0 }},
  "valid-lifetime": {LEASE},
  "option-data": [
    {{ "name": "domain-name-servers", "data": "{resolver}" }}, {{ "name": "domain-name", "data": "{domain}" }} ],
  "loggers": [ {{ "name": "kea-dhcp4", "severity": "ERROR", "output_options": [ {{ "output": "stderr" }} ] }} ],
  "subnet4": [
    {subnets} ] }} }}
"#,
        resolver = place.address,
        domain = zone.domain,
        subnets = subnets.join(",\n    ")
    );
    let configuration = place.write("kea.conf", &text)?;
    let (lock, pid) = (format!("KEA_LOCKFILE_DIR={directory}"), format!("KEA_PIDFILE_DIR={directory}"));
    Server::start(place, cores, &["env", &lock, &pid, "kea-dhcp4", "-c", &configuration])
}

/// No ping before an offer, no log of each answer.
fn dnsmasq(place: &Place, cores: Cores, zone: &Zone) -> Result<Server, String> {
    let directory = place.directory()?.display().to_string();
    let mut text = format!(
        "port=0\nuser=root\nno-ping\nquiet-dhcp\nno-resolv\nno-hosts\ninterface=uplink\nbind-interfaces\n\
         dhcp-authoritative\ndhcp-lease-max=50000\ndhcp-leasefile={directory}/leases\npid-file={directory}/pid\n\
         domain={}\ndhcp-option=option:dns-server,{}\n",
        zone.domain, place.address
    );
    for (number, subnet) in zone.subnets.iter().enumerate() {
        let (first, last) = subnet.pool4();
        text += &format!(
            "dhcp-range=set:n{number},{first},{last},{},{LEASE}\ndhcp-option=tag:n{number},option:router,{}\n",
            subnet.v4.netmask(),
            subnet.gateway4
        );
    }
    let configuration = place.write("dnsmasq.conf", &text)?;
    let configuration = format!("--conf-file={configuration}");
    Server::start(place, cores, &["dnsmasq", "--keep-in-foreground", &configuration])
}

/// No ping before an offer; leases are written as they are by default.
fn isc(place: &Place, cores: Cores, zone: &Zone) -> Result<Server, String> {
    let (resolver, domain) = (place.address, &zone.domain);
    let link = Ipv4Addr::from(u32::from(place.address) & !3);
    let mut text = format!(
        "authoritative;\nping-check false;\nlog-facility local7;\ndefault-lease-time {LEASE};\nmax-lease-time {LEASE};\n\
         option domain-name \"{domain}\";\noption domain-name-servers {resolver};\n\
         subnet {link} netmask 255.255.255.252 {{ }}\n"
    );
    for subnet in &zone.subnets {
        let (first, last) = subnet.pool4();
        text += &format!(
            "subnet {} netmask {} {{ range {first} {last}; option routers {}; }}\n",
            subnet.v4.network(),
            subnet.v4.netmask(),
            subnet.gateway4
        );
    }
    let configuration = place.write("dhcpd.conf", &text)?;
    let (leases, pid) = (place.write("leases", "")?, place.directory()?.join("pid").display().to_string());
    Server::start(
        place,
        cores,
        &[
            "dhcpd",
            "-4",
            "-f",
            "-q",
            "--no-pid",
            "-cf",
            &configuration,
            "-lf",
            &leases,
            "-pf",
            &pid,
            "uplink",
        ],
    )
}
