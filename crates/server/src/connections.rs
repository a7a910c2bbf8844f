//! The API's HTTP connections: accepted, bounded in number and in time, ended gracefully.
//!
//! Against clients that open many connections or speak slowly: a limit on both, and each write must make progress.

use hyper::body::{Body, Incoming};
use hyper::service::Service;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, Sleep, sleep};

/// How long a client may take for the head of a request, also between two requests.
const HEAD_TIME_MAX: Duration = Duration::from_secs(15);
/// How long a client may take nothing of what is sent to it.
const STALL_MAX: Duration = Duration::from_secs(30);
/// The longest request head; firmware and browsers stay far below.
const HEAD_MAX: usize = 16 << 10;
/// How long connections may go on after the server was told to stop.
const GRACE: Duration = Duration::from_secs(2);

/// Who is at the other end.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Peer {
    /// Somebody at this address.
    Address(IpAddr),
    /// The same, by TLS.
    Tls(IpAddr),
    /// Who has signed in by this name, whatever the address.
    Signed(Arc<str>),
    /// A process of this user on this host, as the kernel says.
    User(u32),
}

/// A TCP or unix socket that connections come to.
pub(crate) trait Listener: Send + Sync + 'static {
    /// One connection.
    type Io: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    /// The next connection.
    fn accept(&self) -> impl Future<Output = io::Result<(Self::Io, Peer)>> + Send;
}

impl Listener for TcpListener {
    type Io = TcpStream;

    async fn accept(&self) -> io::Result<(TcpStream, Peer)> {
        let (socket, peer) = TcpListener::accept(self).await?;
        socket.set_nodelay(true)?;
        Ok((socket, Peer::Address(peer.ip().to_canonical())))
    }
}

impl Listener for UnixListener {
    type Io = UnixStream;

    async fn accept(&self) -> io::Result<(UnixStream, Peer)> {
        let (socket, _) = UnixListener::accept(self).await?;
        let user = socket.peer_cred()?.uid();
        Ok((socket, Peer::User(user)))
    }
}

/// Accepts until `stop` says so. `serve` makes the service of one connection.
pub(crate) async fn run<L, S, B>(
    listener: L,
    connections_max: usize,
    mut stop: watch::Receiver<bool>,
    serve: impl Fn(Peer) -> S + Send,
) where
    L: Listener,
    S: Service<Request<Incoming>, Response = Response<B>> + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let places = Arc::new(Semaphore::new(connections_max));
    let mut open = JoinSet::new();
    loop {
        while open.try_join_next().is_some() {}
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stop.wait_for(|stop| *stop) => break,
        };
        let (socket, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(_) => {
                // Out of file descriptors, or the client has gone: neither is mended by asking again at once.
                sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let (mut stop, service) = (stop.clone(), serve(peer));
        open.spawn(async move {
            let _place = place;
            let io = TokioIo::new(Progressing::new(socket));
            let mut builder = hyper::server::conn::http1::Builder::new();
            builder.timer(TokioTimer::new()).header_read_timeout(HEAD_TIME_MAX).max_buf_size(HEAD_MAX);
            let connection = builder.serve_connection(io, service);
            let mut connection = std::pin::pin!(connection);
            tokio::select! {
                // A client that breaks off or speaks nonsense is its own trouble.
                _ = connection.as_mut() => return,
                _ = stop.wait_for(|stop| *stop) => connection.as_mut().graceful_shutdown(),
            }
            let _ = tokio::time::timeout(GRACE, connection).await;
        });
    }
    while open.join_next().await.is_some() {}
}

/// A stream whose writes must make progress.
struct Progressing<Io> {
    io: Io,
    /// Runs while a write waits.
    deadline: Option<Pin<Box<Sleep>>>,
}

impl<Io> Progressing<Io> {
    fn new(io: Io) -> Self {
        Self { io, deadline: None }
    }

    fn check<T>(&mut self, context: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.deadline = None;
            return written;
        }
        let deadline = self
            .deadline
            .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(Instant::now() + STALL_MAX)));
        ready!(deadline.as_mut().poll(context));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<Io: AsyncRead + Unpin> AsyncRead for Progressing<Io> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(context, buffer)
    }
}

impl<Io: AsyncWrite + Unpin> AsyncWrite for Progressing<Io> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write(context, bytes);
        self.check(context, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write_vectored(context, pieces);
        self.check(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.io).poll_flush(context);
        self.check(context, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shut = Pin::new(&mut self.io).poll_shutdown(context);
        self.check(context, shut)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::Full;
    use hyper::body::Bytes;
    use hyper::service::service_fn;
    use std::convert::Infallible;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
    use tokio::sync::{Mutex, mpsc};

    /// Connections that a test makes; virtual time passes while everybody waits.
    struct Made(Mutex<mpsc::UnboundedReceiver<DuplexStream>>);

    impl Listener for Made {
        type Io = DuplexStream;

        async fn accept(&self) -> io::Result<(DuplexStream, Peer)> {
            let made = self.0.lock().await.recv().await;
            Ok((made.ok_or(io::ErrorKind::NotConnected)?, Peer::User(0)))
        }
    }

    struct Serving {
        dial: mpsc::UnboundedSender<DuplexStream>,
        stop: watch::Sender<bool>,
        task: tokio::task::JoinHandle<()>,
    }

    /// Answers every request with a megabyte.
    fn serving(connections_max: usize) -> Serving {
        let (dial, made) = mpsc::unbounded_channel();
        let (stop, stopping) = watch::channel(false);
        let serve = |_| {
            service_fn(async |_| {
                Ok::<_, Infallible>(Response::new(Full::new(Bytes::from(vec![b'x'; 1 << 20]))))
            })
        };
        let task = tokio::spawn(run(Made(Mutex::new(made)), connections_max, stopping, serve));
        Serving { dial, stop, task }
    }

    impl Serving {
        fn connect(&self) -> DuplexStream {
            let (near, far) = duplex(4096);
            self.dial.send(far).unwrap();
            near
        }
    }

    const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n";

    #[tokio::test(start_paused = true)]
    async fn a_head_that_does_not_end_is_cut_off() {
        let serving = serving(8);
        let mut client = serving.connect();
        let began = Instant::now();
        // An octet each ten seconds, as slow-loris does: the time is for the whole head.
        let mut heard = Vec::new();
        for octet in REQUEST {
            if client.write_all(&[*octet]).await.is_err() {
                break;
            }
            let _ = tokio::time::timeout(Duration::from_secs(10), client.read_to_end(&mut heard)).await;
        }
        assert!(began.elapsed() < HEAD_TIME_MAX + Duration::from_secs(11), "{:?}", began.elapsed());
        assert!(
            heard.is_empty() || heard.starts_with(b"HTTP/1.1 408"),
            "{:?}",
            String::from_utf8_lossy(&heard)
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_takes_nothing_is_cut_off() {
        let serving = serving(1);
        let mut stalled = serving.connect();
        stalled.write_all(REQUEST).await.unwrap();
        let began = Instant::now();
        // There is room for one connection: this one is served only when the stalled one is gone.
        let mut next = serving.connect();
        next.write_all(REQUEST).await.unwrap();
        let mut first = [0; 12];
        next.read_exact(&mut first).await.unwrap();
        assert_eq!(&first, b"HTTP/1.1 200");
        assert!(began.elapsed() >= STALL_MAX && began.elapsed() < STALL_MAX * 2, "{:?}", began.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_takes_it_slowly_gets_all_of_it() {
        let serving = serving(1);
        let mut client = serving.connect();
        client.write_all(REQUEST).await.unwrap();
        let mut received = 0;
        let mut piece = vec![0; 64 << 10];
        while received < 1 << 20 {
            tokio::time::sleep(STALL_MAX / 2).await;
            received += client.read(&mut piece).await.unwrap();
        }
    }

    #[tokio::test(start_paused = true)]
    async fn when_it_stops_the_idle_go_at_once_and_the_slow_after_a_moment() {
        let serving = serving(8);
        let mut slow = serving.connect();
        slow.write_all(REQUEST).await.unwrap();
        let mut first = [0; 12];
        slow.read_exact(&mut first).await.unwrap();
        let began = Instant::now();
        serving.stop.send_replace(true);
        serving.task.await.unwrap();
        assert!(began.elapsed() <= GRACE + Duration::from_millis(10), "{:?}", began.elapsed());
    }
}
