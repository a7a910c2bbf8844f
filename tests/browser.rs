//! Chromium without a window, driven by WebDriver (W3C): JSON over HTTP to chromedriver.

use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Nothing here takes this long on a machine that does something else besides.
const PATIENCE: Duration = Duration::from_secs(60);
/// WebDriver's name for an element in JSON.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";
/// The keys that tests press, as WebDriver codes them.
pub(crate) const ENTER: &str = "\u{e007}";
pub(crate) const RIGHT: &str = "\u{e014}";
pub(crate) const UP: &str = "\u{e013}";
pub(crate) const TAB: &str = "\u{e004}";

/// A browser takes a core: one at a time.
static TURN: Mutex<()> = Mutex::new(());

/// A browser with one window.
pub(crate) struct Browser {
    driver: Child,
    port: u16,
    session: String,
    _home: Home,
    _turn: MutexGuard<'static, ()>,
}

impl Browser {
    /// Starts one; `None`, said on standard error, where Debian's packages are not.
    pub(crate) fn start() -> Option<Self> {
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        if !["/usr/bin/chromium", "/usr/bin/chromedriver"].iter().all(|path| Path::new(path).exists()) {
            assert!(std::env::var_os("ZW_NO_SKIP").is_none(), "chromium is missing, and ZW_NO_SKIP is set");
            let _ = writeln!(std::io::stderr(), "skipped: chromium and chromium-driver are not installed");
            return None;
        }
        let home = Home::new();
        // It takes any port of IPv4, and ends if somebody has the same of IPv6.
        let (driver, port) = (0..10).find_map(|_| driver(&home)).expect("chromedriver says its port");
        let mut browser = Self { driver, port, session: String::new(), _home: home, _turn: turn };
        // Its sandbox is made of user namespaces, which root has no use for and containers forbid.
        let arguments = [
            "--headless=new",
            "--remote-debugging-pipe",
            "--no-sandbox",
            "--disable-dev-shm-usage",
            "--disable-gpu",
            "--disable-background-networking",
            "--hide-scrollbars",
            "--window-size=1280,900",
        ];
        let capabilities = json!({ "capabilities": { "alwaysMatch": {
            "browserName": "chrome",
            "acceptInsecureCerts": true,
            "goog:chromeOptions": { "binary": "/usr/bin/chromium", "args": arguments },
            "goog:loggingPrefs": { "browser": "ALL", "performance": "ALL" },
        } } });
        let made = browser.ask("POST", "/session", &capabilities);
        browser.session = made["sessionId"].as_str().unwrap().to_owned();
        Some(browser)
    }

    fn ask(&self, method: &str, path: &str, body: &Value) -> Value {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let (port, length) = (self.port, body.len());
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Length: {length}\r\n\r\n{body}"
        )
        .unwrap();
        let mut reader = BufReader::new(stream);
        let (mut status, mut length) = (String::new(), 0);
        reader.read_line(&mut status).unwrap();
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).unwrap();
            match line.trim_end().split_once(':') {
                Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                    length = value.trim().parse().unwrap()
                }
                Some(_) => {}
                None => break,
            }
        }
        // It does not close the connection, whatever it is asked.
        let mut answer = vec![0; length];
        reader.read_exact(&mut answer).unwrap();
        let value: Value = serde_json::from_slice(&answer).unwrap();
        assert!(status.contains(" 200 "), "{method} {path} {body}: {value}");
        value["value"].clone()
    }

    fn command(&self, path: &str, body: &Value) -> Value {
        self.ask("POST", &format!("/session/{}/{path}", self.session), body)
    }

    pub(crate) fn go(&self, url: &str) {
        self.command("url", &json!({ "url": url }));
    }

    /// Runs a function body in the page; what it returns.
    pub(crate) fn run(&self, script: &str) -> Value {
        self.command("execute/sync", &json!({ "script": script, "args": [] }))
    }

    pub(crate) fn text(&self, expression: &str) -> String {
        self.run(&format!("return String({expression})")).as_str().unwrap().to_owned()
    }

    /// Waits until an expression is true in the page; what it asks for may not be there yet.
    pub(crate) fn until(&self, expression: &str) {
        let began = Instant::now();
        let asked = format!("try {{ return Boolean({expression}) }} catch {{ return false }}");
        while self.run(&asked) != Value::Bool(true) {
            if began.elapsed() > PATIENCE {
                self.shoot("failed");
                panic!("{expression} does not come true in\n{}", self.text("document.body.innerText"));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn element(&self, selector: &str) -> String {
        let found = self.command("element", &json!({ "using": "css selector", "value": selector }));
        found[ELEMENT].as_str().unwrap().to_owned()
    }

    pub(crate) fn click(&self, selector: &str) {
        let element = self.element(selector);
        self.command(&format!("element/{element}/click"), &json!({}));
    }

    pub(crate) fn write(&self, selector: &str, text: &str) {
        let element = self.element(selector);
        self.command(&format!("element/{element}/value"), &json!({ "text": text }));
    }

    /// Presses keys, one after the other, wherever the focus is.
    pub(crate) fn press(&self, keys: &[&str]) {
        // A window that was just led elsewhere may have none yet, and what is pressed then is pressed nowhere.
        self.until("document.hasFocus()");
        let actions = keys.iter().flat_map(|key| {
            [json!({ "type": "keyDown", "value": key }), json!({ "type": "keyUp", "value": key })]
        });
        let actions: Vec<Value> = actions.collect();
        self.command("actions", &json!({ "actions": [{ "type": "key", "id": "keys", "actions": actions }] }));
    }

    /// A command of Chromium's own protocol.
    pub(crate) fn chromium(&self, command: &str, parameters: &Value) -> Value {
        self.command("goog/cdp/execute", &json!({ "cmd": command, "params": parameters }))
    }

    /// As a screen of this size has it; below 500 pixels a window cannot be made.
    pub(crate) fn resize(&self, width: u32, height: u32) {
        let screen = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false });
        self.chromium("Emulation.setDeviceMetricsOverride", &screen);
    }

    pub(crate) fn prefer(&self, scheme: &str) {
        let features = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
        self.chromium("Emulation.setEmulatedMedia", &features);
    }

    /// A picture of the window in the directory that `ZW_SCREENSHOTS` names, for people to look at.
    pub(crate) fn shoot(&self, name: &str) {
        let Some(directory) = std::env::var_os("ZW_SCREENSHOTS") else { return };
        let shot = self.ask("GET", &format!("/session/{}/screenshot", self.session), &Value::Null);
        use base64::Engine;
        let octets = base64::engine::general_purpose::STANDARD.decode(shot.as_str().unwrap()).unwrap();
        std::fs::write(Path::new(&directory).join(format!("{name}.png")), octets).unwrap();
    }

    fn log(&self, kind: &str) -> Vec<Value> {
        self.command("se/log", &json!({ "type": kind })).as_array().unwrap().clone()
    }

    /// What the console was told since the last look: scripts' errors, and violations of the policy.
    pub(crate) fn complaints(&self) -> Vec<String> {
        let entries = self.log("browser").into_iter();
        entries.map(|entry| entry["message"].as_str().unwrap_or_default().to_owned()).collect()
    }

    /// Every address that was asked for since the last look.
    pub(crate) fn fetched(&self) -> Vec<String> {
        let entries = self.log("performance").into_iter();
        let messages = entries.map(|entry| -> Value {
            serde_json::from_str(entry["message"].as_str().unwrap_or_default()).unwrap_or_default()
        });
        let sent = messages.filter(|event| event["message"]["method"] == "Network.requestWillBeSent");
        let urls = sent.map(|event| {
            event["message"]["params"]["request"]["url"].as_str().unwrap_or_default().to_owned()
        });
        urls.collect()
    }
}

/// What they write, which is gone when they are.
struct Home(PathBuf);

impl Home {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Relaxed);
        let path = std::env::temp_dir().join(format!("zonewright-browser-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Starts a driver; `None`: it ended.
fn driver(home: &Home) -> Option<(Child, u16)> {
    // However the test ends, the driver ends with it, and the browser with its pipe to the driver.
    let mut driver = Command::new("setpriv")
        .args(["--pdeathsig", "KILL", "/usr/bin/chromedriver", "--port=0"])
        .env("HOME", &home.0)
        .env("TMPDIR", &home.0)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    for line in BufReader::new(driver.stdout.take().unwrap()).lines().map_while(Result::ok) {
        let digits = line.split("started successfully on port ").nth(1);
        if let Some(port) = digits.and_then(|digits| digits.trim_end_matches('.').parse().ok()) {
            return Some((driver, port));
        }
    }
    driver.wait().unwrap();
    None
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Ends the browser too.
        if !self.session.is_empty() && !std::thread::panicking() {
            self.ask("DELETE", &format!("/session/{}", self.session), &Value::Null);
        }
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}
