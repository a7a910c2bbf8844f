//! What every program expects to be mounted.

use nix::errno::Errno;
use nix::mount::{MsFlags, mount};
use std::fs;
use std::path::Path;

struct Mount {
    kind: &'static str,
    at: &'static str,
    flags: MsFlags,
    options: &'static str,
    /// Only where this is there.
    needs: Option<&'static str>,
}

const QUIET: MsFlags = MsFlags::MS_NOSUID.union(MsFlags::MS_NODEV).union(MsFlags::MS_NOEXEC);

/// In this order. An initramfs begins with none: the kernel mounts even devtmpfs only on a root that it found itself.
const MOUNTS: [Mount; 7] = [
    Mount { kind: "devtmpfs", at: "/dev", flags: MsFlags::MS_NOSUID, options: "mode=0755", needs: None },
    Mount { kind: "proc", at: "/proc", flags: QUIET, options: "", needs: None },
    Mount { kind: "sysfs", at: "/sys", flags: QUIET, options: "", needs: None },
    Mount {
        kind: "efivarfs",
        at: "/sys/firmware/efi/efivars",
        flags: QUIET,
        options: "",
        needs: Some("/sys/firmware/efi"),
    },
    Mount {
        kind: "devpts",
        at: "/dev/pts",
        flags: MsFlags::MS_NOSUID,
        options: "mode=0620,gid=5",
        needs: None,
    },
    Mount {
        kind: "tmpfs",
        at: "/run",
        flags: MsFlags::MS_NOSUID.union(MsFlags::MS_NODEV),
        options: "mode=0755",
        needs: None,
    },
    Mount {
        kind: "tmpfs",
        at: "/tmp",
        flags: MsFlags::MS_NOSUID.union(MsFlags::MS_NODEV),
        options: "mode=1777",
        needs: None,
    },
];

/// Mounts what is not mounted yet. Gives what could not be: a machine without one of them may still say so to its controller.
pub(super) fn mount_all() -> Vec<String> {
    let mut problems = Vec::new();
    for Mount { kind, at, flags, options, needs } in MOUNTS {
        if needs.is_some_and(|needs| !Path::new(needs).exists()) {
            continue;
        }
        let mounted = fs::create_dir_all(at).map_err(|error| error.to_string()).and_then(|()| {
            match mount(Some(kind), at, Some(kind), flags, Some(options)) {
                // Mounted before: the first process was started anew, or by somebody's script.
                Ok(()) | Err(Errno::EBUSY) => Ok(()),
                // A module that is loaded later, if at all; its own driver mounts nothing.
                Err(Errno::ENODEV) if kind == "efivarfs" => Ok(()),
                Err(error) => Err(error.to_string()),
            }
        });
        if let Err(error) = mounted {
            problems.push(format!("failed to mount {kind} on {at}: {error}"));
        }
    }
    problems
}
