//! TPMs that others wrote, for tests: swtpm, each with its own state, on a socket.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A TPM of a test's own; dropped, it is gone.
pub(crate) struct Emulated {
    directory: PathBuf,
    child: Option<Child>,
}

impl Emulated {
    /// A TPM that is on. `None` if swtpm is not installed, which is said.
    pub(crate) fn new(name: &str) -> Option<Self> {
        Self::made(name, &["--createek"])
    }

    /// Its endorsement key has a certificate, by a maker whose own is at [`Emulated::maker`].
    pub(crate) fn with_certificate(name: &str) -> Option<Self> {
        Self::made(name, &["--createek", "--create-ek-cert"])
    }

    /// Another one with the state that this one had when it was last off.
    pub(crate) fn copy(&self, name: &str) -> Self {
        let directory = directory(name);
        std::fs::create_dir_all(&directory).expect("made");
        let state = "tpm2-00.permall";
        std::fs::copy(self.directory.join(state), directory.join(state)).expect("copied");
        let mut copy = Self { directory, child: None };
        copy.power_on();
        copy
    }

    fn made(name: &str, keys: &[&str]) -> Option<Self> {
        let directory = directory(name);
        let maker = directory.join("maker");
        std::fs::create_dir_all(&maker).expect("made");
        // An authority of its own: the system's is for good.
        let at = maker.display();
        let authority = format!(
            "statedir = {at}\nsigningkey = {at}/signkey.pem\nissuercert = {at}/issuercert.pem\ncertserial = {at}/certserial\n"
        );
        let setup = format!(
            "create_certs_tool = /usr/bin/swtpm_localca\ncreate_certs_tool_config = {at}/authority.conf\ncreate_certs_tool_options = /etc/swtpm-localca.options\n"
        );
        std::fs::write(maker.join("authority.conf"), authority).expect("written");
        std::fs::write(maker.join("setup.conf"), setup).expect("written");
        let made = Command::new("swtpm_setup")
            .args(["--tpm2", "--overwrite", "--vmid", name])
            .args(keys)
            .arg("--config")
            .arg(maker.join("setup.conf"))
            .arg("--tpmstate")
            .arg(&directory)
            .stdin(Stdio::null())
            .output();
        let Ok(made) = made else {
            let why = "swtpm_setup not installed (`cargo xtask packages` does it)";
            assert!(std::env::var_os("ZW_NO_SKIP").is_none(), "skipped, and ZW_NO_SKIP is set: {why}");
            // Not through `eprintln`, which is shown only when the test fails.
            let _ = writeln!(std::io::stderr(), "skipped {name}: {why}");
            return None;
        };
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stdout));
        let mut tpm = Self { directory, child: None };
        tpm.power_on();
        Some(tpm)
    }

    /// Where it listens.
    pub(crate) fn socket(&self) -> PathBuf {
        self.directory.join("socket")
    }

    /// Its maker's certificate, PEM.
    pub(crate) fn maker(&self) -> String {
        std::fs::read_to_string(self.directory.join("maker/issuercert.pem")).expect("a maker")
    }

    /// Also: the machine is reset.
    pub(crate) fn power_on(&mut self) {
        self.power_off();
        let child = Command::new("swtpm")
            .args(["socket", "--tpm2", "--flags", "not-need-init,startup-clear", "--tpmstate"])
            .arg(format!("dir={}", self.directory.display()))
            .args(["--server", &format!("type=unixio,path={}", self.socket().display())])
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        self.child = Some(child.expect("swtpm starts"));
        let began = Instant::now();
        // The path is there a moment before anybody listens at it.
        while UnixStream::connect(self.socket()).is_err() {
            assert!(began.elapsed() < Duration::from_secs(30), "swtpm does not listen");
            std::thread::yield_now();
        }
    }

    /// Off, with its state on disk.
    pub(crate) fn power_off(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().expect("killed");
            child.wait().expect("ended");
        }
        let _ = std::fs::remove_file(self.socket());
    }

    /// Measures something into a register: `TPM2_PCR_Extend` with the authorization of everybody.
    pub(crate) fn extend(&self, pcr: u8) {
        let mut command = vec![0x80, 0x02, 0, 0, 0, 65, 0, 0, 0x01, 0x82, 0, 0, 0, pcr];
        command.extend([0, 0, 0, 9, 0x40, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0x0B]);
        command.extend([7; 32]);
        let mut way = UnixStream::connect(self.socket()).expect("connected");
        way.write_all(&command).expect("written");
        let mut response = [0; 10];
        way.read_exact(&mut response).expect("a response");
        assert_eq!(response[6..], [0; 4], "{response:x?}");
    }
}

impl Drop for Emulated {
    fn drop(&mut self) {
        self.power_off();
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

fn directory(name: &str) -> PathBuf {
    let directory = std::env::temp_dir().join(format!("zw-tpm-{name}-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&directory);
    directory
}

/// Where no TPM is.
pub(crate) fn none() -> &'static Path {
    Path::new("/dev/zw-no-tpm")
}
