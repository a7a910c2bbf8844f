//! Quantities with units, as people write them: `512GiB`, `1.9TB`, `12h`, `25G`.

/// Bytes: decimal units (`GB`) and binary ones (`GiB`).
pub(crate) fn bytes(text: &str) -> Option<u64> {
    scaled(text, |unit| {
        Some(match unit {
            "B" => 1,
            "kB" | "KB" => 1_000,
            "MB" => 1_000_000,
            "GB" => 1_000_000_000,
            "TB" => 1_000_000_000_000,
            "PB" => 1_000_000_000_000_000,
            "KiB" => 1 << 10,
            "MiB" => 1 << 20,
            "GiB" => 1 << 30,
            "TiB" => 1 << 40,
            "PiB" => 1 << 50,
            _ => return None,
        })
    })
}

/// Seconds: `90s`, `30m`, `12h`, `7d`.
pub(crate) fn seconds(text: &str) -> Option<u64> {
    scaled(text, |unit| {
        Some(match unit {
            "s" => 1,
            "m" => 60,
            "h" => 3_600,
            "d" => 86_400,
            _ => return None,
        })
    })
}

/// Mbit/s: `1000M`, `25G`, with or without `bit/s`.
pub(crate) fn megabits(text: &str) -> Option<u64> {
    scaled(text, |unit| {
        Some(match unit.strip_suffix("bit/s").or_else(|| unit.strip_suffix("bit")).unwrap_or(unit) {
            "M" => 1,
            "G" => 1_000,
            _ => return None,
        })
    })
}

/// A decimal number with at most nine digits after the point, and a unit. Exact: no floating point.
fn scaled(text: &str, unit: impl Fn(&str) -> Option<u64>) -> Option<u64> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.')?;
    let (number, rest) = text.split_at(end);
    let scale = u128::from(unit(rest.trim_start())?);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    if whole.is_empty() || fraction.is_empty() || fraction.len() > 9 || fraction.contains('.') {
        return None;
    }
    let divisor = 10u128.pow(fraction.len() as u32);
    let whole: u64 = whole.parse().ok()?;
    let fraction: u64 = fraction.parse().ok()?;
    let units = u128::from(whole) * divisor + u128::from(fraction);
    u64::try_from(units * scale / divisor).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities() {
        assert_eq!(bytes("512GiB"), Some(512 << 30));
        assert_eq!(bytes("1.9TB"), Some(1_900_000_000_000));
        assert_eq!(bytes("480 GB"), Some(480_000_000_000));
        assert_eq!(seconds("12h"), Some(43_200));
        assert_eq!(megabits("25G"), Some(25_000));
        assert_eq!(megabits("2.5Gbit/s"), Some(2_500));
    }

    #[test]
    fn what_is_no_quantity() {
        for text in [
            "",
            "GB",
            "12",
            "1.TB",
            ".5TB",
            "1.2.3TB",
            "12 gb",
            "-1GB",
            "99999999999999999999GB",
            "9999999PB",
        ] {
            assert_eq!(bytes(text), None, "{text}");
        }
    }
}
