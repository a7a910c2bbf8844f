//! `mmdebstrap`: packages installed into a directory that is a system of its own, and the root that comes of it as an archive.
//!
//! Root builds as root; others in a user namespace. What it says is read for how far it is.

use crate::error::{Error, at};
use crate::lock;
use crate::packages::Step;
use std::collections::VecDeque;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;
use std::process::{ChildStdout, Command, Stdio};
use std::sync::mpsc;

/// So many lines of what it said are shown when it fails.
const SAID_LINES_MAX: usize = 12;
/// The longest line that is read, octets: a package's own scripts write what they like.
const LINE_MAX: u64 = 64 << 10;
/// Where it and what it runs is found, outside and inside.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// Debian 12, the only release that is built: others need other lists.
pub(crate) const RELEASE: &str = "bookworm";
/// Not in an image: what only people read, but for what licenses ask to keep.
const EXCLUDED: [&str; 4] = [
    "path-exclude=/usr/share/man/*",
    "path-exclude=/usr/share/locale/*",
    "path-exclude=/usr/share/doc/*",
    "path-include=/usr/share/doc/*/copyright",
];

/// What to install, and when that was.
pub(crate) struct System<'a> {
    /// A directory with `zw-packages`, a source of packages, and `zw-overlay.tar`, what is laid over them.
    pub(crate) directory: &'a Path,
    /// The packages that are asked for; others come with them.
    pub(crate) names: &'a [String],
    /// How many packages there are in all.
    pub(crate) count: usize,
    /// Their octets.
    pub(crate) octets: u64,
    /// The kernel's version.
    pub(crate) kernel: &'a str,
    /// Seconds since 1970.
    pub(crate) seconds: u64,
}

/// Installs, and gives the root to `pack`, which reads all of it on a thread of its own and tells how many octets are done.
pub(crate) fn run<T: Send>(
    system: &System<'_>,
    pack: impl FnOnce(ChildStdout, &dyn Fn(Step)) -> Result<T, Error> + Send,
    step: &mut dyn FnMut(Step),
) -> Result<T, Error> {
    let mut child = command(system)?.spawn().map_err(|source| match source.kind() {
        io::ErrorKind::NotFound => Error::Lacks(
            "mmdebstrap is not here: it puts Debian's packages together; `apt-get install mmdebstrap uidmap` brings it"
                .to_owned(),
        ),
        _ => Error::File { doing: "run", path: "mmdebstrap".into(), source },
    })?;
    let (Some(root), Some(said)) = (child.stdout.take(), child.stderr.take()) else {
        return Err(Error::Lacks("mmdebstrap has no output".to_owned()));
    };
    let (sender, steps) = mpsc::channel();
    let (packed, said) = std::thread::scope(|scope| {
        let told = sender.clone();
        let packing = scope.spawn(move || {
            pack(root, &|step| {
                // If nobody listens there is nobody to tell.
                let _ = told.send(step);
            })
        });
        let listening = scope.spawn(move || listen(said, (system.count, system.octets), &sender));
        for it in steps {
            step(it);
        }
        (packing.join(), listening.join())
    });
    let status = child.wait().map_err(at("wait for", Path::new("mmdebstrap")))?;
    let failed = |said: String| Error::Program { name: "mmdebstrap".to_owned(), said };
    let said = said.unwrap_or_else(|_| "what it said was not read".to_owned());
    match packed {
        Err(panic) => std::panic::resume_unwind(panic),
        // It fails when its output is not taken, too: then the reason is ours.
        Ok(Err(error @ Error::File { doing: "write", .. })) => Err(error),
        Ok(_) if !status.success() => Err(failed(said)),
        Ok(packed) => packed,
    }
}

fn command(system: &System<'_>) -> Result<Command, Error> {
    let temporary = std::env::temp_dir();
    let is_plain = |text: &str| text.bytes().all(|it| it.is_ascii_alphanumeric() || b"/._+-".contains(&it));
    if !temporary.to_str().is_some_and(is_plain) {
        return Err(Error::Lacks(format!(
            "TMPDIR is {}: packages are not installed below a directory with such a name",
            temporary.display()
        )));
    }
    let mut command = Command::new("mmdebstrap");
    // Nothing of who builds is in the image: not their language, their proxies, nor their settings of Perl.
    command.env_clear().env("PATH", PATH).env("LC_ALL", "C.UTF-8").env("TMPDIR", temporary);
    command.env("SOURCE_DATE_EPOCH", system.seconds.to_string()).env("ZW_KERNEL", system.kernel);
    // The initial RAM disk is made once, at the end, and not by the kernel's package.
    command.env("INITRD", "No");
    let mode = if nix::unistd::geteuid().is_root() { "root" } else { "unshare" };
    command.current_dir(system.directory).arg("--verbose").arg(format!("--mode={mode}"));
    command.args(["--variant=apt", "--architectures=amd64", "--format=tar"]);
    command.arg(format!("--include={}", system.names.join(",")));
    command.args(EXCLUDED.iter().map(|option| format!("--dpkgopt={option}")));
    // A directory that goes with the build needs no care for power cuts.
    command.arg("--dpkgopt=force-unsafe-io");
    command.arg(concat!("--setup-hook=", include_str!("os/setup.sh")));
    command.arg("--setup-hook=sync-in zw-packages /zw-packages");
    command.arg("--customize-hook=upload zw-overlay.tar /zw-overlay.tar");
    command.arg(concat!("--customize-hook=", include_str!("os/customize.sh")));
    command.args([RELEASE, "-", "deb [trusted=yes] copy:/zw-packages ./"]);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    Ok(command)
}

/// Reads all that is said, tells how far it is, and gives the last lines with the package that it was at.
fn listen(said: impl Read, (count, octets): (usize, u64), steps: &mpsc::Sender<Step>) -> String {
    let mut said = BufReader::new(said);
    let mut lines = VecDeque::new();
    let mut heard = Heard { count, octets, ..Heard::default() };
    loop {
        let mut line = Vec::new();
        match said.by_ref().take(LINE_MAX).read_until(b'\n', &mut line) {
            Err(_) | Ok(0) => break,
            Ok(_) => {}
        }
        let line = shown(&String::from_utf8_lossy(&line));
        if let Some(step) = heard.step(&line) {
            // If nobody listens there is nobody to tell.
            let _ = steps.send(step);
        }
        if lines.len() == SAID_LINES_MAX {
            lines.pop_front();
        }
        if !line.is_empty() {
            lines.push_back(line);
        }
    }
    if lines.is_empty() {
        return "it said nothing".to_owned();
    }
    let at = match heard.last {
        Some((doing, name)) => format!("{doing} {name}: "),
        None => String::new(),
    };
    at + &lines.into_iter().collect::<Vec<_>>().join("; ")
}

/// A line as it can be shown on a terminal.
fn shown(line: &str) -> String {
    line.trim_end().chars().filter(|it| !it.is_control()).collect()
}

/// What was heard so far.
#[derive(Default)]
struct Heard {
    /// How many packages there are.
    count: usize,
    octets: u64,
    /// How many were unpacked, and how many set up.
    done: usize,
    last: Option<(&'static str, String)>,
}

impl Heard {
    /// What a line of dpkg's says of how far it is.
    fn step(&mut self, line: &str) -> Option<Step> {
        if line.starts_with("update-initramfs: Generating ") {
            self.last = Some(("making", "the initial RAM disk".to_owned()));
            return Some(Step::Generating);
        }
        let named = |rest: &str| {
            let name = rest.split([':', ' ']).next().unwrap_or_default();
            lock::is_name(name).then(|| name.to_owned())
        };
        let (doing, name) = match line.strip_prefix("Unpacking ").and_then(named) {
            Some(name) => ("unpacking", name),
            None => ("setting up", line.strip_prefix("Setting up ").and_then(named)?),
        };
        self.done += 1;
        let percent = (self.done * 50).checked_div(self.count).unwrap_or_default().min(100);
        let percent = u8::try_from(percent).unwrap_or(100);
        let step = Step::Installing(self.count, self.octets, percent, doing, name.clone());
        self.last = Some((doing, name));
        Some(step)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};

    fn check(said: &str, expect: Expect) {
        let (sender, steps) = mpsc::channel();
        let told = listen(said.as_bytes(), (2, 1000), &sender);
        drop(sender);
        let steps: String = steps.iter().map(|step| format!("{step:?}\n")).collect();
        expect.assert_eq(&format!("{steps}{told}\n"));
    }

    #[test]
    fn what_it_says_is_how_far_it_is() {
        check(
            "I: installing essential packages...\nUnpacking libc6:amd64 (2.36-9) ...\nUnpacking -x (1) ...\n\
             Setting up libc6:amd64 (2.36-9) ...\nSetting up mdadm (4.2-5) ...\nSetting up mdadm (4.2-5) ...\n\
             update-initramfs: Generating /boot/initrd.img-6.1\n",
            expect![[r#"
                Installing(2, 1000, 25, "unpacking", "libc6")
                Installing(2, 1000, 50, "setting up", "libc6")
                Installing(2, 1000, 75, "setting up", "mdadm")
                Installing(2, 1000, 100, "setting up", "mdadm")
                Generating
                making the initial RAM disk: I: installing essential packages...; Unpacking libc6:amd64 (2.36-9) ...; Unpacking -x (1) ...; Setting up libc6:amd64 (2.36-9) ...; Setting up mdadm (4.2-5) ...; Setting up mdadm (4.2-5) ...; update-initramfs: Generating /boot/initrd.img-6.1
            "#]],
        );
    }

    #[test]
    fn an_error_names_the_package() {
        check(
            "Setting up mdadm (4.2-5) ...\n\u{1b}[31mE: \u{7}no space\n\ndpkg: error processing package mdadm\n",
            expect![[r#"
                Installing(2, 1000, 25, "setting up", "mdadm")
                setting up mdadm: Setting up mdadm (4.2-5) ...; [31mE: no space; dpkg: error processing package mdadm
            "#]],
        );
        check("", expect![["it said nothing\n"]]);
    }
}
