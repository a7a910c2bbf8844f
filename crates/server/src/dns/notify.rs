//! Tells secondaries that the zones have changed: a task with a socket for each family. What is told to whom, and when
//! again, is `answer::dns::Notifier`'s.

use crate::agents::random;
use crate::controller::Controller;
use answer::dns::{Notifier, Outcome, secondaries};
use model::Time;
use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::UdpSocket;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

/// Where secondaries listen, and where they ask.
pub(crate) const PORT: u16 = 53;
/// Octets of an answer that are looked at: it repeats a name.
const ANSWER_MAX: usize = 512;

/// Tells them at the start, since the plan may be another than the last they heard of, and whenever a plan was published.
/// Serve first: they come at once.
pub(crate) async fn run(controller: Arc<Controller>, mut stop: watch::Receiver<bool>) {
    let mut published = controller.published.subscribe();
    let (v4, v6) = (socket(&controller, true).await, socket(&controller, false).await);
    // Without random numbers the ids are guessable, and the address still is checked.
    let mut notifier = Notifier::new(random().map_or(0, u64::from_be_bytes));
    let started = Instant::now();
    let now = || Time(u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX));
    let mut unheard = BTreeSet::new();
    let (mut answer4, mut answer6, mut out) = ([0; ANSWER_MAX], [0; ANSWER_MAX], Vec::new());
    let mut is_news = true;
    loop {
        if std::mem::take(&mut is_news) {
            let view = controller.view.load_full();
            notifier.tell(&view.dns, &secondaries(&view), now());
        }
        while let Some(to) = notifier.poll(now(), &mut out) {
            let socket = if to.is_ipv4() { &v4 } else { &v6 };
            if let Some(socket) = socket {
                // What cannot be sent is told again, as what is lost on the way.
                let _ = socket.send_to(&out, SocketAddr::new(to, PORT)).await;
            }
        }
        while let Some(outcome) = notifier.give_up(now()) {
            note(&controller, &mut unheard, &outcome);
        }
        let due = notifier.due().map(|due| started + due.since(Time(0)));
        let (from, packet) = tokio::select! {
            received = receive(v4.as_ref(), &mut answer4) => (received.1, &answer4[..received.0]),
            received = receive(v6.as_ref(), &mut answer6) => (received.1, &answer6[..received.0]),
            () = until(due) => continue,
            changed = published.changed() => {
                if changed.is_err() {
                    return;
                }
                is_news = true;
                continue;
            }
            _ = stop.wait_for(|stop| *stop) => return,
        };
        if from.port() == PORT
            && let Some(outcome) = notifier.receive(from.ip(), packet)
        {
            note(&controller, &mut unheard, &outcome);
        }
    }
}

/// Says once that a secondary does not hear, until it does.
fn note(controller: &Controller, unheard: &mut BTreeSet<IpAddr>, outcome: &Outcome) {
    let Outcome { secondary, code } = outcome;
    if *code == Some(0) {
        unheard.remove(secondary);
    } else if unheard.insert(*secondary) {
        let how = code.map_or("does not answer".to_owned(), |code| format!("answers with code {code}"));
        controller.say(&format!(
            "the secondary name server {secondary} was told that the zones have changed and {how}; it looks by itself after some minutes"
        ));
    }
}

/// A socket from which secondaries of one family are told: they know us by the address that we serve on.
async fn socket(controller: &Controller, is_v4: bool) -> Option<UdpSocket> {
    let any = if is_v4 { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let address: IpAddr =
        controller.options.address.filter(|address| address.is_ipv4() == is_v4).unwrap_or(any);
    UdpSocket::bind((address, 0)).await.ok()
}

/// The next packet: its length, and who sent it.
async fn receive(socket: Option<&UdpSocket>, buffer: &mut [u8]) -> (usize, SocketAddr) {
    /// After an error of the network, which is told of here and concerns what was sent.
    const PAUSE: Duration = Duration::from_millis(100);
    let Some(socket) = socket else { return std::future::pending().await };
    loop {
        match socket.recv_from(buffer).await {
            Ok(received) => return received,
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}

async fn until(due: Option<Instant>) {
    match due {
        Some(due) => sleep_until(due).await,
        None => std::future::pending().await,
    }
}
