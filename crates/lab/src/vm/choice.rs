//! Which machines are real, and how: what `--vm` says. Pure.

use crate::error::Error;
use crate::topology::{HostId, Kind, Topology};
use model::Plan;
use model::roster::{Roster, Target};
use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;

/// What starts a real machine.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Firmware {
    /// SeaBIOS; the ROM of its network interfaces is iPXE.
    Bios,
    /// SeaBIOS, and undionly over the network card's own driver, as where the ROM is no iPXE.
    BiosUndionly,
    /// OVMF: PXE, then HTTP boot, on each interface.
    #[default]
    Uefi,
    /// OVMF without PXE.
    UefiHttp,
}

impl Firmware {
    /// Every one and its word.
    const WORDS: [(Self, &'static str); 4] = [
        (Self::Uefi, "uefi"),
        (Self::UefiHttp, "uefi-http"),
        (Self::Bios, "bios"),
        (Self::BiosUndionly, "bios-undionly"),
    ];

    pub(crate) fn is_bios(self) -> bool {
        matches!(self, Self::Bios | Self::BiosUndionly)
    }
}

/// A machine that is to be real.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Choice {
    /// A location, name or address.
    pub target: String,
    /// Its firmware.
    pub firmware: Firmware,
    /// It starts only what Microsoft or Debian signed.
    pub secure_boot: bool,
    /// It has a TPM 2.0.
    pub tpm: bool,
    /// Its UEFI is set to IPv6 alone; otherwise it is set to IPv4 alone. A BIOS asks by both.
    pub ipv6: bool,
}

/// A choice that was not understood.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NotAChoice(String);

impl fmt::Display for NotAChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for NotAChoice {}

impl FromStr for Choice {
    type Err = NotAChoice;

    fn from_str(text: &str) -> Result<Self, NotAChoice> {
        let mut words = text.split(',');
        let target = words.next().unwrap_or_default().to_owned();
        let firmware = Firmware::default();
        let mut choice = Self { target, firmware, secure_boot: false, tpm: false, ipv6: false };
        if choice.target.is_empty() {
            return Err(NotAChoice("it begins with a location, name or address".to_owned()));
        }
        for word in words {
            let firmware = Firmware::WORDS.iter().find(|(_, name)| *name == word);
            match (word, firmware) {
                (_, Some((firmware, _))) => choice.firmware = *firmware,
                ("secure-boot", _) => choice.secure_boot = true,
                ("tpm", _) => choice.tpm = true,
                ("ipv6", _) => choice.ipv6 = true,
                _ => {
                    let words = Firmware::WORDS.map(|(_, name)| name).join(", ");
                    return Err(NotAChoice(format!("`{word}` is none of {words}, secure-boot, tpm, ipv6")));
                }
            }
        }
        if choice.secure_boot && choice.firmware.is_bios() {
            return Err(NotAChoice("a BIOS has no Secure Boot".to_owned()));
        }
        if choice.ipv6 && choice.firmware.is_bios() {
            return Err(NotAChoice(
                "the iPXE of a BIOS asks by every family that its network has".to_owned(),
            ));
        }
        Ok(choice)
    }
}

/// As `--vm` takes it.
impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let firmware = Firmware::WORDS.iter().find(|(firmware, _)| *firmware == self.firmware);
        write!(f, "{},{}", self.target, firmware.map_or("", |(_, word)| word))?;
        f.write_str(if self.secure_boot { ",secure-boot" } else { "" })?;
        f.write_str(if self.tpm { ",tpm" } else { "" })?;
        f.write_str(if self.ipv6 { ",ipv6" } else { "" })
    }
}

/// The hosts that are to be real; of two words for one machine the last counts.
///
/// # Errors
/// If a target is none, or no machine that can be real.
pub(crate) fn chosen(
    plan: &Plan,
    topology: &Topology,
    choices: &[Choice],
) -> Result<HashMap<HostId, Choice>, Error> {
    let roster = Roster::of(plan);
    let mut chosen = HashMap::new();
    for choice in choices {
        let target = &choice.target;
        let device = match roster.find(plan, target) {
            Some(Target::Device(device)) => device,
            Some(Target::Interface(interface)) => plan.interface(interface).device,
            None => {
                return Err(Error::new(format!(
                    "find {target}: it is no location, name or address of this zone"
                )));
            }
        };
        let host = topology.host_of(device).filter(|host| topology.hosts[*host].kind == Kind::Machine);
        let Some(host) = host else {
            return Err(Error::new(format!("give {target} real firmware: it is no machine that boots")));
        };
        if topology.wires.iter().any(|wire| wire.near.host == host) {
            return Err(Error::new(format!(
                "give {target} real firmware: it is cabled to another machine, and only a switch has an end for it"
            )));
        }
        chosen.insert(host, choice.clone());
    }
    Ok(chosen)
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};

    fn check(text: &str, expected: &Expect) {
        let told = match text.parse::<Choice>() {
            Ok(choice) => {
                assert_eq!(choice.to_string().parse().as_ref(), Ok(&choice));
                choice.to_string()
            }
            Err(error) => format!("error: {error}"),
        };
        expected.assert_eq(&told);
    }

    #[test]
    fn choices_as_people_write_them() {
        check("p01/r1/u01", &expect!["p01/r1/u01,uefi"]);
        check("p01/r1/u01,bios", &expect!["p01/r1/u01,bios"]);
        check("p01/r1/u01,bios-undionly", &expect!["p01/r1/u01,bios-undionly"]);
        check("hv-1,tpm,uefi-http", &expect!["hv-1,uefi-http,tpm"]);
        check("10.64.0.6,secure-boot,tpm", &expect!["10.64.0.6,uefi,secure-boot,tpm"]);
        check(
            "u01,efi",
            &expect!["error: `efi` is none of uefi, uefi-http, bios, bios-undionly, secure-boot, tpm, ipv6"],
        );
        check(
            "u01,",
            &expect!["error: `` is none of uefi, uefi-http, bios, bios-undionly, secure-boot, tpm, ipv6"],
        );
        check(",bios", &expect!["error: it begins with a location, name or address"]);
        check("u01,ipv6,uefi-http", &expect!["u01,uefi-http,ipv6"]);
        check(
            "u01,bios,ipv6",
            &expect!["error: the iPXE of a BIOS asks by every family that its network has"],
        );
        check("u01,bios,secure-boot", &expect!["error: a BIOS has no Secure Boot"]);
    }
}
