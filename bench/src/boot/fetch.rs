//! An HTTP client that costs next to nothing: it throws bodies away inside the kernel (`MSG_TRUNC`), and counts them.

use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::socket::{MsgFlags, recv};
use socket2::{Domain, Socket, Type};
use std::io::Write as _;
use std::net::SocketAddr;
use std::os::fd::AsRawFd as _;
use std::time::{Duration, Instant};

/// The most that is thrown away by one call.
const PIECE: usize = 4 << 20;
/// Nothing comes for this long: the server is not counted on any more.
const PATIENCE: Duration = Duration::from_secs(20);

/// What to fetch on each connection, one request after the other.
#[derive(Clone)]
pub(super) struct Work {
    pub(super) path: String,
    /// First octet and length of each range; whole files have no range.
    pub(super) ranges: Vec<Option<(usize, usize)>>,
    /// Octets of a file without range.
    pub(super) size: usize,
}

struct Connection {
    socket: Socket,
    next: usize,
    /// Octets of the body that are still to come; `None` while the head is awaited.
    left: Option<usize>,
}

/// Fetches everything on so many connections at once, each from an address of its own; octets and time.
pub(super) fn fetch(server: SocketAddr, connections: usize, work: &Work) -> Result<(u64, Duration), String> {
    run(server, connections, work).map_err(|error| format!("the client: {error}"))
}

fn run(server: SocketAddr, count: usize, work: &Work) -> std::io::Result<(u64, Duration)> {
    let epoll = Epoll::new(EpollCreateFlags::empty())?;
    let mut connections = Vec::new();
    let began = Instant::now();
    for number in 0..count {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        socket.bind(&SocketAddr::from((super::client(number), 0)).into())?;
        socket.connect(&server.into())?;
        socket.set_nonblocking(true)?;
        epoll.add(&socket, EpollEvent::new(EpollFlags::EPOLLIN, number as u64))?;
        let mut connection = Connection { socket, next: 0, left: None };
        connection.ask(work)?;
        connections.push(connection);
    }
    let (mut octets, mut open, mut last) = (0_u64, count, Instant::now());
    let mut events = [EpollEvent::empty(); 256];
    let mut piece = vec![0; PIECE];
    while open > 0 {
        let ready = epoll.wait(&mut events, EpollTimeout::from(1000_u16))?;
        if ready == 0 && last.elapsed() > PATIENCE {
            return Err(std::io::Error::other("the server sends nothing any more"));
        }
        last = if ready > 0 { Instant::now() } else { last };
        for event in &events[..ready] {
            let Some(connection) = connections.get_mut(usize::try_from(event.data()).unwrap_or(0)) else {
                continue;
            };
            octets += connection.read(work, &mut piece)? as u64;
            if connection.left.is_none() && connection.next > work.ranges.len() {
                epoll.delete(&connection.socket)?;
                open -= 1;
            }
        }
    }
    Ok((octets, began.elapsed()))
}

impl Connection {
    fn ask(&mut self, work: &Work) -> std::io::Result<()> {
        if let Some(range) = work.ranges.get(self.next) {
            let range = range.map_or_else(String::new, |(first, length)| {
                format!("Range: bytes={first}-{}\r\n", first + length - 1)
            });
            let request = format!("GET {} HTTP/1.1\r\nHost: bench\r\n{range}\r\n", work.path);
            (&self.socket).write_all(request.as_bytes())?;
        }
        self.next += 1;
        Ok(())
    }

    /// Reads once; how many octets of a body came.
    fn read(&mut self, work: &Work, piece: &mut [u8]) -> std::io::Result<usize> {
        let socket = self.socket.as_raw_fd();
        let Some(left) = self.left else {
            let peeked = recv(socket, &mut piece[..4096], MsgFlags::MSG_PEEK)?;
            let Some(end) = piece[..peeked].windows(4).position(|four| four == b"\r\n\r\n") else {
                return if peeked == 0 { Err(std::io::ErrorKind::UnexpectedEof.into()) } else { Ok(0) };
            };
            let head = String::from_utf8_lossy(&piece[..end + 4]).into_owned();
            let wanted =
                work.ranges.get(self.next - 1).copied().flatten().map_or(work.size, |(_, length)| length);
            let length = head.lines().find_map(|line| {
                let (name, value) = line.split_once(':')?;
                name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().ok())?
            });
            if !(head.starts_with("HTTP/1.1 20") && length == Some(wanted)) {
                return Err(std::io::Error::other(format!("not what was asked for:\n{head}")));
            }
            recv(socket, &mut piece[..end + 4], MsgFlags::empty())?;
            self.left = Some(wanted);
            return Ok(0);
        };
        let length = left.min(piece.len());
        let taken = match recv(socket, &mut piece[..length], MsgFlags::MSG_TRUNC) {
            Ok(0) => return Err(std::io::ErrorKind::UnexpectedEof.into()),
            Ok(taken) => taken,
            Err(nix::errno::Errno::EAGAIN) => return Ok(0),
            Err(error) => return Err(error.into()),
        };
        self.left = Some(left - taken);
        if left == taken {
            self.left = None;
            self.ask(work)?;
        }
        Ok(taken)
    }
}
