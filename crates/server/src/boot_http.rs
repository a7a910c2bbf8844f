//! HTTP boot: scripts from the view, files from the disk, in large pieces.

use crate::clock;
use crate::connections::Peer;
use crate::controller::Controller;
use crate::counters::Protocol;
use crate::refusals::Details;
use answer::http::{self, Body, Method, Reply};
use http_body_util::channel::{Channel, Sender};
use http_body_util::{Either, Full};
use hyper::body::{Bytes, Incoming};
use hyper::header::{HeaderName, HeaderValue, IF_NONE_MATCH, IF_RANGE, RANGE};
use hyper::{Request, Response, StatusCode};
use model::event::What;
use model::{Event, Location, Reason, View};
use std::fs::File;
use std::io;
use std::net::IpAddr;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Files that are sent at once; more are asked to come back, so that those under way end in time.
pub(crate) const TRANSFERS_MAX: usize = 512;
/// What is read from the disk at once: large, as each reading costs a change of thread.
const PIECE: u64 = 1 << 20;
/// Pieces in memory ahead of a client.
const PIECES_AHEAD: usize = 1;

/// What a response carries.
pub(crate) type ResponseBody = Either<Full<Bytes>, Channel<Bytes, io::Error>>;

/// Answers one request.
pub(crate) fn respond(
    controller: &Arc<Controller>,
    transfers: &Arc<Semaphore>,
    request: &Request<Incoming>,
    peer: Peer,
) -> Response<ResponseBody> {
    let client = match peer {
        Peer::Address(client) => client,
        // Boot is served on TCP only.
        Peer::User(_) => IpAddr::from([127, 0, 0, 1]),
    };
    let traffic = controller.counters.of(Protocol::Http);
    traffic.received.one();
    let view = controller.view.load_full();
    let now = clock::now();
    let header = |name: HeaderName| request.headers().get(name).and_then(|value| value.to_str().ok());
    let asked = http::Request {
        method: match *request.method() {
            hyper::Method::GET => Method::Get,
            hyper::Method::HEAD => Method::Head,
            _ => Method::Other,
        },
        path: request.uri().path(),
        range: header(RANGE),
        if_range: header(IF_RANGE),
        if_none_match: header(IF_NONE_MATCH),
        client,
    };
    let outcome = catch_unwind(AssertUnwindSafe(|| http::boot(&view, &asked, now)));
    let mut reply = match outcome {
        Ok(Ok(reply)) => reply,
        Ok(Err(refusal)) => http::refused(refusal),
        Err(_) => {
            traffic.panicked.one();
            let mut response = Response::new(Either::Left(Full::default()));
            *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
            return response;
        }
    };
    let machine = reply.machine.map(|device| view.plan.design.devices[device.index()].location.clone());
    let mut permit = None;
    if matches!(reply.body, Body::File { .. }) {
        match Arc::clone(transfers).try_acquire_owned() {
            Ok(taken) => permit = Some(taken),
            Err(_) => reply = http::refused(Reason::TooMany.into()),
        }
    }
    if let Some(reason) = reply.refused {
        traffic.refused[reason as usize].one();
        controller.refusals.note(Protocol::Http, reason, (client, asked.path), now, || Details {
            client: client.to_string(),
            machine: machine.clone(),
            subject: asked.path.to_owned(),
            ..Details::default()
        });
    } else {
        traffic.answered.one();
    }
    if reply.is_boot_script
        && let Some(location) = &machine
    {
        let what = What::ScriptFetched { generation: view.generation };
        controller.tell(Event { at: now, location: location.clone(), what });
    }
    response(controller, &view, reply, machine, permit)
}

fn response(
    controller: &Arc<Controller>,
    view: &Arc<View>,
    reply: Reply,
    machine: Option<Location>,
    permit: Option<OwnedSemaphorePermit>,
) -> Response<ResponseBody> {
    let body = match reply.body {
        Body::Empty => Either::Left(Full::default()),
        Body::Text(text) => {
            controller.counters.of(Protocol::Http).octets.add(text.len() as u64);
            Either::Left(Full::from(text))
        }
        Body::File { file, range } => {
            let (sender, body) = Channel::new(PIECES_AHEAD);
            let site_file = view.boot.site.file(file);
            let (path, name, size) = (site_file.source.clone(), site_file.name.clone(), site_file.size);
            let controller = Arc::clone(controller);
            tokio::spawn(async move {
                let whole = range == (0..size);
                let sent = send_file(sender, path, range, &controller).await;
                if sent
                    && whole
                    && let Some(location) = machine
                {
                    let what = What::FileFetched { file: name, bytes: size };
                    controller.tell(Event { at: clock::now(), location, what });
                }
                drop(permit);
            });
            Either::Right(body)
        }
    };
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    for (name, value) in reply.headers {
        if let (Ok(name), Ok(value)) =
            (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_str(&value))
        {
            response.headers_mut().append(name, value);
        }
    }
    response
}

/// Sends a range of a file; true if all of it was taken.
async fn send_file(
    mut sender: Sender<Bytes, io::Error>,
    path: std::path::PathBuf,
    range: Range<u64>,
    controller: &Controller,
) -> bool {
    let mut at = range.start;
    let mut file = None;
    while at < range.end {
        let length = (range.end - at).min(PIECE);
        let (path, opened) = (path.clone(), file.take());
        let read = tokio::task::spawn_blocking(move || {
            let file = match opened {
                Some(file) => file,
                None => File::open(path)?,
            };
            let mut piece = vec![0; usize::try_from(length).unwrap_or(0)];
            file.read_exact_at(&mut piece, at)?;
            Ok::<_, io::Error>((file, piece))
        });
        match read.await {
            Ok(Ok((opened, piece))) => {
                file = Some(opened);
                controller.counters.of(Protocol::Http).octets.add(length);
                if sender.send_data(Bytes::from(piece)).await.is_err() {
                    return false;
                }
            }
            // The file changed or went since it was listed: a broken transfer is seen and tried again, a short one not.
            Ok(Err(error)) => {
                sender.abort(error);
                return false;
            }
            Err(_) => return false,
        }
        at += length;
    }
    true
}
