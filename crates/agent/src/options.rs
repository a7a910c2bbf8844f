//! What an agent is started with: from flags, or from the kernel's command line.
//!
//! All of it is public: where the controllers are, the SHA-256 of the certificate they must show, and where this machine
//! stands. Nothing secret is ever an argument.

use model::Location;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;

/// What [`crate::run`] is started with.
#[derive(Clone)]
pub struct Options {
    /// Controllers, tried in turn.
    pub controllers: Vec<Controller>,
    /// The authority that their certificates must come from.
    pub ca_pin: Pin,
    /// Where this machine stands.
    pub location: Location,
    /// Where key, certificate and the last orders are kept. Created if it is not there.
    pub state_dir: PathBuf,
    /// JSON with CPUs, memory, disks, firmware, serial, UUID or system instead of what is found.
    pub hardware_file: Option<PathBuf>,
    /// The TPM: the kernel's device, or a socket where an emulated one listens. It is opened only if the controller asks for it.
    pub tpm: PathBuf,
    /// Where its drives are, of which one may be a virtual CD of its BMC. They are looked at only if the controller asks for it.
    pub drives: PathBuf,
    /// The machine has no system, or none but in memory.
    pub is_ramdisk: bool,
    /// Where it would restart its machine, it ends with [`RESTARTS`] instead: who plays the machine does the rest.
    pub is_played: bool,
    /// End after the controller has taken the first report and check results.
    pub once: bool,
    /// Hears what happens.
    pub tell: Arc<dyn Fn(&Notice) + Send + Sync>,
}

/// The exit status of an agent whose machine is played and is to restart: `EX_TEMPFAIL` of sysexits.h, which nothing else ends it with.
pub const RESTARTS: i32 = 75;

/// The TPM of a machine, as the kernel gives it to several at once.
pub const TPM: &str = "/dev/tpmrm0";

/// What happens to an agent, for a log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Notice {
    /// A token was spent on a certificate.
    Enrolled,
    /// The certificate was renewed.
    Renewed,
    /// A session stands.
    Connected {
        /// With whom.
        controller: Controller,
        /// The plan in force.
        generation: model::Generation,
    },
    /// The controller said no.
    Refused {
        /// Who.
        controller: Controller,
        /// Why, in its words.
        sentence: String,
    },
    /// A connection failed or ended.
    Disconnected {
        /// With whom.
        controller: Controller,
        /// Why.
        error: String,
    },
    /// The running slot is on trial, and restarts the machine unless it is confirmed in time.
    Trial {
        /// Which.
        slot: model::install::Slot,
        /// How long it has.
        left: std::time::Duration,
    },
    /// Half of a token was told; the other is to be on a CD of this name that the machine's BMC inserts.
    AwaitsKey(String),
    /// The machine restarts, for this reason.
    Restart(String),
    /// The state directory, the hardware file or LLDP is not as it should be; the agent goes on without.
    Trouble(String),
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Enrolled => f.write_str("enrolled: a certificate was issued"),
            Self::Renewed => f.write_str("the certificate was renewed"),
            Self::Connected { controller, generation } => {
                write!(f, "connected to {controller}, plan {generation}")
            }
            Self::Refused { controller, sentence } => write!(f, "{controller} refused: {sentence}"),
            Self::Disconnected { controller, error } => write!(f, "{controller}: {error}"),
            Self::Trial { slot, left } => {
                write!(f, "slot {} is on trial, for {} s", slot.letter(), left.as_secs())
            }
            Self::AwaitsKey(volume) => {
                write!(
                    f,
                    "half of a token was told; the other is awaited from the BMC, on a CD called {}",
                    volume.escape_debug()
                )
            }
            Self::Restart(why) => write!(f, "the machine restarts: {why}"),
            Self::Trouble(words) => f.write_str(words),
        }
    }
}

/// A controller's address, written `https://10.0.0.1:8443`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Controller(pub SocketAddr);

impl fmt::Display for Controller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "https://{}", self.0)
    }
}

impl FromStr for Controller {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let authority = text.strip_prefix("https://").map(|rest| rest.strip_suffix('/').unwrap_or(rest));
        authority
            .and_then(|authority| authority.parse().ok())
            .map(Self)
            .ok_or("a controller is written https://ADDRESS:PORT, with an IPv4 address or an IPv6 address in brackets")
    }
}

/// The SHA-256 of a certificate, written `sha256:` and 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Pin(pub [u8; 32]);

impl FromStr for Pin {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const FORM: &str = "a pin is written sha256: and 64 hexadecimal digits";
        let digits = text.strip_prefix("sha256:").filter(|digits| digits.len() == 64).ok_or(FORM)?;
        if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return Err(FORM);
        }
        let mut octets = [0; 32];
        for (at, octet) in octets.iter_mut().enumerate() {
            *octet = u8::from_str_radix(&digits[2 * at..2 * at + 2], 16).map_err(|_| FORM)?;
        }
        Ok(Self(octets))
    }
}

/// What the kernel's command line says about a zone.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct CommandLine {
    /// `zw.controller=`, each time it is written.
    pub controllers: Vec<Controller>,
    /// `zw.ca=`.
    pub ca_pin: Option<Pin>,
    /// `zw.location=`.
    pub location: Option<Location>,
}

impl CommandLine {
    /// What is given, and what is not from the kernel's command line, which is read only if something is missing.
    ///
    /// # Errors
    /// What is given nowhere, or cannot be read.
    pub fn complete(mut self) -> Result<(Vec<Controller>, Pin, Location), String> {
        if self.controllers.is_empty() || self.ca_pin.is_none() || self.location.is_none() {
            let kernel = kernel_command_line()?;
            if self.controllers.is_empty() {
                self.controllers = kernel.controllers;
            }
            self.ca_pin = self.ca_pin.or(kernel.ca_pin);
            self.location = self.location.or(kernel.location);
        }
        if self.controllers.is_empty() {
            return Err("neither --controller nor zw.controller on the kernel command line is given".into());
        }
        let ca_pin = self.ca_pin.ok_or("neither --ca-pin nor zw.ca on the kernel command line is given")?;
        let location =
            self.location.ok_or("neither --location nor zw.location on the kernel command line is given")?;
        Ok((self.controllers, ca_pin, location))
    }
}

/// Reads the `zw.*` words of a kernel command line; other words are other people's, and `zw.generation` is for people.
///
/// # Errors
/// The word that cannot be read, and why.
pub fn command_line(text: &str) -> Result<CommandLine, String> {
    let mut found = CommandLine::default();
    for word in text.split_ascii_whitespace() {
        let Some((key, value)) = word.split_once('=') else { continue };
        let bad = |why: &str| format!("`{word}` on the kernel command line: {why}");
        match key {
            "zw.controller" => found.controllers.push(value.parse().map_err(bad)?),
            "zw.ca" => found.ca_pin = Some(value.parse().map_err(bad)?),
            "zw.location" => found.location = Some(Location::new(value)),
            _ => {}
        }
    }
    Ok(found)
}

/// [`command_line`] of the kernel that runs.
///
/// # Errors
/// It cannot be read, or one of its words cannot.
pub fn kernel_command_line() -> Result<CommandLine, String> {
    let text = std::fs::read_to_string("/proc/cmdline")
        .map_err(|error| format!("failed to read /proc/cmdline: {error}"))?;
    command_line(&text)
}

#[cfg(test)]
impl Options {
    /// Of an agent in a test that talks to nobody.
    pub(crate) fn nowhere() -> Self {
        Self {
            controllers: Vec::new(),
            ca_pin: Pin([0; 32]),
            location: Location::new("ams1/p01/r1/u01"),
            state_dir: "/nonexistent".into(),
            hardware_file: Some("/nonexistent".into()),
            tpm: "/nonexistent".into(),
            drives: "/nonexistent".into(),
            is_ramdisk: false,
            is_played: false,
            once: false,
            tell: Arc::new(|_| {}),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};

    fn check(text: &str, expected: Expect) {
        let shown = match command_line(text) {
            Ok(CommandLine { controllers, ca_pin, location }) => {
                let controllers: Vec<_> = controllers.iter().map(ToString::to_string).collect();
                format!("{controllers:?} {:?} {location:?}", ca_pin.map(|pin| pin.0[0]))
            }
            Err(error) => error,
        };
        expected.assert_eq(&shown);
    }

    #[test]
    fn the_kernel_command_line_says_all_that_an_agent_needs() {
        let pin = format!("zw.ca=sha256:{}", "7f".repeat(32));
        check(
            &format!(
                "ro quiet zw.controller=https://10.0.0.1:8443 {pin} zw.location=ams1/p01/r1/u01 zw.generation=7\n"
            ),
            expect![[r#"["https://10.0.0.1:8443"] Some(127) Some(ams1/p01/r1/u01)"#]],
        );
        check(
            "zw.controller=https://10.0.0.1:8443 zw.controller=https://[2001:db8::1]:8443/",
            expect![[r#"["https://10.0.0.1:8443", "https://[2001:db8::1]:8443"] None None"#]],
        );
        check("root=/dev/sda1", expect!["[] None None"]);
        check(
            "zw.controller=http://10.0.0.1",
            expect![
                "`zw.controller=http://10.0.0.1` on the kernel command line: a controller is written https://ADDRESS:PORT, with an IPv4 address or an IPv6 address in brackets"
            ],
        );
        check(
            "zw.ca=sha256:7f",
            expect![
                "`zw.ca=sha256:7f` on the kernel command line: a pin is written sha256: and 64 hexadecimal digits"
            ],
        );
    }

    #[test]
    fn a_pin_of_the_right_length_but_not_of_digits_is_refused() {
        for text in ["é".repeat(32), "+f".repeat(32), "zz".repeat(32), "7f".repeat(33)] {
            assert!(format!("sha256:{text}").parse::<Pin>().is_err(), "{text}");
        }
    }
}
