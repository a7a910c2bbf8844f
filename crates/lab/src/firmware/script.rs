//! The part of iPXE's script language that boot scripts use: labels, settings, `||`, `&&`, and a dozen commands.
//!
//! [`Script::next`] runs to the next thing that needs the world (a fetch, a wait, a boot) and says what it is; the
//! driver does it and says whether it worked. As in iPXE, a command that fails and is not followed by `||` ends the
//! script. A command that is not known fails.

use std::collections::HashMap;
use std::time::Duration;

/// The longest script that is read, in octets.
const TEXT_MAX: usize = 64 << 10;
/// The longest command with its settings in place, in octets: `set a ${a}${a}` doubles.
const COMMAND_MAX: usize = 16 << 10;
/// Settings of one script.
const SETTINGS_MAX: usize = 256;
/// Commands without anything to wait for between them, before the script counts as running in circles.
const IDLE_MAX: u32 = 10_000;

/// What runs iPXE.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Platform {
    /// `pcbios`.
    Bios,
    /// `efi`.
    Uefi,
}

/// A script being run.
#[derive(Clone, Debug)]
pub(crate) struct Script {
    lines: Vec<String>,
    line: usize,
    /// Commands of the line that are still to run, each with what must have happened before it.
    rest: Vec<(Joint, String)>,
    settings: HashMap<String, String>,
    worked: bool,
    /// The script began with `#!ipxe`.
    is_valid: bool,
}

/// What stands before a command.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Joint {
    Always,
    IfWorked,
    IfFailed,
}

/// What is fetched for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Fetching {
    /// To be run as the kernel.
    Kernel,
    /// To be handed to it.
    Initrd,
    /// To be run in place of this script.
    Chain,
}

/// What the driver does next.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Step {
    /// Fetch this URL; for a kernel with this command line.
    Fetch {
        /// What for.
        what: Fetching,
        /// From where.
        url: String,
        /// The rest of the command's line.
        arguments: String,
    },
    /// Free what was fetched.
    Free,
    /// Start the kernel. It fails if none was fetched.
    Boot,
    /// Start the own disk.
    LocalDisk,
    /// Show a line.
    Say(String),
    /// Wait.
    Sleep(Duration),
    /// The script is over: back to the firmware, which goes on with its next boot option unless it says "fine".
    Exit {
        /// Whether it says "fine".
        fine: bool,
        /// Why, if it broke off.
        why: String,
    },
}

impl Script {
    /// Reads a script.
    pub(crate) fn new(text: &str, platform: Platform) -> Self {
        let text = text.get(..text.len().min(TEXT_MAX)).unwrap_or_default();
        let platform = if platform == Platform::Bios { "pcbios" } else { "efi" };
        Self {
            lines: text.lines().map(|line| line.trim().to_owned()).collect(),
            line: 0,
            rest: Vec::new(),
            settings: HashMap::from([("platform".to_owned(), platform.to_owned())]),
            worked: true,
            is_valid: text.starts_with("#!ipxe"),
        }
    }

    /// Goes on after the last step, which worked or did not.
    pub(crate) fn next(&mut self, worked: bool) -> Step {
        self.worked = worked;
        if !self.is_valid {
            return Step::Exit { fine: false, why: "it is no iPXE script".to_owned() };
        }
        for _ in 0..IDLE_MAX {
            let Some((joint, command)) = self.take() else {
                if !self.worked {
                    let line = self.lines.get(self.line.wrapping_sub(1)).cloned().unwrap_or_default();
                    return Step::Exit { fine: false, why: format!("`{line}` failed") };
                }
                if self.line >= self.lines.len() {
                    return Step::Exit { fine: true, why: "the script ended".to_owned() };
                }
                self.begin_line();
                continue;
            };
            if joint == Joint::IfFailed && self.worked || joint == Joint::IfWorked && !self.worked {
                continue;
            }
            if let Some(step) = self.run(&command) {
                return step;
            }
        }
        Step::Exit { fine: false, why: "the script runs in circles".to_owned() }
    }

    fn take(&mut self) -> Option<(Joint, String)> {
        if self.rest.is_empty() { None } else { Some(self.rest.remove(0)) }
    }

    fn begin_line(&mut self) {
        let line = self.lines[self.line].clone();
        self.line += 1;
        if line.is_empty() || line.starts_with('#') || line.starts_with(':') {
            return;
        }
        let mut joint = Joint::Always;
        let mut command = String::new();
        for word in line.split_whitespace() {
            let next = match word {
                "||" => Joint::IfFailed,
                "&&" => Joint::IfWorked,
                word => {
                    command.push_str(word);
                    command.push(' ');
                    continue;
                }
            };
            self.rest.push((joint, std::mem::take(&mut command)));
            joint = next;
        }
        // A joint with nothing after it is a command that does nothing, and works: `chain … ||` never ends a script.
        self.rest.push((joint, command));
    }

    /// Runs one command; `None` if it is done.
    fn run(&mut self, command: &str) -> Option<Step> {
        let Some(command) = self.expand(command) else {
            self.worked = false;
            return None;
        };
        let mut words = command.split_whitespace();
        let name = words.next().unwrap_or_default();
        self.worked = true;
        match name {
            "" | "isset" if name.is_empty() => None,
            "echo" | "prompt" => Some(Step::Say(words.collect::<Vec<_>>().join(" "))),
            "set" => {
                let name = words.next().unwrap_or_default();
                let name = name.split(':').next().unwrap_or_default().to_owned();
                self.set(name, words.collect::<Vec<_>>().join(" "));
                None
            }
            "inc" => {
                let name = words.next().unwrap_or_default();
                let by = words.next().map_or(Ok(1), str::parse::<i64>);
                let now = self.settings.get(name).map_or(Ok(0), |text| text.parse::<i64>());
                match (by, now) {
                    (Ok(by), Ok(now)) => self.set(name.to_owned(), now.wrapping_add(by).to_string()),
                    _ => self.worked = false,
                }
                None
            }
            "iseq" => {
                self.worked = words.next() == words.next();
                None
            }
            "isset" => {
                self.worked = words.next().is_some_and(|value| !value.is_empty());
                None
            }
            "goto" => {
                let label = format!(":{}", words.next().unwrap_or_default());
                match self.lines.iter().position(|line| *line == label) {
                    Some(at) => {
                        self.line = at;
                        self.rest.clear();
                    }
                    None => self.worked = false,
                }
                None
            }
            "sleep" => match words.next().and_then(|text| text.parse().ok()) {
                Some(seconds) => Some(Step::Sleep(Duration::from_secs(seconds))),
                None => {
                    self.worked = false;
                    None
                }
            },
            "imgfree" => Some(Step::Free),
            "kernel" | "initrd" | "module" | "imgfetch" | "chain" => self.fetch(name, words),
            "boot" => Some(Step::Boot),
            "sanboot" => Some(Step::LocalDisk),
            "exit" => {
                let code = words.next().unwrap_or("0");
                Some(Step::Exit { fine: code == "0", why: format!("exit {code}") })
            }
            "dhcp" | "ifopen" | "ifclose" | "clear" | "console" => None,
            _ => {
                self.worked = false;
                None
            }
        }
    }

    fn fetch<'w>(&mut self, name: &str, words: impl Iterator<Item = &'w str>) -> Option<Step> {
        let what = match name {
            "kernel" => Fetching::Kernel,
            "chain" => Fetching::Chain,
            _ => Fetching::Initrd,
        };
        let mut words = words.peekable();
        while let Some(flag) = words.next_if(|word| word.starts_with('-')) {
            if matches!(flag, "--name" | "-n" | "--timeout" | "-t") {
                words.next();
            }
        }
        match words.next() {
            Some(url) => {
                let arguments = words.collect::<Vec<_>>().join(" ");
                Some(Step::Fetch { what, url: url.to_owned(), arguments })
            }
            None => {
                self.worked = false;
                None
            }
        }
    }

    /// Fails if there are too many.
    fn set(&mut self, name: String, value: String) {
        self.worked = self.settings.len() < SETTINGS_MAX || self.settings.contains_key(&name);
        if self.worked {
            self.settings.insert(name, value);
        }
    }

    /// Settings in their places. One that is not set is empty. `None` if it becomes too long.
    fn expand(&self, command: &str) -> Option<String> {
        let mut expanded = String::with_capacity(command.len());
        let mut rest = command;
        while let Some((before, after)) = rest.split_once("${") {
            expanded.push_str(before);
            let Some((name, after)) = after.split_once('}') else {
                rest = after;
                break;
            };
            let name = name.split(':').next().unwrap_or_default();
            expanded.push_str(self.settings.get(name).map_or("", String::as_str));
            rest = after;
            if expanded.len() > COMMAND_MAX {
                return None;
            }
        }
        expanded.push_str(rest);
        (expanded.len() <= COMMAND_MAX).then_some(expanded)
    }
}

#[cfg(test)]
mod tests;
