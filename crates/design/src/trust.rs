//! How a role's machines prove that they are themselves: its `trust`.

use crate::report::Report;
use crate::syntax::{Attribute, Block, Kind};
use crate::tables::word;
use crate::value::{self, wrong_value};
use model::design::{TpmTrust, Trust};
use model::finding::{Code, File, Finding};
use std::sync::Arc;

/// Firmware, option ROMs, Secure Boot: what stays over new kernels and images.
const PCRS: &[u8] = &[0, 2, 7];
/// The last that a static root of trust writes; those behind it change while a system runs.
const PCR_MAX: i64 = 15;
/// What a file of certificates is.
const MARK: &str = "-----BEGIN CERTIFICATE-----";

/// Reads `trust`; what is not said, or said wrongly, is the port.
pub(crate) fn read(report: &mut Report, block: &Block, files: &[File]) -> Trust {
    block.get("trust").and_then(|attribute| of(report, attribute, files)).unwrap_or_default()
}

fn of(report: &mut Report, attribute: &Attribute, files: &[File]) -> Option<Trust> {
    if !matches!(attribute.value.kind, Kind::Object(_)) {
        let written = value::text(report, attribute)?;
        let tpm = Trust::Tpm(TpmTrust { pcrs: PCRS.to_vec(), makers: None });
        return word(report, "trust", &written, &[("port", Trust::Port), ("bmc", Trust::Bmc), ("tpm", tpm)]);
    }
    let mut trust = TpmTrust { pcrs: PCRS.to_vec(), makers: None };
    let mut is_named = false;
    for entry in value::object(report, attribute, &["by", "pcrs", "makers"])? {
        match entry.key.value.as_str() {
            "by" => {
                let written = value::text(report, entry)?;
                is_named = true;
                word(report, "by", &written, &[("tpm", ())])?;
            }
            "pcrs" => trust.pcrs = pcrs(report, entry)?,
            "makers" => trust.makers = makers(report, entry, files),
            _ => {}
        }
    }
    if !is_named {
        let finding = Finding::error(Code::MissingKey, attribute.value.source, "`trust` needs `by`");
        report.push(finding.help("write `by = \"tpm\"`"));
    }
    Some(Trust::Tpm(trust))
}

fn pcrs(report: &mut Report, entry: &Attribute) -> Option<Vec<u8>> {
    let Kind::List(items) = &entry.value.kind else {
        value::wrong_type(report, "pcrs", "a list of numbers", &entry.value);
        return None;
    };
    let mut pcrs = Vec::with_capacity(items.len());
    for item in items {
        match item.kind {
            Kind::Integer(number @ 0..=PCR_MAX) => pcrs.push(number as u8),
            Kind::Integer(number) => {
                wrong_value(
                    report,
                    item.source,
                    format!("there is no register {number} from 0 to {PCR_MAX}"),
                );
            }
            _ => value::wrong_type(report, "pcrs", "a list of numbers", item),
        }
    }
    pcrs.sort_unstable();
    pcrs.dedup();
    if items.is_empty() {
        wrong_value(report, entry.value.source, "a quote is of one register at least");
    }
    Some(pcrs)
}

fn makers(report: &mut Report, entry: &Attribute, files: &[File]) -> Option<Arc<str>> {
    let path = value::text(report, entry)?;
    let Some(file) = files.iter().find(|file| file.path == path.value) else {
        value::missing_file(report, &path, files, &[".pem"]);
        return None;
    };
    if !file.text.contains(MARK) {
        let finding = Finding::error(
            Code::WrongValue,
            path.source,
            format!("`{}` holds no certificate", path.value.escape_debug()),
        );
        report.push(finding.help("certificates of TPMs' makers, one after the other, in PEM"));
    }
    Some(Arc::clone(&file.text))
}
