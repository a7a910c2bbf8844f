//! Asks a running controller: finds it, speaks HTTP over its unix socket or TCP, gives back typed answers.
//!
//! Where it is found, in this order: `--server`, `ZW_SERVER`, the socket of `zw serve`, the socket of a running lab.

use clap::Args as ClapArgs;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};

/// The socket of `zw serve`, unless it was told another.
const SOCKET: &str = "/run/zonewright/api.sock";
/// The longest answer that is read: the plan of 100,000 machines is a tenth of it.
const ANSWER_MAX: usize = 1 << 30;
/// The longest line of an answer that comes line by line, and the longest error.
const LINE_MAX: usize = 4 << 20;
const ERROR_MAX: usize = 1 << 20;
/// How long an answer may take, or the next line of one.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(120);

/// Which controller to ask.
#[derive(ClapArgs, Clone, Debug)]
pub(crate) struct Which {
    /// The controller: the path of its socket, or HOST:PORT (for reading). Default: the one of this host, or the lab
    /// that runs.
    #[arg(long, env = "ZW_SERVER", value_name = "SERVER", global = true)]
    server: Option<String>,
}

/// Why there is no answer.
#[derive(Debug)]
pub(crate) enum Failure {
    /// There is no controller, or more than one to choose from.
    NotFound(String),
    /// It is there, and cannot be reached.
    Unreachable {
        /// Where.
        server: String,
        /// What happened.
        cause: String,
    },
    /// It answered with an error, in its own words.
    Refused(String),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFound(sentence) | Self::Refused(sentence) => f.write_str(sentence),
            Self::Unreachable { server, cause } => {
                write!(f, "failed to ask the controller at {server}: {cause}")
            }
        }
    }
}

impl std::error::Error for Failure {}

/// Where a controller listens.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Server {
    /// On a unix socket.
    Socket(PathBuf),
    /// On TCP, for reading.
    Address(String),
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Socket(path) => path.display().fmt(f),
            Self::Address(address) => f.write_str(address),
        }
    }
}

impl Which {
    /// Finds the controller.
    pub(crate) fn find(&self) -> Result<Server, Failure> {
        if let Some(given) = &self.server {
            return Ok(parse(given));
        }
        if Path::new(SOCKET).exists() {
            return Ok(Server::Socket(SOCKET.into()));
        }
        // What is left of one that was killed answers nothing.
        let labs = lab::directory::running();
        let sockets: Vec<PathBuf> =
            labs.iter().map(lab::directory::Directory::api).filter(|socket| socket.exists()).collect();
        choose(&sockets)
    }
}

fn parse(given: &str) -> Server {
    let given = given.strip_prefix("http://").or_else(|| given.strip_prefix("unix:")).unwrap_or(given);
    // A path has a slash; an address has none.
    if given.contains('/') { Server::Socket(given.into()) } else { Server::Address(given.to_owned()) }
}

fn choose(sockets: &[PathBuf]) -> Result<Server, Failure> {
    match sockets {
        [] => Err(Failure::NotFound(format!(
            "no controller runs here: there is no {SOCKET} and no running lab; start one with `zw serve` or `zw lab up`, or name one with --server"
        ))),
        [one] => Ok(Server::Socket(one.clone())),
        several => {
            let listed: Vec<_> = several.iter().map(|socket| socket.display().to_string()).collect();
            Err(Failure::NotFound(format!("several labs run; name one with --server: {}", listed.join(", "))))
        }
    }
}

/// Reads.
pub(crate) fn get<T: DeserializeOwned>(server: &Server, path: &str) -> Result<T, Failure> {
    let text = ask(server, "GET", path, Vec::new())?;
    understand(server, &text)
}

/// Reads, and gives the text as it came.
pub(crate) fn get_text(server: &Server, path: &str) -> Result<String, Failure> {
    let text = ask(server, "GET", path, Vec::new())?;
    String::from_utf8(text).map_err(|error| unreachable(server, &error))
}

/// Asks for something to be done.
pub(crate) fn post<T: DeserializeOwned>(
    server: &Server,
    path: &str,
    body: &impl Serialize,
) -> Result<T, Failure> {
    let body = serde_json::to_vec(body).map_err(|error| unreachable(server, &error))?;
    let text = ask(server, "POST", path, body)?;
    understand(server, &text)
}

/// Asks for something to be done that takes its time, and hears how it goes: a line of JSON for each word.
pub(crate) fn post_lines<T: DeserializeOwned>(
    server: &Server,
    path: &str,
    body: &impl Serialize,
    mut hear: impl FnMut(T),
) -> Result<(), Failure> {
    let body = serde_json::to_vec(body).map_err(|error| unreachable(server, &error))?;
    block_on(server, async {
        let opened = async { open(server, "POST", path, body, connect(server).await?).await };
        let mut answer = timed(server, opened).await?.into_body();
        let mut begun: Vec<u8> = Vec::new();
        while let Some(frame) = timed(server, async { Ok(answer.frame().await) }).await? {
            let frame = frame.map_err(|error| unreachable(server, &error))?;
            begun.extend(frame.data_ref().map(|data| &data[..]).unwrap_or_default());
            while let Some(end) = begun.iter().position(|octet| *octet == b'\n') {
                let line: Vec<u8> = begun.drain(..=end).collect();
                hear(understand(server, &line)?);
            }
            if begun.len() > LINE_MAX {
                return Err(unreachable(server, &"its answer is not understood (a line without an end)"));
            }
        }
        Ok(())
    })
}

/// A piece of a path or query, with everything that is not plain percent-encoded (RFC 3986 §2.3).
pub(crate) fn encoded(piece: &str) -> String {
    piece.bytes().fold(String::new(), |text, octet| match octet {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' | b':' => {
            text + &char::from(octet).to_string()
        }
        _ => text + &format!("%{octet:02X}"),
    })
}

fn unreachable(server: &Server, cause: &impl ToString) -> Failure {
    Failure::Unreachable { server: server.to_string(), cause: cause.to_string() }
}

fn understand<T: DeserializeOwned>(server: &Server, text: &[u8]) -> Result<T, Failure> {
    serde_json::from_slice(text)
        .map_err(|error| unreachable(server, &format!("its answer is not understood ({error})")))
}

fn ask(server: &Server, method: &str, path: &str, body: Vec<u8>) -> Result<Vec<u8>, Failure> {
    block_on(server, async {
        let answer = async {
            let answer = open(server, method, path, body, connect(server).await?).await?;
            let body = Limited::new(answer.into_body(), ANSWER_MAX).collect().await;
            Ok(body.map_err(|error| unreachable(server, &error))?.to_bytes().to_vec())
        };
        timed(server, answer).await
    })
}

fn block_on<T>(server: &Server, work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| unreachable(server, &error))?;
    runtime.block_on(work)
}

async fn timed<T>(server: &Server, work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let timed = tokio::time::timeout(ANSWER_TIME_MAX, work).await;
    timed.unwrap_or_else(|_| Err(unreachable(server, &"it does not answer")))
}

/// Either kind of connection.
trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

async fn connect(server: &Server) -> Result<Box<dyn Stream>, Failure> {
    let failed = |error: std::io::Error| unreachable(server, &error);
    Ok(match server {
        Server::Socket(path) => Box::new(UnixStream::connect(path).await.map_err(failed)?),
        Server::Address(address) => Box::new(TcpStream::connect(address).await.map_err(failed)?),
    })
}

/// Asks, and gives an answer that is no error; its body is yet to be read.
async fn open(
    server: &Server,
    method: &str,
    path: &str,
    body: Vec<u8>,
    stream: Box<dyn Stream>,
) -> Result<Response<Incoming>, Failure> {
    let failed = |error: hyper::Error| unreachable(server, &error);
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(failed)?;
    // It ends with the runtime.
    tokio::spawn(connection);
    let host = match server {
        Server::Socket(_) => "localhost",
        Server::Address(address) => address,
    };
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("Host", host)
        .header("Content-Type", "application/json")
        .body(Full::new(Bytes::from(body)))
        .map_err(|error| unreachable(server, &error))?;
    let answer = sender.send_request(request).await.map_err(failed)?;
    let status = answer.status();
    if status.is_success() {
        return Ok(answer);
    }
    let body = Limited::new(answer.into_body(), ERROR_MAX).collect().await;
    let text = body.map_err(|error| unreachable(server, &error))?.to_bytes();
    let said = serde_json::from_slice::<api::http::Error>(&text).map(|error| error.error);
    Err(Failure::Refused(said.unwrap_or_else(|_| format!("the controller at {server} answered {status}"))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_a_path_or_an_address() {
        assert_eq!(parse("/run/x.sock"), Server::Socket("/run/x.sock".into()));
        assert_eq!(parse("./x.sock"), Server::Socket("./x.sock".into()));
        assert_eq!(parse("127.0.0.1:8480"), Server::Address("127.0.0.1:8480".into()));
        assert_eq!(parse("http://[::1]:8480"), Server::Address("[::1]:8480".into()));
    }

    #[test]
    fn of_several_labs_one_must_be_named() {
        assert_eq!(choose(&["/a".into()]).unwrap(), Server::Socket("/a".into()));
        let said = choose(&["/a".into(), "/b".into()]).unwrap_err().to_string();
        assert_eq!(said, "several labs run; name one with --server: /a, /b");
        assert!(choose(&[]).unwrap_err().to_string().starts_with("no controller runs here"));
    }

    #[test]
    fn what_people_type_is_encoded() {
        assert_eq!(encoded("p01/r1/u01:eno1"), "p01/r1/u01:eno1");
        assert_eq!(encoded("a b?c=ü&d"), "a%20b%3Fc%3D%C3%BC%26d");
    }
}
