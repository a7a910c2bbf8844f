//! A part of a file by HTTP (RFC 9110, RFC 9112): one GET on one connection, bounded in all it reads before the content.
//!
//! What comes is believed by nobody: who reads it proves it.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

/// Connecting, and each read and write, must be done in this time.
const PATIENCE: Duration = Duration::from_secs(20);
/// The longest head of a reply, in octets.
const HEAD_MAX: u64 = 16 << 10;
const HEADERS_MAX: usize = 64;
const URL_MAX: usize = 2048;

/// The content of a reply.
#[derive(Debug)]
pub(super) struct Content {
    stream: io::Take<BufReader<TcpStream>>,
}

impl Read for Content {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let wanted = self.stream.limit();
        match self.stream.read(buffer)? {
            0 if wanted > 0 && !buffer.is_empty() => Err(io::ErrorKind::UnexpectedEof.into()),
            read => Ok(read),
        }
    }
}

/// Asks for a file from an octet on. `size` is what the whole file must have, if that is known.
pub(super) fn get(url: &str, from: u64, size: Option<u64>) -> Result<Content, String> {
    let failed = |error: &dyn std::fmt::Display| format!("failed to fetch {url:?}: {error}");
    let (authority, path) = parts(url).ok_or_else(|| failed(&"it is no http:// address"))?;
    let stream = connect(&authority).map_err(|error| failed(&error))?;
    let mut stream = BufReader::with_capacity(256 << 10, stream);
    let head = ask(&mut stream, &authority, path, from).map_err(|error| failed(&error))?;
    let length = judge(&head, from, size).map_err(|error| failed(&error))?;
    Ok(Content { stream: stream.take(length) })
}

/// Authority with its port, and path.
fn parts(url: &str) -> Option<(String, &str)> {
    let rest = url.strip_prefix("http://").filter(|_| url.len() <= URL_MAX)?;
    let (authority, path) = rest.split_at(rest.find('/')?);
    let is_clean = url.bytes().all(|octet| octet.is_ascii_graphic());
    let has_port = authority.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    let authority = if has_port { authority.to_owned() } else { format!("{authority}:80") };
    (is_clean && !authority.contains('@')).then_some((authority, path))
}

fn connect(authority: &str) -> io::Result<TcpStream> {
    let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
    for address in authority.to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, PATIENCE) {
            Ok(stream) => {
                stream.set_read_timeout(Some(PATIENCE))?;
                stream.set_write_timeout(Some(PATIENCE))?;
                return Ok(stream);
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// Writes the request and reads the head of the reply.
fn ask(stream: &mut BufReader<TcpStream>, authority: &str, path: &str, from: u64) -> io::Result<Vec<u8>> {
    let range = if from == 0 { String::new() } else { format!("Range: bytes={from}-\r\n") };
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {authority}\r\n{range}User-Agent: zw-agent\r\nAccept: */*\r\nConnection: close\r\n\r\n"
    );
    stream.get_mut().write_all(request.as_bytes())?;
    let (mut head, mut left) = (Vec::new(), HEAD_MAX);
    loop {
        let read = stream.by_ref().take(left).read_until(b'\n', &mut head)?;
        left -= read as u64;
        if head.ends_with(b"\r\n\r\n") {
            return Ok(head);
        }
        if read == 0 {
            return Err(io::Error::other("the reply has no end of its head"));
        }
    }
}

/// How many octets of content follow, if the reply is what was asked for.
pub(crate) fn judge(head: &[u8], from: u64, size: Option<u64>) -> Result<u64, String> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut reply = httparse::Response::new(&mut headers);
    let is_whole = reply.parse(head).map_err(|error| error.to_string())?.is_complete();
    let code = reply.code.filter(|_| is_whole).ok_or("the reply is not http")?;
    let header = |name: &str| {
        let found = reply.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name))?;
        std::str::from_utf8(found.value).ok().map(str::trim)
    };
    match code {
        200 if from == 0 => {}
        206 => {
            let range = header("content-range").and_then(|range| range.strip_prefix("bytes "));
            if !range.is_some_and(|range| range.starts_with(&format!("{from}-"))) {
                return Err("the reply is another part of the file than was asked for".into());
            }
        }
        200 => return Err("the server sends no parts of files".into()),
        code => return Err(format!("the server answered {code}")),
    }
    if header("transfer-encoding").is_some() || header("content-encoding").is_some() {
        return Err("the reply is encoded, which was not asked for".into());
    }
    let length: u64 = header("content-length")
        .and_then(|length| length.parse().ok())
        .ok_or("the reply does not say how long it is")?;
    match size {
        Some(size) if from.checked_add(length) != Some(size) => {
            Err(format!("the file there has {} octets, and {size} are expected", from.saturating_add(length)))
        }
        _ => Ok(length),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};

    #[test]
    fn a_reply_is_what_was_asked_for_or_an_error() {
        let check = |head: &str, from: u64, expected: Expect| {
            let head = format!("HTTP/1.1 {head}\r\n\r\n").replace('|', "\r\n");
            expected.assert_eq(
                &judge(head.as_bytes(), from, Some(100)).map_or_else(|error| error, |left| left.to_string()),
            );
        };
        check("200 OK|Content-Length: 100", 0, expect!["100"]);
        check("206 Partial|content-range: bytes 40-99/100|content-length: 60", 40, expect!["60"]);
        check(
            "206 Partial|content-range: bytes 41-99/100|content-length: 60",
            40,
            expect!["the reply is another part of the file than was asked for"],
        );
        check("200 OK|Content-Length: 100", 40, expect!["the server sends no parts of files"]);
        check("200 OK|Content-Length: 99", 0, expect!["the file there has 99 octets, and 100 are expected"]);
        check(
            "206 OK|content-range: bytes 40-|Content-Length: 18446744073709551615",
            40,
            expect!["the file there has 18446744073709551615 octets, and 100 are expected"],
        );
        check("200 OK", 0, expect!["the reply does not say how long it is"]);
        check(
            "200 OK|Transfer-Encoding: chunked",
            0,
            expect!["the reply is encoded, which was not asked for"],
        );
        check("404 Not Found|Content-Length: 5", 0, expect!["the server answered 404"]);
        check(
            "302 Found|Location: http://elsewhere/|Content-Length: 0",
            0,
            expect!["the server answered 302"],
        );
        check("nonsense", 0, expect!["invalid response status"]);
    }

    #[test]
    fn garbage_is_an_error() {
        let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
        let whole = b"HTTP/1.1 206 Partial\r\nContent-Range: bytes 40-99/100\r\nContent-Length: 60\r\n\r\n";
        for _ in 0..50_000 {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            let mut head = whole.to_vec();
            for octet in seed.to_le_bytes().chunks_exact(2).take(1 + seed as usize % 4) {
                let at = usize::from(octet[0]) % head.len();
                head[at] = octet[1];
            }
            // Whatever it says, no more than the file's rest is read.
            assert!(
                judge(&head, 40, Some(100)).is_ok_and(|length| length == 60)
                    || judge(&head, 40, Some(100)).is_err()
            );
        }
    }

    #[test]
    fn an_address_has_nothing_in_it_that_would_be_another_request() {
        let check = |url: &str, expected: Expect| expected.assert_eq(&format!("{:?}", parts(url)));
        check("http://10.0.0.1:8080/os/debian/x", expect![[r#"Some(("10.0.0.1:8080", "/os/debian/x"))"#]]);
        check("http://[2001:db8::1]/x", expect![[r#"Some(("[2001:db8::1]:80", "/x"))"#]]);
        check("http://[2001:db8::1]:81/x", expect![[r#"Some(("[2001:db8::1]:81", "/x"))"#]]);
        check("http://10.0.0.1", expect!["None"]);
        check("https://10.0.0.1/x", expect!["None"]);
        check("http://10.0.0.1/x\r\nHost: y", expect!["None"]);
        check("http://me@10.0.0.1/x", expect!["None"]);
    }
}
