//! What an edge and a controller say to each other: JSON over HTTP/1.1 over mutual TLS, on the port of the agents.
//!
//! An edge asks "what is after this?" and is answered when there is something, or after a while with nothing. Each answer
//! says where the controller stands, and the edge judges that before it takes anything. Within a version, fields may be added and are
//! ignored by those who do not know them.

use crate::agent::Secret;
use model::facts::Machine;
use model::{Event, Generation, Location, Time};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;
use utoipa::ToSchema;

/// The protocol's name in the TLS handshake (RFC 7301).
pub const ALPN: &[u8] = b"zw-edge/1";
/// Asks for a certificate; the one request without one.
pub const ENROL: &str = "/edge/v1/enrol";
/// Asks what is new.
pub const FOLLOW: &str = "/edge/v1/follow";
/// Says what was heard.
pub const HEARD: &str = "/edge/v1/heard";
/// Asks for a certificate for HTTPS boot.
pub const SERVER: &str = "/edge/v1/server";

/// The longest answer to [`FOLLOW`] that is taken, in octets: the facts and the design of 100,000 machines, several times.
pub const NEWS_MAX: usize = 512 << 20;
/// The longest request from an edge, and from who is none yet.
pub const REQUEST_MAX: usize = 4 << 20;
/// Events in one [`Heard`].
pub const HEARD_MAX: usize = 1024;
/// The longest that a controller leaves [`FOLLOW`] unanswered, in seconds.
pub const WAIT_SECONDS_MAX: u32 = 20;
/// The longest name of an edge, in characters.
pub const NAME_MAX: usize = 63;

/// Whether this may be the name of an edge: letters, digits and inner hyphens, as of a host.
pub fn is_name(name: &str) -> bool {
    let is_plain = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '-';
    !name.is_empty()
        && name.len() <= NAME_MAX
        && name.chars().all(is_plain)
        && !name.starts_with('-')
        && !name.ends_with('-')
}

/// What an administrator carries from the controller to a new edge. Its text is one word.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Ticket {
    /// What the edge is called.
    pub name: String,
    /// SHA-256 of the certificate of the zone's authority, in hexadecimal digits.
    pub pin: String,
    /// Good for one certificate.
    pub token: Secret,
}

const TICKET: &str = "zw-edge1";

impl fmt::Display for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{TICKET}.{}.{}.{}", self.name, self.pin, self.token.0)
    }
}

impl FromStr for Ticket {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parts: Vec<&str> = text.trim().split('.').collect();
        let [TICKET, name, pin, token] = parts[..] else {
            return Err("this is no ticket of `zw edge add`");
        };
        let is_hex = |text: &str| text.len() == 64 && text.bytes().all(|letter| letter.is_ascii_hexdigit());
        if !is_name(name) || !is_hex(pin) || !is_hex(token) {
            return Err("this ticket of `zw edge add` is not whole");
        }
        Ok(Self { name: name.into(), pin: pin.into(), token: Secret(token.into()) })
    }
}

/// A request for a certificate.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Enrol {
    /// What the edge is called.
    pub name: String,
    /// Of its ticket.
    pub token: Secret,
    /// Certificate signing request, PEM (RFC 2986). Only its public key and its proof are used.
    pub csr: String,
}

/// A certificate.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Enrolled {
    /// PEM.
    pub certificate: String,
    /// The zone.
    pub zone: String,
}

/// A request for a certificate that firmware is shown.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct AskServer {
    /// Certificate signing request, PEM.
    pub csr: String,
}

/// Such a certificate.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Server {
    /// PEM: it, and the authority's.
    pub chain: String,
    /// When it is over.
    pub not_after: Time,
}

/// What is after what the edge has?
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Follow {
    /// The edge's release.
    pub release: String,
    /// What it has; nothing yet.
    pub have: Option<Have>,
    /// How it is.
    pub report: Report,
    /// How long it waits for news, in seconds.
    pub wait_seconds: u32,
}

/// What an edge has.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Have {
    /// Where the controller stood that it has it from.
    pub position: Position,
    /// Of that controller's count of machines that changed.
    pub stream: Stream,
    /// Digest of its [`SiteNews`].
    pub site: String,
    /// Digest of its [`Held`].
    pub held: String,
}

/// Where a zone stands. It never goes back, but when a controller is put back from an old copy.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Position {
    /// The plan that was published last.
    pub generation: Generation,
    /// Digest of its design's files.
    pub design: String,
    /// The last event that is stored.
    pub seq: u64,
}

/// A count that one controller keeps from its start on.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Stream {
    /// Whose.
    pub epoch: u64,
    /// Up to which it was told.
    pub revision: u64,
}

/// How an edge is.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct Report {
    /// Files that it serves.
    pub files: u32,
    /// Files of the zone that it does not have.
    pub missing: u32,
    /// Those of them that there is no room for.
    #[serde(default)]
    pub no_room: u32,
    /// The octets of all that it does not have.
    pub missing_bytes: u64,
    /// What it heard and had no room for.
    pub dropped: u64,
    /// Why it did not take what it was told last, a sentence.
    pub refused: Option<String>,
}

/// What is new. What is not there is as it was.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct News {
    /// Where the zone stands.
    pub position: Position,
    /// The controller's release.
    pub release: String,
    /// The controller's clock.
    pub now: Time,
    /// Up to where the machines below go.
    pub stream: Stream,
    /// The plan.
    pub plan: Option<PlanNews>,
    /// Who keeps an older one until a change reaches them.
    pub held: Option<Held>,
    /// The installation.
    pub site: Option<SiteNews>,
    /// `machines` is all there are; what is not among them is as if it had never been seen.
    pub are_all: bool,
    /// As far as a view is made from them (`plan::view::served`); `None`: nothing is.
    pub machines: BTreeMap<Location, Option<Machine>>,
}

/// A plan, as it was published.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct PlanNews {
    /// Its number.
    pub generation: Generation,
    /// Digest of the files.
    pub design: String,
    /// SHA-256 of the document that the controller made of it, in hexadecimal digits.
    pub document: String,
    /// The design's files, path and text.
    pub files: Vec<(String, String)>,
}

/// Machines that keep a plan of before.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Held {
    /// That plan; `None`: nobody is held.
    pub before: Option<PlanNews>,
    /// They, in order.
    pub machines: Vec<Location>,
}

/// The installation ([`model::view::Site`]) without the places where its files lie.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct SiteNews {
    /// Where machines reach the controllers, as the view has it.
    pub controllers: Vec<IpAddr>,
    /// Where they reach this edge.
    pub own: Vec<IpAddr>,
    /// Where they reach any edge.
    pub edges: Vec<IpAddr>,
    /// The controllers' port of HTTP boot, from which files come.
    pub boot_port: u16,
    /// Their port of agents.
    pub agents_port: u16,
    /// The pin.
    pub ca_sha256: String,
    /// The proxy for packages.
    pub proxy: Option<String>,
    /// Digests of systems.
    pub systems: BTreeMap<String, String>,
    /// The files, by name.
    pub files: Vec<FileNews>,
}

/// A file.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct FileNews {
    /// As in [`model::view::SiteFile`].
    pub name: String,
    /// Octets.
    pub size: u64,
    /// In hexadecimal digits; `None`: the controller has not read it yet.
    pub sha256: Option<String>,
}

/// What an edge heard, oldest first.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Heard {
    /// The edge's clock.
    pub now: Time,
    /// By that clock.
    pub events: Vec<Event>,
}

/// How many of them were news.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Taken {
    /// So many.
    pub taken: usize,
}

/// A new edge, or another ticket for one.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case", tag = "wish")]
pub enum EdgeWish {
    /// One that is to be.
    Add {
        /// What it is called.
        name: String,
        /// Where machines reach it; one of each family at most counts.
        #[schema(value_type = Vec<String>)]
        addresses: Vec<IpAddr>,
    },
    /// One that is to be no more.
    Remove {
        /// Which.
        name: String,
    },
}

/// What became of such a wish.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct EdgeWished {
    /// The ticket of a new one. It is told once.
    pub ticket: Option<String>,
}

/// The zone's edges.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct Edges {
    /// By name.
    pub edges: Vec<Edge>,
}

/// An edge, as a controller knows it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Edge {
    /// What it is called.
    pub name: String,
    /// Where machines reach it.
    #[schema(value_type = Vec<String>)]
    pub addresses: Vec<IpAddr>,
    /// Since when.
    #[schema(value_type = u64)]
    pub added: Time,
    /// Who added it.
    pub by: String,
    /// It has a certificate.
    pub enrolled: bool,
    /// When this controller last heard of it.
    #[schema(value_type = Option<u64>)]
    pub heard: Option<Time>,
    /// The plan that it answers from, as it said then.
    pub generation: Option<u64>,
    /// Its release.
    pub release: Option<String>,
    /// How it is.
    pub report: Option<Report>,
}

impl Edge {
    /// The files that it has, of those that it should have; `None`: it has not said.
    pub fn files(&self) -> Option<String> {
        let report = self.report.as_ref()?;
        Some(match report.missing {
            0 => format!("all {}", report.files),
            missing => {
                let no_room = match report.no_room {
                    0 => String::new(),
                    count => format!(" (no room for {count})"),
                };
                format!("{} of {}{no_room}", report.files, report.files + missing)
            }
        })
    }

    /// What is in its way, if anything is known to be.
    pub fn obstacle(&self) -> Option<String> {
        let refused = self.report.as_ref().and_then(|report| report.refused.as_ref());
        match refused {
            _ if !self.enrolled => Some("its ticket is not spent yet".to_owned()),
            Some(why) => Some(why.clone()),
            None if self.heard.is_none() => Some("not heard here since this controller started".to_owned()),
            None => None,
        }
    }
}

/// How an edge itself is: what its own interface tells.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Status {
    /// What it is called.
    pub name: String,
    /// Its release.
    pub release: String,
    /// The zone.
    pub zone: String,
    /// The plan that it answers from; none: it answers nothing yet.
    pub generation: Option<u64>,
    /// Where machines reach it.
    pub addresses: Vec<IpAddr>,
    /// Its clock.
    pub now: Time,
    /// When it started.
    pub started: Time,
    /// When a controller last said that this is how things are.
    pub contact: Option<Time>,
    /// It gives installers to machines that may be installed: a controller was heard lately.
    pub installs: bool,
    /// Which controller it follows, or asks now.
    pub controller: String,
    /// Why it does not hear from it, a sentence.
    pub trouble: Option<String>,
    /// How it is.
    pub report: Report,
    /// The names of files that it does not have, some of them.
    pub missing: Vec<String>,
    /// Those of them that there is no room for, some of them.
    #[serde(default)]
    pub no_room: Vec<String>,
    /// What it heard and no controller knows yet.
    pub unsaid: usize,
    /// Packets and requests that it answered.
    pub answered: u64,
    /// Those that it refused.
    pub refused_packets: u64,
    /// The ports that it serves, by service.
    pub ports: BTreeMap<String, u16>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_edge_says_what_is_in_its_way() {
        let mut edge = Edge {
            name: "p01".into(),
            addresses: Vec::new(),
            added: Time(1),
            by: "ada".into(),
            enrolled: false,
            heard: None,
            generation: None,
            release: None,
            report: None,
        };
        let said = |edge: &Edge| (edge.files(), edge.obstacle().unwrap_or_default());
        assert_eq!(said(&edge), (None, "its ticket is not spent yet".to_owned()));
        edge.enrolled = true;
        assert_eq!(said(&edge), (None, "not heard here since this controller started".to_owned()));
        edge.heard = Some(Time(2));
        edge.report = Some(Report { files: 23, ..Report::default() });
        assert_eq!(said(&edge), (Some("all 23".to_owned()), String::new()));
        let refused = "plan #42 comes out otherwise here than there".to_owned();
        edge.report =
            Some(Report { files: 20, missing: 3, refused: Some(refused.clone()), ..Report::default() });
        assert_eq!(said(&edge), (Some("20 of 23".to_owned()), refused));
        edge.report = Some(Report { files: 20, missing: 3, no_room: 2, ..Report::default() });
        assert_eq!(said(&edge), (Some("20 of 23 (no room for 2)".to_owned()), String::new()));
    }

    #[test]
    fn a_ticket_is_one_word_and_read_back() {
        let ticket = Ticket { name: "p01".into(), pin: "ab".repeat(32), token: Secret("cd".repeat(32)) };
        let text = ticket.to_string();
        assert!(!text.contains(char::is_whitespace));
        assert_eq!(format!("{text}\n").parse(), Ok(ticket));
        for bad in
            ["", "zw-edge1.p01", &text[..text.len() - 1], &text.replace("p01", "P 01"), &format!("{text}.x")]
        {
            assert!(bad.parse::<Ticket>().is_err(), "{bad}");
        }
    }
}
