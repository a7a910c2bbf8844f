//! A client of etcd's JSON gateway: several members, TLS, a user, and a limit on the time and size of everything.
//!
//! In: a request and whether it may be made twice. Out: the answer, or one of the ways in which there is none. It knows nothing
//! of our keys. Callers are threads without a runtime of their own; one thread of the client has one.

use super::address::{Access, Address};
use super::wire::{Authenticated, Done, Lease, Range, Ranging, Refusal, Streamed, Txn, base64};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::fmt;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep, timeout};
use tokio_rustls::TlsConnector;

/// A connection, with its handshake.
const CONNECT_MAX: Duration = Duration::from_secs(1);
/// One answer of one member. A member without a leader waits longer than this by itself.
const ANSWER_MAX: Duration = Duration::from_secs(2);
/// All tries of one request.
const ALL_TRIES_MAX: Duration = Duration::from_secs(6);
/// Between two rounds of all members.
const ROUND_PAUSE: Duration = Duration::from_millis(100);
/// Octets of an answer: some pages of machines, or one value of etcd's default size, many times over.
const ANSWER_OCTETS_MAX: usize = 48 << 20;
/// Connections that are kept open for the next request.
const IDLE_MAX: usize = 4;
/// A watch that is silent for so long is opened anew: the other end may be gone.
const WATCH_SILENT_MAX: Duration = Duration::from_secs(30);
/// Between two tries of a watch.
const WATCH_PAUSE: Duration = Duration::from_millis(500);
/// A file of credentials.
const CREDENTIALS_MAX: u64 = 4096;

/// gRPC's numbers of failures that say nothing about whether it was done.
const UNCERTAIN: [i32; 5] = [1, 2, 4, 13, 14];
/// gRPC's number for "who are you?".
const UNAUTHENTICATED: i32 = 16;
/// What etcd says of a signed token that it gave before its users or roles changed, as of an argument that is wrong. Nothing was done.
const TOKEN_IS_OLD: &str = "revision of auth store is old";
/// How often a request is made with a new token: users may change meanwhile, too.
const TOKENS_MAX: u32 = 4;

/// Why there is no answer.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum NoAnswer {
    /// It may have been done or not, or be done yet: nobody answered in time, or who answered did not know.
    Unknown(String),
    /// etcd says no.
    Refused(String),
    /// What was answered is longer than we read.
    TooLong,
}

impl fmt::Display for NoAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown(why) | Self::Refused(why) => f.write_str(why),
            Self::TooLong => write!(f, "an answer is longer than {ANSWER_OCTETS_MAX} octets"),
        }
    }
}

/// The client. Dropped, its connections end and so does its thread.
pub(super) struct Client {
    shared: Arc<Shared>,
    runtime: Handle,
    /// Never sent to: dropping it ends the thread.
    _stop: oneshot::Sender<()>,
}

/// What its tasks share.
struct Shared {
    address: Address,
    tls: Option<TlsConnector>,
    credentials: Option<(String, String)>,
    token: Mutex<Option<String>>,
    /// The member that answered last; any number, modulo.
    current: AtomicUsize,
    idle: Mutex<Vec<(usize, Sender)>>,
}

type Sender = SendRequest<Full<Bytes>>;

impl Client {
    /// A client; nothing is connected yet.
    ///
    /// # Errors
    /// A file of `access` cannot be used: a sentence.
    pub(super) fn new(address: &Address, access: &Access) -> Result<Self, String> {
        let tls = address.tls.then(|| connector(access)).transpose()?;
        let credentials = access.credentials.as_deref().map(credentials).transpose()?;
        let shared = Arc::new(Shared {
            address: address.clone(),
            tls,
            credentials,
            token: Mutex::default(),
            current: AtomicUsize::new(0),
            idle: Mutex::default(),
        });
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| format!("failed to start the client of etcd: {error}"))?;
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel::<()>();
        std::thread::Builder::new()
            .name("etcd".into())
            .spawn(move || {
                let _ = runtime.block_on(stopped);
                runtime.shutdown_background();
            })
            .map_err(|error| format!("failed to start a thread: {error}"))?;
        Ok(Self { shared, runtime: handle, _stop: stop })
    }

    /// Reads.
    pub(super) fn range(&self, range: &Ranging) -> Result<Range, NoAnswer> {
        self.ask("/v3/kv/range", range.json())
    }

    /// Does a transaction. It must be one that can be done once only: it is tried again until somebody knows what came of it.
    pub(super) fn txn(&self, txn: &Txn) -> Result<Done, NoAnswer> {
        self.ask("/v3/kv/txn", txn.json())
    }

    /// A lease of so many seconds.
    pub(super) fn grant(&self, seconds: u64) -> Result<Lease, NoAnswer> {
        self.ask("/v3/lease/grant", json!({"TTL": seconds.to_string()}))
    }

    /// Ends a lease, and what is under it.
    pub(super) fn revoke(&self, lease: i64) -> Result<(), NoAnswer> {
        self.ask::<Value>("/v3/lease/revoke", json!({"ID": lease.to_string()})).map(drop)
    }

    /// Forgets what was before this revision.
    pub(super) fn compact(&self, revision: i64) -> Result<(), NoAnswer> {
        self.ask::<Value>("/v3/kv/compaction", json!({"revision": revision.to_string()})).map(drop)
    }

    /// Keeps a lease alive until it is gone or the client is dropped: `kept` hears when it was last asked for in time,
    /// and `None` when it is gone.
    pub(super) fn keep_alive(
        &self,
        lease: i64,
        every: Duration,
        kept: impl Fn(Option<std::time::Instant>) -> bool + Send + 'static,
    ) {
        let shared = Arc::downgrade(&self.shared);
        self.runtime.spawn(async move {
            loop {
                // From before it was asked: the lease is at least as long from there.
                let asked = std::time::Instant::now();
                let Some(shared) = shared.upgrade() else { return };
                let body = json!({"ID": lease.to_string()});
                let answer =
                    shared.round::<Streamed>("/v3/lease/keepalive", &body, Instant::now() + every * 2).await;
                drop(shared);
                let goes_on = match answer {
                    Ok(answer) if answer.result.seconds > 0 => kept(Some(asked)),
                    Ok(_) | Err(NoAnswer::Refused(_)) => {
                        kept(None);
                        return;
                    }
                    Err(_) => true,
                };
                if !goes_on {
                    return;
                }
                sleep(every.saturating_sub(asked.elapsed()).max(ROUND_PAUSE)).await;
            }
        });
    }

    /// Calls `hint` when something under a prefix may have changed, until that says false or the client is dropped. It is
    /// only a hint: it may come too often, late, or not at all.
    pub(super) fn watch(&self, from: String, to: String, hint: impl Fn() -> bool + Send + Sync + 'static) {
        let shared = Arc::downgrade(&self.shared);
        self.runtime.spawn(async move {
            let body = json!({"create_request": {"key": base64(from.as_bytes()), "range_end": base64(to.as_bytes())}});
            loop {
                let Some(shared) = shared.upgrade() else { return };
                shared.watch_once(&body, &hint).await;
                drop(shared);
                if !hint() {
                    return;
                }
                sleep(WATCH_PAUSE).await;
            }
        });
    }

    fn ask<T: DeserializeOwned + Send + 'static>(
        &self,
        path: &'static str,
        body: Value,
    ) -> Result<T, NoAnswer> {
        let (asker, answer) = std::sync::mpsc::sync_channel(1);
        let shared = Arc::clone(&self.shared);
        self.runtime.spawn(async move {
            let _ = asker.send(shared.round(path, &body, Instant::now() + ALL_TRIES_MAX).await);
        });
        // Longer than the task itself takes, so that it is the task that says why.
        let outcome = answer.recv_timeout(ALL_TRIES_MAX + ANSWER_MAX + CONNECT_MAX);
        outcome.unwrap_or_else(|_| Err(NoAnswer::Unknown("the client of etcd does not answer".into())))
    }
}

impl Shared {
    /// Asks one member after the other until one knows.
    async fn round<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &Value,
        until: Instant,
    ) -> Result<T, NoAnswer> {
        let body = Bytes::from(body.to_string());
        let members = self.address.members.len();
        let mut tries = 0;
        let mut tokens = 0;
        loop {
            let member = self.current.load(Relaxed) % members;
            let failed = match self.try_one(member, path, body.clone()).await {
                Ok((StatusCode::OK, answer)) => {
                    return serde_json::from_slice(&answer).map_err(|error| {
                        NoAnswer::Unknown(format!(
                            "{} answers what is not understood: {error}",
                            self.name(member)
                        ))
                    });
                }
                Ok((status, answer)) => {
                    let refusal: Refusal = serde_json::from_slice(&answer).unwrap_or_default();
                    let words = if refusal.message.is_empty() { refusal.error } else { refusal.message };
                    let is_stale = refusal.code == UNAUTHENTICATED
                        || status == StatusCode::UNAUTHORIZED
                        || words.contains(TOKEN_IS_OLD);
                    if is_stale && self.credentials.is_some() && tokens < TOKENS_MAX {
                        tokens += 1;
                        *self.token.lock().unwrap_or_else(PoisonError::into_inner) = None;
                        continue;
                    }
                    let words = if words.is_empty() {
                        format!(
                            "HTTP status {status}: {}",
                            String::from_utf8_lossy(answer.get(..100.min(answer.len())).unwrap_or_default())
                                .trim()
                        )
                    } else {
                        words
                    };
                    let words = format!("{} says: {words}", self.name(member));
                    match UNCERTAIN.contains(&refusal.code) || (refusal.code == 0 && status.is_server_error())
                    {
                        true => words,
                        // An earlier try may be on its way yet.
                        false if tries > 0 => return Err(NoAnswer::Unknown(words)),
                        false => return Err(NoAnswer::Refused(words)),
                    }
                }
                Err(NoAnswer::Unknown(why)) => why,
                Err(other) => return Err(other),
            };
            // Another request may have moved on already.
            let _ = self.current.compare_exchange(member, (member + 1) % members, Relaxed, Relaxed);
            tries += 1;
            if tries % members == 0 {
                sleep(ROUND_PAUSE).await;
            }
            if Instant::now() >= until {
                return Err(NoAnswer::Unknown(failed));
            }
        }
    }

    async fn try_one(&self, member: usize, path: &str, body: Bytes) -> Result<(StatusCode, Bytes), NoAnswer> {
        let token = self.token(member).await?;
        self.send(member, path, body, token.as_deref()).await
    }

    /// What proves who we are, asked for once.
    async fn token(&self, member: usize) -> Result<Option<String>, NoAnswer> {
        let Some((user, password)) = &self.credentials else { return Ok(None) };
        if let Some(token) = self.token.lock().unwrap_or_else(PoisonError::into_inner).clone() {
            return Ok(Some(token));
        }
        let body = json!({"name": user, "password": password}).to_string();
        let (status, answer) = self.send(member, "/v3/auth/authenticate", body.into(), None).await?;
        let token = serde_json::from_slice::<Authenticated>(&answer).map(|answer| answer.token);
        match token {
            Ok(token) if status == StatusCode::OK && !token.is_empty() => {
                *self.token.lock().unwrap_or_else(PoisonError::into_inner) = Some(token.clone());
                Ok(Some(token))
            }
            _ if status.is_server_error() => {
                Err(NoAnswer::Unknown(format!("{} lets nobody in now", self.name(member))))
            }
            _ => {
                let refusal: Refusal = serde_json::from_slice(&answer).unwrap_or_default();
                let words = if refusal.message.is_empty() { refusal.error } else { refusal.message };
                let words = if words.is_empty() {
                    format!(
                        "HTTP status {status}: {}",
                        String::from_utf8_lossy(answer.get(..100.min(answer.len())).unwrap_or_default())
                            .trim()
                    )
                } else {
                    words
                };
                Err(NoAnswer::Refused(format!("{} does not let {user:?} in: {words}", self.name(member))))
            }
        }
    }

    async fn send(
        &self,
        member: usize,
        path: &str,
        body: Bytes,
        token: Option<&str>,
    ) -> Result<(StatusCode, Bytes), NoAnswer> {
        let unknown = |what: &dyn fmt::Display| NoAnswer::Unknown(format!("{}: {what}", self.name(member)));
        let mut sender = match self.take_idle(member).await {
            Some(sender) => sender,
            None => self.connect(member).await?,
        };
        let request = self.request(member, path, body, token).map_err(|error| unknown(&error))?;
        let answered = timeout(ANSWER_MAX, async {
            let answer = sender.send_request(request).await.map_err(|error| unknown(&error))?;
            let (head, body) = answer.into_parts();
            let body =
                Limited::new(body, ANSWER_OCTETS_MAX).collect().await.map_err(|error| match error
                    .is::<LengthLimitError>(
                ) {
                    true => NoAnswer::TooLong,
                    false => unknown(&error),
                })?;
            Ok((head.status, body.to_bytes()))
        });
        let answer = answered.await.map_err(|_| unknown(&"no answer in time"))??;
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < IDLE_MAX {
            idle.push((member, sender));
        }
        Ok(answer)
    }

    fn request(
        &self,
        member: usize,
        path: &str,
        body: Bytes,
        token: Option<&str>,
    ) -> Result<Request<Full<Bytes>>, hyper::http::Error> {
        let request = Request::builder()
            .method(Method::POST)
            .uri(path)
            .header(HOST, self.name(member))
            .header(CONTENT_TYPE, "application/json");
        let request = match token {
            Some(token) => request.header(AUTHORIZATION, token),
            None => request,
        };
        request.body(Full::new(body))
    }

    async fn take_idle(&self, member: usize) -> Option<Sender> {
        loop {
            let mut sender = {
                let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
                let at = idle.iter().position(|(of, _)| *of == member)?;
                idle.swap_remove(at).1
            };
            if sender.ready().await.is_ok() {
                return Some(sender);
            }
        }
    }

    async fn connect(&self, member: usize) -> Result<Sender, NoAnswer> {
        let unknown = |what: &dyn fmt::Display| NoAnswer::Unknown(format!("{}: {what}", self.name(member)));
        let connecting = async {
            let (host, port) = self.member(member);
            let socket = TcpStream::connect((host, port)).await.map_err(|error| unknown(&error))?;
            let _ = socket.set_nodelay(true);
            match &self.tls {
                None => {
                    let (sender, connection) =
                        handshake(TokioIo::new(socket)).await.map_err(|error| unknown(&error))?;
                    tokio::spawn(connection);
                    Ok(sender)
                }
                Some(tls) => {
                    let name = ServerName::try_from(host.to_owned()).map_err(|error| unknown(&error))?;
                    let socket = tls.connect(name, socket).await.map_err(|error| unknown(&error))?;
                    let (sender, connection) =
                        handshake(TokioIo::new(socket)).await.map_err(|error| unknown(&error))?;
                    tokio::spawn(connection);
                    Ok(sender)
                }
            }
        };
        timeout(CONNECT_MAX, connecting).await.map_err(|_| unknown(&"no connection in time"))?
    }

    /// Reads a watch until it ends.
    async fn watch_once(&self, body: &Value, hint: &(impl Fn() -> bool + Send + Sync)) {
        let members = self.address.members.len();
        let member = self.current.load(Relaxed) % members;
        let opened = async {
            let token = self.token(member).await.ok()?;
            let mut sender = self.connect(member).await.ok()?;
            let body = Bytes::from(body.to_string());
            let request = self.request(member, "/v3/watch", body, token.as_deref()).ok()?;
            let answer = sender.send_request(request).await.ok()?;
            answer.status().is_success().then_some((sender, answer))
        };
        let Ok(Some((_sender, answer))) = timeout(ANSWER_MAX, opened).await else { return };
        let mut body = answer.into_body();
        // What changed is read, not heard: the octets themselves are of no interest.
        while let Ok(Some(Ok(_))) = timeout(WATCH_SILENT_MAX, body.frame()).await {
            if !hint() {
                return;
            }
        }
    }

    fn member(&self, index: usize) -> (&str, u16) {
        self.address.members.get(index).map_or(("", 0), |(host, port)| (host.as_str(), *port))
    }

    fn name(&self, index: usize) -> String {
        let (host, port) = self.member(index);
        if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
    }
}

fn connector(access: &Access) -> Result<TlsConnector, String> {
    let named = |path: &Path, what: &dyn fmt::Display| format!("{} {what}", path.display());
    let ca = access.ca.as_deref().ok_or(
        "etcds:// needs the certificate of the authority that signs etcd's: name it with --store-ca FILE",
    )?;
    let certificates = |path: &Path| -> Result<Vec<CertificateDer<'static>>, String> {
        let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
        let read = read.map_err(|error| named(path, &format!("cannot be read: {error}")))?;
        if read.is_empty() { Err(named(path, &"holds no certificate")) } else { Ok(read) }
    };
    let mut roots = RootCertStore::empty();
    for certificate in certificates(ca)? {
        roots.add(certificate).map_err(|error| named(ca, &format!("cannot be used: {error}")))?;
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| format!("failed to set up TLS: {error}"))?
        .with_root_certificates(roots);
    let mut config = match &access.certificate {
        None => builder.with_no_client_auth(),
        Some((certificate, key)) => {
            let chain = certificates(certificate)?;
            let private = PrivateKeyDer::from_pem_file(key)
                .map_err(|error| named(key, &format!("cannot be read: {error}")))?;
            let used = builder.with_client_auth_cert(chain, private);
            used.map_err(|error| named(certificate, &format!("cannot be used: {error}")))?
        }
    };
    // gRPC is spoken at the same port, to whoever asks for h2.
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsConnector::from(Arc::new(config)))
}

fn credentials(path: &Path) -> Result<(String, String), String> {
    let failed = |what: &dyn fmt::Display| format!("{} {what}", path.display());
    let mut text = String::new();
    let file = std::fs::File::open(path).map_err(|error| failed(&format!("cannot be read: {error}")))?;
    std::io::Read::read_to_string(&mut std::io::Read::take(file, CREDENTIALS_MAX), &mut text)
        .map_err(|error| failed(&format!("cannot be read: {error}")))?;
    let line = text.lines().next().unwrap_or_default();
    let (user, password) = line.split_once(':').ok_or_else(|| failed(&"is not one line USER:PASSWORD"))?;
    Ok((user.to_owned(), password.to_owned()))
}
