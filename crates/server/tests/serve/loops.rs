//! The loops around the sockets: what a swap of the view, a flood and a repetition cost.

use crate::support::{Client, Server, ask, kind};
use api::http::Reloaded;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

#[test]
fn a_new_view_costs_no_packet() {
    let server = Server::start();
    let (dhcp, dns) = (server.udp(server.ports().dhcp), server.udp(server.ports().dns));
    let query = b"\x07\x07\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x0ap01-r1-u01\x04lab1\x07example\x03net\x00\x00\x01\x00\x01";
    let is_done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let asking = scope.spawn(|| {
            let mut asked = 0;
            // One at a time: a reply that does not come is seen, by the client's own patience.
            while !is_done.load(Relaxed) {
                assert_eq!(kind(&ask(&dhcp, &Client::u01().discover())), 2);
                assert_eq!(ask(&dns, query)[..2], [7, 7]);
                asked += 1;
            }
            asked
        });
        for generation in 2..12 {
            let count = generation % 2;
            server.edit(&format!("u{{01..0{}}}", 4 + count), &format!("u{{01..0{}}}", 5 - count));
            let reloaded: Reloaded = server.post("/v1/reload", r#"{"remove": 10}"#);
            assert_eq!((reloaded.generation, reloaded.refused), (generation, None));
        }
        is_done.store(true, Relaxed);
        assert!(asking.join().expect("every packet was answered") > 0);
    });
}

#[test]
fn what_was_told_is_not_told_again_and_what_changes_is() {
    let server = Server::start();
    let (client, socket) = (Client::u01(), server.udp(server.ports().dhcp));
    let as_firmware = || {
        let mut more = vec![50, 4, 10, 64, 0, 6, 54, 4, 127, 0, 0, 1, 93, 2, 0, 7, 60, 9];
        more.extend(b"PXEClient");
        assert_eq!(kind(&ask(&socket, &client.message(3, &more))), 5);
    };
    // A boot with its repetitions, twice within the half minute: the order of its stages is kept.
    let mut events = server.events("", "");
    for _ in 0..2 {
        for _ in 0..20 {
            as_firmware();
        }
        for _ in 0..20 {
            client.lease(&server);
        }
    }
    for stage in ["uefi-pxe", "os", "uefi-pxe", "os"] {
        let event = events.machine();
        assert!(event.kind == "asked" && event.sentence.contains(stage), "{}", event.sentence);
    }
}
