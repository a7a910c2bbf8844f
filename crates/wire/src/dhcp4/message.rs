//! Reading a message.
//!
//! [`Message::parse`] takes a datagram and gives its meaning, or says why it has none. It reads each octet once and
//! keeps one short list of options; every accessor after it is a look-up that cannot fail.

use super::{HEADER_LENGTH, MAGIC_COOKIE, MESSAGE_MAX, MessageType, RelayAgent, code};
use crate::uuid::turned;
use dhcproto::v4::borrowed::{self, DhcpOptionIterator};
use std::fmt;
use std::net::Ipv4Addr;

/// Where the fixed fields lie (RFC 2131 §2).
const FILE: std::ops::Range<usize> = 108..236;
const SNAME: std::ops::Range<usize> = 44..108;
const CHADDR: std::ops::Range<usize> = 28..44;

/// Why bytes are no DHCPv4 message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Malformed {
    /// Fewer octets than the fixed fields.
    Short,
    /// More octets than [`MESSAGE_MAX`].
    Long,
    /// The hardware address is longer than its field.
    HardwareLength,
    /// An option says that it is longer than what is left. What follows it would be lost, and Option 82 is last: to
    /// read on would be to answer without knowing whose request it is.
    TruncatedOption,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Short => "shorter than a BOOTP header",
            Self::Long => "longer than any message we take",
            Self::HardwareLength => "hardware address longer than its field",
            Self::TruncatedOption => "an option runs past the end",
        })
    }
}

impl std::error::Error for Malformed {}

/// A DHCPv4 message, or a BOOTP message if it has no message type.
#[derive(Debug)]
pub struct Message<'a> {
    bytes: &'a [u8],
    header: borrowed::Message<'a>,
    /// Each option once, its instances joined (RFC 3396 §7).
    options: Vec<Value<'a>>,
    /// By code, its position in `options` plus one; 0 is "not there". 254 codes fit an octet.
    position: [u8; 256],
    /// `file` or `sname` hold options, so they hold no name.
    overload: u8,
}

#[derive(Debug)]
enum Value<'a> {
    /// As it stands in the packet.
    One(borrowed::DhcpOption<'a>),
    /// Put together from instances that stand apart.
    Joined(Vec<u8>),
}

impl Value<'_> {
    fn data(&self) -> &[u8] {
        match self {
            Self::One(option) => option.data(),
            Self::Joined(data) => data,
        }
    }
}

impl<'a> Message<'a> {
    /// Reads a datagram. A missing End is forgiven, as is a missing magic cookie (BOOTP: then there are no options).
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Malformed> {
        if bytes.len() > MESSAGE_MAX {
            return Err(Malformed::Long);
        }
        let header = borrowed::Message::new(bytes).map_err(|_| Malformed::Short)?;
        // `header.chaddr()` slices by this octet, so it is checked here once.
        if usize::from(header.hlen()) > CHADDR.len() {
            return Err(Malformed::HardwareLength);
        }
        let mut message = Self { bytes, header, options: Vec::new(), position: [0; 256], overload: 0 };
        if bytes[HEADER_LENGTH - 4..HEADER_LENGTH] != MAGIC_COOKIE {
            return Ok(message);
        }
        message.options.reserve(24);
        message.read_area(&bytes[HEADER_LENGTH..])?;
        // Another value of Option 52 means nothing (RFC 2132 §9.3), and only the options field's counts: one found
        // in `file` would otherwise send us round.
        message.overload = match message.option(code::OVERLOAD) {
            Some([value @ 1..=3]) => *value,
            _ => 0,
        };
        // RFC 3396 §5: options field, then `file`, then `sname`.
        if message.overload & 1 != 0 {
            message.read_area(&bytes[FILE])?;
        }
        if message.overload & 2 != 0 {
            message.read_area(&bytes[SNAME])?;
        }
        Ok(message)
    }

    fn read_area(&mut self, area: &'a [u8]) -> Result<(), Malformed> {
        if !is_whole(area) {
            return Err(Malformed::TruncatedOption);
        }
        for option in DhcpOptionIterator::new(area) {
            let code = usize::from(u8::from(option.code()));
            match usize::from(self.position[code]).checked_sub(1) {
                Some(at) => {
                    let mut joined =
                        std::mem::replace(&mut self.options[at], Value::Joined(Vec::new())).into_vec();
                    joined.extend_from_slice(option.data());
                    self.options[at] = Value::Joined(joined);
                }
                None => {
                    self.options.push(Value::One(option));
                    self.position[code] = u8::try_from(self.options.len()).unwrap_or(0);
                }
            }
        }
        Ok(())
    }

    /// The datagram.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Whether it is from a client (BOOTREQUEST).
    pub fn is_request(&self) -> bool {
        self.bytes[0] == 1
    }

    /// Kind of hardware; 1 is Ethernet.
    pub fn hardware_type(&self) -> u8 {
        self.bytes[1]
    }

    /// The hardware address, as long as the message says: 0 to 16 octets.
    pub fn hardware(&self) -> &'a [u8] {
        self.header.chaddr()
    }

    /// The hardware address if it is Ethernet's and not all zeros.
    pub fn mac(&self) -> Option<[u8; 6]> {
        let octets: [u8; 6] = self.hardware().try_into().ok()?;
        (self.hardware_type() == 1 && octets != [0; 6]).then_some(octets)
    }

    /// How many relays it passed, as they count it.
    pub fn hops(&self) -> u8 {
        self.header.hops()
    }

    /// The client's number for this exchange.
    pub fn xid(&self) -> u32 {
        self.header.xid()
    }

    /// Seconds since the client began.
    pub fn secs(&self) -> u16 {
        self.header.secs()
    }

    /// The client cannot receive unicast yet (RFC 2131 §4.1).
    pub fn broadcast(&self) -> bool {
        self.bytes[10] & 0x80 != 0
    }

    /// The flags field as sent.
    pub fn flags(&self) -> u16 {
        u16::from_be_bytes([self.bytes[10], self.bytes[11]])
    }

    /// The address the client has and can be reached at.
    pub fn ciaddr(&self) -> Ipv4Addr {
        self.header.ciaddr()
    }

    /// The address the client is given.
    pub fn yiaddr(&self) -> Ipv4Addr {
        self.header.yiaddr()
    }

    /// The next server to boot from.
    pub fn siaddr(&self) -> Ipv4Addr {
        self.header.siaddr()
    }

    /// The relay.
    pub fn giaddr(&self) -> Ipv4Addr {
        self.header.giaddr()
    }

    /// The boot file: of the header up to its NUL, or Option 67.
    pub fn boot_file(&self) -> Option<&[u8]> {
        let file = if self.overload & 1 == 0 { self.header.fname() } else { &[] };
        if file.is_empty() { self.option(code::BOOT_FILE_NAME) } else { Some(file) }
    }

    /// The server's name in the header, up to its NUL.
    pub fn server_name(&self) -> &'a [u8] {
        if self.overload & 2 == 0 { self.header.sname() } else { &[] }
    }

    /// An option's octets, all its instances joined.
    pub fn option(&self, code: u8) -> Option<&[u8]> {
        let at = usize::from(self.position[usize::from(code)]).checked_sub(1)?;
        self.options.get(at).map(Value::data)
    }

    /// Every option, in the order of the packet.
    pub fn options(&self) -> impl Iterator<Item = (u8, &[u8])> {
        let mut codes = [0; 256];
        for (code, position) in (0..=255).zip(self.position) {
            codes[usize::from(position)] = code;
        }
        self.options.iter().enumerate().map(move |(at, value)| (codes[at + 1], value.data()))
    }

    /// Option 53. `None`: BOOTP, or a type that nothing here speaks.
    pub fn message_type(&self) -> Option<MessageType> {
        match self.option(code::MESSAGE_TYPE) {
            Some([octet]) => MessageType::from_octet(*octet),
            _ => None,
        }
    }

    /// An option that is one address.
    pub fn address(&self, code: u8) -> Option<Ipv4Addr> {
        let octets: [u8; 4] = self.option(code)?.try_into().ok()?;
        Some(octets.into())
    }

    /// An option that is four octets of number.
    pub fn number(&self, code: u8) -> Option<u32> {
        let octets: [u8; 4] = self.option(code)?.try_into().ok()?;
        Some(u32::from_be_bytes(octets))
    }

    /// Option 50.
    pub fn requested_address(&self) -> Option<Ipv4Addr> {
        self.address(code::REQUESTED_ADDRESS)
    }

    /// Option 54.
    pub fn server_identifier(&self) -> Option<Ipv4Addr> {
        self.address(code::SERVER_IDENTIFIER)
    }

    /// Option 55; empty if it is not there.
    pub fn parameter_list(&self) -> &[u8] {
        self.option(code::PARAMETER_REQUEST_LIST).unwrap_or_default()
    }

    /// Option 57.
    pub fn maximum_size(&self) -> Option<u16> {
        let octets: [u8; 2] = self.option(code::MAXIMUM_MESSAGE_SIZE)?.try_into().ok()?;
        Some(u16::from_be_bytes(octets))
    }

    /// Option 60; empty if it is not there.
    pub fn vendor_class(&self) -> &[u8] {
        self.option(code::VENDOR_CLASS).unwrap_or_default()
    }

    /// Option 61.
    pub fn client_identifier(&self) -> Option<&[u8]> {
        self.option(code::CLIENT_IDENTIFIER)
    }

    /// Whether Option 77 names this class: as RFC 3004 §4 has it, a list of texts each after its length, or as iPXE
    /// has it, the bare text.
    pub fn has_user_class(&self, class: &[u8]) -> bool {
        let Some(mut rest) = self.option(code::USER_CLASS) else { return false };
        if rest == class {
            return true;
        }
        while let Some((length, after)) = rest.split_first() {
            let Some((text, next)) = after.split_at_checked(usize::from(*length)) else { return false };
            if text == class {
                return true;
            }
            rest = next;
        }
        false
    }

    /// Option 93: the kinds of firmware, in the client's order. An odd octet at the end is nothing.
    pub fn architectures(&self) -> impl Iterator<Item = u16> {
        let octets = self.option(code::CLIENT_ARCHITECTURE).unwrap_or_default();
        octets.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]]))
    }

    /// Option 97 as documents and `dmidecode` write a UUID. On the wire the first three fields are little-endian
    /// (SMBIOS 2.6 §7.2.1), so they are turned round here, once.
    pub fn uuid(&self) -> Option<[u8; 16]> {
        let (0, octets) = self.option(code::CLIENT_MACHINE_IDENTIFIER)?.split_first()? else { return None };
        octets.try_into().ok().map(turned)
    }

    /// Option 82.
    pub fn relay_agent(&self) -> Option<RelayAgent<'_>> {
        self.option(code::RELAY_AGENT_INFORMATION).map(RelayAgent)
    }
}

impl Value<'_> {
    fn into_vec(self) -> Vec<u8> {
        match self {
            Self::One(option) => option.data().to_vec(),
            Self::Joined(data) => data,
        }
    }
}

/// Whether every option up to End, or to the end of the area, is there in full. `dhcproto` stops at one that is not
/// and does not say so.
fn is_whole(area: &[u8]) -> bool {
    let mut rest = area;
    while let Some((code, after)) = rest.split_first() {
        rest = match *code {
            code::PAD => after,
            code::END => return true,
            _ => {
                let Some((length, data)) = after.split_first() else { return false };
                let Some(next) = data.get(usize::from(*length)..) else { return false };
                next
            }
        };
    }
    true
}
