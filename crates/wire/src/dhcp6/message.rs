//! A client's message, and options wherever they stand.

use super::packet::Malformed;
use super::{DUID_MAX, MessageType, code};
use std::net::Ipv6Addr;

/// A list of options, each of which ends inside it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Options<'a>(&'a [u8]);

impl<'a> Options<'a> {
    /// Checks that each option ends inside the list.
    pub(super) fn new(octets: &'a [u8]) -> Result<Self, Malformed> {
        let mut rest = octets;
        while !rest.is_empty() {
            rest = split(rest).ok_or(Malformed::Option)?.1;
        }
        Ok(Self(octets))
    }

    /// Each option in its order: code and octets.
    pub fn iter(self) -> impl Iterator<Item = (u16, &'a [u8])> {
        let mut rest = self.0;
        std::iter::from_fn(move || {
            let (option, after) = split(rest)?;
            rest = after;
            Some(option)
        })
    }

    /// The octets of the first option of this code.
    pub fn get(self, wanted: u16) -> Option<&'a [u8]> {
        self.iter().find(|(code, _)| *code == wanted).map(|(_, data)| data)
    }

    /// Whether one of this code stands twice.
    pub(super) fn repeats(self, wanted: u16) -> bool {
        self.iter().filter(|(code, _)| *code == wanted).nth(1).is_some()
    }
}

type One<'a> = (u16, &'a [u8]);

fn split(octets: &[u8]) -> Option<(One<'_>, &[u8])> {
    let [high, low, length_high, length_low, after @ ..] = octets else { return None };
    let length = usize::from(u16::from_be_bytes([*length_high, *length_low]));
    let (data, rest) = after.split_at_checked(length)?;
    Some(((u16::from_be_bytes([*high, *low]), data), rest))
}

/// Which kind of association.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AssociationKind {
    /// IA_NA.
    Address,
    /// IA_TA.
    Temporary,
    /// IA_PD.
    Prefix,
}

impl AssociationKind {
    /// The option that it is.
    pub fn code(self) -> u16 {
        match self {
            Self::Address => code::IA_NA,
            Self::Temporary => code::IA_TA,
            Self::Prefix => code::IA_PD,
        }
    }

    fn of(code: u16) -> Option<Self> {
        match code {
            code::IA_NA => Some(Self::Address),
            code::IA_TA => Some(Self::Temporary),
            code::IA_PD => Some(Self::Prefix),
            _ => None,
        }
    }

    /// Octets before its options: its id, and T1 and T2 if it has them.
    fn header(self) -> usize {
        match self {
            Self::Temporary => 4,
            Self::Address | Self::Prefix => 12,
        }
    }
}

/// An identity association (RFC 8415 §12).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Association<'a> {
    /// Of what.
    pub kind: AssociationKind,
    /// The client's number for it.
    pub id: [u8; 4],
    /// What it holds.
    pub options: Options<'a>,
}

impl<'a> Association<'a> {
    fn parse(kind: AssociationKind, octets: &'a [u8]) -> Result<Self, Malformed> {
        let (header, rest) = octets.split_at_checked(kind.header()).ok_or(Malformed::Option)?;
        let id = header.first_chunk().copied().ok_or(Malformed::Option)?;
        let options = Options::new(rest)?;
        for (_, data) in options.iter().filter(|(code, _)| *code == code::IA_ADDRESS) {
            // The address and two lifetimes.
            let (_, inner) = data.split_at_checked(24).ok_or(Malformed::Option)?;
            Options::new(inner)?;
        }
        Ok(Self { kind, id, options })
    }

    /// The addresses that it names.
    pub fn addresses(self) -> impl Iterator<Item = Ipv6Addr> + use<'a> {
        self.options
            .iter()
            .filter(|(code, _)| *code == code::IA_ADDRESS)
            .filter_map(|(_, data)| data.first_chunk::<16>().map(|octets| Ipv6Addr::from(*octets)))
    }
}

/// A client's message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Message<'a> {
    /// Which.
    pub kind: MessageType,
    /// The transaction id.
    pub transaction: [u8; 3],
    /// Its options.
    pub options: Options<'a>,
}

impl<'a> Message<'a> {
    pub(super) fn parse(kind: MessageType, octets: &'a [u8]) -> Result<Self, Malformed> {
        let (header, rest) = octets.split_at_checked(4).ok_or(Malformed::TooShort)?;
        let transaction = header.last_chunk().copied().ok_or(Malformed::TooShort)?;
        let options = Options::new(rest)?;
        for (code, data) in options.iter() {
            if let Some(kind) = AssociationKind::of(code) {
                Association::parse(kind, data)?;
            }
            // A type of two octets and at least one more.
            if matches!(code, code::CLIENT_ID | code::SERVER_ID) && !(3..=DUID_MAX).contains(&data.len()) {
                return Err(Malformed::Option);
            }
        }
        if options.repeats(code::CLIENT_ID) || options.repeats(code::SERVER_ID) {
            return Err(Malformed::Repeated);
        }
        Ok(Self { kind, transaction, options })
    }

    /// Option 1.
    pub fn client_id(&self) -> Option<&'a [u8]> {
        self.options.get(code::CLIENT_ID)
    }

    /// Option 2.
    pub fn server_id(&self) -> Option<&'a [u8]> {
        self.options.get(code::SERVER_ID)
    }

    /// Whether it carries this option.
    pub fn has(&self, code: u16) -> bool {
        self.options.get(code).is_some()
    }

    /// Options 3, 4 and 25 in their order.
    pub fn associations(&self) -> impl Iterator<Item = Association<'a>> + use<'a> {
        self.options
            .iter()
            .filter_map(|(code, data)| Association::parse(AssociationKind::of(code)?, data).ok())
    }

    /// Whether Option 6 lists this code; `None` without Option 6.
    pub fn wants(&self, wanted: u16) -> Option<bool> {
        let list = self.options.get(code::OPTION_REQUEST)?;
        Some(list.chunks_exact(2).any(|pair| pair == wanted.to_be_bytes()))
    }

    /// The values of Option 61.
    pub fn architectures(&self) -> impl Iterator<Item = u16> + use<'a> {
        let list = self.options.get(code::CLIENT_ARCHITECTURE).unwrap_or_default();
        list.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]]))
    }

    /// The classes of every Option 16, without the enterprise number: a machine may have a class of several vendors.
    pub fn vendor_classes(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        self.options
            .iter()
            .filter(|(code, _)| *code == code::VENDOR_CLASS)
            .flat_map(|(_, data)| pieces(data.get(4..).unwrap_or_default()))
    }

    /// The first class that is wanted, and the data of the Option 16 that has it, enterprise number and all.
    pub fn vendor_class(&self, is_wanted: impl Fn(&[u8]) -> bool) -> Option<(&'a [u8], &'a [u8])> {
        let options = self.options.iter().filter(|(code, _)| *code == code::VENDOR_CLASS);
        options
            .filter_map(|(_, data)| {
                let class = pieces(data.get(4..)?).find(|class| is_wanted(class))?;
                Some((class, data))
            })
            .next()
    }

    /// Whether Option 15 has this class.
    pub fn has_user_class(&self, wanted: &[u8]) -> bool {
        let data = self.options.get(code::USER_CLASS).unwrap_or_default();
        pieces(data).any(|class| class == wanted)
    }

    /// The MAC address in the client's DUID, if that is made of one (RFC 8415 §11.2, §11.4). It is that of *an*
    /// interface of the machine, not of the one that asks.
    pub fn duid_mac(&self) -> Option<[u8; 6]> {
        match self.client_id()? {
            // DUID-LLT: hardware type, time, address. DUID-LL: hardware type, address.
            [0, 1, 0, 1, _, _, _, _, mac @ ..] | [0, 3, 0, 1, mac @ ..] => mac.try_into().ok(),
            _ => None,
        }
    }

    /// The SMBIOS UUID in the client's DUID, if that is made of it (RFC 6355). As it was sent: not every client has its fields in
    /// network order.
    pub fn uuid(&self) -> Option<[u8; 16]> {
        match self.client_id()? {
            [0, 4, uuid @ ..] => uuid.try_into().ok(),
            _ => None,
        }
    }
}

/// Pieces after their lengths of two octets, until one does not end inside.
fn pieces(octets: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = octets;
    std::iter::from_fn(move || {
        let [high, low, after @ ..] = rest else { return None };
        let (piece, next) = after.split_at_checked(usize::from(u16::from_be_bytes([*high, *low])))?;
        rest = next;
        Some(piece)
    })
}
