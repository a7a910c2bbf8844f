//! A client's message, as bytes: for the lab's firmware and for tests.

use super::{HEADER_LENGTH, MAGIC_COOKIE, MESSAGE_MIN, MessageType, code};
use crate::uuid::turned;
use std::net::Ipv4Addr;

/// What a client sends. The default is an Ethernet client with nothing to say; fill in what its stage knows.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Request {
    /// Option 53; `None` is BOOTP.
    pub kind: Option<MessageType>,
    /// Number of the exchange; the client keeps it over retries.
    pub xid: u32,
    /// Seconds since it began.
    pub secs: u16,
    /// It cannot receive unicast yet.
    pub broadcast: bool,
    /// The address it has.
    pub ciaddr: Ipv4Addr,
    /// The relay; clients leave it unspecified.
    pub giaddr: Ipv4Addr,
    /// Kind of hardware.
    pub hardware_type: u8,
    /// Hardware address, at most 16 octets.
    pub hardware: Vec<u8>,
    /// Option 50.
    pub requested_address: Option<Ipv4Addr>,
    /// Option 54.
    pub server_identifier: Option<Ipv4Addr>,
    /// Option 55, if not empty.
    pub parameter_list: Vec<u8>,
    /// Option 57.
    pub maximum_size: Option<u16>,
    /// Option 60, if not empty.
    pub vendor_class: Vec<u8>,
    /// Option 61.
    pub client_identifier: Option<Vec<u8>>,
    /// Option 77 as it goes on the wire, if not empty; iPXE's is the bare `iPXE`.
    pub user_class: Vec<u8>,
    /// Option 93, if not empty.
    pub architectures: Vec<u16>,
    /// Option 97, as documents write a UUID.
    pub uuid: Option<[u8; 16]>,
    /// More options, each before the End; one longer than 255 octets is split.
    pub more: Vec<(u8, Vec<u8>)>,
}

impl Default for Request {
    fn default() -> Self {
        Self {
            kind: None,
            xid: 0,
            secs: 0,
            broadcast: false,
            ciaddr: Ipv4Addr::UNSPECIFIED,
            giaddr: Ipv4Addr::UNSPECIFIED,
            hardware_type: 1,
            hardware: Vec::new(),
            requested_address: None,
            server_identifier: None,
            parameter_list: Vec::new(),
            maximum_size: None,
            vendor_class: Vec::new(),
            client_identifier: None,
            user_class: Vec::new(),
            architectures: Vec::new(),
            uuid: None,
            more: Vec::new(),
        }
    }
}

impl Request {
    /// An Ethernet client's message of this type.
    pub fn new(kind: MessageType, mac: [u8; 6], xid: u32) -> Self {
        Self { kind: Some(kind), xid, hardware: mac.to_vec(), ..Self::default() }
    }

    /// As bytes, padded to the least length of BOOTP. A hardware address beyond 16 octets is cut.
    pub fn encode(&self) -> Vec<u8> {
        let hardware = &self.hardware[..self.hardware.len().min(16)];
        let mut bytes = vec![0; HEADER_LENGTH];
        bytes[0] = 1;
        bytes[1] = self.hardware_type;
        bytes[2] = u8::try_from(hardware.len()).unwrap_or(16);
        bytes[4..8].copy_from_slice(&self.xid.to_be_bytes());
        bytes[8..10].copy_from_slice(&self.secs.to_be_bytes());
        bytes[10] = if self.broadcast { 0x80 } else { 0 };
        bytes[12..16].copy_from_slice(&self.ciaddr.octets());
        bytes[24..28].copy_from_slice(&self.giaddr.octets());
        bytes[28..28 + hardware.len()].copy_from_slice(hardware);
        bytes[HEADER_LENGTH - 4..].copy_from_slice(&MAGIC_COOKIE);
        self.options(&mut bytes);
        bytes.push(code::END);
        bytes.resize(bytes.len().max(MESSAGE_MIN), code::PAD);
        bytes
    }

    fn options(&self, bytes: &mut Vec<u8>) {
        let mut push = |code: u8, data: &[u8]| super::write::put(bytes, code, data);
        if let Some(kind) = self.kind {
            push(code::MESSAGE_TYPE, &[kind as u8]);
        }
        if let Some(identifier) = &self.client_identifier {
            push(code::CLIENT_IDENTIFIER, identifier);
        }
        if let Some(address) = self.requested_address {
            push(code::REQUESTED_ADDRESS, &address.octets());
        }
        if let Some(address) = self.server_identifier {
            push(code::SERVER_IDENTIFIER, &address.octets());
        }
        if let Some(size) = self.maximum_size {
            push(code::MAXIMUM_MESSAGE_SIZE, &size.to_be_bytes());
        }
        for (code, data) in [
            (code::PARAMETER_REQUEST_LIST, &self.parameter_list),
            (code::VENDOR_CLASS, &self.vendor_class),
            (code::USER_CLASS, &self.user_class),
        ] {
            if !data.is_empty() {
                push(code, data);
            }
        }
        if !self.architectures.is_empty() {
            let octets: Vec<u8> = self.architectures.iter().flat_map(|kind| kind.to_be_bytes()).collect();
            push(code::CLIENT_ARCHITECTURE, &octets);
        }
        if let Some(uuid) = self.uuid {
            let mut octets = vec![0];
            octets.extend(turned(uuid));
            push(code::CLIENT_MACHINE_IDENTIFIER, &octets);
        }
        for (code, data) in &self.more {
            push(*code, data);
        }
    }
}
