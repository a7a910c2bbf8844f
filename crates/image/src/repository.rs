//! The locked packages as a source of packages: all that `apt` inside an image can have.

use crate::apt;
use crate::error::{Error, at};
use crate::lock::Package;
use crate::packages::{Cache, Step};
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;

/// Where the header of the first member of an archive begins (ar(5)), and in it the time, decimal, 12 columns.
const TIME_AT: u64 = 8 + 16;
const TIME_COLUMNS: usize = 12;

/// Fills a directory with the packages, each hashed just now, and the list of them. Gives the time of the newest, seconds since
/// 1970: an image of the same packages is of the same time.
pub(crate) fn fill(
    directory: &Path,
    cache: &Cache,
    packages: &[Package],
    step: &mut dyn FnMut(Step),
) -> Result<u64, Error> {
    fs::create_dir(directory).map_err(at("make", directory))?;
    let mut list = String::new();
    let mut newest = 0;
    for (number, package) in packages.iter().enumerate() {
        step(Step::Reading(number, packages.len()));
        let kept = cache.take(package)?.ok_or_else(|| {
            Error::Lacks(format!("{} was removed from the cache while it was read", package.name))
        })?;
        let name = format!("{}.deb", package.sha256);
        let path = directory.join(&name);
        fs::hard_link(&kept, &path)
            .or_else(|_| fs::copy(&kept, &path).map(drop))
            .map_err(at("write", &path))?;
        newest = newest.max(time(&path)?);
        let mut command = apt::plain("dpkg-deb");
        command.arg("--field").arg(&path);
        let output = apt::ended("dpkg-deb --field", command.output())?;
        list += String::from_utf8_lossy(&output.stdout).trim_end();
        list += &format!("\nFilename: ./{name}\nSize: {}\nSHA256: {}\n\n", package.size, package.sha256);
    }
    step(Step::Reading(packages.len(), packages.len()));
    let path = directory.join("Packages");
    fs::write(&path, list).map_err(at("write", &path))?;
    Ok(newest)
}

/// When a package was made: `dpkg-deb` writes the time of the last entry of its changelog.
fn time(path: &Path) -> Result<u64, Error> {
    let mut text = [0; TIME_COLUMNS];
    let read = File::open(path).and_then(|file| file.read_exact_at(&mut text, TIME_AT));
    read.map_err(at("read", path))?;
    let text = String::from_utf8_lossy(&text);
    text.trim_end()
        .parse()
        .map_err(|_| Error::Lacks(format!("{} is no package: it has no time", path.display())))
}
