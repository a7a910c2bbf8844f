//! A boot loader's worth by TFTP: a thousand clients at once, and one behind a slow link.

use crate::arena::{Cores, Place};
use crate::page::{Spread, ratio, spread, table};
use crate::process::{Server, find};
use crate::settings::Settings;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use std::collections::VecDeque;
use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

const NAME: &str = "loader.bin";
const SIZE: usize = 1 << 20;
const CLIENTS: usize = 1000;
const SMOKE_CLIENTS: usize = 20;
/// What clients ask for: a block that fits in a frame, and a window as EDK2 can be built with.
const BLKSIZE: usize = 1428;
const WINDOW: u64 = 16;
/// When a client that hears nothing speaks again, and how often it does so in a row.
const SILENCE: Duration = Duration::from_secs(1);
const TRIES: u32 = 10;
/// How long the client behind a slow link holds back each packet of its own, as a long cable would: the kernel need not
/// know how to delay packets.
const DELAY: Duration = Duration::from_millis(5);
/// Whoever has not got the file by then is not waited for any longer: firmware has given up.
const PATIENCE: Duration = Duration::from_secs(60);
/// Who is compared, in the order of the tables.
const SERVERS: [&str; 3] = ["zonewright", "tftpd-hpa", "dnsmasq"];

/// Everything about TFTP.
pub(crate) fn section(settings: &Settings) -> Result<String, String> {
    let cores = Cores::take()?;
    // A socket for each client.
    if let Ok((_, hard)) = getrlimit(Resource::RLIMIT_NOFILE) {
        let _ = setrlimit(Resource::RLIMIT_NOFILE, hard.min(16_384), hard);
    }
    super::write_file(NAME, SIZE)?;
    let (mut servers, mut absent) = (Vec::new(), Vec::new());
    for (number, name) in (1..).zip(SERVERS) {
        let program = if name == "tftpd-hpa" { "in.tftpd" } else { name };
        if name != "zonewright" && find(program).is_none() {
            absent.push(format!("{name} is not installed"));
            continue;
        }
        if !settings.wants(name) {
            continue;
        }
        let place = Place::new(number, name)?;
        let mut server = start(name, &place, cores, settings)?;
        let address = SocketAddr::from((place.address, 69));
        server
            .await_answer(|| fetch(address, 1, Duration::ZERO).is_ok_and(|outcome| outcome.completed == 1))?;
        servers.push((name, address, server));
    }
    let clients = if settings.is_smoke { SMOKE_CLIENTS } else { CLIENTS };
    let (rounds, count) = (settings.rounds(5), servers.len());
    let (mut crowds, mut completed, mut delayed) =
        (vec![Vec::new(); count], vec![usize::MAX; count], vec![Vec::new(); count]);
    for round in 0..rounds {
        crate::say(&format!("round {} of {rounds}", round + 1));
        for turn in 0..count {
            let at = (turn + round) % count;
            let (name, address, _) = &servers[at];
            settle(servers.iter().map(|(_, _, server)| server));
            let outcome = fetch(*address, clients, Duration::ZERO)?;
            crate::say(&format!("{name}: {} of {clients} complete in {:?}", outcome.completed, outcome.took));
            completed[at] = completed[at].min(outcome.completed);
            crowds[at].push(outcome.completed as f64 * SIZE as f64 / 1e6 / outcome.took.as_secs_f64());
            if !settings.is_smoke {
                settle(servers.iter().map(|(_, _, server)| server));
                let outcome = fetch(*address, 1, DELAY)?;
                delayed[at].push(outcome.completed as f64 * SIZE as f64 / 1e6 / outcome.took.as_secs_f64());
            }
        }
    }
    let ours = servers.iter().position(|(name, ..)| *name == "zonewright");
    if let Some(ours) = ours.filter(|ours| completed[*ours] < clients) {
        return Err(format!("zonewright served {} of {clients} clients", completed[ours]));
    }
    if settings.is_smoke {
        return Ok(format!("## TFTP\n\n{clients} clients at once had every octet.\n\n"));
    }
    let head = ["server", "complete", "MB/s together", "MB/s of one at 5 ms", "÷ zonewright"];
    let mut lines = vec![head.map(str::to_owned).to_vec()];
    let of = |at: usize| Spread::of(delayed[at].iter().copied());
    for (at, (name, ..)) in servers.iter().enumerate() {
        lines.push(vec![
            (*name).to_owned(),
            format!("{} of {clients}", completed[at]),
            spread(crowds[at].iter().copied(), 1),
            spread(delayed[at].iter().copied(), 2),
            ratio(of(at), ours.and_then(of)),
        ]);
    }
    let left_out: String = absent.iter().map(|why| format!("Left out: {why}.\n\n")).collect();
    Ok(format!(
        "## TFTP\n\n{clients} clients fetch 1 MiB each, at once; then one does whose packets take 5 ms longer to the server. All ask for blocks of\n\
         {BLKSIZE} octets and a window of {WINDOW}; a server that knows no windows sends one block after the other.\n\n{}{left_out}",
        table(&lines)
    ))
}

fn start(name: &str, place: &Place, cores: Cores, settings: &Settings) -> Result<Server, String> {
    let root = super::root().join("loader").display().to_string();
    let address = place.address.to_string();
    match name {
        "zonewright" => super::ours(place, cores, settings),
        "tftpd-hpa" => {
            let listen = format!("{address}:69");
            Server::start(place, cores, &["in.tftpd", "-L", "-u", "root", "-a", &listen, "-s", &root])
        }
        _ => {
            let (root, listen) = (format!("--tftp-root={root}"), format!("--listen-address={address}"));
            let pid = format!("--pid-file={}/pid", place.directory()?.display());
            let words = [
                "dnsmasq",
                "--keep-in-foreground",
                "--port=0",
                "--user=root",
                "--conf-file=/dev/null",
                "--enable-tftp",
                "--tftp-max=4096",
                "--log-facility=/dev/null",
                "--bind-interfaces",
                &root,
                &listen,
                &pid,
            ];
            Server::start(place, cores, &words)
        }
    }
}

/// Waits until no server does anything any more, within reason: a process that waits for a client that has gone would
/// take its time from the next server.
fn settle<'s>(servers: impl Iterator<Item = &'s Server> + Clone) {
    let time = || servers.clone().map(Server::time).sum::<Duration>();
    let mut before = time();
    for _ in 0..100 {
        std::thread::sleep(Duration::from_millis(100));
        let now = time();
        if now.saturating_sub(before) < Duration::from_millis(2) {
            return;
        }
        before = now;
    }
}

struct Fetched {
    completed: usize,
    took: Duration,
}

/// One client, as far as it is.
struct Client {
    socket: UdpSocket,
    /// The server's port of this transfer, once it has answered.
    peer: Option<SocketAddr>,
    window: u64,
    blksize: usize,
    received: u64,
    octets: usize,
    in_window: u64,
    complained: bool,
    tries: u32,
    heard: Instant,
    is_over: bool,
    delay: Duration,
    /// What leaves when.
    held: VecDeque<(Instant, Vec<u8>, SocketAddr)>,
}

/// Fetches the file by so many clients at once, each with an address of its own.
fn fetch(server: SocketAddr, count: usize, delay: Duration) -> Result<Fetched, String> {
    run(server, count, delay).map_err(|error| format!("the client: {error}"))
}

fn run(server: SocketAddr, count: usize, delay: Duration) -> std::io::Result<Fetched> {
    let epoll = Epoll::new(EpollCreateFlags::empty())?;
    let began = Instant::now();
    let mut clients = Vec::new();
    for number in 0..count {
        let socket = UdpSocket::bind((super::client(number), 0))?;
        socket.set_nonblocking(true)?;
        epoll.add(&socket, EpollEvent::new(EpollFlags::EPOLLIN, number as u64))?;
        let mut client = Client::new(socket, began, delay);
        client.speak(server)?;
        clients.push(client);
    }
    let mut open: VecDeque<usize> = (0..count).collect();
    let mut events = [EpollEvent::empty(); 256];
    let mut looked = began;
    // What is held back leaves in time only if nobody sleeps; it is one client on a core of its own.
    let wait = if delay.is_zero() { EpollTimeout::from(100_u8) } else { EpollTimeout::ZERO };
    while !open.is_empty() && began.elapsed() < PATIENCE {
        let ready = epoll.wait(&mut events, wait)?;
        let now = Instant::now();
        for event in &events[..ready] {
            if let Some(client) = clients.get_mut(usize::try_from(event.data()).unwrap_or(usize::MAX)) {
                client.hear(now)?;
            }
        }
        if !delay.is_zero() {
            for client in &mut clients {
                client.release(now)?;
            }
        }
        if now - looked > SILENCE / 10 {
            looked = now;
            for number in &open {
                clients[*number].remind(server, now)?;
            }
        }
        open.retain(|number| !clients[*number].is_over);
    }
    let completed = clients.iter().filter(|client| client.octets == SIZE).count();
    Ok(Fetched { completed, took: began.elapsed() })
}

impl Client {
    fn new(socket: UdpSocket, now: Instant, delay: Duration) -> Self {
        Self {
            socket,
            peer: None,
            window: 1,
            blksize: 512,
            received: 0,
            octets: 0,
            in_window: 0,
            complained: false,
            tries: 0,
            heard: now,
            is_over: false,
            delay,
            held: VecDeque::new(),
        }
    }

    /// Says where it stands: a request, or what it has.
    fn speak(&mut self, server: SocketAddr) -> std::io::Result<()> {
        let (packet, to) = match self.peer {
            None => {
                let options = format!("blksize\0{BLKSIZE}\0tsize\x000\0windowsize\0{WINDOW}\0");
                (format!("\0\x01{NAME}\0octet\0{options}").into_bytes(), server)
            }
            Some(peer) => {
                let [.., high, low] = self.received.to_be_bytes();
                (vec![0, 4, high, low], peer)
            }
        };
        let now = Instant::now();
        self.held.push_back((now + self.delay, packet, to));
        self.release(now)
    }

    /// Sends what was held back long enough.
    fn release(&mut self, now: Instant) -> std::io::Result<()> {
        while let Some((due, packet, to)) = self.held.front()
            && *due <= now
        {
            match self.socket.send_to(packet, to) {
                Err(error) if error.kind() != std::io::ErrorKind::WouldBlock => return Err(error),
                _ => self.held.pop_front(),
            };
        }
        Ok(())
    }

    fn remind(&mut self, server: SocketAddr, now: Instant) -> std::io::Result<()> {
        if self.is_over || now - self.heard < SILENCE {
            return Ok(());
        }
        self.tries += 1;
        self.is_over = self.tries > TRIES;
        (self.heard, self.in_window) = (now, 0);
        self.speak(server)
    }

    fn hear(&mut self, now: Instant) -> std::io::Result<()> {
        let mut packet = [0; 2048];
        for _ in 0..WINDOW {
            let (length, from) = match self.socket.recv_from(&mut packet) {
                Ok(received) => received,
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            };
            if self.is_over || self.peer.is_some_and(|peer| peer != from) {
                continue;
            }
            (self.heard, self.tries) = (now, 0);
            match packet[..length] {
                [0, 6, ref options @ ..] => {
                    self.peer = Some(from);
                    self.agree(options);
                    self.speak(from)?;
                }
                [0, 3, high, low, ref data @ ..] => {
                    self.peer = Some(from);
                    self.block(u16::from_be_bytes([high, low]), data.len(), from)?;
                }
                [0, 5, ..] => self.is_over = true,
                _ => {}
            }
        }
        Ok(())
    }

    fn agree(&mut self, options: &[u8]) {
        let words: Vec<&[u8]> = options.split(|octet| *octet == 0).collect();
        for pair in words.chunks_exact(2) {
            let value = std::str::from_utf8(pair[1]).ok().and_then(|value| value.parse::<u32>().ok());
            match (pair[0].to_ascii_lowercase().as_slice(), value) {
                (b"blksize", Some(value)) => self.blksize = value as usize,
                (b"windowsize", Some(value)) => self.window = value.into(),
                _ => {}
            }
        }
    }

    fn block(&mut self, block: u16, length: usize, from: SocketAddr) -> std::io::Result<()> {
        let [.., high, low] = (self.received + 1).to_be_bytes();
        if block != u16::from_be_bytes([high, low]) {
            // RFC 7440 §4: what came is told once.
            if !std::mem::replace(&mut self.complained, true) {
                self.in_window = 0;
                return self.speak(from);
            }
            return Ok(());
        }
        self.complained = false;
        self.received += 1;
        self.octets += length;
        self.in_window += 1;
        self.is_over = length < self.blksize;
        if self.is_over || self.in_window >= self.window {
            self.in_window = 0;
            return self.speak(from);
        }
        Ok(())
    }
}
