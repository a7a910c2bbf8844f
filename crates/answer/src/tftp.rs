//! TFTP: which file a request gets, and the two ends of a transfer as state machines.
//!
//! [`open`] decides; [`Transfer`] says what to send next and takes what arrives; the server owns the socket, the file
//! and the clock. [`Fetch`] is the client's end, for firmware in the lab and for tests. Names are looked up in the
//! view, so that no path can lead anywhere else.

mod fetch;
mod places;
mod transfer;

pub use fetch::{Fetch, Fetched};
pub use places::{Full, Places, TRANSFERS_MAX};
pub use transfer::{Outcome, Outgoing, Transfer};

use crate::http::{Body, Loader, Script, script};
use model::event::What;
use model::ids::DeviceId;
use model::view::FileId;
use model::{Reason, Refusal, Time, View};
use std::net::IpAddr;
use wire::tftp::{Mode, Options, Packet, error};

/// The largest payload of a DATA packet to an IPv4 client: an Ethernet frame of 1,500 octets without IP (20), UDP (8)
/// and TFTP (4) headers. Some boot ROMs ask for more and then cannot put fragments together.
const BLKSIZE_V4: u16 = 1468;
/// The same with an IPv6 header (40).
const BLKSIZE_V6: u16 = 1448;
/// Blocks in flight at most: 64 of them are 94 KB, which a switch port buffers; a client that asks for 65,535 would
/// turn one packet into 96 MB.
const WINDOW_MAX: u16 = 64;
/// The longest time between repetitions that a client may ask for, in seconds. A longer one would let many idle
/// transfers pile up.
const TIMEOUT_MAX: u8 = 30;

/// A transfer that may begin.
#[derive(Clone, PartialEq, Debug)]
pub struct Opened {
    /// What is sent: text, or a whole file.
    pub body: Body,
    /// When what is sent; ranges of [`Outgoing::Data`] count in `body`.
    pub transfer: Transfer,
    /// The machine that asked, if the address is one's.
    pub machine: Option<DeviceId>,
    /// What is told of the machine when it has the body: that it was its boot script, if it was one for an image.
    pub tells: Option<What>,
    /// There is a file, but not the one that was asked for; counted like a refusal.
    pub refused: Option<Reason>,
}

/// Decides on a packet that came to port 69.
///
/// Served are `boot/auto.ipxe`, `boot/LOCATION.ipxe`, `grub/grub.cfg`, `image/NAME/PATH`, `loader/NAME` and the bare NAME of a loader.
///
/// # Errors
/// A [`Refusal`]; [`refused`] is the packet that tells the client, if it should be told at all.
pub fn open(view: &View, packet: &Packet<'_>, client: IpAddr, now: Time) -> Result<Opened, Refusal> {
    // A source address is easily forged and a file is larger than its request: whoever is not in the zone gets nothing,
    // not even an error.
    if !view.plan.design.zone.contains(client) && !client.to_canonical().is_loopback() {
        return Err(Reason::NoIdentity.into());
    }
    let request = match packet {
        Packet::Read(request) => request,
        Packet::Write(_) => return Err(Reason::NotAllowed.into()),
        Packet::Data { .. } | Packet::Ack { .. } | Packet::Error { .. } | Packet::Oack(_) => {
            return Err(Reason::Malformed.into());
        }
    };
    let is_text_mode = match request.mode {
        Mode::Octet => false,
        Mode::Netascii => true,
        Mode::Mail => return Err(Reason::NotServed.into()),
    };
    let machine = view.boot.places.machine_at(client);
    // Some firmware asks with a leading slash, and some Windows tools with backslashes.
    let name = request.file.replace('\\', "/");
    let name = name.trim_start_matches('/');
    let asked = match name.strip_prefix("boot/").and_then(|name| name.strip_suffix(".ipxe")) {
        None if name == render::grub::FILE => Some(("auto", Loader::Grub)),
        script => script.map(|name| (name, Loader::Ipxe)),
    };
    if let Some((name, loader)) = asked {
        let Script { text, machine, tells, refused } = script(view, name, client, loader, now)?;
        let text = if is_text_mode { netascii(&text) } else { text };
        let size = text.len() as u64;
        return Ok(Opened {
            body: Body::Text(text),
            transfer: Transfer::new(size, agree(&request.options, size, client), now),
            machine: Some(machine),
            tells,
            refused,
        });
    }
    let file = find(view, name).ok_or(Reason::NotServed)?;
    // Every file is binary, and netascii would insert octets into it. Some ROMs say netascii and mean octet, but a
    // client that believes its own word would take the inserted octets out again, and so destroy what we had not put
    // in. An error is seen; a broken kernel is searched for.
    if is_text_mode {
        return Err(Reason::NotServed.into());
    }
    let size = view.boot.site.file(file).size;
    Ok(Opened {
        body: Body::File { file, range: 0..size },
        transfer: Transfer::new(size, agree(&request.options, size, client), now),
        machine,
        tells: None,
        refused: None,
    })
}

/// The packet that tells a client of a refusal; `None` where an answer would serve an attacker only, or would keep the
/// client from asking again.
pub fn refused(refusal: Refusal) -> Option<Packet<'static>> {
    let (code, message): (u16, &'static str) = match refusal.reason {
        // An ERROR ends the client's transfer (RFC 1350 §7); unanswered it asks again, and by then there may be room.
        Reason::TooMany => return None,
        Reason::Malformed | Reason::NoIdentity => return None,
        Reason::NotServed => (error::NOT_FOUND, "no such file, or it is binary and needs mode octet"),
        reason => (error::ACCESS, reason.meaning()),
    };
    Some(Packet::Error { code, message: message.as_bytes() })
}

/// A file by its name, or a loader by its bare name.
fn find(view: &View, name: &str) -> Option<FileId> {
    let files = &view.boot.files;
    files.get(name).copied().or_else(|| {
        let is_bare = !name.is_empty() && !name.contains('/');
        if is_bare { files.get(&format!("loader/{name}")).copied() } else { None }
    })
}

/// The options we accept of those asked for (RFC 2347 §2: never one that was not asked for).
fn agree(asked: &Options, size: u64, client: IpAddr) -> Options {
    let blksize_max = if client.to_canonical().is_ipv4() { BLKSIZE_V4 } else { BLKSIZE_V6 };
    Options {
        blksize: asked.blksize.map(|blksize| blksize.min(blksize_max)),
        tsize: asked.tsize.map(|_| size),
        // RFC 2349: the same value, or the option is left out.
        timeout: asked.timeout.filter(|seconds| *seconds <= TIMEOUT_MAX),
        windowsize: asked.windowsize.map(|blocks| blocks.min(WINDOW_MAX)),
    }
}

/// Text with the line ends of RFC 764: a line feed becomes CR LF, a lone carriage return CR NUL.
fn netascii(text: &str) -> String {
    text.replace('\r', "\r\0").replace('\n', "\r\n")
}
