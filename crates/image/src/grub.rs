//! GRUB as the installer writes it to disks: put together by the `grub-mkimage` of the packages, of their modules.
//!
//! Nothing of the machine that builds is used: the program runs with the libraries and the dynamic linker that came with it.

use crate::apt;
use crate::error::{Error, at};
use crate::list::List;
use crate::programs;
use crate::source::Source;
use crate::tree::{Node, Tree};
use std::fs;
use std::path::Path;
use std::process::Command;

/// Where the files are in the installer.
const PLACE: &str = "usr/lib/zonewright/grub";
const MAKER: &str = "usr/bin/grub-mkimage";
const LINKER: &str = "ld-linux-x86-64.so.2";
/// As many links one after another as Linux follows.
const LINKS_MAX: usize = 40;

/// Partition 2 of the disk that GRUB was started from is where it looks first: the EFI system partition.
const PREFIX: &str = "(,gpt2)/zw";
/// What it does before anything else, one command a line and no conditions. Two disks have the same files, and each starts by its own;
/// if those of one are lost it goes on by the other's.
const EARLY: &str = "\
search --no-floppy --file /zw/grub.cfg --hint $root --set=root
set prefix=($root)/zw
";

/// Puts `boot.img`, `core.img` and `grubx64.efi`. Works in `scratch`, a directory that is made and removed.
pub(crate) fn put(tree: &mut Tree, source: &Source, list: &List, scratch: &Path) -> Result<(), Error> {
    fs::create_dir(scratch).map_err(at("make", scratch))?;
    unpack_maker(source, scratch)?;
    let early = scratch.join("early.cfg");
    fs::write(&early, EARLY).map_err(at("write", &early))?;
    for (platform, modules, name) in
        [("i386-pc", &list.grub_bios, "core.img"), ("x86_64-efi", &list.grub_uefi, "grubx64.efi")]
    {
        let made = made(source, platform, list.grub.iter().chain(modules), scratch)?;
        tree.put(&format!("{PLACE}/{name}"), Node::File(0o644, made))?;
    }
    let boot = source.file("usr/lib/grub/i386-pc/boot.img")?;
    tree.put(&format!("{PLACE}/boot.img"), Node::File(0o644, boot))?;
    fs::remove_dir_all(scratch).map_err(at("remove", scratch))
}

/// Writes the program and its libraries, all into one directory.
fn unpack_maker(source: &Source, scratch: &Path) -> Result<(), Error> {
    let mut tree = Tree::default();
    programs::add(&mut tree, MAKER, &|path| source.get(path))?;
    for (path, node) in tree.iter() {
        let mut found = Some(node);
        for _ in 0..LINKS_MAX {
            let Some(Node::Link(target)) = found else { break };
            found = tree.get(target.trim_start_matches('/'));
        }
        if let Some(Node::File(permissions, content)) = found {
            write(&scratch.join(last(path)), *permissions, content)?;
        }
    }
    Ok(())
}

fn made<'l>(
    source: &Source,
    platform: &str,
    modules: impl Iterator<Item = &'l String>,
    scratch: &Path,
) -> Result<Vec<u8>, Error> {
    let directory = scratch.join(platform);
    fs::create_dir(&directory).map_err(at("make", &directory))?;
    for path in source.below(&format!("usr/lib/grub/{platform}/")) {
        write(&directory.join(last(path)), 0o644, &source.file(path)?)?;
    }
    let result = scratch.join("made");
    let linker = scratch.join(LINKER);
    let mut command = Command::new(&linker);
    command.env_clear().env("LC_ALL", "C").arg("--library-path").arg(scratch).arg(scratch.join(last(MAKER)));
    command.args(["--format", platform, "--prefix", PREFIX, "--directory"]).arg(&directory);
    command.arg("--config").arg(scratch.join("early.cfg")).arg("--output").arg(&result).args(modules);
    let output = command.output().map_err(at("run grub-mkimage by", &linker))?;
    apt::ended("grub-mkimage", Ok(output))?;
    fs::read(&result).map_err(at("read", &result))
}

fn write(path: &Path, permissions: u32, content: &[u8]) -> Result<(), Error> {
    use std::os::unix::fs::PermissionsExt;
    let permissions = fs::Permissions::from_mode(permissions);
    fs::write(path, content).and_then(|()| fs::set_permissions(path, permissions)).map_err(at("write", path))
}

fn last(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}
