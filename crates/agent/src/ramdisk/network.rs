//! Addresses for a machine without a system: DHCP on every interface that has a cable, through packet sockets.
//!
//! One thread for each interface speaks DHCP; one task puts what they are given on the interfaces. A pair of switches may give one
//! address to both ends of a bundle that nobody has bundled yet: the first end has it, the other when that loses it.

use crate::dhcp::frame::{self, IPV4};
use crate::dhcp::{Accepts, Client, Destination, Lease, Persona};
use crate::trust;
use model::facts::Stage;
use model::{Mac, Time};
use nix::errno::Errno;
use nix::ifaddrs::getifaddrs;
use nix::sys::socket::{LinkAddr, MsgFlags, recvfrom, sendto};
use rtnetlink::{AddressMessageBuilder, Handle, LinkUnspec, RouteMessageBuilder};
use socket2::{Domain, Protocol, Socket, Type};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use wire::dhcp4::{CLIENT_PORT, SERVER_PORT, code};

/// New interfaces are looked for this often: drivers find theirs late.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// More interfaces are not asked on.
const INTERFACES_MAX: usize = 64;
/// Changes that wait to be made.
const CHANGES_MAX: usize = 64;
/// `ARPHRD_ETHER`.
const ETHERNET: u16 = 1;
/// What this client calls itself (Option 60).
const CLASS: &str = "zonewright-ramdisk";
const PARAMETERS: &[u8] = &[
    code::SUBNET_MASK,
    code::ROUTER,
    code::HOST_NAME,
    code::DOMAIN_NAME,
    code::INTERFACE_MTU,
    code::RENEWAL_TIME,
    code::REBINDING_TIME,
];

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

/// What one interface was given, or lost.
type Change = (Interface, Option<Lease>);

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
                let (changes, say) = (changes.clone(), say.clone());
                std::thread::spawn(move || ask(&interface, &link, &changes, &say));
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    });
    let (first, has_address) = tokio::sync::oneshot::channel();
    tokio::spawn(async move {
        let (mut held, mut first) = (Held::default(), Some(first));
        while let Some((interface, lease)) = changed.recv().await {
            for step in held.change(&interface, lease) {
                if let Err(error) = take(&handle, &step).await {
                    say(&format!("failed to {step}: {error}"));
                    continue;
                }
                say(&step.to_string());
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

/// A change of the kernel's tables.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Step {
    Add { interface: Interface, address: Ipv4Addr, prefix_length: u8 },
    Remove { interface: Interface, address: Ipv4Addr, prefix_length: u8 },
    Route { gateway: Ipv4Addr },
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

/// Who has which address.
#[derive(Default)]
struct Held {
    by_interface: BTreeMap<u32, (Interface, Lease)>,
    /// Who was given what another has.
    waiting: BTreeMap<u32, (Interface, Lease)>,
    is_routed: bool,
}

impl Held {
    /// What is to be done when an interface got a lease, has it extended, or lost it.
    fn change(&mut self, interface: &Interface, lease: Option<Lease>) -> Vec<Step> {
        self.waiting.remove(&interface.index);
        let mut steps = self.settle(interface, lease);
        let is_free = |(_, lease): &(Interface, Lease)| {
            self.by_interface.values().all(|(_, held)| held.address != lease.address)
        };
        if let Some((next, lease)) = self.waiting.values().find(|it| is_free(it)).cloned() {
            self.waiting.remove(&next.index);
            steps.extend(self.settle(&next, Some(lease)));
        }
        steps
    }

    fn settle(&mut self, interface: &Interface, lease: Option<Lease>) -> Vec<Step> {
        let mut steps = Vec::new();
        let before = self.by_interface.get(&interface.index).map(|(_, lease)| lease.clone());
        let is_same = |before: &Lease, now: &Lease| {
            (before.address, before.prefix_length) == (now.address, now.prefix_length)
        };
        if let Some(before) = before.filter(|before| !lease.as_ref().is_some_and(|now| is_same(before, now)))
        {
            self.by_interface.remove(&interface.index);
            let (address, prefix_length) = (before.address, before.prefix_length);
            steps.push(Step::Remove { interface: interface.clone(), address, prefix_length });
            // The kernel drops the routes that led by it; another may have one.
            let gateway = self.by_interface.values().find_map(|(_, held)| held.routers.first().copied());
            self.is_routed = gateway.is_some();
            steps.extend(gateway.map(|gateway| Step::Route { gateway }));
        }
        let Some(lease) = lease else { return steps };
        let of_another = |(index, (_, held)): (&u32, &(Interface, Lease))| {
            *index != interface.index && held.address == lease.address
        };
        if self.by_interface.iter().any(of_another) {
            self.waiting.insert(interface.index, (interface.clone(), lease));
            return steps;
        }
        let (address, prefix_length) = (lease.address, lease.prefix_length);
        if !self.by_interface.contains_key(&interface.index) {
            steps.push(Step::Add { interface: interface.clone(), address, prefix_length });
            if !lease.host_name.is_empty() {
                steps.push(Step::Name(lease.host_name.clone()));
            }
        }
        if let Some(gateway) = lease.routers.first().filter(|_| !self.is_routed) {
            self.is_routed = true;
            steps.push(Step::Route { gateway: *gateway });
        }
        self.by_interface.insert(interface.index, (interface.clone(), lease));
        steps
    }
}

async fn take(handle: &Handle, step: &Step) -> Result<(), rtnetlink::Error> {
    match step {
        Step::Add { interface, address, prefix_length } => {
            let add = handle.address().add(interface.index, (*address).into(), *prefix_length);
            add.replace().execute().await
        }
        Step::Remove { interface, address, prefix_length } => {
            let message = AddressMessageBuilder::<Ipv4Addr>::new()
                .index(interface.index)
                .address(*address, *prefix_length)
                .build();
            handle.address().del(message).execute().await
        }
        Step::Route { gateway } => {
            let message = RouteMessageBuilder::<Ipv4Addr>::new().gateway(*gateway).build();
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

/// What a system without disk says of itself.
fn persona() -> Persona {
    Persona {
        stage: Stage::Os,
        vendor_class: Cow::Borrowed(CLASS),
        architecture: None,
        user_class: "",
        parameters: PARAMETERS,
        maximum_size: Some(1472),
        more: &[],
        sends_uuid: false,
        broadcast: true,
        accepts: Accepts::Address,
        waits: &[],
    }
}

/// Speaks DHCP on one interface until nobody wants to hear of it.
fn ask(interface: &Interface, link: &LinkAddr, changes: &mpsc::Sender<Change>, say: &impl Fn(&str)) {
    loop {
        match speak(interface, link, changes) {
            Ok(()) => return,
            Err(error) => say(&format!("failed to ask for an address on {}: {error}", interface.name)),
        }
        std::thread::sleep(LOOK_EVERY);
    }
}

fn speak(interface: &Interface, link: &LinkAddr, changes: &mpsc::Sender<Change>) -> io::Result<()> {
    let protocol = Protocol::from(i32::from(IPV4.to_be()));
    let socket = Socket::new(Domain::PACKET, Type::RAW.cloexec(), Some(protocol))?;
    socket.attach_filter(&frame::filter(None))?;
    let renewing = renewal_socket(interface)?;
    let began = Instant::now();
    let now = || Time(u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX));
    let seed = trust::random() as u32;
    let mut client = Client::new(persona(), interface.mac, [0; 16], seed, now());
    let (mut told, mut buffer) = (None, [0; 2048]);
    loop {
        while let Some((message, destination)) = client.poll(now()) {
            let from = match destination {
                Destination::Server { to, .. } => {
                    // Not reached is not answered: the client asks again in its time.
                    let _ = renewing.send_to(&message, &SocketAddrV4::new(to, SERVER_PORT).into());
                    continue;
                }
                Destination::Broadcast => Ipv4Addr::UNSPECIFIED,
                Destination::BroadcastFrom(own) => own,
            };
            let frame = frame::broadcast(interface.mac, from, &message);
            let sent = sendto(socket.as_raw_fd(), &frame, link, MsgFlags::empty());
            // Without a cable nobody hears, and the client asks again in its time; without the interface nobody ever will.
            if matches!(sent, Err(Errno::ENODEV | Errno::ENXIO)) {
                return Ok(());
            }
        }
        let lease = client.lease().cloned();
        if lease != told {
            if changes.blocking_send((interface.clone(), lease.clone())).is_err() {
                return Ok(());
            }
            told = lease;
        }
        let wait = client.deadline().map_or(LOOK_EVERY, |deadline| deadline.since(now()));
        socket.set_read_timeout(Some(wait.clamp(Duration::from_millis(1), LOOK_EVERY)))?;
        match recvfrom::<LinkAddr>(socket.as_raw_fd(), &mut buffer) {
            Ok((length, Some(from))) if u32::try_from(from.ifindex()) == Ok(interface.index) => {
                if let Some(message) = frame::payload(&buffer[..length]) {
                    client.receive(message, now());
                }
            }
            // Of another interface; or nothing came, or the cable went: time passes.
            Ok(_) | Err(_) => {}
        }
        if client.deadline().is_some_and(|deadline| now() >= deadline) {
            client.tick(now());
        }
    }
}

/// Renewals go to one server from the own address. Answers are heard beside it, by the packet socket; without this one
/// the kernel would tell the server that nobody listens.
fn renewal_socket(interface: &Interface) -> io::Result<Socket> {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM.cloexec(), Some(Protocol::UDP))?;
    socket.set_reuse_address(true)?;
    socket.bind_device(Some(interface.name.as_bytes()))?;
    socket.bind(&SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, CLIENT_PORT).into())?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};

    fn interface(index: u32) -> Interface {
        Interface { name: format!("eno{index}"), index, mac: Mac([2, 0, 0, 0, 0, index as u8]) }
    }

    fn lease(last: u8) -> Lease {
        Lease {
            address: Ipv4Addr::new(10, 0, 0, last),
            prefix_length: 24,
            routers: vec![Ipv4Addr::new(10, 0, 0, 1)],
            server: Ipv4Addr::new(10, 0, 0, 2),
            next_server: None,
            boot_file: String::new(),
            vendor_class: Vec::new(),
            host_name: "hv-1".to_owned(),
            lease: Some(Duration::from_secs(600)),
            renew: Duration::from_secs(300),
            rebind: Duration::from_secs(525),
        }
    }

    fn check(changes: &[(u32, Option<u8>)], expected: Expect) {
        let mut held = Held::default();
        let mut text = String::new();
        for (index, last) in changes {
            for step in held.change(&interface(*index), last.map(lease)) {
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
