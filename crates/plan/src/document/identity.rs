//! Bytes of an identity as text: as they are if they print, else `hex:` and digits, as a design writes them.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::borrow::Cow;
use std::fmt::{self, Write};

/// The bytes of a circuit-id or remote-id.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Identity<'a>(pub Cow<'a, [u8]>);

const HEX: &str = "hex:";

impl Identity<'_> {
    /// The bytes, if they print as they are. Text that would read as hexadecimal does not.
    fn text(&self) -> Option<&str> {
        let is_plain = self.0.iter().all(|octet| matches!(octet, 0x20..=0x7e));
        std::str::from_utf8(&self.0).ok().filter(|text| is_plain && !text.starts_with(HEX))
    }

    /// The bytes of a text. `None` if it starts with `hex:` and then is not pairs of hexadecimal digits.
    fn parse(text: &str) -> Option<Identity<'static>> {
        let Some(digits) = text.strip_prefix(HEX) else {
            return Some(Identity(text.as_bytes().to_vec().into()));
        };
        let nibble = |octet: &u8| char::from(*octet).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        let pairs = digits.as_bytes().chunks(2);
        let octet = |pair: &[u8]| match pair {
            [high, low] => Some(nibble(high)? << 4 | nibble(low)?),
            _ => None,
        };
        Some(Identity(pairs.map(octet).collect::<Option<Vec<u8>>>()?.into()))
    }
}

impl fmt::Display for Identity<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(text) = self.text() {
            return f.pad(text);
        }
        let mut digits = String::from(HEX);
        for octet in self.0.iter() {
            write!(digits, "{octet:02x}")?;
        }
        f.pad(&digits)
    }
}

impl Serialize for Identity<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.text() {
            Some(text) => serializer.serialize_str(text),
            None => serializer.collect_str(self),
        }
    }
}

impl<'de> Deserialize<'de> for Identity<'_> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<'de, str>::deserialize(deserializer)?;
        Identity::parse(&text)
            .ok_or_else(|| serde::de::Error::custom("hex: needs pairs of hexadecimal digits"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_identity_reads_back() {
        for bytes in
            [&b"swp1"[..], b"", b"hex:00", b"\x00\x04\x00\x00", b"swp1\0", b"leaf-a:Eth 1/1", b"\xff"]
        {
            let identity = Identity(bytes.into());
            assert_eq!(Identity::parse(&identity.to_string()), Some(identity), "{bytes:?}");
        }
        assert_eq!(Identity(b"swp1\0"[..].into()).to_string(), "hex:7377703100");
        assert_eq!(Identity::parse("hex:0"), None);
        assert_eq!(Identity::parse("hex:0g"), None);
    }
}
