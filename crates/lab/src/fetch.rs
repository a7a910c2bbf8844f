//! Files for firmware: by TFTP with the state machine of `answer::tftp`, by HTTP with `hyper`, from inside a machine's
//! namespace. Contents are counted; only a script is kept.

use crate::error::{Doing, Error};
use crate::net::Namespace;
use answer::tftp::{Fetch, Fetched};
use http_body_util::{BodyExt, Empty};
use hyper::body::Bytes;
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use model::Time;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;
use wire::tftp::{Mode, Options};

/// The most of a file that is kept: a script is under a kilobyte.
const KEPT_MAX: usize = 64 << 10;
/// Silence on a connection after which firmware gives up.
const SILENCE_MAX: Duration = Duration::from_secs(30);
/// The largest payload that firmware asks TFTP for: an Ethernet frame's worth.
const BLKSIZE: u16 = 1468;

/// What firmware believes about servers, once it is known.
pub(crate) type Believed = Arc<OnceLock<Arc<ClientConfig>>>;

/// Who fetches.
pub(crate) struct Fetcher<'a> {
    pub namespace: &'a Namespace,
    /// Its address there.
    pub address: Ipv4Addr,
    pub believed: &'a Believed,
}

/// A file that was fetched.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct File {
    /// Its length in octets.
    pub octets: u64,
    /// Its beginning.
    pub start: Vec<u8>,
}

impl File {
    fn take(&mut self, data: &[u8]) {
        self.octets += data.len() as u64;
        let room = KEPT_MAX.saturating_sub(self.start.len());
        self.start.extend_from_slice(&data[..data.len().min(room)]);
    }
}

/// The clock, as the deciding code counts.
pub(crate) fn now() -> Time {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Time(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// Fetches a file by TFTP, asking for its size and for large blocks, as boot ROMs do.
///
/// # Errors
/// If the server refuses or is silent.
pub(crate) async fn tftp(
    namespace: &Namespace,
    from: Ipv4Addr,
    server: Ipv4Addr,
    name: &str,
) -> Result<File, Error> {
    let socket = namespace.run(|| {
        let socket = std::net::UdpSocket::bind((from, 0)).doing(|| "open a socket")?;
        socket.set_nonblocking(true).doing(|| "prepare a socket")?;
        Ok(socket)
    })?;
    let socket = tokio::net::UdpSocket::from_std(socket).doing(|| "watch a socket")?;
    let options = Options { blksize: Some(BLKSIZE), tsize: Some(0), ..Options::default() };
    let mut fetch = Fetch::new(name, Mode::Octet, options, now());
    let mut peer = SocketAddr::V4(SocketAddrV4::new(server, 69));
    let mut has_answered = false;
    let mut file = File::default();
    let (mut out, mut buffer) = (Vec::new(), vec![0; usize::from(BLKSIZE) + 64]);
    loop {
        while fetch.poll(now(), &mut out) {
            socket.send_to(&out, peer).await.doing(|| format!("ask {server} for {name}"))?;
        }
        match fetch.outcome() {
            None => {}
            Some(Fetched::Done) => return Ok(file),
            Some(outcome) => {
                return Err(Error::new(format!("fetch {name} from {server} by tftp: {outcome:?}")));
            }
        }
        let wait = fetch.deadline().map_or(SILENCE_MAX, |deadline| deadline.since(now()));
        match timeout(wait, socket.recv_from(&mut buffer)).await {
            Ok(Ok((length, source))) => {
                // The server answers from a port of its own choice (RFC 1350 §4), and from there only.
                if source.ip() != peer.ip() || has_answered && source != peer {
                    continue;
                }
                (peer, has_answered) = (source, true);
                if let Ok(packet) = wire::tftp::decode(&buffer[..length]) {
                    file.take(fetch.receive(&packet, now()));
                }
            }
            Ok(Err(error)) => return Err(Error::because(format!("hear from {server}"), error)),
            Err(_) => fetch.tick(now()),
        }
    }
}

/// Fetches a URL with an IPv4 literal as host. With `asks_first`, HEAD goes before GET, as EDK2 does to learn the size.
///
/// # Errors
/// If the URL has another form, the server cannot be reached, or answers anything but 200.
pub(crate) async fn http(fetcher: &Fetcher<'_>, url: &str, asks_first: bool) -> Result<File, Error> {
    let target = split(url).ok_or_else(|| Error::new(format!("understand {url}")))?;
    if asks_first {
        request(fetcher, target, Method::HEAD).await?;
    }
    request(fetcher, target, Method::GET).await
}

/// What is fetched.
#[derive(Clone, Copy)]
struct Target<'a> {
    server: SocketAddrV4,
    path: &'a str,
    is_secure: bool,
}

fn split(url: &str) -> Option<Target<'_>> {
    let (is_secure, rest) = match url.strip_prefix("https://") {
        Some(rest) => (true, rest),
        None => (false, url.strip_prefix("http://")?),
    };
    let slash = rest.find('/').unwrap_or(rest.len());
    let (host, path) = rest.split_at(slash);
    let (host, port) = host.split_once(':').unwrap_or((host, if is_secure { "443" } else { "80" }));
    let server = SocketAddrV4::new(host.parse().ok()?, port.parse().ok()?);
    Some(Target { server, path: if path.is_empty() { "/" } else { path }, is_secure })
}

async fn request(fetcher: &Fetcher<'_>, target: Target<'_>, method: Method) -> Result<File, Error> {
    let Target { server, path, is_secure } = target;
    let what = || format!("{method} http{}://{server}{path}", if is_secure { "s" } else { "" });
    let socket = fetcher.namespace.run(|| {
        let socket = tokio::net::TcpSocket::new_v4().doing(|| "open a socket")?;
        socket.bind((fetcher.address, 0).into()).doing(|| format!("bind {}", fetcher.address))?;
        Ok(socket)
    })?;
    let stream = timeout(SILENCE_MAX, socket.connect(server.into())).await.doing(what)?.doing(what)?;
    if !is_secure {
        return exchange(stream, target, &method, &what).await;
    }
    let believed =
        fetcher.believed.get().ok_or_else(|| Error::new(format!("{}: it believes nobody", what())))?;
    let connector = tokio_rustls::TlsConnector::from(Arc::clone(believed));
    let name = ServerName::IpAddress(IpAddr::V4(*server.ip()).into());
    let stream = timeout(SILENCE_MAX, connector.connect(name, stream)).await.doing(what)?.doing(what)?;
    exchange(stream, target, &method, &what).await
}

async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    Target { server, path, .. }: Target<'_>,
    method: &Method,
    what: &impl Fn() -> String,
) -> Result<File, Error> {
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.doing(what)?;
    let _connection = AbortOnDrop(tokio::spawn(async move {
        // Its failure is the request's failure, told there.
        let _ = connection.await;
    }));
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("Host", server.to_string())
        .header("User-Agent", "zonewright-lab")
        .header("Connection", "close")
        .body(Empty::<Bytes>::new())
        .doing(what)?;
    let reply = timeout(SILENCE_MAX, sender.send_request(request)).await.doing(what)?.doing(what)?;
    if reply.status() != StatusCode::OK {
        return Err(Error::new(format!("{}: the answer was {}", what(), reply.status())));
    }
    let mut body = reply.into_body();
    let mut file = File::default();
    while let Some(frame) = timeout(SILENCE_MAX, body.frame()).await.doing(what)? {
        if let Some(data) = frame.doing(what)?.data_ref() {
            file.take(data);
        }
    }
    Ok(file)
}

struct AbortOnDrop(tokio::task::JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}
