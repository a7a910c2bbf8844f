//! HTTP boot: what a connection may ask, what many of them may not do to others, and files that change.

use crate::support::{LOADER, PATIENCE, Server, loader};
use socket2::{Domain, Socket, Type};
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Instant;

/// Octets that tell where they stand, whatever page they are on.
fn pattern(length: usize) -> Vec<u8> {
    (0..length.div_ceil(8))
        .flat_map(|at| (at as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes())
        .take(length)
        .collect()
}

/// A server that also has this file among its loaders.
fn serving(name: &str, content: &[u8]) -> Server {
    Server::start_with(|options| fs::write(options.loaders.join(name), content).unwrap())
}

/// A connection from an address of its own of 127.0.0.0/8; with a small window if it is to be stalled.
fn connect(server: &Server, from: Ipv4Addr, window: Option<usize>) -> BufReader<TcpStream> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    if let Some(window) = window {
        socket.set_recv_buffer_size(window).unwrap();
    }
    socket.bind(&SocketAddr::from((from, 0)).into()).unwrap();
    socket.connect(&SocketAddr::from((Ipv4Addr::LOCALHOST, server.ports().boot)).into()).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    BufReader::new(socket.into())
}

fn local(server: &Server) -> BufReader<TcpStream> {
    connect(server, Ipv4Addr::LOCALHOST, None)
}

fn ask(connection: &mut BufReader<TcpStream>, line: &str, headers: &str) {
    write!(connection.get_mut(), "{line} HTTP/1.1\r\nHost: boot\r\n{headers}\r\n").unwrap();
}

struct Head {
    status: u16,
    fields: Vec<(String, String)>,
}

impl Head {
    fn read(connection: &mut BufReader<TcpStream>) -> Self {
        let mut line = String::new();
        connection.read_line(&mut line).unwrap();
        let status = line.split(' ').nth(1).and_then(|code| code.parse().ok());
        let status = status.unwrap_or_else(|| panic!("no status line: {line:?}"));
        let mut fields = Vec::new();
        loop {
            line.clear();
            connection.read_line(&mut line).unwrap();
            let Some((name, value)) = line.trim_end().split_once(": ") else { break };
            fields.push((name.to_ascii_lowercase(), value.to_owned()));
        }
        Self { status, fields }
    }

    fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    fn length(&self) -> usize {
        self.field("content-length").unwrap().parse().unwrap()
    }
}

/// The next reply, with its body.
fn reply(connection: &mut BufReader<TcpStream>) -> (Head, Vec<u8>) {
    let head = Head::read(connection);
    let mut body = vec![0; head.length()];
    connection.read_exact(&mut body).unwrap();
    (head, body)
}

/// True if the server closes it, and sends nothing before.
fn is_closed(connection: &mut BufReader<TcpStream>) -> bool {
    let mut rest = Vec::new();
    let _ = connection.read_to_end(&mut rest);
    rest.is_empty()
}

#[test]
fn requests_on_one_connection_are_answered_in_their_order() {
    let server = Server::start();
    let mut connection = local(&server);
    // As one write: a whole file, a missing one, a part, a head, a part of a head.
    let requests = "GET /loader/ipxe.efi HTTP/1.1\r\nHost: x\r\n\r\nGET /nothing HTTP/1.1\r\nHost: x\r\n\r\n\
        GET /loader/ipxe.efi HTTP/1.1\r\nHost: x\r\nRange: bytes=10-19\r\n\r\nHEAD /loader/ipxe.efi HTTP/1.1\r\nHost: x\r\n\r\n\
        GET /loader/ip";
    connection.get_mut().write_all(requests.as_bytes()).unwrap();
    let (whole, body) = reply(&mut connection);
    assert_eq!((whole.status, whole.field("connection")), (200, Some("keep-alive")));
    assert!(whole.field("date").is_some_and(|date| date.ends_with(" GMT")));
    assert_eq!(body, loader());
    assert_eq!(reply(&mut connection).0.status, 404);
    let (part, body) = reply(&mut connection);
    assert_eq!((part.status, body), (206, loader()[10..20].to_vec()));
    let head = Head::read(&mut connection);
    assert_eq!((head.status, head.length()), (200, LOADER));
    // The rest of the last request, which asks for the end.
    ask(&mut connection, "xe.efi", "Connection: close\r\n");
    let (last, body) = reply(&mut connection);
    assert_eq!((last.status, last.field("connection"), body), (200, Some("close"), loader()));
    assert!(is_closed(&mut connection));
}

#[test]
fn the_agent_is_served_to_systems_that_others_install() {
    let mut path = None;
    let server = Server::start_with(|options| {
        let file = options.loaders.join("../static-agent");
        fs::write(&file, loader()).unwrap();
        options.agent = Some(file.clone());
        path = Some(file);
    });
    let mut connection = local(&server);
    ask(&mut connection, "GET /agent/zw-agent", "");
    assert_eq!(reply(&mut connection).1, loader());
    // Another file is sent when it was listed, and its digest with it, and not before.
    fs::write(path.unwrap(), "another").unwrap();
    ask(&mut connection, "GET /agent/zw-agent", "");
    let (head, body) = reply(&mut connection);
    assert!(head.status == 503 || body == b"another", "{}", head.status);
}

#[test]
fn a_refused_head_has_no_body_and_the_connection_goes_on() {
    let server = Server::start();
    let mut connection = local(&server);
    ask(&mut connection, "HEAD /nothing", "");
    let head = Head::read(&mut connection);
    assert_eq!((head.status, head.field("connection")), (404, Some("keep-alive")));
    assert!(head.length() > 0);
    ask(&mut connection, "GET /loader/ipxe.efi", "");
    assert_eq!(reply(&mut connection).1, loader());
}

#[test]
fn a_file_of_no_octets_is_a_reply_too() {
    let server = serving("empty.img", b"");
    let mut connection = local(&server);
    for _ in 0..2 {
        ask(&mut connection, "GET /loader/empty.img", "");
        let head = Head::read(&mut connection);
        assert_eq!((head.status, head.length()), (200, 0));
    }
    ask(&mut connection, "GET /loader/ipxe.efi", "");
    assert_eq!(reply(&mut connection).1, loader());
}

#[test]
fn an_answer_is_counted_when_it_is_sent() {
    let server = serving("large.img", &vec![7; LARGE]);
    let mut broken = connect(&server, Ipv4Addr::LOCALHOST, Some(WINDOW));
    ask(&mut broken, "GET /loader/large.img", "");
    assert_eq!(Head::read(&mut broken).status, 200);
    drop(broken);
    let mut connection = local(&server);
    for request in ["HEAD /loader/ipxe.efi", "GET /loader/ipxe.efi", "GET /loader/large.img"] {
        ask(&mut connection, request, "");
        let head = Head::read(&mut connection);
        let length = if request.starts_with("GET") { head.length() } else { 0 };
        connection.read_exact(&mut vec![0; length]).unwrap();
    }
    server.await_answers("http", 3.0);
    assert_eq!(server.metric("zonewright_answers_total{protocol=\"http\"}"), 3.0);
}

#[test]
fn one_client_that_asks_for_many_paths_is_one_sample() {
    let server = Server::start();
    let mut connection = local(&server);
    for number in 0..20 {
        ask(&mut connection, &format!("GET /{number}"), "");
        assert_eq!(reply(&mut connection).0.status, 404);
    }
    let refusals: api::http::Refusals = server.get("/v1/refusals");
    assert_eq!(refusals.recent.iter().map(|refusal| refusal.count).collect::<Vec<_>>(), [20]);
}

#[test]
fn an_old_client_gets_one_reply_unless_it_asks_to_go_on() {
    let server = Server::start();
    let mut connection = local(&server);
    connection
        .get_mut()
        .write_all(b"GET /loader/ipxe.efi HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        .unwrap();
    assert_eq!(reply(&mut connection).1, loader());
    connection.get_mut().write_all(b"GET /loader/ipxe.efi HTTP/1.0\r\n\r\n").unwrap();
    assert_eq!(reply(&mut connection).1, loader());
    assert!(is_closed(&mut connection));
}

#[test]
fn a_client_that_closed_its_end_still_gets_the_reply() {
    let server = Server::start();
    let mut connection = local(&server);
    ask(&mut connection, "GET /loader/ipxe.efi", "");
    connection.get_ref().shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(reply(&mut connection).1, loader());
    assert!(is_closed(&mut connection));
}

#[test]
fn what_is_no_request_is_told_so_and_ends() {
    let server = Server::start();
    let long = format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "a".repeat(20_000));
    for (octets, status) in [
        ("GET /loader/ipxe.efi\r\n\r\n", 400),
        ("GET /loader/ipxe.efi HTTP/1.1\r\n\r\n", 400),
        ("GET /loader/ipxe.efi HTTP/3.0\r\nHost: x\r\n\r\n", 505),
        ("\u{16}\u{3}\u{1}\u{2}\u{0}", 400),
        (&long, 431),
        // A body is never taken for a request.
        (
            "POST /loader/ipxe.efi HTTP/1.1\r\nHost: x\r\nContent-Length: 30\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n",
            405,
        ),
    ] {
        let mut connection = local(&server);
        connection.get_mut().write_all(octets.as_bytes()).unwrap();
        let (head, _) = reply(&mut connection);
        assert_eq!((head.status, head.field("connection")), (status, Some("close")), "{octets:.60}");
        assert!(is_closed(&mut connection));
    }
    assert!(server.metric("zonewright_refusals_total{protocol=\"http\",reason=\"malformed\"}") >= 5.0);
}

#[test]
fn a10_ranges_by_the_thousand_cost_no_more_than_the_file() {
    let server = Server::start();
    let many: Vec<String> = (0..400).map(|at| format!("{at}-{}", at + 1000)).collect();
    let mut connection = local(&server);
    ask(&mut connection, "GET /loader/ipxe.efi", &format!("Range: bytes={}\r\n", many.join(",")));
    let (head, body) = reply(&mut connection);
    assert_eq!((head.status, body.len()), (200, LOADER));
    // A hundred requests at once, none of which is read: the others are served.
    let burst = "GET /loader/ipxe.efi HTTP/1.1\r\nHost: x\r\nRange: bytes=1-\r\n\r\n".repeat(100);
    connection.get_mut().write_all(burst.as_bytes()).unwrap();
    assert_eq!(server.boot("/loader/ipxe.efi", "").body, loader());
    for _ in 0..100 {
        assert_eq!(reply(&mut connection).1.len(), LOADER - 1);
    }
}

#[test]
fn a10_thousands_of_silent_and_half_spoken_connections_leave_others_served() {
    let server = Server::start();
    let silent: Vec<_> = (0..2000)
        .map(|number| {
            let mut connection = local(&server);
            if number % 2 == 0 {
                connection.get_mut().write_all(b"GET /loader/ipxe.efi HTTP/1.1\r\nHo").unwrap();
            }
            connection
        })
        .collect();
    assert_eq!(server.boot("/loader/ipxe.efi", "").body, loader());
    // Those that go on in time are served too.
    for mut connection in silent.into_iter().step_by(2).take(100) {
        connection.get_mut().write_all(b"st: x\r\n\r\n").unwrap();
        assert_eq!(reply(&mut connection).1.len(), LOADER);
    }
}

/// Large enough that neither end's buffers hold it.
const LARGE: usize = 24 << 20;
const WINDOW: usize = 4096;

#[test]
fn at_the_limit_a_client_is_told_when_to_come_back_and_small_files_pass() {
    let server = serving("large.img", &vec![7; LARGE]);
    // 64 addresses with eight transfers each, of which nothing is read but the head.
    let mut stalled: Vec<_> = (0..512_u16)
        .map(|number| {
            let mut connection =
                connect(&server, Ipv4Addr::from(0x7f00_0101 + u32::from(number) / 8), Some(WINDOW));
            ask(&mut connection, "GET /loader/large.img", "");
            connection
        })
        .collect();
    for connection in &mut stalled {
        assert_eq!(Head::read(connection).status, 200);
    }
    let mut waits = std::collections::HashSet::new();
    for number in 1..=40 {
        let mut late = connect(&server, Ipv4Addr::new(127, 0, 2, number), None);
        ask(&mut late, "GET /loader/large.img", "");
        let (head, body) = reply(&mut late);
        assert_eq!(head.status, 503, "{}", String::from_utf8_lossy(&body));
        let seconds: u32 = head.field("retry-after").unwrap().parse().unwrap();
        assert!((2..=30).contains(&seconds), "{seconds}");
        waits.insert(seconds);
        // The connection goes on, and what is small is not counted.
        ask(&mut late, "GET /loader/ipxe.efi", "");
        assert_eq!(reply(&mut late).1, loader());
        ask(&mut late, "GET /loader/large.img", "Range: bytes=0-99\r\n");
        assert_eq!(reply(&mut late).0.status, 206);
        ask(&mut late, "HEAD /loader/large.img", "");
        assert_eq!(Head::read(&mut late).length(), LARGE);
    }
    assert!(waits.len() > 1, "all are told the same");
    assert!(server.metric("zonewright_refusals_total{protocol=\"http\",reason=\"too-many\"}") >= 40.0);
    // One that is over, or broken off, makes room.
    let mut body = vec![0; LARGE];
    stalled.pop().unwrap().read_exact(&mut body).unwrap();
    assert_eq!(body, vec![7; LARGE]);
    let mut late = connect(&server, Ipv4Addr::new(127, 0, 2, 1), None);
    ask(&mut late, "GET /loader/large.img", "");
    assert_eq!(reply(&mut late).0.status, 200);
}

#[test]
fn one_address_does_not_take_all_places() {
    let server = serving("large.img", &vec![7; LARGE]);
    let mut greedy: Vec<_> = (0..9)
        .map(|_| {
            let mut connection = connect(&server, Ipv4Addr::new(127, 0, 1, 1), Some(WINDOW));
            ask(&mut connection, "GET /loader/large.img", "");
            connection
        })
        .collect();
    let statuses: Vec<u16> = greedy.iter_mut().map(|connection| Head::read(connection).status).collect();
    assert_eq!(statuses.iter().filter(|status| **status == 503).count(), 1, "{statuses:?}");
    let mut other = connect(&server, Ipv4Addr::new(127, 0, 1, 2), None);
    ask(&mut other, "GET /loader/large.img", "");
    assert_eq!(reply(&mut other).0.status, 200);
}

/// Machines whose addresses loopback has, so that a test can be each of them.
const P01: [Ipv4Addr; 2] = [Ipv4Addr::new(127, 64, 0, 6), Ipv4Addr::new(127, 64, 0, 7)];
const P02: Ipv4Addr = Ipv4Addr::new(127, 64, 32, 6);

/// The pocket zone in 127.64.0.0/16, with a large file.
fn zone_on_loopback() -> Server {
    let mut server = Server::prepared();
    server.edit("10.64.0.0/16", "127.64.0.0/16");
    fs::write(server.options.loaders.join("large.img"), vec![7; LARGE]).unwrap();
    server.resume().unwrap();
    server
}

/// Asks for the large file and reads the head alone: the status, and what keeps its place while it is held.
fn begin(server: &Server, from: Ipv4Addr) -> (u16, BufReader<TcpStream>) {
    let mut connection = connect(server, from, Some(WINDOW));
    ask(&mut connection, "GET /loader/large.img", "");
    (Head::read(&mut connection).status, connection)
}

#[test]
fn a_machine_has_two_images_at_once_and_its_neighbour_two_of_its_own() {
    let server = zone_on_loopback();
    let mut held = Vec::new();
    for address in P01 {
        for expected in [200, 200, 503, 503] {
            let (status, connection) = begin(&server, address);
            assert_eq!(status, expected, "{address}");
            held.push(connection);
        }
        // Its script and its loader come all the same.
        let mut connection = connect(&server, address, None);
        ask(&mut connection, "GET /loader/ipxe.efi", "");
        assert_eq!(reply(&mut connection).1, loader());
        ask(&mut connection, "GET /boot/auto.ipxe", "");
        assert_eq!(reply(&mut connection).0.status, 200);
    }
    // What it does not want any more is given back. That it closed is seen some time after that it did.
    drop(held);
    let began = Instant::now();
    while begin(&server, P01[0]).0 == 503 {
        assert!(began.elapsed() < PATIENCE, "places of closed connections are not given back");
    }
}

#[test]
fn when_places_are_short_a_pod_that_waits_comes_before_one_that_has_its_share() {
    let server = zone_on_loopback();
    // Those who are no machines are one pod, and take all.
    let stranger = |number: u32| Ipv4Addr::from(0x7f00_0101 + number / 8);
    let mut held: Vec<_> = (0..512)
        .map(|number| {
            let (status, connection) = begin(&server, stranger(number));
            assert_eq!(status, 200);
            connection
        })
        .collect();
    for machine in [P01[0], P02] {
        assert_eq!(begin(&server, machine).0, 503);
    }
    let another = Ipv4Addr::new(127, 0, 2, 1);
    for machine in [P01[0], P02] {
        let mut body = vec![0; LARGE];
        held.swap_remove(0).read_exact(&mut body).unwrap();
        // There is one place now, and it is no stranger's, though it asks first.
        assert_eq!(begin(&server, another).0, 503, "before {machine}");
        let (status, connection) = begin(&server, machine);
        assert_eq!(status, 200, "{machine}");
        held.push(connection);
    }
    // Nobody waits now but strangers, and there is no place.
    assert_eq!(begin(&server, P01[1]).0, 503);
}

#[test]
fn a_file_that_changes_while_it_is_sent_breaks_the_transfer() {
    let server = serving("large.img", &vec![7; LARGE]);
    let path = server.options.loaders.join("large.img");
    let mut rewritten = connect(&server, Ipv4Addr::LOCALHOST, Some(WINDOW));
    ask(&mut rewritten, "GET /loader/large.img", "");
    assert_eq!(Head::read(&mut rewritten).length(), LARGE);
    fs::write(&path, vec![8; LARGE]).unwrap();
    let mut received = Vec::new();
    let _ = rewritten.read_to_end(&mut received);
    assert!(received.len() < LARGE, "a file of two halves was taken for a whole one");

    // Until it is listed anew, nobody gets it under the old digest.
    let mut waiting = local(&server);
    let (head, body) = loop {
        ask(&mut waiting, "GET /loader/large.img", "");
        let (head, body) = reply(&mut waiting);
        if head.status == 200 {
            break (head, body);
        }
        assert_eq!((head.status, head.field("retry-after")), (503, Some("3")));
    };
    assert_eq!(body, vec![8; LARGE]);
    assert!(head.field("etag").is_some());

    let mut cut = connect(&server, Ipv4Addr::LOCALHOST, Some(WINDOW));
    ask(&mut cut, "GET /loader/large.img", "");
    assert_eq!(Head::read(&mut cut).status, 200);
    fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(1 << 20).unwrap();
    received.clear();
    let _ = cut.read_to_end(&mut received);
    assert!(received.len() < LARGE);
}

#[test]
fn fifty_clients_get_every_octet_of_a_large_file() {
    let content = pattern(64 << 20);
    let server = serving("large.img", &content);
    std::thread::scope(|scope| {
        for number in 0..50 {
            let (server, content) = (&server, &content);
            scope.spawn(move || {
                let mut connection = connect(server, Ipv4Addr::new(127, 0, 1, 1 + number), None);
                let start = usize::from(number) * 4097;
                let range = if start == 0 { String::new() } else { format!("Range: bytes={start}-\r\n") };
                ask(&mut connection, "GET /loader/large.img", &range);
                let head = Head::read(&mut connection);
                assert_eq!(head.length(), content.len() - start);
                let (mut at, mut piece) = (start, vec![0; 1 << 20]);
                while at < content.len() {
                    let length = connection.read(&mut piece).unwrap();
                    assert!(length > 0 && piece[..length] == content[at..at + length], "at {at}");
                    at += length;
                }
            });
        }
    });
    let sent = server.metric("zonewright_answer_bytes_total{protocol=\"http\"}");
    assert!(sent > 49.0 * (64 << 20) as f64, "{sent}");
}
