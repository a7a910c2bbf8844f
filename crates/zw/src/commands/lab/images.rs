//! Images that real machines of the lab boot, or get on their disks, and that are not there yet: they are built first.
//!
//! Only what `zw image build` would write to the very place that the design names, and only for machines that are real: to the others a file
//! of any kind is a kernel.

use crate::commands::image;
use ::image::manifest;
use lab::vm;
use model::design::Image;
use model::roster::Target;
use model::{DeviceId, Plan, Roster};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// The files of an installer, beside its kernel.
const KERNEL: &str = "vmlinuz";
const INITRDS: [&str; 2] = ["installer.img", "agent.img"];

/// Builds what is missing. A failure is told already.
pub(super) fn provide(plan: &Plan, design: &Path, machines: &[vm::Choice]) -> Result<(), ExitCode> {
    let roster = Roster::of(plan);
    let devices = machines.iter().filter_map(|choice| match roster.find(plan, &choice.target)? {
        Target::Device(device) => Some(device),
        Target::Interface(interface) => Some(plan.interface(interface).device),
    });
    let mut done: Vec<PathBuf> = Vec::new();
    for device in devices {
        let installer = plan.design.image_of(device).and_then(installer);
        for (directory, is_os) in [(installer, false), (system(plan, device), true)] {
            let Some(directory) = directory.map(|directory| design.join(directory)) else { continue };
            let is_there =
                if is_os { directory.join(manifest::FILE) } else { directory.join(KERNEL) }.exists();
            if is_there || done.contains(&directory) {
                continue;
            }
            say(&format!("{} is not there, and is built; that is once\n", directory.display()));
            if is_os { image::os_for_lab(&directory) } else { image::installer_for_lab(&directory) }?;
            done.push(directory);
        }
    }
    Ok(())
}

/// Where the installer is to be, if what is booted is one: a kernel and initial RAM disks as we make them.
fn installer(image: &Image) -> Option<PathBuf> {
    let directory = Path::new(&image.kernel).parent()?;
    let is_ours = image.kernel == directory.join(KERNEL).to_string_lossy()
        && !image.initrd.is_empty()
        && image.initrd.iter().all(|file| INITRDS.iter().any(|name| Path::new(file) == directory.join(name)));
    is_ours.then(|| directory.to_owned())
}

/// Where the operating system is to be; `None` if there is none, or if it must be a certain one.
fn system(plan: &Plan, device: DeviceId) -> Option<PathBuf> {
    let os = &plan.design.systems[lifecycle::installing::role_of(plan, device)?.os?.index()];
    os.digest.is_none().then(|| PathBuf::from(&os.image))
}

fn say(text: &str) {
    // If nobody listens there is nobody to tell.
    let _ = anstream::stderr().write_all(text.as_bytes());
}
