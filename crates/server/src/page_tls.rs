//! The page and the API by HTTPS: handshakes beside each other, bounded in number and time, so that one that dawdles
//! holds up nobody.

use crate::boot_http::tls::Certificate;
use crate::connections::{Listener, Peer};
use crate::controller::Controller;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Mutex, Semaphore, mpsc, watch};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// Handshakes at once.
const HANDSHAKES_MAX: usize = 64;
/// The longest that one may take.
const HANDSHAKE_TIME_MAX: Duration = Duration::from_secs(10);
/// The pause after a connection that could not be taken.
const PAUSE: Duration = Duration::from_millis(50);

/// Connections whose handshake is over.
pub(crate) struct Shaken(Mutex<mpsc::Receiver<(TlsStream<TcpStream>, Peer)>>);

impl Listener for Shaken {
    type Io = TlsStream<TcpStream>;

    async fn accept(&self) -> io::Result<(Self::Io, Peer)> {
        self.0.lock().await.recv().await.ok_or_else(|| io::ErrorKind::NotConnected.into())
    }
}

/// Where connections come out, and the work that makes them.
pub(crate) fn shake(
    listener: TcpListener,
    mut certificate: Certificate,
    controller: Arc<Controller>,
    mut stopping: watch::Receiver<bool>,
) -> (Shaken, impl Future<Output = ()> + Send + 'static) {
    let (ready, shaken) = mpsc::channel(1);
    let work = async move {
        let places = Arc::new(Semaphore::new(HANDSHAKES_MAX));
        loop {
            let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
            let accepted = tokio::select! {
                accepted = Listener::accept(&listener) => accepted,
                _ = stopping.wait_for(|stop| *stop) => return,
            };
            let Ok((socket, peer)) = accepted else {
                tokio::time::sleep(PAUSE).await;
                continue;
            };
            let Peer::Address(address) = peer else { continue };
            certificate.renew(&controller, Instant::now());
            let (acceptor, ready) = (TlsAcceptor::from(Arc::clone(&certificate.config)), ready.clone());
            tokio::spawn(async move {
                let _place = place;
                let shaken = tokio::time::timeout(HANDSHAKE_TIME_MAX, acceptor.accept(socket)).await;
                // A browser that does not believe the certificate tells its user.
                if let Ok(Ok(stream)) = shaken {
                    let _ = ready.send((stream, Peer::Tls(address))).await;
                }
            });
        }
    };
    (Shaken(Mutex::new(shaken)), work)
}
