//! What people do to a lab: cut, mend, swap, replace, power-cycle, break, crash, pause. Each answers a sentence.

use super::program::{Order, Program};
use super::{Zone, build, controller, edge, store};
use crate::control::Power;
use crate::error::{Doing, Error};
use crate::hardware::Fault;
use crate::machine::Command;
use crate::net::Links;
use crate::topology::{self, HostId, Kind};
use model::design::PortRef;
use model::ids::DeviceId;
use model::roster::Target;
use std::sync::PoisonError;

/// What a person wrote: a device, and one of its ports.
struct Aim {
    device: DeviceId,
    /// The port after the colon, by its name in the model.
    port: Option<PortRef>,
    /// `:bmc`, on a machine whose BMC has no jack of its own too.
    is_bmc: bool,
}

fn aim(zone: &Zone, text: &str) -> Result<Aim, Error> {
    let (place, port) = match text.rsplit_once(':') {
        Some((place, port)) => (place, Some(port)),
        None => (text, None),
    };
    let unknown = || Error::new(format!("find {place}: it is no location, name or address of this zone"));
    let device = match zone.roster.find(&zone.plan, place).ok_or_else(unknown)? {
        Target::Device(device) => device,
        Target::Interface(interface) => zone.plan.interface(interface).device,
    };
    let Some(port) = port else { return Ok(Aim { device, port: None, is_bmc: false }) };
    let model = &zone.plan.design.models[zone.plan.design.devices[device.index()].model.index()];
    let found = model.port(port).map(|port| PortRef { device, port });
    let is_bmc = port == "bmc" || found.is_some_and(|found| model.bmc == Some(found.port));
    if found.is_none() && !is_bmc {
        return Err(Error::new(format!("find {text}: model {} has no port {port}", model.name)));
    }
    Ok(Aim { device, port: found, is_bmc })
}

fn name(zone: &Zone, device: DeviceId) -> &str {
    &zone.plan.design.devices[device.index()].name
}

/// The host that a target means.
///
/// # Errors
/// If the zone has none of that name.
pub(super) fn host(zone: &Zone, text: &str) -> Result<HostId, Error> {
    // It is in no design, so that nothing else can be called so but by somebody's wish.
    if let Some((edge, _)) = zone.topology.edge.filter(|_| text == edge::NAME) {
        return Ok(edge);
    }
    let aim = aim(zone, text)?;
    let found = if aim.is_bmc { zone.topology.bmc_of(aim.device) } else { zone.topology.host_of(aim.device) };
    found.ok_or_else(|| Error::new(format!("find {text}: it is drawn, but stands in no lab")))
}

/// Takes the cables of a target down, or brings them up.
///
/// # Errors
/// If there is no such target, or it has no cable.
pub(super) async fn cut(zone: &Zone, text: &str, up: bool) -> Result<String, Error> {
    let what = if up { "mended" } else { "cut" };
    if let Some(name) = text.strip_suffix(":etcd") {
        let aim = aim(zone, name)?;
        return match cut_from_store(zone, aim.device, up).await? {
            0 => Err(Error::new(format!("find a cable at {text}"))),
            _ => Ok(format!("{what} the cable from {} to etcd", self::name(zone, aim.device))),
        };
    }
    let aim = aim(zone, text)?;
    let is_of = |end: &topology::End| {
        let host = &zone.topology.hosts[end.host];
        host.device == aim.device
            && host.kind != Kind::Edge
            && aim.port.is_none_or(|port| end.port == Some(port))
    };
    let wires = zone.wires().clone();
    // An arm of a star runs over a drawn cable without being its end; it is cut with it.
    let mut cables: Vec<usize> = Vec::new();
    if let Some(port) = aim.port {
        let drawn = zone.plan.design.cables.iter().enumerate();
        cables.extend(drawn.filter(|(_, cable)| cable.a == port || cable.b == port).map(|(index, _)| index));
    }
    let mut count = match aim.port {
        None => cut_from_store(zone, aim.device, up).await?,
        Some(_) => 0,
    };
    for wire in &wires {
        let is_meant =
            is_of(&wire.near) || is_of(&wire.far) || wire.cable.is_some_and(|cable| cables.contains(&cable));
        if is_meant {
            // Down at one end is no carrier at both.
            let links = Links::open(zone.namespace(wire.near.host)?)?;
            links.set_up(wire.near.index, up).await?;
            for end in [&wire.near, &wire.far] {
                let reach = zone.reach.lock().unwrap_or_else(PoisonError::into_inner);
                if let Some(machine) = reach.get(&end.host) {
                    machine.cables.notify_one();
                }
            }
            count += 1;
        }
    }
    if count == 0 {
        return Err(Error::new(format!("find a cable at {text}")));
    }
    let cables = if count == 1 { "cable" } else { "cables" };
    Ok(format!("{what} {count} {cables} of {}", name(zone, aim.device)))
}

/// The cable of a controller to what several share: how many there are.
async fn cut_from_store(zone: &Zone, device: DeviceId, up: bool) -> Result<usize, Error> {
    let mut serving = zone.controllers().take(zone.start.controllers);
    let Some(host) = zone.topology.host_of(device) else { return Ok(0) };
    if zone.start.controllers < 2 || !serving.any(|serving| serving == device) {
        return Ok(0);
    }
    Links::open(zone.namespace(host)?)?.set_up(store::INDEX, up).await?;
    Ok(1)
}

/// Swaps the cables of two targets at the machines' end: one interface each, or every port of the same name. Both are
/// powered off for it, as people do, and boot again.
///
/// # Errors
/// If either has no cable to swap.
pub(super) async fn swap(zone: &Zone, a: &str, b: &str) -> Result<String, Error> {
    let (first, second) = (aim(zone, a)?, aim(zone, b)?);
    let mut pairs = Vec::new();
    {
        let wires = zone.wires();
        let of = |aim: &Aim, port: Option<&str>| {
            wires.iter().position(|wire| {
                let far = &wire.far;
                let is_own = zone.topology.hosts[far.host].device == aim.device;
                is_own
                    && match (aim.port, port) {
                        (Some(wanted), _) => far.port == Some(wanted),
                        (None, Some(name)) => far.name == name,
                        (None, None) => false,
                    }
            })
        };
        if first.port.is_some() || second.port.is_some() {
            // One interface named on one side means the same on the other.
            let named =
                first.port.or(second.port).map(|port| topology::port_name(&zone.plan, port).to_owned());
            pairs.extend(of(&first, named.as_deref()).zip(of(&second, named.as_deref())));
        } else {
            for wire in wires.iter().filter(|wire| zone.topology.hosts[wire.far.host].device == first.device)
            {
                let name = Some(wire.far.name.as_str());
                pairs.extend(of(&first, name).zip(of(&second, name)));
            }
        }
    }
    pairs.retain(|(a, b)| a != b);
    if pairs.is_empty() {
        return Err(Error::new(format!("find two cables to swap at {a} and {b}")));
    }
    for (one, other) in &pairs {
        exchange(zone, *one, *other).await?;
    }
    power_cycle_device(zone, first.device)?;
    power_cycle_device(zone, second.device)?;
    let cables = if pairs.len() == 1 { "one cable" } else { "the cables" };
    let (a, b) = (name(zone, first.device), name(zone, second.device));
    Ok(format!("swapped {cables} of {a} and {b}; both boot again"))
}

/// Two cables change their machines: the switches' ends stay where they are, with bridge and number.
async fn exchange(zone: &Zone, one: usize, other: usize) -> Result<(), Error> {
    let (old, new) = {
        let mut wires = zone.wires();
        let old = [wires[one].clone(), wires[other].clone()];
        let far = wires[one].far.clone();
        wires[one].far = std::mem::replace(&mut wires[other].far, far);
        (old, [wires[one].clone(), wires[other].clone()])
    };
    let namespaces =
        zone.namespaces.get().ok_or_else(|| Error::new("reach it: the lab is still being built"))?;
    for wire in &old {
        zone.taps.lock().unwrap_or_else(PoisonError::into_inner).remove(&(wire.near.host, wire.near.index));
        Links::open(&namespaces[wire.near.host])?.remove(wire.near.index).await?;
    }
    for wire in &new {
        let links = |host: HostId| Links::open(&namespaces[host]);
        build::lay(zone, namespaces, &links(wire.near.host)?, &links(wire.far.host)?, wire).await?;
    }
    Ok(())
}

/// Other hardware in the place of a machine, with its BMC.
///
/// # Errors
/// If the target is no machine.
pub(super) fn replace(zone: &Zone, text: &str) -> Result<String, Error> {
    let aim = aim(zone, text)?;
    command(zone, aim.device, &Command::Replace)?;
    Ok(format!("{} is other hardware now, and boots", name(zone, aim.device)))
}

/// Off and on: one machine with its BMC, or all of them.
///
/// # Errors
/// If the target is no machine.
pub(super) fn power_cycle(zone: &Zone, text: &str) -> Result<String, Error> {
    if text == "all" {
        let machines: Vec<_> = zone.topology.hosts.iter().filter(|host| host.kind == Kind::Machine).collect();
        for host in &machines {
            power_cycle_device(zone, host.device)?;
        }
        return Ok(match machines.len() {
            1 => "1 machine boots again".to_owned(),
            count => format!("{count} machines boot again"),
        });
    }
    let aim = aim(zone, text)?;
    power_cycle_device(zone, aim.device)?;
    Ok(format!("{} boots again", name(zone, aim.device)))
}

/// Turns a machine on or off, or resets it; its BMC stays as it is.
///
/// # Errors
/// If the target is no machine.
pub(super) fn power(zone: &Zone, text: &str, power: Power) -> Result<String, Error> {
    if program(zone, text).is_some() {
        return order(
            zone,
            text,
            match power {
                Power::On => Order::On,
                Power::Off => Order::Off,
                Power::Reset => Order::Crash,
            },
        );
    }
    let aim = aim(zone, text)?;
    let (told, words) = match power {
        Power::On => (Command::PowerOn, "is on"),
        Power::Off => (Command::PowerOff, "is off"),
        Power::Reset => (Command::Reset, "is reset"),
    };
    let host = zone.topology.host_of(aim.device).filter(|_| !aim.is_bmc);
    tell(zone, aim.device, &host.into_iter().collect::<Vec<_>>(), &told)?;
    Ok(format!("{} {words}", name(zone, aim.device)))
}

fn power_cycle_device(zone: &Zone, device: DeviceId) -> Result<(), Error> {
    command(zone, device, &Command::PowerCycle)
}

/// Makes a machine differ from its model.
///
/// # Errors
/// If the fault is not understood or the target is no machine.
pub(super) fn break_machine(zone: &Zone, text: &str, what: &str) -> Result<String, Error> {
    if let Some(clock) = what.strip_prefix("clock=") {
        let seconds = if clock == "right" { Ok(0) } else { clock.parse() };
        let seconds = seconds.doing(|| format!("understand {what}: write clock=+SECONDS or clock=right"))?;
        let aim = aim(zone, text)?;
        controller::wrong_clock(zone, name(zone, aim.device), seconds)?;
        return Ok(match seconds {
            0 => format!("the clock of {} is right", name(zone, aim.device)),
            _ => format!("the clock of {} is {seconds:+} s wrong", name(zone, aim.device)),
        });
    }
    let fault: Fault = what.parse().doing(|| format!("understand {what}"))?;
    let aim = aim(zone, text)?;
    command(zone, aim.device, &Command::Break(fault))?;
    Ok(format!("{} has {what} now, and boots", name(zone, aim.device)))
}

/// Tells a machine and its BMC.
fn command(zone: &Zone, device: DeviceId, command: &Command) -> Result<(), Error> {
    let hosts = [zone.topology.host_of(device), zone.topology.bmc_of(device)];
    tell(zone, device, &hosts.into_iter().flatten().collect::<Vec<_>>(), command)
}

fn tell(zone: &Zone, device: DeviceId, hosts: &[HostId], command: &Command) -> Result<(), Error> {
    let reach = zone.reach.lock().unwrap_or_else(PoisonError::into_inner);
    let mut count = 0;
    for machine in hosts.iter().filter_map(|host| reach.get(host)) {
        let busy = || format!("reach {}: it has not done what it was told before", name(zone, device));
        machine.commands.try_send(command.clone()).doing(busy)?;
        count += 1;
    }
    if count == 0 {
        return Err(Error::new(format!(
            "power {}: it is no machine of this lab, or not on yet",
            name(zone, device)
        )));
    }
    Ok(())
}

/// A controller, or what several share; `None`: it is something else.
fn program<'a>(zone: &'a Zone, text: &str) -> Option<&'a Program> {
    let programs = zone.programs.get()?;
    let of = |name: &str| programs.iter().find(|program| program.name == name);
    let aimed = || aim(zone, text).ok().filter(|aim| !aim.is_bmc).and_then(|aim| of(name(zone, aim.device)));
    of(text).or_else(aimed).or_else(|| {
        let progress = zone.progress.borrow();
        let leads = progress.controllers.iter().find(|shown| shown.state == "leads");
        let first = || progress.controllers.first().filter(|_| progress.controllers.len() == 1);
        (text == "controller").then(|| leads.or_else(first)).flatten().and_then(|shown| of(&shown.name))
    })
}

/// Kills a controller, or what several share, and starts it again; or stops it, or lets it go on.
///
/// # Errors
/// If it is neither, or has not done what it was told before.
pub(super) fn order(zone: &Zone, text: &str, order: Order) -> Result<String, Error> {
    let unknown = || {
        let why = match text {
            "controller" => "none of several decides at this moment; name one".to_owned(),
            _ => format!("{text} is no controller that serves, nor the etcd of several"),
        };
        Error::new(format!("find it: {why}"))
    };
    let program = program(zone, text).ok_or_else(unknown)?;
    program.order(order)?;
    let words = match order {
        Order::Crash => "was killed and starts again on the same state",
        Order::Off => "was killed, and stays away until it is turned on",
        Order::On => "is on",
        Order::Pause => "is stopped where it is",
        Order::Resume => "goes on",
    };
    let who =
        if text == "controller" && zone.start.controllers == 1 { "the controller" } else { &program.name };
    Ok(format!("{who} {words}"))
}
