//! `os`, `layout` and what a role writes to disks: every sentence, and every mount point that is refused.

use super::findings::{BASE, added, with};
use super::*;

/// An image that installs is needed wherever an `os` is.
const INSTALLER: &str = "image \"installer\" {\n  kernel = \"k\"\n  initrd = [\"i\"]\n  installs = true\n}\n";

#[test]
fn systems() {
    added(
        "os \"a\" {\n  image  = \"../x\"\n  digest = \"sha256:ABC\"\n  args   = \"quiet\\nsplash\"\n}\nos \"b\" {}\n",
        expect![[r#"
            a.hcl:2:12 "\"../x\"" error[ZW0205] `../x` is not a plain path inside the design's directory
              help: write it without `..` and without a leading `/`
            a.hcl:3:12 "\"sha256:ABC\"" error[ZW0205] a digest is `sha256:` and 64 hexadecimal digits
              help: `zw image show` prints it; leave `digest` out to take what lies there
            a.hcl:4:12 "\"quiet\\nsplash\"" error[ZW0205] a kernel command line is one line of printable text
            a.hcl:6:1 "os \"b\"" error[ZW0203] `os` needs `image`
        "#]],
    );
    let role = |more: &str, expected: Expect| {
        let text = format!(
            "{INSTALLER}os \"d\" {{\n  image = \"os/d\"\n}}\nlayout \"one\" {{}}\nrole \"r\" {{\n{more}\n}}\n"
        );
        added(&text, expected);
    };
    role("  boot = image.installer\n  os = os.d\n  disks = layout.one", expect![""]);
    role(
        "  boot = image.installer\n  os = os.e\n  disks = layout.two",
        expect![[r#"
            a.hcl:12:8 "os.e" error[ZW0206] there is no os `e`
              help: did you mean `d`?
            a.hcl:13:11 "layout.two" error[ZW0206] there is no layout `two`
        "#]],
    );
    role(
        "  boot = image.installer\n  os = os.d",
        expect![[r#"
            a.hcl:12:8 "os.d" error[ZW0203] an operating system is written to disks, and the role does not say how they are used
              help: write `disks = layout.name`, and a block `layout "name" {}`
        "#]],
    );
    role(
        "  os = os.d\n  disks = layout.one",
        expect![[r#"
            a.hcl:11:8 "os.d" error[ZW0203] nothing would write it: the role boots no image that installs
              help: write `boot = image.name` of an image with `installs = true`
        "#]],
    );
    role("  disks = layout.one", expect![[""]]);
    role(
        "  ssh_keys = [\"ssh-ed25519 AAAA\\nssh-rsa B\", \"\"]",
        expect![[r#"
            a.hcl:11:15 "\"ssh-ed25519 AAAA\\nssh-rsa B\"" error[ZW0205] a key is one line of printable text
        "#]],
    );
}

#[test]
fn burn_ins() {
    let role = |body: &str, expected: Expect| added(&format!("role \"r\" {{\n{body}\n}}\n"), expected);
    role("  burn_in = { cpu = \"1s\", memory = \"90s\", disk = \"24h\" }", expect![[""]]);
    role("  burn_in = {}", expect![[""]]);
    role(
        "  burn_in = \"10m\"",
        expect![[r#"
        a.hcl:2:13 "\"10m\"" error[ZW0204] `burn_in` takes an object `{ … }`, not text
    "#]],
    );
    role(
        "  burn_in = {\n    cpu = 10\n    memory = \"0s\"\n    disk = \"25h\"\n    disks = \"1h\"\n    gpu = \"1h\"\n  }",
        expect![[r#"
            a.hcl:3:11 "10" error[ZW0204] `cpu` takes text, not a number
            a.hcl:4:14 "\"0s\"" error[ZW0205] `memory` of a burn-in is a time from `1s` to `24h`, such as `10m`
            a.hcl:5:12 "\"25h\"" error[ZW0205] `disk` of a burn-in is a time from `1s` to `24h`, such as `10m`
            a.hcl:6:5 "disks" error[ZW0202] `burn_in` has no attribute `disks`
              help: did you mean `disk`?
            a.hcl:7:5 "gpu" error[ZW0202] `burn_in` has no attribute `gpu`
              help: did you mean `cpu`?
        "#]],
    );
    let text = "role \"r\" {\n  burn_in = { memory = \"1.5m\", disk = \"1d\" }\n}\n";
    let design = parse(&[file("base.hcl", BASE), file("a.hcl", text)]).0.expect("good");
    let burn_in = design.roles[0].burn_in;
    assert_eq!((burn_in.cpu_seconds, burn_in.memory_seconds, burn_in.disk_seconds), (0, 90, 86_400));
}

#[test]
fn layouts() {
    let layout = |body: &str, expected: Expect| added(&format!("layout \"l\" {{\n{body}\n}}\n"), expected);
    layout(
        "  disks = { count = 65, size = \"many\", kind = \"tape\", speed = 1 }",
        expect![[r#"
            a.hcl:2:21 "65" error[ZW0205] `count` is 65, outside 1 to 64
            a.hcl:2:32 "\"many\"" error[ZW0205] `many` is not a size such as `512GiB` or `1.9TB`
            a.hcl:2:47 "\"tape\"" error[ZW0205] `kind` cannot be `tape`
              help: it is one of `nvme`, `ssd`, `hdd`
            a.hcl:2:55 "speed" error[ZW0202] `disks` has no attribute `speed`
        "#]],
    );
    layout(
        "  disks = { count = 2 }",
        expect![[r#"
        a.hcl:1:1 "layout \"l\"" error[ZW0203] 2 disks hold the system, and nothing says how
          help: write `raid = 1`
    "#]],
    );
    layout(
        "  raid = 5",
        expect![[r#"
        a.hcl:2:10 "5" error[ZW0205] RAID 5 is not among 1 and 10
    "#]],
    );
    layout(
        "  raid = 1",
        expect![[r#"
        a.hcl:2:10 "1" error[ZW0205] RAID 1 needs at least 2 disks, the layout has 1
    "#]],
    );
    layout(
        "  disks = { count = 3 }\n  raid = 10",
        expect![[r#"
        a.hcl:3:10 "10" error[ZW0205] RAID 10 needs at least 4 disks, the layout has 3
    "#]],
    );
    layout(
        "  disks = { count = 5 }\n  raid = 10",
        expect![[r#"
        a.hcl:3:10 "10" error[ZW0205] RAID 10 needs an even number of disks
    "#]],
    );
    layout(
        "  slots = 3\n  root = \"100MiB\"\n  esp = \"1MiB\"",
        expect![[r#"
        a.hcl:2:11 "3" error[ZW0205] `slots` is 3, outside 1 to 2
        a.hcl:3:10 "\"100MiB\"" error[ZW0205] `root` needs at least 1GiB
        a.hcl:4:9 "\"1MiB\"" error[ZW0205] `esp` needs at least 128MiB
    "#]],
    );
    layout(
        "  volume \"Log!\" {\n    mount = \"/var/log\"\n    size = \"0GiB\"\n  }\n  volume \"root_a\" {\n    mount = \"srv\"\n    size = \"1GiB\"\n  }",
        expect![[r#"
            a.hcl:2:10 "\"Log!\"" error[ZW0302] `Log!` is not a volume's name
              help: use lower case letters, digits and `_`, at most 32
            a.hcl:4:12 "\"0GiB\"" error[ZW0205] `0GiB` is not a size such as `512GiB` or `1.9TB`
            a.hcl:6:10 "\"root_a\"" error[ZW0207] there is a volume `root_a` already
            a.hcl:7:13 "\"srv\"" error[ZW0205] `srv` is not a plain absolute path
              help: write it as `/srv/data`
        "#]],
    );
    layout(
        "  volume \"a\" {\n    mount = \"/a\"\n  }\n  volume \"a\" {\n    mount = \"/a\"\n    size = \"1GiB\"\n  }\n  volume \"b\" {\n    mount = \"/b/../c\"\n    size = \"1GiB\"\n  }\n  volume \"c\" {}",
        expect![[r#"
            a.hcl:5:10 "\"a\"" error[ZW0205] the volume before it has no `size`, and so takes all that is left
            a.hcl:5:10 "\"a\"" error[ZW0207] there is a volume `a` already
            a.hcl:6:13 "\"/a\"" error[ZW0207] `/a` is mounted twice
            a.hcl:10:13 "\"/b/../c\"" error[ZW0205] `/b/../c` is not a plain absolute path
              help: write it as `/srv/data`
            a.hcl:13:3 "volume \"c\"" error[ZW0203] `volume` needs `mount`
        "#]],
    );
    let many: String = (0..65)
        .map(|n| format!("  volume \"v{n}\" {{\n    mount = \"/v{n}\"\n    size = \"1GiB\"\n  }}\n"))
        .collect();
    layout(
        &many,
        expect![[r#"
        a.hcl:258:10 "\"v64\"" error[ZW0205] a layout has at most 64 volumes
    "#]],
    );
}

/// An empty volume over what the image has put there is a system that does not start, or that nobody finds again.
#[test]
fn volumes_that_would_hide_the_system() {
    let mount = |place: &str| {
        let files = [
            file("base.hcl", BASE),
            file(
                "a.hcl",
                &format!("layout \"l\" {{\n  volume \"v\" {{\n    mount = \"{place}\"\n  }}\n}}\n"),
            ),
        ];
        parse(&files).1.iter().map(|finding| finding.sentence.clone()).collect::<Vec<_>>().join("; ")
    };
    let places = [
        "/",
        "/bin",
        "/boot/efi",
        "/dev/shm",
        "/etc/ssh",
        "/lib64",
        "/proc",
        "/root",
        "/run/x",
        "/sbin",
        "/sys",
        "/usr",
        "/usr/lib/systemd",
        "/usr/share",
        "/var",
        "/var/lib",
        "/var/lib/zonewright-agent",
        "/var/lib/zonewright-agent/keys",
    ];
    for place in places {
        assert_ne!(mount(place), "", "{place}");
    }
    for place in
        ["/srv", "/home", "/opt", "/tmp", "/etcd", "/var/log", "/var/lib/postgresql", "/usr/local", "/root/x"]
    {
        assert_eq!(mount(place), "", "{place}");
    }
}

#[test]
fn trust() {
    let maker = file("makers.pem", "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n");
    let role = |trust: &str, expected: Expect| {
        with(
            &[maker.clone(), file("empty.pem", "")],
            &format!("role \"r\" {{\n  trust = {trust}\n}}\n"),
            expected,
        );
    };
    for good in [
        "\"tpm\"",
        "\"port\"",
        "\"bmc\"",
        "{ by = \"tpm\" }",
        "{ by = \"tpm\", pcrs = [7, 0, 0], makers = \"makers.pem\" }",
    ] {
        role(good, expect![[""]]);
    }
    role(
        "\"tmp\"",
        expect![[r#"
        a.hcl:2:11 "\"tmp\"" error[ZW0205] `trust` cannot be `tmp`
          help: did you mean `tpm`?
    "#]],
    );
    role(
        "tpm",
        expect![[r#"
        a.hcl:2:11 "tpm" error[ZW0204] `trust` takes text, not a bare word
          help: write `"tpm"`
    "#]],
    );
    role(
        "{ pcrs = [0] }",
        expect![[r#"
        a.hcl:2:11 "{ pcrs = [0] }" error[ZW0203] `trust` needs `by`
          help: write `by = "tpm"`
    "#]],
    );
    role(
        "{ by = \"port\" }",
        expect![[r#"
        a.hcl:2:18 "\"port\"" error[ZW0205] `by` cannot be `port`
          help: it is one of `tpm`
    "#]],
    );
    role(
        "{ by = \"tpm\", pcrs = [16, \"0\", -1] }",
        expect![[r#"
        a.hcl:2:33 "16" error[ZW0205] there is no register 16 from 0 to 15
        a.hcl:2:37 "\"0\"" error[ZW0204] `pcrs` takes a list of numbers, not text
        a.hcl:2:42 "-1" error[ZW0205] there is no register -1 from 0 to 15
    "#]],
    );
    role(
        "{ by = \"tpm\", pcrs = [] }",
        expect![[r#"
        a.hcl:2:32 "[]" error[ZW0205] a quote is of one register at least
    "#]],
    );
    role(
        "{ by = \"tpm\", makers = \"maker.pem\" }",
        expect![[r#"
        a.hcl:2:34 "\"maker.pem\"" error[ZW0211] there is no file `maker.pem` in the design
          help: did you mean `makers.pem`?
    "#]],
    );
    role(
        "{ by = \"tpm\", makers = \"empty.pem\", level = 3 }",
        expect![[r#"
        a.hcl:2:34 "\"empty.pem\"" error[ZW0205] `empty.pem` holds no certificate
          help: certificates of TPMs' makers, one after the other, in PEM
        a.hcl:2:47 "level" error[ZW0202] `trust` has no attribute `level`
    "#]],
    );
    let text = format!("{BASE}role \"r\" {{\n  trust = {{ by = \"tpm\", pcrs = [7, 0, 0] }}\n}}\n");
    let (design, _) = parse(&[file("a.hcl", &text)]);
    let tpm = design.and_then(|design| design.roles[0].trust.tpm().cloned()).expect("by its TPM");
    assert_eq!((tpm.pcrs, tpm.makers), (vec![0, 7], None));
}
