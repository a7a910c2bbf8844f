//! What the machine boots from next (`ComputerSystem.Boot`).

use crate::address::linked;
use crate::error::Error;
use crate::message::harmless;
use crate::power::words;
use crate::quirks::SendMode;
use crate::session::Bmc;
use serde_json::{Map, Value, json};
use std::fmt;

/// What to boot from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BootSource {
    /// PXE.
    Pxe,
    /// UEFI HTTP boot.
    Http,
    /// The first disk.
    Disk,
    /// CD, virtual media included.
    Cd,
    /// As the firmware is set: no override.
    Usual,
}

/// For how many boots.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Lasts {
    /// The next one.
    Once,
    /// Until it is changed.
    Always,
}

/// Which kind of firmware boots.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BootMode {
    /// UEFI.
    Uefi,
    /// BIOS, or UEFI's module that plays it.
    Legacy,
}

/// What a BMC says of its boot override.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BootOverride {
    /// `BootSourceOverrideTarget`.
    pub target: String,
    /// `BootSourceOverrideEnabled`.
    pub enabled: String,
    /// `BootSourceOverrideMode`, if it has one.
    pub mode: Option<String>,
}

impl BootSource {
    fn target(self) -> &'static str {
        match self {
            Self::Pxe => "Pxe",
            Self::Http => "UefiHttp",
            Self::Disk => "Hdd",
            Self::Cd => "Cd",
            Self::Usual => "None",
        }
    }
}

impl fmt::Display for BootSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pxe => "PXE",
            Self::Http => "UEFI HTTP boot",
            Self::Disk => "disk",
            Self::Cd => "CD",
            Self::Usual => "its usual order",
        })
    }
}

impl Bmc {
    /// What the machine boots from next, as the BMC tells it.
    pub async fn boot_override(&mut self) -> Result<BootOverride, Error> {
        let (_, boot) = self.boot_resource().await?;
        let text = |name: &str| boot[name].as_str().map(harmless);
        Ok(BootOverride {
            target: text("BootSourceOverrideTarget").unwrap_or_else(|| "None".to_owned()),
            enabled: text("BootSourceOverrideEnabled").unwrap_or_else(|| "Disabled".to_owned()),
            mode: text("BootSourceOverrideMode"),
        })
    }

    /// Has the machine boot from `source`; it does at its next start, which is not begun here.
    pub async fn boot_from(
        &mut self,
        source: BootSource,
        lasts: Lasts,
        mode: Option<BootMode>,
    ) -> Result<(), Error> {
        let (at, boot) = self.boot_resource().await?;
        let target = allowed(&boot, "BootSourceOverrideTarget", source.target())?;
        let enabled = match (source, lasts) {
            (BootSource::Usual, _) => "Disabled",
            (_, Lasts::Once) => "Once",
            (_, Lasts::Always) => "Continuous",
        };
        let shown = boot["BootSourceOverrideMode"].as_str();
        let wanted = match mode {
            Some(BootMode::Uefi) => Some(allowed(&boot, "BootSourceOverrideMode", "UEFI")?),
            Some(BootMode::Legacy) => Some(allowed(&boot, "BootSourceOverrideMode", "Legacy")?),
            None => None,
        };
        let sent = match (self.differences().boot_mode, wanted) {
            (SendMode::Never, Some(wanted))
                if shown.is_none_or(|shown| shown.eq_ignore_ascii_case(&wanted)) =>
            {
                None
            }
            (SendMode::Never, Some(_)) => {
                return Err(Error::missing(
                    "way to change the boot mode; it is part of the firmware's settings",
                ));
            }
            (SendMode::Never, None) => None,
            (SendMode::Always, None) => shown.map(str::to_owned),
            (SendMode::Always | SendMode::Asked, wanted) => wanted,
        };
        let change = |mode: Option<&str>| {
            let mut fields = Map::new();
            fields.insert("BootSourceOverrideEnabled".into(), enabled.into());
            fields.insert("BootSourceOverrideTarget".into(), target.as_str().into());
            if let Some(mode) = mode {
                fields.insert("BootSourceOverrideMode".into(), mode.into());
            }
            json!({ "Boot": fields })
        };
        self.tell(format!("{source} to be set as what it boots from"), None);
        let answer = match self.patch(&at, &change(sent.as_deref())).await {
            // "The property BootSourceOverrideMode is a required property" (ansible-collections/community.general#11542).
            Err(error) if error.is("PropertyMissing") && sent.is_none() && shown.is_some() => {
                self.patch(&at, &change(shown)).await?
            }
            // AMI's BMCs under other vendors' names (DMTF/Redfish-Tacklebox#144).
            Err(error) if error.is("OperationSupportedInFutureStateURI") => {
                let settings = self.settings_path().await?.ok_or(error)?;
                self.patch(&settings, &change(sent.as_deref())).await?
            }
            answer => answer?,
        };
        self.finish(answer, "the boot source to be set", self.limits.power).await
    }

    /// Where the override is changed, and what is there now.
    async fn boot_resource(&mut self) -> Result<(String, Value), Error> {
        let system = self.system().await?;
        let boot = self.system_now().await?["Boot"].take();
        // iDRAC 10 has moved it (dell/iDRAC-Redfish-Scripting#324).
        let is_elsewhere =
            self.differences().boot_at_settings || boot.get("BootSourceOverrideTarget").is_none();
        if is_elsewhere
            && let Some(settings) = self.settings_path().await?
            && let Ok(mut answer) = self.get(&settings).await
            && answer.body["Boot"].is_object()
        {
            return Ok((settings, answer.body["Boot"].take()));
        }
        if !boot.is_object() {
            return Err(Error::missing("boot override"));
        }
        Ok((system.path, boot))
    }

    async fn settings_path(&mut self) -> Result<Option<String>, Error> {
        let system = self.system().await?;
        Ok(linked(&system.body["@Redfish.Settings"]["SettingsObject"]))
    }
}

/// The word as this BMC spells it, if it says which it knows.
fn allowed(boot: &Value, property: &str, word: &str) -> Result<String, Error> {
    let known = words(&boot[format!("{property}@Redfish.AllowableValues")]);
    if known.is_empty() || word == "None" {
        return Ok(word.to_owned());
    }
    known.iter().find(|known| known.eq_ignore_ascii_case(word)).cloned().ok_or_else(|| {
        let known: Vec<String> = known.iter().take(16).map(|word| harmless(word)).collect();
        Error::missing(format!("{word} among its values of {property}; it knows {}", known.join(", ")))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_spelt_as_the_bmc_does_or_refused_with_what_it_knows() {
        let boot = json!({"BootSourceOverrideMode@Redfish.AllowableValues": ["Legacy", "Uefi"]});
        assert_eq!(allowed(&boot, "BootSourceOverrideMode", "UEFI").unwrap(), "Uefi");
        assert_eq!(allowed(&boot, "BootSourceOverrideTarget", "Pxe").unwrap(), "Pxe");
        let boot = json!({"BootSourceOverrideTarget@Redfish.AllowableValues": ["None", "Pxe", "Hdd"]});
        assert_eq!(
            allowed(&boot, "BootSourceOverrideTarget", "UefiHttp").unwrap_err().to_string(),
            "it has no UefiHttp among its values of BootSourceOverrideTarget; it knows None, Pxe, Hdd"
        );
    }
}
