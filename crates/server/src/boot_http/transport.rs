//! A connection's octets, plain or by TLS: what is read, what is sent, how a handshake goes.
//!
//! One side of TLS only: the server's. It never waits, and holds at most one chunk of what is to be sent.

use rustls::server::ServerConnection;
use rustls::{AlertDescription, Error, ServerConfig};
use socket2::Socket;
use std::fs::File;
use std::io::{self, ErrorKind, Read, Write};
use std::net::Shutdown;
use std::num::NonZeroUsize;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

/// Octets of a file that are encrypted at once: four records.
const CHUNK: usize = 64 << 10;

pub(super) struct Transport {
    pub(super) socket: Socket,
    tls: Option<Box<Tls>>,
}

struct Tls {
    session: ServerConnection,
    /// Octets that were decrypted and not read yet.
    unread: usize,
    /// The peer was shown our certificate.
    has_shown: bool,
}

/// What a handshake waits for.
pub(super) enum Handshake {
    Done,
    Reads,
    Writes,
    /// It failed; `None`: the peer went away before anything was said.
    Failed(Option<No>),
}

/// Why a peer and we do not come together.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum No {
    /// It does not believe our certificate.
    Certificate,
    /// It offers nothing that we have.
    Unable,
    /// Its octets are no TLS.
    Malformed,
}

impl Transport {
    pub(super) fn plain(socket: Socket) -> Self {
        Self { socket, tls: None }
    }

    pub(super) fn tls(socket: Socket, config: Arc<ServerConfig>) -> Result<Self, Error> {
        let mut session = ServerConnection::new(config)?;
        session.set_buffer_limit(Some(CHUNK));
        Ok(Self { socket, tls: Some(Box::new(Tls { session, unread: 0, has_shown: false })) })
    }

    pub(super) fn is_tls(&self) -> bool {
        self.tls.is_some()
    }

    /// Whether there is something to read that the socket does not know of.
    pub(super) fn has_unread(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| tls.unread > 0)
    }

    /// Goes on with the handshake.
    pub(super) fn shake(&mut self, is_readable: bool) -> Handshake {
        let Some(tls) = &mut self.tls else { return Handshake::Done };
        // OVMF does not say why it leaves: with a certificate that it does not believe it just closes.
        let left = |tls: &Tls| Handshake::Failed(tls.has_shown.then_some(No::Certificate));
        loop {
            tls.has_shown |= tls.session.wants_write();
            match flush(&mut tls.session, &self.socket) {
                Ok(true) => {}
                Ok(false) => return Handshake::Writes,
                Err(_) => return left(tls),
            }
            if !tls.session.is_handshaking() {
                return Handshake::Done;
            }
            if !is_readable {
                return Handshake::Reads;
            }
            match tls.session.read_tls(&mut &self.socket) {
                Ok(0) => return left(tls),
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Handshake::Reads,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(_) => return left(tls),
            }
            match tls.session.process_new_packets() {
                Ok(state) => tls.unread = state.plaintext_bytes_to_read(),
                Err(error) => {
                    // So that the peer knows too. Whether it hears is its own business.
                    let _ = flush(&mut tls.session, &self.socket);
                    return Handshake::Failed(because(&error));
                }
            }
        }
    }

    /// Reads what there is, as a socket does: 0 is the end.
    pub(super) fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let Some(tls) = &mut self.tls else { return (&self.socket).read(into) };
        if tls.unread == 0 {
            if tls.session.read_tls(&mut &self.socket)? == 0 {
                return Ok(0);
            }
            let state = tls.session.process_new_packets().map_err(io::Error::other)?;
            tls.unread = state.plaintext_bytes_to_read();
            // An answer to what was no request of HTTP's.
            flush(&mut tls.session, &self.socket)?;
        }
        let length = tls.session.reader().read(into)?;
        tls.unread = tls.unread.saturating_sub(length);
        Ok(length)
    }

    /// Throws away what came.
    pub(super) fn discard(&self, scratch: &mut [u8]) -> io::Result<usize> {
        (&self.socket).read(scratch)
    }

    /// Sends some of it. What went before has been taken by the socket whole.
    pub(super) fn send(&mut self, octets: &[u8]) -> io::Result<usize> {
        let Some(tls) = &mut self.tls else { return self.socket.send(octets) };
        if !flush(&mut tls.session, &self.socket)? {
            return Err(ErrorKind::WouldBlock.into());
        }
        let length = tls.session.writer().write(octets)?;
        flush(&mut tls.session, &self.socket)?;
        Ok(length)
    }

    /// Sends some of a file, at most `length` octets of it; 0: the file ends before `offset`.
    pub(super) fn send_file(&mut self, file: &File, offset: u64, length: NonZeroUsize) -> io::Result<usize> {
        let Some(tls) = &mut self.tls else {
            let offset = usize::try_from(offset).map_err(io::Error::other)?;
            return self.socket.sendfile(file, offset, Some(length));
        };
        if !flush(&mut tls.session, &self.socket)? {
            return Err(ErrorKind::WouldBlock.into());
        }
        let mut chunk = vec![0; length.get().min(CHUNK)];
        let read = file.read_at(&mut chunk, offset)?;
        let taken = tls.session.writer().write(chunk.get(..read).unwrap_or_default())?;
        flush(&mut tls.session, &self.socket)?;
        Ok(taken)
    }

    /// Whether the socket has taken everything that was sent.
    pub(super) fn is_flushed(&mut self) -> io::Result<bool> {
        self.tls.as_mut().map_or(Ok(true), |tls| flush(&mut tls.session, &self.socket))
    }

    /// Nothing more is sent.
    pub(super) fn finish(&mut self) -> io::Result<()> {
        if let Some(tls) = &mut self.tls {
            tls.session.send_close_notify();
            flush(&mut tls.session, &self.socket)?;
        }
        self.socket.shutdown(Shutdown::Write)
    }
}

/// Whether everything went out that was to.
fn flush(session: &mut ServerConnection, mut socket: &Socket) -> io::Result<bool> {
    while session.wants_write() {
        match session.write_tls(&mut socket) {
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(true)
}

fn because(error: &Error) -> Option<No> {
    match error {
        // A peer says which of these it likes. "Decrypt error" is an authority of the same name and another key.
        Error::AlertReceived(
            AlertDescription::UnknownCA
            | AlertDescription::BadCertificate
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateUnknown
            | AlertDescription::CertificateRevoked
            | AlertDescription::DecryptError
            | AlertDescription::AccessDenied,
        ) => Some(No::Certificate),
        Error::PeerIncompatible(_) | Error::AlertReceived(AlertDescription::HandshakeFailure) => {
            Some(No::Unable)
        }
        Error::AlertReceived(_) => None,
        _ => Some(No::Malformed),
    }
}
