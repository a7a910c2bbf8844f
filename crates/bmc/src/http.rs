//! One request at a time over one connection, each within its time and its size.
//!
//! Nothing is decided here about what an answer means; a path is only ever asked for at the address that was connected to.

use crate::address::Address;
use crate::error::Error;
use crate::limits::{BODY_MAX, HEAD_MAX, Limits};
use crate::trust::{self, Fingerprint, Trust};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1::{Builder, SendRequest};
use hyper::header::{self, HeaderMap, HeaderValue};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use serde_json::Value;
use std::sync::PoisonError;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

/// What is asked.
#[derive(Clone, Debug)]
pub(crate) struct Ask<'a> {
    pub(crate) method: Method,
    pub(crate) path: &'a str,
    pub(crate) body: Option<&'a Value>,
    pub(crate) if_match: Option<&'a str>,
}

impl<'a> Ask<'a> {
    pub(crate) fn get(path: &'a str) -> Self {
        Self { method: Method::GET, path, body: None, if_match: None }
    }

    pub(crate) fn post(path: &'a str, body: &'a Value) -> Self {
        Self { method: Method::POST, path, body: Some(body), if_match: None }
    }

    pub(crate) fn delete(path: &'a str) -> Self {
        Self { method: Method::DELETE, path, body: None, if_match: None }
    }

    /// Whether it may be made twice: it changes nothing.
    pub(crate) fn is_reading(&self) -> bool {
        self.method == Method::GET
    }
}

/// What was answered.
#[derive(Clone, Debug, Default)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    /// JSON whatever the content type says it is, or `Null` if there is none.
    pub(crate) body: Value,
    /// Why it is `Null`, if there was something that is no JSON.
    pub(crate) not_json: Option<String>,
    pub(crate) etag: Option<String>,
    pub(crate) location: Option<String>,
    pub(crate) token: Option<String>,
    pub(crate) retry_after: Option<Duration>,
}

/// How a request proves who asks.
#[derive(Clone)]
pub(crate) enum Proof {
    None,
    Basic(HeaderValue),
    Token(HeaderValue),
}

/// The way to one BMC.
pub(crate) struct Line {
    pub(crate) address: Address,
    trust: Trust,
    limits: Limits,
    open: Option<SendRequest<Full<Bytes>>>,
    /// The certificate that was shown last; `None` without TLS.
    pub(crate) certificate: Option<Fingerprint>,
}

impl Line {
    pub(crate) fn new(address: Address, trust: Trust, limits: Limits) -> Self {
        Self { address, trust, limits, open: None, certificate: None }
    }

    /// Asks, and reads the answer whole.
    pub(crate) async fn exchange(&mut self, ask: &Ask<'_>, proof: &Proof) -> Result<Answer, Error> {
        let is_used = self.open.is_some();
        match self.try_exchange(ask, proof).await {
            // A connection that was kept open may have been closed at the other end just now.
            Err(Error::Unreachable { .. }) if is_used && ask.is_reading() => {
                self.try_exchange(ask, proof).await
            }
            answer => answer,
        }
    }

    async fn try_exchange(&mut self, ask: &Ask<'_>, proof: &Proof) -> Result<Answer, Error> {
        let mut open = match self.open.take() {
            Some(mut open) => match open.ready().await {
                Ok(()) => open,
                Err(_) => self.connect().await?,
            },
            None => self.connect().await?,
        };
        let request = self.request(ask, proof)?;
        let limit = self.limits.answer;
        let awaited = || format!("an answer of {} about {}", self.address, ask.path);
        let answered = tokio::time::timeout(limit, async {
            let answer = open.send_request(request).await.map_err(|error| unreachable(&error))?;
            let (head, body) = answer.into_parts();
            let body = Limited::new(body, BODY_MAX).collect().await.map_err(|error| {
                match error.downcast_ref::<http_body_util::LengthLimitError>() {
                    Some(_) => not_understood(ask.path, format!("it is longer than {BODY_MAX} octets")),
                    None => unreachable(error.as_ref()),
                }
            })?;
            Ok(read(head.status, &head.headers, &body.to_bytes()))
        });
        let answer = answered.await.map_err(|_| Error::TooSlow { awaited: awaited(), limit })??;
        self.open = Some(open);
        Ok(answer)
    }

    fn request(&self, ask: &Ask<'_>, proof: &Proof) -> Result<Request<Full<Bytes>>, Error> {
        let mut request = Request::builder()
            .method(ask.method.clone())
            .uri(ask.path)
            .header(header::HOST, self.address.socket.to_string())
            .header(header::ACCEPT, "application/json")
            .header("OData-Version", "4.0")
            .header(header::USER_AGENT, "zonewright");
        match proof {
            Proof::None => {}
            Proof::Basic(value) => request = request.header(header::AUTHORIZATION, value),
            Proof::Token(value) => request = request.header("X-Auth-Token", value),
        }
        if let Some(etag) = ask.if_match {
            request = request.header(header::IF_MATCH, etag);
        }
        let body = match ask.body {
            Some(body) => {
                request = request.header(header::CONTENT_TYPE, "application/json");
                body.to_string()
            }
            None => String::new(),
        };
        request
            .body(Full::new(Bytes::from(body)))
            .map_err(|_| not_understood(ask.path, "the path it gave cannot be asked for".to_owned()))
    }

    async fn connect(&mut self) -> Result<SendRequest<Full<Bytes>>, Error> {
        let limit = self.limits.connect;
        let address = self.address;
        tokio::time::timeout(limit, self.connect_now())
            .await
            .unwrap_or_else(|_| Err(Error::TooSlow { awaited: format!("a connection to {address}"), limit }))
    }

    async fn connect_now(&mut self) -> Result<SendRequest<Full<Bytes>>, Error> {
        let stream = TcpStream::connect(self.address.socket).await.map_err(|error| unreachable(&error))?;
        // Requests are small, and each waits for its answer.
        let _ = stream.set_nodelay(true);
        if self.address.is_plain {
            return handshake(stream).await;
        }
        let (config, shown) = trust::client(self.trust).map_err(|error| unreachable(&error))?;
        let name = ServerName::IpAddress(self.address.socket.ip().into());
        let connected = tokio_rustls::TlsConnector::from(config).connect(name, stream).await;
        let shown = *shown.lock().unwrap_or_else(PoisonError::into_inner);
        match (connected, self.trust, shown) {
            (Ok(stream), _, shown) => {
                self.certificate = shown;
                // Whatever it was at first, it is that for as long as this line is held.
                if let Some(shown) = shown {
                    self.trust = Trust::Pinned(shown);
                }
                handshake(stream).await
            }
            (Err(_), Trust::Pinned(known), Some(shown)) if known != shown => {
                Err(Error::OtherCertificate { known, shown })
            }
            (Err(error), ..) => Err(unreachable(&error)),
        }
    }
}

async fn handshake(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
) -> Result<SendRequest<Full<Bytes>>, Error> {
    let mut builder = Builder::new();
    builder.max_buf_size(HEAD_MAX);
    let (open, connection) =
        builder.handshake(TokioIo::new(stream)).await.map_err(|error| unreachable(&error))?;
    // It ends with the line.
    tokio::spawn(connection);
    Ok(open)
}

fn read(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Answer {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let (body, not_json) = match body.trim_ascii() {
        [] => (Value::Null, None),
        body => match serde_json::from_slice(body) {
            Ok(body) => (body, None),
            Err(error) => (Value::Null, Some(format!("it is no JSON ({error})"))),
        },
    };
    Answer {
        status,
        body,
        not_json,
        etag: text("etag"),
        location: text("location"),
        token: text("x-auth-token"),
        retry_after: text("retry-after").and_then(|text| text.trim().parse().ok()).map(Duration::from_secs),
    }
}

/// With the whole chain of causes: hyper and rustls keep the one that matters for last.
fn unreachable(error: &(dyn std::error::Error + 'static)) -> Error {
    let chain = std::iter::successors(Some(error), |error| error.source());
    let mut causes: Vec<String> = chain.map(ToString::to_string).collect();
    causes.dedup();
    Error::Unreachable { cause: crate::message::harmless(&causes.join(": ")) }
}

pub(crate) fn not_understood(path: &str, cause: String) -> Error {
    Error::NotUnderstood { path: path.to_owned(), cause }
}
