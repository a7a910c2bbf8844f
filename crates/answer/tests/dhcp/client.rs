//! Clients and relays for these tests, and what came of a packet as one value to assert on.

use crate::zone;
use answer::dhcp::{Answer, Arrival, Destination, Refused, v4};
use model::{Reason, View};
use std::net::{Ipv4Addr, SocketAddrV4};
use wire::dhcp4::{Message, MessageType, RelayAgent, Request, code, insert_relay_agent};

/// A machine's hardware address that nobody knows.
pub(crate) const MAC: [u8; 6] = [0x02, 0, 0, 0, 0, 0x11];
/// Another one.
pub(crate) const OTHER_MAC: [u8; 6] = [0x02, 0, 0, 0, 0, 0x22];

/// A port of the fixture: what its relay writes and calls itself.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Port<'a> {
    pub circuit_id: &'a str,
    pub remote_id: &'a str,
    pub giaddr: Ipv4Addr,
}

/// `u01`'s `eno1`.
pub(crate) fn u01() -> Port<'static> {
    Port { circuit_id: "swp1", remote_id: "p01-r1-leaf-a", giaddr: zone::leaf_a(0) }
}

/// `u02`'s `eno1`.
pub(crate) fn u02() -> Port<'static> {
    Port { circuit_id: "swp2", ..u01() }
}

/// `u01`'s BMC, behind a relay that writes no remote-id.
pub(crate) fn u01_bmc() -> Port<'static> {
    Port { circuit_id: "swp1", remote_id: "", giaddr: zone::lom(0) }
}

pub(crate) fn request(kind: MessageType) -> Request {
    Request::new(kind, MAC, 0x1234_5678)
}

pub(crate) fn discover() -> Request {
    request(MessageType::Discover)
}

/// DHCPREQUEST in state SELECTING.
pub(crate) fn selecting(address: Ipv4Addr) -> Request {
    Request {
        requested_address: Some(address),
        server_identifier: Some(zone::CONTROLLERS[0]),
        ..request(MessageType::Request)
    }
}

/// In state INIT-REBOOT.
pub(crate) fn init_reboot(address: Ipv4Addr) -> Request {
    Request { requested_address: Some(address), ..request(MessageType::Request) }
}

/// In state RENEWING, or REBINDING if it passes a relay.
pub(crate) fn renewing(address: Ipv4Addr) -> Request {
    Request { ciaddr: address, ..request(MessageType::Request) }
}

/// What came of a packet.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub result: Result<Answer, Refused>,
    pub bytes: Vec<u8>,
}

impl Outcome {
    /// The reply, which there must be one of.
    pub(crate) fn reply(&self) -> Message<'_> {
        Message::parse(&self.bytes).expect("a reply that can be read")
    }

    pub(crate) fn destination(&self) -> Option<Destination> {
        match &self.result {
            Ok(answer) => answer.destination,
            Err(refused) => refused.destination,
        }
    }

    /// Why it was refused.
    pub(crate) fn reason(&self) -> Option<Reason> {
        self.result.as_ref().err().map(|refused| refused.refusal.reason)
    }

    /// `Some(type)` of the reply that is sent.
    pub(crate) fn sent(&self) -> Option<MessageType> {
        self.destination().map(|_| self.reply().message_type().expect("a type"))
    }

    /// The address that is granted.
    pub(crate) fn granted(&self) -> Ipv4Addr {
        assert!(self.result.is_ok(), "{:?}", self.result);
        self.reply().yiaddr()
    }

    /// Refused for this reason, and nothing is sent.
    pub(crate) fn assert_silent(&self, reason: Reason) {
        assert_eq!((self.reason(), self.destination()), (Some(reason), None));
        assert!(self.bytes.is_empty());
    }

    /// Refused for this reason, and the client is told.
    pub(crate) fn assert_nak(&self, reason: Reason) {
        assert_eq!((self.reason(), self.sent()), (Some(reason), Some(MessageType::Nak)));
    }

    pub(crate) fn codes(&self) -> Vec<u8> {
        self.reply().options().map(|(code, _)| code).collect()
    }

    pub(crate) fn option(&self, code: u8) -> Option<Vec<u8>> {
        self.reply().option(code).map(<[u8]>::to_vec)
    }

    /// The boot file of header or option.
    pub(crate) fn boot_file(&self) -> String {
        String::from_utf8_lossy(self.reply().boot_file().unwrap_or_default()).into_owned()
    }
}

/// The bytes, from this sender to this port of ours.
pub(crate) fn send(view: &View, packet: &[u8], source: SocketAddrV4, port: u16) -> Outcome {
    let mut bytes = b"left over from the packet before".to_vec();
    let result = v4(view, packet, Arrival { source, port }, &mut bytes);
    let is_sent = match &result {
        Ok(answer) => answer.destination.is_some(),
        Err(refused) => refused.destination.is_some(),
    };
    assert_eq!(is_sent, !bytes.is_empty(), "bytes are there exactly if they are to be sent");
    if is_sent {
        let request = Message::parse(packet).expect("answered");
        let reply = Message::parse(&bytes).expect("readable");
        assert!(
            !reply.is_request() && reply.xid() == request.xid() && reply.hardware() == request.hardware()
        );
        // What every reply owes the relay: Option 82 last, and byte for byte.
        let agent = request.option(code::RELAY_AGENT_INFORMATION).map(<[u8]>::to_vec);
        assert_eq!(reply.option(code::RELAY_AGENT_INFORMATION).map(<[u8]>::to_vec), agent);
        // (Options in `file` are read after it, but stand before it.)
        if agent.is_some() && reply.option(code::OVERLOAD).is_none() {
            assert_eq!(reply.options().last().map(|(code, _)| code), Some(code::RELAY_AGENT_INFORMATION));
        }
        assert!(bytes.len() <= 1472, "never an IP fragment");
    }
    Outcome { result, bytes }
}

/// Through the relay of a port.
pub(crate) fn relayed(view: &View, request: &Request, port: Port<'_>) -> Outcome {
    send(view, &through(request, port), SocketAddrV4::new(port.giaddr, 67), 67)
}

/// What the relay of a port makes of a request.
pub(crate) fn through(request: &Request, port: Port<'_>) -> Vec<u8> {
    insert_relay_agent(&request.encode(), port.circuit_id.as_bytes(), port.remote_id.as_bytes(), port.giaddr)
        .expect("a relay passes it on")
}

/// Through a relay at `giaddr` that writes these octets as Option 82.
pub(crate) fn with_agent(view: &View, request: &Request, agent: &[u8], giaddr: Ipv4Addr) -> Outcome {
    let mut request = request.clone();
    request.giaddr = giaddr;
    request.more.push((code::RELAY_AGENT_INFORMATION, agent.to_vec()));
    send(view, &request.encode(), SocketAddrV4::new(giaddr, 67), 67)
}

/// Option 82's octets.
pub(crate) fn agent(sub_options: &[(u8, &[u8])]) -> Vec<u8> {
    let mut octets = Vec::new();
    for (code, data) in sub_options {
        octets.extend([*code, u8::try_from(data.len()).expect("short")]);
        octets.extend_from_slice(data);
    }
    assert!(sub_options.iter().all(|(code, data)| RelayAgent(&octets).sub_option(*code) == Some(data)));
    octets
}

/// Straight from a client that has this address.
pub(crate) fn direct(view: &View, request: &Request, source: Ipv4Addr) -> Outcome {
    send(view, &request.encode(), SocketAddrV4::new(source, 68), 67)
}
