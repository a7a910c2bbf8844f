//! Debian's etcd, started for a test in a directory of its own, and ended with it.

use std::io::Write;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use store::Store;
use store::etcd::{Access, Address};

/// One member, or one of several.
pub(crate) struct Member {
    child: Child,
    command: Command,
    directory: PathBuf,
    pub(crate) port: u16,
}

impl Member {
    /// `None`, and a line that says so, where etcd is not installed.
    pub(crate) fn start() -> Option<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let is_there =
            Command::new("etcd").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
        if !is_there.is_ok_and(|status| status.success()) {
            let _ =
                writeln!(std::io::stderr(), "skipped: etcd is not installed (Debian package etcd-server)");
            return None;
        }
        // Another may take a port between our asking for it and etcd's.
        for _ in 0..8 {
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            let directory =
                std::env::temp_dir().join(format!("zonewright-etcd-{}-{number}", std::process::id()));
            let _ = std::fs::remove_dir_all(&directory);
            std::fs::create_dir_all(&directory).unwrap();
            let [port, peer] = free_ports();
            let (client, peer) = (format!("http://127.0.0.1:{port}"), format!("http://127.0.0.1:{peer}"));
            let log = std::fs::File::create(directory.join("log")).unwrap();
            let mut command = Command::new("etcd");
            command
                .args(["--name", "m", "--data-dir"])
                .arg(directory.join("data"))
                .args(["--listen-client-urls", &client, "--advertise-client-urls", &client])
                .args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer])
                .args(["--initial-cluster", &format!("m={peer}")])
                .stdin(Stdio::null())
                .stdout(log.try_clone().unwrap())
                .stderr(log);
            let child = command.spawn().unwrap();
            let mut member = Self { child, command, directory, port };
            if member.answers() {
                return Some(member);
            }
        }
        panic!("etcd does not start");
    }

    /// Ends it; what it has stays.
    pub(crate) fn stop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Starts it again, as it was.
    pub(crate) fn resume(&mut self) {
        self.child = self.command.spawn().unwrap();
    }

    pub(crate) fn address(&self, prefix: &str) -> Address {
        Address::parse(&format!("etcd://127.0.0.1:{}/{prefix}", self.port)).unwrap()
    }

    fn answers(&mut self) -> bool {
        let address = self.address("trial");
        loop {
            if self.child.try_wait().unwrap().is_some() {
                return false;
            }
            if Store::open_etcd(&address, &Access::default(), "trial").is_ok() {
                return true;
            }
        }
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

fn free_ports() -> [u16; 2] {
    let listeners = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    listeners.map(|listener| listener.local_addr().unwrap().port())
}
