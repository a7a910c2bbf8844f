//! Images, made from the packages that the sources have now, and judged by `cpio`, `zstd` and `depmod`.

use crate::network::{have, skip};
use crate::zw::{transcript, zw};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A directory that goes with the test.
pub(crate) struct Scratch(pub(crate) PathBuf);

impl Scratch {
    pub(crate) fn new(of: &str) -> Self {
        let path = std::env::temp_dir().join(format!("zw-{of}-{}", std::process::id()));
        fs::create_dir_all(&path).expect("a directory");
        Self(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn build(directory: &Path, output: &str, cache: &str, agent: &str) -> Output {
    let words = ["image", "build", "installer", "--kernel", "cloud", "--fast", "--json"];
    let mut command = zw(directory);
    command.args(words).args(["--output", output, "--cache", cache, "--agent", agent]);
    command.output().expect("zw runs")
}

pub(crate) fn built(output: &Output) -> Value {
    assert!(output.status.success(), "{}", transcript(output));
    serde_json::from_slice(&output.stdout).expect("JSON")
}

/// Another's program, with this as its input.
pub(crate) fn judge(directory: &Path, program: &str, words: &[&str], input: &Path) -> String {
    let input = fs::File::open(input).expect("a file");
    let mut command = Command::new(program);
    // Programs of the administrator are not in everybody's path.
    let path = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin:/sbin";
    command.args(words).current_dir(directory).stdin(input).env("PATH", path);
    let output = command.output().expect("a program");
    assert!(output.status.success(), "{program}: {}", transcript(&output));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

pub(crate) fn is_offline(text: &str) -> bool {
    ["resolv", "Could not connect", "unreachable", "timed out"].iter().any(|word| text.contains(word))
}

#[test]
fn an_installer_is_made_twice_alike_and_understood_by_others() {
    if !have(&["apt-get", "dpkg-deb", "cpio", "zstd", "depmod", "ldconfig"]) {
        return;
    }
    let scratch = Scratch::new("image");
    let directory = scratch.0.as_path();
    // A static program that every Debian has stands for the agent.
    let agent = fs::read("/sbin/ldconfig").expect("a program");
    fs::write(directory.join("agent"), &agent).expect("a file");
    fs::write(directory.join("newer-agent"), [&agent[..], b"newer"].concat()).expect("a file");

    let first = build(directory, "images/one", "cache-one", "agent");
    let told = transcript(&first);
    if !first.status.success() && is_offline(&told) {
        skip(&format!("the sources of packages do not answer: {told}"));
        return;
    }
    let first = built(&first);
    let one = |name: &str| directory.join("images/one").join(name);
    let octets: BTreeMap<&str, Vec<u8>> = ["vmlinuz", "installer.img", "agent.img", "manifest.json"]
        .map(|name| (name, fs::read(one(name)).expect("a file of the image")))
        .into();
    let size: usize = octets.values().map(Vec::len).sum();
    assert!(size < 40_000_000, "{size}");
    understood(directory, &one, first["manifest"]["kernel"].as_str().expect("a kernel"));

    // Elsewhere, with a cache of its own, by the lock alone; and at the same place with another agent.
    fs::create_dir_all(directory.join("images/elsewhere")).expect("a directory");
    fs::copy(directory.join("images/one.lock"), directory.join("images/elsewhere/two.lock"))
        .expect("the lock");
    let (second, third) = std::thread::scope(|scope| {
        let second = scope.spawn(|| build(directory, "images/elsewhere/two", "cache-two", "agent"));
        let third = build(directory, "images/one", "cache-one", "newer-agent");
        (second.join().expect("a build"), third)
    });
    assert_eq!(built(&second)["digest"], first["digest"]);
    for (name, octets) in &octets {
        let again = fs::read(directory.join("images/elsewhere/two").join(name)).expect("a file of the image");
        assert!(again == *octets, "{name} differs");
    }
    let third = built(&third);
    assert_eq!(third["before"], first["digest"]);
    assert_ne!(third["digest"], first["digest"]);
    for (name, is_same) in [("vmlinuz", true), ("installer.img", true), ("agent.img", false)] {
        assert_eq!(fs::read(one(name)).expect("a file of the image") == octets[name], is_same, "{name}");
    }

    shown(directory);
    locks_are_kept(directory);
}

/// Other programs read the archives, and find in them what we say.
fn understood(directory: &Path, one: &impl Fn(&str) -> PathBuf, kernel: &str) {
    for name in ["installer.img", "agent.img"] {
        judge(directory, "zstd", &["--test", "--quiet", "-"], &one(name));
        let unpacked = directory.join(name);
        fs::write(&unpacked, zstd(&one(name))).expect("a file");
    }
    let names = judge(directory, "cpio", &["--list", "--quiet"], &directory.join("agent.img"));
    assert_eq!(names, "init\n");
    let names =
        judge(directory, "cpio", &["--list", "--verbose", "--quiet"], &directory.join("installer.img"));
    for wanted in ["crw-------", " 5,   1 ", " dev/console\n", " usr/sbin/lvm\n", " usr/sbin/mkfs.vfat -> "] {
        assert!(names.contains(wanted), "{wanted:?} is not in\n{names}");
    }

    // Nodes of devices are for root to make; all else is unpacked.
    let root = directory.join("root");
    fs::create_dir(&root).expect("a directory");
    let words = ["--extract", "--quiet", "--make-directories", "--nonmatching", "dev/console"];
    judge(&root, "cpio", &words, &directory.join("installer.img"));
    let modules = root.join("usr/lib/modules").join(kernel);
    let text = |name: &str| fs::read_to_string(modules.join(name)).expect("a list of modules");
    let ours = ["modules.dep", "modules.alias", "modules.softdep"].map(text);
    let order = fs::read_to_string(root.join("usr/lib/modules/order")).expect("the order");
    assert!(order.lines().count() > 20, "{order}");
    for path in order.lines() {
        assert!(root.join(path.trim_start_matches('/')).is_file(), "{path} is listed, and is not there");
    }
    judge(&root, "depmod", &["-b", ".", kernel], Path::new("/dev/null"));
    let theirs = ["modules.dep", "modules.alias", "modules.softdep"].map(text);
    for (ours, theirs) in ours.iter().zip(&theirs) {
        assert_eq!(as_sets(ours), as_sets(theirs));
    }
    loads_in_order(&ours[0], &order, kernel);

    // GRUB as it goes to disks: a boot sector, what fits between it and the first partition, and a program of UEFI.
    let grub =
        |name: &str| fs::read(root.join("usr/lib/zonewright/grub").join(name)).expect("a part of GRUB");
    assert_eq!(grub("boot.img").len(), 512);
    let core = grub("core.img");
    assert!(core.len() < (2048 - 34) * 512, "{}", core.len());
    let program = grub("grubx64.efi");
    assert!(program.starts_with(b"MZ"), "no program of UEFI");
    let early = b"search --no-floppy --file /zw/grub.cfg --hint $root --set=root\nset prefix=($root)/zw\n";
    assert!(program.windows(early.len()).any(|octets| octets == early), "it does not look for grub.cfg");
}

/// Each line's first word, and the others without their order; comments are left out.
fn as_sets(text: &str) -> BTreeSet<(String, BTreeSet<String>)> {
    let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let lines = text.lines().filter(|line| !line.starts_with('#')).map(words);
    lines.filter_map(|words| Some((words.first()?.clone(), words[1..].iter().cloned().collect()))).collect()
}

/// No module of the order comes before one that it needs, by depmod's own account of who needs whom.
fn loads_in_order(dependencies: &str, order: &str, kernel: &str) {
    let mut loaded = BTreeSet::new();
    let prefix = format!("/lib/modules/{kernel}/");
    for path in order.lines().filter_map(|path| path.strip_prefix(&prefix)) {
        let line = dependencies.lines().find_map(|line| line.strip_prefix(&format!("{path}:")));
        for needed in line.expect("a line of modules.dep").split_whitespace() {
            assert!(loaded.contains(needed), "{path} is loaded before {needed}");
        }
        loaded.insert(path);
    }
}

fn zstd(path: &Path) -> Vec<u8> {
    let output = Command::new("zstd").args(["--decompress", "--stdout", "--quiet"]).arg(path).output();
    output.expect("a program").stdout
}

/// `zw image show` finds a changed file.
fn shown(directory: &Path) {
    let show = || zw(directory).args(["image", "show", "images/one"]).output().expect("zw runs");
    assert!(show().status.success(), "{}", transcript(&show()));
    let path = directory.join("images/one/vmlinuz");
    let mut kernel = fs::read(&path).expect("a kernel");
    kernel[1000] ^= 1;
    fs::write(&path, kernel).expect("a file");
    let told = transcript(&show());
    assert!(
        told.contains("damaged: vmlinuz has another content") && told.ends_with("[status 1]\n"),
        "{told}"
    );
}

/// A lock that asks for what is not to be had, or was made for something else, is not taken lightly.
fn locks_are_kept(directory: &Path) {
    let path = directory.join("images/one.lock");
    let lock = fs::read_to_string(&path).expect("the lock");
    let line = lock.lines().find(|line| line.starts_with("package mdadm ")).expect("mdadm");
    let gone = format!("package mdadm 0.1-1 amd64 17 {}", "0".repeat(64));
    fs::write(&path, lock.replace(line, &gone)).expect("a file");
    let told = transcript(&build(directory, "images/one", "cache-one", "agent"));
    assert!(told.contains("the lock names mdadm 0.1-1") && told.ends_with("[status 3]\n"), "{told}");

    fs::write(&path, lock.replace("kernel cloud-amd64", "kernel amd64")).expect("a file");
    let told = transcript(&build(directory, "images/one", "cache-one", "agent"));
    assert!(
        told.contains("with the kernel amd64: ask for the same") && told.ends_with("[status 3]\n"),
        "{told}"
    );

    fs::write(&path, lock).expect("a file");
    let entries = fs::read_dir(directory.join("images")).expect("a directory");
    let mut names: Vec<String> =
        entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    assert_eq!(names, ["elsewhere", "one", "one.lock"], "something remained");
}
