//! DNS over TCP (RFC 7766): a task for each connection.
//!
//! Queries that come together are answered together, in their order and with as few writes as they need; a transfer is
//! written message by message as the client takes it.

use super::places::Places;
use super::refuse;
use crate::answering::Answering;
use crate::counters::Protocol;
use answer::dns::{Answer, Transport, answer};
use answer::party::Party;
use std::io::{self, IoSlice};
use std::net::IpAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

/// Connections that are open at once.
const CONNECTIONS_MAX: usize = 1024;
/// Of those, one client's, which is a machine, an IPv4 address or a /64 of IPv6: there are places left for others.
const CLIENT_CONNECTIONS_MAX: usize = 128;
/// A connection on which nothing was asked for this long is closed (RFC 7766 §6.2.3 advises some seconds).
const IDLE_MAX: Duration = Duration::from_secs(10);
/// How long a client may take for what is written at once: a message of a transfer, or short replies together.
const WRITE_TIME_MAX: Duration = Duration::from_secs(10);
/// Octets of a query: a name and some options. Who announces more is let go.
const QUERY_OCTETS_MAX: u16 = 4_096;
/// Octets that are read at once: some hundred queries.
const READ_OCTETS: usize = 8_192;
/// Octets of replies that are gathered before they are written.
const GATHER_OCTETS: usize = 16_384;

/// Accepts connections until it is stopped.
pub(crate) async fn run(answering: Arc<Answering>, listener: TcpListener, stop: watch::Receiver<bool>) {
    let who = |client| Party::of(&answering.view.load(), client).who;
    let places = Arc::new(Places::new(CONNECTIONS_MAX, CLIENT_CONNECTIONS_MAX));
    accept(&places, listener, stop, who, |socket, client| {
        let answering = Arc::clone(&answering);
        async move {
            // A client that breaks off or stalls is its own trouble.
            let _ = connection(&answering, socket, client).await;
        }
    })
    .await;
}

/// Gives each connection a place and a task, until it is stopped; with that the tasks end too.
async fn accept<Served: Future<Output = ()> + Send + 'static>(
    places: &Arc<Places>,
    listener: TcpListener,
    mut stop: watch::Receiver<bool>,
    who: impl Fn(IpAddr) -> Box<str>,
    serve: impl Fn(TcpStream, IpAddr) -> Served,
) {
    let mut open = JoinSet::new();
    loop {
        let next = async {
            // While there is no place, the kernel's queue holds who comes.
            let any = places.any().await;
            (any, listener.accept().await)
        };
        let (any, accepted) = tokio::select! {
            next = next => next,
            _ = stop.wait_for(|stop| *stop) => return,
        };
        while open.try_join_next().is_some() {}
        match accepted {
            Ok((socket, peer)) => {
                let client = peer.ip().to_canonical();
                let Some(place) = places.take(any, who(client)) else { continue };
                let served = serve(socket, client);
                open.spawn(async move {
                    let _place = place;
                    served.await;
                });
            }
            // Out of file descriptors, or the client has gone: neither is mended by asking again at once.
            Err(_) => sleep(Duration::from_millis(50)).await,
        }
    }
}

async fn connection(answering: &Answering, socket: TcpStream, client: IpAddr) -> io::Result<()> {
    let traffic = answering.counters.of(Protocol::Dns);
    // What is written is whole: there is nothing to wait for.
    socket.set_nodelay(true)?;
    let mut output = Output { answering, socket, gathered: Vec::new() };
    let (mut input, mut reply) = (Vec::with_capacity(READ_OCTETS), Vec::new());
    loop {
        // The length and the message together: a client that sends an octet a second is idle too.
        timeout(IDLE_MAX, receive(&mut output.socket, &mut input)).await??;
        let view = answering.view.load_full();
        let mut done = 0;
        while let Some(query) = message(&input[done..]) {
            done += 2 + query.len();
            traffic.received.one();
            let outcome =
                catch_unwind(AssertUnwindSafe(|| answer(&view, query, client, Transport::Tcp, &mut reply)));
            match outcome {
                Ok(Ok(Answer::Reply(reason))) => {
                    if let Some(reason) = reason {
                        refuse(answering, &view, reason, client, query);
                    }
                    output.put(&reply).await?;
                }
                Ok(Ok(Answer::Transfer(mut transfer))) => loop {
                    match catch_unwind(AssertUnwindSafe(|| transfer.next_message(&mut reply))) {
                        Ok(true) => output.put(&reply).await?,
                        Ok(false) => break,
                        Err(_) => {
                            traffic.panicked.one();
                            return output.flush().await;
                        }
                    }
                },
                Ok(Err(refusal)) => {
                    refuse(answering, &view, refusal.reason, client, query);
                    return output.flush().await;
                }
                Err(_) => {
                    traffic.panicked.one();
                    return output.flush().await;
                }
            }
            traffic.answered.one();
        }
        input.drain(..done);
        output.flush().await?;
    }
}

/// The first message of what was received, if it is there whole, after its length (RFC 1035 §4.2.2).
fn message(input: &[u8]) -> Option<&[u8]> {
    let (length, rest) = input.split_first_chunk::<2>()?;
    rest.get(..u16::from_be_bytes(*length).into())
}

/// Reads until there is a whole message. The input holds at most one of the longest and one reading.
async fn receive(socket: &mut TcpStream, input: &mut Vec<u8>) -> io::Result<()> {
    while message(input).is_none() {
        if input.first_chunk().is_some_and(|length| u16::from_be_bytes(*length) > QUERY_OCTETS_MAX) {
            return Err(io::ErrorKind::InvalidData.into());
        }
        input.reserve(READ_OCTETS);
        if socket.read_buf(input).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(())
}

/// Where replies go.
struct Output<'c> {
    answering: &'c Answering,
    socket: TcpStream,
    /// Replies with their lengths that are not yet written.
    gathered: Vec<u8>,
}

impl Output<'_> {
    /// Writes a reply, or keeps it for the next write: a short one is copied, a long one is not.
    async fn put(&mut self, reply: &[u8]) -> io::Result<()> {
        let length = u16::try_from(reply.len()).map_err(io::Error::other)?.to_be_bytes();
        if reply.len() < GATHER_OCTETS / 4 {
            self.gathered.extend_from_slice(&length);
            self.gathered.extend_from_slice(reply);
            return if self.gathered.len() < GATHER_OCTETS { Ok(()) } else { self.flush().await };
        }
        self.flush().await?;
        let socket = &mut self.socket;
        let whole = async {
            // In one write: clients exist that take the length alone for the whole.
            let written = socket.write_vectored(&[IoSlice::new(&length), IoSlice::new(reply)]).await?;
            socket.write_all(&length[written.min(2)..]).await?;
            socket.write_all(&reply[written.saturating_sub(2)..]).await
        };
        timeout(WRITE_TIME_MAX, whole).await??;
        self.count(2 + reply.len());
        Ok(())
    }

    /// Writes what was kept.
    async fn flush(&mut self) -> io::Result<()> {
        if !self.gathered.is_empty() {
            timeout(WRITE_TIME_MAX, self.socket.write_all(&self.gathered)).await??;
            self.count(self.gathered.len());
            self.gathered.clear();
        }
        Ok(())
    }

    fn count(&self, octets: usize) {
        self.answering.counters.of(Protocol::Dns).octets.add(octets as u64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::sync::mpsc;

    /// A listener on this host, and where it is.
    async fn listener() -> (TcpListener, std::net::SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        (listener, address)
    }

    /// Accepts connections, of which there is room for one.
    fn accept_one_at_a_time<Served: Future<Output = ()> + Send + 'static>(
        listener: TcpListener,
        stopping: watch::Receiver<bool>,
        serve: impl Fn(TcpStream) -> Served + Send + Sync + 'static,
    ) -> tokio::task::JoinHandle<()> {
        let places = Arc::new(Places::new(1, 1));
        let who = |client: IpAddr| client.to_string().into();
        tokio::spawn(async move { accept(&places, listener, stopping, who, |socket, _| serve(socket)).await })
    }

    /// Far longer than anything here takes.
    const PATIENCE: Duration = Duration::from_secs(20);

    #[tokio::test]
    async fn it_stops_while_every_place_is_taken() {
        let (listener, address) = listener().await;
        let (stop, stopping) = watch::channel(false);
        let (begun, mut have_begun) = mpsc::unbounded_channel();
        let accepting = accept_one_at_a_time(listener, stopping, move |socket| {
            let begun = begun.clone();
            async move {
                begun.send(()).unwrap();
                std::future::pending::<()>().await;
                drop(socket);
            }
        });
        let mut client = TcpStream::connect(address).await.unwrap();
        have_begun.recv().await.unwrap();
        stop.send_replace(true);
        timeout(PATIENCE, accepting).await.expect("it stops").unwrap();
        // Its connections end with it.
        assert_eq!(timeout(PATIENCE, client.read(&mut [0])).await.unwrap().unwrap_or(0), 0);
    }

    #[tokio::test]
    async fn a_connection_that_panics_gives_its_place_back() {
        let (listener, address) = listener().await;
        let (_stop, stopping) = watch::channel(false);
        let (begun, mut have_begun) = mpsc::unbounded_channel();
        accept_one_at_a_time(listener, stopping, move |_| {
            let begun = begun.clone();
            async move {
                begun.send(()).unwrap();
                panic!("as a test wants it");
            }
        });
        for _ in 0..3 {
            let _client = TcpStream::connect(address).await.unwrap();
            timeout(PATIENCE, have_begun.recv()).await.expect("a place").unwrap();
        }
    }
}
