//! One DNS record: compact in memory, since a zone has some fifteen for each machine, and plain text in JSON.

use model::Location;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::borrow::Cow;
use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

/// A type of record.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum RecordKind {
    /// The authority of a zone: primary, mailbox, serial. The timers are the server's and not part of the plan.
    Soa,
    /// A name server of a zone.
    Ns,
    /// An IPv4 address.
    A,
    /// An IPv6 address.
    Aaaa,
    /// `location=` and the device's location.
    Txt,
    /// Priority, weight, port and host of a service.
    Srv,
    /// The name of an address.
    Ptr,
}

impl RecordKind {
    /// `A`, `AAAA`, `PTR`, …
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Soa => "SOA",
            Self::Ns => "NS",
            Self::A => "A",
            Self::Aaaa => "AAAA",
            Self::Txt => "TXT",
            Self::Srv => "SRV",
            Self::Ptr => "PTR",
        }
    }
}

/// One record.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize)]
pub struct Record {
    /// The owner's name, whole.
    pub name: Owner,
    /// The type.
    #[serde(rename = "type")]
    pub kind: RecordKind,
    /// The data, as in a zone file.
    pub data: Data,
}

/// Whose record it is.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Owner {
    /// A name.
    Name(Arc<str>),
    /// The name under `in-addr.arpa` of an address.
    Reverse4(Ipv4Addr),
    /// The name under `ip6.arpa` of an address.
    Reverse6(Ipv6Addr),
}

/// What a record says. The variant follows from the type, so equal text is equal data.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Data {
    /// A.
    Address4(Ipv4Addr),
    /// AAAA.
    Address6(Ipv6Addr),
    /// PTR and NS: a name. SOA: its text.
    Name(Arc<str>),
    /// TXT: `location=` and this.
    Location(Location),
    /// SRV: the port and the host; priority and weight are 0.
    Service(u16, Arc<str>),
}

const LOCATION: &str = "location=";
const PRIORITY_AND_WEIGHT: &str = "0 0 ";
const IN_ADDR: &str = ".in-addr.arpa";
const IP6: &str = "ip6.arpa";

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Reverse4(address) => {
                let [a, b, c, d] = address.octets();
                write!(f, "{d}.{c}.{b}.{a}{IN_ADDR}")
            }
            Self::Reverse6(address) => {
                let mut name = [b'.'; 64];
                let mut left = u128::from(*address);
                for digit in name.iter_mut().step_by(2) {
                    *digit = b"0123456789abcdef"[(left & 15) as usize];
                    left >>= 4;
                }
                f.write_str(std::str::from_utf8(&name).map_err(|_| fmt::Error)?)?;
                f.write_str(IP6)
            }
        }
    }
}

impl Owner {
    /// The owner that is written so. A name under `arpa` that spells no whole address is a name like others.
    fn parse(text: &str) -> Self {
        let reverse4 = || {
            let (d, rest) = text.strip_suffix(IN_ADDR)?.split_once('.')?;
            let (c, rest) = rest.split_once('.')?;
            let (b, a) = rest.split_once('.')?;
            Some(Self::Reverse4(format!("{a}.{b}.{c}.{d}").parse().ok()?))
        };
        let reverse6 = || {
            let digits = text.strip_suffix(IP6)?.as_bytes();
            let mut address = 0_u128;
            if digits.len() != 64 {
                return None;
            }
            for pair in digits.chunks(2).rev() {
                let digit = char::from(pair[0]).to_digit(16).filter(|_| pair[1] == b'.')?;
                address = address << 4 | u128::from(digit);
            }
            Some(Self::Reverse6(address.into()))
        };
        // Equal text must be equal data: what would be written otherwise stays as it is.
        let is_canonical = |owner: &Self| owner.to_string() == text;
        reverse4().or_else(reverse6).filter(is_canonical).unwrap_or_else(|| Self::Name(text.into()))
    }
}

impl fmt::Display for Data {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address4(address) => address.fmt(f),
            Self::Address6(address) => address.fmt(f),
            Self::Name(name) => f.write_str(name),
            Self::Location(location) => {
                f.write_str(LOCATION)?;
                f.write_str(location.as_str())
            }
            Self::Service(port, host) => write!(f, "{PRIORITY_AND_WEIGHT}{port} {host}"),
        }
    }
}

impl Data {
    /// What a record of this type says by this text. `None` if the type cannot say it.
    fn parse(kind: RecordKind, text: &str) -> Option<Self> {
        Some(match kind {
            RecordKind::A => Self::Address4(text.parse().ok()?),
            RecordKind::Aaaa => Self::Address6(text.parse().ok()?),
            RecordKind::Txt => Self::Location(Location::new(text.strip_prefix(LOCATION)?)),
            RecordKind::Srv => {
                let (port, host) = text.strip_prefix(PRIORITY_AND_WEIGHT)?.split_once(' ')?;
                Self::Service(port.parse().ok()?, host.into())
            }
            RecordKind::Soa | RecordKind::Ns | RecordKind::Ptr => Self::Name(text.into()),
        })
    }
}

impl Serialize for Owner {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Name(name) => serializer.serialize_str(name),
            Self::Reverse4(_) | Self::Reverse6(_) => serializer.collect_str(self),
        }
    }
}

impl Serialize for Data {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Address4(address) => address.serialize(serializer),
            Self::Address6(address) => address.serialize(serializer),
            Self::Name(name) => serializer.serialize_str(name),
            Self::Location(_) | Self::Service(..) => serializer.collect_str(self),
        }
    }
}

impl<'de> Deserialize<'de> for Record {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Text<'t> {
            #[serde(borrow)]
            name: Cow<'t, str>,
            #[serde(rename = "type")]
            kind: RecordKind,
            #[serde(borrow)]
            data: Cow<'t, str>,
        }
        let Text { name, kind, data } = Text::deserialize(deserializer)?;
        let data = Data::parse(kind, &data)
            .ok_or_else(|| serde::de::Error::custom(format!("`{data}` is no data of {}", kind.as_str())))?;
        let name = if kind == RecordKind::Ptr { Owner::parse(&name) } else { Owner::Name(name.into()) };
        Ok(Self { name, kind, data })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reverse_names_go_nibble_by_nibble_and_back() {
        let owner = Owner::Reverse6("2001:db8::1:2f".parse().unwrap());
        let text = "f.2.0.0.1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa";
        assert_eq!(owner.to_string(), text);
        assert_eq!(Owner::parse(text), owner);
        let owner = Owner::Reverse4("10.64.0.9".parse().unwrap());
        assert_eq!(owner.to_string(), "9.0.64.10.in-addr.arpa");
        assert_eq!(Owner::parse("9.0.64.10.in-addr.arpa"), owner);
        for name in
            ["64.10.in-addr.arpa", "09.0.64.10.in-addr.arpa", "F.2.ip6.arpa", "ip6.arpa", "é.ip6.arpa"]
        {
            assert_eq!(Owner::parse(name), Owner::Name(name.into()));
        }
    }

    #[test]
    fn a_record_reads_back() {
        let texts = [
            r#"{"name":"a.z.example","type":"A","data":"10.0.0.1"}"#,
            r#"{"name":"a.z.example","type":"AAAA","data":"2001:db8::1"}"#,
            r#"{"name":"a.z.example","type":"TXT","data":"location=z/p1/r1/u1"}"#,
            r#"{"name":"_ssh._tcp.kvm.z.example","type":"SRV","data":"0 0 22 a.z.example"}"#,
            r#"{"name":"1.0.0.10.in-addr.arpa","type":"PTR","data":"a.z.example"}"#,
            r#"{"name":"z.example","type":"SOA","data":"ctl1.z.example hostmaster.z.example 7"}"#,
        ];
        for text in texts {
            let record: Record = serde_json::from_str(text).unwrap();
            assert_eq!(serde_json::to_string(&record).unwrap(), text);
        }
        assert!(serde_json::from_str::<Record>(r#"{"name":"a","type":"A","data":"here"}"#).is_err());
    }
}
