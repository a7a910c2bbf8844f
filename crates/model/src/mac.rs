//! A hardware address.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// A 48-bit Ethernet address. Printed as `52:54:00:12:34:56`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mac(pub [u8; 6]);

impl Mac {
    /// As labels, switches and people write it: six octets with colons, dashes or nothing between them, or with a dot after
    /// every second one.
    pub fn written(text: &str) -> Option<Self> {
        let digits = Self::digits(text).filter(|digits| digits.len() == 12)?;
        let mut octets = [0; 6];
        for (at, octet) in octets.iter_mut().enumerate() {
            *octet = u8::from_str_radix(digits.get(at * 2..at * 2 + 2)?, 16).ok()?;
        }
        Some(Self(octets))
    }

    /// The digits of what may be the beginning of one, in lower case, without what stands between them.
    pub fn digits(text: &str) -> Option<String> {
        let is_between = |character: char| [':', '-', '.'].contains(&character);
        let is_known = |character: char| character.is_ascii_hexdigit() || is_between(character);
        let digits = || text.chars().filter(|character| !is_between(*character));
        text.chars().all(is_known).then(|| digits().collect::<String>().to_ascii_lowercase())
    }

    /// The vendor's part: the first three octets.
    pub fn oui(self) -> [u8; 3] {
        [self.0[0], self.0[1], self.0[2]]
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl fmt::Debug for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The text was not six colon- or dash-separated octets.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NotAMac;

impl fmt::Display for NotAMac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a hardware address is six octets such as 52:54:00:12:34:56")
    }
}

impl std::error::Error for NotAMac {}

impl FromStr for Mac {
    type Err = NotAMac;

    fn from_str(text: &str) -> Result<Self, NotAMac> {
        let mut octets = [0; 6];
        let mut parts = text.split([':', '-']);
        for octet in &mut octets {
            let part = parts.next().filter(|part| part.len() == 2).ok_or(NotAMac)?;
            *octet = u8::from_str_radix(part, 16).map_err(|_| NotAMac)?;
        }
        if parts.next().is_some() { Err(NotAMac) } else { Ok(Self(octets)) }
    }
}

impl Serialize for Mac {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Mac {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_way_of_writing_it_is_read() {
        let mac = Mac([0x52, 0x54, 0, 0x12, 0x34, 0xab]);
        for text in ["52:54:00:12:34:ab", "52-54-00-12-34-AB", "5254.0012.34ab", "5254001234AB"] {
            assert_eq!(Mac::written(text), Some(mac), "{text}");
        }
        for text in ["", "52:54:00:12:34", "52:54:00:12:34:ab:cd", "52:54:00:12:34:xy", "ü2:54:00:12:34"] {
            assert_eq!(Mac::written(text), None, "{text}");
        }
        assert_eq!(Mac::digits("52-54.0"), Some("52540".to_owned()));
        assert_eq!(Mac::digits("p01"), None);
    }
}
