//! Where an etcd is, and how one is let in: what an operator writes, read once.

use std::fmt;
use std::path::PathBuf;

/// The port of etcd's clients, where none is written.
const PORT: u16 = 2379;
/// The prefix of our keys, where none is written.
const PREFIX: &str = "zonewright";
/// Members that are tried. etcd itself advises no more than seven.
const MEMBERS_MAX: usize = 16;

/// The members of an etcd and the prefix of one zone's keys in it: `etcd://10.0.0.1,10.0.0.2:2379/zones/ams1`; with TLS
/// `etcds://…`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Address {
    /// Host and port of each.
    pub members: Vec<(String, u16)>,
    /// TLS is spoken.
    pub tls: bool,
    /// Without slashes at its ends.
    pub prefix: String,
}

/// What a store is opened with beside its address.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Access {
    /// PEM: who signs the members' certificates. Needed for `etcds`.
    pub ca: Option<PathBuf>,
    /// PEM: our certificate, and its key.
    pub certificate: Option<(PathBuf, PathBuf)>,
    /// A file of one line, `USER:PASSWORD`.
    pub credentials: Option<PathBuf>,
}

impl Address {
    /// Whether this is the address of an etcd at all, and not a path.
    pub fn is_one(text: &str) -> bool {
        text.starts_with("etcd://") || text.starts_with("etcds://")
    }

    /// Reads one.
    ///
    /// # Errors
    /// A sentence that says what is wrong.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (tls, rest) = match (text.strip_prefix("etcd://"), text.strip_prefix("etcds://")) {
            (Some(rest), _) => (false, rest),
            (_, Some(rest)) => (true, rest),
            _ => {
                return Err(format!("{text:?} is no address of an etcd: it begins with etcd:// or etcds://"));
            }
        };
        let (members, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let members = members.split(',').map(member).collect::<Result<Vec<_>, _>>()?;
        if members.len() > MEMBERS_MAX {
            return Err(format!("{text:?} names more than {MEMBERS_MAX} members"));
        }
        let prefix = prefix.trim_matches('/');
        let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "-_./".contains(letter);
        if !prefix.chars().all(is_plain) {
            return Err(format!(
                "the prefix {prefix:?} has more than letters, digits, dots, hyphens and slashes"
            ));
        }
        let prefix = if prefix.is_empty() { PREFIX } else { prefix };
        Ok(Self { members, tls, prefix: prefix.to_owned() })
    }
}

fn member(text: &str) -> Result<(String, u16), String> {
    let wrong = || format!("{text:?} is no member of an etcd: write HOST or HOST:PORT, IPv6 in brackets");
    let (host, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, "")) => (host, None),
        Some((host, port)) => (host, Some(port.strip_prefix(':').ok_or_else(wrong)?)),
        None => match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        },
    };
    let port = port.map_or(Ok(PORT), str::parse).map_err(|_| wrong())?;
    let is_host = |letter: char| letter.is_ascii_alphanumeric() || "-.:".contains(letter);
    if host.is_empty() || !host.chars().all(is_host) || port == 0 {
        return Err(wrong());
    }
    Ok((host.to_owned(), port))
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.tls { "etcds://" } else { "etcd://" })?;
        for (index, (host, port)) in self.members.iter().enumerate() {
            let comma = if index > 0 { "," } else { "" };
            match host.contains(':') {
                true => write!(f, "{comma}[{host}]:{port}")?,
                false => write!(f, "{comma}{host}:{port}")?,
            }
        }
        write!(f, "/{}", self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_and_written() {
        let written = |text: &str| Address::parse(text).map(|address| address.to_string());
        for (text, expected) in [
            ("etcd://10.0.0.1", "etcd://10.0.0.1:2379/zonewright"),
            (
                "etcd://a,b:99,[fd00::1],[fd00::2]:7/zones/ams1/",
                "etcd://a:2379,b:99,[fd00::1]:2379,[fd00::2]:7/zones/ams1",
            ),
            ("etcds://a/", "etcds://a:2379/zonewright"),
        ] {
            assert_eq!(written(text).as_deref(), Ok(expected));
        }
        for text in [
            "/var/lib",
            "etcd://",
            "etcd://a:b",
            "etcd://a:0",
            "etcd://a,,b",
            "etcd://[::1",
            "etcd://a/b c",
            "etcd://u@a",
            "etcd://a:1:2",
        ] {
            assert!(written(text).is_err(), "{text}: {:?}", written(text));
        }
    }
}
