//! Events and findings in words.

use api::http::Finding;
use lifecycle::why::duration;
use model::Time;
use model::event::{ChangeStep, Settled, What, Wish};
use model::facts::Stage;
use model::finding::{Files, Severity};
use model::install::Running;
use store::Entry;

/// An event as the API tells it.
pub(crate) fn event(entry: Entry) -> api::http::Event {
    let (kind, sentence) = told(&entry.event.what, entry.event.at);
    api::http::Event {
        seq: entry.seq,
        at: entry.event.at,
        location: entry.event.location,
        kind: kind.to_owned(),
        sentence,
        state: entry.state,
    }
}

/// What kind of event, and what happened.
fn told(what: &What, at: Time) -> (&'static str, String) {
    match what {
        What::Asked { interface, mac, stage, port, .. } => (
            "asked",
            format!("{interface} asked for its address as {}, {mac}, on {port}", stage_in_words(*stage)),
        ),
        What::Declined { interface, address, mac } => {
            ("declined", format!("{interface}, {mac}, said that somebody else has {address}"))
        }
        What::ScriptFetched { generation, .. } => {
            ("script-fetched", format!("it fetched its boot script of plan {generation}"))
        }
        What::FileFetched { file, bytes } => ("file-fetched", format!("it fetched {file}, {bytes} octets")),
        What::Installing { progress } => {
            ("installing", format!("its disks: {}", lifecycle::installing::in_words(progress)))
        }
        What::Installed { image: Some(image), slot: Some(slot), .. } => {
            ("installed", format!("its system is written: slot {}, {image}", slot.letter()))
        }
        What::Installed { .. } => ("installed", "its installer says that its system is written".to_owned()),
        What::NotInstalled { sentence, .. } => {
            ("not-installed", format!("its system could not be written: {sentence}"))
        }
        What::Confirmed { slot } => {
            ("confirmed", format!("slot {} is the good one from here on", slot.letter()))
        }
        What::TokenIssued { ek_sha256: Some(_), .. } => {
            ("token-issued", "a single-use token was given out that only its TPM can read".to_owned())
        }
        What::TokenIssued { by_bmc: true, .. } => (
            "token-issued",
            "half of a single-use token was given out; its BMC hands over the other".to_owned(),
        ),
        What::NotProved { sentence, .. } => ("not-proved", format!("its agent was not believed: {sentence}")),
        What::Enrolled { tpm: Some(tpm), .. } => {
            let pcrs: Vec<String> = tpm.pcrs.iter().map(|(pcr, _)| pcr.to_string()).collect();
            (
                "enrolled",
                format!(
                    "its TPM proved itself and its registers {}: its agent has a certificate",
                    pcrs.join(", ")
                ),
            )
        }
        What::TokenIssued { .. } => {
            ("token-issued", "its single-use token was given out on its port".to_owned())
        }
        What::Enrolled { token_sha256: Some(_), .. } => {
            ("enrolled", "its token was used, and its agent has a certificate".to_owned())
        }
        What::Enrolled { token_sha256: None, .. } => {
            ("enrolled", "its agent renewed its certificate".to_owned())
        }
        What::Connected { running, .. } => ("connected", connected(running.as_ref())),
        What::Lost => ("lost", "its agent's connection ended".to_owned()),
        What::StillConnected => ("still-connected", "its agent was connected all the time".to_owned()),
        What::Reported { hardware } => {
            let gib = hardware.memory_bytes as f64 / f64::from(1 << 30);
            let count = |count: usize, word: &str| {
                if count == 1 { format!("1 {word}") } else { format!("{count} {word}s") }
            };
            let (disks, nics) =
                (count(hardware.disks.len(), "disk"), count(hardware.nics.len(), "interface"));
            let cpus = count(hardware.cpus as usize, "CPU");
            ("reported", format!("its agent found {cpus}, {gib:.0} GiB of memory, {disks}, {nics}"))
        }
        What::Checked { results } => {
            let passed = results.iter().filter(|result| result.passed).count();
            ("checked", format!("{passed} of its {} checks passed", results.len()))
        }
        What::BurningIn { progress } => {
            ("burning-in", format!("its burn-in: {}", lifecycle::burn_in::in_words(progress)))
        }
        What::BurntIn { outcome } => {
            ("burnt-in", format!("its burn-in {}", lifecycle::burn_in::outcome_in_words(outcome)))
        }
        What::ServersHeard { servers } if servers.is_empty() => {
            ("servers-heard", "it hears no DHCP server any more that is not the zone's".to_owned())
        }
        What::ServersHeard { servers } => {
            let servers: Vec<String> = servers.iter().map(lifecycle::probe::in_words).collect();
            ("servers-heard", servers.join("; "))
        }
        What::Held { why: Some(why) } => ("held", format!("somebody on it lets nobody restart it: {why}")),
        What::Held { why: None } => ("held", "nobody on it holds it any more".to_owned()),
        What::Operator { by, wish, beyond_budget } => {
            let beyond = if *beyond_budget { ", whatever the budgets allow" } else { "" };
            ("operator", format!("{by} asked: {}{beyond}", wish_in_words(wish, at)))
        }
        What::Leased { holder, reason, .. } => {
            ("leased", format!("{holder} takes it out of service: {reason}"))
        }
        What::Begins => ("begins", "what was asked begins; it can be taken back no more".to_owned()),
        What::Released { holder } => ("released", format!("{holder} gives it back")),
        What::Change { id, step } => ("change", format!("{id}: {}", change_in_words(step))),
        What::Bmc { by, asked, outcome: None, .. } => ("bmc", format!("{by} asked its BMC {asked}")),
        What::Bmc { asked, outcome: Some(outcome), .. } => {
            ("bmc", format!("its BMC was asked {asked}: {outcome}"))
        }
        What::Tick => ("tick", "time passed".to_owned()),
    }
}

fn change_in_words(step: &ChangeStep) -> String {
    match step {
        ChangeStep::Begin { change } => format!("{} began it: {}", change.by, change.reason),
        ChangeStep::Take { machine } => format!("the turn of {} came", machine.within_zone()),
        ChangeStep::Settle { machine, found: Settled::Right } => format!("{} is done", machine.within_zone()),
        ChangeStep::Settle { machine, found: Settled::Wrong { why } } => {
            format!("{} failed: {why}", machine.within_zone())
        }
        ChangeStep::Settle { machine, found: Settled::Absent } => {
            format!("{} is not in service, and takes it up when it is", machine.within_zone())
        }
        ChangeStep::Bake => "the wave is through, and is watched".to_owned(),
        ChangeStep::Widen => "the next wave begins".to_owned(),
        ChangeStep::Pause { by, reason } => format!("{by} paused it: {reason}"),
        ChangeStep::Resume { by } => format!("{by} resumed it"),
        ChangeStep::End { how, sentence } => format!("{}: {sentence}", lifecycle::change::outcome(*how)),
    }
}

fn connected(running: Option<&Running>) -> String {
    match running {
        None => "its agent connected".to_owned(),
        Some(Running::Memory) => "its agent connected, from memory".to_owned(),
        Some(Running::Disk { slot, on_trial, .. }) => {
            let trial = if *on_trial { ", on trial" } else { "" };
            format!("its agent connected, from slot {}{trial}", slot.letter())
        }
    }
}

pub(crate) fn wish_in_words(wish: &Wish, at: Time) -> String {
    match wish {
        Wish::Accept => "accept the hardware that is there".to_owned(),
        Wish::Drain { reason } => format!("drain ({reason})"),
        Wish::Maintain { reason } => format!("maintain ({reason})"),
        Wish::Return => "return to service".to_owned(),
        Wish::Retire { reason } => format!("retire ({reason})"),
        Wish::Arm { generation, until, .. } => {
            format!("arm for plan {generation}, to begin within {}", duration(until.since(at)))
        }
        Wish::Reinstall { generation, undo_until, .. } => {
            let begins =
                undo_until.map(|until| format!(", not before {} are over", duration(until.since(at))));
            format!("wipe its disks and install it anew, by plan {generation}{}", begins.unwrap_or_default())
        }
        Wish::Disarm => "not to write its disks after all".to_owned(),
        Wish::Upgrade { generation, .. } => format!("write its other slot, by plan {generation}"),
    }
}

/// What was asking.
pub(crate) fn stage_in_words(stage: Stage) -> &'static str {
    match stage {
        Stage::BiosPxe => "bios-pxe",
        Stage::UefiPxe => "uefi-pxe",
        Stage::UefiHttp => "uefi-http",
        Stage::Ipxe => "ipxe",
        Stage::Os => "os",
        Stage::Bmc => "bmc",
    }
}

/// Findings with their places as people count them.
pub(crate) fn findings(files: &Files, findings: &[model::Finding]) -> Vec<Finding> {
    findings
        .iter()
        .map(|finding| {
            let file = files.get(usize::from(finding.source.file));
            let before =
                file.and_then(|file| file.text.get(..finding.source.start as usize)).unwrap_or_default();
            let line = before.matches('\n').count() + 1;
            let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
            Finding {
                code: finding.code.as_str().to_owned(),
                severity: match finding.severity {
                    Severity::Error => "error",
                    Severity::Warning => "warning",
                }
                .to_owned(),
                sentence: finding.sentence.clone(),
                file: file.map(|file| file.path.clone()).unwrap_or_default(),
                line: u32::try_from(line).unwrap_or(u32::MAX),
                column: u32::try_from(column).unwrap_or(u32::MAX),
                help: finding.help.clone(),
            }
        })
        .collect()
}
