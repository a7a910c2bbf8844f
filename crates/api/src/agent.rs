//! What an agent and a controller say to each other, and how it is cut into frames.
//!
//! In: octets of a TLS stream, in pieces of any size. Out: whole typed frames, or the one reason why the stream is
//! not this protocol. A frame is a length (u32, big-endian) and that many octets of JSON. Nothing here opens a socket,
//! reads a clock or keeps more than one frame and one read of octets.
//!
//! Within a version, fields may be added and are ignored by those who do not know them; a changed meaning is a new
//! version. Controllers are upgraded first and speak to agents two releases back.

use crate::install::{Order, Progress, Running, Slot};
use model::burn_in;
use model::design::CheckFile;
use model::facts::{CheckResult, DhcpServer, Hardware};
use model::octets::hexadecimal;
use model::{Generation, Location, Mac, Time};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// The protocol's name in the TLS handshake (RFC 7301).
pub const ALPN: &[u8] = b"zw-agent/1";

/// The version that this release speaks.
pub const VERSION: u16 = 1;

/// The oldest version that this release still answers.
pub const VERSION_OLDEST: u16 = 1;

/// The longest frame between peers that know each other, in octets: a report of a machine with hundreds of disks is
/// a tenth of it.
pub const FRAME_MAX: usize = 1 << 20;

/// The longest frame taken from a peer without a certificate, in octets: a signing request is under 1 KiB.
pub const FRAME_MAX_UNPROVEN: usize = 16 << 10;

/// The most disks, interfaces or check results in one frame.
pub const LIST_MAX: usize = 1024;

/// The most parts of a burn-in that are told of.
pub const BURN_IN_PARTS_MAX: usize = 16;

/// The longest text in a report or a check result, in octets.
pub const TEXT_MAX: usize = 1024;

/// Agent to controller.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(tag = "frame", rename_all = "kebab-case")]
pub enum FromAgent {
    /// Without a certificate: asks for the single-use token of this boot.
    TokenRequest {
        /// [`VERSION`] of the agent.
        version: u16,
        /// Where it was told that it stands.
        location: Location,
        /// Hardware address of the interface it speaks through, if it could tell.
        mac: Option<Mac>,
        /// What its TPM shows of itself, when it was asked for that.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        tpm: Option<Box<ShownTpm>>,
    },
    /// Without a certificate: spends the token on a certificate.
    Enrol {
        /// [`VERSION`] of the agent.
        version: u16,
        /// Where it was told that it stands.
        location: Location,
        /// What [`FromController::Token`] gave, or what its TPM found in [`FromController::Challenge`].
        token: Secret,
        /// Certificate signing request, PEM (RFC 2986). Only its public key and its proof are used.
        csr: String,
        /// The registers of its TPM, when they were asked for.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        quote: Option<Box<ShownQuote>>,
    },
    /// Asks for the next certificate for the key that was enrolled: with the last one, or without it when that ran
    /// out or never arrived. The request proves that the sender holds the key.
    Renew {
        /// [`VERSION`] of the agent.
        version: u16,
        /// Where it stands.
        location: Location,
        /// Certificate signing request, PEM.
        csr: String,
    },
    /// With a certificate: begins a session.
    Hello {
        /// [`VERSION`] of the agent.
        version: u16,
        /// Where it stands; must be what the certificate says.
        location: Location,
        /// The plan it last heard of.
        generation: Option<Generation>,
        /// What it runs in. `None`: a system that somebody else installed.
        #[serde(default)]
        running: Option<Running>,
        /// It knows [`FromController::BurnIn`], and goes on long enough to do it. One that does not is never sent it.
        #[serde(default)]
        burns_in: bool,
        /// Why somebody on the machine lets nobody restart it; `None`: nobody holds it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        held: Option<String>,
        /// Tells this boot of the machine from every other; `None`: it cannot tell.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        boot: Option<u64>,
    },
    /// Somebody on the machine lets nobody restart it any more, for this reason, or lets go of it.
    Held {
        /// Why; `None`: nobody holds it.
        why: Option<String>,
    },
    /// What is in the box and at the other end of its cables.
    Report {
        /// All of it, each time.
        hardware: Box<Hardware>,
    },
    /// What the checks said.
    Checks {
        /// The plan they came with.
        generation: Generation,
        /// One for each check.
        results: Vec<CheckResult>,
    },
    /// The DHCP servers that answered a probe, this zone's own among them.
    Servers {
        /// One for each server and interface.
        servers: Vec<DhcpServer>,
    },
    /// How far an order is. Said when a step begins, and now and then while octets flow.
    Installing {
        /// All of it, each time.
        progress: Progress,
    },
    /// An order is carried out: everything is written and proved. The agent restarts the machine when it is told to.
    Installed {
        /// The order's plan.
        generation: Generation,
        /// Digest of the image.
        image: String,
        /// Where.
        slot: Slot,
    },
    /// An order cannot be carried out, or failed. What GRUB starts is as before, or nothing.
    NotInstalled {
        /// The order's plan.
        generation: Generation,
        /// Digest of the image.
        image: String,
        /// Why, for people.
        sentence: String,
    },
    /// The running slot is the good one from here on.
    Confirmed {
        /// Which.
        slot: Slot,
    },
    /// How far a burn-in is. Said when it or one of its parts begins, and every few seconds.
    BurningIn {
        /// All of it, each time.
        progress: burn_in::Progress,
    },
    /// A burn-in ended by itself. Said again whenever the same is ordered again.
    BurntIn {
        /// How.
        outcome: burn_in::Outcome,
    },
    /// Still here.
    Heartbeat,
}

/// Controller to agent.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(tag = "frame", rename_all = "kebab-case")]
pub enum FromController {
    /// The single-use token of this boot.
    Token {
        /// 32 octets in hexadecimal.
        token: Secret,
        /// How long it is good.
        seconds: u32,
    },
    /// Half of the single-use token of this boot. The other half is on a virtual CD that its BMC inserts (see [`crate::key_media`]).
    Half {
        /// 32 octets in hexadecimal.
        told: Secret,
        /// What that CD is called.
        volume: String,
        /// How long the token is good.
        seconds: u32,
    },
    /// No token in plain: this place is proved by a TPM. The same request again, with what the TPM shows of itself.
    ShowTpm {},
    /// The single-use token of this boot, for the TPM that was shown, and a question to it.
    Challenge {
        /// `TPMS_ID_OBJECT`: the token, wrapped for the attestation key that was shown.
        credential: Octets,
        /// The seed that opens it, encrypted to the endorsement key that was shown.
        seed: Octets,
        /// The registers to be quoted, ascending.
        pcrs: Vec<u8>,
        /// How long the token is good.
        seconds: u32,
    },
    /// A certificate, for a token or for the one before.
    Certificate {
        /// PEM.
        certificate: String,
        /// It is renewed when the controller's clock passes this.
        renew_at: Time,
        /// It is refused when the controller's clock passes this.
        not_after: Time,
        /// The controller's clock.
        now: Time,
    },
    /// The session stands.
    Welcome {
        /// The version that both speak from here on.
        version: u16,
        /// The plan in force.
        generation: Generation,
        /// The role's checks.
        checks: Vec<CheckFile>,
        /// A heartbeat is expected this often.
        heartbeat_seconds: u32,
        /// The checks are run again this often.
        check_seconds: u32,
        /// The networks are asked for their DHCP servers this often; 0: never.
        #[serde(default)]
        probe_seconds: u32,
        /// The controller's clock.
        now: Time,
    },
    /// Another plan is in force.
    NewGeneration {
        /// Its number.
        generation: Generation,
        /// The role's checks in it.
        checks: Vec<CheckFile>,
        /// As in the welcome.
        #[serde(default)]
        probe_seconds: u32,
    },
    /// Write a system. The same order again, while it is carried out, changes nothing.
    Install {
        /// All that there is to know.
        order: Box<Order>,
    },
    /// The running system is right: make its slot the good one.
    Confirm {
        /// Digest of the image that was found right; another that runs is not confirmed.
        image: String,
    },
    /// Restart the machine.
    Restart {
        /// Why, for the log.
        sentence: String,
        /// Who may have the machine out of service for it. Without one, only a machine that was just written restarts.
        #[serde(default)]
        lease: Option<Lease>,
    },
    /// Burn the machine in. The same order again changes nothing while it is carried out, and is answered at once when it was.
    BurnIn {
        /// What to do; `None`: stop what is under way.
        order: Option<burn_in::Order>,
    },
    /// Look at the hardware and run the checks now, and say so even if nothing changed.
    CheckAgain,
    /// Answers a heartbeat.
    Heartbeat {
        /// The controller's clock.
        now: Time,
    },
    /// No. The controller closes the stream after it.
    Refused {
        /// Why, for the agent to act on.
        because: Because,
        /// Why, for people.
        sentence: String,
        /// Asking earlier than this does not help.
        retry_seconds: u32,
    },
}

/// Why a controller refuses, as far as the agent can act on it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Because {
    /// It speaks no version of the protocol that the agent speaks.
    Version,
    /// The location is not in the plan, or is retired.
    NotPlanned,
    /// The peer does not speak from the address, or with the hardware, that the location has.
    WrongPlace,
    /// There is no boot on the location's port that a token could be for.
    NoBoot,
    /// The token is unknown, used or over.
    Token,
    /// The certificate is not the location's current one: enrol anew.
    Certificate,
    /// Its TPM is not the one that is known here, or proves something else than before. Somebody has to look.
    NotProved,
    /// The frame does not belong here, or says what cannot be.
    Protocol,
    /// Too much at once, or the controller cannot store it now: the same thing later may pass.
    Busy,
    /// Another connection of the same machine took over.
    Replaced,
    /// A reason of a later release.
    #[serde(other)]
    Other,
}

/// What a TPM shows of itself.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ShownTpm {
    /// The endorsement key's public area (`TPMT_PUBLIC`).
    pub ek: Octets,
    /// Its maker's certificate for that key, DER, if it has one.
    pub ek_certificate: Option<Octets>,
    /// The attestation key's public area.
    pub ak: Octets,
}

/// The registers of a TPM, signed. The question that it answers is made of the token and of the key that is enrolled
/// (`tpm::nonce`), so that it is good for this enrolment only.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ShownQuote {
    /// `TPMS_ATTEST`.
    pub attest: Octets,
    /// `TPMT_SIGNATURE`.
    pub signature: Octets,
    /// The registers of the SHA-256 bank that it is of, and what is in them.
    pub pcrs: Vec<(u8, Octets)>,
}

/// That somebody may have the machine out of service.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Lease {
    /// Who, in words.
    pub holder: String,
    /// Why.
    pub reason: String,
    /// Nothing new is begun for it after this, by the controller's clock.
    pub until: Time,
}

/// Octets, in hexadecimal where they are sent.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Octets(pub Vec<u8>);

impl fmt::Display for Octets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hexadecimal(&self.0))
    }
}

impl FromStr for Octets {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const FORM: &str = "octets are an even number of hexadecimal digits";
        let digit = |octet: u8| char::from(octet).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        let (pairs, rest) = text.as_bytes().as_chunks::<2>();
        let octets =
            pairs.iter().map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?)).collect::<Option<_>>();
        octets.filter(|_| rest.is_empty()).map(Self).ok_or(FORM)
    }
}

impl Serialize for Octets {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Octets {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// A text that is never shown: its `Debug` form hides it, and it has no `Display`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Secret(pub String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

/// Why a stream is not this protocol.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum BadFrame {
    /// A frame announced more octets than are taken.
    TooLong {
        /// What it announced.
        octets: usize,
        /// What is taken.
        max: usize,
    },
    /// The octets are not a frame of this protocol; the parser's words.
    NotAFrame(String),
    /// A frame is well formed, but holds more than is taken.
    TooMuch(&'static str),
}

impl fmt::Display for BadFrame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong { octets, max } => write!(f, "a frame of {octets} octets, where {max} are taken"),
            Self::NotAFrame(words) => write!(f, "not a frame: {words}"),
            Self::TooMuch(what) => write!(f, "a frame with too {what}"),
        }
    }
}

impl std::error::Error for BadFrame {}

/// The octets of one frame.
///
/// # Errors
/// [`BadFrame::TooLong`] if it would pass [`FRAME_MAX`]; the peer would refuse it.
pub fn encode<T: Serialize>(frame: &T) -> Result<Vec<u8>, BadFrame> {
    let mut octets = vec![0; 4];
    serde_json::to_writer(&mut octets, frame).map_err(|error| BadFrame::NotAFrame(error.to_string()))?;
    let length = octets.len() - 4;
    match u32::try_from(length) {
        Ok(word) if length <= FRAME_MAX => octets[..4].copy_from_slice(&word.to_be_bytes()),
        _ => return Err(BadFrame::TooLong { octets: length, max: FRAME_MAX }),
    }
    Ok(octets)
}

/// Octets that came and are not yet a whole frame.
#[derive(Debug)]
pub struct Inbox {
    octets: Vec<u8>,
    max: usize,
}

impl Inbox {
    /// An empty one that takes frames of up to `max` octets.
    pub fn new(max: usize) -> Self {
        Self { octets: Vec::new(), max }
    }

    /// Adds what was read. Take every whole frame out with [`Inbox::take`] before the next read: then no more than
    /// one frame and one read are ever held.
    pub fn put(&mut self, octets: &[u8]) {
        self.octets.extend_from_slice(octets);
    }

    /// Whether part of a frame is here and the rest is not.
    pub fn is_partial(&self) -> bool {
        !self.octets.is_empty()
    }

    /// The next whole frame, if it is here.
    ///
    /// # Errors
    /// The stream is not this protocol, and nothing after this place can be trusted to be.
    pub fn take<T: DeserializeOwned>(&mut self) -> Result<Option<T>, BadFrame> {
        let Some((header, rest)) = self.octets.split_first_chunk::<4>() else { return Ok(None) };
        let length = u32::from_be_bytes(*header) as usize;
        if length > self.max {
            return Err(BadFrame::TooLong { octets: length, max: self.max });
        }
        let Some(body) = rest.get(..length) else { return Ok(None) };
        let frame = serde_json::from_slice(body).map_err(|error| BadFrame::NotAFrame(error.to_string()))?;
        self.octets.drain(..4 + length);
        // One long frame must not hold its memory for the life of the connection.
        self.octets.shrink_to(FRAME_MAX_UNPROVEN);
        Ok(Some(frame))
    }
}

/// Whether what an agent says stays within the limits, so that ten thousand of them cannot fill the store.
///
/// # Errors
/// [`BadFrame::TooMuch`] with what there is too much of.
pub fn within_limits(frame: &FromAgent) -> Result<(), BadFrame> {
    let long = |text: &String| text.len() > TEXT_MAX;
    match frame {
        FromAgent::Report { hardware } => {
            let stacked = hardware.stacked.as_ref().map_or(0, Vec::len);
            if hardware.disks.len().max(hardware.nics.len()).max(stacked) > LIST_MAX {
                return Err(BadFrame::TooMuch("many disks or interfaces"));
            }
            let disks = hardware.disks.iter().flat_map(|disk| [&disk.name, &disk.kind]);
            let neighbours = hardware.nics.iter().filter_map(|nic| nic.neighbour.as_ref());
            let texts = [&hardware.firmware, &hardware.serial, &hardware.uuid, &hardware.system]
                .into_iter()
                .chain(disks)
                .chain(hardware.nics.iter().map(|nic| &nic.name))
                .chain(neighbours.flat_map(|neighbour| [&neighbour.system, &neighbour.port]));
            if texts.into_iter().any(long) { Err(BadFrame::TooMuch("long a text")) } else { Ok(()) }
        }
        FromAgent::Servers { servers } if servers.len() > LIST_MAX => {
            Err(BadFrame::TooMuch("many DHCP servers"))
        }
        FromAgent::Servers { servers } if servers.iter().any(|server| long(&server.interface)) => {
            Err(BadFrame::TooMuch("long a text"))
        }
        FromAgent::Hello { held: Some(why), .. } | FromAgent::Held { why: Some(why) } if long(why) => {
            Err(BadFrame::TooMuch("long a text"))
        }
        FromAgent::Hello { running: Some(Running::Disk { image, .. }), .. }
        | FromAgent::Installed { image, .. }
            if long(image) =>
        {
            Err(BadFrame::TooMuch("long a text"))
        }
        FromAgent::Installing { progress } if long(&progress.step) => Err(BadFrame::TooMuch("long a text")),
        FromAgent::BurntIn { outcome } if outcome.parts.len() > BURN_IN_PARTS_MAX => {
            Err(BadFrame::TooMuch("many parts of a burn-in"))
        }
        FromAgent::BurntIn { outcome } if outcome.parts.iter().any(|part| long(&part.sentence)) => {
            Err(BadFrame::TooMuch("long a text"))
        }
        FromAgent::NotInstalled { image, sentence, .. } if long(image) || long(sentence) => {
            Err(BadFrame::TooMuch("long a text"))
        }
        FromAgent::Checks { results, .. } if results.len() > LIST_MAX => {
            Err(BadFrame::TooMuch("many check results"))
        }
        FromAgent::Checks { results, .. }
            if results.iter().any(|result| long(&result.name) || long(&result.detail)) =>
        {
            Err(BadFrame::TooMuch("long a text"))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round_trip(frame: &FromAgent) -> FromAgent {
        let octets = encode(frame).expect("short");
        let mut inbox = Inbox::new(FRAME_MAX);
        // One octet at a time: a frame is whole only with its last.
        for (position, octet) in octets.iter().enumerate() {
            assert!(inbox.take::<FromAgent>().expect("so far good").is_none(), "whole at {position}");
            inbox.put(&[*octet]);
        }
        let got = inbox.take().expect("good").expect("whole");
        assert!(!inbox.is_partial());
        got
    }

    #[test]
    fn octets_are_written_in_hexadecimal_and_nothing_else_is_read() {
        let all: Vec<u8> = (0..=255).collect();
        assert_eq!(Octets(all.clone()).to_string().parse(), Ok(Octets(all)));
        assert_eq!("".parse(), Ok(Octets(Vec::new())));
        for bad in ["0", "0g", "é", "+1", " 1"] {
            assert!(bad.parse::<Octets>().is_err(), "{bad}");
        }
    }

    #[test]
    fn frames_survive_being_cut_into_octets() {
        for frame in [
            FromAgent::TokenRequest {
                version: 1,
                location: Location::new("ams1/p01/r1/u01"),
                mac: Some(Mac([2, 0, 0, 0, 0, 1])),
                tpm: Some(Box::new(ShownTpm {
                    ek: Octets(vec![0, 255]),
                    ek_certificate: None,
                    ak: Octets(Vec::new()),
                })),
            },
            FromAgent::Enrol {
                version: 1,
                location: Location::new("ams1/p01/r1/u01"),
                token: Secret("00".into()),
                csr: String::new(),
                quote: Some(Box::new(ShownQuote {
                    attest: Octets(vec![1]),
                    signature: Octets(vec![2]),
                    pcrs: vec![(0, Octets(vec![0; 32])), (7, Octets(vec![7; 32]))],
                })),
            },
            FromAgent::Heartbeat,
            FromAgent::Report { hardware: Box::default() },
            FromAgent::Renew { version: 1, location: Location::new("ams1/p01/r1/u01"), csr: "ü\n".into() },
        ] {
            assert_eq!(round_trip(&frame), frame);
        }
    }

    #[test]
    fn two_frames_in_one_read_are_both_taken() {
        let mut inbox = Inbox::new(FRAME_MAX);
        let mut octets = encode(&FromAgent::Heartbeat).expect("short");
        octets.extend(octets.clone());
        inbox.put(&octets);
        assert_eq!(inbox.take::<FromAgent>(), Ok(Some(FromAgent::Heartbeat)));
        assert_eq!(inbox.take::<FromAgent>(), Ok(Some(FromAgent::Heartbeat)));
        assert_eq!(inbox.take::<FromAgent>(), Ok(None));
    }

    #[test]
    fn what_is_not_a_frame_is_named() {
        let check = |octets: &[u8], max: usize| {
            let mut inbox = Inbox::new(max);
            inbox.put(octets);
            inbox.take::<FromAgent>().map_err(|error| error.to_string())
        };
        // The length alone is enough: nothing is waited for, or allocated, on the word of a stranger.
        assert_eq!(
            check(&[0xff; 4], FRAME_MAX),
            Err("a frame of 4294967295 octets, where 1048576 are taken".into())
        );
        assert_eq!(check(&[0, 0, 0, 17], 16), Err("a frame of 17 octets, where 16 are taken".into()));
        assert_eq!(
            check(b"GET / HTTP/1.1\r\n\r\n", 1 << 10),
            Err("a frame of 1195725856 octets, where 1024 are taken".into())
        );
        assert!(check(&[0, 0, 0, 0], 16).is_err_and(|words| words.starts_with("not a frame")));
        assert!(
            check(b"\0\0\0\x12{\"frame\":\"sudden\"}", 64)
                .is_err_and(|words| words.contains("unknown variant"))
        );
        assert_eq!(check(b"\0\0\0\x15{\"frame\":\"heartbeat\"}", 64), Ok(Some(FromAgent::Heartbeat)));
        // A field of a later release is no error.
        assert_eq!(check(b"\0\0\0\x1b{\"frame\":\"heartbeat\",\"x\":1}", 64), Ok(Some(FromAgent::Heartbeat)));
    }

    #[test]
    fn a_reason_of_a_later_release_is_understood_as_other() {
        let frame: FromController =
            serde_json::from_str(r#"{"frame":"refused","because":"moon","sentence":"s","retry_seconds":1}"#)
                .expect("good");
        assert!(matches!(frame, FromController::Refused { because: Because::Other, .. }));
    }

    #[test]
    fn a_report_beyond_the_limits_is_refused() {
        let disk = model::facts::Disk { name: "sda".into(), size_bytes: 1, kind: "ssd".into() };
        let report = |hardware| within_limits(&FromAgent::Report { hardware: Box::new(hardware) });
        assert_eq!(report(Hardware { disks: vec![disk.clone(); LIST_MAX], ..Hardware::default() }), Ok(()));
        assert!(report(Hardware { disks: vec![disk; LIST_MAX + 1], ..Hardware::default() }).is_err());
        let stacked = Some(vec![model::Mac([2, 0, 0, 0, 0, 1]); LIST_MAX + 1]);
        assert!(report(Hardware { stacked, ..Hardware::default() }).is_err());
        assert!(report(Hardware { serial: "x".repeat(TEXT_MAX + 1), ..Hardware::default() }).is_err());
    }

    #[test]
    fn a_burn_in_is_told_in_few_words() {
        let part =
            |sentence: String| burn_in::PartOutcome { part: burn_in::Part::Cpu, passed: true, sentence };
        let order = burn_in::Order { due: Time(1), parts: burn_in::BurnIn::default() };
        let told = |parts| within_limits(&FromAgent::BurntIn { outcome: burn_in::Outcome { order, parts } });
        assert_eq!(told(vec![part("x".repeat(TEXT_MAX)); BURN_IN_PARTS_MAX]), Ok(()));
        assert!(told(vec![part(String::new()); BURN_IN_PARTS_MAX + 1]).is_err());
        assert!(told(vec![part("x".repeat(TEXT_MAX + 1))]).is_err());
        // An agent of before does not say that it can.
        let hello = r#"{"frame":"hello","version":1,"location":"ams1/p01/r1/u01","generation":null}"#;
        let hello: FromAgent = serde_json::from_str(hello).expect("good");
        assert!(matches!(hello, FromAgent::Hello { burns_in: false, .. }));
    }

    #[test]
    fn a_secret_is_never_printed() {
        let frame = FromController::Token { token: Secret("5ec4e7".into()), seconds: 1 };
        assert!(!format!("{frame:?}").contains("5ec4e7"));
    }

    #[test]
    fn garbage_neither_panics_nor_grows() {
        let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
        let mut inbox = Inbox::new(256);
        for _ in 0..20_000 {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            // Lengths that are mostly plausible, so that bodies are reached.
            let mut octets = seed.to_be_bytes();
            if !seed.is_multiple_of(3) {
                octets[..3].fill(0);
            }
            inbox.put(&octets);
            match inbox.take::<FromAgent>() {
                Ok(None) => assert!(inbox.octets.len() <= 256 + 4 + 8),
                Ok(Some(_)) => {}
                Err(_) => inbox = Inbox::new(256),
            }
        }
    }
}
