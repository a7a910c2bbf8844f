//! `zw bmc`: power, boot source, media, inventory and firmware of machines, through the controller, which reaches their BMCs.

use crate::client::{self, Failure, Which};
use crate::commands::check::failed;
use api::bmc::{Ask, Inventory, Mode, Power, Secret, Source, Word};
use clap::{Args as ClapArgs, Subcommand, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};
use std::fmt::Write as _;
use std::io::{IsTerminal, Read, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

/// The longest file of credentials, in octets.
const CREDENTIALS_MAX: u64 = 1024;

/// Speak to a machine's BMC: power, boot source, virtual media, inventory, firmware.
#[derive(ClapArgs)]
#[command(
    after_help = "Examples:\n  zw bmc adopt p01/r1/u02 --credentials factory.txt\n  zw bmc power p01/r1/u02 cycle\n  \
                  zw bmc boot p01/r1/u02 pxe --once --now\n  zw bmc inventory p01/r1/u02 --json"
)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    which: Which,
}

#[derive(Subcommand)]
enum Command {
    /// Turn a machine on or off, or tell which it is.
    Power {
        /// A location, name or address.
        target: String,
        /// What to do.
        #[arg(value_enum)]
        to: PowerWord,
    },
    /// Choose what a machine boots from.
    Boot {
        /// A location, name or address.
        target: String,
        /// What to boot from; `usual` takes the choice back.
        #[arg(value_enum)]
        from: SourceWord,
        /// The next time only.
        #[arg(long)]
        once: bool,
        /// Which kind of firmware boots.
        #[arg(long, value_enum)]
        mode: Option<ModeWord>,
        /// Power cycle it right then.
        #[arg(long)]
        now: bool,
    },
    /// Insert an image as a machine's CD, or eject it.
    Media {
        /// A location, name or address.
        target: String,
        #[command(subcommand)]
        what: Media,
    },
    /// What a machine is, as its BMC knows it.
    Inventory {
        /// A location, name or address.
        target: String,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Install firmware that the BMC fetches itself, and wait until it is.
    Update {
        /// A location, name or address.
        target: String,
        /// Where it is fetched from.
        url: String,
    },
    /// Make a BMC ours: an account of our own with a password that nobody sees, and another one for the factory's account.
    Adopt {
        /// A location, name or address.
        target: String,
        /// Where the account is that the BMC came with: the user on one line, the password on the next. `-` is standard input.
        #[arg(long, value_name = "FILE", default_value = "-")]
        credentials: PathBuf,
        /// Change nothing on the BMC: use this account as it is.
        #[arg(long)]
        as_given: bool,
        /// SHA-256 of the certificate that it must show; otherwise the one that it shows is believed, and told.
        #[arg(long, value_name = "HEX")]
        certificate: Option<String>,
    },
}

#[derive(Clone, Copy, ValueEnum)]
enum PowerWord {
    /// Tell it.
    Status,
    /// On.
    On,
    /// Its system shuts itself down.
    Off,
    /// Off at once.
    ForceOff,
    /// Over again at once; on, if it was off.
    Cycle,
}

#[derive(Clone, Copy, ValueEnum)]
enum SourceWord {
    /// PXE.
    Pxe,
    /// UEFI HTTP boot.
    Http,
    /// The first disk.
    Disk,
    /// CD, virtual media included.
    Cd,
    /// As its firmware is set.
    Usual,
}

#[derive(Clone, Copy, ValueEnum)]
enum ModeWord {
    /// UEFI.
    Uefi,
    /// BIOS.
    Legacy,
}

#[derive(Subcommand)]
enum Media {
    /// Insert the image at a URL, which the BMC fetches itself.
    Insert {
        /// Where it is fetched from.
        url: String,
    },
    /// Eject what is inserted.
    Eject,
}

/// Runs the command.
pub(crate) fn run(args: &Args) -> ExitCode {
    let (target, ask) = match asked(&args.command) {
        Ok(asked) => asked,
        Err(sentence) => return failed(&Failure::NotFound(sentence)),
    };
    let json = matches!(args.command, Command::Inventory { json: true, .. });
    match args.which.find().and_then(|server| follow(&server, target, &ask)) {
        Ok((outcome, inventory)) => {
            let text = match inventory {
                Some(inventory) if json => {
                    serde_json::to_string_pretty(&inventory).unwrap_or_default() + "\n"
                }
                Some(inventory) => shown(&inventory),
                None => format!("{target}: {outcome}\n"),
            };
            // Nothing more can be done when standard output is closed.
            let _ = anstream::stdout().write_all(text.as_bytes());
            ExitCode::SUCCESS
        }
        Err(failure) => failed(&failure),
    }
}

/// The target, and what is asked of its BMC.
fn asked(command: &Command) -> Result<(&str, Ask), String> {
    Ok(match command {
        Command::Power { target, to } => {
            let to = match to {
                PowerWord::Status => Power::Status,
                PowerWord::On => Power::On,
                PowerWord::Off => Power::Off,
                PowerWord::ForceOff => Power::ForceOff,
                PowerWord::Cycle => Power::Cycle,
            };
            (target, Ask::Power { to })
        }
        Command::Boot { target, from, once, mode, now } => {
            let from = match from {
                SourceWord::Pxe => Source::Pxe,
                SourceWord::Http => Source::Http,
                SourceWord::Disk => Source::Disk,
                SourceWord::Cd => Source::Cd,
                SourceWord::Usual => Source::Usual,
            };
            let mode = mode.map(|mode| match mode {
                ModeWord::Uefi => Mode::Uefi,
                ModeWord::Legacy => Mode::Legacy,
            });
            (target, Ask::Boot { from, once: *once, mode, now: *now })
        }
        Command::Media { target, what: Media::Insert { url } } => (target, Ask::Insert { url: url.clone() }),
        Command::Media { target, what: Media::Eject } => (target, Ask::Eject),
        Command::Inventory { target, .. } => (target, Ask::Inventory),
        Command::Update { target, url } => (target, Ask::Update { url: url.clone() }),
        Command::Adopt { target, credentials, as_given, certificate } => {
            let (user, password) = read_credentials(credentials)?;
            let (as_given, certificate) = (*as_given, certificate.clone());
            (target, Ask::Adopt { user, password: Secret(password), as_given, certificate })
        }
    })
}

/// A user and a password: the first two lines. Never from the arguments, which every user of a host can read.
fn read_credentials(path: &PathBuf) -> Result<(String, String), String> {
    let mut text = String::new();
    let is_stdin = path.as_os_str() == "-";
    if is_stdin && std::io::stdin().is_terminal() {
        return Err("a password typed here would show: name a file with --credentials, or pipe one in; the user on one line, the password on the next".to_owned());
    }
    let read = match is_stdin {
        true => std::io::stdin().take(CREDENTIALS_MAX).read_to_string(&mut text),
        false => {
            std::fs::File::open(path).and_then(|file| file.take(CREDENTIALS_MAX).read_to_string(&mut text))
        }
    };
    read.map_err(|error| format!("failed to read {}: {error}", path.display()))?;
    let mut lines = text.lines().map(|line| line.trim_end_matches('\r').to_owned());
    match (lines.next(), lines.next()) {
        (Some(user), Some(password)) if !user.is_empty() && !password.is_empty() => Ok((user, password)),
        _ => Err(format!("{} has not a user on its first line and a password on its second", path.display())),
    }
}

/// Asks, shows what it waits for, and gives what came of it.
fn follow(
    server: &client::Server,
    target: &str,
    ask: &Ask,
) -> Result<(String, Option<Box<Inventory>>), Failure> {
    let mut shown = Shown::new(target);
    let mut last = None;
    let told =
        client::post_lines(server, &format!("/v1/bmc/{}", client::encoded(target)), ask, |word: Word| {
            match word {
                Word::Waits { on, percent } => shown.show(&on, percent),
                word => last = Some(word),
            }
        });
    shown.end();
    told?;
    match last {
        Some(Word::Done { outcome, inventory }) => Ok((outcome, inventory)),
        Some(Word::Failed { error }) => Err(Failure::Refused(error)),
        _ => Err(Failure::Refused(
            "the controller ended before its BMC was done; `zw show` tells how far it came".to_owned(),
        )),
    }
}

/// What it waits for: one live line on a terminal, else a line for each new thing.
struct Shown {
    bar: Option<ProgressBar>,
    target: String,
    last: String,
}

impl Shown {
    fn new(target: &str) -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::new_spinner();
            if let Ok(style) = ProgressStyle::with_template("{spinner} {prefix} waits for {msg} ({elapsed})")
            {
                bar.set_style(style);
            }
            bar.set_prefix(target.to_owned());
            bar.enable_steady_tick(Duration::from_millis(120));
            bar
        });
        Self { bar, target: target.to_owned(), last: String::new() }
    }

    fn show(&mut self, on: &str, percent: Option<u8>) {
        let text = match percent {
            Some(percent) => format!("{on}: {percent} %"),
            None => on.to_owned(),
        };
        match &self.bar {
            Some(bar) => bar.set_message(text),
            None if text != self.last => {
                // Nothing more can be done when standard error is closed.
                let _ = writeln!(anstream::stderr(), "{} waits for {text}", self.target);
                self.last = text;
            }
            None => {}
        }
    }

    fn end(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// An inventory as text.
fn shown(found: &Inventory) -> String {
    let mut text = String::new();
    let memory = found.memory_gib.map(|gib| format!("{gib} GiB")).unwrap_or_default();
    let processors =
        found.processors.map(|count| format!("{count} {}", found.processor_model)).unwrap_or_default();
    let model = format!("{} {}", found.vendor, found.model);
    let rows = [
        ("model", model.trim()),
        ("serial", &found.serial),
        ("uuid", &found.uuid),
        ("power", &found.power),
        ("health", &found.health),
        ("bios", &found.bios),
        ("bmc", &found.bmc_firmware),
        ("processors", processors.trim()),
        ("memory", &memory),
    ];
    for (name, value) in rows.into_iter().filter(|(_, value)| !value.is_empty()) {
        let _ = writeln!(text, "{name:<11} {value}");
    }
    for nic in &found.nics {
        let speed = nic.mbps.map(|mbps| format!(", {mbps} Mbit/s")).unwrap_or_default();
        let _ = writeln!(text, "{:<11} {} {}{speed}", "interface", nic.id, nic.mac);
    }
    for drive in &found.drives {
        let size =
            drive.size_bytes.map(|bytes| format!(", {} GB", bytes / 1_000_000_000)).unwrap_or_default();
        let line = format!("{} {} {} {}", drive.name, drive.media, drive.model, drive.serial);
        let words: Vec<&str> = line.split_whitespace().collect();
        let _ = writeln!(text, "{:<11} {}{size}", "disk", words.join(" "));
    }
    for unread in &found.unread {
        let _ = writeln!(text, "{:<11} {unread}", "not read");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use api::bmc::{Drive, Nic};

    #[test]
    fn an_inventory_is_shown_without_what_is_not_known() {
        let found = Inventory {
            vendor: "Contoso".into(),
            model: "3500".into(),
            serial: "437XR".into(),
            uuid: String::new(),
            bios: String::new(),
            bmc_firmware: "1.45".into(),
            power: "on".into(),
            health: String::new(),
            processors: Some(2),
            processor_model: "Multi-Core".into(),
            memory_gib: Some(96.0),
            nics: vec![Nic { id: "1".into(), mac: "aa:bb:cc:dd:ee:01".into(), mbps: Some(25_000) }],
            drives: vec![Drive {
                name: "Disk 0".into(),
                model: "C123".into(),
                serial: String::new(),
                size_bytes: Some(899_527_000_000),
                media: "SSD".into(),
            }],
            unread: vec!["disks: it has none".into()],
        };
        expect_test::expect![[r#"
            model       Contoso 3500
            serial      437XR
            power       on
            bmc         1.45
            processors  2 Multi-Core
            memory      96 GiB
            interface   1 aa:bb:cc:dd:ee:01, 25000 Mbit/s
            disk        Disk 0 SSD C123, 899 GB
            not read    disks: it has none
        "#]]
        .assert_eq(&shown(&found));
    }

    #[test]
    fn credentials_are_two_lines_of_a_file() {
        let path = std::env::temp_dir().join(format!("zw-bmc-credentials-{}", std::process::id()));
        let read = |text: &str| {
            std::fs::write(&path, text).unwrap();
            read_credentials(&path)
        };
        assert_eq!(read("root\r\ncal vin\r\nmore"), Ok(("root".into(), "cal vin".into())));
        assert!(read("root").is_err() && read("\ncalvin").is_err() && read("").is_err());
        std::fs::remove_file(&path).unwrap();
    }
}
