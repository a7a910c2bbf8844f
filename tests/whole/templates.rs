//! Our templates for distributions' installers, as rendered for a machine with a bond and a tagged network, judged by the
//! programs that read them.

use crate::bmc::python;
use crate::network::have;
use std::path::PathBuf;
use std::process::Command;

/// The rendered text that the tests of `render` hold.
fn rendered(name: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "../render/tests/templates", name].iter().collect()
}

fn judged(command: &mut Command) {
    let output = command.output().expect("it runs");
    let said = [output.stdout, output.stderr].map(|octets| String::from_utf8_lossy(&octets).into_owned());
    assert!(output.status.success(), "{command:?}\n{}", said.concat());
}

#[test]
fn debconf_accepts_the_preseed() {
    if have(&["debconf-set-selections"]) {
        judged(Command::new("debconf-set-selections").arg("-c").arg(rendered("preseed.cfg")));
    }
}

#[test]
fn pykickstart_accepts_the_kickstart_file() {
    let Some(validator) = python("ksvalidator") else { return };
    for version in ["RHEL9", "F40"] {
        judged(Command::new(&validator).args(["-v", version]).arg(rendered("ks.cfg")));
    }
}

#[test]
fn cloud_init_accepts_what_it_is_told() {
    if have(&["cloud-init"]) {
        for name in ["user-data", "cloud-config", "autoinstall"] {
            judged(Command::new("cloud-init").args(["schema", "--config-file"]).arg(rendered(name)));
        }
    }
}
