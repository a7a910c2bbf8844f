//! Programs, and the libraries without which they do not start.

use crate::archive::Found;
use crate::elf::Elf;
use crate::error::Error;
use crate::tree::{Node, Tree, followed, merged};

/// Where the dynamic linker of Debian looks by itself, in its order.
const LIBRARIES: [&str; 3] = ["usr/lib/x86_64-linux-gnu", "usr/lib64", "usr/lib"];

/// Puts a file at its path, and with it what it leads to and what it needs to run.
///
/// `look` says what stands at a path of a merged `/usr`.
pub(crate) fn add(
    tree: &mut Tree,
    path: &str,
    look: &dyn Fn(&str) -> Result<Option<Found>, Error>,
) -> Result<(), Error> {
    let mut waiting = vec![(path.to_owned(), String::from("the image"))];
    while let Some((path, wanted_by)) = waiting.pop() {
        if tree.get(&path).is_some() {
            continue;
        }
        let Some(found) = look(&path)? else {
            return Err(Error::Lacks(format!("{wanted_by} needs /{path}, which none of the packages has")));
        };
        match found {
            Found::Link(target) => {
                let target = followed(&path, &target);
                // From the root: where the link was relative, the directory may have been another before `/usr` was merged.
                tree.put(&path, Node::Link(format!("/{target}")))?;
                waiting.push((target, format!("/{path}")));
            }
            Found::File(permissions, content) => {
                if let Ok(elf) = Elf::of(&content) {
                    let by = format!("/{path}");
                    waiting.extend(elf.interpreter().map(|path| (merged(path), by.clone())));
                    for name in elf.needed() {
                        waiting.push((library(name, &by, look)?, by.clone()));
                    }
                }
                tree.put(&path, Node::File(permissions, content))?;
            }
        }
    }
    Ok(())
}

fn library(
    name: &str,
    wanted_by: &str,
    look: &dyn Fn(&str) -> Result<Option<Found>, Error>,
) -> Result<String, Error> {
    for directory in LIBRARIES {
        let path = format!("{directory}/{name}");
        if look(&path)?.is_some() {
            return Ok(path);
        }
    }
    Err(Error::Lacks(format!("{wanted_by} needs the library {name}, which none of the packages has")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::elf::tests::made;
    use expect_test::{Expect, expect};

    const LINKER: &str = "/lib64/ld.so";

    fn file(needed: &[&str]) -> Found {
        Found::File(0o755, made(Some(LINKER), needed, b""))
    }

    fn check(path: &str, expect: Expect) {
        let link = |target: &str| Found::Link(target.to_owned());
        let there = [
            ("usr/sbin/mkfs.ext4", link("mke2fs")),
            ("usr/sbin/mke2fs", file(&["libext2fs.so.2", "libc.so.6"])),
            ("usr/sbin/broken", file(&["libgone.so.1"])),
            ("usr/sbin/script", Found::File(0o755, b"#!/bin/sh\n".to_vec())),
            ("usr/lib/x86_64-linux-gnu/libext2fs.so.2", link("libext2fs.so.2.4")),
            (
                "usr/lib/x86_64-linux-gnu/libext2fs.so.2.4",
                Found::File(0o644, made(None, &["libc.so.6"], b"")),
            ),
            ("usr/lib/x86_64-linux-gnu/libc.so.6", Found::File(0o755, made(Some(LINKER), &[], b""))),
            ("usr/lib/libc.so.6", Found::File(0o755, vec![])),
            ("usr/lib64/ld.so", link("../lib/x86_64-linux-gnu/ld.so")),
            ("usr/lib/x86_64-linux-gnu/ld.so", Found::File(0o755, made(None, &[], b""))),
        ];
        let look =
            |path: &str| Ok(there.iter().find(|(name, _)| *name == path).map(|(_, found)| found.clone()));
        let mut tree = Tree::default();
        let told = match add(&mut tree, path, &look) {
            Err(error) => error.to_string(),
            Ok(()) => tree
                .iter()
                .filter_map(|(path, node)| match node {
                    Node::Directory(_) => None,
                    Node::Link(target) => Some(format!("{path} → {target}\n")),
                    _ => Some(format!("{path}\n")),
                })
                .collect(),
        };
        expect.assert_eq(&told);
    }

    #[test]
    fn a_program_brings_its_libraries() {
        check(
            "usr/sbin/mkfs.ext4",
            expect![[r#"
                usr/lib/x86_64-linux-gnu/ld.so
                usr/lib/x86_64-linux-gnu/libc.so.6
                usr/lib/x86_64-linux-gnu/libext2fs.so.2 → /usr/lib/x86_64-linux-gnu/libext2fs.so.2.4
                usr/lib/x86_64-linux-gnu/libext2fs.so.2.4
                usr/lib64/ld.so → /usr/lib/x86_64-linux-gnu/ld.so
                usr/sbin/mke2fs
                usr/sbin/mkfs.ext4 → /usr/sbin/mke2fs
            "#]],
        );
        check(
            "usr/sbin/script",
            expect![[r#"
            usr/sbin/script
        "#]],
        );
    }

    #[test]
    fn what_is_missing_is_named() {
        check(
            "usr/sbin/broken",
            expect!["/usr/sbin/broken needs the library libgone.so.1, which none of the packages has"],
        );
        check("usr/sbin/gone", expect!["the image needs /usr/sbin/gone, which none of the packages has"]);
    }
}
