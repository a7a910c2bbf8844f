//! Option 82, and what a relay does to a packet (RFC 3046, RFC 1542 §4).
//!
//! The relay half is for the lab's switches and for tests; the server only reads.

use super::{HEADER_LENGTH, MAGIC_COOKIE, MESSAGE_MIN, code};
use std::net::Ipv4Addr;

/// How many relays a packet may have passed before another one drops it (RFC 1542 §4.1.1).
pub const HOPS_MAX: u8 = 16;

/// Option 82's octets as they came. They go back exactly so (RFC 3046 §2.2).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RelayAgent<'a>(pub &'a [u8]);

impl<'a> RelayAgent<'a> {
    /// A sub-option's octets: its first instance, and nothing if the list ends inside it.
    pub fn sub_option(self, wanted: u8) -> Option<&'a [u8]> {
        let mut rest = self.0;
        loop {
            // Sub-options have neither pad nor end (RFC 3046 §2.0), so an octet 0 or 255 is a code like any other.
            let [code, length, after @ ..] = rest else { return None };
            let (data, next) = after.split_at_checked(usize::from(*length))?;
            if *code == wanted {
                return Some(data);
            }
            rest = next;
        }
    }

    /// Whether the port or the relay is named more than once: a client wrote an Option 82 of its own, and a relay that
    /// should have dropped it appended another. Which of them is the relay's nobody can tell.
    pub fn is_doubled(self) -> bool {
        let (mut rest, mut seen) = (self.0, [false; 3]);
        while let [code, length, after @ ..] = rest {
            let Some((_, next)) = after.split_at_checked(usize::from(*length)) else { break };
            if let 1 | 2 = code
                && std::mem::replace(&mut seen[usize::from(*code)], true)
            {
                return true;
            }
            rest = next;
        }
        false
    }

    /// Sub-option 1: the port, as the relay writes it.
    pub fn circuit_id(self) -> Option<&'a [u8]> {
        self.sub_option(1)
    }

    /// Sub-option 2: the relay, as it writes itself.
    pub fn remote_id(self) -> Option<&'a [u8]> {
        self.sub_option(2)
    }

    /// Sub-option 5: an address of the subnet that the client is on, where giaddr is not one (RFC 3527).
    pub fn link_selection(self) -> Option<Ipv4Addr> {
        address(self.sub_option(5)?)
    }

    /// Sub-option 11: the address that clients are to know as their server, so that renewals pass the relay (RFC 5107).
    pub fn server_identifier_override(self) -> Option<Ipv4Addr> {
        address(self.sub_option(11)?)
    }
}

fn address(octets: &[u8]) -> Option<Ipv4Addr> {
    let octets: [u8; 4] = octets.try_into().ok()?;
    Some(octets.into())
}

/// What a relay at `giaddr` makes of a client's request: one hop more, its address, and Option 82 as the last option.
///
/// `None` if it must be dropped: no request, too many hops, or an Option 82 that no relay before it accounts for (RFC
/// 3046 §2.1, a client that forges its port). A packet that another relay has marked goes on with its Option 82 and
/// giaddr untouched. An empty `circuit_id` and `remote_id` insert nothing: a plain BOOTP relay.
pub fn insert_relay_agent(
    packet: &[u8],
    circuit_id: &[u8],
    remote_id: &[u8],
    giaddr: Ipv4Addr,
) -> Option<Vec<u8>> {
    if packet.len() < HEADER_LENGTH || packet[0] != 1 || packet[3] >= HOPS_MAX {
        return None;
    }
    let mut relayed = packet.to_vec();
    relayed[3] += 1;
    if packet[24..28] != [0; 4] {
        return Some(relayed);
    }
    relayed[24..28].copy_from_slice(&giaddr.octets());
    if packet[HEADER_LENGTH - 4..HEADER_LENGTH] != MAGIC_COOKIE {
        return Some(relayed);
    }
    let options = Layout::of(&packet[HEADER_LENGTH..])?;
    if options.relay_agent.is_some() {
        return None;
    }
    if circuit_id.is_empty() && remote_id.is_empty() {
        return Some(relayed);
    }
    let mut content = Vec::new();
    for (sub_option, data) in [(1, circuit_id), (2, remote_id)] {
        if !data.is_empty() {
            content.extend([sub_option, u8::try_from(data.len()).ok()?]);
            content.extend(data);
        }
    }
    relayed.truncate(HEADER_LENGTH + options.end);
    relayed.extend([code::RELAY_AGENT_INFORMATION, u8::try_from(content.len()).ok()?]);
    relayed.extend(content);
    relayed.push(code::END);
    relayed.resize(relayed.len().max(MESSAGE_MIN), code::PAD);
    Some(relayed)
}

/// What a relay hands on of a server's reply: everything but Option 82 (RFC 3046 §2.1). A packet that cannot be read
/// is handed on as it is.
pub fn strip_relay_agent(packet: &[u8]) -> Vec<u8> {
    let mut stripped = packet.to_vec();
    while let Some(range) = stripped.get(HEADER_LENGTH..).and_then(Layout::of).and_then(|it| it.relay_agent) {
        stripped.drain(HEADER_LENGTH + range.start..HEADER_LENGTH + range.end);
    }
    stripped.resize(stripped.len().max(MESSAGE_MIN), code::PAD);
    stripped
}

/// Where things lie in an options field.
struct Layout {
    /// Of End, or the length if there is none.
    end: usize,
    /// The first Option 82, code and length included.
    relay_agent: Option<std::ops::Range<usize>>,
}

impl Layout {
    fn of(area: &[u8]) -> Option<Self> {
        let mut at = 0;
        let mut relay_agent = None;
        while let Some(code) = area.get(at) {
            match *code {
                code::PAD => at += 1,
                code::END => return Some(Self { end: at, relay_agent }),
                code => {
                    let next = at + 2 + usize::from(*area.get(at + 1)?);
                    if next > area.len() {
                        return None;
                    }
                    if code == code::RELAY_AGENT_INFORMATION && relay_agent.is_none() {
                        relay_agent = Some(at..next);
                    }
                    at = next;
                }
            }
        }
        Some(Self { end: at, relay_agent })
    }
}
