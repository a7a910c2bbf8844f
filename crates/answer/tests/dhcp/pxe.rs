//! PXE and UEFI: P1 to P8, P11, and of P12 what concerns DHCPv4.

use crate::client::*;
use crate::zone::{self, CONTROLLERS, address};
use answer::dhcp::Destination;
use model::facts::Stage;
use model::{Mac, Reason};
use std::net::{Ipv4Addr, SocketAddrV4};
use wire::dhcp4::{BOOT_SERVER_PORT, MessageType, Request, code};

const U01: &str = "ams1/p01/r1/u01";
const UUID: [u8; 16] =
    [0x4c, 0x4c, 0x45, 0x44, 0, 0x31, 0x10, 0x57, 0x80, 0x34, 0xb1, 0xc0, 0x4f, 0x46, 0x39, 0x32];

/// What EDK2 and the boot ROMs of network cards list.
const PXE_LIST: [u8; 12] = [1, 2, 3, 6, 12, 15, 28, 43, 60, 66, 67, 97];

fn pxe(class: &str, architectures: &[u16]) -> Request {
    Request {
        vendor_class: class.as_bytes().to_vec(),
        architectures: architectures.to_vec(),
        parameter_list: PXE_LIST.to_vec(),
        uuid: Some(UUID),
        maximum_size: Some(1472),
        ..discover()
    }
}

fn uefi() -> Request {
    pxe("PXEClient:Arch:00007:UNDI:003016", &[7])
}

fn ipxe() -> Request {
    Request { user_class: b"iPXE".to_vec(), more: vec![(175, vec![0xb1, 1, 1])], ..uefi() }
}

#[test]
fn p01_each_architecture_gets_its_loader_or_an_address_alone() {
    let view = zone::view();
    let check = |class: &str, architectures: &[u16], file: &str| {
        let outcome = relayed(&view, &pxe(class, architectures), u01());
        assert_eq!(outcome.granted(), address(&view, U01, "eno1"), "{class} {architectures:?}");
        assert_eq!(outcome.boot_file(), file, "{class} {architectures:?}");
        let next = if file.is_empty() { Ipv4Addr::UNSPECIFIED } else { CONTROLLERS[0] };
        assert_eq!(outcome.reply().siaddr(), next, "{class} {architectures:?}");
    };
    check("PXEClient:Arch:00000:UNDI:002001", &[0], "undionly.kpxe");
    check("PXEClient:Arch:00007:UNDI:003016", &[7], "ipxe.efi");
    check("PXEClient:Arch:00009:UNDI:003016", &[9], "ipxe.efi");
    check("PXEClient:Arch:00011:UNDI:003016", &[11], "ipxe-arm64.efi");
    check("PXEClient:Arch:00006:UNDI:003016", &[6], "");
    check("PXEClient:Arch:00010:UNDI:003016", &[10], "");
    let http = "http://10.0.0.2/boot/loader/";
    check("HTTPClient:Arch:00016:UNDI:003000", &[16], &format!("{http}ipxe.efi"));
    check("HTTPClient:Arch:00019:UNDI:003000", &[19], &format!("{http}ipxe-arm64.efi"));
    check("HTTPClient:Arch:00015:UNDI:003000", &[15], "");
    check("HTTPClient:Arch:00018:UNDI:003000", &[18], "");
    // Firmware that boots by HTTP and says the number of PXE.
    check("HTTPClient:Arch:00007:UNDI:003000", &[7], &format!("{http}ipxe.efi"));
    // Lists: the first that there is a loader for. And none: the class spells it.
    check("PXEClient:Arch:00007:UNDI:003016", &[6, 9, 11], "ipxe.efi");
    check("PXEClient:Arch:00000:UNDI:002001", &[], "undionly.kpxe");
    check("PXEClient:Arch:00011", &[], "ipxe-arm64.efi");
    check("PXEClient", &[], "");
    check("PXEClient:Arch:x", &[60_000], "");
}

#[test]
fn p01_where_there_is_a_shim_uefi_gets_it_by_tftp() {
    let view = zone::view_with_file("loader/shimx64.efi");
    let file = |class: &str, architecture| relayed(&view, &pxe(class, &[architecture]), u01()).boot_file();
    assert_eq!(file("PXEClient:Arch:00007:UNDI:003016", 7), "shimx64.efi");
    assert_eq!(file("PXEClient:Arch:00000:UNDI:002001", 0), "undionly.kpxe");
    assert_eq!(file("PXEClient:Arch:00011:UNDI:003016", 11), "ipxe-arm64.efi");
    // GRUB could not go on from there.
    assert_eq!(file("HTTPClient:Arch:00016:UNDI:003000", 16), "http://10.0.0.2/boot/loader/ipxe.efi");
}

#[test]
fn p02_option_60_never_goes_to_pxe_without_option_43() {
    let view = zone::view();
    let outcome = relayed(&view, &uefi(), u01());
    assert_eq!(outcome.option(code::VENDOR_CLASS), Some(b"PXEClient".to_vec()));
    assert_eq!(
        outcome.option(code::VENDOR_SPECIFIC),
        Some(vec![6, 1, 8, 255]),
        "take the file that is named"
    );
    for list in [&[1, 3, 60][..], &[1, 3, 43], &[1, 3], &[]] {
        let request = Request { parameter_list: list.to_vec(), ..uefi() };
        let outcome = relayed(&view, &request, u01());
        assert_eq!((outcome.option(60), outcome.option(43)), (None, None), "{list:?}");
        assert_eq!(outcome.boot_file(), "ipxe.efi");
    }
    // Without a boot file there is no boot server to name.
    let outcome = relayed(&view, &pxe("PXEClient:Arch:00006", &[6]), u01());
    assert_eq!((outcome.option(60), outcome.option(43)), (None, None));
}

#[test]
fn p03_http_boot_gets_its_class_back_and_a_url_that_nothing_overrides() {
    let view = zone::view();
    for list in [PXE_LIST.to_vec(), Vec::new()] {
        let request = Request { parameter_list: list, ..pxe("HTTPClient:Arch:00016:UNDI:003000", &[16]) };
        let outcome = relayed(&view, &request, u01());
        let url = b"http://10.0.0.2/boot/loader/ipxe.efi";
        assert_eq!(outcome.option(code::VENDOR_CLASS), Some(b"HTTPClient".to_vec()));
        assert_eq!(outcome.option(code::BOOT_FILE_NAME), Some(url.to_vec()));
        assert_eq!(outcome.boot_file().as_bytes(), url, "the header says the same");
        assert_eq!(outcome.option(code::VENDOR_SPECIFIC), None);
    }
}

#[test]
fn p04_port_4011_tells_the_boot_file_and_answers_the_asking_port() {
    let view = zone::view();
    let its = address(&view, U01, "eno1");
    let from = SocketAddrV4::new(its, 4011);
    let item = vec![71, 4, 0, 1, 0, 0, 255];
    let request = Request {
        kind: Some(MessageType::Request),
        ciaddr: its,
        more: vec![(43, item)],
        ..pxe("PXEClient:Arch:00007:UNDI:003016", &[7])
    };
    let outcome = send(&view, &request.encode(), from, BOOT_SERVER_PORT);
    assert_eq!(
        outcome.destination(),
        Some(Destination::Sender(from)),
        "not to port 68, and not to everybody"
    );
    assert_eq!((outcome.sent(), outcome.granted()), (Some(MessageType::Ack), Ipv4Addr::UNSPECIFIED));
    assert_eq!(outcome.boot_file(), "ipxe.efi");
    assert_eq!(outcome.option(code::VENDOR_CLASS), Some(b"PXEClient".to_vec()));
    assert_eq!(outcome.option(code::VENDOR_SPECIFIC), Some(vec![6, 1, 8, 71, 4, 0, 1, 0, 0, 255]));
    assert_eq!(outcome.option(code::LEASE_TIME), None);
    // EDK2 asks so when an offer had 60 without 43 (BINL).
    let plain = Request { more: Vec::new(), ..request.clone() };
    let outcome = send(&view, &plain.encode(), from, BOOT_SERVER_PORT);
    assert_eq!(outcome.option(code::VENDOR_SPECIFIC), Some(vec![6, 1, 8, 255]));
    // Nobody else is served there.
    let system = Request { vendor_class: Vec::new(), ..request.clone() };
    send(&view, &system.encode(), from, BOOT_SERVER_PORT).assert_silent(Reason::NotServed);
    let elsewhere = SocketAddrV4::new(Ipv4Addr::new(192, 0, 2, 1), 4011);
    send(&view, &request.encode(), elsewhere, BOOT_SERVER_PORT).assert_silent(Reason::NoIdentity);
    let homeless = Request { ciaddr: Ipv4Addr::UNSPECIFIED, ..request };
    send(&view, &homeless.encode(), from, BOOT_SERVER_PORT).assert_silent(Reason::NoIdentity);
}

#[test]
fn p05_the_machine_identifier_goes_back_and_is_read_as_documents_write_it() {
    let view = zone::view();
    let its = address(&view, U01, "eno1");
    let selecting = Request { requested_address: Some(its), kind: Some(MessageType::Request), ..uefi() };
    let request = Request { more: vec![(94, vec![1, 3, 16])], ..selecting };
    let outcome = relayed(&view, &request, u01());
    let echoed = outcome.option(code::CLIENT_MACHINE_IDENTIFIER).expect("echoed");
    assert_eq!(echoed[..5], [0, 0x44, 0x45, 0x4c, 0x4c], "as it came, little-endian");
    let observed = outcome.result.expect("granted").observed.expect("seen");
    assert_eq!((observed.uuid, observed.stage), (Some(UUID), Stage::UefiPxe));
}

#[test]
fn p06_ipxe_gets_its_script_and_never_itself() {
    let view = zone::view();
    let script = "http://10.0.0.2/boot/ams1/p01/r1/u01.ipxe";
    let bare = Request { more: Vec::new(), ..ipxe() };
    let rfc3004 = Request { user_class: b"\x04iPXE".to_vec(), ..bare.clone() };
    let only_175 = Request { user_class: Vec::new(), ..ipxe() };
    let bios =
        Request { vendor_class: b"PXEClient:Arch:00000".to_vec(), architectures: vec![0], ..bare.clone() };
    let http =
        Request { vendor_class: b"HTTPClient:Arch:00016".to_vec(), architectures: vec![16], ..bare.clone() };
    for request in [bare, rfc3004, only_175, bios, http, ipxe()] {
        let outcome = relayed(&view, &request, u01());
        assert_eq!(outcome.boot_file(), script);
        assert_eq!((outcome.option(60), outcome.option(43)), (None, None));
        assert_eq!(outcome.option(175), Some(vec![176, 1, 1]), "no waiting for a proxyDHCP");
    }
    assert_eq!(relayed(&view, &uefi(), u01()).option(175), None);
    // The operating system after it asks for no file, and gets none.
    let system = Request { parameter_list: vec![1, 3, 66, 67, 150], ..discover() };
    let outcome = relayed(&view, &system, u01());
    assert_eq!((outcome.boot_file(), outcome.reply().siaddr()), (String::new(), Ipv4Addr::UNSPECIFIED));
    assert_eq!(outcome.codes(), [53, 54, 51, 58, 59, 1, 3, 82]);
}

#[test]
fn p07_urls_name_the_server_by_its_address() {
    let view = zone::view();
    for request in [ipxe(), pxe("HTTPClient:Arch:00016:UNDI:003000", &[16])] {
        let file = relayed(&view, &request, u01()).boot_file();
        let host = file.strip_prefix("http://").and_then(|rest| rest.split('/').next()).expect("a URL");
        assert_eq!(host.parse(), Ok(CONTROLLERS[0]));
    }
    let outcome = relayed(&view, &uefi(), u01());
    assert_eq!(outcome.option(code::TFTP_SERVER_NAME), Some(b"10.0.0.2".to_vec()));
    let request = Request { parameter_list: vec![150], ..uefi() };
    assert_eq!(relayed(&view, &request, u01()).option(150), Some(vec![10, 0, 0, 2]));
}

#[test]
fn p08_two_interfaces_of_a_host_are_two_addresses_and_a_bond_is_one() {
    let view = zone::view();
    let eno2 = Port { remote_id: "p01-r1-leaf-b", giaddr: zone::leaf_b(0), ..u01() };
    let second = Request { hardware: OTHER_MAC.to_vec(), ..uefi() };
    let (one, two) = (relayed(&view, &uefi(), u01()), relayed(&view, &second, eno2));
    assert_eq!(one.granted(), address(&view, U01, "eno1"));
    assert_eq!(two.granted(), address(&view, U01, "eno2"));
    assert_eq!((one.boot_file(), two.boot_file()), ("ipxe.efi".to_owned(), "ipxe.efi".to_owned()));
    assert_eq!(one.option(code::HOST_NAME), two.option(code::HOST_NAME), "and one name");
    let (a, b) = (Port { circuit_id: "swp6", ..u01() }, Port { circuit_id: "swp6", ..eno2 });
    let bond = address(&view, "ams1/p01/r1/u06", "bond0");
    assert_eq!((relayed(&view, &uefi(), a).granted(), relayed(&view, &second, b).granted()), (bond, bond));
}

#[test]
fn p08_a_bmc_that_shares_the_port_is_told_apart_by_its_class() {
    let view = zone::view();
    let shared = Port { circuit_id: "swp5", ..u01() };
    let bmc = Request { vendor_class: b"iDRAC9".to_vec(), parameter_list: PXE_LIST.to_vec(), ..discover() };
    let outcome = relayed(&view, &bmc, shared);
    assert_eq!(outcome.granted(), address(&view, "ams1/p01/r1/u05", "bmc"));
    assert_eq!(outcome.boot_file(), "");
    assert_eq!(outcome.option(code::HOST_NAME), Some(b"p01-r1-u05-bmc".to_vec()));
    for machine in [uefi(), discover(), Request { vendor_class: b"idrac".to_vec(), ..discover() }] {
        assert_eq!(relayed(&view, &machine, shared).granted(), address(&view, "ams1/p01/r1/u05", "eno1"));
    }
    // Where the BMC has its own port, its class changes nothing.
    assert_eq!(relayed(&view, &bmc, u01()).granted(), address(&view, U01, "eno1"));
}

#[test]
fn p11_firmware_of_a_drawn_host_is_never_told_no() {
    let facts = zone::facts("ams1/p01/r1/u02", |machine| {
        machine.accepted.insert("eno1".to_owned(), Mac(OTHER_MAC));
    });
    let view = zone::view_of(&zone::Settings::default(), &facts);
    let wrong = Some(Ipv4Addr::new(192, 168, 1, 7));
    let stages = [uefi(), ipxe(), pxe("PXEClient:Arch:00000", &[0]), pxe("HTTPClient:Arch:00016", &[16])];
    for stage in stages {
        let request = Request { kind: Some(MessageType::Request), requested_address: wrong, ..stage };
        relayed(&view, &request, u01()).assert_silent(Reason::WrongAddress);
        let other = Request { hardware: OTHER_MAC.to_vec(), ..request };
        relayed(&view, &other, u01()).assert_silent(Reason::OtherMachine);
    }
    let system = Request { kind: Some(MessageType::Request), requested_address: wrong, ..discover() };
    relayed(&view, &system, u01()).assert_nak(Reason::WrongAddress);
}

#[test]
fn p12_option_60_and_the_architecture_of_dhcpv6_change_nothing_here() {
    // DHCPv6 has its own numbers (61 for the architecture, 59 for the URL); in DHCPv4 they are a client identifier and
    // a timer, and are treated as such.
    let view = zone::view();
    let request =
        Request { client_identifier: Some(vec![0, 7]), more: vec![(59, vec![0, 0, 0, 9])], ..uefi() };
    let outcome = relayed(&view, &request, u01());
    assert_eq!(outcome.option(61), Some(vec![0, 7]));
    assert_eq!(outcome.option(59), Some(3150_u32.to_be_bytes().to_vec()));
    assert_eq!(outcome.boot_file(), "ipxe.efi");
}

/// What is told of the boot to firmware that asks at `u04`, which boots its own disk: boot file, options 60 and 43.
fn own_disk(request: &Request) -> (String, Option<Vec<u8>>, Option<Vec<u8>>) {
    let view = zone::view();
    let outcome = relayed(&view, request, Port { circuit_id: "swp4", ..u01() });
    assert_eq!(outcome.granted(), address(&view, "ams1/p01/r1/u04", "eno1"));
    (outcome.boot_file(), outcome.option(60), outcome.option(43))
}

#[test]
fn firmware_is_led_to_the_own_disk() {
    let (stop, script) = (vec![6, 1, 8, 255], "http://10.0.0.2/boot/ams1/p01/r1/u04.ipxe".to_owned());
    assert_eq!(own_disk(&uefi()), (String::new(), Some(b"PXEClient".to_vec()), Some(stop)));
    let http = ("http://10.0.0.2/boot/loader/ipxe.efi".to_owned(), Some(b"HTTPClient".to_vec()), None);
    assert_eq!(own_disk(&pxe("HTTPClient:Arch:00016:UNDI:003000", &[16])), http);
    assert_eq!(own_disk(&ipxe()), (script, None, None));
    // iPXE on a BIOS goes on by itself.
    assert_eq!(own_disk(&Request { architectures: vec![0], ..ipxe() }), (String::new(), None, None));
    let view = zone::view();
    assert_eq!(relayed(&view, &uefi(), u01_bmc()).boot_file(), "", "a BMC boots nothing");
}
