//! What the agent itself puts into a system, as texts: its service, and what is mounted.

use super::grub;
use api::install::{Slot, Volume};

/// The agent in an installed system.
pub(super) const AGENT: &str = "/usr/lib/zonewright/zw-agent";
/// Its service.
pub(super) const UNIT: &str = "/etc/systemd/system/zw-agent.service";
/// What starts it.
pub(super) const WANTED: (&str, &str) =
    ("/etc/systemd/system/multi-user.target.wants/zw-agent.service", "../zw-agent.service");
/// Where the EFI system partition is mounted by who wants to see it.
pub(super) const ESP: &str = "/boot/efi";

/// What it needs of the zone stands on the kernel's command line.
pub(super) const SERVICE: &str = "\
[Unit]
Description=Zonewright agent
After=network.target
StartLimitIntervalSec=0

[Service]
ExecStart=/usr/lib/zonewright/zw-agent
Restart=always
RestartSec=2
StateDirectory=zonewright-agent
StateDirectoryMode=0700

[Install]
WantedBy=multi-user.target
";

/// Ends a trial in which the agent does not even start: what it would need may be what is broken.
pub(super) const TRIAL_UNIT: &str = "/etc/systemd/system/zw-trial.service";
/// Its timer.
pub(super) const TRIAL_TIMER: &str = "/etc/systemd/system/zw-trial.timer";
/// What starts that, before anything else that may fail.
pub(super) const TRIAL_WANTED: (&str, &str) =
    ("/etc/systemd/system/sysinit.target.wants/zw-trial.timer", "../zw-trial.timer");
/// Is there when the trial is over.
pub(super) const CONFIRMED: &str = "/run/zonewright-confirmed";
/// How long after the agent should have restarted the machine.
const TRIAL_GRACE_SECONDS: u32 = 120;

/// The text of [`TRIAL_UNIT`].
pub(super) fn trial_unit() -> String {
    format!(
        "[Unit]\n\
         Description=End of the trial of this system\n\
         DefaultDependencies=no\n\
         ConditionKernelCommandLine=zw.trial\n\
         ConditionPathExists=!{CONFIRMED}\n\
         \n\
         [Service]\n\
         Type=oneshot\n\
         ExecStart=/bin/systemctl reboot --force\n"
    )
}

/// The text of [`TRIAL_TIMER`].
pub(super) fn trial_timer(trial_seconds: u32) -> String {
    let seconds = trial_seconds.saturating_add(TRIAL_GRACE_SECONDS);
    format!(
        "[Unit]\n\
         Description=End of the trial of this system\n\
         DefaultDependencies=no\n\
         ConditionKernelCommandLine=zw.trial\n\
         \n\
         [Timer]\n\
         OnBootSec={seconds}s\n\
         AccuracySec=1s\n"
    )
}

/// The last end of a trial, in seconds: the initial RAM disk's, where not even systemd comes as far as its timer.
pub(super) fn trial_limit(trial_seconds: u32) -> u32 {
    trial_seconds.saturating_add(2 * TRIAL_GRACE_SECONDS)
}

/// `/etc/fstab` of a new system. The EFI system partitions all have one id, so that any of them serves.
pub(super) fn fstab(slot: Slot, esp: u32, volumes: &[Volume]) -> String {
    let (high, low) = (esp >> 16, esp & 0xffff);
    let mut text = root_line(slot);
    text.push_str(&format!("UUID={high:04X}-{low:04X} {ESP} vfat umask=0077,noauto,nofail 0 0\n"));
    for volume in volumes {
        let device = grub::device(&volume.name);
        text.push_str(&format!("{device} {} ext4 defaults,nofail 0 2\n", volume.mount));
    }
    text
}

fn root_line(slot: Slot) -> String {
    format!("{} / ext4 errors=remount-ro 0 1\n", grub::device(&grub::volume(slot)))
}

/// The running system's `/etc/fstab` for the other slot: another root, all else as it is.
pub(super) fn fstab_for_upgrade(running: &str, slot: Slot) -> String {
    let is_root =
        |line: &&str| line.split_whitespace().nth(1) == Some("/") && !line.trim_start().starts_with('#');
    let rest = running.lines().filter(|line| !is_root(line)).map(|line| format!("{line}\n"));
    root_line(slot) + &rest.collect::<String>()
}

/// Where things are mounted, by an `/etc/fstab`: directories that must be there.
pub(super) fn mount_points(fstab: &str) -> Vec<String> {
    let points = fstab.lines().filter(|line| !line.trim_start().starts_with('#')).filter_map(|line| {
        let point = line.split_whitespace().nth(1)?;
        (point.len() > 1 && point.starts_with('/') && !point.contains('\\')).then(|| point.to_owned())
    });
    points.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use api::install::Filesystem;
    use expect_test::expect;

    #[test]
    fn a_trial_ends_without_the_agent_too_and_only_a_trial() {
        assert!(trial_timer(900).contains("OnBootSec=1020s\n"));
        assert!(trial_timer(u32::MAX).contains("OnBootSec=4294967295s\n"));
        for text in [trial_unit(), trial_timer(1)] {
            assert!(text.contains("\nConditionKernelCommandLine=zw.trial\n"), "{text}");
        }
    }

    #[test]
    fn the_other_slot_mounts_what_this_one_mounts() {
        let data = Volume {
            name: "data".into(),
            bytes: None,
            mount: "/srv/data".into(),
            filesystem: Filesystem::Ext4,
        };
        let first = fstab(Slot::A, 0x0a2b_3c4d, &[data]);
        expect![[r#"
            /dev/mapper/zw-root_a / ext4 errors=remount-ro 0 1
            UUID=0A2B-3C4D /boot/efi vfat umask=0077,noauto,nofail 0 0
            /dev/mapper/zw-data /srv/data ext4 defaults,nofail 0 2
        "#]]
        .assert_eq(&first);
        let edited = format!("# / of old\n{first}nas:/x /mnt/x nfs defaults 0 0\nnone none swap sw 0 0\n");
        let second = fstab_for_upgrade(&edited, Slot::B);
        expect![[r##"
            /dev/mapper/zw-root_b / ext4 errors=remount-ro 0 1
            # / of old
            UUID=0A2B-3C4D /boot/efi vfat umask=0077,noauto,nofail 0 0
            /dev/mapper/zw-data /srv/data ext4 defaults,nofail 0 2
            nas:/x /mnt/x nfs defaults 0 0
            none none swap sw 0 0
        "##]]
        .assert_eq(&second);
        assert_eq!(mount_points(&second), ["/boot/efi", "/srv/data", "/mnt/x"]);
    }
}
