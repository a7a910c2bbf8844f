//! The installer: a kernel, the modules and programs to install with, and the agent as the first process.
//!
//! In go packages and an agent; out comes a directory with `vmlinuz`, `installer.img`, `agent.img` and `manifest.json`.

use crate::elf::Elf;
use crate::error::{Error, at};
use crate::list::{self, List};
use crate::manifest::{File, Manifest};
use crate::modules::{Module, Modules, name_of};
use crate::packages::{Cache, Step, Wanted, digest};
use crate::place::Draft;
use crate::request::{self, Built, Request};
use crate::source::Source;
use crate::tree::{Node, Tree, followed};
use crate::{grub, newc, programs};
use std::fs;
use std::io::{self, Write};
use std::path::Path;

/// What an installer should not pass, all files together: a zone's machines fetch it at once.
pub const BYTES_MAX: u64 = 40_000_000;
/// How hard libzstd works on a release, and with [`Request::is_fast`].
pub(crate) const LEVELS: (i32, i32) = (19, 6);
/// The kernel's files below `/usr/lib/modules`.
const MODULES: &str = "usr/lib/modules";
/// Where programs of added packages are.
const PROGRAMS: [&str; 2] = ["usr/bin/", "usr/sbin/"];

/// Builds an installer whose `/init` is `agent`, a static program; `step` hears what is being done.
pub fn build(request: &Request, agent: &Path, step: &mut dyn FnMut(Step)) -> Result<Built, Error> {
    let agent = static_program(agent)?;
    let list = list::installer();
    let draft = Draft::begin(&request.output)?;
    let cache = Cache::open(&request.cache, step)?;
    let lock = request::locked(request, &list.packages, Wanted::Libraries, &cache, step)?;
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
    let packages = request::origins(&lock.packages);
    let manifest = Manifest { kind: "installer".to_owned(), kernel, modules: count, absent, files, packages };
    request::finish(request, draft, &lock, manifest)
}

/// The agent, if it can be the first process: it has no libraries there but its own.
fn static_program(path: &Path) -> Result<Vec<u8>, Error> {
    let content = fs::read(path).map_err(at("read", path))?;
    let wrong = |why: &str| Error::Lacks(format!("{} cannot be the first process: {why}", path.display()));
    let elf = Elf::of(&content).map_err(|why| wrong(&why.to_string()))?;
    if elf.interpreter().is_some() || !elf.needed().is_empty() {
        return Err(wrong("it needs libraries of the system; `cargo xtask agent` makes one that needs none"));
    }
    Ok(content)
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
        let told = static_program(&this).err().map(|error| error.to_string()).unwrap_or_default();
        assert!(told.contains("cargo xtask agent"), "{told}");
    }
}
