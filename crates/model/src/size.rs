//! Sizes in words: to a tenth, cut and not rounded.

/// `1.9 TB`: octets in thousands, as disks and rates are sold.
pub fn decimal(octets: u64) -> String {
    scaled(octets, 1000, &["B", "kB", "MB", "GB", "TB", "PB"])
}

/// `512 GiB`: octets in steps of 1024, as memory is.
pub fn binary(octets: u64) -> String {
    scaled(octets, 1024, &["B", "KiB", "MiB", "GiB", "TiB", "PiB"])
}

fn scaled(octets: u64, base: u64, units: &[&str]) -> String {
    let (octets, base) = (u128::from(octets), u128::from(base));
    let (mut scale, mut unit) = (1, 0);
    let tenths = |scale| (octets * 10 + scale / 2) / scale;
    // What rounds up to the next unit is one of it.
    while tenths(scale) >= base * 10 && unit + 1 < units.len() {
        scale *= base;
        unit += 1;
    }
    match tenths(scale) % 10 {
        0 => format!("{} {}", tenths(scale) / 10, units[unit]),
        tenth => format!("{}.{tenth} {}", tenths(scale) / 10, units[unit]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_told_to_a_tenth() {
        let told = [0, 999, 1000, 1_920_383_410_176, u64::MAX].map(decimal);
        assert_eq!(told, ["0 B", "999 B", "1 kB", "1.9 TB", "18446.7 PB"]);
        let told = [1023, 1536, 512 << 30, (4 << 30) - (90 << 20), (1 << 30) - 1].map(binary);
        assert_eq!(told, ["1023 B", "1.5 KiB", "512 GiB", "3.9 GiB", "1 GiB"]);
    }
}
