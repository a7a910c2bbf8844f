//! What differs from vendor to vendor, as data: `quirks.json`, each row with its evidence.
//!
//! Only what a BMC does not tell by itself is a row: which resets it knows, where its media are, by which protocol it fetches
//! firmware and which fields it demands are read from its answers, whoever made it. All rows that match are laid over each
//! other, later ones over earlier ones.

use serde::Deserialize;
use std::sync::LazyLock;

/// Every row of the table.
pub static QUIRKS: LazyLock<Vec<Quirk>> = LazyLock::new(|| {
    // The tests hold it against this: a table that does not parse is never released.
    serde_json::from_str(include_str!("../quirks.json")).unwrap_or_default()
});

/// A row: at whose BMCs something differs.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quirk {
    /// The first words of the vendor's name, whatever their case.
    pub vendor: String,
    /// Part of the name of the product or model.
    #[serde(default)]
    pub model: Option<String>,
    /// Only before this version of the BMC's firmware.
    #[serde(default)]
    pub firmware_below: Option<String>,
    /// What differs.
    pub differs: Differences,
    /// The same in words.
    pub what: String,
    /// Where that is told: addresses of public pages.
    pub evidence: Vec<String>,
}

/// What differs. Each field is as most BMCs are unless a row says otherwise.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Differences {
    /// Whether a PATCH carries `If-Match`.
    pub etag: Etag,
    /// Whether a boot override carries its mode.
    pub boot_mode: SendMode,
    /// Boot overrides are changed at the system's settings object (`@Redfish.Settings`).
    pub boot_at_settings: bool,
    /// The Id of the one system, where there are several.
    pub system: Option<String>,
    /// Only virtual media whose Id begins so take a URL.
    pub media_slots: Option<String>,
    /// A slot that is `NotConnected` is empty whatever name it has.
    pub media_empty_if_not_connected: bool,
    /// Accounts are slots, free from this number on.
    pub account_slots_from: Option<u32>,
    /// A firmware update must name the system that it is for.
    pub update_names_system: bool,
}

/// Whether a PATCH carries `If-Match`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Etag {
    /// Where there is an ETag.
    #[default]
    Send,
    /// Never.
    Never,
}

/// Whether a boot override carries its mode.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SendMode {
    /// If a mode was asked for.
    #[default]
    Asked,
    /// Always, where the BMC shows one.
    Always,
    /// Never: the mode is part of the firmware's settings.
    Never,
}

/// What a BMC told of itself.
pub(crate) struct Seen<'a> {
    pub(crate) vendor: [Option<&'a str>; 3],
    pub(crate) model: [Option<&'a str>; 3],
    pub(crate) firmware: Option<&'a str>,
}

/// What differs at such a BMC.
pub(crate) fn of(seen: &Seen<'_>) -> Differences {
    lay(&QUIRKS, seen)
}

fn lay(quirks: &[Quirk], seen: &Seen<'_>) -> Differences {
    let mut differences = Differences::default();
    for Quirk { differs, .. } in quirks.iter().filter(|quirk| matches(quirk, seen)) {
        let usual = Differences::default();
        let Differences {
            etag,
            boot_mode,
            boot_at_settings,
            system,
            media_slots,
            media_empty_if_not_connected,
            account_slots_from,
            update_names_system,
        } = differs.clone();
        let so_far = differences;
        differences = Differences {
            etag: if etag == usual.etag { so_far.etag } else { etag },
            boot_mode: if boot_mode == usual.boot_mode { so_far.boot_mode } else { boot_mode },
            boot_at_settings: boot_at_settings | so_far.boot_at_settings,
            system: system.or(so_far.system),
            media_slots: media_slots.or(so_far.media_slots),
            media_empty_if_not_connected: media_empty_if_not_connected | so_far.media_empty_if_not_connected,
            account_slots_from: account_slots_from.or(so_far.account_slots_from),
            update_names_system: update_names_system | so_far.update_names_system,
        };
    }
    differences
}

fn matches(quirk: &Quirk, seen: &Seen<'_>) -> bool {
    let is_of_vendor = seen.vendor.iter().flatten().any(|name| {
        let (name, vendor) = (name.to_lowercase(), quirk.vendor.to_lowercase());
        name.strip_prefix(&vendor).is_some_and(|rest| !rest.starts_with(char::is_alphanumeric))
    });
    let is_of_model = |model: &String| {
        seen.model.iter().flatten().any(|name| name.to_lowercase().contains(&model.to_lowercase()))
    };
    is_of_vendor
        && quirk.model.as_ref().is_none_or(is_of_model)
        && quirk
            .firmware_below
            .as_ref()
            .is_none_or(|below| seen.firmware.is_some_and(|found| version(found) < version(below)))
}

/// `2.60.60.60` as numbers; what is no number ends it.
fn version(text: &str) -> Vec<u64> {
    text.split(['.', '-', ' ']).map_while(|part| part.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows() -> Vec<Quirk> {
        serde_json::from_str(include_str!("../quirks.json")).expect("quirks.json is a list of quirks")
    }

    #[test]
    fn every_row_differs_says_what_and_has_evidence() {
        assert!(!rows().is_empty() && rows() == *QUIRKS);
        for quirk in rows() {
            assert_ne!(quirk.differs, Differences::default(), "{quirk:?} differs in nothing");
            assert!(quirk.what.len() > 10 && !quirk.evidence.is_empty(), "{quirk:?} has no evidence");
            for page in &quirk.evidence {
                assert!(page.starts_with("https://"), "{page} is no address of a page");
            }
        }
    }

    fn seen<'a>(vendor: &'a str, model: &'a str, firmware: &'a str) -> Seen<'a> {
        Seen {
            vendor: [Some(vendor), None, None],
            model: [None, Some(model), None],
            firmware: Some(firmware),
        }
    }

    #[test]
    fn rows_match_by_vendor_model_and_version() {
        assert_eq!(of(&seen("Contoso", "3500", "1.0")), Differences::default());
        assert_eq!(of(&seen("Amigo Computers", "AMI", "1.0")), Differences::default());
        assert!(of(&seen("AMI", "", "1.0")).boot_at_settings);
        let supermicro = of(&seen("SUPERMICRO", "X12", "1.0"));
        assert!(supermicro.media_empty_if_not_connected && supermicro.boot_mode == SendMode::Always);
        let row = |text| serde_json::from_str::<Quirk>(text).expect("a row");
        let rows = [
            row(r#"{"vendor": "a", "differs": {"boot_mode": "never"}, "what": "", "evidence": []}"#),
            row(
                r#"{"vendor": "a", "model": "2", "differs": {"boot_mode": "always"}, "what": "", "evidence": []}"#,
            ),
            row(
                r#"{"vendor": "a", "firmware_below": "2.10", "differs": {"etag": "never"}, "what": "", "evidence": []}"#,
            ),
        ];
        assert_eq!(lay(&rows, &seen("A Inc.", "m1", "2.10.0")).boot_mode, SendMode::Never);
        assert_eq!(lay(&rows, &seen("A Inc.", "m2", "2.10")).boot_mode, SendMode::Always);
        assert_eq!(lay(&rows, &seen("A Inc.", "m1", "2.9.99")).etag, Etag::Never);
        assert_eq!(lay(&rows, &seen("A Inc.", "m1", "2.10")).etag, Etag::Send);
        assert_eq!(lay(&rows, &seen("B", "m2", "1")), Differences::default());
        let misspelt = r#"{"vendor": "a", "differs": {"etags": "never"}, "what": "", "evidence": []}"#;
        assert!(serde_json::from_str::<Quirk>(misspelt).is_err());
    }
}
