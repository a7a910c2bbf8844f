//! The doing half of `zw serve`: sockets, clock, store and API around the deciding crates. It decides nothing.
//!
//! ```text
//!  packets ──> dhcp  dns  tftp  boot_http ──answer──> packets          every one reads one View, none waits
//!                │ events                    ▲
//!                ▼                           │ one atomic swap
//!  agents ───> keeper ── lifecycle ── store ─┘                         one thread; what it acknowledges is stored
//!  api ────────▲  ▲
//!  design files ──┘ reload
//! ```
//!
//! | module        | what it does                                                                     |
//! |---------------|----------------------------------------------------------------------------------|
//! | `options`     | what a server is started with, and why it could not start                         |
//! | `start`       | opens everything in order, and ends it                                            |
//! | `controller`  | what the parts below share                                                        |
//! | `answering`   | the part of it that packets need, and all that an edge has                         |
//! | `inbox`, `keeper` | the deciding loop: events in, facts and views out                             |
//! | `sharing`     | what the keeper does beside, with several controllers                             |
//! | `reload`      | the design's files, read again                                                    |
//! | `files`       | the design's directory, read                                                      |
//! | `site`        | boot loaders and images, listed and digested                                      |
//! | `sockets`, `steering`, `udp`, `connections` | opening, and the loops around datagrams and the API's connections |
//! | `published`, `told` | what packets read, and what they told                                      |
//! | `dhcp`, `dhcp6`, `dns`, `tftp`, `boot_http` | one protocol each, between socket and `answer`      |
//! | `boot_file`   | a file that TFTP and HTTP send, and whether it is still the same                  |
//! | `agents`      | the agents' TLS listener                                                          |
//! | `bmc`         | what is asked of machines' BMCs, and with which credentials                       |
//! | `edge`        | the doing half of `zw edge`: another place that answers                          |
//! | `edges`       | the zone's edges, and what each is told                                          |
//! | `fleetlock`   | machines that update themselves ask before they restart                           |
//! | `http`        | the API                                                                           |
//! | `page`, `page_tls` | the web page, and its listener by HTTPS                                      |
//! | `people`      | who asks, what they may, and the record of it                                     |
//! | `refusals`, `counters` | why packets were not answered, and how many of everything                |

pub mod agents;
mod answering;
mod bmc;
mod boot_file;
mod boot_http;
mod changes;
mod clock;
mod commit;
mod connections;
mod controller;
mod counters;
mod dhcp;
mod dhcp6;
mod dns;
mod edge;
mod edges;
pub mod files;
mod fleetlock;
mod http;
mod inbox;
mod keeper;
mod options;
mod page;
mod page_tls;
mod people;
mod published;
mod refusals;
mod reload;
mod sharing;
mod site;
mod sockets;
mod start;
mod steering;
mod tftp;
mod told;
mod udp;

pub use edge::{EdgeOptions, EdgeRunning, Ended, enrol, start_edge};
pub use http::description;
pub use options::{BindPorts, Journal, Options, StartError};
pub use reload::Words;
pub use start::{Running, start};
