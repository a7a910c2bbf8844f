//! Names as a reply writes them: each domain, and each host, once; from then on as a pointer to it.

use model::View;
use model::view::DnsNameId;
use wire::dns::Writer;

/// Hosts that are remembered in one message: the targets that get their addresses added, and servers.
const HOSTS_MAX: usize = 32;

/// Where names stand that were written.
#[derive(Debug)]
pub(super) struct Names<'v> {
    view: &'v View,
    /// The forward zone's own name.
    domain: Option<u16>,
    hosts: [(DnsNameId, u16); HOSTS_MAX],
    count: usize,
}

impl<'v> Names<'v> {
    /// Nothing was written. `domain` is where the question has the forward zone's name, if it has it.
    pub(super) fn new(view: &'v View, domain: Option<u16>) -> Self {
        Self { view, domain, hosts: [(DnsNameId::APEX, 0); HOSTS_MAX], count: 0 }
    }

    /// Writes the whole name of a host of the forward zone.
    pub(super) fn host(&mut self, id: DnsNameId, writer: &mut Writer<'_>) {
        let known = self.hosts[..self.count].iter().find(|(known, _)| *known == id);
        if let Some((_, position)) = known {
            writer.pointer(*position);
            return;
        }
        if let (Some(position), true) = (writer.here(), self.count < HOSTS_MAX) {
            self.hosts[self.count] = (id, position);
            self.count += 1;
        }
        self.below_domain(self.view.dns.labels_of(id), writer);
    }

    /// Writes a name below the forward zone's.
    pub(super) fn below_domain(&mut self, labels: &[u8], writer: &mut Writer<'_>) {
        writer.labels(labels);
        if let Some(position) = self.domain {
            writer.pointer(position);
        } else {
            self.domain = writer.here();
            writer.labels(self.view.dns.zones.first().map_or(&[], |zone| &zone.apex));
            writer.root();
        }
    }
}
