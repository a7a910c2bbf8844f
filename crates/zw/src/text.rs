//! Quantities as people read them.

/// `4.0 GiB`, `20.0 GB`.
pub(crate) fn size(bytes: u64, base: u64) -> String {
    let units = if base == 1024 { ["B", "KiB", "MiB", "GiB", "TiB"] } else { ["B", "kB", "MB", "GB", "TB"] };
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= base as f64 && unit + 1 < units.len() {
        value /= base as f64;
        unit += 1;
    }
    if unit == 0 { format!("{bytes} B") } else { format!("{value:.1} {}", units[unit]) }
}
