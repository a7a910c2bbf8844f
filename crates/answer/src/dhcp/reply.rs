//! The messages that go out: OFFER, ACK, NAK, and the answer to PXE's boot server discovery.

use super::{Answer, Destination, Refused, Request, boot};
use crate::dhcp::Arrival;
use model::design::Audience;
use model::facts::Stage;
use model::view::dhcp::SubnetTold;
use model::{Reason, View};
use std::net::Ipv4Addr;
use wire::dhcp4::{Limits, MessageType, RelayAgent, Reply, code};

/// What a client that lists nothing in Option 55 is told.
const DEFAULT_LIST: [u8; 6] = [
    code::SUBNET_MASK,
    code::ROUTER,
    code::DOMAIN_NAME_SERVER,
    code::HOST_NAME,
    code::DOMAIN_NAME,
    code::BROADCAST_ADDRESS,
];

/// Option 43 for PXE: discovery control (6), bit 3, "take the boot file that is named here", and its end (PXE 2.1
/// table 2-1). Without it, Option 60 in a reply sends EDK2 looking for a boot server on port 4011.
const PXE_USE_BOOT_FILE: [u8; 4] = [6, 1, 8, 255];

/// Option 175 for iPXE: take this offer at once (176). Otherwise it waits two seconds for a proxyDHCP that never speaks.
const IPXE_NO_PROXY: [u8; 3] = [176, 1, 1];

/// PXE's boot item, which the answer repeats (sub-option 71 of Option 43).
const PXE_BOOT_ITEM: u8 = 71;

/// The broadcast bit of the flags.
const BROADCAST: u16 = 0x8000;

impl<'a> Request<'a> {
    /// OFFER or ACK of the address that the plan gives.
    pub(super) fn grant(&self, kind: MessageType, out: &mut Vec<u8>) -> Result<Answer, Refused> {
        let yiaddr = self.seat.address.ok_or_else(|| self.refuse(Reason::NotServed))?;
        let destination = match (self.message.giaddr(), self.message.ciaddr()) {
            (Ipv4Addr::UNSPECIFIED, ciaddr) => Destination::Client(ciaddr),
            (giaddr, _) => Destination::Relay(giaddr),
        };
        let ciaddr = if kind == MessageType::Ack { self.message.ciaddr() } else { Ipv4Addr::UNSPECIFIED };
        self.tell(kind, ciaddr, yiaddr, out)?;
        // A renewal that came past the relay shows no place, so nothing is learnt from it.
        let is_seen = kind == MessageType::Ack && self.known.binding.is_some();
        let observed = is_seen.then(|| self.observed()).flatten();
        Ok(Answer { destination: Some(destination), observed })
    }

    /// ACK to INFORM: everything but an address and its times (RFC 2131 §4.3.5).
    pub(super) fn inform(&self, out: &mut Vec<u8>) -> Result<Answer, Refused> {
        let ciaddr = self.message.ciaddr();
        let destination = match (self.message.giaddr(), ciaddr) {
            (giaddr, Ipv4Addr::UNSPECIFIED) => Destination::Relay(giaddr),
            // To somebody else's address no answer is sent, lest a port be used to throw packets at it.
            (_, ciaddr) => {
                let prefix = self.view.plan.subnet(self.seat.subnet).v4;
                if !prefix.is_some_and(|prefix| prefix.contains(&ciaddr)) {
                    return Err(self.refuse(Reason::WrongAddress));
                }
                Destination::Client(ciaddr)
            }
        };
        self.tell(MessageType::Inform, ciaddr, Ipv4Addr::UNSPECIFIED, out)?;
        Ok(Answer { destination: Some(destination), observed: None })
    }

    /// Writes an OFFER or ACK; for INFORM an ACK without lease.
    fn tell(
        &self,
        kind: MessageType,
        ciaddr: Ipv4Addr,
        yiaddr: Ipv4Addr,
        out: &mut Vec<u8>,
    ) -> Result<(), Refused> {
        let (view, message) = (self.view, self.message);
        let told = view.dhcp.told.subnet(self.seat.subnet).ok_or_else(|| self.refuse(Reason::NotServed))?;
        let has_lease = kind != MessageType::Inform;
        let kind = if has_lease { kind } else { MessageType::Ack };
        let boot_file = boot::file(view, message, self.seat.device, self.stage);
        let boot_file = boot_file.as_deref().unwrap_or_default().as_bytes();
        let server = self.server_identifier();
        // Where the machine boots from is a controller, whatever the relay calls the server.
        let next_server = view.dhcp.servers.first().copied().unwrap_or(server);
        let (kind, server, next_octets) = ([kind as u8], server.octets(), next_server.octets());
        let next_text = if boot_file.is_empty() { String::new() } else { next_server.to_string() };

        let mut reply = self.reply(boot_file);
        reply.ciaddr = ciaddr;
        reply.yiaddr = yiaddr;
        reply.siaddr = if boot_file.is_empty() { Ipv4Addr::UNSPECIFIED } else { next_server };
        reply.push(code::MESSAGE_TYPE, &kind);
        reply.push(code::SERVER_IDENTIFIER, &server);
        if has_lease {
            reply.push(code::LEASE_TIME, &view.dhcp.told.lease);
            if let Some((renewal, rebinding)) = &view.dhcp.told.renewal {
                reply.push(code::RENEWAL_TIME, renewal);
                reply.push(code::REBINDING_TIME, rebinding);
            }
        }
        let listed = message.parameter_list();
        let list = if listed.is_empty() { &DEFAULT_LIST[..] } else { listed };
        for wanted in list {
            // The mask stands before the router, whatever the list says (RFC 2132 §3.3).
            if *wanted == code::ROUTER && list.contains(&code::SUBNET_MASK) {
                reply.push(code::SUBNET_MASK, &told.mask);
            }
            let boot = match *wanted {
                code::TFTP_SERVER_NAME if !boot_file.is_empty() => Some(next_text.as_bytes()),
                code::TFTP_SERVER_ADDRESS if !boot_file.is_empty() => Some(&next_octets[..]),
                code::BOOT_FILE_NAME if !boot_file.is_empty() => Some(boot_file),
                _ => None,
            };
            if let Some(data) = boot.or_else(|| self.told(told, *wanted)) {
                reply.push(*wanted, data);
            }
        }
        self.for_firmware(&mut reply, list, boot_file);
        self.echo(&mut reply);
        self.send(reply, told, out)
    }

    /// The value of an option that is the same at each stage.
    fn told<'t>(&self, told: &'t SubnetTold, wanted: u8) -> Option<&'t [u8]>
    where
        'a: 't,
    {
        let view: &'a View = self.view;
        let listed = |octets: &'a [u8]| (!octets.is_empty()).then_some(octets);
        match wanted {
            code::SUBNET_MASK => Some(&told.mask),
            code::ROUTER => told.router.as_ref().map(<[u8; 4]>::as_slice),
            code::DOMAIN_NAME_SERVER => listed(&view.dhcp.told.resolvers),
            code::HOST_NAME => {
                // A machine has one name, whichever of its interfaces asks; its BMC has its own.
                match self.seat.audience {
                    Audience::Bmc => listed(view.plan.interface(self.known.interface).dns_name.as_bytes()),
                    _ => listed(view.plan.design.devices[self.seat.device.index()].name.as_bytes()),
                }
            }
            code::DOMAIN_NAME => listed(view.plan.design.zone.domain.as_bytes()),
            code::INTERFACE_MTU => told.mtu.as_ref().map(<[u8; 2]>::as_slice),
            code::BROADCAST_ADDRESS => told.broadcast.as_ref().map(<[u8; 4]>::as_slice),
            code::NTP_SERVERS => listed(&view.dhcp.told.time_servers),
            code::DOMAIN_SEARCH => listed(&view.dhcp.told.search),
            _ => None,
        }
    }

    /// What boot ROMs look for besides the boot file.
    fn for_firmware<'r>(&'r self, reply: &mut Reply<'r>, list: &[u8], boot_file: &'r [u8]) {
        if self.stage == Stage::Ipxe {
            reply.push(code::IPXE, &IPXE_NO_PROXY);
        }
        if boot_file.is_empty() {
            // "Use the boot file" and none there: OVMF 2022.11 acknowledges, says PXE-E21 and goes on to its next boot option after four
            // seconds. Without these it waits a minute for a better offer.
            let is_pxe = matches!(self.stage, Stage::BiosPxe | Stage::UefiPxe);
            if is_pxe && boot::is_own_disk(self.view, self.seat.device) {
                self.pxe_options(reply, list);
            }
            return;
        }
        // Beyond the header's field, or where the field is not looked at.
        if boot_file.len() > 127 || self.stage == Stage::UefiHttp {
            reply.push(code::BOOT_FILE_NAME, boot_file);
        }
        match self.stage {
            // A firmware that boots by HTTP takes no offer without it (UEFI 2.10 §24.7.3.1).
            Stage::UefiHttp => reply.push(code::VENDOR_CLASS, b"HTTPClient"),
            Stage::BiosPxe | Stage::UefiPxe => self.pxe_options(reply, list),
            Stage::Ipxe | Stage::Os | Stage::Bmc => {}
        }
    }

    /// What PXE firmware must find to take an offer for one of PXE, if it asks for it.
    fn pxe_options<'r>(&'r self, reply: &mut Reply<'r>, list: &[u8]) {
        if list.contains(&code::VENDOR_SPECIFIC) && list.contains(&code::VENDOR_CLASS) {
            reply.push(code::VENDOR_CLASS, b"PXEClient");
            reply.push(code::VENDOR_SPECIFIC, &PXE_USE_BOOT_FILE);
        }
        if let Some(uuid) = self.message.option(code::CLIENT_MACHINE_IDENTIFIER) {
            reply.push(code::CLIENT_MACHINE_IDENTIFIER, uuid);
        }
    }

    /// What goes back as it came: Option 61 (RFC 6842), and Option 82 behind everything (RFC 3046 §2.2).
    fn echo<'r>(&'r self, reply: &mut Reply<'r>) {
        if let Some(identifier) = self.message.client_identifier() {
            reply.push(code::CLIENT_IDENTIFIER, identifier);
        }
    }

    /// A reply with what is copied from the request.
    fn reply<'r>(&'r self, file: &'r [u8]) -> Reply<'r> {
        Reply {
            hardware_type: self.message.hardware_type(),
            hardware: self.message.hardware(),
            xid: self.message.xid(),
            flags: self.message.flags(),
            ciaddr: Ipv4Addr::UNSPECIFIED,
            yiaddr: Ipv4Addr::UNSPECIFIED,
            siaddr: Ipv4Addr::UNSPECIFIED,
            giaddr: self.message.giaddr(),
            file,
            options: Vec::with_capacity(24),
            relay_agent: self.message.option(code::RELAY_AGENT_INFORMATION),
        }
    }

    fn send(&self, reply: Reply<'_>, told: &SubnetTold, out: &mut Vec<u8>) -> Result<(), Refused> {
        // Boot ROMs read `file` whatever Option 52 says, so for them it holds a name or nothing.
        let is_firmware = !matches!(self.stage, Stage::Os | Stage::Bmc);
        let limits = Limits::new(self.message.maximum_size(), told.path_mtu, !is_firmware);
        reply.encode(limits, out).map_err(|_| self.refuse(Reason::Malformed))
    }

    /// DHCPNAK: nothing but why. `None` if it cannot be written.
    pub(super) fn nak(&self, reason: Reason, out: &mut Vec<u8>) -> Option<Destination> {
        let server = self.server_identifier().octets();
        let mut reply = self.reply(b"");
        reply.push(code::MESSAGE_TYPE, &[MessageType::Nak as u8]);
        reply.push(code::SERVER_IDENTIFIER, &server);
        reply.push(code::MESSAGE, reason.meaning().as_bytes());
        self.echo(&mut reply);
        let giaddr = self.message.giaddr();
        // The client may not have the address that it asked for, so the relay must not use it (RFC 2131 §4.3.2).
        let destination = if giaddr.is_unspecified() {
            Destination::Broadcast
        } else {
            reply.flags |= BROADCAST;
            Destination::Relay(giaddr)
        };
        reply.encode(Limits::new(None, 1500, false), out).ok()?;
        Some(destination)
    }

    /// PXE's boot server discovery: firmware that has an address asks on port 4011 what to boot (PXE 2.1 §2.2.3).
    pub(super) fn boot_server(
        &self,
        kind: MessageType,
        arrival: Arrival,
        out: &mut Vec<u8>,
    ) -> Result<Answer, Refused> {
        let (view, message) = (self.view, self.message);
        let is_pxe = matches!(self.stage, Stage::BiosPxe | Stage::UefiPxe);
        if !is_pxe || !matches!(kind, MessageType::Request | MessageType::Inform | MessageType::Discover) {
            return Err(self.refuse(Reason::NotServed));
        }
        let told = view.dhcp.told.subnet(self.seat.subnet).ok_or_else(|| self.refuse(Reason::NotServed))?;
        let boot_file = boot::file(view, message, self.seat.device, self.stage)
            .ok_or_else(|| self.refuse(Reason::NotServed))?;
        let server = self.server_identifier();
        let octets = server.octets();
        let mut vendor = PXE_USE_BOOT_FILE[..3].to_vec();
        // The sub-options have the same form as Option 82's.
        let asked = RelayAgent(message.option(code::VENDOR_SPECIFIC).unwrap_or_default());
        if let Some(item @ [_, _, _, _]) = asked.sub_option(PXE_BOOT_ITEM) {
            vendor.extend([PXE_BOOT_ITEM, 4]);
            vendor.extend(item);
        }
        vendor.push(code::END);
        let mut reply = self.reply(boot_file.as_bytes());
        reply.ciaddr = message.ciaddr();
        reply.siaddr = server;
        reply.push(code::MESSAGE_TYPE, &[MessageType::Ack as u8]);
        reply.push(code::SERVER_IDENTIFIER, &octets);
        reply.push(code::VENDOR_CLASS, b"PXEClient");
        reply.push(code::VENDOR_SPECIFIC, &vendor);
        if let Some(uuid) = message.option(code::CLIENT_MACHINE_IDENTIFIER) {
            reply.push(code::CLIENT_MACHINE_IDENTIFIER, uuid);
        }
        self.echo(&mut reply);
        self.send(reply, told, out)?;
        Ok(Answer { destination: Some(Destination::Sender(arrival.source)), observed: None })
    }

    /// The address that the client is to know us by: ours, or the relay's own if it asks for that so that renewals pass
    /// it (RFC 5107). Only an address that this very switch has is taken.
    fn server_identifier(&self) -> Ipv4Addr {
        let ours = self.view.dhcp.servers.first().copied().unwrap_or(Ipv4Addr::UNSPECIFIED);
        let wanted = self.message.relay_agent().and_then(RelayAgent::server_identifier_override);
        let is_relays = |address: &Ipv4Addr| {
            let switches = self.view.dhcp.wiring.relays.get(address);
            self.known.switch.is_some_and(|switch| switches.is_some_and(|it| it.contains(&switch)))
        };
        wanted.filter(is_relays).unwrap_or(ours)
    }
}
