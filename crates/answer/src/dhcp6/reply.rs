//! The messages that go out: ADVERTISE and REPLY.

use super::identity::firmware_class;
use super::{Answer, Refused, Request};
use crate::dhcp::boot;
use model::design::Audience;
use model::facts::Stage;
use model::{Reason, View};
use std::borrow::Cow;
use std::net::{IpAddr, Ipv6Addr};
use wire::dhcp6::{Association, AssociationKind, MessageType, Packet, Reply, Status, TooLarge, code};

/// The most associations of a request that are answered. Machines have one; each costs us more octets than it cost the
/// sender.
const ASSOCIATIONS_MAX: usize = 8;

/// Options that a client that lists none is told.
const DEFAULT_LIST: [u16; 2] = [code::DNS_SERVERS, code::DOMAIN_LIST];

/// What of Option 39's flags we set: the name is in DNS (S), whatever the client meant to do (RFC 4704 §4.1).
const FQDN_SERVER_UPDATES: u8 = 0b001;
const FQDN_OVERRIDE: u8 = 0b010;

/// Seconds between Solicits and Information-requests at the most, for a client that gets no answer. RFC 8415's hour
/// is long for a machine that waits for its place to be drawn.
const MAX_RT: u32 = 600;

/// REPLY to a client that spoke to us alone: who we are, who it is, and that (RFC 8415 §18.3.2).
pub(super) fn use_multicast(view: &View, packet: &Packet<'_>, out: &mut Vec<u8>) -> Result<(), TooLarge> {
    let mut reply = begin(view, packet, MessageType::Reply, out);
    reply.status(Status::UseMulticast);
    reply.finish()
}

/// A reply with what every reply has.
fn begin<'o>(view: &View, packet: &Packet<'_>, kind: MessageType, out: &'o mut Vec<u8>) -> Reply<'o> {
    let mut reply = Reply::to(packet, kind, out);
    reply.option(code::SERVER_ID, &view.dhcp6.server_id);
    if let Some(client_id) = packet.message.client_id() {
        reply.option(code::CLIENT_ID, client_id);
    }
    reply
}

/// Ends a reply that can only be too large because of what the client sent.
impl Request<'_> {
    fn end(&self, reply: Reply<'_>) -> Result<(), Refused> {
        reply.finish().map_err(|TooLarge| self.refuse(Reason::Malformed))
    }

    /// ADVERTISE or REPLY of the address that the plan gives.
    pub(super) fn grant(&self, kind: MessageType, out: &mut Vec<u8>) -> Result<Answer, Refused> {
        let mut reply = begin(self.view, self.packet, kind, out);
        match (self.message.kind, kind) {
            (MessageType::Solicit, MessageType::Reply) => reply.option(code::RAPID_COMMIT, &[]),
            // Nobody else answers here, so there is nothing to wait for.
            (_, MessageType::Advertise) => reply.option(code::PREFERENCE, &[u8::MAX]),
            _ => {}
        }
        let given = self.given();
        for (number, association) in self.message.associations().take(ASSOCIATIONS_MAX).enumerate() {
            if Some(number) == given {
                self.give(&mut reply, association);
            } else {
                self.give_nothing(&mut reply, association);
            }
        }
        self.tell(&mut reply);
        self.end(reply)?;
        let observed = if kind == MessageType::Reply { self.learnt() } else { None };
        Ok(Answer { destination: self.destination(), observed })
    }

    /// REPLY to INFORMATION-REQUEST: everything but an address.
    pub(super) fn inform(&self, out: &mut Vec<u8>) -> Result<Answer, Refused> {
        let mut reply = begin(self.view, self.packet, MessageType::Reply, out);
        self.tell(&mut reply);
        if self.message.wants(code::INFORMATION_REFRESH_TIME) == Some(true) {
            reply.option(code::INFORMATION_REFRESH_TIME, &self.view.dhcp6.told.refresh);
        }
        self.end(reply)?;
        Ok(Answer { destination: self.destination(), observed: None })
    }

    /// REPLY with a status, and what `more` adds.
    pub(super) fn say(
        &self,
        status: Status,
        more: impl FnOnce(&mut Reply<'_>),
        out: &mut Vec<u8>,
    ) -> Result<(), Refused> {
        let mut reply = begin(self.view, self.packet, MessageType::Reply, out);
        reply.status(status);
        more(&mut reply);
        self.end(reply)
    }

    /// REPLY to RELEASE and DECLINE: done, and nothing is known of associations that are not this place's
    /// (RFC 8415 §18.3.7, §18.3.8).
    pub(super) fn acknowledge(&self, out: &mut Vec<u8>) -> Result<(), Refused> {
        let foreign = |reply: &mut Reply<'_>| {
            for association in self.message.associations().take(ASSOCIATIONS_MAX) {
                let is_its_own = association.kind == AssociationKind::Address
                    && association.addresses().all(|address| address == self.address);
                if !is_its_own {
                    status_in(reply, association, Status::NoBinding);
                }
            }
        };
        self.say(Status::Success, foreign, out)
    }

    /// REPLY that says no, in the words of the message that asked. `false` if there are none.
    pub(super) fn deny(&self, out: &mut Vec<u8>) -> bool {
        let mut reply = begin(self.view, self.packet, MessageType::Reply, out);
        let associations = || self.message.associations().take(ASSOCIATIONS_MAX);
        match self.message.kind {
            MessageType::Confirm => reply.status(Status::NotOnLink),
            MessageType::Request => {
                associations().for_each(|it| status_in(&mut reply, it, Status::NotOnLink));
            }
            // Its addresses end now (RFC 8415 §18.3.4), so it does not even finish what it has.
            MessageType::Renew | MessageType::Rebind => {
                for association in associations() {
                    nest(&mut reply, association, &[0; 8], |reply| end_others(reply, association, None));
                }
            }
            _ => {
                out.clear();
                return false;
            }
        }
        reply.finish().is_ok()
    }

    /// The position of the association that gets the address: that which names it, or the first.
    fn given(&self) -> Option<usize> {
        let mut first = None;
        for (number, association) in self.message.associations().take(ASSOCIATIONS_MAX).enumerate() {
            if association.kind != AssociationKind::Address {
                continue;
            }
            if association.addresses().any(|address| address == self.address) {
                return Some(number);
            }
            first = first.or(Some(number));
        }
        first
    }

    fn give(&self, reply: &mut Reply<'_>, association: Association<'_>) {
        let told = &self.view.dhcp6.told;
        nest(reply, association, &told.renewal, |reply| {
            reply.pieces(code::IA_ADDRESS, &[&self.address.octets(), &told.lease, &told.lease]);
            // What else it holds it got from nobody.
            if matches!(self.message.kind, MessageType::Renew | MessageType::Rebind) {
                end_others(reply, association, Some(self.address));
            }
        });
    }

    fn give_nothing(&self, reply: &mut Reply<'_>, association: Association<'_>) {
        let status = match (self.message.kind, association.kind) {
            (MessageType::Renew | MessageType::Rebind, _) => Status::NoBinding,
            (_, AssociationKind::Prefix) => Status::NoPrefixAvailable,
            (_, AssociationKind::Address | AssociationKind::Temporary) => Status::NoAddressesAvailable,
        };
        status_in(reply, association, status);
    }

    /// The options that are the same at each stage, as far as the client lists them, and what it boots.
    fn tell(&self, reply: &mut Reply<'_>) {
        let told = &self.view.dhcp6.told;
        let wants = |code| self.message.wants(code).unwrap_or_else(|| DEFAULT_LIST.contains(&code));
        let values: [(u16, &[u8]); 4] = [
            (code::DNS_SERVERS, &told.resolvers),
            (code::DOMAIN_LIST, &told.search),
            (code::SNTP_SERVERS, &told.time_servers),
            (code::NTP_SERVER, &told.ntp),
        ];
        for (code, value) in values {
            if wants(code) && !value.is_empty() {
                reply.option(code, value);
            }
        }
        for code in [code::SOL_MAX_RT, code::INF_MAX_RT] {
            if wants(code) {
                reply.option(code, &MAX_RT.to_be_bytes());
            }
        }
        let claimed = self.message.options.get(code::CLIENT_FQDN);
        if claimed.is_some() || wants(code::CLIENT_FQDN) {
            self.name(reply, claimed);
        }
        let is_loading = !matches!(self.stage, Stage::Os | Stage::Bmc);
        if (is_loading || wants(code::BOOT_FILE_URL))
            && let Some(url) = self.boot_file()
        {
            reply.option(code::BOOT_FILE_URL, url.as_bytes());
            // A firmware that boots by HTTP takes no offer without it (UEFI 2.10 §24.7.3.1). Its own octets go back,
            // enterprise number and all.
            if self.stage == Stage::UefiHttp
                && let Some((_, option)) = firmware_class(self.message)
            {
                reply.option(code::VENDOR_CLASS, option);
            }
        }
    }

    /// Option 39: a machine has one name, whichever of its interfaces asks; its BMC has its own.
    fn name(&self, reply: &mut Reply<'_>, claimed: Option<&[u8]>) {
        let design = &self.view.plan.design;
        let label = match self.seat.audience {
            Audience::Bmc => self.view.plan.interface(self.known.interface).dns_name.as_bytes(),
            _ => design.devices[self.seat.device.index()].name.as_bytes(),
        };
        let Ok(length @ 1..=63) = u8::try_from(label.len()) else { return };
        let asked = claimed.and_then(|octets| octets.first().copied()).unwrap_or(FQDN_SERVER_UPDATES);
        let is_overridden = asked & FQDN_SERVER_UPDATES == 0;
        let flags = FQDN_SERVER_UPDATES | if is_overridden { FQDN_OVERRIDE } else { 0 };
        reply.pieces(code::CLIENT_FQDN, &[&[flags, length], label, &self.view.dhcp6.told.search]);
    }

    /// The boot file of this stage as a URL (RFC 5970 §3.1).
    fn boot_file(&self) -> Option<Cow<'static, str>> {
        let view = self.view;
        let device = self.seat.device;
        if !boot::is_booted(view, device) {
            return None;
        }
        let server = *view.dhcp6.servers.first()?;
        let (class, _) = firmware_class(self.message).unwrap_or_default();
        let architectures = || boot::values(class, self.message.architectures());
        let url = match self.stage {
            // Never shim. By IPv6 it comes, and fetches GRUB, but Debian's signed GRUB (2.06-13+deb12u2) takes the address from the
            // firmware and no router: "error: destination unreachable", and it stays at its prompt for ever, with Secure Boot and
            // without. iPXE boots what has no Secure Boot; the others refuse it and go on to their next option.
            Stage::BiosPxe | Stage::UefiPxe => {
                format!("tftp://[{server}]/{}", boot::loader(architectures())?)
            }
            Stage::UefiHttp => {
                boot::loader_url(view, IpAddr::V6(server), device, boot::loader(architectures())?)
            }
            Stage::Ipxe => boot::script(view, IpAddr::V6(server), device),
            Stage::Os | Stage::Bmc => return None,
        };
        Some(Cow::Owned(url))
    }
}

/// An association in a reply: its number again, its times if it has any, and what `write` puts in.
fn nest(
    reply: &mut Reply<'_>,
    association: Association<'_>,
    times: &[u8; 8],
    write: impl FnOnce(&mut Reply<'_>),
) {
    reply.nested(association.kind.code(), |reply| {
        reply.octets(&association.id);
        if association.kind != AssociationKind::Temporary {
            reply.octets(times);
        }
        write(reply);
    });
}

fn status_in(reply: &mut Reply<'_>, association: Association<'_>, status: Status) {
    nest(reply, association, &[0; 8], |reply| reply.status(status));
}

/// The addresses that it names are no longer good, but for one.
fn end_others(reply: &mut Reply<'_>, association: Association<'_>, but: Option<Ipv6Addr>) {
    for address in association.addresses().filter(|address| Some(*address) != but) {
        reply.pieces(code::IA_ADDRESS, &[&address.octets(), &[0; 8]]);
    }
}
