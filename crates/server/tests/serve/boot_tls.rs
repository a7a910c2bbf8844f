//! HTTPS boot: whom the certificate is for, what goes on by it, whom it costs nothing.

use crate::support::{LOADER, PATIENCE, Server, exchange, loader};
use api::http::{Authority, Refusals, Zone};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, Error, RootCertStore, StreamOwned, SupportedProtocolVersion};
use std::fs;
use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, TcpListener, TcpStream};
use std::sync::Arc;

const HERE: Ipv4Addr = Ipv4Addr::LOCALHOST;

fn connect(server: &Server) -> TcpStream {
    let socket = TcpStream::connect((HERE, server.ports().boot_tls)).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket
}

fn authority(server: &Server) -> CertificateDer<'static> {
    let shown: Authority = server.get("/v1/authority");
    CertificateDer::from_pem_slice(shown.certificate.as_bytes()).unwrap()
}

/// A client that believes this authority, and speaks this version alone.
fn client(
    believed: CertificateDer<'static>,
    version: &'static SupportedProtocolVersion,
    name: ServerName<'static>,
) -> ClientConnection {
    let mut roots = RootCertStore::empty();
    roots.add(believed).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[version])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    ClientConnection::new(Arc::new(config), name).unwrap()
}

fn here() -> ServerName<'static> {
    ServerName::IpAddress(IpAddr::V4(HERE).into())
}

fn believing(server: &Server) -> StreamOwned<ClientConnection, TcpStream> {
    StreamOwned::new(client(authority(server), &rustls::version::TLS12, here()), connect(server))
}

fn controller_name(server: &Server) -> String {
    let zone: Zone = server.get("/v1/zone");
    let text = fs::read_to_string(server.zone_file()).unwrap();
    let (_, rest) = text.split_once("controller \"").unwrap();
    format!("{}.{}", rest.split('"').next().unwrap(), zone.domain)
}

/// The reasons of what was refused, with what was asked for.
fn refused(server: &Server) -> Vec<(String, String)> {
    let refusals: Refusals = server.get("/v1/refusals");
    refusals.recent.into_iter().map(|refusal| (refusal.reason, refusal.subject)).collect()
}

#[test]
fn a_file_is_the_same_by_both_versions() {
    // Several chunks, and not a whole number of records.
    let large: Vec<u8> = (0..700_001_u32).map(|at| (at.wrapping_mul(0x9e37_79b9) >> 24) as u8).collect();
    let server = Server::start_with(|options| fs::write(options.loaders.join("large.efi"), &large).unwrap());
    let names = controller_name(&server);
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        // By address, as firmware asks, and by the controller's name in the zone.
        for name in [here(), ServerName::try_from(names.clone()).unwrap()] {
            let stream = StreamOwned::new(client(authority(&server), version, name), connect(&server));
            let reply = exchange(stream, "GET", "/boot/loader/large.efi", "boot", "", "");
            assert_eq!((reply.status, reply.body == large), (200, true), "{version:?}");
        }
    }
    // A part of it, and more than one request on a connection.
    let mut stream = believing(&server);
    for _ in 0..2 {
        let asked = "GET /loader/ipxe.efi HTTP/1.1\r\nHost: x\r\nRange: bytes=99990-\r\n\r\n";
        stream.write_all(asked.as_bytes()).unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut octet = [0];
            stream.read_exact(&mut octet).unwrap();
            head.push(octet[0]);
        }
        assert!(head.starts_with(b"HTTP/1.1 206"), "{}", String::from_utf8_lossy(&head));
        let mut body = [0; 10];
        stream.read_exact(&mut body).unwrap();
        assert_eq!(body, loader()[LOADER - 10..]);
    }
}

#[test]
fn two_requests_in_one_record_are_answered_both() {
    let server = Server::start();
    let mut stream = believing(&server);
    let one = "GET /loader/ipxe.efi HTTP/1.1\r\nHost: x\r\nRange: bytes=0-9\r\n";
    stream.write_all(format!("{one}\r\n{one}Connection: close\r\n\r\n").as_bytes()).unwrap();
    let mut all = Vec::new();
    stream.read_to_end(&mut all).expect("it ends with a word");
    assert_eq!(String::from_utf8_lossy(&all).matches("HTTP/1.1 206").count(), 2);
    assert!(all.ends_with(&loader()[..10]));
}

#[test]
fn who_does_not_believe_us_gets_nothing_and_is_told_of() {
    let (server, other) = (Server::start(), Server::start());
    let wrong = [
        (client(authority(&other), &rustls::version::TLS12, here()), "certificate-refused"),
        (client(authority(&other), &rustls::version::TLS13, here()), "certificate-refused"),
        // The right authority, for another host.
        (
            client(authority(&server), &rustls::version::TLS12, ServerName::try_from("elsewhere").unwrap()),
            "certificate-refused",
        ),
    ];
    let told = "zonewright_refusals_total{protocol=\"http\",reason=\"certificate-refused\"}";
    for (count, (client, reason)) in (1..).zip(wrong) {
        let mut stream = StreamOwned::new(client, connect(&server));
        let error = stream.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap_err();
        let cause = error.get_ref().and_then(|cause| cause.downcast_ref::<Error>());
        assert!(matches!(cause, Some(Error::InvalidCertificate(_))), "{error:?}");
        await_refused(&server, reason);
        let began = std::time::Instant::now();
        while server.metric(told) < f64::from(count) {
            assert!(began.elapsed() < PATIENCE, "{count} were to be counted");
        }
    }
    assert_eq!(server.metric(told), 3.0);
}

/// Waits until a reason is told: what a client sends last is read after it has gone.
fn await_refused(server: &Server, reason: &str) {
    let began = std::time::Instant::now();
    while !refused(server).contains(&(reason.to_owned(), "HTTPS".to_owned())) {
        assert!(began.elapsed() < PATIENCE, "{:?}", refused(server));
    }
}

#[test]
fn firmware_without_elliptic_curves_is_told_of_and_nonsense_is_malformed() {
    let server = Server::start();
    // What OVMF 2022.11 and 2025.02 of Debian say: RSA and DHE alone.
    let hello = "16030100830100007f030363fb70399df37cbd80df0ba1307b98a8c7ef35d4d2ccdf5099481017b8f38f4e000018009f009e006b006700390033009d009c003d003c0035002f0100003eff010001000000000d000b00000831302e392e302e31002300000016000000170000000d001800160809080a080b08040805080604010501060103010201";
    let hello: Vec<u8> = hello
        .as_bytes()
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect();
    let mut socket = connect(&server);
    socket.write_all(&hello).unwrap();
    let mut answer = Vec::new();
    socket.read_to_end(&mut answer).unwrap();
    assert_eq!(answer.get(..2), Some(&[21, 3][..]), "an alert: {answer:02x?}");
    await_refused(&server, "tls-unable");

    let mut socket = connect(&server);
    socket.write_all(b"GET /loader/ipxe.efi HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    let _ = socket.read_to_end(&mut answer);
    assert!(!answer.starts_with(b"HTTP"), "{answer:?}");
    await_refused(&server, "malformed");
}

#[test]
fn many_that_never_finish_their_handshake_keep_nobody_out() {
    let server = Server::start();
    // From many addresses, each with several; twice as many as may be under way.
    let silent: Vec<_> = (0..=255)
        .map(|number: u8| {
            use socket2::{Domain, Socket, Type};
            let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
            socket.bind(&std::net::SocketAddr::from(([127, 0, 1, number], 0)).into()).unwrap();
            let to = std::net::SocketAddr::from((HERE, server.ports().boot_tls));
            socket.connect(&to.into()).unwrap();
            // Half of them begin, with a record that never ends.
            if number.is_multiple_of(2) {
                (&socket).write_all(&[22, 3, 1, 0x3f, 0xff]).unwrap();
            }
            TcpStream::from(socket)
        })
        .collect();
    let reply = exchange(believing(&server), "GET", "/loader/ipxe.efi", "boot", "", "");
    assert_eq!((reply.status, reply.body.len()), (200, LOADER));
    // Those that have waited longest gave way, the others wait still.
    let is_closed = |socket: &TcpStream| {
        socket.set_nonblocking(true).unwrap();
        match socket.peek(&mut [0]) {
            Ok(_) => true,
            Err(error) => error.kind() != io::ErrorKind::WouldBlock,
        }
    };
    let closed = silent.iter().filter(|socket| is_closed(socket)).count();
    assert!((128..256).contains(&closed), "{closed} of 256 gave way");
}

#[test]
fn a_port_that_another_has_matters_where_a_role_asks_for_it() {
    let held = TcpListener::bind((HERE, 0)).unwrap();
    let port = held.local_addr().unwrap().port();
    let mut server = Server::prepared();
    server.options.ports.boot_tls = port;
    server.resume().unwrap();
    let zone: Zone = server.get("/v1/zone");
    assert_eq!(zone.ports.boot_tls, 0);
    assert!(
        server.journal.lock().unwrap().iter().any(|line| line.starts_with("HTTPS boot cannot be served"))
    );
    server.stop();

    let text = fs::read_to_string(server.zone_file()).unwrap();
    let role = text.lines().find(|line| line.starts_with("role ") && line.ends_with('{')).unwrap().to_owned();
    server.edit(&role, &format!("{role}\n  https = true"));
    let error = server.resume().unwrap_err().to_string();
    assert!(error.contains(&format!("port {port}/tcp on 127.0.0.1 is in use")), "{error}");
    drop(held);
    server.resume().unwrap();
    assert_eq!(server.ports().boot_tls, port);
}

#[test]
fn who_leaves_when_shown_the_certificate_is_told_of_and_who_only_knocks_is_not() {
    let server = Server::start();
    drop(connect(&server));
    let mut client = client(authority(&server), &rustls::version::TLS12, here());
    let mut socket = connect(&server);
    client.write_tls(&mut socket).unwrap();
    client.read_tls(&mut socket).unwrap();
    drop(socket);
    await_refused(&server, "certificate-refused");
    assert_eq!(refused(&server).len(), 1, "{:?}", refused(&server));
}
