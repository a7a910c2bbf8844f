//! Where a BMC is, and the paths that it names.

use serde_json::Value;
use std::fmt;
use std::net::{IpAddr, SocketAddr};

/// Longer paths are not followed, in octets.
const PATH_MAX: usize = 1024;

/// Where a BMC is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Address {
    /// Address and port.
    pub socket: SocketAddr,
    /// Without TLS, for emulators: passwords are readable on the wire.
    pub is_plain: bool,
}

impl Address {
    /// Redfish over HTTPS at its usual port.
    pub fn https(address: IpAddr) -> Self {
        Self { socket: SocketAddr::new(address, 443), is_plain: false }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.is_plain, self.socket.port()) {
            (true, _) => write!(f, "http://{}", self.socket),
            (false, 443) if self.socket.is_ipv6() => write!(f, "https://[{}]", self.socket.ip()),
            (false, 443) => write!(f, "https://{}", self.socket.ip()),
            (false, _) => write!(f, "https://{}", self.socket),
        }
    }
}

/// The path of a link. Of a whole URL the host is left out: BMCs name themselves as they are called elsewhere, and
/// whatever they name, it is asked for at the address that was connected to. `None`: it is no path.
pub(crate) fn path(link: &str) -> Option<String> {
    let path = match link.split_once("://") {
        Some((_, rest)) => rest.find('/').map(|start| &rest[start..])?,
        None => link,
    };
    let path = path.split('#').next().unwrap_or_default();
    let is_plain = path.bytes().all(|octet| octet.is_ascii_graphic());
    (path.starts_with('/') && !path.starts_with("//") && path.len() <= PATH_MAX && is_plain)
        .then(|| path.to_owned())
}

/// The path of what is linked to: `{ "@odata.id": … }`.
pub(crate) fn linked(to: &Value) -> Option<String> {
    to["@odata.id"].as_str().and_then(path)
}

/// Where an action of a resource is asked for: `{ "Actions": { name: { "target": … } } }`.
pub(crate) fn action(of: &Value, name: &str) -> Option<String> {
    of["Actions"][name]["target"].as_str().and_then(path)
}

/// The scheme of a URL as Redfish writes transfer protocols: `HTTPS`.
pub(crate) fn transfer_protocol(url: &str) -> String {
    url.split("://").next().unwrap_or_default().to_ascii_uppercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_is_followed_on_the_same_host_only() {
        let kept = [
            ("/redfish/v1/Systems/1", Some("/redfish/v1/Systems/1")),
            ("https://elsewhere.example.net/redfish/v1/Systems", Some("/redfish/v1/Systems")),
            ("/redfish/v1/Systems?$skip=50", Some("/redfish/v1/Systems?$skip=50")),
            ("/redfish/v1/Chassis/1#/Fans/0", Some("/redfish/v1/Chassis/1")),
            ("//elsewhere.example.net/x", None),
            ("https://elsewhere.example.net", None),
            ("redfish/v1", None),
            ("/redfish/v1/a b", None),
            ("/redfish/v1/a\r\nX-Auth-Token: x", None),
            ("", None),
        ];
        for (link, expected) in kept {
            assert_eq!(path(link).as_deref(), expected, "{link}");
        }
        assert_eq!(path(&format!("/{}", "x".repeat(PATH_MAX))), None);
    }

    #[test]
    fn an_address_is_shown_as_people_type_it() {
        let of = |text: &str, is_plain| Address { socket: text.parse().unwrap(), is_plain }.to_string();
        assert_eq!(of("10.0.0.1:443", false), "https://10.0.0.1");
        assert_eq!(of("[2001:db8::1]:443", false), "https://[2001:db8::1]");
        assert_eq!(of("10.0.0.1:8443", false), "https://10.0.0.1:8443");
        assert_eq!(of("127.0.0.1:8000", true), "http://127.0.0.1:8000");
    }
}
