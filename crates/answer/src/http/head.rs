//! The head of a request, read from the octets that came, and the head of a reply, written.
//!
//! Bounded and strict where two readers could understand a request differently (RFC 9112); a request that has a body
//! is answered and ends its connection, so that nothing of a body is ever taken for a request.

use crate::http::{Body, Method, Reply};
use model::Time;
use model::time::Civil;
use std::fmt::Write;

/// The longest head of a request, in octets; firmware stays below 1 KiB.
pub const HEAD_MAX: usize = 8 << 10;
/// Header fields of a request; firmware and `curl` send fewer than ten.
const FIELDS_MAX: usize = 64;

/// The head of a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Head<'b> {
    /// GET, HEAD or something else.
    pub method: Method,
    /// The path as sent, with or without a query.
    pub path: &'b str,
    /// The `Range` header.
    pub range: Option<&'b str>,
    /// The `If-Range` header.
    pub if_range: Option<&'b str>,
    /// The `If-None-Match` header.
    pub if_none_match: Option<&'b str>,
    /// Whether the connection goes on after the reply.
    pub keep_alive: bool,
    /// Octets of the head, the empty line among them.
    pub length: usize,
}

/// Why octets are not the head of a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BadHead {
    /// They are not HTTP, or break a rule of it.
    Malformed,
    /// It is longer than [`HEAD_MAX`] or has too many fields.
    TooLong,
    /// It is another version than HTTP/1.0 and HTTP/1.1.
    Version,
}

/// Reads the head that `octets` begin with; `None` while its end is not there yet.
///
/// # Errors
/// [`BadHead`]: nothing that follows on the connection can be read.
pub fn read(octets: &[u8]) -> Result<Option<Head<'_>>, BadHead> {
    let mut fields = [httparse::EMPTY_HEADER; FIELDS_MAX];
    let mut request = httparse::Request::new(&mut fields);
    let within = &octets[..octets.len().min(HEAD_MAX)];
    let length = match request.parse(within) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) if octets.len() < HEAD_MAX => return Ok(None),
        Ok(httparse::Status::Partial) | Err(httparse::Error::TooManyHeaders) => {
            return Err(BadHead::TooLong);
        }
        Err(httparse::Error::Version) => return Err(BadHead::Version),
        Err(_) => return Err(BadHead::Malformed),
    };
    let is_newer = request.version == Some(1);
    let method = match request.method.unwrap_or_default() {
        "GET" => Method::Get,
        "HEAD" => Method::Head,
        "POST" => Method::Post,
        _ => Method::Other,
    };
    let mut head = Head {
        method,
        path: path_of(request.path.unwrap_or_default()),
        range: None,
        if_range: None,
        if_none_match: None,
        keep_alive: is_newer,
        length,
    };
    let (mut hosts, mut has_body, mut asks_to_close) = (0, false, false);
    for field in request.headers.iter() {
        let name = field.name;
        let is = |known: &str| name.eq_ignore_ascii_case(known);
        // A value that is no text is none that we know; its octets are looked at where they could mean a body.
        let value = std::str::from_utf8(field.value).ok().map(str::trim);
        if is("range") {
            head.range = value;
        } else if is("if-range") {
            head.if_range = value;
        } else if is("if-none-match") {
            head.if_none_match = value;
        } else if is("host") {
            hosts += 1;
        } else if is("transfer-encoding") {
            has_body = true;
        } else if is("content-length") {
            has_body |= value != Some("0");
        } else if is("connection") {
            let mut words = value.unwrap_or_default().split(',').map(str::trim);
            asks_to_close |= words.clone().any(|word| word.eq_ignore_ascii_case("close"));
            head.keep_alive |= words.any(|word| word.eq_ignore_ascii_case("keep-alive"));
        }
    }
    // RFC 9112 §3.2: with HTTP/1.1 exactly one Host.
    if hosts > 1 || (is_newer && hosts == 0) {
        return Err(BadHead::Malformed);
    }
    head.keep_alive &= !has_body && !asks_to_close;
    Ok(Some(head))
}

/// Writes a reply's head over `out`, and its text if it has one; `keep_alive` says whether the connection goes on.
pub fn write(reply: &Reply, keep_alive: bool, now: Time, out: &mut Vec<u8>) {
    let mut head = String::with_capacity(512);
    // Writing to a string cannot fail.
    let _ = write!(head, "HTTP/1.1 {} {}\r\nDate: {}\r\n", reply.status, phrase(reply.status), Date(now));
    for (name, value) in &reply.headers {
        let _ = write!(head, "{name}: {value}\r\n");
    }
    let _ = write!(head, "Connection: {}\r\n\r\n", if keep_alive { "keep-alive" } else { "close" });
    out.extend_from_slice(head.as_bytes());
    match &reply.body {
        Body::Text(text) => out.extend_from_slice(text.as_bytes()),
        Body::Octets(octets) => out.extend_from_slice(octets),
        Body::Empty | Body::File { .. } => {}
    }
}

/// The path of a request target, which may be written with scheme and host (RFC 9112 §3.2.2).
fn path_of(target: &str) -> &str {
    let scheme = "http://";
    match target.get(..scheme.len()) {
        Some(start) if start.eq_ignore_ascii_case(scheme) => {
            let rest = &target[scheme.len()..];
            rest.find('/').map_or("/", |slash| &rest[slash..])
        }
        _ => target,
    }
}

fn phrase(status: u16) -> &'static str {
    match status {
        200 => "OK",
        206 => "Partial Content",
        304 => "Not Modified",
        400 => "Bad Request",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        416 => "Range Not Satisfiable",
        431 => "Request Header Fields Too Large",
        503 => "Service Unavailable",
        505 => "HTTP Version Not Supported",
        _ => "Other",
    }
}

/// A time as HTTP writes it (RFC 9110 §5.6.7).
struct Date(Time);

impl std::fmt::Display for Date {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        const DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
        const MONTHS: [&str; 12] =
            ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
        let Civil { year, month, day, weekday, hour, minute, second, .. } = self.0.civil();
        let name = |of: &[&'static str], at: u64| of[usize::try_from(at).unwrap_or(0)];
        let (weekday, month) = (name(&DAYS, weekday), name(&MONTHS, month - 1));
        write!(f, "{weekday}, {day:02} {month} {year:04} {hour:02}:{minute:02}:{second:02} GMT")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};

    #[expect(
        clippy::needless_pass_by_value,
        reason = "the table reads better without a reference in each line"
    )]
    fn check(octets: &str, expected: Expect) {
        let said = match read(octets.as_bytes()) {
            Ok(Some(head)) => {
                let Head { method, path, range, if_range, if_none_match, keep_alive, length } = head;
                let fields = [range, if_range, if_none_match].map(|field| field.unwrap_or("-")).join(" ");
                format!("{method:?} {path} [{fields}] keep-alive={keep_alive} {length}")
            }
            other => format!("{other:?}"),
        };
        expected.assert_eq(&said);
    }

    #[test]
    fn heads() {
        check("GET /a HTTP/1.1\r\nHost: x\r\n\r\n", expect!["Get /a [- - -] keep-alive=true 28"]);
        check("GET /a HTTP/1.1\nHost: x\n\n", expect!["Get /a [- - -] keep-alive=true 25"]);
        check("\r\nGET /a HTTP/1.1\r\nhOST: x\r\n\r\nGET", expect!["Get /a [- - -] keep-alive=true 30"]);
        check("HEAD /a HTTP/1.0\r\n\r\n", expect!["Head /a [- - -] keep-alive=false 20"]);
        check(
            "GET /a HTTP/1.0\r\nConnection: x, Keep-Alive\r\n\r\n",
            expect!["Get /a [- - -] keep-alive=true 46"],
        );
        check(
            "GET /a HTTP/1.1\r\nHost: x\r\nConnection: keep-alive, CLOSE\r\n\r\n",
            expect!["Get /a [- - -] keep-alive=false 59"],
        );
        check(
            "GET /a HTTP/1.1\r\nHost: x\r\nRange:  bytes=0-1 \r\nIf-Range: \"e\"\r\nIf-None-Match: *\r\n\r\n",
            expect![[r#"Get /a [bytes=0-1 "e" *] keep-alive=true 81"#]],
        );
        check(
            "GET http://10.0.0.1:80/a?b HTTP/1.1\r\nHost: x\r\n\r\n",
            expect!["Get /a?b [- - -] keep-alive=true 48"],
        );
        check("GET http://10.0.0.1 HTTP/1.1\r\nHost: x\r\n\r\n", expect!["Get / [- - -] keep-alive=true 41"]);
        check("DELETE /a HTTP/1.1\r\nHost: x\r\n\r\n", expect!["Other /a [- - -] keep-alive=true 31"]);
    }

    #[test]
    fn what_could_be_a_body_ends_the_connection() {
        check(
            "POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nGET",
            expect!["Post /a [- - -] keep-alive=false 48"],
        );
        check(
            "GET /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            expect!["Get /a [- - -] keep-alive=false 56"],
        );
        check(
            "GET /a HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nContent-Length: 9\r\n\r\n",
            expect!["Get /a [- - -] keep-alive=false 66"],
        );
        check(
            "GET /a HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n",
            expect!["Get /a [- - -] keep-alive=true 47"],
        );
    }

    #[test]
    fn heads_that_are_none() {
        check("", expect!["Ok(None)"]);
        check("GET /a HTTP/1.1\r\nHost: x\r\n", expect!["Ok(None)"]);
        check("GET /a HTTP/1.1\r\n\r\n", expect!["Err(Malformed)"]);
        check("GET /a HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", expect!["Err(Malformed)"]);
        check("GET /a HTTP/1.1\r\nHost : x\r\n\r\n", expect!["Err(Malformed)"]);
        check("GET /a HTTP/1.1\r\nHost: x\r\n folded\r\n\r\n", expect!["Err(Malformed)"]);
        check("GET /a HTTP/2.0\r\nHost: x\r\n\r\n", expect!["Err(Version)"]);
        check("\u{16}\u{3}\u{1}", expect!["Err(Malformed)"]);
        check(
            &format!("GET /a HTTP/1.1\r\n{}\r\n", "Host: x\r\n".repeat(FIELDS_MAX + 1)),
            expect!["Err(TooLong)"],
        );
        check(&format!("GET /{} HTTP/1.1\r\n", "a".repeat(HEAD_MAX)), expect!["Err(TooLong)"]);
    }

    #[test]
    fn dates() {
        for (seconds, expected) in [
            (0, "Thu, 01 Jan 1970 00:00:00 GMT"),
            (784_111_777, "Sun, 06 Nov 1994 08:49:37 GMT"),
            (951_782_400, "Tue, 29 Feb 2000 00:00:00 GMT"),
            (1_735_689_599, "Tue, 31 Dec 2024 23:59:59 GMT"),
            (4_107_542_400, "Mon, 01 Mar 2100 00:00:00 GMT"),
        ] {
            assert_eq!(Date(Time(seconds * 1000)).to_string(), expected);
        }
    }
}
