//! The files of an archive before it is written: a path, and what stands there.
//!
//! Paths have no leading slash. Parents come by themselves. What Debian's releases have in `/lib` or in `/usr/lib` stands in
//! `/usr/lib`, and `/lib` is a link: so for `bin`, `sbin` and `lib64`.

use std::collections::BTreeMap;
use std::fmt;

/// The directories of the root that are links into `/usr`.
const MERGED: [&str; 4] = ["bin", "lib", "lib64", "sbin"];

/// What stands at a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Node {
    /// A directory, and its permissions.
    Directory(u32),
    /// A file: its permissions and its content.
    File(u32, Vec<u8>),
    /// A symbolic link, and where it leads.
    Link(String),
    /// A character device, its permissions, and its major and minor number.
    Device(u32, u32, u32),
}

/// Paths and nodes, in the order of the paths' octets: a directory before what is in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tree(BTreeMap<String, Node>);

/// Two things want to stand at one path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taken(pub(crate) String);

impl fmt::Display for Taken {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "two different things want to stand at /{}", self.0)
    }
}

impl std::error::Error for Taken {}

impl Tree {
    /// A root whose `/lib` and its like are links into `/usr`.
    pub(crate) fn merged() -> Self {
        let mut tree = Self::default();
        for name in MERGED {
            tree.0.insert(name.to_owned(), Node::Link(format!("usr/{name}")));
            tree.0.insert(format!("usr/{name}"), Node::Directory(0o755));
        }
        tree.0.insert("usr".to_owned(), Node::Directory(0o755));
        tree
    }

    /// Puts a node at a path, with the directories above it. The same again is fine.
    pub(crate) fn put(&mut self, path: &str, node: Node) -> Result<(), Taken> {
        for (at, _) in path.match_indices('/') {
            let above = &path[..at];
            match self.0.get(above) {
                None => drop(self.0.insert(above.to_owned(), Node::Directory(0o755))),
                Some(Node::Directory(_)) => {}
                Some(_) => return Err(Taken(above.to_owned())),
            }
        }
        match self.0.get(path) {
            Some(there) if *there != node => Err(Taken(path.to_owned())),
            _ => {
                self.0.insert(path.to_owned(), node);
                Ok(())
            }
        }
    }

    /// What stands at a path.
    pub(crate) fn get(&self, path: &str) -> Option<&Node> {
        self.0.get(path)
    }

    /// Everything, in order.
    pub(crate) fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &Node)> {
        self.0.iter().map(|(path, node)| (path.as_str(), node))
    }
}

/// A path as it is in a merged `/usr`: without `./` or `/` in front, and below `usr` if it was below `/lib` and its like.
pub(crate) fn merged(path: &str) -> String {
    let path = path.trim_start_matches("./").trim_matches('/');
    let first = path.split('/').next().unwrap_or_default();
    if MERGED.contains(&first) { format!("usr/{path}") } else { path.to_owned() }
}

/// Where a link at `path` leads, as a path in a merged `/usr`.
pub(crate) fn followed(path: &str, target: &str) -> String {
    let mut parts: Vec<&str> = match target.strip_prefix('/') {
        Some(_) => Vec::new(),
        None => path.split('/').collect(),
    };
    parts.pop();
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    merged(&parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_merged() {
        for (path, expected) in [
            ("./lib/x86_64-linux-gnu/libc.so.6", "usr/lib/x86_64-linux-gnu/libc.so.6"),
            ("/sbin/mke2fs", "usr/sbin/mke2fs"),
            ("usr/sbin/lvm", "usr/sbin/lvm"),
            ("./etc/mke2fs.conf", "etc/mke2fs.conf"),
            ("./library", "library"),
            ("./lib", "usr/lib"),
        ] {
            assert_eq!(merged(path), expected, "{path}");
        }
    }

    #[test]
    fn links_are_followed() {
        for (path, target, expected) in [
            ("usr/lib/libz.so.1", "libz.so.1.2.13", "usr/lib/libz.so.1.2.13"),
            (
                "usr/lib64/ld-linux-x86-64.so.2",
                "/lib/x86_64-linux-gnu/ld.so",
                "usr/lib/x86_64-linux-gnu/ld.so",
            ),
            ("usr/lib/a/b", "../../../lib/c", "usr/lib/c"),
            ("usr/lib/a", "../../../../../etc/c", "etc/c"),
        ] {
            assert_eq!(followed(path, target), expected, "{path} → {target}");
        }
    }

    #[test]
    fn parents_come_by_themselves_and_nothing_is_overwritten() {
        let mut tree = Tree::merged();
        tree.put("usr/lib/a/b", Node::File(0o644, vec![1])).unwrap();
        tree.put("usr/lib/a/b", Node::File(0o644, vec![1])).unwrap();
        assert_eq!(tree.get("usr/lib/a"), Some(&Node::Directory(0o755)));
        assert_eq!(tree.put("usr/lib/a/b", Node::Link("c".into())), Err(Taken("usr/lib/a/b".into())));
        assert_eq!(tree.put("usr/lib/a/b/c", Node::Link("c".into())), Err(Taken("usr/lib/a/b".into())));
        assert_eq!(tree.put("lib/a", Node::Link("c".into())), Err(Taken("lib".into())));
    }
}
