//! What asks (firmware, boot loader, operating system), and the boot file that it is told.
//!
//! A machine walks `firmware → iPXE → its boot script`: firmware gets iPXE, by TFTP or by HTTP as it can, iPXE gets
//! its location's script, and an operating system gets no boot file at all.

use model::design::Audience;
use model::facts::Stage;
use model::view::Boot;
use model::{DeviceId, InterfaceId, View};
use std::borrow::Cow;
use std::net::Ipv4Addr;
use wire::dhcp4::{Message, code};

/// Processor and firmware, as far as there is a loader for it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Architecture {
    Bios,
    Uefi64,
    UefiArm64,
}

impl Architecture {
    /// From a value of Option 93 (IANA, "Processor Architecture Types"). 9 is x86-64 by the registry's errata and 7 was
    /// EFI byte code, but firmware sends 7 for x86-64, and some 9: both get the same. 6, 10, 15 and 18 (32-bit UEFI)
    /// have no loader, so they get an address and no boot file.
    fn from_value(value: u16) -> Option<Self> {
        match value {
            0 => Some(Self::Bios),
            7 | 9 | 16 => Some(Self::Uefi64),
            11 | 19 => Some(Self::UefiArm64),
            _ => None,
        }
    }

    fn loader(self) -> &'static str {
        match self {
            Self::Bios => "undionly.kpxe",
            Self::Uefi64 => "ipxe.efi",
            Self::UefiArm64 => "ipxe-arm64.efi",
        }
    }
}

/// What asks on this interface.
pub(super) fn stage(view: &View, message: &Message<'_>, interface: InterfaceId) -> Stage {
    if view.plan.interface(interface).audience == Audience::Bmc {
        return Stage::Bmc;
    }
    // iPXE keeps the vendor class of the firmware under it, so it is asked first; or it would be given itself for ever.
    if message.has_user_class(b"iPXE") || message.option(code::IPXE).is_some() {
        return Stage::Ipxe;
    }
    let class = message.vendor_class();
    if class.starts_with(b"HTTPClient") {
        return Stage::UefiHttp;
    }
    if !class.starts_with(b"PXEClient") {
        return Stage::Os;
    }
    match values(message).next() {
        Some(0) | None => Stage::BiosPxe,
        Some(_) => Stage::UefiPxe,
    }
}

/// The values of Option 93, or the one that the vendor class spells (`PXEClient:Arch:00007:UNDI:003016`).
fn values<'m>(message: &'m Message<'_>) -> impl Iterator<Item = u16> + 'm {
    let spelt = || {
        let text = message.vendor_class().split(|octet| *octet == b':').nth(2)?;
        std::str::from_utf8(text).ok()?.parse().ok()
    };
    let none = message.architectures().next().is_none();
    message.architectures().chain(none.then(spelt).flatten())
}

/// The boot file for this stage, as the firmware takes it: a name for TFTP or a URL. `None`: it gets none.
pub(super) fn file(
    view: &View,
    message: &Message<'_>,
    device: DeviceId,
    stage: Stage,
) -> Option<Cow<'static, str>> {
    match view.boot.boots.get(device.index())? {
        Boot::Image(_) | Boot::Installer { .. } | Boot::NotArmed | Boot::Maintenance { .. } => {}
        // Its own disk: without a boot file firmware goes on to it at once, and needs nothing of us.
        Boot::LocalDisk | Boot::Nothing | Boot::Retired => return None,
    }
    let server = *view.dhcp.servers.first()?;
    // The first that there is a loader for: lists name the best first.
    let loader = || values(message).find_map(Architecture::from_value).map(Architecture::loader);
    match stage {
        Stage::BiosPxe | Stage::UefiPxe => Some(Cow::Borrowed(loader()?)),
        Stage::UefiHttp => Some(Cow::Owned(url(view, server, &format!("loader/{}", loader()?)))),
        Stage::Ipxe => {
            let location = view.plan.design.devices[device.index()].location.as_str();
            Some(Cow::Owned(url(view, server, &format!("{location}.ipxe"))))
        }
        Stage::Os | Stage::Bmc => None,
    }
}

/// With an address and not a name: firmware that puts the URL into its device path may have no resolver there
/// (ipxe/ipxe#1316).
fn url(view: &View, server: Ipv4Addr, path: &str) -> String {
    match view.boot.site.ports.boot {
        80 => format!("http://{server}/boot/{path}"),
        port => format!("http://{server}:{port}/boot/{path}"),
    }
}
