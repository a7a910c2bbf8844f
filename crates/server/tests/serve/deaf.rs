//! A relay before an etcd that can lose answers: what is asked reaches etcd and is done, and nobody hears so.

use crate::etcd::Member;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering::SeqCst};
use store::etcd::Address;

/// What every write of a leader has, and nothing that is only read.
const WRITE: &[u8] = br#""compare":[{"#;

const HEARS: u8 = 0;
/// It hears until the next write.
const LISTENS: u8 = 1;
const DEAF: u8 = 2;

/// The relay; for as long as the test lasts.
pub(crate) struct Deaf {
    port: u16,
    state: Arc<AtomicU8>,
}

impl Deaf {
    pub(crate) fn before(member: &Member) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = Arc::new(AtomicU8::new(HEARS));
        let (etcd, shared) = (member.port, Arc::clone(&state));
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let Ok(server) = TcpStream::connect(("127.0.0.1", etcd)) else { continue };
                relay(&client, &server, &shared);
            }
        });
        Self { port, state }
    }

    pub(crate) fn address(&self, prefix: &str) -> Address {
        Address::parse(&format!("etcd://127.0.0.1:{}/{prefix}", self.port)).unwrap()
    }

    /// Loses the answer to the next write, and all after it.
    pub(crate) fn lose_the_next(&self) {
        self.state.store(LISTENS, SeqCst);
    }

    /// Whether that write came.
    pub(crate) fn is_deaf(&self) -> bool {
        self.state.load(SeqCst) == DEAF
    }

    /// Hears again; what was lost stays lost.
    pub(crate) fn hear(&self) {
        self.state.store(HEARS, SeqCst);
    }
}

/// Both ways of one connection, each in a thread that ends with it.
fn relay(client: &TcpStream, server: &TcpStream, state: &Arc<AtomicU8>) {
    let clone = |stream: &TcpStream| stream.try_clone().unwrap();
    let (mut from, mut to, asked) = (clone(client), clone(server), Arc::clone(state));
    std::thread::spawn(move || {
        let (mut octets, mut tail) = ([0; 16 << 10], Vec::new());
        while let Ok(count @ 1..) = from.read(&mut octets) {
            tail.extend_from_slice(&octets[..count]);
            if tail.windows(WRITE.len()).any(|window| window == WRITE) {
                let _ = asked.compare_exchange(LISTENS, DEAF, SeqCst, SeqCst);
                tail.clear();
            }
            tail.drain(..tail.len().saturating_sub(WRITE.len()));
            if to.write_all(&octets[..count]).is_err() {
                break;
            }
        }
        let _ = to.shutdown(Shutdown::Both);
    });
    let (mut from, mut to, heard) = (clone(server), clone(client), Arc::clone(state));
    std::thread::spawn(move || {
        let (mut octets, mut is_whole) = ([0; 16 << 10], true);
        while let Ok(count @ 1..) = from.read(&mut octets) {
            is_whole &= heard.load(SeqCst) != DEAF;
            // What follows a lost answer is nobody's.
            if is_whole && to.write_all(&octets[..count]).is_err() {
                break;
            }
        }
        let _ = to.shutdown(Shutdown::Both);
    });
}
