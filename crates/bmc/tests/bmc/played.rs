//! A small Redfish service with bad habits, on a free port of the loopback.

use bmc::{Address, Bmc, Credentials, Error, Fingerprint, Limits, Progress, Tell, Trust};
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

pub(crate) const SYSTEM: &str = "/redfish/v1/Systems/1";
pub(crate) const FACTORY: (&str, &str) = ("root", "calvin");

/// How it behaves; each is good by default.
#[derive(Clone, Default)]
pub(crate) struct Habits {
    /// It is plain HTTP.
    pub(crate) plain: bool,
    /// There is no session service.
    pub(crate) no_sessions: bool,
    /// Sessions cannot be made, since there are too many.
    pub(crate) sessions_full: bool,
    /// So many requests are answered 503 first.
    pub(crate) busy: u32,
    /// A PATCH must carry this.
    pub(crate) if_match: Option<&'static str>,
    /// What it says its ETag is.
    pub(crate) etag: Option<&'static str>,
    /// A PATCH that carries any `If-Match` is refused.
    pub(crate) no_if_match: bool,
    /// Accounts are slots.
    pub(crate) slots: bool,
    /// The factory's password must be changed first.
    pub(crate) must_change: bool,
    /// It answers these paths with these bodies, whatever they are, as HTML.
    pub(crate) instead: Vec<(&'static str, String)>,
    /// It never answers these.
    pub(crate) silent: Option<&'static str>,
    /// These lead there.
    pub(crate) leads: Vec<(&'static str, u16, &'static str)>,
    /// These fields of the root or the system are so.
    pub(crate) root: Value,
    pub(crate) system: Value,
    /// What a reset does: the power afterwards, after this many looks.
    pub(crate) looks: u32,
    /// The states of a task, one for each look; then it is over as the last says.
    pub(crate) task: Vec<Value>,
    /// Every session ends after so many requests.
    pub(crate) forgets_after: Option<u32>,
    /// `InsertMedia` takes nothing but a URL; or everything.
    pub(crate) media_wants_all: bool,
    /// A path at which a PATCH is refused with this message.
    pub(crate) refuses: Option<(&'static str, &'static str)>,
}

/// What became of it.
#[derive(Default)]
pub(crate) struct State {
    pub(crate) power: String,
    pending: Option<(u32, String)>,
    pub(crate) boot: Value,
    pub(crate) image: Option<String>,
    pub(crate) accounts: Vec<(String, String, String)>,
    pub(crate) sessions: Vec<String>,
    sessions_made: u32,
    requests_of_session: u32,
    /// Method and path of every request, and its body.
    pub(crate) asked: Vec<String>,
    pub(crate) passwords_seen: Vec<String>,
    looks_at_task: usize,
}

pub(crate) struct Played {
    pub(crate) address: Address,
    pub(crate) certificate: Fingerprint,
    pub(crate) state: Arc<Mutex<State>>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Played {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Played {
    pub(crate) async fn start(habits: Habits) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = Address { socket: listener.local_addr().expect("an address"), is_plain: habits.plain };
        let boot = json!({"BootSourceOverrideEnabled": "Disabled", "BootSourceOverrideTarget": "None",
            "BootSourceOverrideTarget@Redfish.AllowableValues": ["None", "Pxe", "UefiHttp", "Hdd", "Cd"],
            "BootSourceOverrideMode": "UEFI"});
        let mut accounts = vec![("2".to_owned(), FACTORY.0.to_owned(), FACTORY.1.to_owned())];
        if habits.slots {
            accounts.insert(0, ("1".into(), String::new(), String::new()));
            accounts.extend((3..6).map(|slot| (slot.to_string(), String::new(), String::new())));
        }
        let state = State { power: "Off".into(), boot, accounts, ..State::default() };
        let state = Arc::new(Mutex::new(state));
        let key =
            rcgen::generate_simple_self_signed(vec!["a.name.of.its.own".to_owned()]).expect("a certificate");
        let certificate = key.cert.der().clone();
        let fingerprint = Fingerprint(sha2::Sha256::digest(&certificate).into());
        let config = rustls::ServerConfig::builder_with_provider(Arc::new(
            rustls::crypto::aws_lc_rs::default_provider(),
        ))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key.signing_key.serialize_der().try_into().expect("a key"))
        .expect("a pair");
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let (shared, habits) = (Arc::clone(&state), Arc::new(habits));
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (state, habits, acceptor) = (Arc::clone(&shared), Arc::clone(&habits), acceptor.clone());
                tokio::spawn(async move {
                    if habits.plain {
                        serve(stream, state, habits).await;
                    } else if let Ok(stream) = acceptor.accept(stream).await {
                        serve(stream, state, habits).await;
                    }
                });
            }
        });
        Self { address, certificate: fingerprint, state, task }
    }

    pub(crate) async fn connect(&self) -> Result<Bmc, Error> {
        self.connect_as(FACTORY, Trust::First).await
    }

    pub(crate) async fn connect_as(&self, who: (&str, &str), trust: Trust) -> Result<Bmc, Error> {
        Bmc::connect(self.address, credentials(who), trust, limits(), quiet()).await
    }

    pub(crate) fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().expect("nobody panicked")
    }

    /// The requests that changed something, without those about sessions.
    pub(crate) fn changes(&self) -> Vec<String> {
        let state = self.state();
        let is_change = |line: &&String| !line.starts_with("GET ") && !line.contains("Session");
        state.asked.iter().filter(is_change).cloned().collect()
    }
}

use sha2::Digest as _;

pub(crate) fn credentials((user, password): (&str, &str)) -> Credentials {
    Credentials { user: user.to_owned(), password: password.to_owned().into() }
}

/// So short that a test that must wait for one does not wait long.
pub(crate) fn limits() -> Limits {
    let (short, long) = (Duration::from_millis(5), Duration::from_secs(20));
    Limits {
        connect: long,
        answer: long,
        busy_retries: 3,
        poll: short,
        poll_max: short,
        power: long,
        graceful: long,
        media: long,
        update: long,
    }
}

pub(crate) fn quiet() -> Tell {
    Arc::new(|_: Progress| {})
}

async fn serve(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    state: Arc<Mutex<State>>,
    habits: Arc<Habits>,
) {
    let service = service_fn(move |request: Request<Incoming>| {
        let (state, habits) = (Arc::clone(&state), Arc::clone(&habits));
        async move {
            let (head, body) = request.into_parts();
            let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
            let body: Value = serde_json::from_slice(&body).unwrap_or_default();
            let path = head.uri.path_and_query().map(ToString::to_string).unwrap_or_default();
            if habits.silent == Some(path.as_str()) {
                std::future::pending::<()>().await;
            }
            let header =
                |name: &str| head.headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
            let ask = Asked {
                method: head.method.to_string(),
                path,
                body,
                token: header("x-auth-token"),
                basic: header("authorization"),
                if_match: header("if-match"),
            };
            let reply = state.lock().expect("nobody panicked").answer(&habits, &ask);
            let mut response = Response::builder().status(reply.status).header("Content-Type", "text/html");
            for (name, value) in reply.headers {
                response = response.header(name, value);
            }
            Ok::<_, Infallible>(response.body(Full::new(Bytes::from(reply.body))).expect("a response"))
        }
    });
    let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

struct Asked {
    method: String,
    path: String,
    body: Value,
    token: Option<String>,
    basic: Option<String>,
    if_match: Option<String>,
}

struct Reply {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: String,
}

fn ok(body: Value) -> Reply {
    Reply { status: 200, headers: Vec::new(), body: body.to_string() }
}

fn nothing(status: u16) -> Reply {
    Reply { status, headers: Vec::new(), body: String::new() }
}

fn refused(status: u16, id: &str, sentence: &str) -> Reply {
    let info = json!([{"MessageId": format!("Base.1.12.{id}"), "Message": sentence}]);
    Reply {
        status,
        ..ok(json!({"error": {"code": "Base.1.12.GeneralError", "@Message.ExtendedInfo": info}}))
    }
}

impl State {
    fn answer(&mut self, habits: &Habits, ask: &Asked) -> Reply {
        let line = format!(
            "{} {} {}",
            ask.method,
            ask.path,
            if ask.body.is_null() { String::new() } else { ask.body.to_string() }
        );
        self.asked.push(line.trim().to_owned());
        if self.asked.len() <= habits.busy as usize {
            return Reply { headers: vec![("Retry-After", "0".to_owned())], ..nothing(503) };
        }
        if let Some((_, status, to)) = habits.leads.iter().find(|(path, ..)| *path == ask.path) {
            return Reply { headers: vec![("Location", (*to).to_owned())], ..nothing(*status) };
        }
        if let Some((_, body)) = habits.instead.iter().find(|(path, _)| *path == ask.path) {
            return Reply { body: body.clone(), ..nothing(200) };
        }
        let parts: Vec<&str> = ask.path.trim_matches('/').split('/').collect();
        let is_root = parts == ["redfish", "v1"];
        let is_login = ask.method == "POST" && ask.path.ends_with("/Sessions");
        if is_root {
            let mut root = json!({"Systems": {"@odata.id": "/redfish/v1/Systems"}, "Managers": {"@odata.id": "/redfish/v1/Managers"},
                "AccountService": {"@odata.id": "/redfish/v1/AccountService"}, "UpdateService": {"@odata.id": "/redfish/v1/UpdateService"}});
            if !habits.no_sessions {
                root["Links"] = json!({"Sessions": {"@odata.id": "/redfish/v1/SessionService/Sessions"}});
            }
            merge(&mut root, &habits.root);
            return ok(root);
        }
        if is_login {
            return self.log_in(habits, &ask.body);
        }
        if !self.is_known(habits, ask) {
            return refused(401, "NoValidSession", "There is no valid session.");
        }
        if habits.must_change
            && self.accounts.iter().any(|(_, user, password)| (user.as_str(), password.as_str()) == FACTORY)
            && !(ask.method == "PATCH" && ask.path.contains("/Accounts/"))
        {
            return refused(403, "PasswordChangeRequired", "The password must be changed.");
        }
        if ask.method == "PATCH" {
            if habits.no_if_match && ask.if_match.is_some() {
                return refused(412, "PreconditionFailed", "The ETag did not match.");
            }
            if habits.if_match.is_some() && habits.if_match != ask.if_match.as_deref() {
                let status = if ask.if_match.is_some() { 412 } else { 428 };
                return refused(status, "PreconditionFailed", "The ETag did not match.");
            }
            if let Some((_, id)) = habits.refuses.filter(|(path, _)| *path == ask.path) {
                return refused(400, id, "It is refused.");
            }
        }
        match (ask.method.as_str(), &parts[2..]) {
            ("GET", ["Systems"]) => ok(json!({"Members": [{"@odata.id": SYSTEM}]})),
            ("GET", ["Systems", "1"]) => {
                if let Some((looks, power)) = self.pending.take() {
                    match looks {
                        0 => self.power = power,
                        looks => self.pending = Some((looks - 1, power)),
                    }
                }
                let mut system = json!({"Id": "1", "PowerState": self.power, "Boot": self.boot,
                    "Manufacturer": "Contoso", "Model": "3500", "SerialNumber": "437XR1138R2", "UUID": "38947555-7742-3448-3784-823347823834",
                    "BiosVersion": "P79 v1.45", "ProcessorSummary": {"Count": 2, "Model": "Multi-Core"},
                    "MemorySummary": {"TotalSystemMemoryGiB": 96}, "Status": {"Health": "OK"},
                    "EthernetInterfaces": {"@odata.id": "/redfish/v1/Systems/1/EthernetInterfaces"},
                    "Storage": {"@odata.id": "/redfish/v1/Systems/1/Storage"},
                    "VirtualMedia": {"@odata.id": "/redfish/v1/Systems/1/VirtualMedia"},
                    "Links": {"ManagedBy": [{"@odata.id": "/redfish/v1/Managers/BMC"}]},
                    "Actions": {"#ComputerSystem.Reset": {"target": "/redfish/v1/Systems/1/Actions/ComputerSystem.Reset",
                        "ResetType@Redfish.AllowableValues": ["On", "ForceOff", "GracefulShutdown", "ForceRestart"]}}});
                if let Some(etag) = habits.etag {
                    system["@odata.etag"] = etag.into();
                }
                merge(&mut system, &habits.system);
                ok(system)
            }
            ("GET", ["Systems", "1", "SD"]) => ok(json!({"Boot": self.boot})),
            ("GET", ["Systems", "1", "ResetActionInfo"]) => {
                ok(json!({"Parameters": [{"Name": "ResetType", "AllowableValues": ["On", "ForceOff"]}]}))
            }
            ("PATCH", ["Systems", "1"] | ["Systems", "1", "SD"]) => {
                merge(&mut self.boot, &ask.body["Boot"]);
                nothing(204)
            }
            ("POST", ["Systems", "1", "Actions", "ComputerSystem.Reset"]) => {
                let (now, then) = match ask.body["ResetType"].as_str() {
                    Some("On") => ("PoweringOn", "On"),
                    Some("ForceOff" | "GracefulShutdown") => ("PoweringOff", "Off"),
                    Some("ForceRestart") => ("Off", "On"),
                    _ => return refused(400, "ActionParameterNotSupported", "The reset is not supported."),
                };
                self.power = now.into();
                self.pending = Some((habits.looks, then.into()));
                nothing(204)
            }
            ("GET", ["Systems", "1", "EthernetInterfaces"]) => {
                ok(json!({"Members": [{"@odata.id": "/redfish/v1/Systems/1/EthernetInterfaces/1"}],
                "Members@odata.nextLink": "/redfish/v1/Systems/1/EthernetInterfaces?$skip=1"}))
            }
            ("GET", ["Systems", "1", "EthernetInterfaces?$skip=1"]) => {
                ok(json!({"Members": [{"@odata.id": "/redfish/v1/Systems/1/EthernetInterfaces/2"}],
                "Members@odata.nextLink": "/redfish/v1/Systems/1/EthernetInterfaces"}))
            }
            ("GET", ["Systems", "1", "EthernetInterfaces", id]) => {
                ok(json!({"Id": id, "MACAddress": format!("AA:BB:CC:DD:EE:0{id}"), "SpeedMbps": 25000}))
            }
            ("GET", ["Systems", "1", "Storage"]) => {
                ok(json!({"Members": [{"@odata.id": "/redfish/v1/Systems/1/Storage/1"}]}))
            }
            ("GET", ["Systems", "1", "Storage", "1"]) => {
                ok(json!({"Drives": [{"@odata.id": "/redfish/v1/Systems/1/Storage/1/Drives/0"}]}))
            }
            ("GET", ["Systems", "1", "Storage", "1", "Drives", "0"]) => ok(
                json!({"Name": "Disk 0", "Model": "C123", "SerialNumber": "1234570", "CapacityBytes": 899_527_000_000u64, "MediaType": "SSD"}),
            ),
            ("GET", ["Systems" | "Managers", of, "VirtualMedia"]) => ok(json!({"Members": [
                {"@odata.id": format!("/redfish/v1/Systems/{of}/VirtualMedia/Floppy")}, {"@odata.id": format!("/redfish/v1/Systems/{of}/VirtualMedia/CD")}]})),
            ("GET", ["Systems", _, "VirtualMedia", "Floppy"]) => {
                ok(json!({"Id": "Floppy", "MediaTypes": ["Floppy", "USBStick"]}))
            }
            ("GET", ["Systems", _, "VirtualMedia", "CD"]) => {
                ok(json!({"Id": "CD", "MediaTypes": ["CD", "DVD"], "Image": self.image,
                "Inserted": self.image.is_some(), "Actions": {
                    "#VirtualMedia.InsertMedia": {"target": "/redfish/v1/Systems/1/VirtualMedia/CD/Actions/VirtualMedia.InsertMedia"},
                    "#VirtualMedia.EjectMedia": {"target": "/redfish/v1/Systems/1/VirtualMedia/CD/Actions/VirtualMedia.EjectMedia"}}}))
            }
            ("POST", [.., "VirtualMedia.InsertMedia"]) => {
                if self.image.is_some() {
                    return refused(400, "ResourceInUse", "The slot is full.");
                }
                let has_all = ask.body["TransferProtocolType"] == "HTTP" && ask.body["Inserted"] == true;
                if habits.media_wants_all && !has_all {
                    return refused(400, "ActionParameterMissing", "TransferProtocolType is missing.");
                }
                self.image = ask.body["Image"].as_str().map(str::to_owned);
                nothing(204)
            }
            ("POST", [.., "VirtualMedia.EjectMedia"]) => {
                self.image = None;
                nothing(204)
            }
            ("GET", ["Managers"]) => ok(json!({"Members": [{"@odata.id": "/redfish/v1/Managers/BMC"}]})),
            ("GET", ["Managers", "BMC"]) => {
                ok(json!({"Model": "Joo Janta 200", "FirmwareVersion": "1.45.455b66-rev4"}))
            }
            ("GET", ["UpdateService"]) => ok(json!({"Actions": {"#UpdateService.SimpleUpdate": {
                "target": "/redfish/v1/UpdateService/Actions/SimpleUpdate", "TransferProtocol@Redfish.AllowableValues": ["HTTP", "TFTP"]}}})),
            ("POST", ["UpdateService", "Actions", "SimpleUpdate"]) => Reply {
                headers: vec![
                    ("Location", "https://its.own.name/redfish/v1/TaskService/Tasks/7".to_owned()),
                    ("Retry-After", "0".to_owned()),
                ],
                ..nothing(202)
            },
            ("GET", ["TaskService", "Tasks", "7"]) => {
                let look = self.looks_at_task;
                self.looks_at_task += 1;
                match habits.task.get(look).or(habits.task.last()) {
                    Some(Value::Null) => refused(404, "ResourceMissingAtURI", "There is no such task."),
                    Some(task) => ok(task.clone()),
                    None => nothing(204),
                }
            }
            (_, ["AccountService", rest @ ..]) => self.account(habits, ask, rest),
            ("DELETE", ["SessionService", "Sessions", id]) => {
                self.sessions.retain(|session| session != id);
                nothing(204)
            }
            _ => refused(404, "ResourceMissingAtURI", "There is no such resource."),
        }
    }

    fn log_in(&mut self, habits: &Habits, body: &Value) -> Reply {
        if habits.sessions_full {
            return refused(503, "RAC0218", "The maximum number of user sessions is reached.");
        }
        let given =
            (body["UserName"].as_str().unwrap_or_default(), body["Password"].as_str().unwrap_or_default());
        self.passwords_seen.push(given.1.to_owned());
        let Some((id, ..)) =
            self.accounts.iter().find(|(_, user, password)| (user.as_str(), password.as_str()) == given)
        else {
            return refused(401, "ResourceAtUriUnauthorized", "Unauthorized.");
        };
        self.sessions_made += 1;
        self.requests_of_session = 0;
        let session = format!("session{}", self.sessions_made);
        let mut said = json!({});
        if habits.must_change && given == FACTORY {
            said = json!({"@Message.ExtendedInfo": [{"MessageId": "Base.1.8.PasswordChangeRequired",
                "MessageArgs": [format!("/redfish/v1/AccountService/Accounts/{id}")]}]});
        }
        self.sessions.push(session.clone());
        let headers = vec![
            ("X-Auth-Token", session.clone()),
            ("Location", format!("/redfish/v1/SessionService/Sessions/{session}")),
        ];
        Reply { status: 201, headers, ..ok(said) }
    }

    fn is_known(&mut self, habits: &Habits, ask: &Asked) -> bool {
        self.requests_of_session += 1;
        if habits.forgets_after.is_some_and(|most| self.requests_of_session > most) {
            self.sessions.clear();
        }
        let by_session = ask.token.as_ref().is_some_and(|token| self.sessions.contains(token));
        // root:calvin
        by_session || ask.basic.as_deref() == Some("Basic cm9vdDpjYWx2aW4=")
    }

    fn account(&mut self, habits: &Habits, ask: &Asked, rest: &[&str]) -> Reply {
        let at = |id: &str| format!("/redfish/v1/AccountService/Accounts/{id}");
        match (ask.method.as_str(), rest) {
            ("GET", []) => ok(json!({"Accounts": {"@odata.id": "/redfish/v1/AccountService/Accounts"}})),
            ("GET", ["Accounts"]) => {
                let members: Vec<Value> =
                    self.accounts.iter().map(|(id, ..)| json!({"@odata.id": at(id)})).collect();
                ok(json!({ "Members": members }))
            }
            ("POST", ["Accounts"]) if habits.slots => {
                refused(405, "OperationNotAllowed", "The method is not allowed.")
            }
            ("POST", ["Accounts"]) => {
                let text = |name: &str| ask.body[name].as_str().unwrap_or_default().to_owned();
                self.accounts.push((
                    (self.accounts.len() + 2).to_string(),
                    text("UserName"),
                    text("Password"),
                ));
                nothing(201)
            }
            (method, ["Accounts", id]) => {
                let Some(account) = self.accounts.iter_mut().find(|(found, ..)| found == id) else {
                    return nothing(404);
                };
                if method == "PATCH" {
                    if let Some(user) = ask.body["UserName"].as_str() {
                        account.1 = user.to_owned();
                    }
                    if let Some(password) = ask.body["Password"].as_str() {
                        account.2 = password.to_owned();
                    }
                    return nothing(204);
                }
                ok(
                    json!({"Id": id, "UserName": account.1, "Enabled": !account.1.is_empty(), "Password": null}),
                )
            }
            _ => nothing(404),
        }
    }
}

/// Puts the fields of one object over those of another; `null` takes a field away.
fn merge(into: &mut Value, over: &Value) {
    for (name, value) in over.as_object().into_iter().flatten() {
        match value {
            Value::Null => drop(into.as_object_mut().map(|into| into.remove(name))),
            value => into[name] = value.clone(),
        }
    }
}
