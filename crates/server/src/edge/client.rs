//! One connection of an edge to a controller: HTTP/1.1 over TLS with the authority pinned, or in plain for boot files, whose digests are known.

use api::agent::Octets;
use api::edge::NEWS_MAX;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{CONTENT_TYPE, HOST};
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

/// Connecting and shaking hands.
const CONNECT_MAX: Duration = Duration::from_secs(5);
/// An answer that nobody is to wait with.
pub(super) const ANSWER_MAX: Duration = Duration::from_secs(30);

/// Why there is no answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum No {
    /// This edge is none any more.
    Removed(String),
    /// The controller says no.
    Refused(String),
    /// Nobody answered, or nothing that is understood.
    Broken(String),
}

impl fmt::Display for No {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::Removed(why) | Self::Refused(why) | Self::Broken(why)) = self;
        f.write_str(why)
    }
}

/// An open connection.
pub(super) struct Line {
    sender: SendRequest<Full<Bytes>>,
    to: SocketAddr,
}

impl Line {
    /// Connects to a controller's port of agents and shakes hands.
    pub(super) async fn open(to: SocketAddr, tls: &Arc<ClientConfig>) -> Result<Self, String> {
        let opening = async {
            let socket = TcpStream::connect(to).await?;
            socket.set_nodelay(true)?;
            let name = ServerName::IpAddress(to.ip().into());
            let socket = TlsConnector::from(Arc::clone(tls)).connect(name, socket).await?;
            if socket.get_ref().1.alpn_protocol() != Some(api::edge::ALPN) {
                return Err(std::io::Error::other("it does not speak with edges: it is of an older release"));
            }
            Self::over(socket, to).await
        };
        in_time(CONNECT_MAX, opening).await
    }

    /// The same in plain, to a port of boot files.
    pub(super) async fn open_plain(to: SocketAddr) -> Result<Self, String> {
        in_time(CONNECT_MAX, async { Self::over(TcpStream::connect(to).await?, to).await }).await
    }

    async fn over(
        socket: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
        to: SocketAddr,
    ) -> std::io::Result<Self> {
        let (sender, connection) = handshake(TokioIo::new(socket)).await.map_err(std::io::Error::other)?;
        // It ends with the connection.
        tokio::spawn(connection);
        Ok(Self { sender, to })
    }

    /// Asks, and waits so long for the answer.
    pub(super) async fn post<Q: Serialize, A: DeserializeOwned>(
        &mut self,
        path: &str,
        body: &Q,
        within: Duration,
    ) -> Result<A, No> {
        let broken = |error: &dyn fmt::Display| No::Broken(error.to_string());
        let body = serde_json::to_vec(body).map_err(|error| broken(&error))?;
        let request = Request::post(path)
            .header(HOST, self.to.to_string())
            .header(CONTENT_TYPE, "application/json")
            .body(Full::new(Bytes::from(body)))
            .map_err(|error| broken(&error))?;
        let answering = async {
            self.sender.ready().await.map_err(|error| broken(&error))?;
            let answer = self.sender.send_request(request).await.map_err(|error| broken(&error))?;
            let status = answer.status();
            let body = Limited::new(answer.into_body(), NEWS_MAX).collect().await;
            Ok((status, body.map_err(|error| No::Broken(error.to_string()))?.to_bytes()))
        };
        let (status, text) = timeout(within, answering)
            .await
            .unwrap_or_else(|_| Err(No::Broken("no answer in time".into())))?;
        if status == StatusCode::OK {
            return serde_json::from_slice(&text)
                .map_err(|error| No::Broken(format!("its answer is not understood ({error})")));
        }
        let said = serde_json::from_slice::<api::http::Error>(&text).map(|error| error.error);
        let said = said.unwrap_or_else(|_| format!("it answered {status}"));
        Err(if status == StatusCode::GONE { No::Removed(said) } else { No::Refused(said) })
    }

    /// Asks for a file from an octet on, if it is still the one of this tag.
    pub(super) async fn get(
        &mut self,
        path: &str,
        from: u64,
        tag: &str,
    ) -> Result<Response<Incoming>, String> {
        let mut request = Request::get(path).header(HOST, self.to.to_string());
        if from > 0 {
            request = request.header("Range", format!("bytes={from}-")).header("If-Range", tag);
        }
        let request = request.body(Full::default()).map_err(|error| error.to_string())?;
        let answering = self.sender.send_request(request);
        timeout(ANSWER_MAX, answering)
            .await
            .map_err(|_| "no answer in time".to_owned())?
            .map_err(|error| error.to_string())
    }
}

async fn in_time<T>(limit: Duration, work: impl Future<Output = std::io::Result<T>>) -> Result<T, String> {
    match timeout(limit, work).await {
        Ok(done) => done.map_err(|error| error.to_string()),
        Err(_) => Err("no connection in time".to_owned()),
    }
}

/// TLS towards controllers, showing a certificate if there is one.
pub(super) fn tls(pin: &Octets, own: Option<pin::Own>) -> Result<Arc<ClientConfig>, String> {
    let pin = <[u8; 32]>::try_from(&pin.0[..]).map_err(|_| "the pin is no SHA-256".to_owned())?;
    pin::to_controller(pin, own, api::edge::ALPN)
        .map_err(|_| "the edge's key and certificate cannot be used".to_owned())
}
