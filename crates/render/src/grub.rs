//! Boot scripts for GRUB, which firmware with Secure Boot starts by way of shim: boot an image, or wait and say why.
//!
//! Debian's signed GRUB has TFTP and no HTTP, and takes no module that is not in it. It verifies the kernel by shim's keys, so the
//! image's kernel must be one that Debian signed; initial RAM disks are taken as they are.

use crate::ipxe::{Machine, disk_arguments, host, in_turn, plain, sources, spread};
use model::view::BootImage;
use std::fmt::Write;
use std::net::IpAddr;

/// The name that GRUB asks for, beside where it was loaded from.
pub const FILE: &str = "grub/grub.cfg";

/// A script that boots an image; the kernel's command line is that of [`crate::ipxe::boot`] without the plan's number. GRUB measures
/// scripts, commands and files (registers 8 and 9 of a TPM): they stay the same from plan to plan, as long as the image does.
pub fn boot(machine: &Machine<'_>, ca_sha256: &[u8; 32], image: &BootImage) -> String {
    let servers = sources(machine);
    let arguments = disk_arguments(machine, ca_sha256, &image.args);
    let arguments: Vec<String> = arguments.split_whitespace().map(quoted).collect();
    let arguments = arguments.join(" ");
    let mut text = String::with_capacity(1024);
    let _ = writeln!(text, "# {}: image {}", plain(machine.location), plain(&image.name));
    for server in &servers {
        let file = |path: &String| quoted(&format!("(tftp,{})/{path}", host(*server)));
        let initrds: Vec<String> = image.initrd.iter().map(file).collect();
        let _ = writeln!(text, "if linux {} {arguments}; then", file(&image.kernel));
        if initrds.is_empty() {
            let _ = writeln!(text, "  boot");
        } else {
            let _ = writeln!(text, "  if initrd {}; then\n    boot\n  fi", initrds.join(" "));
        }
        let _ = writeln!(text, "fi");
    }
    let wait = 20 + spread(machine.location, 31);
    let location = plain(machine.location);
    say(&mut text, &format!("{location} did not boot, trying again in {wait} s"));
    let _ = writeln!(text, "sleep {wait}");
    ask(&mut text, &servers);
    text
}

/// A script that leaves the machine to its next boot option.
pub fn local_disk(location: &str) -> String {
    let mut text = String::new();
    say(&mut text, &format!("{} boots its own disk", plain(location)));
    text + "exit\n"
}

/// A script that waits, says why, and asks again.
pub fn hold(machine: &Machine<'_>, why: &str) -> String {
    let mut text = String::with_capacity(256);
    push_hold(&mut text, machine, why);
    text
}

/// A script of an edge that lacks what the machine boots by, as [`crate::ipxe::pass_on`].
pub fn pass_on(machine: &Machine<'_>, why: &str) -> String {
    let mut text = String::with_capacity(256);
    say(&mut text, &format!("{} asks a controller: {}", plain(machine.location), plain(why)));
    ask(&mut text, &in_turn(machine));
    push_hold(&mut text, machine, why);
    text
}

fn push_hold(text: &mut String, machine: &Machine<'_>, why: &str) {
    say(text, &format!("{} waits: {}", plain(machine.location), plain(why)));
    let _ = writeln!(text, "sleep {}", 45 + spread(machine.location, 31));
    ask(text, &sources(machine));
}

fn say(text: &mut String, words: &str) {
    let _ = writeln!(text, "echo {}", quoted(&format!("zonewright: {words}")));
}

/// Lines that become the script that the first of these gives that answers.
fn ask(text: &mut String, servers: &[IpAddr]) {
    for server in servers {
        let _ = writeln!(text, "configfile '(tftp,{})/{FILE}'", host(*server));
    }
}

/// One word, as it is: between single quotes nothing means anything to GRUB.
fn quoted(word: &str) -> String {
    let word: String = word.chars().map(|letter| if letter.is_control() { '?' } else { letter }).collect();
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};
    use model::view::Ports;

    fn check(script: &str, expected: &Expect) {
        expected.assert_eq(script);
    }

    fn machine(controllers: &[IpAddr]) -> Machine<'_> {
        Machine {
            location: "ams1/p01/r1/u01",
            controllers,
            near: &[],
            ports: Ports::default(),
            is_secure: false,
        }
    }

    #[test]
    fn an_image_is_tried_from_each_controller_and_then_again_later() {
        let controllers = ["10.32.0.10".parse().unwrap(), "2001:db8::10".parse().unwrap()];
        let image = BootImage {
            name: "debian12".into(),
            kernel: "image/debian12/boot files/vmlinuz".into(),
            initrd: vec!["image/debian12/initrd.img".into(), "image/debian12/agent.cpio".into()],
            args: "console=ttyS0\nit's ${x};reboot".into(),
            mark: 0,
            missing: None,
        };
        check(
            &boot(&machine(&controllers), &[0xab; 32], &image),
            &expect![[r#"
                # ams1/p01/r1/u01: image debian12
                if linux '(tftp,10.32.0.10)/image/debian12/boot files/vmlinuz' 'zw.controller=https://10.32.0.10:8443' 'zw.controller=https://[2001:db8::10]:8443' 'zw.ca=sha256:abababababababababababababababababababababababababababababababab' 'zw.location=ams1/p01/r1/u01' 'console=ttyS0' 'it'\''s' '${x};reboot'; then
                  if initrd '(tftp,10.32.0.10)/image/debian12/initrd.img' '(tftp,10.32.0.10)/image/debian12/agent.cpio'; then
                    boot
                  fi
                fi
                if linux '(tftp,[2001:db8::10])/image/debian12/boot files/vmlinuz' 'zw.controller=https://10.32.0.10:8443' 'zw.controller=https://[2001:db8::10]:8443' 'zw.ca=sha256:abababababababababababababababababababababababababababababababab' 'zw.location=ams1/p01/r1/u01' 'console=ttyS0' 'it'\''s' '${x};reboot'; then
                  if initrd '(tftp,[2001:db8::10])/image/debian12/initrd.img' '(tftp,[2001:db8::10])/image/debian12/agent.cpio'; then
                    boot
                  fi
                fi
                echo 'zonewright: ams1/p01/r1/u01 did not boot, trying again in 46 s'
                sleep 46
                configfile '(tftp,10.32.0.10)/grub/grub.cfg'
                configfile '(tftp,[2001:db8::10])/grub/grub.cfg'
            "#]],
        );
    }

    #[test]
    fn a_machine_that_waits_says_why_and_asks_again() {
        let controllers = ["10.32.0.10".parse().unwrap()];
        check(
            &hold(&machine(&controllers), "bad fan'; reboot\n${x}"),
            &expect![[r#"
                echo 'zonewright: ams1/p01/r1/u01 waits: bad fan'\''; reboot???x?'
                sleep 71
                configfile '(tftp,10.32.0.10)/grub/grub.cfg'
            "#]],
        );
    }

    #[test]
    fn an_edge_that_lacks_something_sends_the_machine_on_before_it_waits() {
        let (controllers, near) = (["10.32.0.10".parse().unwrap()], ["10.32.4.1".parse().unwrap()]);
        check(
            &pass_on(&Machine { near: &near, ..machine(&controllers) }, "the server lacks vmlinuz"),
            &expect![[r#"
                echo 'zonewright: ams1/p01/r1/u01 asks a controller: the server lacks vmlinuz'
                configfile '(tftp,10.32.0.10)/grub/grub.cfg'
                echo 'zonewright: ams1/p01/r1/u01 waits: the server lacks vmlinuz'
                sleep 71
                configfile '(tftp,10.32.4.1)/grub/grub.cfg'
                configfile '(tftp,10.32.0.10)/grub/grub.cfg'
            "#]],
        );
    }
}
