//! Boot files by TFTP and HTTP, fetched by `tftp-hpa`, `atftp` and `curl`: whole, in parts, and not at all.

use crate::network::{Ended, have};
use crate::served::{DESIGN, LOADERS, Zone, noise};

/// A zone with one machine that has its address.
fn zone(programs: &[&str]) -> Option<Zone> {
    if !have(programs) {
        return None;
    }
    let zone = Zone::served()?;
    let address = zone.plug_machine("u01");
    zone.settle("u01", &address);
    zone.network.sh(None, "mkdir /run/got");
    Some(zone)
}

/// Asserts that a file arrived as it is.
fn assert_same(zone: &Zone, got: &str, sent: &str) {
    let digests = zone.network.sh(None, &format!("sha256sum <{got} && sha256sum <{sent}"));
    let mut digests = digests.lines();
    assert_eq!(digests.next(), digests.next(), "{got} is not what {sent} is");
}

fn machine(zone: &Zone, words: &[&str]) -> Ended {
    zone.network.run(Some("u01"), words)
}

#[test]
fn tftp_hpa_fetches_loaders_and_images() {
    let Some(zone) = zone(&["tftp"]) else { return };
    let controller = zone.facts.controller.as_str();
    for (name, source) in [
        ("undionly.kpxe", format!("{LOADERS}/undionly.kpxe")),
        ("loader/snponly.efi", format!("{LOADERS}/snponly.efi")),
        ("image/kvm/images/vmlinuz", format!("{DESIGN}/images/vmlinuz")),
    ] {
        let got = format!("/run/got/{}", name.replace('/', "-"));
        machine(&zone, &["tftp", "-m", "binary", controller, "-c", "get", name, &got]).fine();
        assert_same(&zone, &got, &source);
    }
    let script = "/run/got/script";
    machine(&zone, &["tftp", "-m", "ascii", controller, "-c", "get", "boot/auto.ipxe", script]).fine();
    assert!(zone.network.text(script).starts_with("#!ipxe\n"), "{}", zone.network.text(script));
}

#[test]
fn tftp_hpa_gets_nothing_else() {
    let Some(zone) = zone(&["tftp"]) else { return };
    let controller = zone.facts.controller.as_str();
    for name in
        ["nothing", "../../etc/passwd", "/etc/passwd", "image/kvm/../../zone.hcl", "loader/../zone.hcl", ""]
    {
        let told =
            machine(&zone, &["tftp", "-m", "binary", controller, "-c", "get", name, "/run/got/nothing"]);
        assert_eq!(zone.network.text("/run/got/nothing"), "", "{name}: {told}");
    }
    zone.network.write("/run/got/mine", "mine");
    let told = machine(
        &zone,
        &["tftp", "-m", "binary", controller, "-c", "put", "/run/got/mine", "loader/undionly.kpxe"],
    );
    assert!(told.out.contains("Error code 2") || told.err.contains("Error code 2"), "{told}");
    let told = machine(
        &zone,
        &["tftp", "-m", "binary", controller, "-c", "get", "undionly.kpxe", "/run/got/undionly"],
    );
    assert!(told.is_fine(), "{told}");
    assert_same(&zone, "/run/got/undionly", &format!("{LOADERS}/undionly.kpxe"));
}

#[test]
fn a_file_of_more_than_65535_blocks_arrives_whole() {
    // RFC 1350 has 16 bits for the block's number: 32 MiB of 512 octets. They roll over to 0.
    let length = 34_000_000;
    let Some(mut zone) = have(&["tftp"]).then(Zone::drawn).flatten() else { return };
    let source = format!("{DESIGN}/images/initrd.img");
    zone.network.write(&source, noise(9, length));
    zone.serve();
    let address = zone.plug_machine("u01");
    zone.settle("u01", &address);
    let name = "image/kvm/images/initrd.img";
    machine(&zone, &["tftp", "-m", "binary", &zone.facts.controller, "-c", "get", name, "/run/big"]).fine();
    assert_same(&zone, "/run/big", &source);
}

#[test]
fn atftp_agrees_on_every_option() {
    let Some(zone) = zone(&["atftp"]) else { return };
    let controller = zone.facts.controller.as_str();
    for options in [
        &[][..],
        &["blksize 1428"],
        &["blksize 512", "tsize 0"],
        &["blksize 65464", "timeout 2"],
        &["windowsize 16", "blksize 1024"],
        &["windowsize 65535"],
    ] {
        let options: Vec<&str> = options.iter().flat_map(|option| ["--option", option]).collect();
        let fetch = ["--get", "--remote-file", "ipxe.efi", "--local-file", "/run/got/ipxe.efi", controller];
        let told = machine(&zone, &[&["atftp", "--verbose"], options.as_slice(), &fetch].concat());
        assert!(told.is_fine(), "{options:?}: {told}");
        assert_same(&zone, "/run/got/ipxe.efi", &format!("{LOADERS}/ipxe.efi"));
        zone.network.sh(None, "rm /run/got/ipxe.efi");
    }
}

#[test]
fn both_families_are_served_in_turn() {
    let Some(zone) = have(&["curl"]).then(Zone::served).flatten() else { return };
    zone.network.sh(None, "mkdir /run/got");
    for host in ["127.0.0.1", "[::1]", "127.0.0.1", "[::1]"] {
        for scheme in ["tftp", "http"] {
            let url = format!("{scheme}://{host}/loader/ipxe.efi");
            let words =
                ["curl", "--silent", "--show-error", "--max-time", "60", "--output", "/run/got/file", &url];
            zone.network.run(Some("server"), &words).fine();
            assert_same(&zone, "/run/got/file", &format!("{LOADERS}/ipxe.efi"));
        }
    }
}

#[test]
fn curl_fetches_by_tftp() {
    let Some(zone) = zone(&["curl"]) else { return };
    let url = format!("tftp://{}/loader/ipxe.efi", zone.facts.controller);
    for options in [&[][..], &["--tftp-blksize", "1468"], &["--tftp-blksize", "8"], &["--tftp-no-options"]] {
        let words =
            [&["curl", "--silent", "--show-error", "--output", "/run/got/ipxe.efi"], options, &[&url]]
                .concat();
        let told = machine(&zone, &words);
        assert!(told.is_fine(), "{told}");
        assert_same(&zone, "/run/got/ipxe.efi", &format!("{LOADERS}/ipxe.efi"));
    }
}

#[test]
fn curl_fetches_by_http_whole_and_in_parts() {
    let Some(zone) = zone(&["curl"]) else { return };
    let source = format!("{DESIGN}/images/initrd.img");
    let url = format!("http://{}/image/kvm/images/initrd.img", zone.facts.controller);
    let curl = |words: &[&str]| {
        machine(&zone, &[&["curl", "--silent", "--show-error", "--fail"], words, &[&url]].concat())
    };

    curl(&["--output", "/run/got/whole"]).fine();
    assert_same(&zone, "/run/got/whole", &source);

    // A transfer that broke off is resumed where it was.
    zone.network.sh(None, &format!("head -c 400000 {source} >/run/got/part"));
    curl(&["--continue-at", "-", "--output", "/run/got/part"]).fine();
    assert_same(&zone, "/run/got/part", &source);

    for (range, from, length) in
        [("0-0", 0, 1), ("1000-1999", 1000, 1000), ("999999-", 999_999, 4), ("-10", 999_993, 10)]
    {
        let head = curl(&["--range", range, "--output", "/run/got/range", "--dump-header", "-"]).fine();
        assert!(head.starts_with("HTTP/1.1 206"), "{range}:\n{head}");
        assert!(
            head.to_lowercase()
                .contains(&format!("content-range: bytes {from}-{}/1000003", from + length - 1)),
            "{range}:\n{head}"
        );
        zone.network.sh(None, &format!("tail -c +{} {source} | head -c {length} >/run/got/wanted", from + 1));
        assert_same(&zone, "/run/got/range", "/run/got/wanted");
    }
}

#[test]
fn curl_learns_size_and_tag_and_what_it_has_already() {
    let Some(zone) = zone(&["curl"]) else { return };
    let url = format!("http://{}/image/kvm/images/vmlinuz", zone.facts.controller);
    let curl = |words: &[&str]| {
        machine(
            &zone,
            &[&["curl", "--silent", "--output", "/run/got/body", "--dump-header", "-"], words, &[&url]]
                .concat(),
        )
        .fine()
    };
    let head = machine(&zone, &["curl", "--silent", "--head", &url]).fine();
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    let header = |head: &str, name: &str| {
        let mut lines = head.lines().filter_map(|line| line.split_once(": "));
        lines.find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim().to_owned())
    };
    assert_eq!(header(&head, "content-length").as_deref(), Some("300001"));
    assert_eq!(header(&head, "accept-ranges").as_deref(), Some("bytes"));
    let tag = header(&head, "etag").expect("a tag");

    for (words, status) in [
        (vec!["--header".to_owned(), format!("If-None-Match: {tag}")], "304"),
        (vec!["--header".to_owned(), "If-None-Match: \"other\"".to_owned()], "200"),
        (
            vec!["--range".to_owned(), "5-9".to_owned(), "--header".to_owned(), format!("If-Range: {tag}")],
            "206",
        ),
        (
            vec![
                "--range".to_owned(),
                "5-9".to_owned(),
                "--header".to_owned(),
                "If-Range: \"other\"".to_owned(),
            ],
            "200",
        ),
        (vec!["--range".to_owned(), "300001-".to_owned()], "416"),
        (vec!["--request".to_owned(), "POST".to_owned(), "--data".to_owned(), "x".to_owned()], "405"),
        (vec!["--http1.0".to_owned()], "200"),
    ] {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let head = curl(&words);
        assert_eq!(head.split(' ').nth(1), Some(status), "{words:?}:\n{head}");
        assert!(status == "304" || header(&head, "content-length").is_some(), "{words:?}:\n{head}");
    }
}

#[test]
fn a_script_is_for_the_machine_that_asks() {
    let Some(zone) = zone(&["curl"]) else { return };
    zone.add_neighbour("stranger", "198.51.100.7");
    let controller = &zone.facts.controller;
    let status = |place: &str, path: &str| {
        let url = format!("http://{controller}/{path}");
        let words = [
            "curl",
            "--silent",
            "--path-as-is",
            "--output",
            "/run/got/body",
            "--write-out",
            "%{http_code}",
            &url,
        ];
        zone.network.run(Some(place), &words).fine()
    };
    assert_eq!(status("u01", "boot/auto.ipxe"), "200");
    let script = zone.network.text("/run/got/body");
    assert!(script.starts_with("#!ipxe") && script.contains("zw.location=judged/p01/r1/u01"), "{script}");
    assert_eq!(status("u01", "boot/judged/p01/r1/u01.ipxe"), "200");
    assert_eq!(status("u01", "boot/judged/p01/r1/u02.ipxe"), "403");
    assert_eq!(status("stranger", "boot/auto.ipxe"), "403");
    assert_eq!(status("stranger", "boot/judged/p01/r1/u01.ipxe"), "403");
    for path in [
        "zone.hcl",
        "../zone.hcl",
        "image/kvm/../../zone.hcl",
        "image/kvm/%2e%2e/%2e%2e/zone.hcl",
        "loader/%00",
        "",
    ] {
        let status = status("u01", path);
        assert!(status == "404" || status == "400", "{path}: {status}");
    }
}

#[test]
fn curl_fetches_by_https_from_our_authority_and_from_no_other() {
    let Some(zone) = zone(&["curl", "openssl"]) else { return };
    let controller = zone.facts.controller.as_str();
    let ca = zone.zw(&["authority"]).fine();
    assert!(ca.starts_with("-----BEGIN CERTIFICATE-----\n"), "{ca}");
    zone.network.write("/run/got/ca.pem", &ca);
    zone.network.sh(
        None,
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=other -days 10 -keyout /dev/null -out /run/got/other.pem 2>/dev/null",
    );
    let curl = |ca: &str, words: &[&str], path: &str| {
        let url = format!("https://{controller}/{path}");
        let always = ["curl", "--silent", "--show-error", "--fail", "--cacert", ca];
        machine(&zone, &[&always[..], words, &[&url]].concat())
    };
    let file = "image/kvm/images/initrd.img";
    for version in [&["--tls-max", "1.2"][..], &["--tlsv1.3"], &["--range", "0-", "--http1.1"]] {
        let words = [version, &["--output", "/run/got/whole"]].concat();
        curl("/run/got/ca.pem", &words, file).fine();
        assert_same(&zone, "/run/got/whole", &format!("{DESIGN}/images/initrd.img"));
    }
    // What goes on from there goes on by HTTPS; before iPXE has an address it is led here, and not by HTTP.
    let script = curl("/run/got/ca.pem", &[], "boot/auto.ipxe").fine();
    assert!(script.contains(&format!("kernel https://{controller}/image/")), "{script}");
    assert!(!script.contains("http://"), "{script}");
    let first = curl("/run/got/ca.pem", &[], "boot/loader/autoexec.ipxe").fine();
    assert!(first.contains(&format!("https://{controller}/boot/auto.ipxe")), "{first}");
    let plain = format!("http://{controller}/boot/loader/autoexec.ipxe");
    assert!(!machine(&zone, &["curl", "--silent", "--fail", &plain]).is_fine());

    // Another authority, another name for the same host, and a clock that is sixty years ahead or behind.
    let told = curl("/run/got/other.pem", &["--output", "/run/got/none"], file);
    assert!(told.err.contains("certificate"), "{told}");
    let elsewhere = format!("elsewhere.example:443:{controller}");
    let told = machine(
        &zone,
        &[
            "curl",
            "--silent",
            "--show-error",
            "--cacert",
            "/run/got/ca.pem",
            "--resolve",
            &elsewhere,
            "https://elsewhere.example/boot/auto.ipxe",
        ],
    );
    assert!(told.err.contains("elsewhere.example"), "{told}");
    assert_eq!(zone.network.text("/run/got/none"), "");
    let refusals = zone.zw(&["show", "refusals"]).fine();
    assert!(refusals.contains("certificate-refused") && refusals.contains("u01"), "{refusals}");
}
