//! What a TPM proves of a machine, and when that is not enough: the first TPM of a place is its TPM, and its registers
//! stay what they were, until somebody accepts others.
//!
//! In: what was proved the last time, what is proved now. Out: nothing, or the one reason why not, a sentence.
//! Signatures were verified before; here it is decided what they mean.

use crate::zone::Zone;
use model::design::TpmTrust;
use model::facts::{Attested, Machine};
use model::{DeviceId, Location, Plan};

/// How its role wants the machine at a place to prove itself, if by more than its port.
pub fn wanted(plan: &Plan, device: DeviceId) -> Option<&TpmTrust> {
    let role = plan.design.devices[device.index()].role?;
    plan.design.roles[role.index()].trust.tpm()
}

/// The registers that are quoted: those that the role names, or else those that were quoted before. Ascending.
pub fn registers(plan: &Plan, device: DeviceId, machine: Option<&Machine>) -> Vec<u8> {
    match wanted(plan, device) {
        Some(trust) => trust.pcrs.clone(),
        None => machine
            .and_then(|machine| machine.tpm.as_ref())
            .map(|known| known.pcrs.iter().map(|(pcr, _)| *pcr).collect())
            .unwrap_or_default(),
    }
}

/// Whether this TPM may speak for a place, before it has proved anything. `home`: the place that it has proved itself at before.
///
/// # Errors
/// Why not.
pub fn may_be(
    known: Option<&Attested>,
    ek_sha256: &[u8; 32],
    here: &Location,
    home: Option<&Location>,
) -> Result<(), String> {
    if known.is_some_and(|known| known.ek_sha256 != *ek_sha256) {
        return Err("it has another TPM than the machine that was accepted here; if its board was replaced, `zw accept` it".to_owned());
    }
    match home.filter(|home| *home != here) {
        Some(home) => {
            let home = home.within_zone();
            Err(format!(
                "its TPM is the one of {home}; if it is to stay here, `zw accept {home}` (for what is there now) or `zw retire {home}` (if nothing is) frees it"
            ))
        }
        None => Ok(()),
    }
}

/// Whether what is proved now follows what was proved before.
///
/// # Errors
/// Why not.
pub fn follows(known: Option<&Attested>, now: &Attested) -> Result<(), String> {
    let Some(known) = known else { return Ok(()) };
    if known.ek_sha256 != now.ek_sha256 {
        return Err("it has another TPM than before".to_owned());
    }
    // A copy of a TPM's state, or an old one put back, runs behind the one that went on.
    if now.resets < known.resets || (now.resets == known.resets && now.clock_ms < known.clock_ms) {
        return Err(
            "its TPM counts fewer resets, or less time, than it did before: it is a copy, or was put back"
                .to_owned(),
        );
    }
    let is_changed =
        |(pcr, was): &&(u8, [u8; 32])| now.pcrs.iter().any(|(same, is)| same == pcr && is != was);
    match known.pcrs.iter().find(is_changed) {
        Some((pcr, _)) => Err(format!(
            "{} changed since it was accepted (PCR {pcr}); if that is meant, `zw accept` it",
            register_in_words(*pcr)
        )),
        None => Ok(()),
    }
}

/// What is measured into a register (TCG PC Client Platform Firmware Profile §3.3.4; 8 and 9 are GRUB's and the kernel's).
fn register_in_words(pcr: u8) -> &'static str {
    match pcr {
        0 => "its firmware",
        1 => "its firmware's settings",
        2 => "its option ROMs",
        3 => "its option ROMs' settings",
        4 => "what its firmware starts",
        5 => "its partition table",
        6 => "what its maker measures",
        7 => "its Secure Boot settings",
        8 => "its boot loader's commands",
        9 => "its kernel or initial RAM disk",
        _ => "what its system measures",
    }
}

impl Zone {
    /// The place whose machine has proved itself by this TPM.
    pub fn home_of_tpm(&self, ek_sha256: &[u8; 32]) -> Option<&Location> {
        let is_it =
            |machine: &Machine| machine.tpm.as_ref().is_some_and(|known| known.ek_sha256 == *ek_sha256);
        self.facts().machines.iter().find(|(_, machine)| is_it(machine)).map(|(location, _)| location)
    }

    /// Why to accept a place is of no use to the machine that is refused there: it shows the TPM of another place, which only a word
    /// about that one frees. Where a TPM is known at the place itself, to accept it forgets that, which is of use.
    pub(crate) fn unacceptable(&self, here: &Location) -> Option<String> {
        let machine = self.facts().machines.get(here).filter(|machine| machine.tpm.is_none())?;
        let shown = machine.unproved_ek?;
        may_be(None, &shown, here, self.home_of_tpm(&shown)).err()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};

    fn attested(ek: u8, resets: u32, clock_ms: u64, pcrs: &[(u8, u8)]) -> Attested {
        let pcrs = pcrs.iter().map(|(pcr, value)| (*pcr, [*value; 32])).collect();
        Attested { ek_sha256: [ek; 32], pcrs, resets, clock_ms }
    }

    fn words(outcome: Result<(), String>) -> String {
        outcome.err().unwrap_or_else(|| "yes".to_owned())
    }

    #[test]
    fn a_tpm_goes_on_where_it_was() {
        let known = attested(1, 5, 1_000, &[(0, 1), (7, 1)]);
        let check = |now: &Attested, expected: Expect| expected.assert_eq(&words(follows(Some(&known), now)));
        check(&attested(1, 5, 1_000, &[(0, 1), (7, 1)]), expect!["yes"]);
        check(&attested(1, 6, 0, &[(0, 1), (7, 1)]), expect!["yes"]);
        // The role names other registers than before: what it did not name then has nothing to differ from.
        check(&attested(1, 6, 0, &[(7, 1), (9, 3)]), expect!["yes"]);
        check(
            &attested(1, 5, 999, &[(0, 1)]),
            expect![
                "its TPM counts fewer resets, or less time, than it did before: it is a copy, or was put back"
            ],
        );
        check(
            &attested(1, 4, 9_999, &[(0, 1)]),
            expect![
                "its TPM counts fewer resets, or less time, than it did before: it is a copy, or was put back"
            ],
        );
        check(
            &attested(1, 6, 0, &[(0, 2), (7, 1)]),
            expect!["its firmware changed since it was accepted (PCR 0); if that is meant, `zw accept` it"],
        );
        check(&attested(2, 6, 0, &[(0, 1)]), expect!["it has another TPM than before"]);
        assert_eq!(words(follows(None, &known)), "yes");
    }

    #[test]
    fn a_tpm_is_at_one_place_and_a_place_has_one_tpm() {
        let known = attested(1, 5, 1_000, &[]);
        let (here, there) = (Location::new("ams1/p01/r1/u01"), Location::new("ams1/p01/r1/u02"));
        let check = |known: Option<&Attested>, ek: u8, home: Option<&Location>, expected: Expect| {
            expected.assert_eq(&words(may_be(known, &[ek; 32], &here, home)));
        };
        check(None, 1, None, expect!["yes"]);
        check(Some(&known), 1, Some(&here), expect!["yes"]);
        check(
            Some(&known),
            2,
            None,
            expect![
                "it has another TPM than the machine that was accepted here; if its board was replaced, `zw accept` it"
            ],
        );
        check(
            None,
            1,
            Some(&there),
            expect![
                "its TPM is the one of p01/r1/u02; if it is to stay here, `zw accept p01/r1/u02` (for what is there now) or `zw retire p01/r1/u02` (if nothing is) frees it"
            ],
        );
    }
}
