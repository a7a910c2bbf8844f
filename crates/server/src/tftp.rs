//! TFTP: requests on one port, each transfer a task with a socket of its own (RFC 1350 §4).

use crate::clock;
use crate::controller::Controller;
use crate::counters::Protocol;
use crate::refusals::Details;
use crate::udp::{self, Path, Stop};
use answer::http::Body;
use answer::tftp::{self, Opened, Outcome, Outgoing};
use model::event::What;
use model::{Event, Generation, Location, Reason, Refusal, Time, View};
use socket2::Socket;
use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::net::SocketAddr;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;
use tokio::net::UdpSocket;
use tokio::runtime::Handle;
use tokio::sync::watch;
use wire::tftp::{Packet, decode, encode};

/// Transfers under way at once.
const TRANSFERS_MAX: usize = 1024;
/// Transfers of one client: firmware asks for the size and then for the file, and may not end the first politely.
const TRANSFERS_PER_CLIENT_MAX: usize = 4;
/// Read from the disk at once.
const PIECE: u64 = 256 << 10;

/// Who is being sent something.
type Clients = Arc<Mutex<HashMap<SocketAddr, ()>>>;

/// Answers requests on one socket until it is stopped; `ending` ends the transfers.
pub(crate) fn run(
    controller: &Arc<Controller>,
    socket: &Socket,
    stop: &Stop,
    runtime: &Handle,
    ending: &watch::Receiver<bool>,
) {
    let traffic = controller.counters.of(Protocol::Tftp);
    let clients = Clients::default();
    udp::serve(socket, stop, traffic, |bytes, path, reply| {
        let view = controller.view.load_full();
        let now = clock::now();
        let packet = match decode(bytes) {
            Ok(packet) => packet,
            Err(_) => {
                refuse(controller, &view, Reason::Malformed.into(), path, "", now);
                return None;
            }
        };
        let subject = match &packet {
            Packet::Read(request) | Packet::Write(request) => request.file,
            _ => "",
        };
        // The same request again while its transfer goes on: the first packet is on its way, or is sent again in time.
        if is_served(&clients, path.from) {
            return None;
        }
        let outcome = tftp::open(&view, &packet, path.from.ip(), now)
            .and_then(|opened| Ok((opened, Place::take(&clients, path.from).ok_or(Reason::TooMany)?)));
        match outcome {
            Ok((opened, place)) => {
                if let Some(reason) = opened.refused {
                    refuse(controller, &view, reason.into(), path, subject, now);
                }
                let job = Job::new(&view, opened, path);
                let (controller, mut ending) = (Arc::clone(controller), ending.clone());
                runtime.spawn(async move {
                    let _place = place;
                    tokio::select! {
                        () = transfer(&controller, job) => {}
                        _ = ending.wait_for(|ending| *ending) => {}
                    }
                });
                None
            }
            Err(refusal) => {
                refuse(controller, &view, refusal, path, subject, now);
                encode(&tftp::refused(refusal)?, reply);
                Some(path.from)
            }
        }
    });
}

fn refuse(controller: &Controller, view: &View, refusal: Refusal, path: Path, subject: &str, now: Time) {
    controller.counters.of(Protocol::Tftp).refused[refusal.reason as usize].one();
    let client = path.from.ip();
    controller.refusals.note(Protocol::Tftp, refusal.reason, (client, subject), now, || {
        let machine = view.boot.machine_at(client);
        Details {
            client: client.to_string(),
            machine: machine.map(|device| view.plan.design.devices[device.index()].location.clone()),
            subject: subject.to_owned(),
            ..Details::default()
        }
    });
}

fn is_served(clients: &Clients, client: SocketAddr) -> bool {
    clients.lock().unwrap_or_else(PoisonError::into_inner).contains_key(&client)
}

/// A transfer's entry in the table; it leaves with the transfer.
struct Place(Clients, SocketAddr);

impl Place {
    fn take(clients: &Clients, client: SocketAddr) -> Option<Self> {
        let mut table = clients.lock().unwrap_or_else(PoisonError::into_inner);
        let own = table.keys().filter(|other| other.ip() == client.ip()).count();
        if table.len() >= TRANSFERS_MAX || own >= TRANSFERS_PER_CLIENT_MAX {
            return None;
        }
        table.insert(client, ());
        Some(Self(Arc::clone(clients), client))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.1);
    }
}

/// What a transfer needs to know.
struct Job {
    transfer: tftp::Transfer,
    content: Content,
    path: Path,
    machine: Option<Location>,
    /// Set if the machine's boot script is sent: the plan that it is of.
    script_of: Option<Generation>,
    name: String,
}

impl Job {
    fn new(view: &View, opened: Opened, path: Path) -> Self {
        let Opened { body, transfer, machine, is_boot_script, .. } = opened;
        let (content, name) = match body {
            Body::Empty => (Content::Text(Vec::new()), String::new()),
            Body::Text(text) => (Content::Text(text.into_bytes()), String::new()),
            Body::File { file, .. } => {
                let file = view.boot.site.file(file);
                (Content::File(Pieces::new(file.source.clone(), file.size)), file.name.clone())
            }
        };
        let machine = machine.map(|device| view.plan.design.devices[device.index()].location.clone());
        Self { transfer, content, path, machine, script_of: is_boot_script.then_some(view.generation), name }
    }
}

async fn transfer(controller: &Controller, job: Job) {
    let Job { mut transfer, mut content, path, machine, script_of, name } = job;
    let Ok(socket) = UdpSocket::bind(SocketAddr::new(path.to, 0)).await else { return };
    if socket.connect(path.from).await.is_err() {
        return;
    }
    // The wall clock may be set while a transfer lasts.
    let (began, started) = (clock::now(), Instant::now());
    let now = || began + started.elapsed();
    let traffic = controller.counters.of(Protocol::Tftp);
    let mut packet = Vec::with_capacity(2048);
    let mut buffer = vec![0; udp::DATAGRAM_MAX];
    loop {
        while let Some(outgoing) = transfer.poll(now()) {
            packet.clear();
            match outgoing {
                Outgoing::Oack(options) => encode(&Packet::Oack(options), &mut packet),
                Outgoing::Error(code) => encode(&Packet::Error { code, message: b"" }, &mut packet),
                Outgoing::Data { block, range } => {
                    let Ok(data) = content.read(range).await else { return };
                    encode(&Packet::Data { block, data }, &mut packet);
                }
            }
            // A failed send is a lost packet.
            match socket.send(&packet).await {
                Ok(length) => traffic.octets.add(length as u64),
                Err(_) => traffic.send_failed.one(),
            }
        }
        let Some(deadline) = transfer.deadline() else { break };
        match tokio::time::timeout(deadline.since(now()), socket.recv(&mut buffer)).await {
            Ok(Ok(length)) => {
                if let Ok(packet) = decode(&buffer[..length]) {
                    transfer.receive(&packet, now());
                }
            }
            // The client's port is closed.
            Ok(Err(_)) => return,
            Err(_) => transfer.tick(now()),
        }
    }
    if transfer.outcome() != Some(Outcome::Done) {
        return;
    }
    traffic.answered.one();
    let Some(location) = machine else { return };
    let what = match script_of {
        Some(generation) => What::ScriptFetched { generation },
        None => What::FileFetched { file: name, bytes: transfer.octets() },
    };
    controller.tell(Event { at: clock::now(), location, what });
}

/// What is sent.
enum Content {
    Text(Vec<u8>),
    File(Pieces),
}

impl Content {
    async fn read(&mut self, range: Range<u64>) -> io::Result<&[u8]> {
        match self {
            Self::Text(text) => {
                let inside = usize::try_from(range.start).ok().zip(usize::try_from(range.end).ok());
                inside
                    .and_then(|(start, end)| text.get(start..end))
                    .ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
            }
            Self::File(pieces) => pieces.read(range).await,
        }
    }
}

/// A file, read ahead in pieces.
struct Pieces {
    path: PathBuf,
    size: u64,
    file: Option<File>,
    start: u64,
    piece: Vec<u8>,
}

impl Pieces {
    fn new(path: PathBuf, size: u64) -> Self {
        Self { path, size, file: None, start: 0, piece: Vec::new() }
    }

    async fn read(&mut self, range: Range<u64>) -> io::Result<&[u8]> {
        let end = self.start + self.piece.len() as u64;
        if range.start < self.start || range.end > end {
            let (path, opened, start) = (self.path.clone(), self.file.take(), range.start);
            let length = self.size.saturating_sub(start).min(PIECE);
            let read = tokio::task::spawn_blocking(move || {
                let file = match opened {
                    Some(file) => file,
                    None => File::open(path)?,
                };
                let mut piece = vec![0; usize::try_from(length).unwrap_or(0)];
                file.read_exact_at(&mut piece, start)?;
                Ok::<_, io::Error>((file, piece))
            });
            let (file, piece) = read.await.map_err(io::Error::other)??;
            (self.file, self.start, self.piece) = (Some(file), start, piece);
        }
        let at = |position: u64| usize::try_from(position - self.start).unwrap_or(usize::MAX);
        self.piece.get(at(range.start)..at(range.end)).ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }
}
