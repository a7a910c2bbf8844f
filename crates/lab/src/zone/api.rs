//! What the lab asks of its controller, by the API that operators have.

use super::Zone;
use crate::error::{Doing, Error};
use http_body_util::{BodyExt, Full, Limited};
use hyper::Request;
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;
use tokio::net::UnixStream;

/// The longest answer.
const ANSWER_MAX: usize = 64 << 20;
/// The longest wait for one.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(10);
/// How long a machine of the lab may take until it begins to be installed: emulated firmware is slow, and people look at it first.
const ARMED_SECONDS: u32 = 6 * 3600;

/// Asks for something.
///
/// # Errors
/// If the controller is down, or says no.
pub(super) async fn get(zone: &Zone, path: &str) -> Result<Value, Error> {
    ask(zone, Request::get(path), Bytes::new()).await
}

/// Asks one of several controllers.
///
/// # Errors
/// If it is down, or says no.
pub(super) async fn get_at(socket: &Path, path: &str) -> Result<Value, Error> {
    answer(socket, Request::get(path), Bytes::new()).await
}

/// Lets a machine be installed. Nothing is on its disks that anybody would miss: the lab has just made them.
///
/// # Errors
/// If the controller is down, or says no.
pub(super) async fn arm(zone: &Zone, location: &str) -> Result<(), Error> {
    let plan = get(zone, "/v1/zone").await?;
    let wish = json!({ "wish": "arm", "generation": plan["generation"], "seconds": ARMED_SECONDS });
    let request = Request::post(format!("/v1/machines/{}/wish", location.replace('/', "%2F")))
        .header("Content-Type", "application/json");
    ask(zone, request, wish.to_string().into()).await?;
    Ok(())
}

/// Adds an edge; gives its ticket.
///
/// # Errors
/// If the controller is down, or says no.
pub(super) async fn add_edge(zone: &Zone, name: &str, address: IpAddr) -> Result<String, Error> {
    let wish = json!({ "wish": "add", "name": name, "addresses": [address] });
    let request = Request::post("/v1/edges").header("Content-Type", "application/json");
    let answer = ask(zone, request, wish.to_string().into()).await?;
    let ticket = answer["ticket"].as_str().map(str::to_owned);
    ticket.ok_or_else(|| Error::new("understand the controller: it gave no ticket"))
}

async fn ask(zone: &Zone, request: hyper::http::request::Builder, body: Bytes) -> Result<Value, Error> {
    tokio::time::timeout(ANSWER_TIME_MAX, answer(&zone.start.directory.api(), request, body))
        .await
        .doing(|| "hear from the controller")?
}

async fn answer(path: &Path, request: hyper::http::request::Builder, body: Bytes) -> Result<Value, Error> {
    let stream = UnixStream::connect(path).await.doing(|| format!("reach {}", path.display()))?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .doing(|| "speak to the controller")?;
    let connection = tokio::spawn(connection);
    let request = request
        .header("Host", "controller")
        .header("Connection", "close")
        .body(Full::new(body))
        .doing(|| "ask the controller")?;
    let reply = sender.send_request(request).await.doing(|| "ask the controller")?;
    let status = reply.status();
    let body = Limited::new(reply.into_body(), ANSWER_MAX).collect().await;
    connection.abort();
    let body = body.map_err(|error| Error::because("hear from the controller", error))?;
    let body = body.to_bytes();
    if !status.is_success() {
        let said = String::from_utf8_lossy(&body[..body.len().min(1024)]).escape_debug().to_string();
        return Err(Error::new(format!("ask the controller: {status}: {said}")));
    }
    serde_json::from_slice(&body).doing(|| "understand the controller")
}
