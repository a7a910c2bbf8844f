//! What firmware, loaders and operating systems are told to boot (RFC 5970; checklist P12).

use super::client::*;
use crate::zone;
use expect_test::{Expect, expect};
use model::View;
use wire::dhcp6::{MessageType, Request, code};

fn class(text: &str) -> Vec<u8> {
    let length = u16::try_from(text.len()).expect("short").to_be_bytes();
    [&[0, 0, 1, 0x57][..], &length, text.as_bytes()].concat()
}

fn check(port: Port<'_>, change: impl FnOnce(Request) -> Request, expected: Expect) {
    check_in(&zone::view(), port, change, expected);
}

fn check_in(view: &View, port: Port<'_>, change: impl FnOnce(Request) -> Request, expected: Expect) {
    let request = message(view, MessageType::Solicit).association(7, &[]).wants(&[59, 60]);
    let told = relayed(view, &change(request), port);
    let boot: Vec<_> =
        told.lines().map(str::trim).filter(|line| line.contains("://") || line.contains("16: ")).collect();
    expected.assert_eq(&boot.join("\n"));
}

fn architecture(values: &[u8]) -> impl FnOnce(Request) -> Request + '_ {
    move |request| {
        request
            .with(code::VENDOR_CLASS, class("PXEClient:Arch:00007:UNDI:003000"))
            .with(code::CLIENT_ARCHITECTURE, values)
    }
}

#[test]
fn pxe_firmware_gets_a_loader_by_tftp() {
    check(u01(), architecture(&[0, 7]), expect!["tftp://[2001:db8:a00::2]/ipxe.efi"]);
    check(u01(), architecture(&[0, 9]), expect!["tftp://[2001:db8:a00::2]/ipxe.efi"]);
    check(u01(), architecture(&[0, 11]), expect!["tftp://[2001:db8:a00::2]/ipxe-arm64.efi"]);
    // The first that there is a loader for.
    check(u01(), architecture(&[0, 6, 0, 11]), expect!["tftp://[2001:db8:a00::2]/ipxe-arm64.efi"]);
    check(u01(), architecture(&[0, 6]), expect![[""]]);
    // Spelt in the class, where the option is missing.
    check(
        u01(),
        |request| request.with(code::VENDOR_CLASS, class("PXEClient:Arch:00011:UNDI:003000")),
        expect!["tftp://[2001:db8:a00::2]/ipxe-arm64.efi"],
    );
}

#[test]
fn where_there_is_a_shim_firmware_gets_ipxe_all_the_same() {
    let view = zone::view_with_file("loader/shimx64.efi");
    check_in(&view, u01(), architecture(&[0, 7]), expect!["tftp://[2001:db8:a00::2]/ipxe.efi"]);
}

#[test]
fn http_firmware_gets_a_url_and_its_class_again() {
    let firmware = |request: Request| {
        request
            .with(code::VENDOR_CLASS, class("HTTPClient:Arch:00016:UNDI:003000"))
            .with(code::CLIENT_ARCHITECTURE, [0, 16])
    };
    check(
        u01(),
        firmware,
        expect![[r#"
          http://[2001:db8:a00::2]/boot/loader/ipxe.efi
          16: \x00\x00\x01W\x00!HTTPClient:Arch:00016:UNDI:003000"#]],
    );
    // A class of another vendor before it, and the architecture nowhere but in the class.
    let second = |request: Request| {
        request
            .with(code::VENDOR_CLASS, b"\0\0\0\x09\0\x05other")
            .with(code::VENDOR_CLASS, class("HTTPClient:Arch:00016:UNDI:003000"))
    };
    check(
        u01(),
        second,
        expect![[r#"
          http://[2001:db8:a00::2]/boot/loader/ipxe.efi
          16: \x00\x00\x01W\x00!HTTPClient:Arch:00016:UNDI:003000"#]],
    );
}

#[test]
fn ipxe_gets_its_script_whatever_its_firmware_says() {
    let ipxe = |request: Request| architecture(&[0, 7])(request).with(code::USER_CLASS, b"\0\x04iPXE");
    check(u01(), ipxe, expect!["http://[2001:db8:a00::2]/boot/ams1/p01/r1/u01.ipxe"]);
    // Even if it forgets to ask for it.
    let view = zone::view();
    let bare = ipxe(message(&view, MessageType::Solicit).association(7, &[]));
    assert!(relayed(&view, &bare, u01()).contains(".ipxe"));
}

#[test]
fn who_boots_its_own_disk_an_operating_system_and_a_bmc_get_no_boot_file() {
    check(u01(), |request| request, expect![[""]]);
    check(Port { interface_id: b"swp4", ..u01() }, architecture(&[0, 7]), expect![[""]]);
    let lom = Port { link: zone::six(zone::lom(0)), ..u01() };
    check(lom, architecture(&[0, 7]), expect![[""]]);
}

#[test]
fn each_stage_is_learnt() {
    let view = zone::view();
    let stage = |change: &dyn Fn(Request) -> Request| {
        let told = relayed(&view, &change(message(&view, MessageType::Request).association(7, &[])), u01());
        let stage =
            told.split_once("stage: ").map(|(_, rest)| rest.split(',').next().unwrap_or_default().to_owned());
        stage.unwrap_or_default()
    };
    let with = |name: &'static str| move |request: Request| request.with(code::VENDOR_CLASS, class(name));
    let stages = [
        stage(&|request| request),
        stage(&with("PXEClient:Arch:00007")),
        stage(&with("PXEClient")),
        stage(&with("HTTPClient:Arch:00016")),
        stage(&|request| with("PXEClient")(request).with(code::USER_CLASS, b"\0\x04iPXE")),
    ];
    assert_eq!(stages, ["Os", "UefiPxe", "UefiPxe", "UefiHttp", "Ipxe"]);
}
