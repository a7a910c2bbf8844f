//! The limit: a bare reflector, which receives a batch, changes nothing of weight and sends it back. No server can use
//! less time for a packet in and a packet out on this machine.

use crate::arena::{Cores, Place};
use crate::datagrams::Datagrams;
use crate::dhcp::turn;
use crate::page::{spread, table};
use crate::process::Server;
use crate::settings::Settings;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// Where in a DHCP message of the generator the type stands: option 53 comes first (RFC 2132 §9.6).
const DHCP_TYPE: usize = 242;
/// Octets of a datagram in this section: a DHCP message with its options.
const LENGTH: usize = 320;
/// Datagrams in a second: low enough for the generator, high enough to meet in batches.
const RATES: &[u32] = &[2_000, 10_000, 40_000];

/// Becomes the reflector: `ADDRESS:PORT`, and `dhcp4`, `dhcp6` or `dns` if answers shall look like a server's. Never ends.
pub(crate) fn reflect(words: &[&str]) -> Result<(), String> {
    let [address, kind @ ..] = words else { return Err("reflect needs an address".to_owned()) };
    let address: SocketAddr = address.parse().map_err(|error| format!("{address}: {error}"))?;
    let mut datagrams = Datagrams::open(address)?;
    let turn: fn(&mut [u8], SocketAddr) = match kind {
        ["dhcp4"] => turn_dhcp4,
        ["dhcp6"] => |message, _| turn(message),
        ["dns"] => turn_dns,
        _ => |_, _| {},
    };
    loop {
        for number in 0..datagrams.receive(true) {
            turn(datagrams.datagram(number).0, address);
        }
        datagrams.reflect();
    }
}

/// DISCOVER becomes OFFER, REQUEST becomes ACK.
fn turn_dhcp4(message: &mut [u8], address: SocketAddr) {
    let SocketAddr::V4(address) = address else { return };
    if message.len() <= DHCP_TYPE {
        return;
    }
    message[0] = 2;
    message[DHCP_TYPE] = if message[DHCP_TYPE] == 1 { 2 } else { 5 };
    // Anything but 0.0.0.0 will do; siaddr tells who answered, since there is no room for option 54.
    message[16..20].copy_from_slice(&[10, 32, 0, 10]);
    message[20..24].copy_from_slice(&address.ip().octets());
}

/// A question becomes an answer (RFC 1035 §4.1.1, QR) without records.
fn turn_dns(message: &mut [u8], _: SocketAddr) {
    if let Some(flags) = message.get_mut(2) {
        *flags |= 0x80;
    }
}

/// Starts the reflector in a place.
pub(crate) fn start(place: &Place, cores: Cores, address: SocketAddr, kind: &str) -> Result<Server, String> {
    let this = std::env::current_exe().map_err(|error| format!("failed to find this program: {error}"))?;
    Server::start(place, cores, &[&this.display().to_string(), "reflect", &address.to_string(), kind])
}

/// What one datagram there and back costs the one who sends it back.
pub(crate) fn section(settings: &Settings) -> Result<String, String> {
    let cores = Cores::take()?;
    let place = Place::new(1, "reflector")?;
    let address = SocketAddr::from((place.address, 67));
    let mut server = start(&place, cores, address, "plain")?;
    let mut datagrams = Datagrams::open((place.generator, 67).into())?;
    server.await_answer(|| {
        datagrams.push(&[0; LENGTH], address);
        datagrams.flush();
        datagrams.receive(false) > 0
    })?;
    while datagrams.receive(false) > 0 {}
    let seconds = if settings.is_smoke { 0.1 } else { 2.0 };
    let mut rows =
        vec![["offered /s", "came back /s", "lost", "µs of its core for each"].map(str::to_owned).to_vec()];
    for rate in RATES.iter().copied().chain([u32::MAX]) {
        let (mut back, mut lost, mut cost) = (Vec::new(), 0, Vec::new());
        for _ in 0..settings.rounds(5) {
            let round = bounce(&mut datagrams, &server, address, rate, seconds);
            back.push(f64::from(round.came_back) / round.took.as_secs_f64());
            lost += round.sent - round.came_back.min(round.sent);
            cost.push(round.time.as_secs_f64() * 1e6 / f64::from(round.came_back.max(1)));
        }
        let offered = if rate == u32::MAX { "as many as go".to_owned() } else { rate.to_string() };
        rows.push(vec![offered, spread(back, 0), lost.to_string(), spread(cost, 2)]);
    }
    Ok(format!(
        "## The limit: a bare reflector\n\nA datagram of {LENGTH} octets in and out by `recvmmsg` and `sendmmsg`, nothing decided. A DORA is two of these, a\n\
         DNS answer is one.\n\n{}",
        table(&rows)
    ))
}

struct Bounced {
    sent: u32,
    came_back: u32,
    took: Duration,
    time: Duration,
}

/// Sends datagrams for a while, at a rate or as fast as the reflector gives them back.
fn bounce(datagrams: &mut Datagrams, server: &Server, to: SocketAddr, rate: u32, seconds: f64) -> Bounced {
    /// On their way at most, where the rate is what goes.
    const WINDOW: u32 = 256;
    /// What is still on its way when the last was sent.
    const REST: Duration = Duration::from_millis(100);
    let before = server.time();
    let began = Instant::now();
    let (mut sent, mut came_back) = (0, 0);
    let count = |received: usize| u32::try_from(received).unwrap_or(0);
    let mut ended = None;
    loop {
        let now = began.elapsed();
        if now.as_secs_f64() < seconds {
            let due = if rate == u32::MAX {
                came_back + WINDOW
            } else {
                // Not above u32: a rate times some seconds.
                (f64::from(rate) * now.as_secs_f64()) as u32
            };
            for _ in 0..due.saturating_sub(sent).min(32) {
                datagrams.push(&[0; LENGTH], to);
                sent += 1;
            }
            datagrams.flush();
        } else if came_back >= sent || now - *ended.get_or_insert(now) > REST {
            break;
        }
        came_back += count(datagrams.receive(false));
    }
    Bounced { sent, came_back, took: ended.unwrap_or(began.elapsed()), time: server.time() - before }
}
