//! Boot files: HTTP beside nginx and a bare `sendfile` loop, TFTP beside tftpd-hpa and dnsmasq.
//!
//! All servers send the same file, in memory, by the same name.

mod fetch;
mod http;
mod sendfile;
mod tftp;

pub(crate) use http::section as http;
pub(crate) use sendfile::serve as sendfile;
pub(crate) use tftp::section as tftp;

use crate::arena::{Cores, DIRECTORY, Place};
use crate::process::{Server, zw};
use crate::settings::Settings;
use crate::zone::copy_design;
use std::fs::File;
use std::io::Write as _;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

/// The directory that every server serves; below it is `loader/NAME`, as our paths are.
fn root() -> PathBuf {
    Path::new(DIRECTORY).join("files")
}

/// Writes a file of so many octets, none of which are a hole.
fn write_file(name: &str, length: usize) -> Result<PathBuf, String> {
    let path = root().join("loader").join(name);
    let failed = |error: std::io::Error| format!("failed to write {}: {error}", path.display());
    std::fs::create_dir_all(root().join("loader")).map_err(failed)?;
    let mut file = File::create(&path).map_err(failed)?;
    let mut left = length;
    let mut number = 0_u64;
    while left > 0 {
        let piece: Vec<u8> = (0..(1 << 17))
            .flat_map(|_| {
                number = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
                (number ^ (number >> 29)).to_le_bytes()
            })
            .take(left)
            .collect();
        file.write_all(&piece).map_err(failed)?;
        left -= piece.len();
    }
    Ok(path)
}

/// `zw serve` with these files as its loaders. The zone is the small example: boot files need no large one.
fn ours(place: &Place, cores: Cores, settings: &Settings) -> Result<Server, String> {
    let design = copy_design(&settings.scratch, "examples/pocket", "boot", &[])?;
    let directory = place.directory()?;
    let path = |name: &str| directory.join(name).display().to_string();
    let loaders = root().join("loader").display().to_string();
    let address = place.address.to_string();
    let (zw, state, socket) = (zw()?, path("state"), path("api.sock"));
    let words = [
        &zw,
        "serve",
        &design,
        "--address",
        &address,
        "--loaders",
        &loaders,
        "--state",
        &state,
        "--api-socket",
        &socket,
    ];
    Server::start(place, cores, &words)
}

/// The `number`th client's address: of the example's zone, and no machine's.
fn client(number: usize) -> Ipv4Addr {
    Ipv4Addr::from(u32::from(Ipv4Addr::new(10, 64, 128, 1)) + u32::try_from(number).unwrap_or(0))
}
