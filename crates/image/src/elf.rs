//! As much of ELF as an image needs: what a program needs to run, and what a module says of itself.
//!
//! Little-endian, 64 bits. In go the octets of a file; whatever they are, the answer is a value and never a panic.

use std::fmt;

const X86_64: u16 = 62;
const INTERPRETER: u32 = 3;
const DYNAMIC: u32 = 6;
const NEEDED: u64 = 1;

/// An ELF file.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Elf<'a> {
    file: &'a [u8],
}

/// Why a file is not one that we read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotElf {
    /// It begins otherwise.
    Other,
    /// It is ELF, and not for 64 bits, little-endian.
    Form,
    /// It is for another processor than x86-64.
    Processor,
}

impl fmt::Display for NotElf {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Other => "it is not an ELF file",
            Self::Form => "it is not ELF of 64 bits",
            Self::Processor => "it is not for x86-64",
        })
    }
}

impl<'a> Elf<'a> {
    /// Looks at the head of a file.
    pub(crate) fn of(file: &'a [u8]) -> Result<Self, NotElf> {
        if !file.starts_with(b"\x7fELF") {
            return Err(NotElf::Other);
        }
        if file.get(4..6) != Some(&[2, 1]) || file.len() < 64 {
            return Err(NotElf::Form);
        }
        if half(file, 18) != Some(X86_64) {
            return Err(NotElf::Processor);
        }
        Ok(Self { file })
    }

    /// The program that loads this one; a static program has none.
    pub(crate) fn interpreter(&self) -> Option<&'a str> {
        let start = usize::try_from(long(self.file, 32)?).ok()?;
        let size = usize::from(half(self.file, 54)?);
        (0..usize::from(half(self.file, 56)?)).find_map(|number| {
            let header = self.file.get(start.checked_add(number * size)?..)?;
            let is_interpreter = word(header, 0)? == INTERPRETER;
            is_interpreter.then(|| self.part(long(header, 8)?, long(header, 32)?).map(text)).flatten()
        })
    }

    /// The names of the libraries that must be there (`DT_NEEDED`).
    pub(crate) fn needed(&self) -> Vec<&'a str> {
        let Some((strings, entries)) = self.dynamic() else { return Vec::new() };
        entries
            .chunks_exact(16)
            .map_while(|entry| Some((long(entry, 0)?, long(entry, 8)?)))
            .take_while(|(tag, _)| *tag != 0)
            .filter(|(tag, _)| *tag == NEEDED)
            .filter_map(|(_, at)| strings.get(usize::try_from(at).ok()?..))
            .map(text)
            .collect()
    }

    /// The section of this name.
    pub(crate) fn section(&self, name: &str) -> Option<&'a [u8]> {
        let names = self.sections().nth(usize::from(half(self.file, 62)?))?;
        let names = self.content(names)?;
        let is_it = |header: &[u8]| {
            let at = word(header, 0).and_then(|at| usize::try_from(at).ok());
            at.and_then(|at| names.get(at..)).is_some_and(|rest| text(rest) == name)
        };
        self.sections().find(|header| is_it(header)).and_then(|header| self.content(header))
    }

    /// The strings of the dynamic section, and its entries.
    fn dynamic(&self) -> Option<(&'a [u8], &'a [u8])> {
        let header = self.sections().find(|header| word(header, 4) == Some(DYNAMIC))?;
        let strings = self.sections().nth(usize::try_from(word(header, 40)?).ok()?)?;
        Some((self.content(strings)?, self.content(header)?))
    }

    fn sections(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let file = self.file;
        let start = long(file, 40).and_then(|at| usize::try_from(at).ok()).unwrap_or(usize::MAX);
        let size = half(file, 58).map_or(0, usize::from);
        let count = half(file, 60).map_or(0, usize::from);
        (0..count).map_while(move |number| {
            let at = start.checked_add(number * size)?;
            file.get(at..at.checked_add(64)?)
        })
    }

    fn content(&self, section: &[u8]) -> Option<&'a [u8]> {
        self.part(long(section, 24)?, long(section, 32)?)
    }

    fn part(&self, at: u64, size: u64) -> Option<&'a [u8]> {
        let at = usize::try_from(at).ok()?;
        self.file.get(at..at.checked_add(usize::try_from(size).ok()?)?)
    }
}

/// Whether a file is a program that needs nothing of the system it runs on.
pub fn is_static(file: &[u8]) -> bool {
    Elf::of(file).is_ok_and(|elf| elf.interpreter().is_none() && elf.needed().is_empty())
}

/// Up to the first NUL; nothing if it is not UTF-8.
fn text(octets: &[u8]) -> &str {
    let end = octets.iter().position(|octet| *octet == 0).unwrap_or(octets.len());
    std::str::from_utf8(&octets[..end]).unwrap_or_default()
}

fn half(octets: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(octets.get(at..at + 2)?.try_into().ok()?))
}

fn word(octets: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(octets.get(at..at + 4)?.try_into().ok()?))
}

fn long(octets: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(octets.get(at..at + 8)?.try_into().ok()?))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;

    /// An ELF file: its interpreter, the libraries it needs, and what its `.modinfo` holds.
    pub(crate) fn made(interpreter: Option<&str>, needed: &[&str], modinfo: &[u8]) -> Vec<u8> {
        let mut strings = vec![0];
        let mut dynamic = Vec::new();
        for name in needed {
            dynamic.extend(NEEDED.to_le_bytes());
            dynamic.extend((strings.len() as u64).to_le_bytes());
            strings.extend(name.as_bytes());
            strings.push(0);
        }
        dynamic.extend([0; 16]);
        let names = b"\0.modinfo\0.dynamic\0.dynstr\0.shstrtab\0";
        let mut file = vec![0; 64 + 56];
        let mut put = |content: &[u8]| {
            let at = file.len() as u64;
            file.extend(content);
            (at, content.len() as u64)
        };
        let path = interpreter.map(|path| put(format!("{path}\0").as_bytes()));
        let places = [put(modinfo), put(&dynamic), put(&strings), put(names)];
        let table = file.len() as u64;
        for ((at, size), (name, kind, link)) in [(0, 0)].into_iter().chain(places).zip([
            (0, 0, 0),
            (1, 1, 0),
            (10, DYNAMIC, 3),
            (19, 3, 0),
            (27, 3, 0),
        ]) {
            let mut header = [0; 64];
            header[..4].copy_from_slice(&u32::to_le_bytes(name));
            header[4..8].copy_from_slice(&kind.to_le_bytes());
            header[24..32].copy_from_slice(&at.to_le_bytes());
            header[32..40].copy_from_slice(&size.to_le_bytes());
            header[40..44].copy_from_slice(&u32::to_le_bytes(link));
            file.extend(header);
        }
        file[..6].copy_from_slice(b"\x7fELF\x02\x01");
        file[18..20].copy_from_slice(&X86_64.to_le_bytes());
        file[32..40].copy_from_slice(&64u64.to_le_bytes());
        file[40..48].copy_from_slice(&table.to_le_bytes());
        for (at, value) in [(54, 56u16), (56, u16::from(path.is_some())), (58, 64), (60, 5), (62, 4)] {
            file[at..at + 2].copy_from_slice(&value.to_le_bytes());
        }
        if let Some((at, size)) = path {
            file[64..68].copy_from_slice(&INTERPRETER.to_le_bytes());
            file[72..80].copy_from_slice(&at.to_le_bytes());
            file[96..104].copy_from_slice(&size.to_le_bytes());
        }
        file
    }

    #[test]
    fn a_program_says_what_it_needs() {
        let file = made(Some("/lib64/ld.so"), &["libc.so.6", "libz.so.1"], b"");
        let elf = Elf::of(&file).unwrap();
        assert_eq!(elf.interpreter(), Some("/lib64/ld.so"));
        assert_eq!(elf.needed(), ["libc.so.6", "libz.so.1"]);
    }

    #[test]
    fn a_module_has_its_section() {
        let file = made(None, &[], b"license=GPL\0depends=a,b\0");
        let elf = Elf::of(&file).unwrap();
        assert_eq!(elf.interpreter(), None);
        assert_eq!(elf.section(".modinfo"), Some(&b"license=GPL\0depends=a,b\0"[..]));
        assert_eq!(elf.section(".text"), None);
    }

    #[test]
    fn what_is_none_is_told() {
        assert_eq!(Elf::of(b"#!/bin/sh").err(), Some(NotElf::Other));
        assert_eq!(Elf::of(b"\x7fELF\x01\x01").err(), Some(NotElf::Form));
        let mut file = made(None, &[], b"");
        file[18] = 183;
        assert_eq!(Elf::of(&file).err(), Some(NotElf::Processor));
    }

    /// The test itself is a program that other people's tools made.
    #[test]
    fn a_real_program_needs_the_library_of_c() {
        let file = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        let elf = Elf::of(&file).unwrap();
        assert!(elf.interpreter().is_some_and(|path| path.contains("ld-linux")));
        assert!(elf.needed().contains(&"libc.so.6"), "{:?}", elf.needed());
    }

    proptest! {
        #[test]
        fn nothing_makes_it_panic(cuts in proptest::collection::vec((0usize..700, any::<u8>()), 1..20), end in 0usize..700) {
            let mut file = made(Some("/lib64/ld.so"), &["libc.so.6"], b"depends=a\0");
            for (at, octet) in cuts {
                if let Some(there) = file.get_mut(at) {
                    *there = octet;
                }
            }
            file.truncate(end.max(64));
            if let Ok(elf) = Elf::of(&file) {
                let _ = (elf.interpreter(), elf.needed(), elf.section(".modinfo"));
            }
        }
    }
}
