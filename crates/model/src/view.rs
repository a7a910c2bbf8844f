//! Plan and Facts, prepared so that a packet is answered by look-ups.
//!
//! `plan::view` builds it, one atomic swap publishes it, `answer` reads it. It is immutable. One part for each
//! protocol, so that a part can be read alone:

mod boot;
pub mod dhcp;
pub mod dhcp6;
mod dns;
mod dns_history;
mod site;
pub mod wiring;

pub use boot::{Boot, BootImage, BootView, Places};
pub use dhcp::DhcpView;
pub use dhcp6::Dhcp6View;
pub use dns::{DnsName, DnsNameId, DnsPointer, DnsRow, DnsView, DnsZone, DnsZoneKind, hash as dns_hash};
pub use dns_history::{DnsChange, DnsData, DnsHistory, DnsOwner, DnsRecord, DnsZoneChange};
pub use site::{FileId, Ports, Site, SiteFile};

use crate::ids::Generation;
use crate::plan::Plan;
use std::sync::Arc;

/// What every protocol answers from.
#[derive(Debug)]
pub struct View {
    /// The plan it shows.
    pub generation: Generation,
    /// The plan itself, for names in words; no packet needs it.
    pub plan: Arc<Plan>,
    /// DHCP: who is asking, and the prepared answer.
    pub dhcp: DhcpView,
    /// DHCPv6: the same.
    pub dhcp6: Dhcp6View,
    /// DNS: names and addresses. They depend on the plan alone, so a view of newer facts shares them.
    pub dns: Arc<DnsView>,
    /// TFTP and HTTP: which machine boots what.
    pub boot: BootView,
}
