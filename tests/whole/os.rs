//! An operating system made of the packages that the sources have now: the same for any user, and nobody's in particular.

mod trial;

use crate::image::{Scratch, built, is_offline, judge};
use crate::network::{have, skip};
use crate::zw::{transcript, zw};
use serde_json::Value;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

/// Octets of a piece that has a digest of its own.
const CHUNK: u64 = 4 << 20;

const WORDS: [&str; 12] = [
    "image",
    "build",
    "os",
    "--kernel",
    "cloud",
    "--fast",
    "--json",
    "--package",
    "less",
    "--overlay",
    "overlay",
    "--output",
];

/// As somebody else on another machine: `$1` is `zw`, then come its words. Their home, their directory for what is temporary and
/// their names are below the directory that this runs in.
const SOMEBODY: &str = r#"
set -eu
umask 077
mkdir -m 700 home
mkdir -m 711 temporary
export HOME="$PWD/home" TMPDIR="$PWD/temporary" LANG=tr_TR.UTF-8
if [ "$(id -u)" = 0 ]; then
  # Only in here there is a user 4242, who may have more numbers of users (subuid(5)).
  hostname elsewhere
  for file in passwd group subuid subgid; do
    { cat /etc/$file; case $file in sub*) echo somebody:500000:65536;; *) echo "somebody:x:4242:4242::$HOME:/bin/sh";; esac; } >home/$file
    chmod 644 home/$file
    mount --bind home/$file /etc/$file
  done
  chown -R 4242:4242 .
  exec setpriv --reuid 4242 --regid 4242 --clear-groups "$@"
fi
exec "$@"
"#;

#[test]
fn an_operating_system_is_the_same_for_anybody_and_nobodys_in_particular() {
    let programs =
        ["mmdebstrap", "newuidmap", "apt-get", "dpkg-deb", "zstd", "tar", "sha256sum", "unshare", "setpriv"];
    if !have(&programs) {
        return;
    }
    let scratch = Scratch::new("os");
    let directory = scratch.0.as_path();
    overlay(&directory.join("overlay"));

    let first = zw(directory).args(WORDS).args(["one", "--cache", "cache"]).output().expect("zw runs");
    let told = transcript(&first);
    if !first.status.success() && (is_offline(&told) || told.contains("subuid")) {
        skip(&format!("no operating system can be made here: {told}"));
        return;
    }
    let first = built(&first);
    let root = directory.join("one/root.tar.zst");
    described(&first, &root, directory);
    contained(&root, directory, first["manifest"]["kernel"].as_str().expect("a kernel"));
    trial::ends_by_itself(&root, directory);

    // By the lock alone, as somebody else, from a cache in which a package has an octet that is another.
    let other = directory.join("other");
    fs::create_dir(&other).expect("a directory");
    fs::set_permissions(&other, fs::Permissions::from_mode(0o755)).expect("permissions");
    fs::copy(directory.join("one.lock"), other.join("one.lock")).expect("the lock");
    overlay(&other.join("overlay"));
    let damaged = damaged(directory, &other);
    let second = built(&somebody(&other));
    assert_eq!(second["digest"], first["digest"]);
    assert!(fs::read(&root).expect("a root") == fs::read(other.join("one/root.tar.zst")).expect("a root"));
    // It was noticed, or it would be there still, or in the image.
    assert!(
        fs::read(&damaged.0).expect("the package, fetched anew") == damaged.1,
        "a damaged package was kept"
    );

    let shown = zw(directory).args(["image", "show", "one"]).output().expect("zw runs");
    assert!(
        shown.status.success() && transcript(&shown).contains("one: os sha256:"),
        "{}",
        transcript(&shown)
    );
    refused(directory);
}

/// A tree with permissions that are not the usual ones.
fn overlay(at: &Path) {
    fs::create_dir_all(at.join("srv/web")).expect("a directory");
    fs::write(at.join("srv/web/index.html"), "hello\n").expect("a file");
    for (path, permissions) in [("srv", 0o755), ("srv/web", 0o750), ("srv/web/index.html", 0o640)] {
        fs::set_permissions(at.join(path), fs::Permissions::from_mode(permissions)).expect("permissions");
    }
    std::os::unix::fs::symlink("/usr/share/zoneinfo/UTC", at.join("srv/localtime")).expect("a link");
}

/// The manifest says of the archive what others find.
fn described(image: &Value, root: &Path, directory: &Path) {
    let manifest = &image["manifest"];
    assert_eq!(manifest["kind"], "os");
    let packages = manifest["packages"].as_array().expect("packages");
    assert!(packages.iter().any(|package| package["name"] == "less"), "the package that was asked for");
    let file = &manifest["files"][0];
    let size = fs::metadata(root).expect("a file").len();
    assert_eq!((file["name"].as_str(), file["size"].as_u64()), (Some("root.tar.zst"), Some(size)));
    let digest = |text: String| text.split_whitespace().next().map(str::to_owned);
    let whole = digest(judge(directory, "sha256sum", &[], root));
    assert_eq!(file["sha256"].as_str(), whole.as_deref());
    let pieces = file["chunks"].as_array().expect("digests of pieces");
    assert_eq!(pieces.len() as u64, size.div_ceil(CHUNK));
    let script = format!("tail -c +{} | head -c {CHUNK} | sha256sum", CHUNK + 1);
    let second = digest(judge(directory, "sh", &["-c", &script], root));
    assert_eq!(pieces[1].as_str(), second.as_deref());
}

/// What is in it, and what is not, by `tar`.
fn contained(root: &Path, directory: &Path, kernel: &str) {
    let list = judge(directory, "tar", &["--list", "--verbose", "--numeric-owner", "--zstd"], root);
    let lines: Vec<(&str, &str, &str)> = list
        .lines()
        .map(|line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            (words[0], words[1], words[5])
        })
        .collect();
    let find = |path: &str| lines.iter().find(|line| line.2.trim_end_matches('/') == path).copied();
    for (path, permissions) in [
        ("srv/web", "drwxr-x---"),
        ("srv/web/index.html", "-rw-r-----"),
        ("srv/localtime", "lrwxrwxrwx"),
        ("tmp", "drwxrwxrwt"),
        ("usr/bin/less", "-rwxr-xr-x"),
        ("usr/bin/passwd", "-rwsr-xr-x"),
        ("usr/sbin/lvm", "-rwxr-xr-x"),
        ("etc/machine-id", "-r--r--r--"),
        ("etc/resolv.conf", "lrwxrwxrwx"),
        ("etc/systemd/system/ssh.service.wants/ssh-host-keys.service", "lrwxrwxrwx"),
        ("etc/systemd/system/multi-user.target.wants/systemd-networkd.service", "lrwxrwxrwx"),
    ] {
        assert_eq!(find(path).map(|line| (line.0, line.1)), Some((permissions, "0/0")), "{path}");
    }
    // Whatever is no directory.
    let below = |start: &str| -> Vec<&str> {
        let found = lines.iter().filter(|line| line.2.starts_with(start) && !line.0.starts_with('d'));
        found.map(|line| line.2).collect()
    };
    assert_eq!(below("boot/vmlinuz"), [format!("boot/vmlinuz-{kernel}")]);
    assert_eq!(below("boot/initrd"), [format!("boot/initrd.img-{kernel}")]);
    for start in
        ["etc/ssh/ssh_host", "etc/hostname", "etc/fstab", "zw-", "dev/", "var/log/", "var/lib/apt/lists/"]
    {
        assert_eq!(below(start), [""; 0], "{start}");
    }
}

/// Copies the cache, and turns an octet in the middle of a package. Gives the file, and what it should be.
fn damaged(directory: &Path, other: &Path) -> (std::path::PathBuf, Vec<u8>) {
    let lock = fs::read_to_string(directory.join("one.lock")).expect("the lock");
    let line = lock.lines().find(|line| line.starts_with("package less ")).expect("a package of the lock");
    let name = format!("{}.deb", line.split_whitespace().last().expect("a digest"));
    let copied = Command::new("cp").args(["-r", "cache"]).arg(other).current_dir(directory).status();
    assert!(copied.expect("a program").success());
    let path = other.join("cache").join(name);
    let right = fs::read(&path).expect("a package");
    let mut wrong = right.clone();
    let middle = wrong.len() / 2;
    wrong[middle] ^= 1;
    fs::write(&path, wrong).expect("a package");
    (path, right)
}

fn somebody(directory: &Path) -> Output {
    // Where the program lies not everybody may go.
    let program = directory.join("zw");
    fs::copy(zw(directory).get_program(), &program).expect("the program");
    let is_root = judge(directory, "id", &["-u"], Path::new("/dev/null")).trim() == "0";
    // Who is not root is somebody else than root already.
    let mut command = Command::new(if is_root { "unshare" } else { "env" });
    if is_root {
        command.args(["--mount", "--uts", "--"]);
    }
    command.args(["sh", "-c", SOMEBODY, "sh"]).arg(&program).args(WORDS).args(["one", "--cache", "cache"]);
    command.current_dir(directory).output().expect("a shell runs")
}

/// An overlay with what each machine has of its own, and a package that is not there.
fn refused(directory: &Path) {
    fs::create_dir_all(directory.join("overlay/etc")).expect("a directory");
    fs::write(directory.join("overlay/etc/hostname"), "one\n").expect("a file");
    let told = zw(directory).args(WORDS).args(["one", "--cache", "cache"]).output().expect("zw runs");
    let told = transcript(&told);
    assert!(told.contains("/etc/hostname is for each machine of its own"), "{told}");
    fs::remove_file(directory.join("overlay/etc/hostname")).expect("a file");

    let words = ["--cache", "cache", "--package", "no-such-package"];
    let told = zw(directory).args(WORDS).arg("two").args(words).output().expect("zw runs");
    let told = transcript(&told);
    assert!(told.contains("no-such-package") && told.ends_with("[status 3]\n"), "{told}");
}
