//! The zones that are served: the examples, and larger ones made from them by a few replaced words, so that nobody has
//! to trust a generator. What every port must be told is read from the plan's own document.

use crate::process;
use ipnet::{Ipv4Net, Ipv6Net};
use serde::Deserialize;
use std::collections::{HashMap, HashSet};
use std::fs;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The addresses of a subnet that relays and gateways have: a pool begins behind them.
const RESERVED: u32 = 9;

/// A design on the disk, and what its plan says about the network that machines boot in.
pub(crate) struct Zone {
    /// The design's directory.
    pub(crate) design: PathBuf,
    /// The zone's domain.
    pub(crate) domain: String,
    /// The networks that machines boot in, one for each rack.
    pub(crate) subnets: Vec<Subnet>,
    /// Records of the DNS.
    pub(crate) records: Vec<Record>,
    /// One port for each machine: the one on the rack's first switch.
    pub(crate) ports: Vec<Port>,
}

/// A network that machines boot in.
#[derive(Clone, Debug)]
pub(crate) struct Subnet {
    pub(crate) v4: Ipv4Net,
    pub(crate) v6: Ipv6Net,
    pub(crate) gateway4: Ipv4Addr,
    /// The switch that relays, in this network.
    pub(crate) relay4: Ipv4Addr,
    pub(crate) relay6: Ipv6Addr,
}

impl Subnet {
    /// The addresses that a server without a plan may give out.
    pub(crate) fn pool4(&self) -> (Ipv4Addr, Ipv4Addr) {
        let (first, last) = (u32::from(self.v4.network()), u32::from(self.v4.broadcast()));
        (Ipv4Addr::from(first + RESERVED), Ipv4Addr::from(last - 1))
    }
}

/// A switch port with a machine behind it.
#[derive(Clone, Debug)]
pub(crate) struct Port {
    /// The machine's location.
    pub(crate) location: String,
    /// The network's number in [`Zone::subnets`].
    pub(crate) subnet: usize,
    /// What the relay writes into Option 82.
    pub(crate) circuit_id: String,
    /// The same.
    pub(crate) remote_id: Option<String>,
    /// What it writes into Option 18 of DHCPv6.
    pub(crate) interface_id: String,
    /// Into Option 37, behind the enterprise number.
    pub(crate) remote_id6: Option<String>,
    /// What the plan gives the machine.
    pub(crate) address4: Ipv4Addr,
    /// The same.
    pub(crate) address6: Ipv6Addr,
    /// The machine's hardware address.
    pub(crate) mac: [u8; 6],
}

/// A record of the DNS.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Record {
    pub(crate) name: String,
    #[serde(rename = "type")]
    pub(crate) kind: String,
}

#[derive(Deserialize)]
struct Document {
    zone: ZoneRow,
    networks: Vec<NetworkRow>,
    interfaces: Vec<InterfaceRow>,
    dhcp: Vec<PortRow>,
    dns: Dns,
}

#[derive(Deserialize)]
struct Dns {
    records: Vec<Record>,
}

#[derive(Deserialize)]
struct ZoneRow {
    domain: String,
}

#[derive(Deserialize)]
struct NetworkRow {
    name: String,
    subnets: Vec<SubnetRow>,
}

#[derive(Deserialize)]
struct SubnetRow {
    location: String,
    v4: Option<Ipv4Net>,
    v6: Option<Ipv6Net>,
    gateway4: Option<Ipv4Addr>,
    routers: Vec<RouterRow>,
}

#[derive(Deserialize)]
struct RouterRow {
    switch: String,
    v4: Option<Ipv4Addr>,
    v6: Option<Ipv6Addr>,
}

#[derive(Deserialize)]
struct InterfaceRow {
    location: String,
    name: String,
    network: String,
    subnet: String,
    v4: Option<Ipv4Addr>,
    v6: Option<Ipv6Addr>,
}

#[derive(Deserialize)]
struct PortRow {
    location: String,
    interface: String,
    network: String,
    switch: String,
    circuit_id: Option<String>,
    remote_id: Option<String>,
    /// Null if it is the circuit-id.
    interface_id: Option<String>,
    remote_id6: Option<String>,
}

/// Who may have whole zones of the DNS: the bench's own addresses.
const TRANSFER: (&str, &str) =
    ("lease    = \"12h\"", "lease    = \"12h\"\n  transfer_to = [\"198.18.0.0/15\"]");

/// What switches write into DHCPv6.
const REMOTE_ID: (&str, &str) =
    ("remote_id  = \"{name}\"", "remote_id  = \"{name}\"\n  remote_id6 = \"{name}\"");

/// The words that make 100,800 machines of 10,080.
const HUNDRED_THOUSAND: &[(&str, &str)] = &[
    ("p{01..40}", "p{001..400}"),
    ("pods = 64", "pods = 512"),
    ("10.32.0.0/13", "10.0.0.0/10"),
    ("2001:db8:3200::/40", "2001:db8:3000::/36"),
    ("Ethernet{1..512}", "Ethernet{1..1024}"),
    ("[510 + number]", "[1022 + number]"),
];

/// 10,080 machines, as the example has them.
pub(crate) fn ten_thousand(scratch: &Path) -> Result<String, String> {
    copy_design(scratch, "examples/ten-thousand", "ten-thousand", &[TRANSFER, REMOTE_ID])
}

/// 100,800 machines.
pub(crate) fn hundred_thousand(scratch: &Path) -> Result<String, String> {
    copy_design(
        scratch,
        "examples/ten-thousand",
        "hundred-thousand",
        &[HUNDRED_THOUSAND, &[TRANSFER, REMOTE_ID]].concat(),
    )
}

impl Zone {
    /// Reads the plan of a design.
    pub(crate) fn read(design: &str) -> Result<Self, String> {
        let output = Command::new(process::zw()?)
            .args(["plan", design, "--json"])
            .stdin(Stdio::null())
            .output()
            .map_err(|error| format!("failed to start zw: {error}"))?;
        if !output.status.success() {
            return Err(format!("zw plan ended with {}", output.status));
        }
        let document: Document =
            serde_json::from_slice(&output.stdout).map_err(|error| format!("zw plan --json: {error}"))?;
        let (subnets, ports) = ports(&document)?;
        Ok(Self {
            design: design.into(),
            domain: document.zone.domain,
            subnets,
            ports,
            records: document.dns.records,
        })
    }
}

fn ports(document: &Document) -> Result<(Vec<Subnet>, Vec<Port>), String> {
    let network = document.networks.iter().find(|network| network.name == "boot");
    let network = network.ok_or("the design has no network called boot any more")?;
    let addresses: HashMap<(&str, &str), &InterfaceRow> = document
        .interfaces
        .iter()
        .filter(|row| row.network == network.name)
        .map(|row| ((row.location.as_str(), row.name.as_str()), row))
        .collect();
    let (mut subnets, mut ports) = (Vec::new(), Vec::new());
    let mut numbers: HashMap<&str, usize> = HashMap::new();
    let mut met = HashSet::new();
    for row in document.dhcp.iter().filter(|row| row.network == network.name) {
        // A machine has a port on each of two switches; the first is enough.
        if !met.insert(&row.location) {
            continue;
        }
        let odd = || format!("the plan does not tell everything about {}", row.location);
        let interface = addresses.get(&(row.location.as_str(), row.interface.as_str())).ok_or_else(odd)?;
        let subnet = match numbers.get(interface.subnet.as_str()) {
            Some(number) => *number,
            None => {
                let of = network.subnets.iter().find(|subnet| subnet.location == interface.subnet);
                subnets.push(of.and_then(|of| subnet(of, &row.switch)).ok_or_else(odd)?);
                numbers.insert(&interface.subnet, subnets.len() - 1);
                subnets.len() - 1
            }
        };
        let number = u32::try_from(ports.len()).map_err(|_| odd())?.to_be_bytes();
        ports.push(Port {
            location: row.location.clone(),
            subnet,
            circuit_id: row.circuit_id.clone().ok_or_else(odd)?,
            remote_id: row.remote_id.clone(),
            interface_id: row.interface_id.as_ref().or(row.circuit_id.as_ref()).cloned().ok_or_else(odd)?,
            remote_id6: row.remote_id6.clone(),
            address4: interface.v4.ok_or_else(odd)?,
            address6: interface.v6.ok_or_else(odd)?,
            mac: [2, 0x5a, number[0], number[1], number[2], number[3]],
        });
    }
    Ok((subnets, ports))
}

fn subnet(row: &SubnetRow, switch: &str) -> Option<Subnet> {
    let relay = row.routers.iter().find(|router| router.switch == switch)?;
    Some(Subnet { v4: row.v4?, v6: row.v6?, gateway4: row.gateway4?, relay4: relay.v4?, relay6: relay.v6? })
}

/// The root of the checkout.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().map_or_else(|| PathBuf::from("."), Path::to_path_buf)
}

/// A copy of an example with some words replaced; each must be there.
pub(crate) fn copy_design(
    scratch: &Path,
    example: &str,
    name: &str,
    words: &[(&str, &str)],
) -> Result<String, String> {
    let (from, to) = (root().join(example), scratch.join(name));
    let failed = |error: std::io::Error| format!("failed to make {}: {error}", to.display());
    copy(&from, &to).map_err(failed)?;
    let file = to.join("zone.hcl");
    let mut text = fs::read_to_string(&file).map_err(failed)?;
    for (old, new) in words {
        if !text.contains(old) {
            return Err(format!("{example}/zone.hcl has no `{old}` any more"));
        }
        text = text.replace(old, new);
    }
    fs::write(&file, text).map_err(failed)?;
    Ok(to.display().to_string())
}

fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let (path, copied): (PathBuf, PathBuf) =
            (entry.as_ref().map(fs::DirEntry::path).unwrap_or_default(), to.join(entry?.file_name()));
        if path.is_dir() { copy(&path, &copied)? } else { fs::copy(&path, &copied).map(drop)? }
    }
    Ok(())
}
