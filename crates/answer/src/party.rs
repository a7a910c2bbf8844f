//! Who counts as one, where each may have so much: transfers of boot files, connections of DNS.

use model::View;
use std::net::{IpAddr, Ipv6Addr};

/// Who has an address, as far as limits go: of IPv6 its /64, which is as easy to have as one address.
pub fn network(client: IpAddr) -> IpAddr {
    match client.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => Ipv6Addr::from(u128::from(address) >> 64 << 64).into(),
    }
}

/// Who asks for something that there is not enough of for everybody.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Party {
    /// A machine's location, or its [`network`].
    pub who: Box<str>,
    /// The machine's pod; everybody who is no machine is one pod together, with no name.
    pub pod: Box<str>,
}

impl Party {
    /// Who asks from this address.
    pub fn of(view: &View, client: IpAddr) -> Self {
        if let Some(machine) = view.boot.places.machine_at(client) {
            let location = &view.plan.design.devices[machine.index()].location;
            let pod = location.within_zone().split('/').next().unwrap_or_default();
            return Self { who: location.as_str().into(), pod: pod.into() };
        }
        Self { who: network(client).to_string().into(), pod: "".into() }
    }
}
