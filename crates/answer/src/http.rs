//! HTTP boot: scripts, boot loaders, kernels and initial RAM disks.
//!
//! A request comes in as method, path, three headers and the client's address; a status, headers and a body go out. A
//! body is either text or the name and range of a file, which the server sends; nothing is opened here. Paths are
//! looked up in the view, so that none can lead out of it.
//!
//! | path                          | what                                              | for whom               |
//! |-------------------------------|---------------------------------------------------|------------------------|
//! | `/boot/auto.ipxe`             | the script of whichever machine asks               | machines               |
//! | `/boot/ZONE/POD/RACK/UNIT.ipxe` | the same by location                              | that machine alone     |
//! | `/boot/loader/autoexec.ipxe`, by HTTPS | the way to the same, without asking DHCP | machines    |
//! | `/boot/template/NAME`         | a template of the image that it boots, rendered for it | machines          |
//! | `/boot/installed`             | word that its installer is done (GET or POST)      | machines           |
//! | `/boot/loader/NAME`, `/loader/NAME` | boot loaders                                 | anyone                 |
//! | `/agent/zw-agent`             | the agent, for systems that others install         | anyone                 |
//! | `/image/NAME/PATH`            | kernels and initial RAM disks                      | anyone                 |
//! | `/key/NAME.iso`               | half of a token, on a CD: not from here, but by [`octets`] | the BMC that was told the name |
//!
//! Nothing else among them is secret (loaders and kernels are public, and a command line holds only a pin and names), so
//! "anyone" is safe: TCP cannot be reflected at a victim.

pub mod admission;
pub mod head;
mod range;
mod script;
mod template;

use crate::http::range::Asked;
use model::event::What;
use model::ids::DeviceId;
use model::view::FileId;
use model::{Reason, Refusal, Time, View};
use std::borrow::Cow;
use std::fmt::Write;
use std::net::IpAddr;
use std::ops::Range;

use script::autoexec;
pub(crate) use script::{Loader, Script, script};

/// When to ask again after a refusal that time mends, in seconds, where nothing better is known.
const RETRY_SECONDS: u32 = 5;
/// What iPXE asks for beside itself, before anything else.
const AUTOEXEC: &str = "boot/loader/autoexec.ipxe";
/// The longest path that is looked at, in octets; the longest file name of a design is far shorter.
const PATH_MAX: usize = 1024;

/// A request, as far as it matters here.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// GET, HEAD or something else.
    pub method: Method,
    /// The path as sent, percent-encoded, with or without a query.
    pub path: &'a str,
    /// The `Range` header.
    pub range: Option<&'a str>,
    /// The `If-Range` header.
    pub if_range: Option<&'a str>,
    /// The `If-None-Match` header.
    pub if_none_match: Option<&'a str>,
    /// Who asks.
    pub client: IpAddr,
    /// It came by TLS: what follows is to come that way too.
    pub is_secure: bool,
}

/// The methods that matter.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Method {
    /// GET.
    Get,
    /// HEAD: the same without the body.
    Head,
    /// POST: only to say something; what comes with it is not read.
    Post,
    /// Anything else, which is not served.
    Other,
}

/// A whole answer.
#[derive(Clone, PartialEq, Debug)]
pub struct Reply {
    /// The status code.
    pub status: u16,
    /// Headers, `Content-Length` always among them: EDK2 does not load a file without it.
    pub headers: Vec<(&'static str, String)>,
    /// What follows them.
    pub body: Body,
    /// The machine that asked, if the address is one's.
    pub machine: Option<DeviceId>,
    /// What this tells of the machine: the server says so to `lifecycle`.
    pub tells: Option<What>,
    /// There is a reply, but not the one that was asked for; counted like a refusal.
    pub refused: Option<Reason>,
}

/// A body.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Body {
    /// None: HEAD, 304, 416.
    Empty,
    /// This text.
    Text(String),
    /// These octets.
    Octets(Vec<u8>),
    /// These octets of a file of the site.
    File {
        /// Which, in [`model::view::Site::files`].
        file: FileId,
        /// From the first octet up to, not including, the last.
        range: Range<u64>,
    },
}

/// Answers one request.
///
/// # Errors
/// A [`Refusal`]; [`refused`] is the reply that tells the client.
pub fn boot(view: &View, request: &Request<'_>, now: Time) -> Result<Reply, Refusal> {
    let machine = view.boot.places.machine_at(request.client);
    let path = path(request.path);
    if path.as_deref() == Some(template::DONE) && matches!(request.method, Method::Get | Method::Post) {
        return template::done(view, machine.ok_or(Reason::NotAllowed)?);
    }
    if matches!(request.method, Method::Post | Method::Other) {
        return Ok(not_allowed(machine));
    }
    let path = path.ok_or(Reason::Malformed)?;
    // iPXE asks for it beside itself, and only then DHCP. By HTTP there is nothing to be gained by it.
    if request.is_secure && path == AUTOEXEC {
        return Ok(text(request.method, autoexec(view, request.client)?));
    }
    if let Some(name) = path.strip_prefix("boot/").and_then(|path| path.strip_suffix(".ipxe")) {
        let loader = if request.is_secure { Loader::IpxeByHttps } else { Loader::Ipxe };
        let script = script(view, name, request.client, loader, now)?;
        return Ok(text(request.method, script));
    }
    if let Some(name) = path.strip_prefix("boot/template/") {
        return template::send(view, name, request, machine.ok_or(Reason::NotAllowed)?);
    }
    let name = path.strip_prefix("boot/").filter(|path| path.starts_with("loader/")).unwrap_or(&path);
    let file = *view.boot.files.get(name).ok_or(Reason::NotServed)?;
    Ok(send_file(view, file, request, machine))
}

/// The reply that tells a client to come back later: the limit of transfers is reached, or the file is just being
/// replaced. iPXE waits that long by itself, and its script tries again after that.
pub fn later(retry_after_seconds: u32) -> Reply {
    let mut reply = refused(Reason::TooMany.into());
    for (name, value) in &mut reply.headers {
        if *name == "Retry-After" {
            *value = retry_after_seconds.to_string();
        }
    }
    reply
}

/// The reply to octets that are not a request; the connection ends with it.
pub fn bad_head(bad: head::BadHead) -> Reply {
    let status = match bad {
        head::BadHead::Malformed => 400,
        head::BadHead::TooLong => 431,
        head::BadHead::Version => 505,
    };
    Reply { status, ..refused(Reason::Malformed.into()) }
}

/// The reply that tells a client of a refusal.
pub fn refused(refusal: Refusal) -> Reply {
    let status = match refusal.reason {
        Reason::Malformed => 400,
        Reason::NotServed => 404,
        // A flood is over some time; asking again is part of the protocol, at a rate that helps.
        Reason::TooMany => 503,
        _ => 403,
    };
    let body = format!("zonewright: {}: {}\n", refusal.reason, refusal.reason.meaning());
    let mut headers = text_headers(&body);
    if status == 503 {
        headers.push(("Retry-After", RETRY_SECONDS.to_string()));
    }
    Reply { body: Body::Text(body), refused: Some(refusal.reason), ..reply(status, headers, None) }
}

fn reply(status: u16, headers: Vec<(&'static str, String)>, machine: Option<DeviceId>) -> Reply {
    Reply { status, headers, body: Body::Empty, machine, tells: None, refused: None }
}

fn text_headers(body: &str) -> Vec<(&'static str, String)> {
    vec![
        ("Content-Type", "text/plain; charset=utf-8".to_owned()),
        ("Content-Length", body.len().to_string()),
        // A script says what is true at this moment.
        ("Cache-Control", "no-store".to_owned()),
    ]
}

fn text(method: Method, script: Script) -> Reply {
    let headers = text_headers(&script.text);
    let is_get = method == Method::Get;
    Reply {
        body: if is_get { Body::Text(script.text) } else { Body::Empty },
        tells: script.tells.filter(|_| is_get),
        refused: script.refused,
        ..reply(200, headers, Some(script.machine))
    }
}

/// The reply that sends what is in memory, for one client and to be kept by nobody.
pub fn octets(octets: &[u8], request: &Request<'_>) -> Reply {
    if matches!(request.method, Method::Post | Method::Other) {
        return not_allowed(None);
    }
    let (mut reply, range) = part(octets.len() as u64, None, request, None);
    reply.headers.push(("Cache-Control", "no-store".to_owned()));
    let at = |octet: u64| usize::try_from(octet).unwrap_or(usize::MAX);
    if let Some(octets) = range.and_then(|range| octets.get(at(range.start)..at(range.end))) {
        reply.body = Body::Octets(octets.to_vec());
    }
    reply
}

fn not_allowed(machine: Option<DeviceId>) -> Reply {
    let headers = vec![("Allow", "GET, HEAD".to_owned()), ("Content-Length", "0".to_owned())];
    Reply { refused: Some(Reason::NotServed), ..reply(405, headers, machine) }
}

fn send_file(view: &View, file: FileId, request: &Request<'_>, machine: Option<DeviceId>) -> Reply {
    let known = view.boot.site.file(file);
    let (reply, range) = part(known.size, known.sha256.as_ref().map(etag), request, machine);
    let body = range.map_or(Body::Empty, |range| Body::File { file, range });
    Reply { body, ..reply }
}

/// A file, a part of it, or word that the client has it (RFC 9110 §13, §14): the reply without its body, and which octets that is.
fn part(
    size: u64,
    etag: Option<String>,
    request: &Request<'_>,
    machine: Option<DeviceId>,
) -> (Reply, Option<Range<u64>>) {
    let mut headers =
        vec![("Content-Type", "application/octet-stream".to_owned()), ("Accept-Ranges", "bytes".to_owned())];
    headers.extend(etag.clone().map(|etag| ("ETag", etag)));
    if request.if_none_match.is_some_and(|sent| matches_any(sent, etag.as_deref())) {
        return (reply(304, headers, machine), None);
    }
    // §14.2: a Range means something to GET alone. §13.1.5: with an If-Range that does not match, the whole file.
    let may_be_part = request.method == Method::Get
        && request.if_range.is_none_or(|sent| Some(sent.trim()) == etag.as_deref());
    let asked = request.range.filter(|_| may_be_part).map_or(Asked::Whole, |range| range::parse(range, size));
    let (status, range) = match asked {
        Asked::Whole => (200, 0..size),
        Asked::Part(range) => (206, range),
        Asked::Unsatisfiable => {
            headers.push(("Content-Range", format!("bytes */{size}")));
            headers.push(("Content-Length", "0".to_owned()));
            return (reply(416, headers, machine), None);
        }
    };
    if status == 206 {
        headers.push(("Content-Range", format!("bytes {}-{}/{size}", range.start, range.end - 1)));
    }
    headers.push(("Content-Length", (range.end - range.start).to_string()));
    (reply(status, headers, machine), (request.method == Method::Get).then_some(range))
}

/// A strong validator from the content.
fn etag(sha256: &[u8; 32]) -> String {
    let mut etag = String::with_capacity(34);
    etag.push('"');
    for octet in &sha256[..16] {
        let _ = write!(etag, "{octet:02x}");
    }
    etag.push('"');
    etag
}

/// Whether an `If-None-Match` names this tag; weak comparison (RFC 9110 §13.1.2).
fn matches_any(sent: &str, etag: Option<&str>) -> bool {
    let is_it = |tag: &str| tag == "*" || Some(tag.strip_prefix("W/").unwrap_or(tag)) == etag;
    sent.split(',').map(str::trim).any(is_it)
}

/// The path without leading slash and query, percent-decoded once, each run of slashes one: shim 16.1 asks for `//grubx64.efi` beside
/// itself. `None` if it cannot be a name of ours.
fn path(sent: &str) -> Option<Cow<'_, str>> {
    let decoded = decoded(sent)?;
    if !decoded.starts_with('/') && !decoded.contains("//") {
        return Some(decoded);
    }
    let steps: Vec<&str> = decoded.split('/').filter(|step| !step.is_empty()).collect();
    Some(Cow::Owned(steps.join("/")))
}

fn decoded(sent: &str) -> Option<Cow<'_, str>> {
    let path = sent.split(['?', '#']).next().unwrap_or_default().strip_prefix('/')?;
    if path.len() > PATH_MAX {
        return None;
    }
    if !path.contains('%') {
        return Some(Cow::Borrowed(path));
    }
    let mut octets = Vec::with_capacity(path.len());
    let mut rest = path.bytes();
    while let Some(octet) = rest.next() {
        octets.push(if octet == b'%' { hex(rest.next()?)? * 16 + hex(rest.next()?)? } else { octet });
    }
    String::from_utf8(octets).ok().map(Cow::Owned)
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}
