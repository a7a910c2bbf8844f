//! Any text is run as a script, within bounds. The checks are those of the fuzz target `boot_script`, which includes this
//! file; here they run with a fixed seed.

use super::{Fetching, Platform, Script, Step};

/// What the settings and steps of a script may hold together, in octets.
const HELD_MAX: usize = 1 << 20;

/// A script, run by a world in which every second thing works. The first octet chooses the platform.
pub(crate) fn boot_script(data: &[u8]) {
    let Some((first, text)) = data.split_first() else { return };
    let platform = if first & 1 == 0 { Platform::Bios } else { Platform::Uefi };
    let mut script = Script::new(&String::from_utf8_lossy(text), platform);
    let mut worked = true;
    for _ in 0..64 {
        let step = script.next(worked);
        match &step {
            Step::Exit { why, .. } => return assert!(why.len() < HELD_MAX),
            Step::Say(words) => assert!(words.len() < HELD_MAX),
            Step::Fetch { what, url, arguments } => {
                assert!(!url.is_empty() && url.len() + arguments.len() < HELD_MAX);
                assert!(matches!(what, Fetching::Kernel | Fetching::Initrd | Fetching::Chain));
            }
            Step::Free | Step::Boot | Step::LocalDisk | Step::Sleep(_) => {}
        }
        worked = !worked;
    }
}
