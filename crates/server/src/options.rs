//! What a server is started with, and why it could not start.

use model::Finding;
use model::finding::Files;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

/// Takes a line for the operator's log: complete sentences, no time, no line end.
pub type Journal = Arc<dyn Fn(&str) + Send + Sync>;

/// What a server is started with.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Options {
    /// The design's directory.
    pub design: PathBuf,
    /// Where plans, facts and events are kept.
    pub state: PathBuf,
    /// The etcd in which plans, facts and events are kept instead, for several controllers; how one is let in there.
    pub store: Option<(store::etcd::Address, store::etcd::Access)>,
    /// What this controller is called among several. `None`: as the host is.
    pub name: Option<String>,
    /// Serve on this address only, and tell machines this address. `None`: serve on every address of this host, and
    /// tell machines the addresses that the plan gives the controller.
    pub address: Option<IpAddr>,
    /// Which controller of the design this is, by name or location. `None`: the only one.
    pub controller: Option<String>,
    /// Ports; 0 is any free one.
    pub ports: BindPorts,
    /// Where boot loaders lie.
    pub loaders: PathBuf,
    /// The agent, a static program, for systems that distributions' installers write; `None` for none.
    pub agent: Option<PathBuf>,
    /// The URL of the HTTP proxy that those installers are told to fetch packages by.
    pub proxy: Option<String>,
    /// The API's unix socket; `None` for none.
    pub api_socket: Option<PathBuf>,
    /// The API on TCP, for reading only; `None` for none.
    pub api_tcp: Option<SocketAddr>,
    /// The API also on the listening TCP socket that is this process's standard input, for reading only.
    pub api_inherited: bool,
    /// The page and the API by HTTPS, for accounts; `None` for none.
    pub page_tls: Option<SocketAddr>,
    /// Hear DHCP on this interface only.
    pub interface: Option<String>,
    /// The most octets that the state may take on the disk; `None`: as many as there are.
    pub state_bytes_max: Option<u64>,
}

/// The ports that are served.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BindPorts {
    /// DHCP (RFC 2131 §4.1).
    pub dhcp: u16,
    /// DHCPv6 (RFC 8415 §7.2). 0 of a running server: this host has no IPv6.
    pub dhcp6: u16,
    /// The second port that PXE asks a boot server on (PXE 2.1 §2.2.3).
    pub proxy_dhcp: u16,
    /// DNS, UDP and TCP.
    pub dns: u16,
    /// TFTP.
    pub tftp: u16,
    /// HTTP boot.
    pub boot: u16,
    /// HTTPS boot. 0 of a running server: another program has the port, and no role of the design asks for it.
    pub boot_tls: u16,
    /// Agents, TLS.
    pub agents: u16,
    /// FleetLock. 0 of a running server: another program has the port.
    pub fleetlock: u16,
}

impl Default for BindPorts {
    fn default() -> Self {
        Self {
            dhcp: 67,
            dhcp6: 547,
            proxy_dhcp: 4011,
            dns: 53,
            tftp: 69,
            boot: 80,
            boot_tls: 443,
            agents: 8443,
            fleetlock: 8481,
        }
    }
}

impl BindPorts {
    /// Any free port for each: for tests, and for trying it without privilege.
    pub const ANY: Self = Self {
        dhcp: 0,
        dhcp6: 0,
        proxy_dhcp: 0,
        dns: 0,
        tftp: 0,
        boot: 0,
        boot_tls: 0,
        agents: 0,
        fleetlock: 0,
    };
}

impl Options {
    /// A design and a state directory, and for the rest what a zone's controller has.
    pub fn new(design: impl Into<PathBuf>, state: impl Into<PathBuf>) -> Self {
        Self {
            design: design.into(),
            state: state.into(),
            store: None,
            name: None,
            address: None,
            controller: None,
            ports: BindPorts::default(),
            loaders: "/usr/lib/ipxe".into(),
            agent: None,
            proxy: None,
            api_socket: Some("/run/zonewright/api.sock".into()),
            api_tcp: Some(SocketAddr::from(([127, 0, 0, 1], 8480))),
            api_inherited: false,
            page_tls: None,
            interface: None,
            state_bytes_max: None,
        }
    }
}

/// Why a server did not start.
#[derive(Debug)]
pub enum StartError {
    /// The design has errors, and there is no earlier plan to go on with.
    Findings {
        /// All of them.
        findings: Vec<Finding>,
        /// The files that they point into.
        files: Files,
    },
    /// The design cannot be read.
    Design {
        /// Its directory.
        path: PathBuf,
        /// What is wrong, a sentence.
        sentence: String,
    },
    /// The state cannot be opened or read.
    Store(store::OpenError),
    /// The state was opened, and then failed.
    State(store::Failure),
    /// The zone has no such controller, or this host does not have its address.
    Controller(String),
    /// A port cannot be served; the sentence says why and what to do.
    Bind(String),
    /// The certificate authority cannot be opened or founded.
    Authority(String),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Findings { findings, .. } => {
                let count = findings.len();
                let s = if count == 1 { "" } else { "s" };
                write!(f, "the design has {count} finding{s}, and there is no earlier plan to go on with")
            }
            Self::Design { sentence, .. } => f.write_str(sentence),
            Self::Store(error) => error.fmt(f),
            Self::State(error) => error.fmt(f),
            Self::Controller(sentence) | Self::Bind(sentence) | Self::Authority(sentence) => {
                f.write_str(sentence)
            }
        }
    }
}

impl std::error::Error for StartError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Store(error) => std::error::Error::source(error),
            _ => None,
        }
    }
}
