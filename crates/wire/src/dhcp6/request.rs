//! What clients and relays send: for tests, benches and the lab; the server only reads it.

use super::{MessageType, code};
use std::net::Ipv6Addr;

/// A client's message.
#[derive(Clone, Debug)]
pub struct Request {
    /// Which.
    pub kind: MessageType,
    /// The transaction id.
    pub transaction: [u8; 3],
    /// Options in their order.
    pub options: Vec<(u16, Vec<u8>)>,
}

impl Request {
    /// A message with nothing in it.
    pub fn new(kind: MessageType, transaction: u32) -> Self {
        let [_, transaction @ ..] = transaction.to_be_bytes();
        Self { kind, transaction, options: Vec::new() }
    }

    /// With one more option.
    #[must_use]
    pub fn with(mut self, code: u16, data: impl Into<Vec<u8>>) -> Self {
        self.options.push((code, data.into()));
        self
    }

    /// With the DUID that is made of this MAC address (DUID-LL).
    #[must_use]
    pub fn from(self, mac: [u8; 6]) -> Self {
        let mut duid = vec![0, 3, 0, 1];
        duid.extend(mac);
        self.with(code::CLIENT_ID, duid)
    }

    /// With an association of addresses that names these.
    #[must_use]
    pub fn association(self, id: u32, addresses: &[Ipv6Addr]) -> Self {
        let mut data = id.to_be_bytes().to_vec();
        data.extend([0; 8]);
        for address in addresses {
            let mut octets = address.octets().to_vec();
            octets.extend([0; 8]);
            push(&mut data, code::IA_ADDRESS, &octets);
        }
        self.with(code::IA_NA, data)
    }

    /// With a list of the options that it wants.
    #[must_use]
    pub fn wants(self, codes: &[u16]) -> Self {
        let list: Vec<u8> = codes.iter().flat_map(|code| code.to_be_bytes()).collect();
        self.with(code::OPTION_REQUEST, list)
    }

    /// As bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut octets = vec![self.kind as u8];
        octets.extend(self.transaction);
        for (code, data) in &self.options {
            push(&mut octets, *code, data);
        }
        octets
    }
}

/// What a relay makes of a message: its shell, these options, and the message last.
pub fn relay_forward(
    hop_count: u8,
    link: Ipv6Addr,
    peer: Ipv6Addr,
    options: &[(u16, &[u8])],
    message: &[u8],
) -> Vec<u8> {
    let mut octets = vec![MessageType::RelayForward as u8, hop_count];
    octets.extend(link.octets());
    octets.extend(peer.octets());
    for (code, data) in options {
        push(&mut octets, *code, data);
    }
    push(&mut octets, code::RELAY_MESSAGE, message);
    octets
}

fn push(octets: &mut Vec<u8>, code: u16, data: &[u8]) {
    octets.extend(code.to_be_bytes());
    octets.extend(u16::try_from(data.len()).unwrap_or(u16::MAX).to_be_bytes());
    octets.extend(data);
}
