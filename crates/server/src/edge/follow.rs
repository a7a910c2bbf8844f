//! An edge's connections to controllers: it asks what is new, says what it heard, and fetches what it lacks. Whoever does not answer is
//! left for the next. Nothing here is waited for by a packet.

use super::cache::{Found, Part, Wanted, is_full, read};
use super::client::{self, Line, No};
use super::identity::spread;
use super::{Edge, Ended, FILES_LOOK_EVERY, FILES_STAND_EVERY, RETRY_MAX, RETRY_MIN};
use crate::clock;
use api::edge::{FOLLOW, Follow, HEARD, HEARD_MAX, Heard, News, Taken, WAIT_SECONDS_MAX};
use http_body_util::BodyExt;
use hyper::StatusCode;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout};

/// The longest silence in the middle of a file.
const SILENT_MAX: Duration = Duration::from_secs(20);
/// What is heard together is said together.
const GATHER: Duration = Duration::from_millis(200);

/// Follows one controller after the other, until this edge is none any more.
pub(super) async fn follow(edge: Arc<Edge>) -> Ended {
    let mut wait = RETRY_MIN;
    let mut turn = 0_usize;
    loop {
        let controllers = edge.controllers();
        let Some(controller) = controllers.get(turn % controllers.len().max(1)).copied() else {
            return Ended::Failed("no controller is known to follow".to_owned());
        };
        edge.asks(controller);
        let why = match follow_one(&edge, controller, &mut wait).await {
            No::Removed(why) => return edge.removed(&why).await,
            no => no.to_string(),
        };
        edge.in_trouble(controller, &why);
        turn += 1;
        // The others are asked at once.
        if turn.is_multiple_of(controllers.len()) {
            let extra = spread(u64::try_from(wait.as_millis()).unwrap_or(1_000));
            sleep(wait + Duration::from_millis(extra)).await;
            wait = (wait * 2).min(RETRY_MAX);
        }
    }
}

/// Follows one until it does not answer.
async fn follow_one(edge: &Arc<Edge>, controller: SocketAddr, wait: &mut Duration) -> No {
    let mut line = match Line::open(controller, &edge.tls).await {
        Ok(line) => line,
        Err(why) => return No::Broken(why),
    };
    let within = Duration::from_secs(WAIT_SECONDS_MAX.into()) + client::ANSWER_MAX;
    let mut was_answered = false;
    loop {
        let asked = {
            let edge = Arc::clone(edge);
            let asking = move || Follow {
                release: env!("CARGO_PKG_VERSION").to_owned(),
                have: edge.have(),
                report: edge.report(),
                wait_seconds: wait_seconds(was_answered),
            };
            match tokio::task::spawn_blocking(asking).await {
                Ok(asked) => asked,
                Err(bug) => return No::Broken(bug.to_string()),
            }
        };
        let news = match line.post::<_, News>(FOLLOW, &asked, within).await {
            Ok(news) => news,
            Err(no) => return no,
        };
        let taking = Arc::clone(edge);
        let taken = tokio::task::spawn_blocking(move || taking.take(news)).await;
        match taken {
            Ok(Ok(())) => {
                *wait = RETRY_MIN;
                was_answered = true;
                edge.heard_from(controller);
            }
            // Another may be right.
            Ok(Err(why)) => return No::Refused(why),
            Err(bug) => return No::Broken(bug.to_string()),
        }
    }
}

/// How long the controller is to wait for news. Not at all before its first answer: until then nobody knows here that it is there, and nobody
/// is installed.
const fn wait_seconds(was_answered: bool) -> u32 {
    if was_answered { WAIT_SECONDS_MAX } else { 0 }
}

/// Says what was heard to whichever controller is followed.
pub(super) async fn say(edge: Arc<Edge>) {
    let mut line: Option<(SocketAddr, Line)> = None;
    loop {
        if edge.unsaid.count().0 == 0 {
            edge.unsaid.more.notified().await;
            sleep(GATHER).await;
        }
        let Some(controller) = edge.followed() else {
            sleep(RETRY_MIN).await;
            continue;
        };
        if line.as_ref().is_none_or(|(to, _)| *to != controller) {
            line = Line::open(controller, &edge.tls).await.ok().map(|line| (controller, line));
        }
        let Some((_, open)) = &mut line else {
            sleep(RETRY_MIN).await;
            continue;
        };
        let (first, events) = edge.unsaid.first(HEARD_MAX);
        let count = events.len();
        let heard = Heard { now: clock::now(), events };
        match open.post::<_, Taken>(HEARD, &heard, client::ANSWER_MAX).await {
            Ok(_) => edge.unsaid.said(first, count),
            Err(_) => {
                line = None;
                sleep(RETRY_MIN).await;
            }
        }
    }
}

/// Reads what is there, and fetches what is not.
pub(super) async fn fetch(edge: Arc<Edge>) {
    loop {
        let looking = Arc::clone(&edge);
        let looked = tokio::task::spawn_blocking(move || {
            // What is there but was not read yet; each is shown as it is read.
            looking.read_files(u64::MAX);
            // What cannot be removed, or looked at, is found to be in the way of a file.
            let _ = looking.make_room(None);
            looking.say_no_room();
            looking.wanted()
        });
        let wanted = looked.await.unwrap_or_default();
        let mut is_done = true;
        for file in wanted {
            let fetched = fetch_one(&edge, &file).await;
            is_done &= fetched.is_ok();
            edge.fetched(&file, fetched.err());
        }
        let patience = if is_done { FILES_LOOK_EVERY } else { RETRY_MAX };
        let _ = timeout(patience, edge.files_changed.notified()).await;
        if !is_done {
            sleep(RETRY_MIN).await;
        }
    }
}

/// Fetches one file, from where it was cut off. What came of it does not stay on a disk that is full: the plan has no room there then.
async fn fetch_one(edge: &Arc<Edge>, file: &Wanted) -> Result<(), String> {
    let fetched = fetch_part(edge, file).await;
    if fetched.as_ref().is_err_and(is_full) {
        let part = edge.part(&file.sha256);
        // What cannot be removed now is removed when room is made.
        let _ = tokio::task::spawn_blocking(move || std::fs::remove_file(part)).await;
        return Err("the disk is full, but for what the plan may need".to_owned());
    }
    fetched.map_err(|error| error.to_string())
}

async fn fetch_part(edge: &Arc<Edge>, file: &Wanted) -> io::Result<()> {
    let (making, wanted) = (Arc::clone(edge), file.clone());
    let part = tokio::task::spawn_blocking(move || {
        making.make_room(Some(&wanted))?;
        Part::open(making.part(&wanted.sha256), wanted.size)
    });
    let mut part = part.await??;
    if part.length < file.size || file.size == 0 {
        pull_from_any(&edge.sources(), file, &mut part).await?;
    }
    let (finishing, file) = (Arc::clone(edge), file.clone());
    match tokio::task::spawn_blocking(move || finishing.finish(part, &file)).await?? {
        Found::Right { .. } => Ok(()),
        _ => Err(io::Error::other("what came is not what was named; it is fetched anew")),
    }
}

/// What is left of a file, from the first controller that has all of it.
async fn pull_from_any(sources: &[SocketAddr], file: &Wanted, part: &mut Part) -> io::Result<()> {
    let mut why = "no controller is known to fetch from".to_owned();
    for source in sources {
        match pull(*source, file, part).await {
            Err(error) if !is_full(&error) => why = format!("{source}: {error}"),
            done => return done,
        }
    }
    Err(io::Error::other(why))
}

/// What is left of a file, from one controller. What came stays, whatever happens then.
async fn pull(source: SocketAddr, file: &Wanted, part: &mut Part) -> io::Result<()> {
    let mut line = Line::open_plain(source).await.map_err(io::Error::other)?;
    let path = format!("/{}", in_url(&file.name));
    let answer = line.get(&path, part.length, &file.tag()).await.map_err(io::Error::other)?;
    match answer.status() {
        StatusCode::PARTIAL_CONTENT if part.length > 0 => {}
        // It is another file there now, or we begin.
        StatusCode::OK => part.begin_anew()?,
        status => return Err(io::Error::other(format!("it answered {status}"))),
    }
    let mut body = answer.into_body();
    while let Some(frame) =
        timeout(SILENT_MAX, body.frame()).await.map_err(|_| io::Error::other("it stopped sending"))?
    {
        let frame = frame.map_err(io::Error::other)?;
        let Some(data) = frame.data_ref() else { continue };
        if part.length + data.len() as u64 > file.size {
            return Err(io::Error::other("it sends more than was named"));
        }
        part.write(data)?;
    }
    match part.length == file.size {
        true => Ok(()),
        false => Err(io::Error::other("it was cut off")),
    }
}

/// A path as a URL writes it (RFC 3986 §2.3, and the slash).
fn in_url(path: &str) -> String {
    path.bytes().fold(String::with_capacity(path.len()), |url, octet| match octet {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => {
            url + &char::from(octet).to_string()
        }
        _ => url + &format!("%{octet:02X}"),
    })
}

/// Looks whether files still lie there as they were read: now and then, and when one that is offered could not be opened.
pub(super) async fn watch_files(edge: Arc<Edge>) {
    loop {
        let _ = timeout(FILES_STAND_EVERY, edge.files_doubted.notified()).await;
        let looking = Arc::clone(&edge);
        let _ = tokio::task::spawn_blocking(move || looking.take_out_changed()).await;
    }
}

/// Looks each second whether a controller was heard lately.
pub(super) async fn watch_contact(edge: Arc<Edge>) {
    loop {
        sleep(Duration::from_secs(1)).await;
        let is_fresh = edge.contact().is_some_and(|at: Instant| at.elapsed() < super::INSTALLS_FOR);
        if edge.installs.swap(is_fresh, SeqCst) != is_fresh {
            let showing = Arc::clone(&edge);
            let _ = tokio::task::spawn_blocking(move || showing.set_installs(is_fresh)).await;
        }
    }
}

/// Where files come from: the controller that is followed, and then all others.
pub(super) fn sources(followed: Option<SocketAddr>, controllers: &[IpAddr], port: u16) -> Vec<SocketAddr> {
    let all = followed.map(|controller| controller.ip()).into_iter().chain(controllers.iter().copied());
    let mut sources: Vec<SocketAddr> = Vec::new();
    for address in all {
        let source = SocketAddr::new(address, port);
        if !sources.contains(&source) {
            sources.push(source);
        }
    }
    sources
}

/// Reads one file of the cache.
pub(super) fn look(edge: &Edge, file: &Wanted) -> Found {
    read(&edge.place(&file.sha256), file.size, &file.sha256)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_question_of_a_connection_is_answered_at_once() {
        assert_eq!([false, true].map(wait_seconds), [0, WAIT_SECONDS_MAX]);
    }
}
