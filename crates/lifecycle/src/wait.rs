//! Waiting is a value: on what, since when, and until when it is ordinary.

use crate::{burn_in, installing, starting, validate};
use model::design::Image;
use model::facts::{Machine, Stage, State, Token};
use model::{DeviceId, Plan, Roster, Time};
use std::time::Duration;

/// What a machine waits for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Wait {
    /// What must happen, in words that complete "waits for …".
    pub on: String,
    /// Since when.
    pub since: Time,
    /// When it should have happened by; `None` is "when somebody wants it".
    pub expected_by: Option<Time>,
}

impl Wait {
    /// Whether it has lasted longer than is ordinary.
    pub fn overdue(&self, now: Time) -> bool {
        self.expected_by.is_some_and(|by| by < now)
    }
}

/// How long firmware takes from its address to its boot program, and that to the script: TFTP of 1 MB at worst.
pub const SEEN_ORDINARY: Duration = Duration::from_secs(120);
/// How long a kernel takes from its script to its agent's first word.
pub const BOOTING_ORDINARY: Duration = Duration::from_secs(300);
/// How long an installation takes.
pub const INSTALLING_ORDINARY: Duration = Duration::from_secs(1800);
/// How long an agent that is restarted, or whose controller is, takes to connect again.
pub const AWAY_ORDINARY: Duration = Duration::from_secs(300);
/// How long a report and the checks take.
pub const VALIDATING_ORDINARY: Duration = Duration::from_secs(300);

/// What a machine of the plan waits for at this time; `None` when it waits for nothing.
pub fn wait(plan: &Plan, roster: &Roster, device: DeviceId, machine: &Machine, now: Time) -> Option<Wait> {
    let unreleased = installing::unreleased(plan, machine, now);
    let is_released = machine.armed.is_none() || unreleased.is_none();
    if let Some(wait) = starting::wait(plan, device, machine).filter(|_| is_released) {
        return Some(wait);
    }
    // What comes after a burn-in begins with its end.
    let since = machine.burn_in.passed.as_ref().map_or(machine.since, |passed| machine.since.max(passed.at));
    let within =
        |on: String, ordinary: Duration| Some(Wait { on, since, expected_by: Some(since + ordinary) });
    let whenever = |on: String| Some(Wait { on, since, expected_by: None });
    match &machine.state {
        State::Expected => {
            whenever(format!("its first DHCP request{}", from_its_ports(plan, roster, device)))
        }
        State::Seen { .. } | State::Booting { .. }
            if matches!(machine.token, Token::Issued { by_bmc: true, .. }) =>
        {
            within("its agent to read the key that its BMC hands it".to_owned(), BOOTING_ORDINARY)
        }
        State::Seen { stage: Stage::Ipxe }
            if plan.design.image_of(device).is_some_and(|image| image.installs)
                && machine.installed.is_none()
                && let Some(why) = &unreleased =>
        {
            whenever(format!("its disks to be released: its image installs, and {why}"))
        }
        State::Seen { stage: Stage::Ipxe | Stage::Os } if installing::has_anothers(machine) => whenever(
            "an agent: its system is another installer's, which has one if its template put it there (`zw/agent.sh`)"
                .to_owned(),
        ),
        State::Seen { stage } => {
            let next = match stage {
                Stage::BiosPxe | Stage::UefiPxe => "its firmware to fetch iPXE by TFTP",
                Stage::UefiHttp => "its firmware to fetch iPXE by HTTP",
                Stage::Ipxe => "iPXE to fetch its boot script",
                Stage::Os | Stage::Bmc => "its agent to enrol",
            };
            within(next.to_owned(), SEEN_ORDINARY)
        }
        State::Booting { .. } if plan.design.image_of(device).is_some_and(is_anothers) && machine.armed.is_some() => {
            within("its installer to say that it is done (`/boot/installed`)".to_owned(), INSTALLING_ORDINARY)
        }
        State::Booting { .. } => {
            within("its kernel to start and its agent to enrol".to_owned(), BOOTING_ORDINARY)
        }
        State::Installing { progress } => within(
            format!("its system to be written ({})", installing::in_words(progress)),
            INSTALLING_ORDINARY,
        ),
        State::Validating { hardware_fits: false } => {
            within("its agent to report what is in the machine".to_owned(), VALIDATING_ORDINARY)
        }
        State::Validating { hardware_fits: true } if machine.miscabled.is_some() => {
            whenever("its cables to be put right".to_owned())
        }
        State::Validating { hardware_fits: true } if installing::is_unstarted(machine) => {
            within("its restart into the system that was written".to_owned(), VALIDATING_ORDINARY)
        }
        State::Validating { hardware_fits: true } if burn_in::is_its_turn(plan, device, machine) => {
            Some(burn_in::wait(plan, device, machine))
        }
        State::Validating { hardware_fits: true } if installing::is_installer(plan, device, machine) => {
            match unreleased {
                None => within("its order to write its disks".to_owned(), VALIDATING_ORDINARY),
                Some(why) => whenever(format!("its disks to be released: {why}")),
            }
        }
        State::Validating { hardware_fits: true }
            if validate::checks_of(&plan.design, &plan.design.devices[device.index()]) =>
        {
            within("its role's checks to be run".to_owned(), VALIDATING_ORDINARY)
        }
        State::Validating { hardware_fits: true } => None,
        State::Ready => {
            let lost = machine.lost.filter(|_| !machine.is_connected())?;
            // Who has it out knows how long that takes.
            let back = machine.lease.as_ref().map_or(lost, |lease| lease.deadline);
            let expected_by = Some(back.max(lost + AWAY_ORDINARY));
            Some(Wait { on: "its agent to connect again".to_owned(), since: lost, expected_by })
        }
        State::Draining { reason, by } => whenever(format!("its work to move off ({reason}, asked by {by})")),
        State::Maintenance { reason, by } => {
            whenever(format!("its maintenance to end ({reason}, asked by {by})"))
        }
        State::Failed { reasons } => whenever(format!(
            "somebody to mend it: {}",
            reasons.first().map_or("no reason is known", String::as_str)
        )),
        State::Retired { .. } => None,
    }
}

/// Whether what installs is a distribution's installer, which is told what to do by templates and has no agent.
fn is_anothers(image: &Image) -> bool {
    image.installs && !image.templates.is_empty()
}

fn from_its_ports(plan: &Plan, roster: &Roster, device: DeviceId) -> String {
    let mut ports = roster.uplinks(plan, device).map(|(_, far)| validate::port_in_words(&plan.design, far));
    match ports.next() {
        Some(first) => format!(", by {}", ports.fold(first, |all, port| format!("{all} or {port}"))),
        None => String::new(),
    }
}
