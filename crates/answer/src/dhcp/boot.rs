//! What asks (firmware, boot loader, operating system), and the boot file that it is told.
//!
//! A machine walks `firmware → iPXE → its boot script`: firmware gets iPXE, by TFTP or by HTTP as it can, iPXE gets
//! its location's script, and an operating system gets no boot file at all.

use model::design::Audience;
use model::facts::Stage;
use model::view::Boot;
use model::{DeviceId, View};
use std::borrow::Cow;
use std::net::IpAddr;
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
            BIOS => Some(Self::Bios),
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

/// The value of a BIOS.
const BIOS: u16 = 0;
/// The value of UEFI on x86-64, whatever else it says.
pub(crate) const UEFI: u16 = 7;

/// What asks on this interface.
pub(super) fn stage(message: &Message<'_>, audience: Audience) -> Stage {
    let is_ipxe = message.has_user_class(b"iPXE") || message.option(code::IPXE).is_some();
    let class = message.vendor_class();
    stage_of(audience, is_ipxe, class, values(class, message.architectures()).next())
}

/// What asks, of either family: by what it calls itself, and its first architecture.
pub(crate) fn stage_of(audience: Audience, is_ipxe: bool, class: &[u8], architecture: Option<u16>) -> Stage {
    if audience == Audience::Bmc {
        return Stage::Bmc;
    }
    // iPXE keeps the vendor class of the firmware under it, so it is asked first; or it would be given itself for ever.
    if is_ipxe {
        return Stage::Ipxe;
    }
    if class.starts_with(b"HTTPClient") {
        return Stage::UefiHttp;
    }
    if !class.starts_with(b"PXEClient") {
        return Stage::Os;
    }
    match architecture {
        Some(BIOS) | None => Stage::BiosPxe,
        Some(_) => Stage::UefiPxe,
    }
}

/// The architectures that are listed, or the one that the vendor class spells (`PXEClient:Arch:00007:UNDI:003016`).
pub(crate) fn values<'m>(
    class: &'m [u8],
    listed: impl Iterator<Item = u16> + 'm,
) -> impl Iterator<Item = u16> + 'm {
    let mut listed = listed.peekable();
    let spelt = || {
        let text = class.split(|octet| *octet == b':').nth(2)?;
        std::str::from_utf8(text).ok()?.parse().ok()
    };
    let spelt = if listed.peek().is_none() { spelt() } else { None };
    listed.chain(spelt)
}

/// The loader for the first of these architectures that there is one for: lists name the best first.
pub(crate) fn loader(mut architectures: impl Iterator<Item = u16>) -> Option<&'static str> {
    architectures.find_map(Architecture::from_value).map(Architecture::loader)
}

/// The same for firmware that loads by TFTP over IPv4: shim, where there is one, for the UEFI that it is for.
///
/// With Secure Boot on, firmware refuses iPXE, which nobody signed for it: OVMF 2022.11 fetches it whole and then says "Access Denied".
/// Nothing in a request tells whether it is on, so every UEFI gets shim, which starts GRUB. Not by HTTP: Debian's signed GRUB has no HTTP
/// and would stay at its prompt for ever, while a refused iPXE lets the firmware go on to its next option.
pub(super) fn loader_by_tftp(
    view: &View,
    mut architectures: impl Iterator<Item = u16>,
) -> Option<&'static str> {
    let architecture = architectures.find_map(Architecture::from_value)?;
    let is_shim = architecture == Architecture::Uefi64 && view.boot.files.contains_key("loader/shimx64.efi");
    Some(if is_shim { "shimx64.efi" } else { architecture.loader() })
}

/// Whether it is the machine's own disk that is to be booted.
pub(super) fn is_own_disk(view: &View, device: DeviceId) -> bool {
    view.boot.boots.get(device.index()) == Some(&Boot::LocalDisk)
}

/// Whether a machine boots anything by network.
pub(crate) fn is_booted(view: &View, device: DeviceId) -> bool {
    match view.boot.boots.get(device.index()) {
        Some(Boot::Image(_) | Boot::Installer { .. } | Boot::NotArmed | Boot::Maintenance { .. }) => true,
        Some(Boot::LocalDisk | Boot::Nothing | Boot::Retired) | None => false,
    }
}

/// The boot file for this stage, as the firmware takes it: a name for TFTP or a URL. `None`: it gets none.
///
/// Firmware that is to boot the own disk must be led there. OVMF 2022.11 takes no offer without a boot file: it asks four times and
/// waits a minute, and that for each of its boot options. By PXE it is told to stop (see `for_firmware`); for HTTP there is no such
/// word, so it gets iPXE, whose script ends with a failure, and the firmware goes on to its next option. iPXE that a BIOS started
/// goes on by itself, at once.
pub(super) fn file(
    view: &View,
    message: &Message<'_>,
    device: DeviceId,
    stage: Stage,
) -> Option<Cow<'static, str>> {
    let is_led = || match stage {
        Stage::UefiHttp => true,
        Stage::Ipxe => {
            values(message.vendor_class(), message.architectures()).next().is_some_and(|it| it != BIOS)
        }
        _ => false,
    };
    let has_file = is_booted(view, device) || is_own_disk(view, device) && is_led();
    if !has_file {
        return None;
    }
    let server = IpAddr::V4(*view.dhcp.servers.first()?);
    let architectures = || values(message.vendor_class(), message.architectures());
    match stage {
        Stage::BiosPxe | Stage::UefiPxe => Some(Cow::Borrowed(loader_by_tftp(view, architectures())?)),
        Stage::UefiHttp => Some(Cow::Owned(loader_url(view, server, device, loader(architectures())?))),
        Stage::Ipxe => Some(Cow::Owned(script(view, server, device))),
        Stage::Os | Stage::Bmc => None,
    }
}

/// The URL of a boot loader, for firmware that fetches it by HTTP, or by HTTPS where the role says that it knows our authority.
pub(crate) fn loader_url(view: &View, server: IpAddr, device: DeviceId, name: &str) -> String {
    let design = &view.plan.design;
    let is_secure = design.devices[device.index()].role.is_some_and(|role| design.roles[role.index()].https);
    url(view, server, is_secure, &format!("loader/{name}"))
}

/// The URL of a machine's boot script.
pub(crate) fn script(view: &View, server: IpAddr, device: DeviceId) -> String {
    let location = view.plan.design.devices[device.index()].location.as_str();
    url(view, server, false, &format!("{location}.ipxe"))
}

/// With an address and not a name: firmware that puts the URL into its device path may have no resolver there
/// (ipxe/ipxe#1316).
fn url(view: &View, server: IpAddr, is_secure: bool, path: &str) -> String {
    format!("{}/boot/{path}", render::ipxe::base(server, view.boot.site.ports, is_secure))
}
