//! Who may have a token, a certificate and a session: the trust rules, as pure functions of plan and facts.
//!
//! In: what a peer says it is, the address it speaks from, and what is known of that place. Out: nothing, or the one
//! reason why not. That a token is used once is not decided here but where the event is applied
//! ([`crate::machine`]): what is checked here may have changed by then.
//!
//! The chain of reasons, and what each level does not protect from, stands in `docs/internals/trust.md`.

use crate::validate;
use model::design::Trust;
use model::facts::{Machine, State, Token};
use model::plan::Interface;
use model::{DeviceId, Mac, Plan, Time};
use std::net::IpAddr;
use std::time::Duration;

/// A token is good for this long: an agent that has it spends it in the next second.
pub const TOKEN_LIFE: Duration = Duration::from_secs(15 * 60);

/// A boot counts as under way on a port for this long after its last DHCP packet: the longest install, not more.
pub const SIGHTING_LIFE: Duration = Duration::from_secs(2 * 3600);

/// Why a peer does not get what it asks for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum No {
    /// The location is not in the plan, does not boot, or is retired.
    NotPlanned(&'static str),
    /// The peer does not speak from where the location is.
    WrongPlace(String),
    /// No boot is under way on the location's port.
    NoBoot(&'static str),
    /// The token is not the one that was given out, or is over.
    Token(&'static str),
    /// The key is not the one that the location enrolled last.
    Certificate(&'static str),
}

impl std::fmt::Display for No {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NotPlanned(why) | Self::NoBoot(why) | Self::Token(why) | Self::Certificate(why) => {
                f.write_str(why)
            }
            Self::WrongPlace(why) => f.write_str(why),
        }
    }
}

/// What alone proves who stands at a place.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Proof {
    /// The port that it asks on.
    Port,
    /// A key that its BMC hands it.
    Bmc,
    /// Its TPM.
    Tpm,
}

/// What proves who stands at a place: what its role says, or what it has proved itself by before. What was once stronger does not
/// become weaker by an edit, but by `zw accept`.
pub fn proof(plan: &Plan, device: DeviceId, machine: Option<&Machine>) -> Proof {
    let role = plan.design.devices[device.index()].role.map(|role| &plan.design.roles[role.index()].trust);
    let wanted = match role {
        None | Some(Trust::Port) => Proof::Port,
        Some(Trust::Bmc) => Proof::Bmc,
        Some(Trust::Tpm(_)) => Proof::Tpm,
    };
    let shown = match machine {
        Some(Machine { tpm: Some(_), .. }) => Proof::Tpm,
        Some(Machine { by_bmc: true, .. }) => Proof::Bmc,
        _ => Proof::Port,
    };
    wanted.max(shown)
}

/// Who asks: a place of the plan, what is known of it, and the address that the peer really speaks from.
#[derive(Clone, Copy, Debug)]
pub struct Peer<'a> {
    /// The plan in force.
    pub plan: &'a Plan,
    /// The place it claims, if the plan has it.
    pub device: Option<DeviceId>,
    /// What is known of that place.
    pub machine: Option<&'a Machine>,
    /// The source address of its connection.
    pub source: IpAddr,
}

/// Whether the peer may have a token for the boot that is under way on its port.
///
/// It must speak from an interface's planned address, and DHCP must have seen that interface in this boot: the relay's
/// Option 82 said which port that was. `mac`, if the peer names one, must have been seen in this boot too.
///
/// # Errors
/// The first reason why not.
pub fn may_have_token(peer: Peer<'_>, mac: Option<Mac>, now: Time) -> Result<(), No> {
    let interface = spoken_through(peer)?;
    let machine = living(peer)?;
    let began = machine.boot_began.ok_or(No::NoBoot("no boot was seen on its port"))?;
    let recent = |at: Time| at >= began && now.since(at) <= SIGHTING_LIFE;
    // A sighting is kept by the port that it came by: of a bond, a member.
    let ports = interface.ports.iter().map(|port| validate::port_name(&peer.plan.design, *port));
    let seen = ports.chain([interface.name.as_str()]).filter_map(|port| machine.sightings.get(port));
    if !seen.into_iter().any(|sighting| recent(sighting.at)) {
        return Err(No::NoBoot("dhcp has not seen this interface in this boot"));
    }
    if let Some(mac) = mac
        && !machine.sightings.values().any(|sighting| sighting.mac == mac && recent(sighting.at))
    {
        return Err(No::WrongPlace(format!("dhcp has not seen {mac} on this machine's ports in this boot")));
    }
    Ok(())
}

/// Whether the peer speaks from where the place is: all that is asked of whoever shows a TPM, whose token only that TPM can read.
///
/// # Errors
/// The first reason why not.
pub fn may_show_tpm(peer: Peer<'_>) -> Result<(), No> {
    spoken_through(peer)?;
    living(peer).map(|_| ())
}

/// Whether the peer may begin a session, or have its certificate renewed without one, with a key that was enrolled before. Where
/// a TPM proves who a machine is, a key of an earlier boot does not: it may have left with the disk.
///
/// # Errors
/// The first reason why not.
pub fn may_begin(peer: Peer<'_>, key_sha256: [u8; 32]) -> Result<(), No> {
    may_speak(peer, key_sha256)?;
    let is_of_this_boot = peer.machine.is_some_and(|machine| machine.token == Token::Used);
    let needs_tpm = |device| proof(peer.plan, device, peer.machine) == Proof::Tpm;
    if !is_of_this_boot && peer.device.is_some_and(needs_tpm) {
        return Err(No::Certificate("its TPM has to prove this boot first"));
    }
    Ok(())
}

/// Whether the peer may spend a token on a certificate.
///
/// # Errors
/// The first reason why not.
pub fn may_spend_token(peer: Peer<'_>, token_sha256: [u8; 32], now: Time) -> Result<(), No> {
    spoken_through(peer)?;
    is_good(living(peer)?.token, token_sha256, now).map_err(No::Token)
}

/// Whether a place's token is the one that is shown, unused and in time. Asked before a certificate is made, and again
/// where the event is applied, which is what makes it single.
pub(crate) fn is_good(token: Token, shown_sha256: [u8; 32], now: Time) -> Result<(), &'static str> {
    match token {
        Token::Issued { sha256, until, .. } if sha256 == shown_sha256 && now < until => Ok(()),
        Token::Issued { sha256, .. } if sha256 == shown_sha256 => Err("the token is over"),
        Token::Used => Err("the token of this boot was used"),
        _ => Err("the token is not this machine's"),
    }
}

/// Whether the peer's key, which it has proved to hold, is the one that its place enrolled last.
///
/// # Errors
/// The first reason why not.
pub fn may_speak(peer: Peer<'_>, key_sha256: [u8; 32]) -> Result<(), No> {
    spoken_through(peer)?;
    if living(peer)?.key_sha256 != Some(key_sha256) {
        return Err(No::Certificate("another key was enrolled for this place since"));
    }
    Ok(())
}

/// The interface whose planned address the peer speaks from.
fn spoken_through(peer: Peer<'_>) -> Result<&Interface, No> {
    let device = peer.device.ok_or(No::NotPlanned("the plan has no such place"))?;
    if !validate::boots(peer.plan.design.devices[device.index()].kind) {
        return Err(No::NotPlanned("no agent runs there"));
    }
    let interfaces = peer.plan.interfaces_of(device);
    let speaks = |interface: &&Interface| {
        interface.v4.is_some_and(|address| peer.source == IpAddr::V4(address))
            || interface.v6.is_some_and(|address| peer.source == IpAddr::V6(address))
    };
    interfaces
        .iter()
        .find(speaks)
        .ok_or_else(|| No::WrongPlace(format!("{} is not an address of this place", peer.source)))
}

fn living(peer: Peer<'_>) -> Result<&Machine, No> {
    match peer.machine {
        None => Err(No::NoBoot("nothing was heard from this place yet")),
        Some(Machine { state: State::Retired { .. }, .. }) => Err(No::NotPlanned("the place is retired")),
        Some(machine) => Ok(machine),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};
    use model::design::{Audience, Capacity, Design, Device, DeviceKind, Model, ModelKind, Zone};
    use model::facts::{Sighting, Stage};
    use model::ids::{ModelId, SubnetId};
    use model::{Generation, Location, Source};
    use std::sync::Arc;

    const MAC: Mac = Mac([2, 0, 0, 0, 0, 1]);
    const BEGAN: Time = Time(1_000_000);

    /// Device 0 is a machine at 10.0.0.11 and 2001:db8::11, device 1 a switch at 10.0.0.2.
    fn plan() -> Plan {
        let device = |name: &str, kind| Device {
            location: Location::new(&format!("ams1/p01/r1/{name}")),
            name: name.into(),
            kind,
            pod: None,
            rack: None,
            slot: 0,
            model: ModelId(0),
            role: None,
            source: Source::default(),
        };
        let model = Model {
            name: "r650".into(),
            kind: ModelKind::Server,
            ports: vec!["eno1".into()],
            circuit_id: None,
            remote_id: None,
            interface_id: None,
            remote_id6: None,
            bonds: Vec::new(),
            bmc: None,
            bmc_shares: None,
            bmc_vendor_class: Vec::new(),
            height: 1,
            expect: Default::default(),
            source: Source::default(),
        };
        let interface = |device, name: &str, v4: [u8; 4], v6: Option<&str>| Interface {
            device,
            name: name.into(),
            dns_name: name.into(),
            audience: Audience::Machine,
            subnet: SubnetId(0),
            v4: Some(v4.into()),
            v6: v6.map(|text| text.parse().expect("an address")),
            ports: Vec::new(),
        };
        Plan {
            generation: Generation(1),
            design: Arc::new(Design {
                zone: Zone { name: "ams1".into(), capacity: Capacity::default(), ..Zone::default() },
                models: vec![model],
                devices: vec![device("u01", DeviceKind::Machine), device("leaf-a", DeviceKind::Leaf)],
                ..Design::default()
            }),
            aggregates: Vec::new(),
            subnets: Vec::new(),
            interfaces: vec![
                interface(DeviceId(0), "eno1", [10, 0, 0, 11], Some("2001:db8::11")),
                interface(DeviceId(0), "eno2", [10, 0, 1, 11], None),
                interface(DeviceId(1), "mgmt", [10, 0, 0, 2], None),
            ],
            first_interface: vec![0, 2, 3],
            bindings: Vec::new(),
        }
    }

    /// Booting since [`BEGAN`], seen on eno1 a second later.
    fn booting() -> Machine {
        let mut machine = crate::machine::expected(BEGAN);
        machine.boot_began = Some(BEGAN);
        machine.state = State::Booting { generation: Generation(1) };
        let sighting = Sighting {
            at: Time(BEGAN.0 + 1000),
            mac: MAC,
            uuid: None,
            stage: Stage::Ipxe,
            port: "leaf-a swp1".into(),
        };
        machine.sightings.insert("eno1".into(), sighting);
        machine
    }

    fn words(outcome: Result<(), No>) -> String {
        outcome.map_or_else(|no| no.to_string(), |()| "yes".into())
    }

    fn token(
        device: Option<u32>,
        machine: Option<&Machine>,
        source: &str,
        mac: Option<Mac>,
        now: Time,
        expected: Expect,
    ) {
        let plan = plan();
        let source = source.parse().expect("an address");
        let peer = Peer { plan: &plan, device: device.map(DeviceId), machine, source };
        expected.assert_eq(&words(may_have_token(peer, mac, now)));
    }

    #[test]
    fn a_token_goes_only_to_the_port_where_a_boot_was_seen() {
        let now = Time(BEGAN.0 + 60_000);
        let machine = booting();
        let other = Some(Mac([2, 0, 0, 0, 0, 9]));
        token(Some(0), Some(&machine), "10.0.0.11", Some(MAC), now, expect!["yes"]);
        token(Some(0), Some(&machine), "10.0.0.11", None, now, expect!["yes"]);
        token(Some(0), Some(&machine), "2001:db8::11", Some(MAC), now, expect!["yes"]);
        token(
            Some(0),
            Some(&machine),
            "10.0.0.12",
            Some(MAC),
            now,
            expect!["10.0.0.12 is not an address of this place"],
        );
        // The right machine by an interface that this boot was not seen on.
        token(
            Some(0),
            Some(&machine),
            "10.0.1.11",
            None,
            now,
            expect!["dhcp has not seen this interface in this boot"],
        );
        token(
            Some(0),
            Some(&machine),
            "10.0.0.11",
            other,
            now,
            expect!["dhcp has not seen 02:00:00:00:00:09 on this machine's ports in this boot"],
        );
        token(Some(0), None, "10.0.0.11", None, now, expect!["nothing was heard from this place yet"]);
        token(None, None, "10.0.0.11", None, now, expect!["the plan has no such place"]);
        token(Some(1), None, "10.0.0.2", None, now, expect!["no agent runs there"]);
        let late = Time(BEGAN.0 + 1001) + SIGHTING_LIFE;
        token(
            Some(0),
            Some(&machine),
            "10.0.0.11",
            None,
            late,
            expect!["dhcp has not seen this interface in this boot"],
        );
    }

    #[test]
    fn what_the_last_boot_showed_does_not_count_in_this_one() {
        let mut machine = booting();
        let now = Time(BEGAN.0 + 60_000);
        machine.boot_began = Some(now);
        token(
            Some(0),
            Some(&machine),
            "10.0.0.11",
            None,
            now,
            expect!["dhcp has not seen this interface in this boot"],
        );
        machine.boot_began = None;
        token(Some(0), Some(&machine), "10.0.0.11", None, now, expect!["no boot was seen on its port"]);
        machine.state = State::Retired { reason: "old".into(), by: "ada".into() };
        token(Some(0), Some(&machine), "10.0.0.11", None, now, expect!["the place is retired"]);
    }

    fn spend(token: Token, shown: [u8; 32], source: &str, now: Time, expected: Expect) {
        let (plan, mut machine) = (plan(), booting());
        machine.token = token;
        let source = source.parse().expect("an address");
        let peer = Peer { plan: &plan, device: Some(DeviceId(0)), machine: Some(&machine), source };
        expected.assert_eq(&words(may_spend_token(peer, shown, now)));
    }

    #[test]
    fn a_token_buys_one_certificate_at_its_place_and_in_its_time() {
        let until = BEGAN + TOKEN_LIFE;
        let issued = Token::Issued { sha256: [7; 32], until, by_bmc: false };
        spend(issued, [7; 32], "10.0.0.11", BEGAN, expect!["yes"]);
        spend(issued, [8; 32], "10.0.0.11", BEGAN, expect!["the token is not this machine's"]);
        spend(issued, [7; 32], "10.0.0.12", BEGAN, expect!["10.0.0.12 is not an address of this place"]);
        spend(issued, [7; 32], "10.0.0.11", until, expect!["the token is over"]);
        spend(Token::Used, [7; 32], "10.0.0.11", BEGAN, expect!["the token of this boot was used"]);
        spend(Token::None, [7; 32], "10.0.0.11", BEGAN, expect!["the token is not this machine's"]);
    }

    fn speak(certificate: Option<[u8; 32]>, source: &str, expected: Expect) {
        let (plan, mut machine) = (plan(), booting());
        machine.key_sha256 = certificate;
        let source = source.parse().expect("an address");
        let peer = Peer { plan: &plan, device: Some(DeviceId(0)), machine: Some(&machine), source };
        expected.assert_eq(&words(may_speak(peer, [1; 32])));
    }

    #[test]
    fn only_the_key_enrolled_last_may_speak_and_only_from_its_place() {
        speak(Some([1; 32]), "10.0.0.11", expect!["yes"]);
        speak(Some([1; 32]), "10.0.1.11", expect!["yes"]);
        speak(Some([1; 32]), "10.0.9.9", expect!["10.0.9.9 is not an address of this place"]);
        speak(Some([2; 32]), "10.0.0.11", expect!["another key was enrolled for this place since"]);
        speak(None, "10.0.0.11", expect!["another key was enrolled for this place since"]);
    }
}
