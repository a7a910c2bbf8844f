//! The page of several controllers, for browsers of this machine: each connection is carried to the controller that decides, while nobody
//! does to one that answers. One controller alone is handed the socket instead.

use super::Zone;
use super::controller::Seat;
use crate::control;
use crate::error::{Doing, Error};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::Arc;
use tokio::sync::Semaphore;

/// Where a controller's page is in its namespace.
const PORT: u16 = 8480;
/// Connections at once; more wait.
const CARRIED_MAX: usize = 64;

/// Carries connections as long as the lab runs.
///
/// # Errors
/// If the page's socket cannot be taken.
pub(super) fn carry(zone: &Arc<Zone>, seats: Vec<Seat>) -> Result<(), Error> {
    let taken = || "take the page's socket";
    let listener = TcpListener::from(zone.page.try_clone().doing(taken)?);
    listener.set_nonblocking(true).doing(taken)?;
    let listener = tokio::net::TcpListener::from_std(listener).doing(taken)?;
    let (zone, room) = (Arc::clone(zone), Arc::new(Semaphore::new(CARRIED_MAX)));
    tokio::spawn(async move {
        loop {
            let Ok(place) = Arc::clone(&room).acquire_owned().await else { return };
            let Ok((mut browser, _)) = listener.accept().await else { continue };
            let Some(mut page) = connect(&zone, &seats) else { continue };
            tokio::spawn(async move {
                // Whichever end closes, the other is closed.
                let _ = tokio::io::copy_bidirectional(&mut browser, &mut page).await;
                drop(place);
            });
        }
    });
    Ok(())
}

/// To the first that is there, of those that were last heard.
fn connect(zone: &Zone, seats: &[Seat]) -> Option<tokio::net::TcpStream> {
    let mut found: Vec<(usize, &Seat)> = {
        let progress = zone.progress.borrow();
        let rank = |(shown, seat): (&control::Controller, _)| {
            let rank =
                ["leads", "follows", "serves", "starts"].iter().position(|state| shown.state == *state)?;
            Some((rank, seat))
        };
        progress.controllers.iter().zip(seats).filter_map(rank).collect()
    };
    found.sort_by_key(|(rank, _)| *rank);
    found.into_iter().find_map(|(_, seat)| {
        let stream =
            seat.namespace.run(|| TcpStream::connect((Ipv4Addr::LOCALHOST, PORT)).doing(|| "reach the page"));
        let stream = stream.ok()?;
        stream.set_nonblocking(true).ok()?;
        tokio::net::TcpStream::from_std(stream).ok()
    })
}
