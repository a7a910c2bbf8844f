//! DNS sockets: a thread for UDP, a task for each TCP connection. Deciding is `answer::dns`'s.

use crate::clock;
use crate::controller::Controller;
use crate::counters::Protocol;
use crate::refusals::Details;
use crate::udp::{self, Stop};
use answer::dns::{Answer, Transport, answer};
use model::{Reason, View};
use socket2::Socket;
use std::io;
use std::net::IpAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

/// TCP connections that are open at once.
const CONNECTIONS_MAX: usize = 1024;
/// A connection on which nothing was asked for this long is closed (RFC 7766 §6.2.3 advises some seconds).
const IDLE_MAX: Duration = Duration::from_secs(10);
/// How long a client may take nothing of a reply.
const STALL_MAX: Duration = Duration::from_secs(10);

/// Answers on one UDP socket until it is stopped.
pub(crate) fn run_udp(controller: &Controller, socket: &Socket, stop: &Stop) {
    let traffic = controller.counters.of(Protocol::Dns);
    // Nobody asks a name server by broadcast; each thread would answer it.
    udp::serve_lanes(std::slice::from_ref(socket), false, stop, traffic, |packet, path, reply| {
        let view = controller.view.load();
        let client = path.from.ip().to_canonical();
        match answer(&view, packet, client, Transport::Udp, reply) {
            Ok(Answer::Reply(reason)) => {
                if let Some(reason) = reason {
                    refuse(controller, &view, reason, client);
                }
                Some(path.from)
            }
            // There is none over UDP.
            Ok(Answer::Transfer(_)) => None,
            Err(refusal) => {
                refuse(controller, &view, refusal.reason, client);
                None
            }
        }
    });
}

/// Accepts TCP connections until it is stopped.
pub(crate) async fn run_tcp(
    controller: Arc<Controller>,
    listener: TcpListener,
    mut stop: watch::Receiver<bool>,
) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut open = JoinSet::new();
    loop {
        while open.try_join_next().is_some() {}
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stop.wait_for(|stop| *stop) => return,
        };
        match accepted {
            Ok((socket, peer)) => {
                let controller = Arc::clone(&controller);
                let client = peer.ip().to_canonical();
                open.spawn(async move {
                    let _place = place;
                    // A client that breaks off or stalls is its own trouble.
                    let _ = connection(&controller, socket, client).await;
                });
            }
            // Out of file descriptors, or the client has gone: neither is mended by asking again at once.
            Err(_) => sleep(Duration::from_millis(50)).await,
        }
    }
}

async fn connection(controller: &Controller, mut socket: TcpStream, client: IpAddr) -> io::Result<()> {
    let traffic = controller.counters.of(Protocol::Dns);
    let mut query = Vec::new();
    let mut reply = Vec::new();
    loop {
        // The length and the message together: a client that sends an octet a second is idle too.
        timeout(IDLE_MAX, receive(&mut socket, &mut query)).await??;
        traffic.received.one();
        let view = controller.view.load_full();
        let outcome =
            catch_unwind(AssertUnwindSafe(|| answer(&view, &query, client, Transport::Tcp, &mut reply)));
        match outcome {
            Ok(Ok(Answer::Reply(reason))) => {
                if let Some(reason) = reason {
                    refuse(controller, &view, reason, client);
                }
                send(controller, &mut socket, &reply).await?;
            }
            Ok(Ok(Answer::Transfer(mut transfer))) => {
                while transfer.next_message(&mut reply) {
                    send(controller, &mut socket, &reply).await?;
                }
            }
            Ok(Err(refusal)) => {
                refuse(controller, &view, refusal.reason, client);
                return Ok(());
            }
            Err(_) => {
                traffic.panicked.one();
                return Ok(());
            }
        }
        traffic.answered.one();
    }
}

/// One message, after its length (RFC 1035 §4.2.2).
async fn receive(socket: &mut TcpStream, query: &mut Vec<u8>) -> io::Result<()> {
    let length = socket.read_u16().await?;
    query.clear();
    query.resize(length.into(), 0);
    socket.read_exact(query).await?;
    Ok(())
}

async fn send(controller: &Controller, socket: &mut TcpStream, reply: &[u8]) -> io::Result<()> {
    let length = u16::try_from(reply.len()).map_err(io::Error::other)?;
    // In one write: clients exist that take the length alone for the whole.
    let mut message = Vec::with_capacity(2 + reply.len());
    message.extend_from_slice(&length.to_be_bytes());
    message.extend_from_slice(reply);
    timeout(STALL_MAX, socket.write_all(&message)).await??;
    controller.counters.of(Protocol::Dns).octets.add(message.len() as u64);
    Ok(())
}

fn refuse(controller: &Controller, view: &View, reason: Reason, client: IpAddr) {
    controller.counters.of(Protocol::Dns).refused[reason as usize].one();
    controller.refusals.note(Protocol::Dns, reason, client, clock::now(), || {
        let machine = view.boot.machine_at(client);
        Details {
            client: client.to_string(),
            machine: machine.map(|device| view.plan.design.devices[device.index()].location.clone()),
            ..Details::default()
        }
    });
}
