//! A controller that says what a test wants, and a server of images that breaks off.

use api::agent::{FRAME_MAX, FromAgent, FromController, Inbox, Secret};
use model::{Generation, Time};
use rcgen::{BasicConstraints, CertificateParams, CertificateSigningRequestParams, IsCa, Issuer, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use sha2::{Digest, Sha256};
use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Where a machine of QEMU's own network finds the one that it runs on.
pub(crate) const HOST: &str = "10.0.2.2";
/// The longest wait for anything that an emulated machine does.
const WAIT_MAX: Duration = Duration::from_secs(600);
/// A sender to the connection that was made last.
type Line = Arc<Mutex<Option<tokio::sync::mpsc::UnboundedSender<FromController>>>>;

pub(crate) struct Controller {
    _runtime: tokio::runtime::Runtime,
    pub(crate) port: u16,
    pin: [u8; 32],
    heard: mpsc::Receiver<FromAgent>,
    line: Line,
}

impl Controller {
    pub(crate) fn start() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime");
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = params.self_signed(&key).expect("an authority");
        let issuer = Issuer::new(params, key);
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new([HOST.to_owned()]).expect("a name");
        let certificate = params.signed_by(&key, &issuer).expect("a certificate");
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .expect("TLS 1.3")
            .with_no_client_auth()
            .with_single_cert(
                vec![certificate.der().clone(), authority.der().clone()],
                PrivateKeyDer::try_from(key.serialize_der()).expect("a key"),
            )
            .expect("a pair");
        config.alpn_protocols = vec![api::agent::ALPN.to_vec()];
        let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").expect("bound");
        listener.set_nonblocking(true).expect("a listener");
        let port = listener.local_addr().expect("bound").port();
        let (hears, heard) = mpsc::channel();
        let line = Line::default();
        let (issuer, talks) = (Arc::new(issuer), Arc::clone(&line));
        runtime.spawn(async move {
            let listener = tokio::net::TcpListener::from_std(listener).expect("a listener");
            while let Ok((socket, _)) = listener.accept().await {
                let (acceptor, issuer) = (acceptor.clone(), Arc::clone(&issuer));
                let (hears, talks) = (hears.clone(), Arc::clone(&talks));
                tokio::spawn(async move {
                    if let Ok(stream) = acceptor.accept(socket).await {
                        // A machine whose power is cut ends it in whatever way.
                        let _ = talk(stream, &issuer, &hears, &talks).await;
                    }
                });
            }
        });
        let pin = Sha256::digest(authority.der()).into();
        Self { _runtime: runtime, port, pin, heard, line }
    }

    /// What a machine's kernel is told of this controller.
    pub(crate) fn arguments(&self) -> String {
        let pin = self.pin.iter().fold(String::new(), |mut pin, octet| {
            write!(pin, "{octet:02x}").expect("a string");
            pin
        });
        format!("zw.controller=https://{HOST}:{} zw.ca=sha256:{pin} zw.location=ams1/p01/r1/u01", self.port)
    }

    /// Waits for a frame, and forgets those before it.
    pub(crate) fn until<T>(&self, what: &str, wanted: impl Fn(&FromAgent) -> Option<T>) -> T {
        let began = Instant::now();
        let mut last = None;
        loop {
            let left = WAIT_MAX.saturating_sub(began.elapsed());
            let Ok(frame) = self.heard.recv_timeout(left) else { panic!("never heard {what}, but {last:?}") };
            if let Some(found) = wanted(&frame) {
                return found;
            }
            if let FromAgent::NotInstalled { sentence, .. } = &frame {
                panic!("waited for {what}, and it is not installed: {sentence}");
            }
            last = Some(frame);
        }
    }

    /// Says something to the agent that connected last.
    pub(crate) fn say(&self, frame: FromController) {
        let line = self.line.lock().expect("whole");
        line.as_ref().expect("an agent").send(frame).expect("a connection");
    }
}

async fn talk(
    mut stream: tokio_rustls::server::TlsStream<tokio::net::TcpStream>,
    issuer: &Issuer<'static, KeyPair>,
    hears: &mpsc::Sender<FromAgent>,
    talks: &Line,
) -> std::io::Result<()> {
    let mut inbox = Inbox::new(FRAME_MAX);
    let (line, mut said) = tokio::sync::mpsc::unbounded_channel();
    loop {
        while let Some(frame) = inbox.take::<FromAgent>().map_err(std::io::Error::other)? {
            match &frame {
                FromAgent::TokenRequest { .. } => {
                    let token = Secret("00".repeat(32));
                    drop(line.send(FromController::Token { token, seconds: 60 }));
                }
                FromAgent::Enrol { csr, .. } | FromAgent::Renew { csr, .. } => {
                    let request = CertificateSigningRequestParams::from_pem(csr).expect("a request");
                    let certificate = request.signed_by(issuer).expect("a certificate").pem();
                    let (renew_at, not_after) = (Time(now().0 + 40_000_000), Time(now().0 + 80_000_000));
                    let frame = FromController::Certificate { certificate, renew_at, not_after, now: now() };
                    drop(line.send(frame));
                }
                FromAgent::Hello { version, .. } => {
                    drop(line.send(FromController::Welcome {
                        version: *version,
                        generation: Generation(1),
                        checks: Vec::new(),
                        heartbeat_seconds: 2,
                        check_seconds: 3600,
                        probe_seconds: 0,
                        now: now(),
                    }));
                    *talks.lock().expect("whole") = Some(line.clone());
                }
                FromAgent::Heartbeat => drop(line.send(FromController::Heartbeat { now: now() })),
                _ => {}
            }
            if !matches!(frame, FromAgent::Heartbeat | FromAgent::Report { .. } | FromAgent::Checks { .. })
                && hears.send(frame).is_err()
            {
                return Ok(());
            }
        }
        let mut octets = [0; 4096];
        tokio::select! {
            read = stream.read(&mut octets) => match read? {
                0 => return Ok(()),
                read => inbox.put(&octets[..read]),
            },
            Some(frame) = said.recv() => {
                stream.write_all(&api::agent::encode(&frame).expect("short")).await?;
                stream.flush().await?;
            }
        }
    }
}

fn now() -> Time {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Time(u64::try_from(since.as_millis()).unwrap_or(0))
}

/// Serves the files of a directory by HTTP, with ranges. Below `/breaks/` every reply breaks off after so many octets of content.
pub(crate) fn serve(directory: PathBuf, breaks_after: usize) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("bound");
    let address = listener.local_addr().expect("bound");
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let directory = directory.clone();
            // Who asks may be gone before the end.
            std::thread::spawn(move || drop(reply(stream, &directory, breaks_after)));
        }
    });
    address
}

fn reply(mut stream: TcpStream, directory: &std::path::Path, breaks_after: usize) -> std::io::Result<()> {
    let (mut path, mut from) = (String::new(), 0);
    for (number, line) in BufReader::new(stream.try_clone()?).lines().enumerate() {
        let line = line?;
        if number == 0 {
            path = line.split(' ').nth(1).unwrap_or_default().to_owned();
        } else if let Some(range) = line.strip_prefix("Range: bytes=") {
            from = range.trim_end_matches('-').parse().expect("a range");
        } else if line.is_empty() {
            break;
        }
    }
    let breaks = path.strip_prefix("/breaks/");
    let name = breaks.unwrap_or(path.trim_start_matches('/'));
    let Ok(content) = fs::read(directory.join(name)) else {
        return stream.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
    };
    let rest = &content[from..];
    let head = if from == 0 {
        format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", rest.len())
    } else {
        let (last, size) = (content.len() - 1, content.len());
        format!(
            "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes {from}-{last}/{size}\r\nContent-Length: {}\r\n\r\n",
            rest.len()
        )
    };
    stream.write_all(head.as_bytes())?;
    let end = if breaks.is_some() { rest.len().min(breaks_after) } else { rest.len() };
    stream.write_all(&rest[..end])
}
