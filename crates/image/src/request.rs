//! What every image is built from and ends as: a request, the packages of a lock, and a directory put at its place.

use crate::error::{Error, at};
use crate::lock::{Lock, Package};
use crate::manifest::{self, Image, Manifest, Origin};
use crate::packages::{self, Cache, Step, Wanted};
use crate::place::{self, Draft};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// What to build, and from what.
#[derive(Clone, Debug)]
pub struct Request {
    /// Where the image comes to lie; its lock is `OUTPUT.lock`.
    pub output: PathBuf,
    /// Debian's flavour of the kernel: `amd64`, `cloud-amd64`.
    pub kernel: String,
    /// Where packages are kept.
    pub cache: PathBuf,
    /// Packages besides the image's own.
    pub add: Vec<String>,
    /// A list of sources other than the system's.
    pub sources: Option<PathBuf>,
    /// Choose packages anew, whatever the lock says.
    pub is_update: bool,
    /// Compress less.
    pub is_fast: bool,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Built {
    /// The image.
    pub image: Image,
    /// The digest of what was there before.
    pub before: Option<String>,
}

/// Where the lock of an image lies.
pub fn lock_of(output: &Path) -> PathBuf {
    let mut name = output.file_name().unwrap_or_default().to_owned();
    name.push(".lock");
    output.with_file_name(name)
}

/// The packages of the lock, or chosen anew: the kernel's, those of the image's list and those that were added. All are in the cache then.
pub(crate) fn locked(
    request: &Request,
    list: &[String],
    wanted: Wanted,
    cache: &Cache,
    step: &mut dyn FnMut(Step),
) -> Result<Lock, Error> {
    let path = lock_of(&request.output);
    let mut add = request.add.clone();
    add.sort();
    add.dedup();
    let sources = request.sources.as_deref();
    if !request.is_update {
        match fs::read_to_string(&path) {
            Ok(text) => {
                let lock = Lock::read(&text).map_err(|source| Error::Lock { path: path.clone(), source })?;
                is_of(&lock, request, &add, list, &path)?;
                packages::gather(cache, sources, &lock.packages, step)?;
                return Ok(lock);
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(at("read", &path)(error)),
        }
    }
    let mut names = vec![format!("linux-image-{}", request.kernel)];
    names.extend(list.iter().chain(&add).cloned());
    let packages = packages::choose(cache, sources, &names, wanted, step)?;
    Ok(Lock { kernel: request.kernel.clone(), add, packages })
}

/// Whether a lock is for what is asked for.
fn is_of(lock: &Lock, request: &Request, add: &[String], list: &[String], path: &Path) -> Result<(), Error> {
    if lock.kernel != request.kernel || lock.add != add {
        return Err(Error::Lacks(format!(
            "{} is the lock of an image with the kernel {}{}: ask for the same, or choose anew with --update",
            path.display(),
            lock.kernel,
            lock.add.iter().map(|name| format!(" and {name}")).collect::<String>()
        )));
    }
    let has = |name: &&String| lock.packages.iter().any(|package| package.name == **name);
    match list.iter().find(|name| !has(name)) {
        None => Ok(()),
        Some(name) => Err(Error::Lacks(format!(
            "{} has no {name}, which belongs to every image of this kind: choose anew with --update",
            path.display()
        ))),
    }
}

/// Writes the manifest and puts the image at its place, unless the same is there; then the lock.
pub(crate) fn finish(
    request: &Request,
    draft: Draft,
    lock: &Lock,
    manifest: Manifest,
) -> Result<Built, Error> {
    let text = manifest::text(&manifest)?;
    let path = draft.directory.join(manifest::FILE);
    fs::write(&path, &text).map_err(at("write", &path))?;
    let image = Image { digest: manifest::digest_of(&text), manifest };

    let before = manifest::read(&request.output)?;
    let is_kept = before.as_ref().is_some_and(|before| {
        before.digest == image.digest && manifest::differences(&request.output, &before.manifest).is_empty()
    });
    if !is_kept {
        draft.put()?;
    }
    place::write(&lock_of(&request.output), &lock.to_string())?;
    Ok(Built { image, before: before.map(|before| before.digest) })
}

/// What the manifest says of packages.
pub(crate) fn origins(packages: &[Package]) -> Vec<Origin> {
    let origin = |it: &Package| Origin {
        name: it.name.clone(),
        version: it.version.clone(),
        sha256: it.sha256.clone(),
    };
    packages.iter().map(origin).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_lies_beside_its_image() {
        assert_eq!(lock_of(Path::new("images/installer")), Path::new("images/installer.lock"));
        assert_eq!(lock_of(Path::new("images/a.b/")), Path::new("images/a.b.lock"));
    }
}
