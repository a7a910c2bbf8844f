//! A peer of the agents' listener that says whatever a test wants it to say, from whatever loopback address.

use crate::bench::{Bench, PATIENCE};
use api::agent::{Because, FRAME_MAX, FromAgent, FromController, Inbox, Secret, VERSION};
use model::{Location, Mac};
use rcgen::{CertificateParams, KeyPair};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::client::TlsStream;

pub(crate) struct Client {
    pub(crate) stream: TlsStream<TcpStream>,
    inbox: Inbox,
}

/// A key and the certificate that was issued for it.
pub(crate) struct Identity {
    pub(crate) key: KeyPair,
    pub(crate) certificate: String,
}

impl Client {
    /// Connects from `source`, with a certificate or without.
    pub(crate) async fn connect(
        bench: &Bench,
        source: Ipv4Addr,
        identity: Option<&Identity>,
    ) -> io::Result<Self> {
        Self::connect_as(bench, source, identity, api::agent::ALPN).await
    }

    pub(crate) async fn connect_as(
        bench: &Bench,
        source: Ipv4Addr,
        identity: Option<&Identity>,
        protocol: &[u8],
    ) -> io::Result<Self> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_details(provider, Arc::new(TestClock(bench.now().0)))
            .with_protocol_versions(&[&rustls::version::TLS13])
            .expect("TLS 1.3");
        let mut roots = RootCertStore::empty();
        roots.add(bench.authority.certificate().clone()).expect("root");
        let config = config.with_root_certificates(roots);
        let mut config = match identity {
            None => config.with_no_client_auth(),
            Some(identity) => {
                let certificate =
                    CertificateDer::from_pem_slice(identity.certificate.as_bytes()).expect("pem");
                let key =
                    PrivateKeyDer::from_pem_slice(identity.key.serialize_pem().as_bytes()).expect("pem");
                config.with_client_auth_cert(vec![certificate], key).expect("a pair")
            }
        };
        config.alpn_protocols = vec![protocol.to_vec()];
        let socket = tcp(bench, source).await?;
        let name = ServerName::IpAddress(bench.address.ip().into());
        let stream = tokio_rustls::TlsConnector::from(Arc::new(config)).connect(name, socket).await?;
        Ok(Self { stream, inbox: Inbox::new(FRAME_MAX) })
    }

    pub(crate) async fn send(&mut self, frame: &FromAgent) {
        self.send_octets(&api::agent::encode(frame).expect("short")).await.expect("written");
    }

    pub(crate) async fn send_octets(&mut self, octets: &[u8]) -> io::Result<()> {
        self.stream.write_all(octets).await?;
        self.stream.flush().await
    }

    /// The next frame; `None` when the controller closed.
    pub(crate) async fn receive(&mut self) -> Option<FromController> {
        let received = async {
            loop {
                if let Some(frame) = self.inbox.take().expect("a controller speaks the protocol") {
                    return Some(frame);
                }
                let mut octets = [0; 4096];
                match self.stream.read(&mut octets).await {
                    Ok(0) | Err(_) => return None,
                    Ok(read) => self.inbox.put(&octets[..read]),
                }
            }
        };
        tokio::time::timeout(PATIENCE, received).await.expect("a reply, or the end, in time")
    }

    pub(crate) async fn ask(&mut self, frame: &FromAgent) -> Option<FromController> {
        self.send(frame).await;
        self.receive().await
    }

    /// Asks, and expects to be refused.
    pub(crate) async fn refusal(&mut self, frame: &FromAgent) -> (Because, String) {
        match self.ask(frame).await {
            Some(FromController::Refused { because, sentence, .. }) => (because, sentence),
            other => panic!("not a refusal: {other:?}"),
        }
    }

    /// Nothing more comes.
    pub(crate) async fn closed(&mut self) {
        assert_eq!(self.receive().await, None);
    }
}

/// A plain connection from `source`.
pub(crate) async fn tcp(bench: &Bench, source: Ipv4Addr) -> io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(SocketAddr::from((source, 0)))?;
    socket.connect(bench.address).await
}

pub(crate) fn key() -> KeyPair {
    KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).expect("a key")
}

pub(crate) fn csr(key: &KeyPair) -> String {
    CertificateParams::default().serialize_request(key).expect("a request").pem().expect("pem")
}

pub(crate) fn token_request(location: &Location, mac: Option<Mac>) -> FromAgent {
    FromAgent::TokenRequest { version: VERSION, location: location.clone(), mac, tpm: None }
}

pub(crate) fn enrol(location: &Location, token: &Secret, key: &KeyPair) -> FromAgent {
    FromAgent::Enrol {
        version: VERSION,
        location: location.clone(),
        token: token.clone(),
        csr: csr(key),
        quote: None,
    }
}

pub(crate) fn renew(location: &Location, key: &KeyPair) -> FromAgent {
    FromAgent::Renew { version: VERSION, location: location.clone(), csr: csr(key) }
}

pub(crate) fn hello(location: &Location) -> FromAgent {
    FromAgent::Hello {
        version: VERSION,
        location: location.clone(),
        generation: None,
        running: None,
        burns_in: true,
        held: None,
        boot: None,
    }
}

/// A token for a machine whose boot was seen.
pub(crate) async fn token(bench: &Bench, source: Ipv4Addr, location: &Location) -> Secret {
    let mut client = Client::connect(bench, source, None).await.expect("connected");
    match client.ask(&token_request(location, None)).await {
        Some(FromController::Token { token, .. }) => token,
        other => panic!("no token: {other:?}"),
    }
}

/// A certificate for `key` by a token.
pub(crate) async fn enrolled(bench: &Bench, source: Ipv4Addr, location: &Location) -> Identity {
    let token = token(bench, source, location).await;
    let key = key();
    let mut client = Client::connect(bench, source, None).await.expect("connected");
    match client.ask(&enrol(location, &token, &key)).await {
        Some(FromController::Certificate { certificate, .. }) => Identity { key, certificate },
        other => panic!("no certificate: {other:?}"),
    }
}

#[derive(Debug)]
struct TestClock(u64);

impl rustls::time_provider::TimeProvider for TestClock {
    fn current_time(&self) -> Option<rustls::pki_types::UnixTime> {
        Some(rustls::pki_types::UnixTime::since_unix_epoch(Duration::from_millis(self.0)))
    }
}
