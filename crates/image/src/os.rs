//! An operating system: Debian's packages and whatever is laid over them, for machines to have on their disks.
//!
//! In go packages and an overlay; out comes a directory with `root.tar.zst` and `manifest.json`. It is for no machine in particular.

use crate::bootstrap::{self, RELEASE, System};
use crate::chunks::Hashed;
use crate::error::{Error, at};
use crate::installer::LEVELS;
use crate::list;
use crate::lock::Package;
use crate::manifest::Manifest;
use crate::overlay::Overlay;
use crate::packages::{Cache, Step, Wanted};
use crate::place::Draft;
use crate::repository;
use crate::request::{self, Built, Request};
use crate::root::{self, Content};
use api::image::{File, ROOT};
use std::fs;
use std::io::{self, Read, Write};
use std::path::Path;
use std::time::{Duration, SystemTime};

/// So many threads compress, at most: each has some 100 MB at the highest level.
const THREADS_MAX: usize = 8;

/// Builds an operating system with a directory's tree laid over it; `step` hears what is being done.
pub fn build(request: &Request, overlay: Option<&Path>, step: &mut dyn FnMut(Step)) -> Result<Built, Error> {
    let list = list::os().packages;
    let mut over = Overlay::ours(request.kernel.starts_with("cloud"));
    if let Some(directory) = overlay {
        over.add(directory)?;
    }
    let draft = Draft::begin(&request.output)?;
    let cache = Cache::open(&request.cache, step)?;
    let lock = request::locked(request, &list, Wanted::System, &cache, step)?;
    let kernel = kernel_of(&lock.packages)?;
    is_release(&lock.packages)?;

    // What the image is made of, as long as it is being made.
    let work = draft.directory.join("work");
    fs::create_dir(&work).map_err(at("make", &work))?;
    let seconds = repository::fill(&work.join("zw-packages"), &cache, &lock.packages, step)?;
    // Others may have the cache from here on: all that is needed is a name of its own now.
    drop(cache);
    is_later_than(seconds)?;
    over.write(&work.join("zw-overlay.tar"), seconds)?;

    let names: Vec<String> = list
        .into_iter()
        .chain(lock.add.iter().cloned())
        .chain([format!("linux-image-{}", lock.kernel)])
        .collect();
    let system = System {
        directory: &work,
        names: &names,
        count: lock.packages.len(),
        octets: lock.packages.iter().map(|package| package.size).sum(),
        kernel: &kernel,
        seconds,
    };
    let path = draft.directory.join(ROOT);
    let level = if request.is_fast { LEVELS.1 } else { LEVELS.0 };
    let pack = |root, step: &dyn Fn(Step)| packed(root, &path, level, seconds, step);
    let (file, content) = bootstrap::run(&system, pack, step)?;
    fs::remove_dir_all(&work).map_err(at("remove", &work))?;

    is_whole(&content, &kernel)?;
    let installed: Vec<Package> = lock.packages.iter().filter(|it| is_among(it, &content)).cloned().collect();
    let manifest = Manifest {
        kind: "os".to_owned(),
        kernel,
        modules: content.modules,
        absent: Vec::new(),
        files: vec![file],
        packages: request::origins(&installed),
    };
    request::finish(request, draft, &lock, manifest)
}

/// The version of the kernel that the packages have: there is one.
fn kernel_of(packages: &[Package]) -> Result<String, Error> {
    let versions: Vec<&str> = packages
        .iter()
        .filter_map(|package| package.name.strip_prefix("linux-image-"))
        // `linux-image-amd64` stands for the newest; it is empty.
        .filter(|version| version.starts_with(|first: char| first.is_ascii_digit()))
        .collect();
    match versions.as_slice() {
        [version] => Ok((*version).to_owned()),
        [] => Err(Error::Lacks("none of the packages has a kernel".to_owned())),
        several => Err(Error::Lacks(format!("the packages have several kernels: {}", several.join(", ")))),
    }
}

/// Whether the packages are Debian 12's: the image says so to `apt`, and the list is for it.
fn is_release(packages: &[Package]) -> Result<(), Error> {
    let base = packages.iter().find(|package| package.name == "base-files");
    match base {
        Some(base) if base.version.starts_with("12.") => Ok(()),
        _ => Err(Error::Lacks(format!(
            "the packages are not those of Debian 12 (base-files is {}): name a list of sources of {RELEASE} with --sources",
            base.map_or("not there", |base| &base.version)
        ))),
    }
}

/// Files that are made now must not look older than the packages: they would keep the time of the build.
fn is_later_than(seconds: u64) -> Result<(), Error> {
    if SystemTime::now() >= SystemTime::UNIX_EPOCH + Duration::from_secs(seconds) {
        return Ok(());
    }
    Err(Error::Lacks(
        "the clock of this machine is wrong: it is before the newest package was made".to_owned(),
    ))
}

/// Whether the system starts: one kernel with its initial RAM disk.
fn is_whole(content: &Content, kernel: &str) -> Result<(), Error> {
    for (what, versions) in [("kernel", &content.kernels), ("initial RAM disk", &content.ram_disks)] {
        if versions != &[kernel] {
            return Err(Error::Lacks(format!(
                "the image should have one {what}, of {kernel}, and has {}: {}",
                versions.len(),
                versions.join(", ")
            )));
        }
    }
    Ok(())
}

fn is_among(package: &Package, content: &Content) -> bool {
    content.installed.iter().any(|(name, version)| *name == package.name && *version == package.version)
}

/// Compresses a root into a file, and hashes it on the way.
fn packed(
    root: impl Read,
    path: &Path,
    level: i32,
    seconds: u64,
    step: &dyn Fn(Step),
) -> Result<(File, Content), Error> {
    let file = fs::File::create(path).map_err(at("write", path))?;
    let written = || -> io::Result<(File, Content)> {
        let mut encoder = zstd::Encoder::new(Hashed::new(file), level)?;
        encoder.include_checksum(true)?;
        // The octets are the same for one thread or more, and others for none.
        let threads = std::thread::available_parallelism().map_or(1, |count| count.get().min(THREADS_MAX));
        encoder.multithread(u32::try_from(threads).unwrap_or(1))?;
        let root = Counted { root, done: 0, told: 0, step };
        let content = root::rewrite(root, &mut encoder, seconds)?;
        let (mut file, described) = encoder.finish()?.end(ROOT);
        file.flush()?;
        Ok((described, content))
    };
    written().map_err(at("write", path))
}

/// Counts what is read, and tells each few megabytes.
struct Counted<'a, R> {
    root: R,
    done: u64,
    told: u64,
    step: &'a dyn Fn(Step),
}

/// Octets between two that are told.
const TOLD: u64 = 8 << 20;

impl<R: Read> Read for Counted<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.root.read(buffer)?;
        self.done += read as u64;
        if self.done - self.told >= TOLD {
            self.told = self.done;
            (self.step)(Step::Streaming(ROOT, self.done));
        }
        Ok(read)
    }
}
