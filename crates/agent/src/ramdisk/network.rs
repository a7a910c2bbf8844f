//! Addresses for a machine without a system: DHCP of both families on every interface that has a cable.
//!
//! Two threads for each interface speak DHCP; one task puts what they are given on the interfaces.

mod held;
mod version4;
mod version6;

use held::{Given, Held, Step};
use model::Mac;
use nix::ifaddrs::getifaddrs;
use nix::sys::socket::LinkAddr;
use rtnetlink::packet_route::address::AddressHeaderFlags;
use rtnetlink::{AddressMessageBuilder, Handle, LinkUnspec, RouteMessageBuilder};
use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;
use tokio::sync::mpsc;

/// New interfaces are looked for this often: drivers find theirs late.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// More interfaces are not asked on.
const INTERFACES_MAX: usize = 64;
/// Changes that wait to be made.
const CHANGES_MAX: usize = 64;
/// `ARPHRD_ETHER`.
const ETHERNET: u16 = 1;
/// The kernel does not let itself be asked about its network.
#[derive(Debug)]
pub struct Trouble(io::Error);

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("failed to speak to the kernel of its interfaces")
    }
}

impl std::error::Error for Trouble {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.0)
    }
}

/// An Ethernet interface.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Interface {
    name: String,
    index: u32,
    mac: Mac,
}

/// A family of addresses.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Family {
    V4,
    V6,
}

/// What one interface was given, or lost.
type Change = (Interface, Family, Option<Given>);

/// Tells what an interface was given, or that it lost it; whether anybody hears.
type Tell<'a> = dyn Fn(Option<Given>) -> bool + 'a;

/// Asks on every interface, for as long as the runtime lives; returns when the first has an address.
pub(super) async fn up(say: impl Fn(&str) + Clone + Send + Sync + 'static) -> Result<(), Trouble> {
    let (connection, handle, _) = rtnetlink::new_connection().map_err(Trouble)?;
    tokio::spawn(connection);
    let (changes, mut changed) = mpsc::channel::<Change>(CHANGES_MAX);
    let looking = (handle.clone(), say.clone());
    tokio::spawn(async move {
        let (handle, say) = looking;
        let mut known = Vec::<Interface>::new();
        loop {
            for (interface, link) in interfaces().unwrap_or_default() {
                if known.contains(&interface) || known.len() == INTERFACES_MAX {
                    continue;
                }
                if let Err(error) = set_up(&handle, interface.index).await {
                    say(&format!("failed to bring up {}: {error}", interface.name));
                    continue;
                }
                known.push(interface.clone());
                for family in [Family::V4, Family::V6] {
                    let (interface, changes, say) = (interface.clone(), changes.clone(), say.clone());
                    std::thread::spawn(move || ask(&interface, &link, family, &changes, &say));
                }
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    });
    let (first, has_address) = tokio::sync::oneshot::channel();
    tokio::spawn(async move {
        let (mut held4, mut held6, mut first) = (Held::default(), Held::default(), Some(first));
        let mut called = String::new();
        while let Some((interface, family, given)) = changed.recv().await {
            let held = match family {
                Family::V4 => &mut held4,
                Family::V6 => &mut held6,
            };
            for step in held.change(&interface, given) {
                // Each family says it.
                if matches!(&step, Step::Name(name) if *name == called) {
                    continue;
                }
                if let Err(error) = take(&handle, &step).await {
                    say(&format!("failed to {step}: {error}"));
                    continue;
                }
                say(&step.to_string());
                if let Step::Name(name) = &step {
                    called.clone_from(name);
                }
                if matches!(step, Step::Add { .. })
                    && let Some(first) = first.take()
                {
                    // Nobody waits any more: the agent is ending.
                    let _ = first.send(());
                }
            }
        }
    });
    // The task lives as long as the runtime, and so do the threads that speak to it.
    let _ = has_address.await;
    Ok(())
}

async fn take(handle: &Handle, step: &Step) -> Result<(), rtnetlink::Error> {
    match step {
        Step::Add { interface, address, prefix_length } => {
            let mut add = handle.address().add(interface.index, *address, *prefix_length).replace();
            if address.is_ipv6() {
                // The agent speaks from it at once. In doubt for a second (RFC 4862 §5.4) it would find no way out.
                add.message_mut().header.flags |= AddressHeaderFlags::Nodad;
            }
            add.execute().await
        }
        Step::Remove { interface, address, prefix_length } => {
            let (index, length) = (interface.index, *prefix_length);
            let message = match address {
                IpAddr::V4(v4) => {
                    AddressMessageBuilder::<Ipv4Addr>::new().index(index).address(*v4, length).build()
                }
                IpAddr::V6(v6) => {
                    AddressMessageBuilder::<Ipv6Addr>::new().index(index).address(*v6, length).build()
                }
            };
            handle.address().del(message).execute().await
        }
        Step::Route { gateway } => {
            let message = match gateway {
                IpAddr::V4(gateway) => RouteMessageBuilder::<Ipv4Addr>::new().gateway(*gateway).build(),
                IpAddr::V6(gateway) => RouteMessageBuilder::<Ipv6Addr>::new().gateway(*gateway).build(),
            };
            handle.route().add(message).replace().execute().await
        }
        Step::Name(name) => {
            // A name that the kernel does not take is one that DNS has all the same.
            let _ = nix::unistd::sethostname(name);
            Ok(())
        }
    }
}

async fn set_up(handle: &Handle, index: u32) -> Result<(), rtnetlink::Error> {
    handle.link().change(LinkUnspec::new_with_index(index).up().build()).execute().await
}

/// The Ethernet interfaces that are there, up or not, and each as packet sockets have it.
fn interfaces() -> io::Result<Vec<(Interface, LinkAddr)>> {
    let found = getifaddrs()?.filter_map(|interface| {
        let address = *interface.address?.as_link_addr()?;
        let mac = Mac(address.addr()?);
        let index = u32::try_from(address.ifindex()).ok()?;
        let is_ethernet = address.hatype() == ETHERNET;
        is_ethernet.then_some((Interface { name: interface.interface_name, index, mac }, address))
    });
    Ok(found.collect())
}

/// Speaks DHCP of one family on one interface until nobody wants to hear of it.
fn ask(
    interface: &Interface,
    link: &LinkAddr,
    family: Family,
    changes: &mpsc::Sender<Change>,
    say: &impl Fn(&str),
) {
    let tell = |given| changes.blocking_send((interface.clone(), family, given)).is_ok();
    loop {
        let ended = match family {
            Family::V4 => version4::speak(interface, link, &tell),
            Family::V6 => version6::speak(interface, &tell),
        };
        match ended {
            Ok(()) => return,
            Err(error) => say(&format!("failed to ask for an address on {}: {error}", interface.name)),
        }
        std::thread::sleep(LOOK_EVERY);
    }
}
