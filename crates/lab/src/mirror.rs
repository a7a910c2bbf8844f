//! A package mirror for the zone: what its installers need of the world, and nothing else of it.
//!
//! Two halves. Outside, in a process that stands in the machine's own namespaces, requests are read, judged and passed on ([`fetch`]). Inside, in
//! the controller's namespace, every connection to [`PORT`] is carried to that process by a socket in the lab's directory ([`carry`]): the
//! lab itself has no way out. A client takes it for an HTTP proxy, or for the mirror.

use crate::directory::Directory;
use crate::error::{Doing, Error};
use crate::net::Namespace;
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;
use std::fmt;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// The port of the controller's address that is served, as apt-cacher-ng has it.
pub(crate) const PORT: u16 = 3142;
/// The longest head of a request, in octets.
const HEAD_MAX: usize = 8 << 10;
/// Requests at once; more wait in the socket.
const REQUESTS_MAX: usize = 64;
/// The longest silence of a client or a mirror.
const SILENCE_MAX: Duration = Duration::from_secs(60);
/// The pause after a connection that could not be taken.
const PAUSE: Duration = Duration::from_millis(50);

/// What may be fetched: everything whose URL begins so.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Mirror {
    /// Host, with `:PORT` if it is not 80.
    authority: String,
    /// Empty, or `/` and segments, without a slash at the end.
    path: String,
}

impl FromStr for Mirror {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const FORM: &str = "a mirror is written http://HOST[:PORT][/PATH]";
        let (authority, path) = split(text).ok_or(FORM)?;
        if authority.is_empty() || authority.contains('@') || !is_plain(path) {
            return Err(FORM);
        }
        Ok(Self { authority: authority.to_owned(), path: path.trim_end_matches('/').to_owned() })
    }
}

/// As `--mirror` takes it.
impl fmt::Display for Mirror {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}{}", self.authority, self.path)
    }
}

/// `http://HOST/PATH`: host and path.
fn split(url: &str) -> Option<(&str, &str)> {
    let rest = url.strip_prefix("http://")?;
    Some(rest.split_at(rest.find('/').unwrap_or(rest.len())))
}

/// No segment leads upwards, in any spelling, and nothing of it can end a line.
fn is_plain(path: &str) -> bool {
    let lower = path.to_ascii_lowercase().replace("%2e", ".");
    path.bytes().all(|octet| octet.is_ascii_graphic()) && !lower.split(['/', '\\']).any(|part| part == "..")
}

/// Where a request goes to: the mirror's authority and the path there. `None`: nowhere.
fn target<'a>(mirrors: &'a [Mirror], asked: &'a str) -> Option<(&'a str, &'a str)> {
    let (authority, path) = match split(asked) {
        Some((authority, path)) => (Some(authority.strip_suffix(":80").unwrap_or(authority)), path),
        None => (None, asked),
    };
    let is_within =
        |mirror: &Mirror| path.strip_prefix(mirror.path.as_str()).is_some_and(|rest| rest.starts_with('/'));
    let is_asked =
        |mirror: &Mirror| authority.is_none_or(|asked| asked.eq_ignore_ascii_case(&mirror.authority));
    let mirror = mirrors.iter().find(|mirror| is_plain(path) && is_asked(mirror) && is_within(mirror))?;
    Some((&mirror.authority, path))
}

/// What is sent on: the same request, to one host, for one reply.
fn request(head: &str, authority: &str, path: &str) -> String {
    let mut lines = head.split("\r\n");
    let method = lines.next().and_then(|line| line.split(' ').next()).unwrap_or_default();
    let mut text = format!("{method} {path} HTTP/1.1\r\nHost: {authority}\r\nConnection: close\r\n");
    let own = |name: &str| {
        ["host", "connection", "keep-alive", "upgrade", "te"].contains(&name) || name.starts_with("proxy-")
    };
    for line in lines.take_while(|line| !line.is_empty()) {
        let name = line.split(':').next().unwrap_or_default().trim().to_ascii_lowercase();
        if !own(&name) {
            text.push_str(line);
            text.push_str("\r\n");
        }
    }
    text.push_str("\r\n");
    text
}

/// The outer half: passes requests on until the process that started this one ends.
///
/// # Errors
/// If the socket cannot be made.
pub fn fetch(directory: &Directory, mirrors: Vec<Mirror>) -> Result<(), Error> {
    set_pdeathsig(Signal::SIGKILL).doing(|| "ask to die with the supervisor")?;
    let path = socket(directory);
    let _ = std::fs::remove_file(&path);
    let listener = UnixListener::bind(&path).doing(|| format!("listen on {}", path.display()))?;
    let mirrors = Arc::new(mirrors);
    let busy = Arc::new(AtomicUsize::new(0));
    loop {
        let taken = if busy.load(Ordering::Relaxed) < REQUESTS_MAX { listener.accept().ok() } else { None };
        let Some((client, _)) = taken else {
            std::thread::sleep(PAUSE);
            continue;
        };
        busy.fetch_add(1, Ordering::Relaxed);
        let (mirrors, count) = (Arc::clone(&mirrors), Arc::clone(&busy));
        let started = std::thread::Builder::new().stack_size(256 * 1024).spawn(move || {
            // A client or a mirror that went away is nobody's failure: the installer asks again, or says so.
            let _ = pass_on(&client, &mirrors);
            count.fetch_sub(1, Ordering::Relaxed);
        });
        if started.is_err() {
            busy.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

fn pass_on(mut client: &UnixStream, mirrors: &[Mirror]) -> io::Result<()> {
    client.set_read_timeout(Some(SILENCE_MAX))?;
    client.set_write_timeout(Some(SILENCE_MAX))?;
    let Some(head) = head(client)? else { return refuse(client, "400 Bad Request", "this is no request") };
    let mut words = head.split("\r\n").next().unwrap_or_default().split(' ');
    let (method, asked) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    if !["GET", "HEAD"].contains(&method) {
        return refuse(client, "405 Method Not Allowed", "only GET and HEAD are passed on");
    }
    let Some((authority, path)) = target(mirrors, asked) else {
        let all: Vec<String> = mirrors.iter().map(Mirror::to_string).collect();
        return refuse(
            client,
            "403 Forbidden",
            &format!("this lab lets nothing out but to {}", all.join(", ")),
        );
    };
    let address = if authority.contains(':') { authority.to_owned() } else { format!("{authority}:80") };
    let mut mirror = match TcpStream::connect(&address) {
        Ok(mirror) => mirror,
        Err(error) => {
            return refuse(client, "502 Bad Gateway", &format!("failed to reach {address}: {error}"));
        }
    };
    mirror.set_read_timeout(Some(SILENCE_MAX))?;
    mirror.set_write_timeout(Some(SILENCE_MAX))?;
    mirror.write_all(request(&head, authority, path).as_bytes())?;
    io::copy(&mut mirror, &mut client).map(drop)
}

/// The head of a request, which has no body. `None` if what came is none.
fn head(mut client: &UnixStream) -> io::Result<Option<String>> {
    let (mut octets, mut piece) = (Vec::new(), [0; 1024]);
    while !octets.windows(4).any(|window| window == b"\r\n\r\n") {
        let count = client.read(&mut piece)?;
        if count == 0 || octets.len() + count > HEAD_MAX {
            return Ok(None);
        }
        octets.extend_from_slice(piece.get(..count).unwrap_or_default());
    }
    Ok(String::from_utf8(octets).ok())
}

fn refuse(mut client: &UnixStream, status: &str, words: &str) -> io::Result<()> {
    let length = words.len() + 1;
    write!(
        client,
        "HTTP/1.1 {status}\r\nContent-Type: text/plain\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{words}\n"
    )
}

fn socket(directory: &Directory) -> PathBuf {
    directory.path.join("mirror.sock")
}

/// The inner half: listens in a namespace, and carries what comes.
///
/// # Errors
/// If it cannot listen.
pub(crate) fn carry(namespace: &Namespace, directory: &Directory) -> Result<(), Error> {
    let listener = namespace.run(|| {
        let listener =
            std::net::TcpListener::bind(("0.0.0.0", PORT)).doing(|| format!("listen on port {PORT}"))?;
        listener.set_nonblocking(true).doing(|| "prepare a socket")?;
        Ok(listener)
    })?;
    let listener = tokio::net::TcpListener::from_std(listener).doing(|| "watch a socket")?;
    let path = socket(directory);
    tokio::spawn(async move {
        loop {
            match listener.accept().await {
                Ok((stream, _)) => drop(tokio::spawn(carry_one(stream, path.clone()))),
                Err(_) => tokio::time::sleep(PAUSE).await,
            }
        }
    });
    Ok(())
}

async fn carry_one(mut inside: tokio::net::TcpStream, path: impl AsRef<Path>) {
    let Ok(mut outside) = tokio::net::UnixStream::connect(path).await else { return };
    // Whichever end closes first, the other learns it by that.
    let _ = tokio::io::copy_bidirectional(&mut inside, &mut outside).await;
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};

    fn check(asked: &str, expected: Expect) {
        let mirrors: Vec<Mirror> = ["http://deb.debian.org/debian/", "http://127.0.0.1:8080"]
            .map(|text| text.parse().unwrap())
            .into();
        let told = match target(&mirrors, asked) {
            Some((authority, path)) => format!("{authority} {path}"),
            None => "refused".to_owned(),
        };
        expected.assert_eq(&told);
    }

    #[test]
    fn what_begins_as_a_mirror_goes_there() {
        check("http://deb.debian.org/debian/dists/x", expect!["deb.debian.org /debian/dists/x"]);
        check("http://DEB.debian.org:80/debian/x", expect!["deb.debian.org /debian/x"]);
        check("/debian/dists/x", expect!["deb.debian.org /debian/dists/x"]);
        check("http://127.0.0.1:8080/x", expect!["127.0.0.1:8080 /x"]);
        check("/x", expect!["127.0.0.1:8080 /x"]);
    }

    #[test]
    fn what_does_not_is_refused() {
        check("http://deb.debian.org/debian-security/x", expect!["refused"]);
        check("http://deb.debian.org/debian/../x", expect!["refused"]);
        check("http://deb.debian.org/debian/%2E%2e/x", expect!["refused"]);
        check("http://deb.debian.org.evil.example/debian/x", expect!["refused"]);
        check("http://deb.debian.org@evil.example/debian/x", expect!["refused"]);
        check("http://127.0.0.1/x", expect!["refused"]);
        check("https://deb.debian.org/debian/x", expect!["refused"]);
        check("deb.debian.org:443", expect!["refused"]);
        check("http://127.0.0.1:8080", expect!["refused"]);
        check("", expect!["refused"]);
    }

    #[test]
    fn a_mirror_as_people_write_it() {
        for text in [
            "deb.debian.org",
            "https://deb.debian.org",
            "http://",
            "http://a/../b",
            "http://u@a/",
            "http://a/b c",
        ] {
            assert!(text.parse::<Mirror>().is_err(), "{text}");
        }
        let mirror: Mirror = "http://a:1/b/".parse().unwrap();
        assert_eq!(mirror.to_string(), "http://a:1/b");
    }

    #[test]
    fn a_request_is_for_one_host_and_one_reply() {
        let head = "GET http://a/b HTTP/1.1\r\nHost: c\r\nRange: bytes=1-\r\nConnection: keep-alive\r\nProxy-Connection: x\r\n\r\n";
        expect![[r"
            GET /b HTTP/1.1
            Host: a
            Connection: close
            Range: bytes=1-

        "]]
        .assert_eq(&request(head, "a", "/b").replace('\r', ""));
    }
}
