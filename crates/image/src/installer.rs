//! The installer: a kernel, the modules and programs to install with, and the agent as the first process.
//!
//! In go packages and an agent; out comes a directory with `vmlinuz`, `installer.img`, `agent.img` and `manifest.json`.

use crate::elf::Elf;
use crate::error::{Error, at};
use crate::list::{self, List};
use crate::lock::{Lock, Package};
use crate::manifest::{self, File, Image, Manifest, Origin};
use crate::modules::{Module, Modules, name_of};
use crate::packages::{self, Cache, Step, digest};
use crate::place::{self, Draft};
use crate::source::Source;
use crate::tree::{Node, Tree, followed};
use crate::{grub, newc, programs};
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// What an installer should not pass, all files together: a zone's machines fetch it at once.
pub const BYTES_MAX: u64 = 40_000_000;
/// How hard libzstd works on a release, and with [`Request::is_fast`].
const LEVELS: (i32, i32) = (19, 6);
/// The kernel's files below `/usr/lib/modules`.
const MODULES: &str = "usr/lib/modules";
/// Where programs of added packages are.
const PROGRAMS: [&str; 2] = ["usr/bin/", "usr/sbin/"];

/// What to build, and from what.
#[derive(Clone, Debug)]
pub struct Request {
    /// Where the image comes to lie; its lock is `OUTPUT.lock`.
    pub output: PathBuf,
    /// Debian's flavour of the kernel: `amd64`, `cloud-amd64`.
    pub kernel: String,
    /// The static program that becomes `/init`.
    pub agent: PathBuf,
    /// Where packages are kept.
    pub cache: PathBuf,
    /// Packages besides the installer's own.
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

/// Builds an installer; `step` hears what is being done.
pub fn build(request: &Request, step: &mut dyn FnMut(Step)) -> Result<Built, Error> {
    let agent = agent(&request.agent)?;
    let list = list::installer();
    let draft = Draft::begin(&request.output)?;
    let cache = Cache::open(&request.cache, step)?;
    let lock = locked(request, &list, &cache, step)?;
    let source = Source::open(&cache, &lock.packages, &draft.directory, step)?;

    let kernel = source.kernel()?;
    let (mut tree, count, absent) = content(&source, &kernel, &list, &lock.add)?;
    grub::put(&mut tree, &source, &list, &draft.directory.join("grub"))?;
    let vmlinuz = draft.directory.join("vmlinuz");
    fs::write(&vmlinuz, source.file(&format!("boot/vmlinuz-{kernel}"))?).map_err(at("write", &vmlinuz))?;
    let level = if request.is_fast { LEVELS.1 } else { LEVELS.0 };
    pack(&draft.directory, "installer.img", &tree, level, step)?;
    let mut first = Tree::default();
    first.put("init", Node::File(0o755, agent))?;
    pack(&draft.directory, "agent.img", &first, level, step)?;

    let mut files = Vec::new();
    for name in ["agent.img", "installer.img", "vmlinuz"] {
        let path = draft.directory.join(name);
        let (size, sha256) = digest(&path).map_err(at("read", &path))?;
        files.push(File { name: name.to_owned(), size, sha256, chunks: Vec::new() });
    }
    let origin = |it: &Package| Origin {
        name: it.name.clone(),
        version: it.version.clone(),
        sha256: it.sha256.clone(),
    };
    let packages = lock.packages.iter().map(origin).collect();
    let manifest = Manifest { kind: "installer".to_owned(), kernel, modules: count, absent, files, packages };
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

/// The agent, if it can be the first process: it has no libraries there but its own.
fn agent(path: &Path) -> Result<Vec<u8>, Error> {
    let content = fs::read(path).map_err(at("read", path))?;
    let wrong = |why: &str| Error::Lacks(format!("{} cannot be the first process: {why}", path.display()));
    let elf = Elf::of(&content).map_err(|why| wrong(&why.to_string()))?;
    if elf.interpreter().is_some() || !elf.needed().is_empty() {
        return Err(wrong("it needs libraries of the system; `cargo xtask agent` makes one that needs none"));
    }
    Ok(content)
}

/// The packages of the lock, or chosen anew; all are in the cache then.
fn locked(request: &Request, list: &List, cache: &Cache, step: &mut dyn FnMut(Step)) -> Result<Lock, Error> {
    let path = lock_of(&request.output);
    let mut add = request.add.clone();
    add.sort();
    add.dedup();
    let sources = request.sources.as_deref();
    if !request.is_update {
        match fs::read_to_string(&path) {
            Ok(text) => {
                let lock = Lock::read(&text).map_err(|source| Error::Lock { path: path.clone(), source })?;
                if lock.kernel != request.kernel || lock.add != add {
                    return Err(Error::Lacks(format!(
                        "{} is the lock of an installer with the kernel {}{}: ask for the same, or choose anew with --update",
                        path.display(),
                        lock.kernel,
                        lock.add.iter().map(|name| format!(" and {name}")).collect::<String>()
                    )));
                }
                let has = |name: &&String| lock.packages.iter().any(|package| package.name == **name);
                if let Some(name) = list.packages.iter().find(|name| !has(name)) {
                    return Err(Error::Lacks(format!(
                        "{} was made before {name} was part of the installer: choose anew with --update",
                        path.display()
                    )));
                }
                packages::gather(cache, sources, &lock.packages, step)?;
                return Ok(lock);
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(at("read", &path)(error)),
        }
    }
    let mut names = vec![format!("linux-image-{}", request.kernel)];
    names.extend(list.packages.iter().chain(&add).cloned());
    let packages = packages::choose(cache, sources, &names, step)?;
    Ok(Lock { kernel: request.kernel.clone(), add, packages })
}

/// What is in `installer.img`, how many modules are among it, and which the kernel does not have.
fn content(
    source: &Source,
    kernel: &str,
    list: &List,
    added: &[String],
) -> Result<(Tree, usize, Vec<String>), Error> {
    let mut tree = Tree::merged();
    for directory in &list.directories {
        let permissions = if directory == "tmp" { 0o1777 } else { 0o755 };
        tree.put(directory, Node::Directory(permissions))?;
    }
    // The kernel opens it for the first process before that runs, and before anything is mounted.
    tree.put("dev/console", Node::Device(0o600, 5, 1))?;

    let look = |path: &str| source.get(path);
    let program = |name: &str| {
        PROGRAMS
            .iter()
            .map(|directory| format!("{directory}{name}"))
            .find(|path| source.paths.contains_key(path))
            .ok_or_else(|| Error::Lacks(format!("none of the packages has the program {name}")))
    };
    for name in &list.programs {
        programs::add(&mut tree, &program(name)?, &look)?;
    }
    for path in &list.files {
        programs::add(&mut tree, path, &look)?;
    }
    for (name, archive) in source.archives.iter().filter(|(name, _)| added.contains(name)) {
        let mut is_used = false;
        for path in archive.paths() {
            is_used |= path.starts_with(FIRMWARE);
            if PROGRAMS.iter().any(|directory| path.starts_with(directory)) {
                programs::add(&mut tree, path, &look)?;
                is_used = true;
            }
        }
        if !is_used {
            return Err(Error::Lacks(format!(
                "{name} has neither programs nor firmware: there is nothing to add"
            )));
        }
    }

    let (count, absent) = modules(&mut tree, source, kernel, list)?;
    Ok((tree, count, absent))
}

/// Where drivers' files are.
const FIRMWARE: &str = "usr/lib/firmware/";

/// Puts the modules, their lists and their firmware.
fn modules(
    tree: &mut Tree,
    source: &Source,
    kernel: &str,
    list: &List,
) -> Result<(usize, Vec<String>), Error> {
    let directory = format!("{MODULES}/{kernel}");
    let below = format!("{directory}/kernel/");
    let mut all = Vec::new();
    for path in source.below(&below).filter(|path| name_of(path).is_some()) {
        let content = source.file(path)?;
        let wrong = |why: &str| Error::Lacks(format!("failed to read the module /{path}: {why}"));
        let elf = Elf::of(&content).map_err(|why| match path.ends_with(".ko") {
            true => wrong(&why.to_string()),
            false => wrong("modules that are compressed one by one are not read; Debian 12 has none"),
        })?;
        let information = elf.section(".modinfo").ok_or_else(|| wrong("it says nothing of itself"))?;
        all.push(Module::read(path.strip_prefix(&format!("{directory}/")).unwrap_or(path), information));
    }
    let built_in = source.file(&format!("{directory}/modules.builtin"))?;
    let modules = Modules::new(all, &String::from_utf8_lossy(&built_in));

    let at_once = modules.choose(list.at_once.iter().map(String::as_str));
    let chosen = modules.choose(list.at_once.iter().chain(&list.by_device).map(String::as_str));
    let mut order = String::new();
    for module in at_once.order.iter().filter_map(|name| modules.get(name)) {
        order += &format!("/lib/modules/{kernel}/{}\n", module.path);
    }
    let mut put = |path: String, text: String| tree.put(&path, Node::File(0o644, text.into_bytes()));
    put(format!("{MODULES}/order"), order)?;
    put(format!("{directory}/modules.dep"), modules.dependencies(&chosen.order))?;
    put(format!("{directory}/modules.alias"), modules.aliases(&chosen.order))?;
    put(format!("{directory}/modules.softdep"), modules.soft_dependencies(&chosen.order))?;
    for module in chosen.order.iter().filter_map(|name| modules.get(name)) {
        let path = format!("{directory}/{}", module.path);
        tree.put(&path, Node::File(0o644, source.file(&path)?))?;
        for name in &module.firmware {
            firmware(tree, source, name)?;
        }
    }
    Ok((chosen.order.len(), chosen.absent))
}

/// Puts a file that a driver asks for, if a package has it, and what it leads to.
fn firmware(tree: &mut Tree, source: &Source, name: &str) -> Result<(), Error> {
    let path = followed(FIRMWARE, name);
    if path.starts_with(FIRMWARE) && source.paths.contains_key(&path) {
        programs::add(tree, &path, &|path| source.get(path))?;
    }
    Ok(())
}

/// Writes a tree as a compressed archive.
fn pack(
    directory: &Path,
    name: &'static str,
    tree: &Tree,
    level: i32,
    step: &mut dyn FnMut(Step),
) -> Result<(), Error> {
    let all =
        tree.iter().map(|(_, node)| if let Node::File(_, content) = node { content.len() as u64 } else { 0 });
    let path = directory.join(name);
    let mut told = Told { done: 0, all: all.sum(), name, step };
    let mut packed = || -> io::Result<()> {
        let file = fs::File::create(&path)?;
        // One thread: with several, libzstd cuts the content into parts, and the octets are others.
        let mut encoder = zstd::Encoder::new(file, level)?;
        encoder.include_checksum(true)?;
        newc::write(tree, &mut Both { encoder: &mut encoder, told: &mut told })?;
        encoder.finish()?;
        Ok(())
    };
    packed().map_err(at("write", &path))
}

struct Told<'a> {
    done: u64,
    all: u64,
    name: &'static str,
    step: &'a mut dyn FnMut(Step),
}

/// Compresses, and tells how far it is.
struct Both<'a, 'b, W> {
    encoder: &'a mut W,
    told: &'a mut Told<'b>,
}

impl<W: Write> Write for Both<'_, '_, W> {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        let written = self.encoder.write(octets)?;
        let told = &mut *self.told;
        told.done = (told.done + written as u64).min(told.all);
        (told.step)(Step::Packing(told.name, told.done, told.all));
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.encoder.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The test itself is a program that needs the system's libraries.
    #[test]
    fn an_agent_that_needs_libraries_is_refused() {
        let this = std::env::current_exe().unwrap();
        let told = agent(&this).err().map(|error| error.to_string()).unwrap_or_default();
        assert!(told.contains("cargo xtask agent"), "{told}");
    }

    #[test]
    fn a_lock_lies_beside_its_image() {
        assert_eq!(lock_of(Path::new("images/installer")), Path::new("images/installer.lock"));
        assert_eq!(lock_of(Path::new("images/a.b/")), Path::new("images/a.b.lock"));
    }
}
