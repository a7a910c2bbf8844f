//! The lock file: which packages an image was made of, so that it can be made again.
//!
//! A line each: the kernel, the added packages, then name, version, architecture, size and SHA-256 of each package taken. A reader
//! refuses what it does not know: a lock that is half understood locks nothing.

use std::fmt;

const HEAD: &str = "\
# The packages that this image is made of. A build beside this file takes exactly these; `--update` chooses anew.
";

/// One package, exactly.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Package {
    /// `linux-image-6.1.0-56-amd64`.
    pub(crate) name: String,
    /// With its epoch: `1:2.66-4`.
    pub(crate) version: String,
    /// `amd64` or `all`.
    pub(crate) architecture: String,
    /// Octets of the `.deb`.
    pub(crate) size: u64,
    /// Of the `.deb`, 64 hexadecimal digits.
    pub(crate) sha256: String,
}

/// What was asked for, and what was taken.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Lock {
    /// The kernel's flavour: `amd64`, `cloud`.
    pub(crate) kernel: String,
    /// Packages added to the image's own, sorted.
    pub(crate) add: Vec<String>,
    /// Sorted.
    pub(crate) packages: Vec<Package>,
}

/// A line that is none of a lock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreadable {
    /// Counted from 1; 0 if the whole lacks something.
    pub(crate) line: usize,
    why: String,
}

impl fmt::Display for Unreadable {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => formatter.write_str(&self.why),
            line => write!(formatter, "line {line}: {}", self.why),
        }
    }
}

impl std::error::Error for Unreadable {}

impl fmt::Display for Lock {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(formatter, "{HEAD}kernel {}", self.kernel)?;
        for name in &self.add {
            writeln!(formatter, "add {name}")?;
        }
        for it in &self.packages {
            writeln!(
                formatter,
                "package {} {} {} {} {}",
                it.name, it.version, it.architecture, it.size, it.sha256
            )?;
        }
        Ok(())
    }
}

impl Lock {
    /// Reads the text of a lock.
    pub(crate) fn read(text: &str) -> Result<Self, Unreadable> {
        let mut lock = Self::default();
        for (line, number) in text.lines().zip(1..) {
            let wrong = |why: String| Unreadable { line: number, why };
            let words: Vec<&str> = line.split_whitespace().collect();
            match words.as_slice() {
                [] => {}
                [first, ..] if first.starts_with('#') => {}
                ["kernel", kernel] => lock.kernel = (*kernel).to_owned(),
                ["add", name] if is_name(name) => lock.add.push((*name).to_owned()),
                ["package", name, version, architecture, size, sha256] => {
                    let size = size.parse().map_err(|_| wrong(format!("{size} is not a size")))?;
                    if !is_name(name) || !is_version(version) || !is_name(architecture) || !is_digest(sha256)
                    {
                        return Err(wrong("this is no package".to_owned()));
                    }
                    lock.packages.push(Package {
                        name: (*name).to_owned(),
                        version: (*version).to_owned(),
                        architecture: (*architecture).to_owned(),
                        size,
                        sha256: (*sha256).to_owned(),
                    });
                }
                _ => return Err(wrong(format!("{line:?} is not a line of a lock"))),
            }
        }
        if lock.kernel.is_empty() || lock.packages.is_empty() {
            return Err(Unreadable { line: 0, why: "it names no kernel or no packages".to_owned() });
        }
        Ok(lock)
    }
}

/// A package's name, by Debian's policy (5.6.1). It goes to `apt-get` as an argument, and cannot be an option.
pub(crate) fn is_name(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_lowercase() || first.is_ascii_digit())
        && text.bytes().all(|it| it.is_ascii_lowercase() || it.is_ascii_digit() || b"+-.".contains(&it))
}

/// A version, by Debian's policy (5.6.12).
pub(crate) fn is_version(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphanumeric())
        && text.bytes().all(|it| it.is_ascii_alphanumeric() || b".+-~:".contains(&it))
}

/// A SHA-256 as it is written: it is the name of a file.
pub(crate) fn is_digest(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|it| it.is_ascii_digit() || (b'a'..=b'f').contains(&it))
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};

    fn package(name: &str) -> Package {
        Package {
            name: name.into(),
            version: "1:2.3~rc1-4+b1".into(),
            architecture: "amd64".into(),
            size: 17,
            sha256: "0123456789abcdef".repeat(4),
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let lock = Lock {
            kernel: "cloud".into(),
            add: vec!["firmware-bnx2x".into()],
            packages: vec![package("libc6"), package("mdadm")],
        };
        let text = lock.to_string();
        expect![[r#"
            # The packages that this image is made of. A build beside this file takes exactly these; `--update` chooses anew.
            kernel cloud
            add firmware-bnx2x
            package libc6 1:2.3~rc1-4+b1 amd64 17 0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef
            package mdadm 1:2.3~rc1-4+b1 amd64 17 0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef
        "#]]
        .assert_eq(&text);
        assert_eq!(Lock::read(&text), Ok(lock));
    }

    fn check(line: &str, expect: Expect) {
        let text =
            format!("{}{line}\n", Lock { kernel: "amd64".into(), add: vec![], packages: vec![package("a")] });
        expect.assert_eq(&Lock::read(&text).map_or_else(|wrong| wrong.to_string(), |_| "read".into()));
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        let digest = "0".repeat(64);
        check("", expect!["read"]);
        check("mirror example.net", expect![[r#"line 4: "mirror example.net" is not a line of a lock"#]]);
        check("add --option", expect![[r#"line 4: "add --option" is not a line of a lock"#]]);
        check(&format!("package a 1 amd64 1 {digest}"), expect!["read"]);
        check(&format!("package a 1 amd64 some {digest}"), expect!["line 4: some is not a size"]);
        check(&format!("package ../a 1 amd64 1 {digest}"), expect!["line 4: this is no package"]);
        check(&format!("package a -o amd64 1 {digest}"), expect!["line 4: this is no package"]);
        check("package a 1 amd64 1 ../../etc/passwd", expect!["line 4: this is no package"]);
        assert_eq!(Lock::read("").map_err(|wrong| wrong.line), Err(0));
    }
}
