//! What each kind of firmware says of itself, what it takes for an offer, and how long it waits.

use agent::dhcp::{Accepts, Persona};
use model::facts::Stage;
use std::borrow::Cow;
use std::time::Duration;
use wire::dhcp4::code;

const fn seconds<const N: usize>(waits: [u64; N]) -> [Duration; N] {
    let mut durations = [Duration::ZERO; N];
    let mut at = 0;
    while at < N {
        durations[at] = Duration::from_secs(waits[at]);
        at += 1;
    }
    durations
}

/// PXE 2.1 §2.2.4: 4, 8, 16, 32 seconds.
const PXE: &[Duration] = &seconds([4, 8, 16, 32]);
/// OVMF of Debian 12 (2022.11) sends at 0, +1, +9 and +25 seconds and then tries its next boot option.
const EDK2: &[Duration] = &seconds([1, 8, 16, 32]);
/// iPXE, config/dhcp.h.
const IPXE: &[Duration] = &seconds([1, 2, 4, 8, 10, 10]);

const PXE_PARAMETERS: &[u8] = &[
    code::SUBNET_MASK,
    code::ROUTER,
    code::DOMAIN_NAME_SERVER,
    code::HOST_NAME,
    code::DOMAIN_NAME,
    code::VENDOR_SPECIFIC,
    code::LEASE_TIME,
    code::SERVER_IDENTIFIER,
    code::VENDOR_CLASS,
    code::TFTP_SERVER_NAME,
    code::BOOT_FILE_NAME,
    code::CLIENT_MACHINE_IDENTIFIER,
];

const SYSTEM_PARAMETERS: &[u8] = &[
    code::SUBNET_MASK,
    code::ROUTER,
    code::DOMAIN_NAME_SERVER,
    code::DOMAIN_NAME,
    code::HOST_NAME,
    code::INTERFACE_MTU,
    code::NTP_SERVERS,
    code::RENEWAL_TIME,
    code::REBINDING_TIME,
];

/// UNDI 2.1 for BIOS, 3.0 for OVMF 2022.11, 3.16 for iPXE on UEFI (RFC 4578 §2.2).
const UNDI_BIOS: (u8, &[u8]) = (code::CLIENT_NETWORK_INTERFACE, &[1, 2, 1]);
const UNDI_OVMF: (u8, &[u8]) = (code::CLIENT_NETWORK_INTERFACE, &[1, 3, 0]);
const UNDI_UEFI: (u8, &[u8]) = (code::CLIENT_NETWORK_INTERFACE, &[1, 3, 16]);
/// iPXE features: HTTP (19), bzImage (24), menu (39), PXE (33), EFI or not is in Option 93.
const IPXE_FEATURES: (u8, &[u8]) = (code::IPXE, &[19, 1, 1, 24, 1, 1, 33, 1, 1, 39, 1, 1, 235, 3, 1, 21, 1]);

/// What a client of this stage says. For [`Stage::Ipxe`], `on_bios` is what loaded it.
pub(crate) fn persona(stage: Stage, on_bios: bool) -> Persona {
    let plain = Persona {
        stage,
        vendor_class: Cow::Borrowed(""),
        architecture: None,
        user_class: "",
        parameters: PXE_PARAMETERS,
        maximum_size: Some(1472),
        more: &[],
        sends_uuid: true,
        broadcast: false,
        accepts: Accepts::BootFile,
        waits: EDK2,
    };
    match stage {
        Stage::BiosPxe => Persona {
            vendor_class: Cow::Borrowed("PXEClient:Arch:00000:UNDI:002001"),
            architecture: Some(0),
            maximum_size: Some(1260),
            more: &[UNDI_BIOS],
            broadcast: true,
            waits: PXE,
            ..plain
        },
        Stage::UefiPxe => Persona {
            vendor_class: Cow::Borrowed("PXEClient:Arch:00007:UNDI:003000"),
            architecture: Some(7),
            more: &[UNDI_OVMF],
            broadcast: true,
            ..plain
        },
        Stage::UefiHttp => Persona {
            vendor_class: Cow::Borrowed("HTTPClient:Arch:00016:UNDI:003000"),
            architecture: Some(16),
            more: &[UNDI_OVMF],
            broadcast: true,
            accepts: Accepts::BootUri,
            ..plain
        },
        Stage::Ipxe if on_bios => Persona {
            vendor_class: Cow::Borrowed("PXEClient:Arch:00000:UNDI:002001"),
            architecture: Some(0),
            user_class: "iPXE",
            more: &[UNDI_BIOS, IPXE_FEATURES],
            waits: IPXE,
            ..plain
        },
        Stage::Ipxe => Persona {
            vendor_class: Cow::Borrowed("PXEClient:Arch:00007:UNDI:003016"),
            architecture: Some(7),
            user_class: "iPXE",
            more: &[UNDI_UEFI, IPXE_FEATURES],
            waits: IPXE,
            ..plain
        },
        Stage::Os => Persona {
            parameters: SYSTEM_PARAMETERS,
            sends_uuid: false,
            accepts: Accepts::Address,
            waits: &[],
            ..plain
        },
        Stage::Bmc => Persona {
            vendor_class: Cow::Borrowed("zonewright-lab-bmc"),
            parameters: SYSTEM_PARAMETERS,
            maximum_size: None,
            sends_uuid: false,
            broadcast: true,
            accepts: Accepts::Address,
            waits: &[],
            ..plain
        },
    }
}
