//! A TPM 2.0 by swtpm, with an endorsement key and its certificate.

use super::host::{SWTPM, SWTPM_SETUP};
use super::qmp;
use crate::error::{Doing, Error};
use std::fs::{self, File};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::Path;
use std::process::Stdio;
use tokio::process::{Child, Command};

/// Where a machine's TPM keeps what it knows, in the machine's directory.
pub(super) const STATE: &str = "tpm";

/// Starts the TPM of the machine of this directory and serial number, made at its first start. Also answers the
/// end of the connection that is QEMU's.
///
/// # Errors
/// If it cannot be made or started.
pub(super) async fn start(directory: &Path, serial: &str) -> Result<(Child, OwnedFd), Error> {
    let state = directory.join(STATE);
    if !state.join("tpm2-00.permall").exists() {
        make(directory, &state, serial).await?;
    }
    let (ours, own) = qmp::pair()?;
    let ours = OwnedFd::from(ours);
    let log = File::create(directory.join("tpm.log")).doing(|| "open the TPM's log")?;
    let mut command = Command::new(SWTPM);
    command
        .args(["socket", "--tpm2", "--terminate", "--flags", "startup-clear"])
        .args(["--tpmstate", &format!("dir={STATE}")])
        .args(["--ctrl", &format!("type=unixio,clientfd={}", own.as_raw_fd())])
        .current_dir(directory)
        .stdin(Stdio::null())
        .stdout(log.try_clone().doing(|| "share a log")?)
        .stderr(log)
        .kill_on_drop(true);
    crate::net::hand_down(&mut command, &[own.as_fd()]);
    let child = command.spawn().doing(|| "start swtpm")?;
    Ok((child, ours))
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
