//! One TLS connection to one controller, as frames.
//!
//! In: an address and a TLS configuration. Out: whole frames, or the reason why there are no more. Nothing waits
//! without an end.

use crate::options::Controller;
use api::agent::{BadFrame, Because, FRAME_MAX, FromAgent, FromController, Inbox};
use model::Mac;
use nix::ifaddrs::getifaddrs;
use nix::sys::socket::SockaddrStorage;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

/// Connecting, shaking hands and each write must be done in this time.
const STEP_TIME_MAX: Duration = Duration::from_secs(10);

/// A reply that is asked for must come in this time; the controller may be busy with ten thousand others.
pub(crate) const REPLY_TIME_MAX: Duration = Duration::from_secs(30);

/// One read, in octets.
const READ_MAX: usize = 4 << 10;

/// The address of an interface, if it is of IPv4 or IPv6.
pub(crate) fn ip(address: &SockaddrStorage) -> Option<IpAddr> {
    let v4 = address.as_sockaddr_in().map(|v4| IpAddr::V4(v4.ip()));
    v4.or_else(|| address.as_sockaddr_in6().map(|v6| SocketAddr::from(*v6).ip()))
}

/// An open connection.
pub(crate) struct Connection {
    socket: TlsStream<TcpStream>,
    inbox: Inbox,
}

/// Why there is no connection any more.
#[derive(Debug)]
pub(crate) enum Lost {
    /// The network, or the other end's TLS.
    Io(io::Error),
    /// It was closed.
    Closed,
    /// Nothing came in time.
    Silent,
    /// It is not our protocol.
    Bad(BadFrame),
    /// A frame that does not belong here.
    Unexpected,
    /// The controller said no.
    Refused { because: Because, sentence: String, retry: Duration },
    /// Our own side: key, certificate or TLS set-up.
    Own(String),
}

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => write!(f, "failed to talk: {error}"),
            Self::Closed => f.write_str("the controller closed the connection"),
            Self::Silent => f.write_str("nothing was heard in time"),
            Self::Bad(bad) => write!(f, "the controller sent {bad}"),
            Self::Unexpected => f.write_str("the controller sent a frame that does not belong here"),
            Self::Refused { sentence, .. } => f.write_str(sentence),
            Self::Own(error) => f.write_str(error),
        }
    }
}

impl Lost {
    /// Whether another certificate would help: the controller, or its TLS, did not take this one.
    pub(crate) fn needs_certificate(&self) -> bool {
        match self {
            Self::Refused { because, .. } => matches!(because, Because::Certificate | Because::WrongPlace),
            Self::Io(error) => {
                let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
                matches!(inner, Some(rustls::Error::AlertReceived(_)))
            }
            _ => false,
        }
    }
}

impl From<io::Error> for Lost {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<BadFrame> for Lost {
    fn from(bad: BadFrame) -> Self {
        Self::Bad(bad)
    }
}

impl From<rustls::Error> for Lost {
    fn from(error: rustls::Error) -> Self {
        Self::Own(error.to_string())
    }
}

impl From<rcgen::Error> for Lost {
    fn from(error: rcgen::Error) -> Self {
        Self::Own(error.to_string())
    }
}

impl Connection {
    /// Connects and shakes hands.
    pub(crate) async fn open(controller: Controller, config: Arc<ClientConfig>) -> Result<Self, Lost> {
        let shaken = async {
            let socket = TcpStream::connect(controller.0).await?;
            socket.set_nodelay(true)?;
            let name = ServerName::IpAddress(controller.0.ip().into());
            tokio_rustls::TlsConnector::from(config).connect(name, socket).await
        };
        let socket = tokio::time::timeout(STEP_TIME_MAX, shaken).await.map_err(|_| Lost::Silent)??;
        if socket.get_ref().1.alpn_protocol() != Some(api::agent::ALPN) {
            return Err(Lost::Own("the other end does not speak the agents' protocol".into()));
        }
        Ok(Self { socket, inbox: Inbox::new(FRAME_MAX) })
    }

    /// Writes one frame.
    pub(crate) async fn send(&mut self, frame: &FromAgent) -> Result<(), Lost> {
        let octets = api::agent::encode(frame)?;
        let written = async {
            self.socket.write_all(&octets).await?;
            self.socket.flush().await
        };
        tokio::time::timeout(STEP_TIME_MAX, written).await.map_err(|_| Lost::Silent)?.map_err(Lost::Io)
    }

    /// The next frame; a refusal is an error. It may be dropped while it waits.
    pub(crate) async fn receive(&mut self) -> Result<FromController, Lost> {
        loop {
            match self.inbox.take::<FromController>()? {
                Some(FromController::Refused { because, sentence, retry_seconds }) => {
                    let retry = Duration::from_secs(retry_seconds.into());
                    return Err(Lost::Refused { because, sentence, retry });
                }
                Some(frame) => return Ok(frame),
                None => {}
            }
            let mut octets = [0; READ_MAX];
            match self.socket.read(&mut octets).await? {
                0 => return Err(Lost::Closed),
                read => self.inbox.put(&octets[..read]),
            }
        }
    }

    /// Sends a frame and waits for the reply.
    pub(crate) async fn ask(&mut self, frame: &FromAgent) -> Result<FromController, Lost> {
        self.send(frame).await?;
        tokio::time::timeout(REPLY_TIME_MAX, self.receive()).await.map_err(|_| Lost::Silent)?
    }

    /// Says goodbye; whether it is heard does not matter.
    pub(crate) async fn close(mut self) {
        let _ = tokio::time::timeout(STEP_TIME_MAX, self.socket.shutdown()).await;
    }

    /// The hardware address of the interface that this connection goes through.
    pub(crate) fn mac(&self) -> Option<Mac> {
        let own = self.socket.get_ref().0.local_addr().ok()?.ip();
        let interfaces: Vec<_> = getifaddrs().ok()?.collect();
        let name = interfaces.iter().find_map(|interface| {
            let address = ip(interface.address.as_ref()?)?;
            (address == own).then_some(interface.interface_name.as_str())
        })?;
        let link = |interface: &nix::ifaddrs::InterfaceAddress| {
            (interface.interface_name == name)
                .then(|| interface.address.as_ref()?.as_link_addr()?.addr())
                .flatten()
        };
        interfaces.iter().find_map(link).map(Mac).filter(|mac| mac.0 != [0; 6])
    }
}
