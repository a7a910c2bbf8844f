//! What the kernel counted: machine checks, memory errors, throttling. What a machine does not count stays 0.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

/// `/proc/interrupts` of a machine with a thousand CPUs.
const FILE_MAX: u64 = 32 << 20;

/// Counts since the machine started.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Counts {
    /// Machine check exceptions: errors that a CPU could not correct.
    machine_checks: u64,
    /// Memory errors that were not corrected.
    uncorrected: u64,
    /// Memory errors that were.
    corrected: u64,
    /// How often a core or a package was slowed down for heat.
    throttled: u64,
}

/// As they are now, of the file systems below `root`.
pub(super) fn counts(root: &Path) -> Counts {
    let memory = |file: &str| sum(&root.join("sys/devices/system/edac/mc"), "mc", file);
    let throttle = |file: &str| sum(&root.join("sys/devices/system/cpu"), "cpu", file);
    Counts {
        machine_checks: machine_checks(&root.join("proc/interrupts")),
        uncorrected: memory("ue_count"),
        corrected: memory("ce_count"),
        throttled: throttle("thermal_throttle/core_throttle_count")
            + throttle("thermal_throttle/package_throttle_count"),
    }
}

/// What was counted between, for what was found by then: some of it is a failure by itself.
pub(super) fn judged(before: Counts, after: Counts, found: Result<String, String>) -> Result<String, String> {
    let since = |count: fn(&Counts) -> u64| count(&after).saturating_sub(count(&before));
    let told = |kinds: &[(u64, &str)]| {
        let kinds = kinds.iter().filter(|(count, _)| *count > 0);
        kinds.map(|(count, words)| format!("{count} {words}")).collect::<Vec<_>>().join(", ")
    };
    let wrong = told(&[
        (since(|counts| counts.machine_checks), "machine checks"),
        (since(|counts| counts.uncorrected), "uncorrected memory errors"),
    ]);
    let notable = told(&[
        (since(|counts| counts.corrected), "corrected memory errors"),
        (since(|counts| counts.throttled), "times that CPUs were throttled"),
    ]);
    let with = |sentence: String, counted: &str| match counted {
        "" => sentence,
        counted => format!("{sentence}; the kernel counted {counted}"),
    };
    match found {
        Ok(sentence) if wrong.is_empty() => Ok(with(sentence, &notable)),
        Ok(sentence) => Err(with(with(sentence, &wrong), &notable)),
        Err(sentence) => Err(with(with(sentence, &wrong), &notable)),
    }
}

/// The sum of a file's number in each directory of this name and a number.
fn sum(directory: &Path, name: &str, file: &str) -> u64 {
    let Ok(entries) = fs::read_dir(directory) else { return 0 };
    let numbers = entries.filter_map(|entry| {
        let entry = entry.ok()?;
        let number = entry.file_name().to_str()?.strip_prefix(name)?.parse::<u32>();
        number.ok()?;
        fs::read_to_string(entry.path().join(file)).ok()?.trim().parse::<u64>().ok()
    });
    numbers.fold(0, u64::saturating_add)
}

/// The line `MCE:`, a number for each CPU.
fn machine_checks(path: &Path) -> u64 {
    let Ok(file) = File::open(path) else { return 0 };
    let lines = BufReader::new(file.take(FILE_MAX)).lines().map_while(Result::ok);
    let counts = lines.filter_map(|line| {
        let numbers = line.trim_start().strip_prefix("MCE:")?.split_ascii_whitespace();
        Some(numbers.map_while(|number| number.parse::<u64>().ok()).fold(0, u64::saturating_add))
    });
    counts.fold(0, u64::saturating_add)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_summed_and_told() {
        let root = std::env::temp_dir().join(format!("zw-agent-{}-counts", std::process::id()));
        let _ = fs::remove_dir_all(&root);
        let write = |path: &str, text: &str| {
            let path = root.join(path);
            fs::create_dir_all(path.parent().expect("below")).expect("made");
            fs::write(path, text).expect("written");
        };
        assert_eq!(counts(&root), Counts::default());
        write(
            "proc/interrupts",
            "      CPU0  CPU1\n 0:  7 8  IR-IO-APIC\nMCE:  1  2   Machine check exceptions\nMCP: 4 4 x\n",
        );
        write("sys/devices/system/edac/mc/mc0/ce_count", "3\n");
        write("sys/devices/system/edac/mc/mc1/ce_count", "2\n");
        write("sys/devices/system/edac/mc/mc1/ue_count", "1\n");
        write("sys/devices/system/cpu/cpu11/thermal_throttle/core_throttle_count", "9\n");
        write("sys/devices/system/cpu/cpufreq/thermal_throttle/core_throttle_count", "9\n");
        let found = counts(&root);
        fs::remove_dir_all(&root).expect("removed");
        assert_eq!(found, Counts { machine_checks: 3, uncorrected: 1, corrected: 5, throttled: 9 });
        let judge = |after, found: Result<&str, &str>| {
            judged(Counts::default(), after, found.map(str::to_owned).map_err(str::to_owned))
        };
        assert_eq!(judge(Counts::default(), Ok("good")), Ok("good".into()));
        let heat = Counts { throttled: 9, ..Counts::default() };
        assert_eq!(
            judge(heat, Ok("good")),
            Ok("good; the kernel counted 9 times that CPUs were throttled".into())
        );
        assert_eq!(
            judge(found, Ok("good")),
            Err("good; the kernel counted 3 machine checks, 1 uncorrected memory errors; the kernel counted 5 corrected memory errors, 9 times that CPUs were throttled".into())
        );
        assert_eq!(
            judge(heat, Err("bad")),
            Err("bad; the kernel counted 9 times that CPUs were throttled".into())
        );
    }
}
