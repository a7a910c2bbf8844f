//! The archive that Linux unpacks as its first root: cpio in the form "newc".
//!
//! The same tree always gives the same octets: times, owners and devices are 0, inodes are counted. Each file is by itself, without
//! hard links. Format: Documentation/driver-api/early-userspace/buffer-format.rst of the kernel.

use crate::tree::{Node, Tree};
use std::io::{self, Write};

const DIRECTORY: u32 = 0o040_000;
const FILE: u32 = 0o100_000;
const LINK: u32 = 0o120_000;
const CHARACTER_DEVICE: u32 = 0o020_000;
/// The name of the entry that ends an archive.
const TRAILER: &str = "TRAILER!!!";
/// A reader looks for the next archive at a multiple of this; whole blocks let `cpio` read it from anything.
const BLOCK: u64 = 512;

/// Writes a tree. Fails if writing does, or if a file has 4 GiB or more, which the format cannot say.
pub(crate) fn write(tree: &Tree, out: &mut impl Write) -> io::Result<()> {
    let mut out = Counted { out, written: 0 };
    for ((path, node), inode) in tree.iter().zip(1u32..) {
        let (mode, links, device, content): (u32, u32, (u32, u32), &[u8]) = match node {
            Node::Directory(permissions) => (DIRECTORY | permissions, 2, (0, 0), &[]),
            Node::File(permissions, content) => (FILE | permissions, 1, (0, 0), content),
            Node::Link(target) => (LINK | 0o777, 1, (0, 0), target.as_bytes()),
            Node::Device(permissions, major, minor) => {
                (CHARACTER_DEVICE | permissions, 1, (*major, *minor), &[])
            }
        };
        entry(&mut out, path, inode, mode, links, device, content)?;
    }
    entry(&mut out, TRAILER, 0, 0, 1, (0, 0), &[])?;
    out.pad(BLOCK)
}

fn entry(
    out: &mut Counted<'_, impl Write>,
    path: &str,
    inode: u32,
    mode: u32,
    links: u32,
    (major, minor): (u32, u32),
    content: &[u8],
) -> io::Result<()> {
    let too_large =
        |_| io::Error::new(io::ErrorKind::FileTooLarge, format!("/{path} is too large for an archive"));
    let size = u32::try_from(content.len()).map_err(too_large)?;
    let name_size = u32::try_from(path.len() + 1).map_err(too_large)?;
    // inode, mode, user, group, links, time, size, device of the file (2), device it is (2), size of the name, checksum
    let fields = [inode, mode, 0, 0, links, 0, size, 0, 0, major, minor, name_size, 0];
    let mut header = String::from("070701");
    for field in fields {
        header += &format!("{field:08x}");
    }
    out.put(header.as_bytes())?;
    out.put(path.as_bytes())?;
    out.put(&[0])?;
    out.pad(4)?;
    out.put(content)?;
    out.pad(4)
}

/// Counts what was written, to know how much is missing to a whole block.
struct Counted<'out, W> {
    out: &'out mut W,
    written: u64,
}

impl<W: Write> Counted<'_, W> {
    fn put(&mut self, octets: &[u8]) -> io::Result<()> {
        self.written += octets.len() as u64;
        self.out.write_all(octets)
    }

    fn pad(&mut self, to: u64) -> io::Result<()> {
        while !self.written.is_multiple_of(to) {
            self.put(&[0])?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(entries: &[(&str, Node)]) -> Vec<u8> {
        let mut tree = Tree::default();
        for (path, node) in entries {
            tree.put(path, node.clone()).unwrap();
        }
        let mut out = Vec::new();
        write(&tree, &mut out).unwrap();
        out
    }

    #[test]
    fn an_entry_is_as_the_kernel_wants_it() {
        let out = written(&[("init", Node::File(0o755, b"hello".to_vec()))]);
        let expected = concat!(
            "070701",
            "00000001", // inode
            "000081ed", // a file, 0755
            "00000000",
            "00000000", // root
            "00000001", // links
            "00000000", // time
            "00000005", // size
            "00000000",
            "00000000",
            "00000000",
            "00000000", // devices
            "00000005", // the name with its NUL
            "00000000",
            "init\0\0", // 110 + 5 octets, padded to 116
            "hello\0\0\0",
            "070701"
        );
        assert_eq!(String::from_utf8_lossy(&out[..expected.len()]), expected);
        assert_eq!(out.len() % 512, 0);
    }

    #[test]
    fn the_order_of_adding_does_not_matter() {
        let device = ("dev/console", Node::Device(0o600, 5, 1));
        let link = ("bin", Node::Link("usr/bin".into()));
        let file = ("a", Node::File(0o644, vec![0; 3]));
        assert_eq!(written(&[device.clone(), link.clone(), file.clone()]), written(&[file, device, link]));
    }

    #[test]
    fn a_device_has_its_numbers() {
        let out = written(&[("c", Node::Device(0o600, 5, 1))]);
        let text = String::from_utf8_lossy(&out).into_owned();
        assert!(text.starts_with("0707010000000100002180"), "{text}");
        assert_eq!(&text[78..94], "0000000500000001");
    }
}
