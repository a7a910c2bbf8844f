//! A TPM 2.0 by swtpm, with an endorsement key and its certificate.

use super::host::{SWTPM, SWTPM_SETUP};
use super::qmp;
use crate::error::{Doing, Error};
use std::fs::{self, File};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;
use tokio::process::{Child, Command};
use tokio::sync::Mutex;

/// Where a machine's TPM keeps what it knows, in the machine's directory.
pub(super) const STATE: &str = "tpm";

/// Held while one is made.
static MAKING: Mutex<()> = Mutex::const_new(());
/// What it says of itself.
const LOG: &str = "tpm.log";
/// The pause between looks whether it listens.
const SOON: Duration = Duration::from_millis(50);

/// Where a played machine's agent finds its TPM, in the machine's directory.
pub(crate) const SOCKET: &str = "tpm.socket";

/// Starts the TPM of a played machine: its agent talks to a socket where a real one has a device. The last one must have ended, since it holds
/// the state.
///
/// # Errors
/// If it cannot be made or started.
pub(crate) async fn play(directory: &Path, serial: &str) -> Result<Child, Error> {
    made(directory, serial).await?;
    let socket = directory.join(SOCKET);
    let _ = fs::remove_file(&socket);
    let mut command = swtpm(directory, "not-need-init,startup-clear")?;
    command.args(["--server", &format!("type=unixio,path={SOCKET}")]);
    let mut child = command.spawn().doing(|| "start swtpm")?;
    while let Ok(None) = child.try_wait() {
        // The path is there a moment before anybody listens at it.
        if UnixStream::connect(&socket).is_ok() {
            return Ok(child);
        }
        tokio::time::sleep(SOON).await;
    }
    let log = fs::read_to_string(directory.join(LOG)).unwrap_or_default();
    Err(Error::new(format!("start a TPM: {}", log.lines().last().unwrap_or("it said nothing"))))
}

/// Takes a machine's TPM away: the next one is another.
pub(crate) fn replace(directory: &Path) {
    let _ = fs::remove_dir_all(directory.join(STATE));
}

/// Starts the TPM of the machine of this directory and serial number, made at its first start. Also answers the
/// end of the connection that is QEMU's.
///
/// # Errors
/// If it cannot be made or started.
pub(super) async fn start(directory: &Path, serial: &str) -> Result<(Child, OwnedFd), Error> {
    made(directory, serial).await?;
    let (ours, own) = qmp::pair()?;
    let ours = OwnedFd::from(ours);
    let mut command = swtpm(directory, "startup-clear")?;
    command.args(["--terminate", "--ctrl", &format!("type=unixio,clientfd={}", own.as_raw_fd())]);
    crate::net::hand_down(&mut command, &[own.as_fd()]);
    let child = command.spawn().doing(|| "start swtpm")?;
    Ok((child, ours))
}

fn swtpm(directory: &Path, flags: &str) -> Result<Command, Error> {
    let log = File::create(directory.join(LOG)).doing(|| "open the TPM's log")?;
    let mut command = Command::new(SWTPM);
    command
        .args(["socket", "--tpm2", "--flags", flags, "--tpmstate", &format!("dir={STATE}")])
        .current_dir(directory)
        .stdin(Stdio::null())
        .stdout(log.try_clone().doing(|| "share a log")?)
        .stderr(log)
        .kill_on_drop(true);
    Ok(command)
}

async fn made(directory: &Path, serial: &str) -> Result<(), Error> {
    let state = directory.join(STATE);
    let is_there = || state.join("tpm2-00.permall").exists();
    if is_there() {
        return Ok(());
    }
    // The authority of all of them founds itself at the first.
    let _alone = MAKING.lock().await;
    if is_there() { Ok(()) } else { make(directory, &state, serial).await }
}

/// Makes it, with an authority of the lab's own: the system's is root's, and for good.
async fn make(directory: &Path, state: &Path, serial: &str) -> Result<(), Error> {
    // One for all machines of the lab, whose directory is two above theirs.
    let authority = directory.ancestors().nth(2).unwrap_or(directory).join("tpm-authority");
    for path in [state, &authority] {
        fs::create_dir_all(path).doing(|| format!("create {}", path.display()))?;
    }
    let at = authority.display();
    let own = authority.join("authority.conf");
    let text = format!(
        "statedir = {at}\nsigningkey = {at}/signkey.pem\nissuercert = {at}/issuercert.pem\ncertserial = {at}/certserial\n"
    );
    fs::write(&own, text).doing(|| format!("write {}", own.display()))?;
    let setup = authority.join("setup.conf");
    let text = format!(
        "create_certs_tool = /usr/bin/swtpm_localca\ncreate_certs_tool_config = {}\ncreate_certs_tool_options = /etc/swtpm-localca.options\n",
        own.display()
    );
    fs::write(&setup, text).doing(|| format!("write {}", setup.display()))?;
    let output = Command::new(SWTPM_SETUP)
        .args([
            "--tpm2",
            "--createek",
            "--create-ek-cert",
            "--create-platform-cert",
            "--lock-nvram",
            "--overwrite",
        ])
        .args(["--vmid", serial, "--tpmstate"])
        .arg(state)
        .arg("--config")
        .arg(&setup)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .doing(|| "run swtpm_setup")?;
    if output.status.success() {
        return Ok(());
    }
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    let last = said.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("it said nothing");
    Err(Error::new(format!("make a TPM: {last}")))
}
