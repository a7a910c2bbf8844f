//! Boot scripts as iPXE would run them.

use super::*;
use expect_test::{Expect, expect};
use model::Generation;
use model::view::{BootImage, Ports};
use std::collections::BTreeSet;
use std::net::Ipv4Addr;

#[path = "any_input.rs"]
mod any_input;

/// Runs a script; each fetch of a URL that contains `missing` fails, and so does a boot without a kernel.
fn check(text: &str, expected: &Expect) {
    let mut script = Script::new(text, Platform::Uefi);
    let mut seen = String::new();
    let (mut worked, mut has_kernel) = (true, false);
    for _ in 0..12 {
        let step = script.next(worked);
        seen.push_str(&format!("{step:?}\n"));
        worked = match &step {
            Step::Fetch { what, url, .. } => {
                has_kernel |= *what == Fetching::Kernel && !url.contains("missing");
                !url.contains("missing")
            }
            Step::Boot => has_kernel,
            _ => true,
        };
        if matches!(step, Step::Exit { .. } | Step::LocalDisk) || matches!(step, Step::Boot if worked) {
            break;
        }
    }
    expected.assert_eq(&seen);
}

#[test]
fn a_kernel_with_its_initial_disk_and_command_line() {
    check(
        "#!ipxe\nkernel http://10.0.0.1/k console=ttyS0 zw.location=a/b\ninitrd --name one http://10.0.0.1/i\nboot\n",
        &expect![[r#"
            Fetch { what: Kernel, url: "http://10.0.0.1/k", arguments: "console=ttyS0 zw.location=a/b" }
            Fetch { what: Initrd, url: "http://10.0.0.1/i", arguments: "" }
            Boot
        "#]],
    );
}

#[test]
fn the_next_controller_is_tried_when_one_fails() {
    check(
        "#!ipxe\n:try0\nimgfree\nkernel http://missing/k || goto try1\nboot || goto try1\n:try1\n\
         kernel http://there/k || goto try2\nboot || goto try2\n:try2\necho never",
        &expect![[r#"
            Free
            Fetch { what: Kernel, url: "http://missing/k", arguments: "" }
            Fetch { what: Kernel, url: "http://there/k", arguments: "" }
            Boot
        "#]],
    );
}

#[test]
fn waits_double_until_the_script_is_asked_for_anew() {
    check(
        "#!ipxe\nset wait:int32 3\n:again\necho waiting ${wait} s\nsleep ${wait}\ninc wait ${wait}\n\
         iseq ${wait} 12 || goto again\nchain --autofree --replace http://missing/a.ipxe ||\nset wait:int32 3\nexit 1",
        &expect![[r#"
            Say("waiting 3 s")
            Sleep(3s)
            Say("waiting 6 s")
            Sleep(6s)
            Fetch { what: Chain, url: "http://missing/a.ipxe", arguments: "" }
            Exit { fine: false, why: "exit 1" }
        "#]],
    );
}

/// How long a machine waits each time that nothing can be fetched, until it asks for its script anew.
fn waits_without_an_image(location: &str) -> Vec<u64> {
    let controllers = [Ipv4Addr::new(192, 0, 2, 1).into(), Ipv4Addr::new(192, 0, 2, 2).into()];
    let ports = Ports::default();
    let machine =
        render::ipxe::Machine { location, controllers: &controllers, near: &[], ports, is_secure: false };
    let image = BootImage {
        name: "kvm".into(),
        kernel: "kernel".into(),
        initrd: vec!["initrd".into()],
        args: "".into(),
        mark: 0,
        missing: None,
    };
    let text = render::ipxe::boot(&machine, Generation(1), &[0; 32], &image);
    let mut script = Script::new(&text, Platform::Uefi);
    let (mut worked, mut waits, mut asked) = (true, Vec::new(), 0);
    loop {
        let step = script.next(worked);
        worked = !matches!(step, Step::Fetch { .. });
        match step {
            Step::Fetch { what: Fetching::Chain, .. } => return waits,
            Step::Fetch { .. } => asked += 1,
            Step::Sleep(wait) => {
                assert_eq!(
                    std::mem::take(&mut asked),
                    controllers.len(),
                    "every controller is asked between waits"
                );
                waits.push(wait.as_secs());
            }
            Step::Boot | Step::LocalDisk | Step::Exit { .. } => panic!("{step:?} without an image"),
            Step::Free | Step::Say(_) => {}
        }
    }
}

#[test]
fn machines_that_get_no_image_loop_and_wait_at_times_of_their_own() {
    let mut first = BTreeSet::new();
    for unit in 1..=40 {
        let waits = waits_without_an_image(&format!("z/p01/r1/u{unit:02}"));
        let [a, b, c, d] = waits[..] else { panic!("{waits:?}") };
        assert_eq!((b, c, d), (2 * a, 4 * a, 8 * a));
        first.insert(a);
    }
    assert!(first.len() > 4, "they return in step: {first:?}");
}

#[test]
fn a_bios_starts_its_disk_and_uefi_leaves_that_to_its_firmware() {
    let text = "#!ipxe\niseq ${platform} pcbios && sanboot --no-describe --drive 0x80 ||\nexit 1\n";
    check(
        text,
        &expect![[r#"
        Exit { fine: false, why: "exit 1" }
    "#]],
    );
    assert_eq!(Script::new(text, Platform::Bios).next(true), Step::LocalDisk);
}

#[test]
fn a_failure_that_nothing_catches_ends_the_script_and_names_the_line() {
    check(
        "#!ipxe\nkernel http://missing/k quiet\nboot",
        &expect![[r#"
            Fetch { what: Kernel, url: "http://missing/k", arguments: "quiet" }
            Exit { fine: false, why: "`kernel http://missing/k quiet` failed" }
        "#]],
    );
    check(
        "#!ipxe\nfrobnicate",
        &expect![[r#"
        Exit { fine: false, why: "`frobnicate` failed" }
    "#]],
    );
    check(
        "<html>404</html>",
        &expect![[r#"
        Exit { fine: false, why: "it is no iPXE script" }
    "#]],
    );
}

#[test]
fn a_script_that_never_waits_does_not_run_for_ever() {
    check(
        "#!ipxe\n:a\ngoto a",
        &expect![[r#"
        Exit { fine: false, why: "the script runs in circles" }
    "#]],
    );
}

#[test]
fn what_a_script_can_hold_is_bounded() {
    check(
        "#!ipxe\nset a 0123456789abcdef\n:more\nset a ${a}${a} && goto more || echo enough\n",
        &expect![[r#"
            Say("enough")
            Exit { fine: true, why: "the script ended" }
        "#]],
    );
    check(
        "#!ipxe\nset n 0\n:more\ninc n && set s${n} x && goto more || echo ${n}\n",
        &expect![[r#"
            Say("255")
            Exit { fine: true, why: "the script ended" }
        "#]],
    );
}

#[test]
fn any_input_with_a_fixed_seed() {
    let samples = [
        "\0#!ipxe\nset wait:int32 3\n:again\necho waiting ${wait} s\nsleep ${wait}\ninc wait ${wait}\n\
         iseq ${wait} 12 || goto again\nchain --autofree --replace http://missing/a.ipxe ||\nexit 1\n",
        "\u{1}#!ipxe\n:try0\nimgfree\nkernel http://m/k a=b || goto try1\ninitrd --name one http://10.0.0.1/i\n\
         boot || goto try1\n:try1\nsanboot\n",
    ]
    .map(|text| text.as_bytes().to_vec());
    let pieces: [&[u8]; 12] = [
        b"${",
        b"}",
        b"||",
        b"&&",
        b"\n",
        b":",
        b"goto again\n",
        b"set a ${a}${a}\n",
        b"inc ",
        b" ",
        b"#",
        b"\xff",
    ];
    crate::spoil::spoil(&samples, &pieces, 5_000, any_input::boot_script);
}
