//! Boot scripts for iPXE: boot an image, boot the own disk, or wait and say why.
//!
//! What comes in was decided before; what goes out is one script. Every URL has an IP literal, because firmware may
//! have no resolver. All controllers are tried in turn, and waits double from a start that differs from machine to
//! machine, so that a zone that lost its power does not come back in step.

use model::Generation;
use model::octets::hexadecimal;
use model::view::{BootImage, Ports};
use std::fmt::Write;
use std::net::IpAddr;

/// The longest text of an operator that a script repeats, in characters.
const WORDS_MAX: usize = 120;
/// What stands, in the arguments of an image, for the URL of the server that the kernel came from.
const BASE: &str = "${zw-base}";
/// How often the wait doubles before the machine asks for its script anew, which may say something else by then.
const DOUBLINGS: u32 = 4;

/// Who is spoken to, and who speaks.
#[derive(Clone, Copy, Debug)]
pub struct Machine<'a> {
    /// Its location.
    pub location: &'a str,
    /// The controllers, all of one address family. There is at least one, or the machine could not have asked.
    pub controllers: &'a [IpAddr],
    /// Where it fetches, before it fetches from the controllers: an edge near it, if one speaks.
    pub near: &'a [IpAddr],
    /// Their ports.
    pub ports: Ports,
    /// It was asked by HTTPS, so everything that a script fetches comes by HTTPS too. What the started system fetches by itself does not:
    /// it does not know our authority.
    pub is_secure: bool,
}

/// A script that boots an image.
///
/// The kernel's command line gets, before the image's own arguments, what our agent starts from:
/// `zw.controller=https://IP:PORT` (once for each controller, in the order to try them), `zw.ca=sha256:HEX`,
/// `zw.location=` and `zw.generation=`. All of it is public.
pub fn boot(
    machine: &Machine<'_>,
    generation: Generation,
    ca_sha256: &[u8; 32],
    image: &BootImage,
) -> String {
    let (servers, controllers) = (sources(machine), in_turn(machine));
    // A kernel with an EFI stub finds its initial RAM disks by these names, in this order; with a BIOS they do nothing.
    let initrds: String = (0..image.initrd.len()).map(|number| format!("initrd=initrd{number} ")).collect();
    let mut line = initrds + &agent_arguments(machine, &controllers, ca_sha256);
    let _ = write!(line, " zw.generation={}", generation.0);
    push_arguments(&mut line, &image.args);
    let first_wait = 3 + spread(machine.location, 7);
    let give_up = first_wait << DOUBLINGS;
    let mut text = String::with_capacity(1024);
    let _ = writeln!(text, "#!ipxe");
    let _ =
        writeln!(text, "# {}: image {} of plan {generation}", plain(machine.location), plain(&image.name));
    let _ = writeln!(text, "set wait:int32 {first_wait}");
    for (number, server) in servers.iter().enumerate() {
        let base = machine.base(*server);
        let next = number + 1;
        let _ = writeln!(text, ":try{number}");
        let _ = writeln!(text, "imgfree");
        if image.args.contains(BASE) {
            let _ = writeln!(text, "set zw-base {}", self::base(*server, machine.ports, false));
        }
        let _ = writeln!(text, "kernel {base}/{} {line} || goto try{next}", in_url(&image.kernel));
        for (number, initrd) in image.initrd.iter().enumerate() {
            let _ =
                writeln!(text, "initrd --name initrd{number} {base}/{} || goto try{next}", in_url(initrd));
        }
        let _ = writeln!(text, "boot || goto try{next}");
    }
    let _ = writeln!(text, ":try{}", servers.len());
    let _ = writeln!(
        text,
        "echo zonewright: {} did not boot, trying again in ${{wait}} s",
        plain(machine.location)
    );
    let _ = writeln!(text, "sleep ${{wait}}");
    let _ = writeln!(text, "inc wait ${{wait}}");
    let _ = writeln!(text, "iseq ${{wait}} {give_up} || goto try0");
    ask_again(&mut text, machine);
    let _ = writeln!(text, "set wait:int32 {first_wait}");
    let _ = writeln!(text, "goto try0");
    text
}

/// A script that boots the machine's own disk.
pub fn local_disk(location: &str) -> String {
    let mut text = String::with_capacity(256);
    let _ = writeln!(text, "#!ipxe");
    let _ = writeln!(text, "echo zonewright: {} boots its own disk", plain(location));
    // A BIOS does not go on to the next device by itself after a network ROM ended, so the disk is started from here.
    let _ = writeln!(text, "iseq ${{platform}} pcbios && sanboot --no-describe --drive 0x80 ||");
    // UEFI 2.10 §3.1.2: a boot option that ends with success stops at the boot menu; one that fails lets the next
    // option be tried.
    let _ = writeln!(text, "exit 1");
    text
}

/// A script that waits, says why, and asks again now and then.
pub fn hold(machine: &Machine<'_>, why: &str) -> String {
    let mut text = String::with_capacity(512);
    let _ = writeln!(text, "#!ipxe");
    push_hold(&mut text, machine, why);
    text
}

/// A script of an edge that lacks what the machine boots by: a controller may have it. While none answers the machine waits.
pub fn pass_on(machine: &Machine<'_>, why: &str) -> String {
    let mut text = String::with_capacity(512);
    let _ = writeln!(text, "#!ipxe");
    let _ = writeln!(text, "echo zonewright: {} asks a controller: {}", plain(machine.location), plain(why));
    ask(&mut text, machine, &in_turn(machine));
    push_hold(&mut text, machine, why);
    text
}

fn push_hold(text: &mut String, machine: &Machine<'_>, why: &str) {
    let wait = 45 + spread(machine.location, 31);
    let _ = writeln!(text, ":again");
    let _ = writeln!(text, "echo zonewright: {} waits: {}", plain(machine.location), plain(why));
    let _ = writeln!(text, "sleep {wait}");
    ask_again(text, machine);
    let _ = writeln!(text, "goto again");
}

/// Lines that replace the script by a new one from the first server that answers.
fn ask_again(text: &mut String, machine: &Machine<'_>) {
    ask(text, machine, &sources(machine));
}

fn ask(text: &mut String, machine: &Machine<'_>, servers: &[IpAddr]) {
    for server in servers {
        let base = machine.base(*server);
        let _ = writeln!(text, "chain --autofree --replace {base}/boot/auto.ipxe ||");
    }
}

/// The first script of an iPXE that was fetched by HTTPS: it has no address yet, and must not believe DHCP about more than that. Where HTTPS
/// fails it says so and tries again; by HTTP it goes nowhere, or whoever breaks the one would be heard by the other.
pub fn autoexec(machine: &Machine<'_>) -> String {
    let wait = 5 + spread(machine.location, 7);
    let mut text = String::with_capacity(512);
    let _ = writeln!(text, "#!ipxe");
    let _ = writeln!(text, ":again");
    let _ = writeln!(text, "ifconf || goto wait");
    ask_again(&mut text, machine);
    let _ = writeln!(text, ":wait");
    let _ =
        writeln!(text, "echo zonewright: {} gets no script by HTTPS, trying again", plain(machine.location));
    let _ = writeln!(text, "sleep {wait}");
    let _ = writeln!(text, "goto again");
    text
}

impl Machine<'_> {
    /// Where it fetches from a server.
    fn base(&self, server: IpAddr) -> String {
        base(server, self.ports, self.is_secure)
    }
}

/// The command line of a kernel that is started from the machine's disk, or by GRUB from the network: what its agent starts from, and what
/// the design says. It is the same for as long as those are.
pub fn disk_arguments(machine: &Machine<'_>, ca_sha256: &[u8; 32], args: &str) -> String {
    let mut line = agent_arguments(machine, &in_turn(machine), ca_sha256);
    push_arguments(&mut line, args);
    line
}

/// Adds what the design's author wrote, who may use iPXE's own `${settings}`; only the line must stay one line.
fn push_arguments(line: &mut String, args: &str) {
    if !args.trim().is_empty() {
        line.push(' ');
        line.extend(args.trim().chars().map(|letter| if letter.is_control() { ' ' } else { letter }));
    }
}

fn agent_arguments(machine: &Machine<'_>, controllers: &[IpAddr], ca_sha256: &[u8; 32]) -> String {
    let mut line = String::with_capacity(512);
    for controller in controllers {
        let _ = write!(line, "zw.controller=https://{}:{} ", host(*controller), machine.ports.agents);
    }
    let _ = write!(line, "zw.ca=sha256:{} zw.location={}", hexadecimal(ca_sha256), plain(machine.location));
    line
}

/// The same as flags of the agent, for a system whose kernel is started by somebody else.
pub(crate) fn agent_flags(machine: &Machine<'_>, ca_sha256: &[u8; 32]) -> String {
    let mut line = String::with_capacity(512);
    for controller in in_turn(machine) {
        let _ = write!(line, "--controller https://{}:{} ", host(controller), machine.ports.agents);
    }
    let _ = write!(line, "--ca-pin sha256:{} --location {}", hexadecimal(ca_sha256), plain(machine.location));
    line
}

/// The controllers, each machine starting with another one.
pub(crate) fn in_turn(machine: &Machine<'_>) -> Vec<IpAddr> {
    let mut controllers = machine.controllers.to_vec();
    if !controllers.is_empty() {
        let start = spread(machine.location, u32::try_from(controllers.len()).unwrap_or(1));
        controllers.rotate_left(start as usize);
    }
    controllers
}

/// From whom it fetches: who is near, and then the controllers in their turn.
pub(crate) fn sources(machine: &Machine<'_>) -> Vec<IpAddr> {
    let mut sources = machine.near.to_vec();
    sources.extend(in_turn(machine).into_iter().filter(|controller| !machine.near.contains(controller)));
    sources
}

/// `http://10.32.0.10`, `http://[2001:db8::1]:8080`, or the same by HTTPS. Where that is not served, which is told elsewhere, it is HTTP:
/// whether to take that is the firmware's to decide, and nobody else's.
pub fn base(server: IpAddr, ports: Ports, is_secure: bool) -> String {
    let host = host(server);
    match ports.boot_tls {
        443 if is_secure => return format!("https://{host}"),
        port @ 1.. if is_secure => return format!("https://{host}:{port}"),
        _ => {}
    }
    match ports.boot {
        80 => format!("http://{host}"),
        port => format!("http://{host}:{port}"),
    }
}

pub(crate) fn host(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => format!("[{address}]"),
    }
}

/// A number below `below` that depends on the location alone (FNV-1a), so that every replica writes the same script.
pub(crate) fn spread(location: &str, below: u32) -> u32 {
    let hash = location
        .bytes()
        .fold(0x811c_9dc5_u32, |hash, octet| (hash ^ u32::from(octet)).wrapping_mul(0x0100_0193));
    // The low bits of names that differ in the last digit hardly differ.
    (hash ^ (hash >> 15)) % below.max(1)
}

/// Text as a script may show it: iPXE expands `${…}`, and `&&`, `||`, `#` and line ends mean something to it, so
/// whatever is not plainly harmless becomes a question mark.
pub(crate) fn plain(text: &str) -> String {
    let harmless = |letter: char| letter.is_ascii_alphanumeric() || " .,:;/_-+()'".contains(letter);
    text.chars().take(WORDS_MAX).map(|letter| if harmless(letter) { letter } else { '?' }).collect()
}

/// A path as a URL writes it (RFC 3986 §2.3, and the slash).
pub(crate) fn in_url(path: &str) -> String {
    let mut url = String::with_capacity(path.len());
    for octet in path.bytes() {
        if octet.is_ascii_alphanumeric() || b"-._~/".contains(&octet) {
            url.push(char::from(octet));
        } else {
            let _ = write!(url, "%{octet:02X}");
        }
    }
    url
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};
    use std::net::Ipv6Addr;

    fn machine(controllers: &[IpAddr]) -> Machine<'_> {
        Machine {
            location: "ams1/p01/r1/u01",
            controllers,
            near: &[],
            ports: Ports::default(),
            is_secure: false,
        }
    }

    fn image() -> BootImage {
        BootImage {
            name: "debian12".into(),
            kernel: "image/debian12/boot files/vmlinuz".into(),
            initrd: vec!["image/debian12/initrd.img".into(), "image/debian12/agent.cpio".into()],
            args: "console=ttyS0\nquiet".into(),
            mark: 0,
            missing: None,
        }
    }

    fn check(script: &str, expected: Expect) {
        expected.assert_eq(script);
    }

    #[test]
    fn an_image_is_tried_from_each_controller_and_then_again_later() {
        let controllers = ["10.32.0.10".parse().unwrap(), "10.32.0.11".parse().unwrap()];
        check(
            &boot(&machine(&controllers), Generation(7), &[0xab; 32], &image()),
            expect![[r#"
            #!ipxe
            # ams1/p01/r1/u01: image debian12 of plan #7
            set wait:int32 6
            :try0
            imgfree
            kernel http://10.32.0.10/image/debian12/boot%20files/vmlinuz initrd=initrd0 initrd=initrd1 zw.controller=https://10.32.0.10:8443 zw.controller=https://10.32.0.11:8443 zw.ca=sha256:abababababababababababababababababababababababababababababababab zw.location=ams1/p01/r1/u01 zw.generation=7 console=ttyS0 quiet || goto try1
            initrd --name initrd0 http://10.32.0.10/image/debian12/initrd.img || goto try1
            initrd --name initrd1 http://10.32.0.10/image/debian12/agent.cpio || goto try1
            boot || goto try1
            :try1
            imgfree
            kernel http://10.32.0.11/image/debian12/boot%20files/vmlinuz initrd=initrd0 initrd=initrd1 zw.controller=https://10.32.0.10:8443 zw.controller=https://10.32.0.11:8443 zw.ca=sha256:abababababababababababababababababababababababababababababababab zw.location=ams1/p01/r1/u01 zw.generation=7 console=ttyS0 quiet || goto try2
            initrd --name initrd0 http://10.32.0.11/image/debian12/initrd.img || goto try2
            initrd --name initrd1 http://10.32.0.11/image/debian12/agent.cpio || goto try2
            boot || goto try2
            :try2
            echo zonewright: ams1/p01/r1/u01 did not boot, trying again in ${wait} s
            sleep ${wait}
            inc wait ${wait}
            iseq ${wait} 96 || goto try0
            chain --autofree --replace http://10.32.0.10/boot/auto.ipxe ||
            chain --autofree --replace http://10.32.0.11/boot/auto.ipxe ||
            set wait:int32 6
            goto try0
        "#]],
        );
    }

    #[test]
    fn the_own_disk_is_booted_by_leaving() {
        check(
            &local_disk("ams1/p01/r1/u01"),
            expect![[r#"
            #!ipxe
            echo zonewright: ams1/p01/r1/u01 boots its own disk
            iseq ${platform} pcbios && sanboot --no-describe --drive 0x80 ||
            exit 1
        "#]],
        );
    }

    #[test]
    fn a_machine_that_waits_says_why_and_asks_again() {
        let controllers = [IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0x10))];
        let ports = Ports { boot: 8080, boot_tls: 0, agents: 8443 };
        check(
            &hold(&Machine { ports, ..machine(&controllers) }, "bad fan || shell\n${net0/mac} # éteint"),
            expect![[r#"
                #!ipxe
                :again
                echo zonewright: ams1/p01/r1/u01 waits: bad fan ?? shell???net0/mac? ? ?teint
                sleep 71
                chain --autofree --replace http://[2001:db8::10]:8080/boot/auto.ipxe ||
                goto again
            "#]],
        );
    }

    #[test]
    fn an_edge_that_lacks_something_sends_the_machine_on_before_it_waits() {
        let (controllers, near) = (["10.32.0.10".parse().unwrap()], ["10.32.4.1".parse().unwrap()]);
        check(
            &pass_on(&Machine { near: &near, ..machine(&controllers) }, "the server lacks vmlinuz"),
            expect![[r#"
                #!ipxe
                echo zonewright: ams1/p01/r1/u01 asks a controller: the server lacks vmlinuz
                chain --autofree --replace http://10.32.0.10/boot/auto.ipxe ||
                :again
                echo zonewright: ams1/p01/r1/u01 waits: the server lacks vmlinuz
                sleep 71
                chain --autofree --replace http://10.32.4.1/boot/auto.ipxe ||
                chain --autofree --replace http://10.32.0.10/boot/auto.ipxe ||
                goto again
            "#]],
        );
    }

    #[test]
    fn what_was_asked_by_https_goes_on_by_https() {
        let controllers = ["10.32.0.10".parse().unwrap(), "10.32.0.11".parse().unwrap()];
        let machine = Machine { is_secure: true, ..machine(&controllers) };
        check(
            &autoexec(&machine),
            expect![[r#"
            #!ipxe
            :again
            ifconf || goto wait
            chain --autofree --replace https://10.32.0.10/boot/auto.ipxe ||
            chain --autofree --replace https://10.32.0.11/boot/auto.ipxe ||
            :wait
            echo zonewright: ams1/p01/r1/u01 gets no script by HTTPS, trying again
            sleep 8
            goto again
        "#]],
        );
        let image = BootImage { args: "url=${zw-base}/boot/template/preseed.cfg".into(), ..image() };
        let script = boot(&machine, Generation(7), &[0xab; 32], &image);
        let fetched = script
            .lines()
            .filter(|line| ["kernel", "initrd", "chain"].iter().any(|word| line.starts_with(word)));
        assert!(
            fetched.clone().count() == 8 && fetched.clone().all(|line| line.contains(" https://10.32.0.1")),
            "{script}"
        );
        assert!(script.contains("set zw-base http://10.32.0.10\n"), "{script}");
        let elsewhere = Machine { ports: Ports { boot_tls: 4443, ..Ports::default() }, ..machine };
        assert!(hold(&elsewhere, "").contains(" https://10.32.0.11:4443/boot/auto.ipxe "));
    }

    #[test]
    fn words_of_an_operator_stay_one_harmless_line() {
        for words in
            ["a\nexit", "a || exit", "${password}", "a && shell", "a # b", "a\r\nexit", &"x".repeat(5000)]
        {
            let script = hold(&machine(&["10.0.0.1".parse().unwrap()]), words);
            assert_eq!(script.lines().count(), 6, "{script}");
            let echo = script.lines().nth(2).unwrap();
            assert!(echo.starts_with("echo ") && echo.len() < 200, "{echo}");
            assert!(!echo.contains(['$', '{', '|', '&', '#', '\r']), "{echo}");
        }
    }

    #[test]
    fn first_waits_are_spread_over_the_machines() {
        let mut seen = [0; 7];
        for unit in 1..=700 {
            seen[spread(&format!("ams1/p01/r1/u{unit:02}"), 7) as usize] += 1;
        }
        assert!(seen.iter().all(|count| (50..=150).contains(count)), "{seen:?}");
    }
}
