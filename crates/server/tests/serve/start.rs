//! What keeps a server from starting is one clear sentence.

use crate::support::{PATIENCE, Server};
use server::StartError;
use std::fs;
use std::net::{TcpListener, UdpSocket};
use std::time::Instant;

fn refused(server: &mut Server) -> String {
    let error = server.resume().expect_err("a server that cannot start");
    let scratch = server.scratch.0.display().to_string();
    error.to_string().replace(&scratch, "SCRATCH")
}

#[test]
fn a_port_in_use() {
    let taken = UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let mut server = Server::prepared();
    server.options.ports.dhcp = port;
    assert_eq!(
        refused(&mut server),
        format!(
            "DHCP cannot be served: port {port}/udp on 127.0.0.1 is in use by another program; find it with `ss -ulpn sport = :{port}`"
        )
    );
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    server.options.ports.dhcp = 0;
    server.options.ports.boot = port;
    assert!(
        refused(&mut server)
            .starts_with(&format!("HTTP boot cannot be served: port {port}/tcp on 127.0.0.1 is in use"))
    );
    // Nothing was left open by the failures.
    server.options.ports.boot = 0;
    server.resume().unwrap();
}

#[test]
fn an_address_that_this_host_does_not_have() {
    let mut server = Server::prepared();
    server.options.address = Some("192.0.2.1".parse().unwrap());
    assert!(refused(&mut server).contains("this host does not have the address 192.0.2.1"));
    server.options.address = None;
    let said = refused(&mut server);
    assert!(
        said.starts_with("this host has no address that the design gives to a controller (ctl1: 10.64."),
        "{said}"
    );
    server.options.controller = Some("ctl9".to_owned());
    assert_eq!(refused(&mut server), "the design has no controller ctl9; it has ctl1");
}

#[test]
fn a_state_in_use() {
    let running = Server::start();
    let mut server = Server::prepared();
    server.options.state.clone_from(&running.options.state);
    let said = refused(&mut server);
    assert!(said.ends_with("is in use by another zw serve; stop that one first"), "{said}");
}

#[test]
fn an_api_socket_in_use() {
    let running = Server::start();
    let mut server = Server::prepared();
    server.options.api_socket.clone_from(&running.options.api_socket);
    assert!(refused(&mut server).contains("is in use by another zw serve"));
}

#[test]
fn a_socket_that_a_dead_server_left_is_replaced() {
    let mut server = Server::prepared();
    drop(std::os::unix::net::UnixListener::bind(server.options.api_socket.as_ref().unwrap()).unwrap());
    server.resume().unwrap();
    assert_eq!(server.request("GET", "/v1/zone", "").0, 200);
}

#[test]
fn no_design_and_a_broken_one() {
    let mut server = Server::prepared();
    let zone = fs::read_to_string(server.zone_file()).unwrap();
    fs::write(server.zone_file(), zone.replace("model = \"switch32\"", "model = \"switch33\"")).unwrap();
    match server.resume() {
        Err(StartError::Findings { findings, files }) => assert!(!findings.is_empty() && !files.is_empty()),
        other => panic!("{:?}", other.map_err(|error| error.to_string())),
    }
    fs::remove_dir_all(&server.options.design).unwrap();
    let said = refused(&mut server);
    assert!(said.starts_with("failed to read SCRATCH/design: "), "{said}");
}

#[test]
fn dhcpv6_that_cannot_be_served_is_told_when_the_zone_gets_it() {
    let Ok(taken) = UdpSocket::bind("[::1]:0") else { return };
    let mut server = Server::prepared();
    server.options.ports.dhcp6 = taken.local_addr().unwrap().port();
    let both = fs::read_to_string(server.zone_file()).unwrap();
    server.edit(", \"2001:db8:64::/48\"", "");
    server.resume().unwrap();
    let said = || server.journal.lock().unwrap().iter().filter(|line| line.contains("DHCPv6")).count();
    assert_eq!(said(), 0, "nothing is missing yet");
    fs::write(server.zone_file(), both).unwrap();
    let reloaded: api::http::Reloaded = server.post("/v1/reload", r#"{"renumber": true}"#);
    // Whoever was quicker, this or the look at the files.
    assert_eq!(reloaded.refused, None);
    let began = Instant::now();
    while said() == 0 {
        assert!(began.elapsed() < PATIENCE, "{:?}", server.journal.lock().unwrap());
        std::thread::yield_now();
    }
}
