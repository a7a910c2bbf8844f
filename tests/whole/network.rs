//! A private network inside a test: network namespaces, cables between them, and programs run in them.
//!
//! One child process holds everything: fresh mount, network, process and host name namespaces (and, without root, a
//! user namespace). It reads its standard input and does nothing else; when the test ends, however it ends, the
//! input ends, that process ends, and the kernel ends every program in there and takes the namespaces, cables and
//! files with them. `/run` is empty in there and `/etc` a copy-on-write view, so that a DHCP client may write its
//! `resolv.conf` as it always does. Nothing reaches the world outside: there is no interface that would lead to it.

use std::fmt;
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// What a test may wait for at most, if it says nothing else.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Builds the namespaces, tells the process id by which others enter them, and waits for the end.
const ANCHOR: &str = r"
set -eu
# Before the new /proc: our number as seen from outside.
read -r outside rest </proc/self/stat
mount -t proc proc /proc
mount -t tmpfs tmpfs /run
# libfaketime keeps its clock there, under a process id that exists outside as well.
mount -t tmpfs tmpfs /dev/shm
mkdir -p /run/etc/upper /run/etc/work /run/netns /run/log
mount -t overlay overlay -o lowerdir=/etc,upperdir=/run/etc/upper,workdir=/run/etc/work /etc
# Without root, files of the outside are nobody's in there, and nobody may write to them: these are copies of our own.
for file in hosts resolv.conf; do
  if [ -e /etc/$file ]; then cat /etc/$file >/run/etc/$file; rm -f /etc/$file; cat /run/etc/$file >/etc/$file; fi
done
for library in /var/lib/dhcp /var/lib/dhcpcd; do
  if [ -d $library ]; then mount -t tmpfs tmpfs $library; fi
done
# Nothing in there loads drivers into the kernel that all share.
if [ -d /lib/modules ]; then mount -t tmpfs tmpfs /lib/modules; fi
hostname zonewright-test
echo $outside
exec cat >/dev/null
";

/// Says why a test does not run here; with `ZW_NO_SKIP` set that is a failure.
pub(crate) fn skip(why: &str) {
    assert!(std::env::var_os("ZW_NO_SKIP").is_none(), "skipped, and ZW_NO_SKIP is set: {why}");
    // Not through `eprintln`, which is shown only when the test fails.
    let test = std::thread::current().name().unwrap_or("a test").to_owned();
    // If nobody listens there is nobody to tell.
    let _ = writeln!(std::io::stderr(), "skipped {test}: {why}");
}

/// Whether all these programs are here; says which are not.
pub(crate) fn have(programs: &[&str]) -> bool {
    let missing: Vec<&str> = programs.iter().copied().filter(|name| find(name).is_none()).collect();
    if !missing.is_empty() {
        skip(&format!("{} not installed (`cargo xtask packages` does it)", missing.join(", ")));
    }
    missing.is_empty()
}

/// Where a program is, by `PATH` and the places of the administrator's programs.
fn find(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin", "/sbin", "/usr/lib/systemd"].map(PathBuf::from))
        .map(|directory| directory.join(name))
        .find(|path| path.is_file())
}

/// Asks until there is an answer.
///
/// # Panics
/// After [`PATIENCE`], with what was awaited.
pub(crate) fn until<T>(awaited: &str, ask: impl FnMut() -> Option<T>) -> T {
    until_within(PATIENCE, awaited, ask)
}

/// The same of what takes its time.
///
/// # Panics
/// After that time, with what was awaited.
pub(crate) fn until_within<T>(patience: Duration, awaited: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(began.elapsed() < patience, "waited {} s in vain for {awaited}", patience.as_secs());
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Namespaces with their programs and files. Dropped, all is gone.
pub(crate) struct Network {
    anchor: Child,
    /// The process by which others enter.
    inside: u32,
    has_users: bool,
}

impl Network {
    /// A network without any place in it; `None`, and it is said why, where the kernel does not allow one.
    pub(crate) fn new() -> Option<Self> {
        if !have(&["unshare", "nsenter", "ip", "timeout"]) {
            return None;
        }
        let is_root = output("id", &["-u"]).trim() == "0";
        let mut command = Command::new("unshare");
        if !is_root {
            command.args(["--user", "--map-root-user"]);
        }
        let mut anchor = command
            .args([
                "--mount",
                "--net",
                "--pid",
                "--uts",
                "--ipc",
                "--fork",
                "--kill-child",
                "sh",
                "-c",
                ANCHOR,
            ])
            .env("PATH", path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("unshare starts");
        let mut line = String::new();
        let read = BufReader::new(anchor.stdout.take().expect("a pipe")).read_line(&mut line);
        let Some(inside) = read.ok().and_then(|_| line.trim().parse().ok()) else {
            let ended = anchor.wait_with_output().expect("unshare ends");
            let why = String::from_utf8_lossy(&ended.stderr).trim().to_owned();
            skip(&format!("no private network here: {why}"));
            return None;
        };
        Some(Self { anchor, inside, has_users: is_root })
    }

    /// Whether other users than root exist in there: only where the test itself runs as root.
    pub(crate) fn has_users(&self) -> bool {
        self.has_users
    }

    /// How the outside reaches a file of the inside, sockets included.
    pub(crate) fn outside(&self, path: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root{path}", self.inside))
    }

    /// The text of a file of the inside, empty if there is none.
    pub(crate) fn text(&self, path: &str) -> String {
        String::from_utf8_lossy(&fs::read(self.outside(path)).unwrap_or_default()).into_owned()
    }

    /// Writes a file of the inside.
    pub(crate) fn write(&self, path: &str, text: impl AsRef<[u8]>) {
        let path = self.outside(path);
        fs::create_dir_all(path.parent().expect("an absolute path")).expect("a directory in /run");
        fs::write(&path, text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }

    /// Adds a host with no cables, called `place`.
    pub(crate) fn add_place(&self, place: &str) {
        self.sh(None, &format!("ip netns add {place} && ip -n {place} link set lo up"));
    }

    /// Joins two places by a cable whose ends are called so.
    pub(crate) fn add_cable(&self, a: (&str, &str), b: (&str, &str)) {
        let ((a, a_name), (b, b_name)) = (a, b);
        self.sh(
            None,
            &format!(
                "ip link add name {a_name} netns {a} type veth peer name {b_name} netns {b} &&
                 ip -n {a} link set dev {a_name} up && ip -n {b} link set dev {b_name} up"
            ),
        );
    }

    /// Runs shell text that must succeed, in a place or beside all places; gives what it prints.
    pub(crate) fn sh(&self, place: Option<&str>, script: &str) -> String {
        let ended = self.run(place, &["sh", "-euc", script]);
        assert!(ended.is_fine(), "{script}\n{ended}");
        ended.out
    }

    /// Runs a program to its end, of which [`PATIENCE`] is the limit.
    pub(crate) fn run(&self, place: Option<&str>, words: &[&str]) -> Ended {
        let patience = PATIENCE.as_secs().to_string();
        let output = self
            .enter(place)
            .args(["timeout", "--kill-after=1", &patience])
            .args(words)
            .stdin(Stdio::null())
            .output()
            .expect("nsenter starts");
        Ended::of(words, &output)
    }

    /// Starts a program that goes on until it is dropped. What it says is in [`Running::said`].
    pub(crate) fn start(&self, place: &str, words: &[&str]) -> Running {
        // The shell tells its number and then becomes the program.
        let mut child = self
            .enter(Some(place))
            .args(["sh", "-c", "echo $$; exec \"$@\" >/run/log/$$ 2>&1", "sh"])
            .args(words)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .expect("nsenter starts");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("a pipe")).read_line(&mut line).expect("a line");
        let number = line.trim().to_owned();
        assert!(!number.is_empty(), "{words:?} did not start");
        let log = self.outside(&format!("/run/log/{number}"));
        Running { child, words: words.join(" "), kill: self.enter_words(None), number, log }
    }

    fn enter(&self, place: Option<&str>) -> Command {
        let words = self.enter_words(place);
        let mut command = Command::new(&words[0]);
        command
            .args(&words[1..])
            .env("PATH", path())
            .env("TMPDIR", "/run")
            .env("NO_COLOR", "1")
            .env("COLUMNS", "110");
        command.env_remove("ZW_SERVER");
        command
    }

    fn enter_words(&self, place: Option<&str>) -> Vec<String> {
        let inside = self.inside;
        let mut words =
            ["nsenter", "--mount", "--pid", "--uts", "--ipc", "--target"].map(str::to_owned).to_vec();
        words.push(inside.to_string());
        if !self.has_users {
            words.extend(["--user", "--preserve-credentials"].map(str::to_owned));
        }
        words.push(match place {
            Some(place) => format!("--net=/proc/{inside}/root/run/netns/{place}"),
            None => "--net".to_owned(),
        });
        words
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        // `unshare --kill-child` takes the first process of the inside with it, and that all others.
        let _ = self.anchor.kill();
        let _ = self.anchor.wait();
    }
}

/// A program that goes on in a [`Network`]; killed when dropped.
pub(crate) struct Running {
    child: Child,
    words: String,
    kill: Vec<String>,
    number: String,
    log: PathBuf,
}

impl Running {
    /// What it said until now, on standard output and standard error.
    pub(crate) fn said(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// Sends it a signal: `TERM`, `KILL`, `USR1`.
    pub(crate) fn signal(&self, name: &str) {
        let status = Command::new(&self.kill[0])
            .args(&self.kill[1..])
            .args(["kill", "-s", name, &self.number])
            .status();
        assert!(
            status.is_ok_and(|status| status.success()),
            "{} could not be told {name}:\n{}",
            self.words,
            self.said()
        );
        if name == "CONT" {
            // nsenter stops with what it runs, and nobody else wakes it.
            let own = self.child.id().to_string();
            let status = Command::new("kill").args(["-s", "CONT", &own]).status();
            assert!(status.is_ok_and(|status| status.success()), "nsenter sleeps on");
        }
    }

    /// Its status if it ended by itself.
    pub(crate) fn ended(&mut self) -> Option<i32> {
        let status = self.child.try_wait().expect("it is our child")?;
        // nsenter dies of the signal that its child died of.
        Some(status.code().unwrap_or(-1))
    }

    /// Waits for its end and gives its status; -1 is a signal.
    pub(crate) fn wait(&mut self) -> i32 {
        let began = Instant::now();
        until(&format!("the end of {}", self.words.clone()), || {
            assert!(began.elapsed() < PATIENCE / 2, "{} goes on and on:\n{}", self.words, self.said());
            self.ended()
        })
    }

    /// Waits until it has said this.
    pub(crate) fn wait_for(&mut self, text: &str) {
        self.wait_for_times(text, 1);
    }

    /// Waits until it has said this so often.
    pub(crate) fn wait_for_times(&mut self, text: &str, times: usize) {
        let began = Instant::now();
        until(&format!("{text:?} from {}", self.words.clone()), || {
            let said = self.said();
            if said.matches(text).count() >= times {
                return Some(());
            }
            let is_over = self.ended().is_some() || began.elapsed() > PATIENCE / 2;
            assert!(!is_over, "{} has not said {text:?}, but\n{said}", self.words);
            None
        });
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Ok(None) = self.child.try_wait() {
            let _ = Command::new(&self.kill[0])
                .args(&self.kill[1..])
                .args(["kill", "-s", "KILL", &self.number])
                .stderr(Stdio::null())
                .status();
            let _ = self.child.wait();
        }
    }
}

/// How a program ended.
pub(crate) struct Ended {
    words: String,
    /// -1 is a signal.
    pub(crate) status: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ended {
    fn of(words: &[&str], output: &Output) -> Self {
        Self {
            words: words.join(" "),
            status: output.status.code().unwrap_or(-1),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    pub(crate) fn is_fine(&self) -> bool {
        self.status == 0
    }

    /// What it printed.
    ///
    /// # Panics
    /// If it failed.
    pub(crate) fn fine(self) -> String {
        assert!(self.is_fine(), "{self}");
        self.out
    }
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ended with {}\n{}{}", self.words, self.status, self.out, self.err)
    }
}

/// What a program outside prints.
fn output(name: &str, arguments: &[&str]) -> String {
    let output = Command::new(name).args(arguments).output();
    output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default()
}

/// The administrator's programs stand in no ordinary user's `PATH`.
fn path() -> String {
    format!("{}:/usr/sbin:/sbin:/usr/lib/systemd", std::env::var("PATH").unwrap_or_default())
}

/// Copies a folder of the checkout into a network.
pub(crate) fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder for the copy");
    for entry in fs::read_dir(from).unwrap_or_else(|error| panic!("{}: {error}", from.display())).flatten() {
        let (path, copy) = (entry.path(), to.join(entry.file_name()));
        if path.is_dir() {
            copy_folder(&path, &copy);
        } else {
            fs::copy(&path, &copy).expect("a file to copy");
        }
    }
}
