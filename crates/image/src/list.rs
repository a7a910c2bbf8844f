//! What is in images, read from `installer.list` and `os.list`.

const INSTALLER: &str = include_str!("installer.list");
const OS: &str = include_str!("os.list");

/// The sections of the list, in its order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct List {
    /// Modules that are loaded before anything is looked for.
    pub(crate) at_once: Vec<String>,
    /// Modules that a device asks for.
    pub(crate) by_device: Vec<String>,
    /// Packages whose programs are taken.
    pub(crate) packages: Vec<String>,
    /// Programs, by the names of their files.
    pub(crate) programs: Vec<String>,
    /// Files besides, by their paths.
    pub(crate) files: Vec<String>,
    /// Directories that are there and empty.
    pub(crate) directories: Vec<String>,
    /// What GRUB is made of, whoever starts it.
    pub(crate) grub: Vec<String>,
    /// The same, started by a BIOS.
    pub(crate) grub_bios: Vec<String>,
    /// The same, started by UEFI.
    pub(crate) grub_uefi: Vec<String>,
}

/// What is in an installer.
pub(crate) fn installer() -> List {
    // They are parts of this program, and the tests read them: a line that says nothing cannot come this far.
    read(INSTALLER).unwrap_or_default()
}

/// What is in every operating system.
pub(crate) fn os() -> List {
    read(OS).unwrap_or_default()
}

/// Reads a list; what is wrong with it is a sentence.
fn read(text: &str) -> Result<List, String> {
    let mut list = List::default();
    let mut section: Option<&mut Vec<String>> = None;
    for line in text.lines() {
        let (names, reason) = line.split_once('#').unwrap_or((line, ""));
        let names = names.trim();
        if names.is_empty() {
            continue;
        }
        if names.starts_with('[') {
            section = Some(match names {
                "[modules loaded at once]" => &mut list.at_once,
                "[modules by device]" => &mut list.by_device,
                "[packages]" => &mut list.packages,
                "[programs]" => &mut list.programs,
                "[files]" => &mut list.files,
                "[directories]" => &mut list.directories,
                "[grub modules]" => &mut list.grub,
                "[grub modules for BIOS]" => &mut list.grub_bios,
                "[grub modules for UEFI]" => &mut list.grub_uefi,
                _ => return Err(format!("{names} is no section")),
            });
            continue;
        }
        if reason.trim().is_empty() {
            return Err(format!("{names} has no reason"));
        }
        let Some(section) = section.as_deref_mut() else { return Err(format!("{names} is in no section")) };
        for name in names.split_whitespace() {
            if section.iter().any(|there| there == name) {
                return Err(format!("{name} is there twice"));
            }
            section.push(name.to_owned());
        }
    }
    Ok(list)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_installer_has_what_it_installs_with() {
        let list = read(INSTALLER).expect("a list");
        assert_eq!(list, installer());
        assert!(list.by_device.iter().any(|name| name == "virtio_net"));
        assert!(!list.by_device.iter().any(|name| list.at_once.contains(name)));
        assert_eq!(list.programs, ["mke2fs", "mkfs.vfat", "mdadm", "lvm"]);
        for name in ["dm_mod", "raid1", "raid10", "ext4", "vfat", "nls_ascii", "nls_cp437", "softdog"] {
            assert!(list.at_once.iter().any(|it| it == name), "{name}");
        }
    }

    #[test]
    fn a_system_starts_and_is_reached() {
        let list = read(OS).expect("a list");
        assert_eq!(list, os());
        assert_eq!(list, List { packages: list.packages.clone(), ..List::default() });
        for name in ["systemd-sysv", "openssh-server", "lvm2", "mdadm", "initramfs-tools"] {
            assert!(list.packages.iter().any(|it| it == name), "{name}");
        }
        // It comes with the installer, for all images.
        assert!(!list.packages.iter().any(|it| it.contains("grub")));
    }

    #[test]
    fn a_line_without_section_or_reason_is_refused() {
        for (text, why) in [
            ("ext4 # disks", "ext4 is in no section"),
            ("[programs]\nlvm", "lvm has no reason"),
            ("[programmes]", "[programmes] is no section"),
            ("[programs]\nlvm # volumes\nlvm # more", "lvm is there twice"),
        ] {
            assert_eq!(read(text), Err(why.to_owned()));
        }
    }
}
