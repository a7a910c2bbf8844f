//! What is asked of a BMC, in words and in the client's terms.

use api::bmc::{Ask, Drive, Inventory, Mode, Nic, Power, Source, Word};
use bmc::{Bmc, BootMode, BootSource, Fingerprint, Lasts};

/// The longest URL and the longest user or password, in octets.
const URL_MAX: usize = 1024;
const CREDENTIAL_MAX: usize = 128;

/// Whether it can be asked at all; else a sentence.
pub(super) fn check(ask: &Ask) -> Result<(), String> {
    match ask {
        Ask::Insert { url } | Ask::Update { url } => {
            let is_url = url.split_once("://").is_some_and(|(scheme, rest)| {
                !rest.is_empty()
                    && !scheme.is_empty()
                    && scheme.bytes().all(|octet| octet.is_ascii_alphanumeric())
            });
            let is_plain = url.bytes().all(|octet| octet.is_ascii_graphic());
            match is_url && is_plain && url.len() <= URL_MAX {
                true => Ok(()),
                false => Err("the image is named by a URL that the BMC itself can fetch, such as http://10.0.0.1/image.iso".to_owned()),
            }
        }
        Ask::Adopt { user, password, certificate, .. } => {
            let is_usable =
                |text: &str| (1..=CREDENTIAL_MAX).contains(&text.len()) && !text.contains(char::is_control);
            if !is_usable(user) || !is_usable(&password.0) || user.contains(':') {
                return Err("a user and a password are 1 to 128 octets, without control characters, the user without a colon".to_owned());
            }
            certificate.as_deref().map_or(Ok(()), |text| fingerprint(text).map(|_| ()))
        }
        _ => Ok(()),
    }
}

/// A certificate's SHA-256 in hexadecimal, with or without colons.
pub(super) fn fingerprint(text: &str) -> Result<Fingerprint, String> {
    let wrong = || "a certificate is named by its SHA-256: 64 hexadecimal digits".to_owned();
    let digits: Vec<u32> = text
        .trim_start_matches("sha256:")
        .chars()
        .filter(|c| *c != ':')
        .map(|c| c.to_digit(16).ok_or_else(wrong))
        .collect::<Result<_, _>>()?;
    let octets: Vec<u8> = digits.chunks_exact(2).map(|pair| (pair[0] * 16 + pair[1]) as u8).collect();
    if digits.len() % 2 == 1 {
        return Err(wrong());
    }
    octets.try_into().map(Fingerprint).map_err(|_| wrong())
}

/// In words that complete "asked its BMC …"; never with a secret.
pub(super) fn in_words(ask: &Ask) -> String {
    match ask {
        Ask::Power { to } => format!(
            "for power {}",
            match to {
                Power::Status => "status",
                Power::On => "on",
                Power::Off => "off",
                Power::ForceOff => "off at once",
                Power::Cycle => "cycle",
            }
        ),
        Ask::Boot { from, once, mode, now } => format!(
            "to boot from {}{}{}{}",
            source(*from),
            if *once && *from != Source::Usual { " once" } else { "" },
            match mode {
                Some(Mode::Uefi) => " by UEFI",
                Some(Mode::Legacy) => " by BIOS",
                None => "",
            },
            if *now { ", now" } else { "" }
        ),
        Ask::Insert { url } => format!("to insert {url}"),
        Ask::Eject => "to eject what is inserted".to_owned(),
        Ask::Inventory => "for its inventory".to_owned(),
        Ask::Update { url } => format!("to install the firmware {url}"),
        Ask::Adopt { user, as_given: true, .. } => format!("to be used as {user}"),
        Ask::Adopt { user, as_given: false, .. } => format!("to be adopted, as {user}"),
    }
}

fn source(from: Source) -> BootSource {
    match from {
        Source::Pxe => BootSource::Pxe,
        Source::Http => BootSource::Http,
        Source::Disk => BootSource::Disk,
        Source::Cd => BootSource::Cd,
        Source::Usual => BootSource::Usual,
    }
}

/// Does it, but for adopting.
pub(super) async fn perform(bmc: &mut Bmc, ask: &Ask) -> Result<Word, bmc::Error> {
    let outcome = match ask {
        Ask::Power { to } => {
            let state = match to {
                Power::Status => bmc.power_state().await?,
                Power::On => bmc.power(bmc::Power::On).await?,
                Power::Off => bmc.power(bmc::Power::Off).await?,
                Power::ForceOff => bmc.power(bmc::Power::ForceOff).await?,
                Power::Cycle => bmc.power(bmc::Power::Cycle).await?,
            };
            format!("power is {state}")
        }
        Ask::Boot { from, once, mode, now } => {
            let lasts = if *once { Lasts::Once } else { Lasts::Always };
            let mode = mode.map(|mode| match mode {
                Mode::Uefi => BootMode::Uefi,
                Mode::Legacy => BootMode::Legacy,
            });
            bmc.boot_from(source(*from), lasts, mode).await?;
            match now {
                true => format!(
                    "it boots from {}; power is {}",
                    source(*from),
                    bmc.power(bmc::Power::Cycle).await?
                ),
                false => format!("it boots from {} when it starts next", source(*from)),
            }
        }
        Ask::Insert { url } => {
            bmc.insert_media(url, "").await?;
            format!("{url} is inserted")
        }
        Ask::Eject => match bmc.eject_media("").await? {
            0 => "nothing was inserted".to_owned(),
            _ => "it is ejected".to_owned(),
        },
        Ask::Update { url } => {
            bmc.update(url).await?;
            format!("{url} is installed; some of it takes effect when the machine starts next")
        }
        Ask::Inventory => {
            let inventory = inventory(bmc.inventory().await?);
            let outcome = format!("{} {}", inventory.vendor, inventory.model).trim().to_owned();
            return Ok(Word::Done { outcome, inventory: Some(Box::new(inventory)) });
        }
        Ask::Adopt { .. } => {
            return Err(bmc::Error::Failed { sentence: "it is adopted in another way".to_owned() });
        }
    };
    Ok(Word::Done { outcome, inventory: None })
}

fn inventory(found: bmc::Inventory) -> Inventory {
    let bmc::Inventory { vendor, model, serial, uuid, bios, firmware, power, health, .. } = found;
    Inventory {
        vendor,
        model,
        serial,
        uuid,
        bios,
        bmc_firmware: firmware,
        power: power.to_string(),
        health,
        processors: found.processors,
        processor_model: found.processor_model,
        memory_gib: found.memory_gib,
        nics: found.nics.into_iter().map(|nic| Nic { id: nic.id, mac: nic.mac, mbps: nic.mbps }).collect(),
        drives: found
            .drives
            .into_iter()
            .map(|drive| Drive {
                name: drive.name,
                model: drive.model,
                serial: drive.serial,
                size_bytes: drive.bytes,
                media: drive.media,
            })
            .collect(),
        unread: found.unread,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use api::bmc::Secret;

    #[test]
    fn what_is_asked_is_told_without_its_secret() {
        let adopt = |certificate: Option<&str>| Ask::Adopt {
            user: "root".into(),
            password: Secret("calvin".into()),
            as_given: false,
            certificate: certificate.map(str::to_owned),
        };
        assert_eq!(in_words(&adopt(None)), "to be adopted, as root");
        assert!(!format!("{:?}", adopt(None)).contains("calvin"));
        let boot = Ask::Boot { from: Source::Pxe, once: true, mode: Some(Mode::Uefi), now: true };
        assert_eq!(in_words(&boot), "to boot from PXE once by UEFI, now");
        assert!(check(&adopt(Some(&"ab".repeat(32)))).is_ok());
        assert!(check(&adopt(Some("sha256:zz"))).is_err() && check(&adopt(Some(&"a".repeat(63)))).is_err());
    }

    #[test]
    fn an_image_is_a_url() {
        let insert = |url: &str| check(&Ask::Insert { url: url.to_owned() });
        assert!(insert("http://10.0.0.1/a.iso").is_ok() && insert("nfs://10.0.0.1/a.iso").is_ok());
        for wrong in [
            "",
            "a.iso",
            "://x",
            "http://",
            "http://a b",
            "http://a\nb",
            &format!("http://{}", "x".repeat(2000)),
        ] {
            assert!(insert(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_fingerprint_is_read_as_tools_print_it() {
        let plain = "0123456789abcdef".repeat(4);
        let colons: String =
            plain.as_bytes().chunks(2).map(|pair| String::from_utf8_lossy(pair) + ":").collect();
        let read = fingerprint(&plain).unwrap();
        assert_eq!(fingerprint(colons.trim_end_matches(':')), Ok(read));
        assert_eq!(read.to_string(), format!("SHA-256 {plain}"));
    }
}
