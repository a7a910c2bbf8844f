//! TFTP: requests on one port, each transfer with a socket of its own (RFC 1350 §4), all on one thread.
//!
//! A transfer is its state, a socket and a share of an open file; the blocks pass through one buffer, a window at a time.
//! `answer::tftp` says what is sent when, and which transfer gives way when there is no room.

mod job;
mod window;

use crate::answering::Answering;
use crate::boot_file::BootFile;
use crate::counters::Protocol;
use crate::refusals::Details;
use crate::tftp::job::{Content, Job};
use crate::tftp::window::Window;
use crate::udp::{Inbound, Outbound, Path, Stop};
use crate::{boot_http, clock, sockets};
use answer::http::Body;
use answer::party::Party;
use answer::tftp::{self, Opened, Outcome, Places, TRANSFERS_MAX};
use model::view::SiteFile;
use model::{Reason, Refusal, Time, View};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use socket2::Socket;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};
use wire::tftp::{Packet, decode, encode};

/// Events that are taken at once.
const EVENTS_MAX: usize = 256;
/// The longest packet of a client that is looked at in a transfer: an ERROR with its words.
const PACKET_MAX: usize = 1024;
/// Files that are remembered as open beside those in use.
const FILES_MAX: usize = 64;

/// Tokens of what is not a transfer; those are numbered from 0.
const STOP: u64 = u64::MAX;
const PORTS: u64 = u64::MAX - 1024;

/// Answers requests on these sockets, and sends what was asked for, until it is stopped.
pub(crate) fn run(answering: &Arc<Answering>, ports: Vec<Socket>, stop: &Stop) {
    boot_http::give_way();
    let ended = Server::new(answering, ports, stop).and_then(|mut server| server.serve());
    if let Err(error) = ended {
        answering.say(&format!("TFTP is not served: {error}"));
    }
}

struct Server {
    answering: Arc<Answering>,
    epoll: Epoll,
    ports: Vec<Port>,
    jobs: HashMap<u64, (Job, SocketAddr)>,
    /// Mostly one for each client.
    by_client: HashMap<SocketAddr, Vec<u64>>,
    places: Places,
    next: u64,
    /// When to look at which transfer, at the latest; one entry for each, which may be early.
    timers: BinaryHeap<Reverse<(Time, u64)>>,
    files: HashMap<PathBuf, Weak<BootFile>>,
    window: Window,
    buffer: Vec<u8>,
    /// The wall clock may be set while transfers last, so time is counted from the start.
    began: (Time, Instant),
}

struct Port {
    socket: Socket,
    number: u16,
    inbound: Inbound,
    outbound: Outbound,
}

impl Server {
    fn new(answering: &Arc<Answering>, sockets: Vec<Socket>, stop: &Stop) -> io::Result<Self> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        epoll.add(stop.descriptor(), EpollEvent::new(EpollFlags::EPOLLIN, STOP))?;
        let mut ports = Vec::new();
        for (token, socket) in (PORTS..).zip(sockets) {
            epoll.add(&socket, EpollEvent::new(EpollFlags::EPOLLIN, token))?;
            let is_v4 = socket.local_addr()?.is_ipv4();
            let (inbound, outbound) = (Inbound::new(), Outbound::new(is_v4));
            ports.push(Port { number: sockets::port(&socket), inbound, outbound, socket });
        }
        Ok(Self {
            answering: Arc::clone(answering),
            epoll,
            ports,
            jobs: HashMap::new(),
            by_client: HashMap::new(),
            places: Places::new(TRANSFERS_MAX),
            next: 0,
            timers: BinaryHeap::new(),
            files: HashMap::new(),
            window: Window::new(),
            buffer: vec![0; PACKET_MAX],
            began: (clock::now(), Instant::now()),
        })
    }

    fn serve(&mut self) -> io::Result<()> {
        let mut events = [EpollEvent::empty(); EVENTS_MAX];
        loop {
            let count = match self.epoll.wait(&mut events, self.timeout()) {
                Ok(count) => count,
                Err(nix::errno::Errno::EINTR) => 0,
                Err(error) => return Err(error.into()),
            };
            for event in &events[..count] {
                match event.data() {
                    STOP => return Ok(()),
                    port @ PORTS.. => self.requests(usize::try_from(port - PORTS).unwrap_or(0)),
                    id => self.turn(id, true),
                }
            }
            let now = self.now();
            while let Some(Reverse((at, id))) = self.timers.peek().copied()
                && at <= now
            {
                self.timers.pop();
                let Some((job, _)) = self.jobs.get_mut(&id) else { continue };
                job.transfer.tick(now);
                self.turn(id, false);
                if let Some(deadline) = self.jobs.get(&id).and_then(|(job, _)| job.transfer.deadline()) {
                    self.timers.push(Reverse((deadline, id)));
                }
            }
        }
    }

    fn now(&self) -> Time {
        self.began.0 + self.began.1.elapsed()
    }

    fn timeout(&self) -> EpollTimeout {
        let Some(Reverse((at, _))) = self.timers.peek() else { return EpollTimeout::NONE };
        let wait = at.since(self.now()).min(Duration::from_secs(60));
        // Never early, or it would be asked again and again within the last millisecond.
        EpollTimeout::try_from(wait + Duration::from_millis(1)).unwrap_or(EpollTimeout::ZERO)
    }

    /// What came to the port.
    fn requests(&mut self, port: usize) {
        let answering = Arc::clone(&self.answering);
        let traffic = answering.counters.of(Protocol::Tftp);
        let Some(Port { socket, number, inbound, .. }) = self.ports.get_mut(port) else { return };
        let (number, count) = (*number, inbound.receive(socket));
        traffic.received.add(count as u64);
        for position in 0..count {
            let outcome = catch_unwind(AssertUnwindSafe(|| {
                let (packet, arrival) = self.ports[port].inbound.get(position)?;
                // A sender that claims to be this very socket would make us talk to ourselves for ever.
                if arrival.from.port() == number && arrival.from.ip() == arrival.to {
                    return None;
                }
                let path = arrival.path();
                let packet = packet.to_vec();
                let mut reply = Vec::new();
                let to = self.request(&packet, path, &mut reply)?;
                let outbound = &mut self.ports[port].outbound;
                outbound.next_reply().extend_from_slice(&reply);
                outbound.push(to, path);
                Some(())
            }));
            if outcome.is_err() {
                traffic.panicked.one();
            }
        }
        let port = &mut self.ports[port];
        port.outbound.flush(&port.socket, traffic);
    }

    /// One request: begins a transfer, or writes an error and says where to.
    fn request(&mut self, packet: &[u8], path: Path, reply: &mut Vec<u8>) -> Option<SocketAddr> {
        let answering = Arc::clone(&self.answering);
        let view = answering.view.load();
        let now = clock::now();
        let octets = packet;
        let Ok(packet) = decode(octets) else {
            refuse(&answering, &view, Reason::Malformed.into(), path, "", now);
            return None;
        };
        let subject = match &packet {
            Packet::Read(request) | Packet::Write(request) => request.file,
            _ => "",
        };
        // The same request again: the first packet is on its way, or is sent again in time. Any other begins a transfer
        // beside what there is from this port, for a client that went on to another file or starts anew; which one it
        // means shows when it answers.
        if self.transfers_of(path.from).any(|job| !job.transfer.is_answered() && *job.request == *octets) {
            return None;
        }
        let begun = tftp::open(&view, &packet, path.from.ip(), self.now()).and_then(|opened| {
            let refused = opened.refused;
            self.begin(&view, opened, octets, path).map(|()| refused)
        });
        match begun {
            Ok(None) => None,
            Ok(Some(reason)) => {
                refuse(&answering, &view, reason.into(), path, subject, now);
                None
            }
            Err(refusal) => {
                refuse(&answering, &view, refusal, path, subject, now);
                encode(&tftp::refused(refusal)?, reply);
                Some(path.from)
            }
        }
    }

    fn begin(&mut self, view: &View, opened: Opened, request: &[u8], path: Path) -> Result<(), Refusal> {
        let id = self.next;
        self.next += 1;
        let content = match opened.body {
            Body::Empty => Content::Text(Vec::new()),
            Body::Text(text) => Content::Text(text.into_bytes()),
            Body::Octets(octets) => Content::Text(octets),
            Body::File { file, .. } => {
                let known = view.boot.site.file(file);
                // It is being replaced: soon it is listed anew.
                let file = self.file(known).map_err(|error| {
                    self.answering.doubt(&error);
                    Reason::TooMany
                })?;
                Content::File { file, name: known.name.clone() }
            }
        };
        let party = Party::of(view, path.from.ip());
        let gave_way = self.places.take(id, party).map_err(|_| Reason::TooMany)?;
        if let Some(other) = gave_way {
            self.forget(other);
        }
        let Ok(socket) = connected(path) else {
            self.places.leave(id);
            return Err(Reason::TooMany.into());
        };
        let machine = opened.machine.map(|device| view.plan.design.devices[device.index()].location.clone());
        let added = self.epoll.add(&socket, EpollEvent::new(EpollFlags::EPOLLIN, id));
        let (transfer, request) = (opened.transfer, request.into());
        let job = Job { socket, request, transfer, content, machine, tells: opened.tells, is_blocked: false };
        if let (Ok(()), Some(deadline)) = (added, job.transfer.deadline()) {
            self.timers.push(Reverse((deadline, id)));
            self.jobs.insert(id, (job, path.from));
            self.by_client.entry(path.from).or_default().push(id);
            self.turn(id, false);
        } else {
            self.places.leave(id);
        }
        Ok(())
    }

    /// One transfer's turn. A panic in it costs that transfer.
    fn turn(&mut self, id: u64, is_readable: bool) {
        let now = self.now();
        let answering = Arc::clone(&self.answering);
        let traffic = answering.counters.of(Protocol::Tftp);
        let Some((job, client)) = self.jobs.get_mut(&id) else { return };
        let (window, buffer, was_blocked) = (&mut self.window, &mut self.buffer, job.is_blocked);
        let (client, was_answered) = (*client, job.transfer.is_answered());
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            if is_readable {
                job.receive(buffer, now)?;
            }
            job.send(window, traffic, now)
        }));
        match outcome {
            Ok(Ok(())) => {}
            Ok(Err(_)) => return self.forget(id),
            Err(_) => {
                traffic.panicked.one();
                return self.forget(id);
            }
        }
        let is_answered = job.transfer.is_answered() && !was_answered;
        if job.transfer.outcome().is_some() {
            self.finish(id);
        } else if job.is_blocked != was_blocked {
            let writable = if job.is_blocked { EpollFlags::EPOLLOUT } else { EpollFlags::empty() };
            let mut event = EpollEvent::new(EpollFlags::EPOLLIN | writable, id);
            if self.epoll.modify(&job.socket, &mut event).is_err() {
                self.forget(id);
            }
        }
        if is_answered {
            self.places.answered(id);
            // It is this one that the client means.
            let others = self.by_client.get(&client).cloned().unwrap_or_default();
            others.into_iter().filter(|other| *other != id).for_each(|other| self.forget(other));
        }
    }

    /// Ends a transfer that came to an end.
    fn finish(&mut self, id: u64) {
        let Some(job) = self.remove(id) else { return };
        if job.transfer.outcome() == Some(Outcome::Done) {
            self.answering.counters.of(Protocol::Tftp).answered.one();
        }
        if let Some(event) = job.event(clock::now()) {
            self.answering.tell(event);
        }
    }

    /// Ends a transfer in the middle.
    fn forget(&mut self, id: u64) {
        drop(self.remove(id));
    }

    fn remove(&mut self, id: u64) -> Option<Job> {
        self.places.leave(id);
        let (job, client) = self.jobs.remove(&id)?;
        if let Some(own) = self.by_client.get_mut(&client) {
            own.retain(|other| *other != id);
            if own.is_empty() {
                self.by_client.remove(&client);
            }
        }
        Some(job)
    }

    /// What is being sent to this address and port.
    fn transfers_of(&self, client: SocketAddr) -> impl Iterator<Item = &Job> {
        let own = self.by_client.get(&client).into_iter().flatten();
        own.filter_map(|id| self.jobs.get(id)).map(|(job, _)| job)
    }

    /// An open file, one for all who are sent it.
    fn file(&mut self, known: &SiteFile) -> io::Result<Arc<BootFile>> {
        let open = self.files.get(&known.source).and_then(Weak::upgrade).filter(|open| open.is(known));
        if let Some(open) = open {
            return Ok(open);
        }
        let file = Arc::new(BootFile::open(known)?);
        if self.files.len() >= FILES_MAX {
            self.files.retain(|_, file| file.strong_count() > 0);
        }
        self.files.insert(known.source.clone(), Arc::downgrade(&file));
        Ok(file)
    }
}

/// A socket on a port of its own, which hears this client alone.
fn connected(path: Path) -> io::Result<UdpSocket> {
    let socket = UdpSocket::bind(SocketAddr::new(path.to, 0))?;
    socket.set_nonblocking(true)?;
    socket.connect(path.from)?;
    Ok(socket)
}

fn refuse(answering: &Answering, view: &View, refusal: Refusal, path: Path, subject: &str, now: Time) {
    answering.counters.of(Protocol::Tftp).refused[refusal.reason as usize].one();
    let client = path.from.ip();
    // Not the subject, which the client chooses: one client would push out the samples of all others.
    answering.refusals.note(Protocol::Tftp, refusal.reason, client, now, || {
        let machine = view.boot.places.machine_at(client);
        Details {
            client: client.to_string(),
            machine: machine.map(|device| view.plan.design.devices[device.index()].location.clone()),
            subject: subject.to_owned(),
            ..Details::default()
        }
    });
}
