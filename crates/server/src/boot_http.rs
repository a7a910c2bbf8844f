//! HTTP boot: one thread, one `epoll`, files from the page cache to the socket by `sendfile`.
//!
//! In: connections. Out: scripts and files, and to the keeper what was fetched. One thread, so that images never take
//! more than one core from DHCP and DNS, and of lower priority than theirs; each connection gets a slice in turn, so
//! that a fast client does not hold up a slow one ([decision 7](../../../docs/decisions/0007-boot-files-by-sendfile.md)).
//! It never reads a file into memory, and decides nothing: `answer::http` says what is served, and to how many.

mod connection;
mod respond;
mod room;
mod sending;
pub(crate) mod tls;
mod transport;

use crate::agents::Authority;
use crate::answering::Answering;
use crate::boot_file::is_out_of_descriptors;
use crate::boot_http::connection::{Connection, Next};
use crate::boot_http::respond::Service;
use crate::boot_http::room::Open;
use crate::boot_http::tls::Certificate;
use crate::boot_http::transport::Transport;
use crate::counters::Protocol;
use crate::udp::Stop;
use answer::http::head::HEAD_MAX;
use answer::party::network;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use socket2::Socket;
use std::io;
use std::net::IpAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Connections that are open at once: each machine holds one or two while it boots. When they are all taken, [`room`]
/// says who gives way.
const CONNECTIONS_MAX: usize = 8192;
/// The same by HTTPS, of which each takes some 50 KiB and not the kernel's; and how many of them may be agreeing on keys. Who is over it makes
/// others of those give way, never one that is being served.
const TLS_CONNECTIONS_MAX: usize = 1024;
const HANDSHAKES_MAX: usize = 128;
/// Descriptors that are left for everything else, where the system grants less than are wanted.
const DESCRIPTORS_LEFT: u64 = 512;
/// How much lower this thread's priority is than that of the threads which answer DHCP and DNS.
const NICE: i32 = 5;
/// Events that are taken at once.
const EVENTS_MAX: usize = 256;
/// Connections that are accepted before the others have their turn again.
const ACCEPTED_AT_ONCE: usize = 128;
/// What one connection is sent in its turn, at most; its socket seldom has room for more. Smaller slices leave the kernel
/// many small packets, and cost as much again.
const SLICE: u64 = 2 << 20;
/// How often deadlines are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long transfers may go on after the server was told to stop.
const GRACE: Duration = Duration::from_secs(2);

/// Tokens of what is not a connection.
const STOP: u64 = u64::MAX;
const LISTENERS: u64 = u64::MAX - 1024;

/// Serves until it is stopped.
pub(crate) fn run(answering: &Arc<Answering>, listeners: Vec<std::net::TcpListener>, stop: &Stop) {
    give_way();
    let ended = Boot::new(answering, listeners, None, stop).and_then(|mut boot| boot.serve());
    if let Err(error) = ended {
        answering.say(&format!("HTTP boot is not served: {error}"));
    }
}

/// The same by HTTPS, on a thread of its own: strangers that want to agree on keys cost those that boot by HTTP nothing.
pub(crate) fn run_tls(
    answering: &Arc<Answering>,
    authority: Arc<Authority>,
    listeners: Vec<std::net::TcpListener>,
    stop: &Stop,
) {
    give_way();
    let certificate = Certificate::new(authority, answering).map_err(io::Error::other);
    let ended = certificate
        .and_then(|certificate| Boot::new(answering, listeners, Some(certificate), stop))
        .and_then(|mut boot| boot.serve());
    if let Err(error) = ended {
        answering.say(&format!("HTTPS boot is not served: {error}"));
    }
}

/// Lowers the calling thread's priority below that of the threads which answer DHCP and DNS.
pub(crate) fn give_way() {
    // Where it is refused, files compete with DHCP on equal terms, as everything else on this host does.
    let _ = rustix::process::setpriority_process(None, NICE);
}

struct Boot {
    service: Service,
    epoll: Epoll,
    stop: Stop,
    listeners: Vec<Socket>,
    /// If it is served by HTTPS.
    certificate: Option<Certificate>,
    /// Out of descriptors: nobody is accepted until the next look at the deadlines.
    is_deaf: bool,
    connections: Vec<Option<Connection>>,
    free: Vec<usize>,
    connections_max: usize,
    scratch: Vec<u8>,
}

impl Boot {
    fn new(
        answering: &Arc<Answering>,
        listeners: Vec<std::net::TcpListener>,
        certificate: Option<Certificate>,
        stop: &Stop,
    ) -> io::Result<Self> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        let listeners: Vec<Socket> = listeners.into_iter().map(Socket::from).collect();
        for (token, listener) in (LISTENERS..).zip(&listeners) {
            listener.set_nonblocking(true)?;
            epoll.add(listener, EpollEvent::new(EpollFlags::EPOLLIN, token))?;
        }
        epoll.add(stop.descriptor(), EpollEvent::new(EpollFlags::EPOLLIN, STOP))?;
        Ok(Self {
            service: Service::new(Arc::clone(answering)),
            epoll,
            stop: stop.clone(),
            listeners,
            is_deaf: false,
            connections: Vec::new(),
            free: Vec::new(),
            connections_max: match certificate {
                Some(_) => connections_max().min(TLS_CONNECTIONS_MAX),
                None => connections_max(),
            },
            certificate,
            scratch: vec![0; HEAD_MAX],
        })
    }

    fn serve(&mut self) -> io::Result<()> {
        let mut events = [EpollEvent::empty(); EVENTS_MAX];
        let (mut looked, mut stopping) = (Instant::now(), None);
        loop {
            let count = match self.epoll.wait(&mut events, self.timeout(stopping)) {
                Ok(count) => count,
                Err(nix::errno::Errno::EINTR) => 0,
                Err(error) => return Err(error.into()),
            };
            let now = Instant::now();
            let mut arrivals = false;
            for event in &events[..count] {
                match event.data() {
                    STOP => {
                        self.stop_accepting();
                        stopping = Some(now + GRACE);
                    }
                    LISTENERS.. => arrivals = true,
                    token => {
                        let flags = event.events();
                        let is_readable = flags
                            .intersects(EpollFlags::EPOLLIN | EpollFlags::EPOLLHUP | EpollFlags::EPOLLERR);
                        self.turn(usize::try_from(token).unwrap_or(usize::MAX), is_readable, now);
                    }
                }
            }
            // After the others, so that no token changes its meaning while events are gone through.
            if arrivals && stopping.is_none() {
                self.accept(now);
            }
            if now.duration_since(looked) >= LOOK_EVERY {
                looked = now;
                self.close_where(|connection| connection.is_overdue(now));
                self.listen_again();
                self.renew(now);
            }
            if let Some(end) = stopping {
                self.close_where(|connection| connection.is_idle());
                if now >= end || self.connections.len() == self.free.len() {
                    return Ok(());
                }
            }
        }
    }

    fn timeout(&self, stopping: Option<Instant>) -> EpollTimeout {
        let wait = match stopping {
            Some(_) => 50,
            None if self.is_deaf || self.connections.len() > self.free.len() => {
                u16::try_from(LOOK_EVERY.as_millis()).unwrap_or(u16::MAX)
            }
            None => return EpollTimeout::NONE,
        };
        EpollTimeout::from(wait)
    }

    /// One connection's turn. A panic in it costs that connection.
    fn turn(&mut self, token: usize, is_readable: bool, now: Instant) {
        let Some(Some(connection)) = self.connections.get_mut(token) else { return };
        let (service, scratch) = (&mut self.service, &mut self.scratch);
        let next =
            catch_unwind(AssertUnwindSafe(|| connection.turn(service, is_readable, SLICE, scratch, now)));
        let wanted = match next {
            Ok(Next::Read) => EpollFlags::EPOLLIN,
            Ok(Next::Write) => EpollFlags::EPOLLOUT,
            Ok(Next::Close) => return self.close(token),
            Err(_) => {
                self.service.answering.counters.of(Protocol::Http).panicked.one();
                return self.close(token);
            }
        };
        if connection.waits_for != wanted {
            connection.waits_for = wanted;
            let mut event = EpollEvent::new(wanted, token as u64);
            if self.epoll.modify(&connection.transport.socket, &mut event).is_err() {
                self.close(token);
            }
        }
    }

    fn accept(&mut self, now: Instant) {
        for _ in 0..ACCEPTED_AT_ONCE {
            let Some((socket, client)) = self.accepted() else { return };
            let open = self.connections.len() - self.free.len();
            // Without one that gives way everybody is being served: who comes last comes back.
            if open >= self.connections_max && !self.make_room(|_| true) {
                continue;
            }
            if self.certificate.is_some() && self.shaking() >= HANDSHAKES_MAX {
                self.make_room(Connection::is_shaking);
            }
            let Some(transport) = self.transport(socket) else { continue };
            let token = self.free.pop().unwrap_or_else(|| {
                self.connections.push(None);
                self.connections.len() - 1
            });
            let connection = Connection::new(transport, client, now);
            let event = EpollEvent::new(connection.waits_for, token as u64);
            let added = self.epoll.add(&connection.transport.socket, event).is_ok();
            self.connections[token] = Some(connection);
            if !added {
                self.close(token);
            }
        }
    }

    fn accepted(&mut self) -> Option<(Socket, IpAddr)> {
        for listener in &self.listeners {
            loop {
                match listener.accept() {
                    Ok((socket, peer)) => {
                        let client = peer.as_socket().map(|peer| peer.ip().to_canonical());
                        let ready = socket.set_nonblocking(true).and_then(|()| socket.set_tcp_nodelay(true));
                        match (client, ready) {
                            (Some(client), Ok(())) => return Some((socket, client)),
                            _ => continue,
                        }
                    }
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                    Err(error) if is_out_of_descriptors(&error) => {
                        self.stop_listening();
                        return None;
                    }
                    // The client has gone before it was accepted.
                    Err(_) => continue,
                }
            }
        }
        None
    }

    fn transport(&self, socket: Socket) -> Option<Transport> {
        match &self.certificate {
            None => Some(Transport::plain(socket)),
            Some(certificate) => Transport::tls(socket, Arc::clone(&certificate.config)).ok(),
        }
    }

    /// How many are agreeing on keys.
    fn shaking(&self) -> usize {
        self.connections.iter().flatten().filter(|connection| connection.is_shaking()).count()
    }

    /// A certificate that is old, or for other addresses, gives way to a new one; what is open goes on with it.
    fn renew(&mut self, now: Instant) {
        if let Some(certificate) = &mut self.certificate {
            certificate.renew(&self.service.answering, now);
        }
    }

    /// Closes some connections of these. False if none gives way.
    fn make_room(&mut self, of: impl Fn(&Connection) -> bool) -> bool {
        let open = self.connections.iter().enumerate().filter_map(|(token, connection)| {
            let connection = connection.as_ref().filter(|connection| of(connection))?;
            let (client, since) = (network(connection.client), connection.since);
            Some(Open { token, client, since, is_idle: connection.is_idle() })
        });
        let open: Vec<Open> = open.collect();
        let give_way = room::who_give_way(&open);
        for token in &give_way {
            self.close(*token);
        }
        !give_way.is_empty()
    }

    fn close_where(&mut self, which: impl Fn(&Connection) -> bool) {
        for token in 0..self.connections.len() {
            if self.connections[token].as_ref().is_some_and(&which) {
                self.close(token);
            }
        }
    }

    /// Closing the descriptor takes it out of the `epoll`.
    fn close(&mut self, token: usize) {
        if let Some(connection) = self.connections[token].take() {
            self.free.push(token);
            self.service.ended(connection.sending);
        }
    }

    fn stop_listening(&mut self) {
        self.is_deaf = true;
        for listener in &self.listeners {
            let _ = self.epoll.delete(listener);
        }
    }

    fn listen_again(&mut self) {
        if std::mem::take(&mut self.is_deaf) {
            for (token, listener) in (LISTENERS..).zip(&self.listeners) {
                let _ = self.epoll.add(listener, EpollEvent::new(EpollFlags::EPOLLIN, token));
            }
        }
    }

    fn stop_accepting(&mut self) {
        self.listeners.clear();
        // It stays readable for the other loops.
        let _ = self.epoll.delete(self.stop.descriptor());
    }
}

/// As many as are wanted, or as the system lets this process have.
fn connections_max() -> usize {
    // A connection that is sent a file has two descriptors, a transfer by TFTP one.
    let others = answer::tftp::TRANSFERS_MAX as u64 + DESCRIPTORS_LEFT;
    let wanted = 2 * CONNECTIONS_MAX as u64 + others;
    let granted = getrlimit(Resource::RLIMIT_NOFILE).map_or(1024, |(soft, hard)| {
        let raised = wanted.min(hard).max(soft);
        if setrlimit(Resource::RLIMIT_NOFILE, raised, hard).is_ok() { raised } else { soft }
    });
    let left = granted.saturating_sub(others).max(granted / 4) / 2;
    usize::try_from(left).unwrap_or(CONNECTIONS_MAX).min(CONNECTIONS_MAX)
}
