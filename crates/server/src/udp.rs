//! The loop around a UDP port: receive many, answer each, send many. Nothing between the three waits.
//!
//! One system call takes up to [`BATCH`] datagrams and one sends their answers, so that a busy server pays for entering
//! the kernel once in a while and not twice a packet; an idle one answers a single datagram just as soon. The answer
//! leaves by the address that the request came to: a client or relay that asked one of several addresses drops what
//! comes from another.
//!
//! A thread may serve several sockets of one port, in order of importance (`steering` sorts datagrams into them).

mod batch;
mod pace;

use crate::counters::Traffic;
pub(crate) use batch::{Inbound, Outbound};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::socket::{setsockopt, sockopt};
use pace::Pace;
use socket2::Socket;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// The largest datagram that is looked at; a longer one is cut, and so malformed.
pub(crate) const DATAGRAM_MAX: usize = 4096;
/// Datagrams of one system call: from here on its price for each is small beside that of the network stack.
pub(crate) const BATCH: usize = 64;
/// Full batches in a row, without the queue ever being empty, after which a thread counts as pressed: what waits in the
/// kernel is then more than any boot of a rack sends at once.
const PRESSED_AFTER: u32 = 16;
/// One batch in so many is of the least important lane that has something.
const LAST_FIRST_EVERY: u32 = 8;

/// Ends every loop that holds a copy.
#[derive(Clone)]
pub(crate) struct Stop(Arc<Signal>);

struct Signal {
    is_set: AtomicBool,
    wakes: EventFd,
}

impl Stop {
    pub(crate) fn new() -> io::Result<Self> {
        let flags = EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK;
        let wakes = EventFd::from_value_and_flags(0, flags)?;
        Ok(Self(Arc::new(Signal { is_set: AtomicBool::new(false), wakes })))
    }

    /// Now. It stays readable, so that every loop sees it.
    pub(crate) fn stop(&self) {
        self.0.is_set.store(true, Relaxed);
        // It fails only when the counter is full, and then it is readable already.
        let _ = self.0.wakes.write(1);
    }

    fn is_set(&self) -> bool {
        self.0.is_set.load(Relaxed)
    }

    /// Readable once it is time.
    pub(crate) fn descriptor(&self) -> BorrowedFd<'_> {
        self.0.wakes.as_fd()
    }
}

/// Where a datagram came from and to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Path {
    /// The sender.
    pub(crate) from: SocketAddr,
    /// Our address that it came to, and by which the answer leaves.
    pub(crate) to: IpAddr,
    /// The network interface that it came by.
    pub(crate) interface: u32,
    /// More comes than is answered, and has for a while: what matters less is to be left out.
    pub(crate) is_pressed: bool,
}

/// Prepares a socket to tell where each datagram came to.
pub(crate) fn prepare(socket: &Socket) -> io::Result<()> {
    if is_v4(socket)? {
        setsockopt(socket, sockopt::Ipv4PacketInfo, &true)?;
    } else {
        setsockopt(socket, sockopt::Ipv6RecvPacketInfo, &true)?;
    }
    Ok(())
}

fn is_v4(socket: &Socket) -> io::Result<bool> {
    Ok(socket.local_addr()?.is_ipv4())
}

/// Answers datagrams on several sockets of one family and port by one thread, until it is stopped. `answer` writes into the buffer
/// and says where to; `None` sends nothing. A panic in it costs one datagram. What waits in an earlier socket is answered
/// first. The kernel gives a broadcast to every socket of the port, of all threads; only the first one of the thread with
/// `hears_broadcasts` listens to it. Where datagrams come closely, each may wait for others as long as `gather`.
pub(crate) fn serve_lanes(
    sockets: &[Socket],
    hears_broadcasts: bool,
    gather: Duration,
    stop: &Stop,
    traffic: &Traffic,
    mut answer: impl FnMut(&[u8], Path, &mut Vec<u8>) -> Option<SocketAddr>,
) {
    let mut inbound = Inbound::new();
    let mut outbound: Vec<Outbound> =
        sockets.iter().map(|socket| Outbound::new(is_v4(socket).unwrap_or(true))).collect();
    let ports: Vec<u16> = sockets.iter().map(crate::sockets::port).collect();
    let (mut full_in_a_row, mut turn) = (0_u32, 0_u32);
    let mut pace = Pace::new(gather);
    // What was ready when it was last asked; after a full batch a socket is tried again without asking.
    let mut ready = vec![true; sockets.len()];
    loop {
        turn = turn.wrapping_add(1);
        // Every so often the last comes first, so that no lane waits for ever.
        let next = |is_ready: &bool| *is_ready;
        let lane = if turn % LAST_FIRST_EVERY == 0 {
            ready.iter().rposition(next)
        } else {
            ready.iter().position(next)
        };
        let Some(lane) = lane else {
            full_in_a_row = 0;
            if pace.gathers(Instant::now()) {
                ready.fill(true);
            } else {
                wait(sockets, stop, &mut ready);
            }
            if stop.is_set() {
                return;
            }
            continue;
        };
        if stop.is_set() {
            return;
        }
        let (socket, outbound) = (&sockets[lane], &mut outbound[lane]);
        let count = inbound.receive(socket);
        pace.received(count);
        let is_full = count == BATCH;
        ready[lane] = is_full;
        if is_full {
            // Something more important may have come meanwhile.
            ready[..lane].fill(true);
            full_in_a_row = full_in_a_row.saturating_add(1);
        }
        let is_pressed = full_in_a_row > PRESSED_AFTER;
        let mut elsewhere = 0;
        for position in 0..count {
            let Some((packet, arrival)) = inbound.get(position) else { continue };
            // It counts once, however many sockets hear it.
            if arrival.is_broadcast && !(hears_broadcasts && lane == 0) {
                elsewhere += 1;
                continue;
            }
            // A sender that claims to be this very socket would make us talk to ourselves for ever.
            let is_echo = arrival.from.port() == ports[lane] && arrival.from.ip() == arrival.to;
            if is_echo {
                continue;
            }
            let path = Path { from: arrival.from, to: arrival.to, interface: arrival.interface, is_pressed };
            let reply = outbound.next_reply();
            match catch_unwind(AssertUnwindSafe(|| answer(packet, path, reply))) {
                Ok(None) => {}
                Ok(Some(to)) => outbound.push(to, path),
                Err(_) => traffic.panicked.one(),
            }
        }
        traffic.received.add((count - elsewhere) as u64);
        outbound.flush(socket, traffic);
    }
}

/// Waits until a socket has something, or it is time to stop.
fn wait(sockets: &[Socket], stop: &Stop, ready: &mut [bool]) {
    let mut polled: Vec<PollFd<'_>> = Vec::with_capacity(sockets.len() + 1);
    polled.extend(sockets.iter().map(|socket| PollFd::new(socket.as_fd(), PollFlags::POLLIN)));
    polled.push(PollFd::new(stop.0.wakes.as_fd(), PollFlags::POLLIN));
    // An interrupted poll is asked again; nothing else can fail here.
    let _ = poll(&mut polled, PollTimeout::NONE);
    for (is_ready, polled) in ready.iter_mut().zip(&polled) {
        *is_ready = polled.any().unwrap_or(true);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sockets::{Purpose, port, udp};
    use std::collections::HashSet;
    use std::net::{Ipv4Addr, Ipv6Addr, UdpSocket};
    use std::sync::Barrier;

    const GATHER: Duration = Duration::from_micros(100);
    const PURPOSE: Purpose = Purpose { service: "a test", transport: "udp" };

    /// Serves an echo that panics on `!`, keeps silent on `-`, and says of everything else whether it was pressed, while
    /// `ask` asks it.
    fn with_echo(address: IpAddr, ask: impl FnOnce(UdpSocket, &Traffic)) {
        let sockets = udp(&[address], 0, None, PURPOSE).unwrap();
        prepare(&sockets[0]).unwrap();
        let (stop, traffic) = (Stop::new().unwrap(), Traffic::default());
        let client = UdpSocket::bind((address, 0)).unwrap();
        client.connect((address, port(&sockets[0]))).unwrap();
        client.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                serve_lanes(&sockets[..1], true, GATHER, &stop, &traffic, |packet, path, reply| {
                    assert_ne!(packet, b"!");
                    reply.extend_from_slice(packet);
                    (packet != b"-").then_some(path.from)
                });
            });
            ask(client, &traffic);
            stop.stop();
        });
    }

    fn every_datagram_is_answered_once(address: IpAddr) {
        with_echo(address, |client, traffic| {
            // Well within the socket buffers of both sides.
            for round in 0..4_u32 {
                let sent: HashSet<u32> = (0..150).map(|number| round * 1000 + number).collect();
                for number in &sent {
                    client.send(&number.to_be_bytes()).unwrap();
                }
                let mut buffer = [0; 16];
                let answered: HashSet<u32> = sent
                    .iter()
                    .map(|_| {
                        assert_eq!(client.recv(&mut buffer).unwrap(), 4);
                        u32::from_be_bytes([buffer[0], buffer[1], buffer[2], buffer[3]])
                    })
                    .collect();
                assert_eq!(answered, sent);
            }
            // The last answers are counted after they are sent.
            while traffic.answered.get() < 600 {
                std::thread::yield_now();
            }
            assert_eq!((traffic.received.get(), traffic.octets.get()), (600, 2400));
        });
    }

    #[test]
    fn every_datagram_of_many_batches_is_answered_once() {
        every_datagram_is_answered_once(Ipv4Addr::LOCALHOST.into());
        every_datagram_is_answered_once(Ipv6Addr::LOCALHOST.into());
    }

    #[test]
    fn a_panic_costs_one_datagram_and_silence_is_possible() {
        let hook = std::panic::take_hook();
        std::panic::set_hook(Box::new(|_| {}));
        with_echo(Ipv4Addr::LOCALHOST.into(), |client, traffic| {
            for text in [&b"a"[..], b"!", b"-", b"b", &[7; DATAGRAM_MAX + 100]] {
                client.send(text).unwrap();
            }
            let mut buffer = [0; 2 * DATAGRAM_MAX];
            let mut answer = || client.recv(&mut buffer).map(|length| (length, buffer[0])).unwrap();
            assert_eq!(answer(), (1, b'a'));
            assert_eq!(answer(), (1, b'b'));
            assert_eq!(answer(), (DATAGRAM_MAX, 7), "a longer one is cut");
            assert_eq!(traffic.panicked.get(), 1);
        });
        std::panic::set_hook(hook);
    }

    #[test]
    fn what_waits_in_the_first_socket_is_answered_first_and_the_last_is_not_forgotten() {
        let sockets = udp(&[Ipv4Addr::LOCALHOST.into()], 0, None, PURPOSE).unwrap();
        let more = udp(&[Ipv4Addr::LOCALHOST.into()], 0, None, PURPOSE).unwrap();
        let lanes: Vec<Socket> = sockets.into_iter().chain(more).collect();
        lanes.iter().for_each(|lane| prepare(lane).unwrap());
        let client = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        // They wait before the loop begins: ten batches on the first lane, two on the second.
        for (lane, count) in [(1, 2 * BATCH), (0, 10 * BATCH)] {
            for _ in 0..count {
                client.send_to(&[lane as u8], (Ipv4Addr::LOCALHOST, port(&lanes[lane]))).unwrap();
            }
        }
        let (stop, traffic, order) =
            (Stop::new().unwrap(), Traffic::default(), std::sync::Mutex::new(vec![]));
        let all = Barrier::new(2);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                serve_lanes(&lanes, true, GATHER, &stop, &traffic, |packet, _, _| {
                    let mut order = order.lock().unwrap();
                    order.push(packet[0]);
                    if order.len() == 12 * BATCH {
                        drop(order);
                        all.wait();
                    }
                    None
                });
            });
            all.wait();
            stop.stop();
        });
        let order = order.into_inner().unwrap();
        let batches: Vec<u8> = order.chunks(BATCH).map(|batch| batch[0]).collect();
        assert_eq!(batches, [0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1]);
    }
}
