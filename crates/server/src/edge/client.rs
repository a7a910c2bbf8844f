//! One connection of an edge to a controller: HTTP/1.1 over TLS with the authority pinned, or in plain for boot files, whose digests are known.

use api::agent::Octets;
use api::edge::NEWS_MAX;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{CONTENT_TYPE, HOST};
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
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
            let (sender, connection) =
                handshake(TokioIo::new(socket)).await.map_err(std::io::Error::other)?;
            // It ends with the connection.
            tokio::spawn(connection);
            Ok(Self { sender, to })
        };
        in_time(CONNECT_MAX, opening).await
    }

    /// The same in plain, to a port of boot files.
    pub(super) async fn open_plain(to: SocketAddr) -> Result<Self, String> {
        let opening = async {
            let socket = TcpStream::connect(to).await?;
            let (sender, connection) =
                handshake(TokioIo::new(socket)).await.map_err(std::io::Error::other)?;
            tokio::spawn(connection);
            Ok(Self { sender, to })
        };
        in_time(CONNECT_MAX, opening).await
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
pub(super) fn tls(
    pin: &Octets,
    own: Option<(CertificateDer<'static>, PrivateKeyDer<'static>)>,
) -> Result<Arc<ClientConfig>, String> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let verifier = Arc::new(Pinned { pin: pin.clone(), provider: Arc::clone(&provider) });
    let config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|error| error.to_string())?
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    let mut config = match own {
        Some((certificate, key)) => config
            .with_client_auth_cert(vec![certificate], key)
            .map_err(|_| "the edge's key and certificate cannot be used".to_owned())?,
        None => config.with_no_client_auth(),
    };
    config.alpn_protocols = vec![api::edge::ALPN.to_vec()];
    config.resumption = Resumption::disabled();
    Ok(Arc::new(config))
}

/// Judges a controller by the pin, as agents do: the authority's certificate comes along and counts if its SHA-256 is the pin.
#[derive(Debug)]
struct Pinned {
    pin: Octets,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let unknown = || rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer);
        let is_it = |certificate: &&CertificateDer<'_>| Sha256::digest(certificate)[..] == self.pin.0;
        let authority = intermediates.iter().find(is_it).ok_or_else(unknown)?;
        let mut roots = RootCertStore::empty();
        roots.add(authority.clone().into_owned())?;
        let provider = Arc::clone(&self.provider);
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider)
            .build()
            .map_err(|_| unknown())?;
        let judge = |at| verifier.verify_server_cert(end_entity, &[], server_name, ocsp_response, at);
        // A switch with an empty clock battery believes that it is 1970; the pin is what counts.
        match judge(now) {
            Err(rustls::Error::InvalidCertificate(CertificateError::ExpiredContext {
                not_after, ..
            })) => judge(not_after),
            Err(rustls::Error::InvalidCertificate(CertificateError::NotValidYetContext {
                not_before,
                ..
            })) => judge(not_before),
            judged => judged,
        }
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(rustls::Error::General("only TLS 1.3 is spoken".into()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
