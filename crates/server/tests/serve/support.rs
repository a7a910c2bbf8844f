//! A server, and the clients that speak to it.

use api::http::Event;
use serde::de::DeserializeOwned;
use server::{BindPorts, Options, Running, StartError};
use socket2::{Domain, Socket, Type};
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;

/// Nothing here takes this long; without it a lost packet would hang a test for ever.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A directory that goes with the test.
pub(crate) struct Scratch(pub(crate) PathBuf);

impl Scratch {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("zonewright-serve-{}-{number}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A boot loader of this length, with octets that tell where they stand.
pub(crate) const LOADER: usize = 100_000;

pub(crate) fn loader() -> Vec<u8> {
    (0..LOADER).map(|at| (at % 251) as u8).collect()
}

/// A server and its directory: `design`, `state`, `loaders`, `api.sock`.
pub(crate) struct Server {
    pub(crate) scratch: Scratch,
    pub(crate) options: Options,
    pub(crate) journal: Arc<Mutex<Vec<String>>>,
    pub(crate) runtime: Runtime,
    running: Option<Running>,
}

impl Server {
    pub(crate) fn start() -> Self {
        Self::start_with(|_| {})
    }

    /// With options or files changed before the start.
    pub(crate) fn start_with(change: impl FnOnce(&mut Options)) -> Self {
        let mut server = Self::prepared();
        change(&mut server.options);
        server.resume().unwrap();
        server
    }

    /// Everything but started.
    pub(crate) fn prepared() -> Self {
        let scratch = Scratch::new();
        let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/pocket");
        copy(&example, &scratch.0.join("design"));
        let loaders = scratch.0.join("loaders");
        fs::create_dir(&loaders).unwrap();
        for name in ["ipxe.efi", "undionly.kpxe", "snponly.efi"] {
            fs::write(loaders.join(name), loader()).unwrap();
        }
        let mut options = Options::new(scratch.0.join("design"), scratch.0.join("state"));
        options.address = Some(IpAddr::V4(Ipv4Addr::LOCALHOST));
        options.ports = BindPorts::ANY;
        options.loaders = loaders;
        options.api_socket = Some(scratch.0.join("api.sock"));
        options.api_tcp = Some("127.0.0.1:0".parse().unwrap());
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        Self { scratch, options, journal: Arc::default(), runtime, running: None }
    }

    /// Starts it, for the first time or after [`Server::stop`].
    pub(crate) fn resume(&mut self) -> Result<(), StartError> {
        let journal = Arc::clone(&self.journal);
        let say = Arc::new(move |line: &str| journal.lock().unwrap().push(line.to_owned()));
        self.running = Some(self.runtime.block_on(server::start(self.options.clone(), say))?);
        Ok(())
    }

    /// Starts it on a state that was open just now. A program that another test is starting has that state's lock along
    /// with everything else, until it is itself.
    pub(crate) fn again(&mut self) {
        let began = Instant::now();
        while let Err(error) = self.resume() {
            assert!(matches!(error, StartError::Store(store::OpenError::Held { .. })), "{error}");
            assert!(began.elapsed() < PATIENCE, "{error}");
        }
    }

    pub(crate) fn stop(&mut self) {
        let running = self.running.take().expect("a running server");
        self.runtime.block_on(running.stop());
    }

    fn running(&self) -> &Running {
        self.running.as_ref().expect("a running server")
    }

    pub(crate) fn ports(&self) -> BindPorts {
        self.running().ports
    }

    pub(crate) fn api_tcp(&self) -> SocketAddr {
        self.running().api_tcp.unwrap()
    }

    pub(crate) fn page_tls(&self) -> SocketAddr {
        self.running().page_tls.unwrap()
    }

    pub(crate) fn api_socket(&self) -> PathBuf {
        self.running().api_socket.clone().unwrap()
    }

    pub(crate) fn zone_file(&self) -> PathBuf {
        self.options.design.join("zone.hcl")
    }

    /// Replaces text in the design; it must be there.
    pub(crate) fn edit(&self, from: &str, to: &str) {
        let text = fs::read_to_string(self.zone_file()).unwrap();
        assert!(text.contains(from), "the example has no {from:?}");
        fs::write(self.zone_file(), text.replace(from, to)).unwrap();
    }

    /// A request to the unix socket: status and body.
    pub(crate) fn request(&self, method: &str, path: &str, body: &str) -> (u16, String) {
        let stream = UnixStream::connect(self.api_socket()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let reply = exchange(stream, method, path, "localhost", body, "");
        (reply.status, String::from_utf8(reply.body).unwrap())
    }

    pub(crate) fn get<T: DeserializeOwned>(&self, path: &str) -> T {
        let (status, body) = self.request("GET", path, "");
        assert_eq!(status, 200, "{path}: {body}");
        serde_json::from_str(&body).unwrap()
    }

    pub(crate) fn post<T: DeserializeOwned>(&self, path: &str, body: &str) -> T {
        let (status, text) = self.request("POST", path, body);
        assert_eq!(status, 200, "{path}: {text}");
        serde_json::from_str(&text).unwrap()
    }

    /// The value of a metric, by its whole name with labels.
    pub(crate) fn metric(&self, name: &str) -> f64 {
        let (_, text) = self.request("GET", "/metrics", "");
        let line =
            text.lines().find(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(' ')));
        let line = line.unwrap_or_else(|| panic!("no metric {name} in\n{text}"));
        line.rsplit(' ').next().unwrap().parse().unwrap()
    }

    /// Waits for so many answers of a protocol: one is counted once it is sent, and may be read before.
    pub(crate) fn await_answers(&self, protocol: &str, count: f64) {
        let (name, began) = (format!("zonewright_answers_total{{protocol=\"{protocol}\"}}"), Instant::now());
        while self.metric(&name) < count {
            assert!(began.elapsed() < PATIENCE, "{} answers of {protocol}", self.metric(&name));
        }
    }

    /// A request to the boot port.
    pub(crate) fn boot(&self, path: &str, headers: &str) -> Reply {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.ports().boot)).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        exchange(stream, "GET", path, "boot", "", headers)
    }

    /// The same from another address of this host.
    pub(crate) fn boot_as(&self, client: Ipv4Addr, path: &str) -> Reply {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::from((client, 0)).into()).unwrap();
        socket.connect(&SocketAddr::from((Ipv4Addr::LOCALHOST, self.ports().boot)).into()).unwrap();
        let stream = TcpStream::from(socket);
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        exchange(stream, "GET", path, "boot", "", "")
    }

    /// A stream of events that begins after this number.
    pub(crate) fn events(&self, headers: &str, query: &str) -> Events {
        let stream = UnixStream::connect(self.api_socket()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut writer = stream.try_clone().unwrap();
        write!(writer, "GET /v1/events{query} HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n").unwrap();
        let mut events = Events { reader: BufReader::new(stream), since: Instant::now() };
        let (status, _) = head(&mut events.reader);
        assert_eq!(status, 200);
        // The first comment says that the stream is joined: nothing that happens from now on is missed.
        while !events.line().starts_with(": a stream") {}
        events
    }

    pub(crate) fn udp(&self, port: u16) -> UdpSocket {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket.connect((Ipv4Addr::LOCALHOST, port)).unwrap();
        socket
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if self.running.is_some() {
            self.stop();
        }
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), &to).unwrap();
        }
    }
}

/// An HTTP answer.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Reply {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}

pub(crate) fn exchange(
    mut stream: impl Read + Write,
    method: &str,
    path: &str,
    host: &str,
    body: &str,
    headers: &str,
) -> Reply {
    let length = body.len();
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nContent-Type: application/json\r\n\
         Content-Length: {length}\r\n{headers}\r\n{body}"
    )
    .unwrap();
    let mut reader = BufReader::new(stream);
    let (status, headers) = head(&mut reader);
    let mut body = Vec::new();
    reader.read_to_end(&mut body).unwrap();
    Reply { status, headers, body }
}

fn head(reader: &mut impl BufRead) -> (u16, Vec<(String, String)>) {
    let mut line = String::new();
    reader.read_line(&mut line).unwrap();
    let status =
        line.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or_else(|| panic!("{line:?}"));
    let mut headers = Vec::new();
    loop {
        line.clear();
        reader.read_line(&mut line).unwrap();
        match line.trim_end().split_once(": ") {
            Some((name, value)) => headers.push((name.to_owned(), value.to_owned())),
            None => return (status, headers),
        }
    }
}

/// A stream of server-sent events, in chunks.
pub(crate) struct Events {
    reader: BufReader<UnixStream>,
    since: Instant,
}

impl Events {
    fn line(&mut self) -> String {
        let mut line = String::new();
        assert_ne!(self.reader.read_line(&mut line).unwrap(), 0, "the stream ended");
        assert!(self.since.elapsed() < 3 * PATIENCE, "what is waited for does not come");
        line.trim_end().to_owned()
    }

    /// The next `machine` event.
    pub(crate) fn machine(&mut self) -> Event {
        loop {
            if let Some(data) = self.line().strip_prefix("data: ")
                && let Ok(event) = serde_json::from_str(data)
            {
                return event;
            }
        }
    }

    /// The generation of the next `plan` event.
    pub(crate) fn plan(&mut self) -> u64 {
        loop {
            if self.line() == "event: plan" {
                let line = self.line();
                let digits: String = line.chars().filter(char::is_ascii_digit).collect();
                return digits.parse().unwrap();
            }
        }
    }
}

/// A machine's interface behind a relay, as the relay's switch would send it on.
#[derive(Clone)]
pub(crate) struct Client {
    pub(crate) mac: [u8; 6],
    pub(crate) relay: Ipv4Addr,
    pub(crate) circuit: &'static str,
    pub(crate) remote: &'static str,
}

impl Client {
    /// `p01/r1/u01`, behind leaf a.
    pub(crate) fn u01() -> Self {
        Self {
            mac: [0x52, 0x54, 0, 0, 0, 1],
            relay: Ipv4Addr::new(10, 64, 0, 1),
            circuit: "swp1",
            remote: "p01-r1-leaf-a",
        }
    }

    /// A message of this type, with options added.
    pub(crate) fn message(&self, kind: u8, more: &[u8]) -> Vec<u8> {
        let mut packet = vec![0; 236];
        packet[..4].copy_from_slice(&[1, 1, 6, 1]);
        packet[4..8].copy_from_slice(&[1, 2, 3, kind]);
        packet[24..28].copy_from_slice(&self.relay.octets());
        packet[28..34].copy_from_slice(&self.mac);
        packet.extend([99, 130, 83, 99, 53, 1, kind]);
        packet.extend(more);
        let (circuit, remote) = (self.circuit.as_bytes(), self.remote.as_bytes());
        packet.extend([82, (4 + circuit.len() + remote.len()) as u8, 1, circuit.len() as u8]);
        packet.extend(circuit);
        packet.extend([2, remote.len() as u8]);
        packet.extend(remote);
        packet.push(255);
        packet
    }

    pub(crate) fn discover(&self) -> Vec<u8> {
        self.message(1, &[55, 3, 1, 3, 67])
    }

    /// As UEFI PXE firmware asks.
    pub(crate) fn discover_pxe(&self) -> Vec<u8> {
        let mut more = vec![55, 4, 1, 3, 66, 67, 93, 2, 0, 7, 60, 9];
        more.extend(b"PXEClient");
        self.message(1, &more)
    }

    pub(crate) fn request(&self, address: Ipv4Addr, server: Ipv4Addr) -> Vec<u8> {
        let mut more = vec![50, 4];
        more.extend(address.octets());
        more.extend([54, 4]);
        more.extend(server.octets());
        self.message(3, &more)
    }

    /// DISCOVER, OFFER, REQUEST, ACK: the address.
    pub(crate) fn lease(&self, server: &Server) -> Ipv4Addr {
        let socket = server.udp(server.ports().dhcp);
        let offer = ask(&socket, &self.discover());
        assert_eq!((kind(&offer), &offer[4..8]), (2, &[1, 2, 3, 1][..]));
        let address = Ipv4Addr::from(<[u8; 4]>::try_from(&offer[16..20]).unwrap());
        let ack = ask(&socket, &self.request(address, Ipv4Addr::LOCALHOST));
        assert_eq!(kind(&ack), 5, "an ACK");
        assert_eq!(ack[16..20], address.octets());
        address
    }
}

pub(crate) fn ask(socket: &UdpSocket, packet: &[u8]) -> Vec<u8> {
    socket.send(packet).unwrap();
    let mut reply = vec![0; 2048];
    let length = socket.recv(&mut reply).unwrap();
    reply.truncate(length);
    reply
}

/// The message type of a DHCP message.
pub(crate) fn kind(message: &[u8]) -> u8 {
    let message = wire::dhcp4::Message::parse(message).unwrap();
    message.option(53).unwrap()[0]
}
