//! `apt-get`, as one who asks and installs nothing: which packages there are, what they depend on, and their files.
//!
//! It works on a state of its own below the cache, where nothing is installed. Of the system's settings it takes the sources, the
//! keys and how to fetch (proxies), and none of the commands that a system runs after an update.

use crate::error::{Error, at};
use crate::lock::{self, Package};
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// So many lines of what a program said are shown when it fails.
const SAID_LINES_MAX: usize = 8;

/// Where it keeps its state, and which sources it reads.
pub(crate) struct Apt {
    state: PathBuf,
    sources: Option<PathBuf>,
    /// What the last update complained about: the reason why a package is unknown afterwards.
    complaints: String,
}

impl Apt {
    /// Makes the state's directories, and settings out of the system's.
    pub(crate) fn new(state: &Path, sources: Option<&Path>) -> Result<Self, Error> {
        for directory in ["lists/partial", "archives/partial"] {
            let path = state.join(directory);
            fs::create_dir_all(&path).map_err(at("make", &path))?;
        }
        let absolute = |path: &Path| std::path::absolute(path).map_err(at("find", path));
        let apt = Self {
            state: absolute(state)?,
            sources: sources.map(absolute).transpose()?,
            complaints: String::new(),
        };
        let settings = ended("apt-config dump", plain("apt-config").args(["dump", "Acquire"]).output())?;
        let settings: String = String::from_utf8_lossy(&settings.stdout)
            .lines()
            // Which indexes there are is apt's own matter; the system may want more than packages.
            .filter(|line| line.starts_with("Acquire::") && !line.starts_with("Acquire::IndexTargets"))
            .map(|line| format!("{line}\n"))
            .collect();
        let path = apt.settings();
        let text = format!("Dir::Etc::Parts \"/dev/null\";\nDir::Etc::Main \"/dev/null\";\n{settings}");
        fs::write(&path, text).map_err(at("write", &path))?;
        Ok(apt)
    }

    fn settings(&self) -> PathBuf {
        self.state.join("apt.conf")
    }

    fn command(&self) -> Command {
        let mut command = plain("apt-get");
        command.env("APT_CONFIG", self.settings()).env("DEBIAN_FRONTEND", "noninteractive");
        let mut set = |name: &str, value: &Path| {
            let mut setting = std::ffi::OsString::from(format!("{name}="));
            setting.push(value);
            command.arg("-o").arg(setting);
        };
        set("Dir::State", &self.state);
        set("Dir::State::lists", &self.state.join("lists"));
        set("Dir::State::status", Path::new("/dev/null"));
        set("Dir::Cache", &self.state);
        if let Some(sources) = &self.sources {
            set("Dir::Etc::sourcelist", sources);
            set("Dir::Etc::sourceparts", Path::new("/dev/null"));
        }
        for setting in [
            "APT::Architecture=amd64",
            "Acquire::ForceHash=SHA256",
            "Acquire::Languages=none",
            "Acquire::Retries=3",
        ] {
            command.args(["-o", setting]);
        }
        command
    }

    /// Fetches what the sources have.
    pub(crate) fn update(&mut self) -> Result<(), Error> {
        let output = ended("apt-get update", self.command().args(["-qq", "update"]).output())?;
        self.complaints = last_lines(&output.stderr);
        Ok(())
    }

    /// These packages and all that they depend on, as the sources have them now; with those that every Debian has, if wanted.
    pub(crate) fn resolve(&self, names: &[String], is_essential: bool) -> Result<Vec<Package>, Error> {
        let mut command = self.command();
        command.args(["-qq", "--print-uris", "--no-install-recommends", "install", "--"]).args(names);
        if is_essential {
            // A pattern of apt's (apt-patterns(7)).
            command.arg("?essential");
        }
        let output = ended("apt-get install", command.output()).map_err(|error| self.explained(error))?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        text.lines().map(offered).collect()
    }

    fn explained(&self, error: Error) -> Error {
        match error {
            Error::Program { name, said } if !self.complaints.is_empty() => {
                Error::Program { name, said: format!("{said} (apt-get update said: {})", self.complaints) }
            }
            error => error,
        }
    }

    /// Fetches the files of these packages into a directory; `percent` hears how far it is.
    pub(crate) fn download(
        &self,
        packages: &[&Package],
        into: &Path,
        percent: &mut dyn FnMut(u8),
    ) -> Result<(), Error> {
        let mut command = self.command();
        // Progress goes to the standard output, which is otherwise silent.
        command.args(["-qq", "-o", "APT::Status-Fd=1", "download", "--"]).current_dir(into);
        command.args(packages.iter().map(|it| format!("{}={}", it.name, it.version)));
        let said = into.join("said");
        let errors = fs::File::create(&said).map_err(at("write", &said))?;
        let failed = |source| Error::File { doing: "run", path: "apt-get".into(), source };
        let mut child = command.stdout(Stdio::piped()).stderr(errors).spawn().map_err(failed)?;
        if let Some(output) = child.stdout.take() {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if let Some(part) = fetched(&line) {
                    percent(part);
                }
            }
        }
        let status = child.wait().map_err(failed)?;
        let text = fs::read(&said).unwrap_or_default();
        fs::remove_file(&said).map_err(at("remove", &said))?;
        if status.success() {
            return Ok(());
        }
        Err(Error::Program { name: "apt-get download".to_owned(), said: last_lines(&text) })
    }
}

/// A program whose messages are not translated, and that asks nobody.
pub(crate) fn plain(name: &str) -> Command {
    let mut command = Command::new(name);
    command.env("LC_ALL", "C.UTF-8").stdin(Stdio::null());
    command
}

/// What a program gave, if it ended well.
pub(crate) fn ended(name: &str, output: std::io::Result<Output>) -> Result<Output, Error> {
    let program = name.split(' ').next().unwrap_or(name);
    let output = output.map_err(|source| Error::File { doing: "run", path: program.into(), source })?;
    if output.status.success() {
        return Ok(output);
    }
    Err(Error::Program { name: name.to_owned(), said: last_lines(&output.stderr) })
}

fn last_lines(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    lines[lines.len().saturating_sub(SAID_LINES_MAX)..].join("; ")
}

/// A line of `--print-uris`: `'URI' name_version_architecture.deb size SHA256:digest`.
fn offered(line: &str) -> Result<Package, Error> {
    let package = || {
        let rest = line.strip_prefix('\'')?.split_once("' ")?.1;
        let [file, size, digest] = rest.split_whitespace().collect::<Vec<_>>().try_into().ok()?;
        let [name, version, architecture] =
            file.strip_suffix(".deb")?.split('_').collect::<Vec<_>>().try_into().ok()?;
        let package = Package {
            name: name.to_owned(),
            version: version.replace("%3a", ":"),
            architecture: architecture.to_owned(),
            size: size.parse().ok()?,
            sha256: digest.strip_prefix("SHA256:")?.to_owned(),
        };
        let is_good =
            lock::is_name(name) && lock::is_version(&package.version) && lock::is_digest(&package.sha256);
        is_good.then_some(package)
    };
    package().ok_or_else(|| {
        Error::Lacks(format!("apt-get names a package in a way that is not understood: {line}"))
    })
}

/// How far a download is, out of a line of progress: `dlstatus:1:23.4:Retrieving file 1 of 3`.
fn fetched(line: &str) -> Option<u8> {
    let percent = line.strip_prefix("dlstatus:")?.split(':').nth(1)?;
    percent.split('.').next()?.parse().ok().filter(|percent| *percent <= 100)
}

/// Names of packages in a field like `Depends`; of alternatives the first.
pub(crate) fn depends(field: &str) -> Vec<String> {
    let name = |it: &str| {
        let first = it.split('|').next().unwrap_or_default().trim();
        first.split([' ', '(', ':', '[']).next().unwrap_or_default().to_owned()
    };
    field.split(',').map(name).filter(|name| lock::is_name(name)).collect()
}

/// Whether what a package depends on goes into an image with it: libraries do, by Debian's way of naming them (policy 8.1), and the
/// kernel that `linux-image-amd64` stands for. The rest is for installing it.
pub(crate) fn is_followed(name: &str) -> bool {
    name.starts_with("lib") || name.starts_with("linux-image-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offers_are_read() {
        let digest = "c4945123d66d0503ba42e2fc0585abc76d0838978c6d277b9cc37a4da25d1a34";
        let line = format!(
            "'http://mirror.example/pool/main/a/attr/libattr1_2.5.1-4_amd64.deb' libattr1_1%3a2.5.1-4_amd64.deb 22164 SHA256:{digest}"
        );
        let package = offered(&line).expect("a package");
        assert_eq!(
            (package.name.as_str(), package.version.as_str(), package.architecture.as_str(), package.size),
            ("libattr1", "1:2.5.1-4", "amd64", 22164)
        );
        assert_eq!(package.sha256, digest);
        for line in [
            "",
            "Reading package lists...",
            "'http://mirror.example/a.deb' a_1_all.deb 1 MD5Sum:0",
            &format!("'http://mirror.example/a.deb' -a_1_all.deb 1 SHA256:{digest}"),
            &format!("'http://mirror.example/a.deb' a_1_all.deb 1 SHA256:../{digest}"),
        ] {
            assert!(offered(line).is_err(), "{line}");
        }
    }

    #[test]
    fn dependencies_are_names() {
        assert_eq!(
            depends("libc6 (>= 2.34), debconf (>= 0.5) | debconf-2.0, udev:any, libgcc-s1, kmod [linux-any]"),
            ["libc6", "debconf", "udev", "libgcc-s1", "kmod"]
        );
        assert_eq!(depends(""), [""; 0]);
    }

    #[test]
    fn progress_is_a_part_of_a_hundred() {
        assert_eq!(fetched("dlstatus:1:23.4:Retrieving file 1 of 3"), Some(23));
        assert_eq!(fetched("dlstatus:1:100:Retrieving file 1 of 3"), Some(100));
        assert_eq!(fetched("pmstatus:x:1:y"), None);
        assert_eq!(fetched("dlstatus:1"), None);
    }
}
