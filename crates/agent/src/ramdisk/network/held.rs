//! Which interface has which address: one family, pure.
//!
//! A pair of switches may give one address to both ends of a bundle that nobody has bundled yet: the first end has it, the other when
//! that loses it.

use super::Interface;
use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;

/// What an interface was given.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Given {
    pub address: IpAddr,
    pub prefix_length: u8,
    /// The router that came with it. IPv6 has its own from the routers themselves.
    pub router: Option<IpAddr>,
    /// The machine's name; empty if nobody said it.
    pub name: String,
}

/// A change of the kernel's tables.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Step {
    Add { interface: Interface, address: IpAddr, prefix_length: u8 },
    Remove { interface: Interface, address: IpAddr, prefix_length: u8 },
    Route { gateway: IpAddr },
    Name(String),
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Add { interface, address, prefix_length } => {
                write!(f, "put {address}/{prefix_length} on {}", interface.name)
            }
            Self::Remove { interface, address, prefix_length } => {
                write!(f, "take {address}/{prefix_length} off {}", interface.name)
            }
            Self::Route { gateway } => write!(f, "route by way of {gateway}"),
            Self::Name(name) => write!(f, "be called {name}"),
        }
    }
}

/// Who has which address of one family.
#[derive(Default)]
pub(super) struct Held {
    by_interface: BTreeMap<u32, (Interface, Given)>,
    /// Who was given what another has.
    waiting: BTreeMap<u32, (Interface, Given)>,
    is_routed: bool,
}

impl Held {
    /// What is to be done when an interface was given something, or lost it.
    pub(super) fn change(&mut self, interface: &Interface, given: Option<Given>) -> Vec<Step> {
        self.waiting.remove(&interface.index);
        let mut steps = self.settle(interface, given);
        let is_free = |(_, given): &(Interface, Given)| {
            self.by_interface.values().all(|(_, held)| held.address != given.address)
        };
        if let Some((next, given)) = self.waiting.values().find(|it| is_free(it)).cloned() {
            self.waiting.remove(&next.index);
            steps.extend(self.settle(&next, Some(given)));
        }
        steps
    }

    fn settle(&mut self, interface: &Interface, given: Option<Given>) -> Vec<Step> {
        let mut steps = Vec::new();
        let before = self.by_interface.get(&interface.index).map(|(_, given)| given.clone());
        let is_same = |before: &Given, now: &Given| {
            (before.address, before.prefix_length) == (now.address, now.prefix_length)
        };
        if let Some(before) = before.filter(|before| !given.as_ref().is_some_and(|now| is_same(before, now)))
        {
            self.by_interface.remove(&interface.index);
            let (address, prefix_length) = (before.address, before.prefix_length);
            steps.push(Step::Remove { interface: interface.clone(), address, prefix_length });
            // The kernel drops the routes that led by it; another may have one.
            let gateway = self.by_interface.values().find_map(|(_, held)| held.router);
            self.is_routed = gateway.is_some();
            steps.extend(gateway.map(|gateway| Step::Route { gateway }));
        }
        let Some(given) = given else { return steps };
        let of_another = |(index, (_, held)): (&u32, &(Interface, Given))| {
            *index != interface.index && held.address == given.address
        };
        if self.by_interface.iter().any(of_another) {
            self.waiting.insert(interface.index, (interface.clone(), given));
            return steps;
        }
        let (address, prefix_length) = (given.address, given.prefix_length);
        if !self.by_interface.contains_key(&interface.index) {
            steps.push(Step::Add { interface: interface.clone(), address, prefix_length });
            if !given.name.is_empty() {
                steps.push(Step::Name(given.name.clone()));
            }
        }
        if let Some(gateway) = given.router.filter(|_| !self.is_routed) {
            self.is_routed = true;
            steps.push(Step::Route { gateway });
        }
        self.by_interface.insert(interface.index, (interface.clone(), given));
        steps
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};
    use model::Mac;
    use std::net::Ipv4Addr;

    fn interface(index: u32) -> Interface {
        Interface { name: format!("eno{index}"), index, mac: Mac([2, 0, 0, 0, 0, index as u8]) }
    }

    fn given(last: u8) -> Given {
        Given {
            address: Ipv4Addr::new(10, 0, 0, last).into(),
            prefix_length: 24,
            router: Some(Ipv4Addr::new(10, 0, 0, 1).into()),
            name: "hv-1".to_owned(),
        }
    }

    fn check(changes: &[(u32, Option<u8>)], expected: Expect) {
        let mut held = Held::default();
        let mut text = String::new();
        for (index, last) in changes {
            for step in held.change(&interface(*index), last.map(given)) {
                text.push_str(&format!("{step}\n"));
            }
            text.push_str("--\n");
        }
        expected.assert_eq(&text);
    }

    #[test]
    fn the_first_address_brings_route_and_name_and_an_extension_nothing() {
        check(
            &[(2, Some(7)), (2, Some(7)), (3, Some(8))],
            expect![[r#"
                put 10.0.0.7/24 on eno2
                be called hv-1
                route by way of 10.0.0.1
                --
                --
                put 10.0.0.8/24 on eno3
                be called hv-1
                --
            "#]],
        );
    }

    #[test]
    fn one_address_is_on_one_end_of_a_bundle_and_moves_with_it() {
        check(
            &[(2, Some(7)), (3, Some(7)), (2, None), (2, Some(7)), (3, Some(9)), (2, None)],
            expect![[r#"
                put 10.0.0.7/24 on eno2
                be called hv-1
                route by way of 10.0.0.1
                --
                --
                take 10.0.0.7/24 off eno2
                put 10.0.0.7/24 on eno3
                be called hv-1
                route by way of 10.0.0.1
                --
                --
                take 10.0.0.7/24 off eno3
                put 10.0.0.9/24 on eno3
                be called hv-1
                route by way of 10.0.0.1
                put 10.0.0.7/24 on eno2
                be called hv-1
                --
                take 10.0.0.7/24 off eno2
                route by way of 10.0.0.1
                --
            "#]],
        );
    }
}
