//! GRUB on a disk: its texts, its environment block, and how it lies where a BIOS starts it. Texts and octets alone.

use api::install::{Slot, VOLUME_GROUP};

/// Octets of an environment block. GRUB writes into it in place and never makes it longer.
const ENVIRONMENT: usize = 1024;
const SIGNATURE: &str = "# GRUB Environment Block\n";
/// Longer command lines are cut by the kernel (2048 octets on x86), and what stands before takes some of it.
const ARGUMENTS_MAX: usize = 1700;
const SECTOR: usize = 512;
/// Code of the master boot record, before the disk's signature and the partitions.
const BOOT_CODE: usize = 440;

/// `zw/grub.cfg`: the same on every machine. The trial is cleared on disk before it is started; if it cannot be, there is none.
/// An environment that cannot be read starts a slot that is whole.
pub(super) const CONFIG: &str = r#"set zw_good=
set zw_try=
set zw_trial=
load_env --file ($root)/zw/env zw_good zw_try
set slot=$zw_good
if [ -n "$zw_try" ]; then
  set trial=$zw_try
  set zw_try=
  if save_env --file ($root)/zw/env zw_try; then
    set slot=$trial
    set zw_trial=zw.trial
  fi
fi
if [ -z "$slot" ]; then
  for each in b a; do
    if [ -f ($root)/$each/slot.json ]; then set slot=$each; fi
  done
fi
source ($root)/$slot/boot.cfg
echo "zonewright: slot $slot does not start; the machine restarts in 10 seconds"
sleep 10
reboot
"#;

/// What `zw/env` says.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Environment {
    /// The slot that is started.
    pub good: Option<Slot>,
    /// The slot that is started once.
    pub trial: Option<Slot>,
}

impl Environment {
    /// As GRUB and `grub-editenv` write it.
    pub(crate) fn write(self) -> Vec<u8> {
        let letter = |slot: Option<Slot>| slot.map_or("", Slot::letter);
        let mut text = format!("{SIGNATURE}zw_good={}\nzw_try={}\n", letter(self.good), letter(self.trial));
        text.extend(std::iter::repeat_n('#', ENVIRONMENT - text.len()));
        text.into_bytes()
    }

    /// What GRUB would read; damaged, nothing.
    pub(crate) fn read(octets: &[u8]) -> Self {
        let text = String::from_utf8_lossy(octets);
        let Some(lines) = text.strip_prefix(SIGNATURE) else { return Self::default() };
        let slot = |name: &str| {
            let value = lines.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='))?;
            self::slot(value)
        };
        Self { good: slot("zw_good"), trial: slot("zw_try") }
    }
}

/// The slot of this letter.
pub(super) fn slot(letter: &str) -> Option<Slot> {
    [Slot::A, Slot::B].into_iter().find(|slot| slot.letter() == letter)
}

/// The logical volume of a slot.
pub(super) fn volume(slot: Slot) -> String {
    format!("root_{}", slot.letter())
}

/// A logical volume's device. No name of ours has a `-`, which would be doubled there.
pub(super) fn device(volume: &str) -> String {
    format!("/dev/mapper/{VOLUME_GROUP}-{volume}")
}

/// `boot.cfg` of a slot: its kernel with its command line. `esp` is the volume id of this system's EFI system partitions: by it what runs
/// finds them again. `trial_limit`: after so many seconds its initial RAM disk ends a trial that nobody else ended.
pub(super) fn boot(slot: Slot, esp: u32, trial_limit: u32, arguments: &str) -> Result<String, String> {
    if arguments.len() > ARGUMENTS_MAX {
        return Err(format!("the order's command line has more than {ARGUMENTS_MAX} octets"));
    }
    // Each word stands in quotes, in which GRUB knows nothing but their end.
    if let Some(bad) = arguments.chars().find(|letter| !(' '..='~').contains(letter) || *letter == '\'') {
        return Err(format!("the order's command line has a {bad:?}, which grub cannot pass on"));
    }
    let words: String = arguments.split_ascii_whitespace().map(|word| format!(" '{word}'")).collect();
    let (letter, root) = (slot.letter(), device(&volume(slot)));
    // A panic is the end of a trial; the order's own `panic=` stands later, and counts. `zw_trial` is `zw.trial` in a trial, else nothing.
    Ok(format!(
        "linux ($root)/{letter}/vmlinuz root={root} ro zw.slot={letter} zw.esp={esp:08x} panic=30 zw.trial_limit={trial_limit} $zw_trial{words}\n\
         initrd ($root)/{letter}/initrd\n\
         boot\n"
    ))
}

/// Puts GRUB's first sector into a master boot record and tells it where its core is (`grub-core/boot/i386/pc/boot.S`): `kernel_sector`
/// at 0x5c, and at 0x66 a jump that would only be right for floppies. Gives the core with its own list of sectors, which says
/// that all are in one piece (`diskboot.S`). Sectors have 512 octets.
pub(super) fn for_bios(
    record: &mut [u8],
    boot: &[u8],
    core: &[u8],
    (first, last): (u64, u64),
) -> Result<Vec<u8>, String> {
    let sectors = core.len().div_ceil(SECTOR);
    let room = usize::try_from(last + 1 - first).unwrap_or(0);
    if boot.len() != SECTOR || record.len() < SECTOR || core.len() <= SECTOR || sectors > room {
        return Err(
            "the installer's files of grub are not what they should be: build the installer anew".into()
        );
    }
    record[..BOOT_CODE].copy_from_slice(&boot[..BOOT_CODE]);
    record[0x5c..0x64].copy_from_slice(&first.to_le_bytes());
    record[0x66..0x68].copy_from_slice(&[0x90, 0x90]);
    record[510..512].copy_from_slice(&[0x55, 0xaa]);
    let mut core = core.to_vec();
    core.resize(sectors * SECTOR, 0);
    let rest = u16::try_from(sectors - 1).map_err(|_| "grub's core is too long")?;
    core[500..508].copy_from_slice(&(first + 1).to_le_bytes());
    core[508..510].copy_from_slice(&rest.to_le_bytes());
    // Where it is loaded to: 0x8200.
    core[510..512].copy_from_slice(&0x0820_u16.to_le_bytes());
    Ok(core)
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};

    #[test]
    fn an_environment_is_read_as_it_was_written_and_as_grub_leaves_it() {
        let written = Environment { good: Some(Slot::A), trial: Some(Slot::B) };
        let octets = written.write();
        assert_eq!(octets.len(), 1024);
        assert_eq!(Environment::read(&octets), written);
        let check = |text: &str, expected: Expect| {
            let read = Environment::read(text.as_bytes());
            expected.assert_eq(&format!("{:?} {:?}", read.good, read.trial));
        };
        check("# GRUB Environment Block\nzw_good=b\nzw_try=\n###", expect!["Some(B) None"]);
        check("# GRUB Environment Block\nzw_good=ab\nzw_tryst=a\n###", expect!["None None"]);
        check("zw_good=b\n", expect!["None None"]);
        check("", expect!["None None"]);
    }

    #[test]
    fn a_damaged_environment_names_a_slot_or_nothing() {
        let octets = Environment { good: Some(Slot::A), trial: Some(Slot::B) }.write();
        for at in 0..64 {
            for damage in [0, 0x0a, 0x3d, 0xff] {
                let mut octets = octets.clone();
                octets[at] = damage;
                let read = Environment::read(&octets);
                assert!(read.good != Some(Slot::B) && read.trial != Some(Slot::A), "{at} {damage}: {read:?}");
            }
        }
        for length in 0..octets.len() {
            let read = Environment::read(&octets[..length]);
            assert!(read.good != Some(Slot::B), "{length}");
        }
    }

    #[test]
    fn a_command_line_reaches_the_kernel_as_it_is_or_not_at_all() {
        let check = |arguments: &str, expected: Expect| {
            let text = boot(Slot::B, 0x1a2b_3c4d, 1140, arguments);
            expected.assert_eq(&text.unwrap_or_else(|error| error));
        };
        check(
            "console=ttyS0  zw.location=ams1/u1 x=$root;reboot",
            expect![[r#"
                linux ($root)/b/vmlinuz root=/dev/mapper/zw-root_b ro zw.slot=b zw.esp=1a2b3c4d panic=30 zw.trial_limit=1140 $zw_trial 'console=ttyS0' 'zw.location=ams1/u1' 'x=$root;reboot'
                initrd ($root)/b/initrd
                boot
            "#]],
        );
        check("a='b'", expect![[r#"the order's command line has a '\'', which grub cannot pass on"#]]);
        check("a\nreboot", expect![[r#"the order's command line has a '\n', which grub cannot pass on"#]]);
        check(&"x".repeat(1701), expect!["the order's command line has more than 1700 octets"]);
    }

    #[test]
    fn the_boot_record_keeps_its_partitions() {
        let mut record = [7_u8; 512];
        let core = for_bios(&mut record, &[1; 512], &[2; 1025], (34, 2047)).expect("good files");
        assert_eq!((record[0], record[439], record[440], record[509]), (1, 1, 7, 7));
        assert_eq!(record[0x5c..0x68], [34, 0, 0, 0, 0, 0, 0, 0, 1, 1, 0x90, 0x90]);
        assert_eq!(core.len(), 1536);
        assert_eq!(core[500..512], [35, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0x20, 0x08]);
        assert!(for_bios(&mut record, &[1; 512], &[2; 1025], (34, 35)).is_err(), "no room");
        assert!(for_bios(&mut record, &[1; 511], &[2; 1025], (34, 2047)).is_err(), "no boot.img");
    }
}
