//! The limit: a bare `sendfile` loop that reads a range out of a request and decides nothing.

use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use socket2::Socket;
use std::collections::HashMap;
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::num::NonZeroUsize;

/// What is sent to one connection in its turn.
const SLICE: usize = 2 << 20;
const LISTENER: u64 = u64::MAX;

struct Connection {
    socket: Socket,
    at: usize,
    end: usize,
    /// What the `epoll` was told to wait for.
    waits_for: EpollFlags,
}

/// Becomes the loop: `ADDRESS:PORT FILE`. Never ends.
pub(crate) fn serve(words: &[&str]) -> Result<(), String> {
    let [address, path] = words else { return Err("sendfile needs an address and a file".to_owned()) };
    let address: SocketAddr = address.parse().map_err(|error| format!("{address}: {error}"))?;
    run(address, path).map_err(|error| format!("the sendfile loop: {error}"))
}

fn run(address: SocketAddr, path: &str) -> std::io::Result<()> {
    let file = File::open(path)?;
    let size = usize::try_from(file.metadata()?.len()).unwrap_or(usize::MAX);
    let listener = TcpListener::bind(address)?;
    let epoll = Epoll::new(EpollCreateFlags::empty())?;
    epoll.add(&listener, EpollEvent::new(EpollFlags::EPOLLIN, LISTENER))?;
    let mut connections: HashMap<u64, Connection> = HashMap::new();
    let (mut next, mut events) = (0, [EpollEvent::empty(); 256]);
    loop {
        let count = epoll.wait(&mut events, EpollTimeout::NONE)?;
        for event in &events[..count] {
            let token = event.data();
            if token == LISTENER {
                let socket = Socket::from(listener.accept()?.0);
                socket.set_nonblocking(true)?;
                socket.set_tcp_nodelay(true)?;
                epoll.add(&socket, EpollEvent::new(EpollFlags::EPOLLIN, next))?;
                connections
                    .insert(next, Connection { socket, at: 0, end: 0, waits_for: EpollFlags::EPOLLIN });
                next += 1;
                continue;
            }
            let Some(connection) = connections.get_mut(&token) else { continue };
            if connection.turn(&file, size, &epoll, token).is_err() {
                connections.remove(&token);
            }
        }
    }
}

impl Connection {
    fn turn(&mut self, file: &File, size: usize, epoll: &Epoll, token: u64) -> std::io::Result<()> {
        if self.at == self.end {
            let mut request = [0; 4096];
            let length = (&self.socket).read(&mut request)?;
            if length == 0 {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
            (self.at, self.end) = range(&String::from_utf8_lossy(&request[..length]), size);
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", self.end - self.at);
            // Whole segments from head to end.
            self.socket.set_tcp_cork(true)?;
            (&self.socket).write_all(head.as_bytes())?;
        }
        let length = NonZeroUsize::new((self.end - self.at).min(SLICE));
        match self.socket.sendfile(file, self.at, length) {
            Ok(sent) => self.at += sent,
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
        let wanted = if self.at == self.end {
            self.socket.set_tcp_cork(false)?;
            EpollFlags::EPOLLIN
        } else {
            EpollFlags::EPOLLOUT
        };
        if self.waits_for != wanted {
            self.waits_for = wanted;
            epoll.modify(&self.socket, &mut EpollEvent::new(wanted, token))?;
        }
        Ok(())
    }
}

/// What a request of our client asks for.
fn range(request: &str, size: usize) -> (usize, usize) {
    let parse = || {
        let (_, rest) = request.split_once("bytes=")?;
        let (first, last) = rest.split_once("\r\n")?.0.split_once('-')?;
        Some((first.parse().ok()?, last.parse::<usize>().ok()? + 1))
    };
    parse().unwrap_or((0, size))
}
