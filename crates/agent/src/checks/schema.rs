//! Which kinds of check there are, and which attributes each has: the one table of it. Tree to checks.
//!
//! In: a tree of nodes. Out: checks, or every problem at once. Nothing unknown is ignored, so that a typing error cannot make
//! a check pass.

use super::yaml::{self, Node, What};
use super::{CHECKS_MAX, Matcher, Problem, matcher, words};
use model::finding::nearest;
use std::time::Duration;

/// A check has this long unless it says otherwise.
const TIMEOUT: Duration = Duration::from_secs(10);

/// No check has longer.
const TIMEOUT_MAX: Duration = Duration::from_secs(120);

/// What an attribute's value is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// `true` or `false`.
    Flag,
    /// A whole number.
    Number,
    /// A file's mode, in octal.
    Mode,
    /// One text.
    Text,
    /// Several.
    List,
    /// Text of many lines.
    Lines,
}

impl Kind {
    /// What is wanted, in words.
    pub(super) fn wanted(self) -> &'static str {
        match self {
            Self::Flag => "`true` or `false` is wanted here",
            Self::Number => "a whole number is wanted here",
            Self::Mode => "an octal mode such as \"0644\" is wanted here",
            Self::Text => "a text is wanted here",
            Self::List => "a list of texts is wanted here",
            Self::Lines => "a list of texts to find is wanted here",
        }
    }
}

/// What is looked at.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Subject {
    /// A host and port that can be connected to.
    Addr,
    /// A program's exit status and output.
    Command,
    /// A name that resolves.
    Dns,
    /// A file, directory or link.
    File,
    /// A group of the system.
    Group,
    /// A page.
    Http,
    /// A network interface.
    Interface,
    /// A kernel parameter (sysctl).
    KernelParam,
    /// A mounted file system.
    Mount,
    /// An installed package (dpkg or rpm).
    Package,
    /// A listening socket.
    Port,
    /// A running program.
    Process,
    /// A unit of systemd.
    Service,
    /// A user of the system.
    User,
}

/// Subject, its key in a file, its attributes. Goss' second spelling of `resolvable` is taken too.
type Row = (Subject, &'static str, &'static [(&'static str, Kind)]);

const TABLE: [Row; 14] = [
    (Subject::Addr, "addr", &[("reachable", Kind::Flag)]),
    (
        Subject::Command,
        "command",
        &[("exit-status", Kind::Number), ("stdout", Kind::Lines), ("stderr", Kind::Lines)],
    ),
    (Subject::Dns, "dns", &[("resolvable", Kind::Flag), ("resolveable", Kind::Flag), ("addrs", Kind::List)]),
    (
        Subject::File,
        "file",
        &[
            ("exists", Kind::Flag),
            ("filetype", Kind::Text),
            ("mode", Kind::Mode),
            ("owner", Kind::Text),
            ("group", Kind::Text),
            ("size", Kind::Number),
            ("linked-to", Kind::Text),
            ("sha256", Kind::Text),
            ("contents", Kind::Lines),
        ],
    ),
    (Subject::Group, "group", &[("exists", Kind::Flag), ("gid", Kind::Number)]),
    (Subject::Http, "http", &[("status", Kind::Number), ("body", Kind::Lines)]),
    (
        Subject::Interface,
        "interface",
        &[("exists", Kind::Flag), ("addrs", Kind::List), ("mtu", Kind::Number)],
    ),
    (Subject::KernelParam, "kernel-param", &[("value", Kind::Text)]),
    (
        Subject::Mount,
        "mount",
        &[
            ("exists", Kind::Flag),
            ("source", Kind::Text),
            ("filesystem", Kind::Text),
            ("opts", Kind::List),
            ("usage", Kind::Number),
        ],
    ),
    (Subject::Package, "package", &[("installed", Kind::Flag), ("versions", Kind::List)]),
    (Subject::Port, "port", &[("listening", Kind::Flag), ("ip", Kind::List)]),
    (Subject::Process, "process", &[("running", Kind::Flag), ("count", Kind::Number)]),
    (Subject::Service, "service", &[("enabled", Kind::Flag), ("running", Kind::Flag)]),
    (
        Subject::User,
        "user",
        &[
            ("exists", Kind::Flag),
            ("uid", Kind::Number),
            ("gid", Kind::Number),
            ("groups", Kind::List),
            ("home", Kind::Text),
            ("shell", Kind::Text),
        ],
    ),
];

/// Attributes that every check may have and that assert nothing.
const COMMON: [&str; 4] = ["title", "meta", "skip", "timeout"];

/// Attributes of a command that say how to run it.
const OF_COMMAND: [&str; 2] = ["exec", "shell"];

impl Subject {
    /// Its key in a file.
    pub fn key(self) -> &'static str {
        row(self).1
    }
}

fn row(subject: Subject) -> &'static Row {
    // The table is in the order of the subjects.
    &TABLE[subject as usize]
}

/// One thing to look at, and what is expected of it.
#[derive(Clone, Debug)]
pub struct Check {
    /// What kind of thing.
    pub subject: Subject,
    /// Which: a path, a name, `tcp:22`. For a command, its label.
    pub name: String,
    /// For a command, the words that are run.
    pub command: Vec<String>,
    /// It has this long.
    pub timeout: Duration,
    /// It is not looked at; the result says so.
    pub skip: bool,
    /// What is expected, in the order of the file.
    pub assertions: Vec<Assertion>,
}

/// One attribute and what it must be.
#[derive(Clone, Debug)]
pub struct Assertion {
    /// `exists`, `mode`, …
    pub attribute: &'static str,
    /// What it is compared with.
    pub expected: Matcher,
}

/// Reads a file of checks.
///
/// # Errors
/// Everything that is wrong with it, in the order of the lines; only a text that is not YAML stops at its first problem.
pub fn parse(text: &str) -> Result<Vec<Check>, Vec<Problem>> {
    let document = yaml::read(text).map_err(|problem| vec![problem])?;
    let mut found = Found::default();
    match document {
        None => {}
        Some(document) if document.is_null() => {}
        Some(Node { what: What::Map(map), .. }) => {
            for (key, checks) in &map {
                found.subject(key, checks);
            }
        }
        Some(node) => found
            .problems
            .push((node.line, format!("a file of checks is a map of kinds, not {}", node.kind()))),
    }
    if found.checks.len() > CHECKS_MAX {
        found.problems.push((
            1,
            format!("there are {} checks; {CHECKS_MAX} are run from one file", found.checks.len()),
        ));
    }
    found.problems.sort_by_key(|(line, _)| *line);
    if found.problems.is_empty() { Ok(found.checks) } else { Err(found.problems) }
}

/// `there is no matcher `x`; did you mean `y`?`
pub(super) fn unknown<'a>(what: &str, written: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    match nearest(written, known) {
        Some(near) => format!("there is no {what} `{written}`; did you mean `{near}`?"),
        None => format!("there is no {what} `{written}`"),
    }
}

#[derive(Default)]
struct Found {
    checks: Vec<Check>,
    problems: Vec<Problem>,
}

impl Found {
    fn subject(&mut self, key: &Node, checks: &Node) {
        let written = key.text().unwrap_or_default();
        let Some((subject, ..)) = TABLE.iter().find(|(_, name, _)| *name == written) else {
            let sentence = unknown("kind of check", written, TABLE.iter().map(|(_, name, _)| *name));
            return self.problems.push((key.line, sentence));
        };
        match &checks.what {
            What::Map(map) => {
                for (name, attributes) in map {
                    self.check(*subject, name, attributes);
                }
            }
            _ if checks.is_null() => {}
            _ => self
                .problems
                .push((checks.line, format!("`{written}` is a map of names, not {}", checks.kind()))),
        }
    }

    fn check(&mut self, subject: Subject, name: &Node, attributes: &Node) {
        let name_text = name.text().unwrap_or_default().to_owned();
        let map = match &attributes.what {
            What::Map(map) => map.as_slice(),
            _ if attributes.is_null() => &[],
            _ => {
                let sentence = format!("`{name_text}` is a map of attributes, not {}", attributes.kind());
                return self.problems.push((attributes.line, sentence));
            }
        };
        let problems = self.problems.len();
        if let Err(sentence) = name_fits(subject, &name_text) {
            self.problems.push((name.line, sentence));
        }
        let mut check = Check {
            subject,
            name: name_text,
            command: Vec::new(),
            timeout: TIMEOUT,
            skip: false,
            assertions: Vec::new(),
        };
        let (mut exec, mut shell) = (None, false);
        for (key, value) in map {
            let written = key.text().unwrap_or_default();
            let known = row(subject).2;
            let outcome = match written {
                "title" | "meta" => Ok(()),
                "skip" => flag(value).map(|skip| check.skip = skip),
                "timeout" => timeout(value).map(|timeout| check.timeout = timeout),
                "exec" if subject == Subject::Command => {
                    exec_of(value).map(|words| exec = Some((words, value.line)))
                }
                "shell" if subject == Subject::Command => flag(value).map(|flag| shell = flag),
                _ => match known.iter().find(|(attribute, _)| *attribute == written) {
                    Some((attribute, kind)) => matcher::read(value, *kind)
                        .map(|expected| check.assertions.push(Assertion { attribute, expected })),
                    None => {
                        let own = if subject == Subject::Command { &OF_COMMAND[..] } else { &[] };
                        let names =
                            known.iter().map(|(name, _)| *name).chain(own.iter().copied()).chain(COMMON);
                        Err((key.line, unknown(&format!("attribute of {}", subject.key()), written, names)))
                    }
                },
            };
            self.problems.extend(outcome.err());
        }
        if subject == Subject::Command {
            let (exec, line) = exec.unwrap_or((Exec::Line(check.name.clone()), name.line));
            match command(exec, shell) {
                Ok(words) => check.command = words,
                Err(sentence) => self.problems.push((line, sentence)),
            }
            if !check.assertions.iter().any(|assertion| assertion.attribute == "exit-status") {
                let expected = Matcher::Number(0);
                check.assertions.insert(0, Assertion { attribute: "exit-status", expected });
            }
        }
        if check.assertions.is_empty() && self.problems.len() == problems {
            let first = row(subject).2[0].0;
            self.problems
                .push((name.line, format!("nothing is expected of `{}`; write `{first}: …`", check.name)));
        }
        self.checks.push(check);
    }
}

/// How a command was written.
enum Exec {
    Line(String),
    Words(Vec<String>),
}

fn exec_of(node: &Node) -> Result<Exec, Problem> {
    match &node.what {
        What::Scalar { text, .. } => Ok(Exec::Line(text.clone())),
        What::List(list) => {
            let word = |node: &Node| {
                node.text()
                    .map(str::to_owned)
                    .ok_or((node.line, format!("a word is wanted here, not {}", node.kind())))
            };
            list.iter().map(word).collect::<Result<_, _>>().map(Exec::Words)
        }
        What::Map(_) => Err((node.line, "a command is a text or a list of words, not a map".into())),
    }
}

fn command(exec: Exec, shell: bool) -> Result<Vec<String>, String> {
    match exec {
        Exec::Line(line) if shell => Ok(vec!["/bin/sh".into(), "-c".into(), line]),
        Exec::Line(line) => words::split(&line),
        Exec::Words(_) if shell => {
            Err("a list of words is run without a shell; write a text, or leave out `shell`".into())
        }
        Exec::Words(words) if words.is_empty() => Err("there is no command".into()),
        Exec::Words(words) => Ok(words),
    }
}

fn flag(node: &Node) -> Result<bool, Problem> {
    match matcher::read(node, Kind::Flag)? {
        Matcher::Flag(flag) => Ok(flag),
        _ => Err((node.line, Kind::Flag.wanted().into())),
    }
}

/// Milliseconds, as Goss counts them.
fn timeout(node: &Node) -> Result<Duration, Problem> {
    let millis = match matcher::read(node, Kind::Number)? {
        Matcher::Number(millis) => u64::try_from(millis).ok().filter(|millis| *millis > 0),
        _ => None,
    };
    let timeout = millis.map(Duration::from_millis).filter(|timeout| *timeout <= TIMEOUT_MAX);
    timeout.ok_or((node.line, format!("a timeout is 1 to {} milliseconds", TIMEOUT_MAX.as_millis())))
}

/// Whether a name can be one of this subject.
fn name_fits(subject: Subject, name: &str) -> Result<(), String> {
    let port = |text: &str| text.parse::<u16>().is_ok_and(|port| port > 0);
    let fits = match subject {
        Subject::Port => {
            let (protocol, number) = name.split_once(':').unwrap_or(("tcp", name));
            (["tcp", "tcp6", "udp", "udp6"].contains(&protocol) && port(number))
                .then_some(())
                .ok_or("written `tcp:22`, with tcp, tcp6, udp or udp6")
        }
        Subject::Addr => {
            let rest = name.strip_prefix("tcp://").and_then(|rest| rest.rsplit_once(':'));
            rest.is_some_and(|(host, number)| !host.is_empty() && port(number))
                .then_some(())
                .ok_or("written `tcp://HOST:PORT`")
        }
        Subject::Http => name
            .strip_prefix("http://")
            .filter(|rest| !rest.is_empty() && !rest.contains(|c: char| c.is_whitespace() || c.is_control()))
            .map(|_| ())
            .ok_or("written `http://HOST[:PORT]/PATH`; for https, use a command"),
        Subject::File | Subject::Mount => name.starts_with('/').then_some(()).ok_or("an absolute path"),
        Subject::KernelParam => (!name.contains("..") && !name.starts_with(['/', '.']) && !name.is_empty())
            .then_some(())
            .ok_or("a name such as `net.ipv4.ip_forward`"),
        _ => (!name.is_empty() && !name.starts_with('-') && !name.contains(char::is_control))
            .then_some(())
            .ok_or("a name"),
    };
    fits.map_err(|form| format!("`{name}` is no {}: it is {form}", subject.key()))
}

#[cfg(test)]
mod tests;
