//! Kernel modules: what they say of themselves, what a choice of them needs, and the texts by which they are loaded.
//!
//! In go the modules of a kernel; out come a choice that is closed under need, the order to load it in, and `modules.dep`,
//! `modules.alias` and `modules.softdep` as depmod writes them, of the chosen ones alone.

use std::collections::{BTreeMap, BTreeSet};

/// One module, by its own words.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Module {
    /// Below `/lib/modules/VERSION`: `kernel/fs/ext4/ext4.ko`.
    pub(crate) path: String,
    /// The modules whose symbols it uses.
    pub(crate) depends: Vec<String>,
    /// What it is asked for by: patterns of devices, names of algorithms and file systems.
    pub(crate) aliases: Vec<String>,
    /// What should be loaded before it, if it can be: names or aliases.
    pub(crate) before: Vec<String>,
    /// Its soft dependencies as written.
    pub(crate) soft: Vec<String>,
    /// Files that it asks for, below `/lib/firmware`.
    pub(crate) firmware: Vec<String>,
}

impl Module {
    /// Reads a `.modinfo` section.
    pub(crate) fn read(path: &str, information: &[u8]) -> Self {
        let mut module = Self { path: path.to_owned(), ..Self::default() };
        for entry in information.split(|octet| *octet == 0) {
            let Some((key, value)) = std::str::from_utf8(entry).ok().and_then(|entry| entry.split_once('='))
            else {
                continue;
            };
            match key {
                "depends" => {
                    let names = value.split(',').filter(|name| !name.is_empty());
                    module.depends = names.map(plain).collect();
                }
                "alias" => module.aliases.push(value.to_owned()),
                "firmware" => module.firmware.push(value.to_owned()),
                "softdep" => {
                    let words = value.split_whitespace();
                    let mut is_before = false;
                    for word in words {
                        match word {
                            "pre:" => is_before = true,
                            "post:" => is_before = false,
                            name if is_before => module.before.push(name.to_owned()),
                            _ => {}
                        }
                    }
                    module.soft.push(value.to_owned());
                }
                _ => {}
            }
        }
        module
    }
}

/// A module's name as the kernel has it: `-` and `_` are one.
pub(crate) fn plain(name: &str) -> String {
    name.replace('-', "_")
}

/// The name of the module in a file, with or without compression.
pub(crate) fn name_of(path: &str) -> Option<String> {
    let file = path.rsplit('/').next()?;
    let (name, rest) = file.split_once(".ko")?;
    matches!(rest, "" | ".xz" | ".zst" | ".gz").then(|| plain(name))
}

/// The modules of one kernel.
#[derive(Clone, Debug, Default)]
pub(crate) struct Modules {
    modules: BTreeMap<String, Module>,
    built_in: BTreeSet<String>,
    /// Who has an alias that is a name and no pattern.
    by_alias: BTreeMap<String, Vec<String>>,
}

/// A choice of modules.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Choice {
    /// Names, each after what it needs.
    pub(crate) order: Vec<String>,
    /// Names asked for that this kernel has neither as a module nor within.
    pub(crate) absent: Vec<String>,
}

impl Modules {
    /// Modules, and the text of `modules.builtin`.
    pub(crate) fn new(modules: impl IntoIterator<Item = Module>, built_in: &str) -> Self {
        let modules: BTreeMap<String, Module> =
            modules.into_iter().filter_map(|module| Some((name_of(&module.path)?, module))).collect();
        let mut by_alias: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (name, module) in &modules {
            for alias in module.aliases.iter().filter(|alias| !alias.contains(['*', '?', '['])) {
                by_alias.entry(plain(alias)).or_default().push(name.clone());
            }
        }
        Self { modules, built_in: built_in.lines().filter_map(name_of).collect(), by_alias }
    }

    /// The module of this name.
    pub(crate) fn get(&self, name: &str) -> Option<&Module> {
        self.modules.get(name)
    }

    /// These modules and all they need, hard and soft, each after what it needs.
    pub(crate) fn choose<'a>(&self, names: impl IntoIterator<Item = &'a str>) -> Choice {
        let mut choice = Choice::default();
        let mut seen = BTreeSet::new();
        for name in names {
            let name = plain(name);
            if self.modules.contains_key(&name) {
                self.add(&name, &mut seen, &mut choice.order);
            } else if !self.built_in.contains(&name) {
                choice.absent.push(name);
            }
        }
        choice
    }

    fn add(&self, name: &str, seen: &mut BTreeSet<String>, order: &mut Vec<String>) {
        // Soft dependencies may go in a circle: whoever was begun is not begun again.
        let Some(module) = self.modules.get(name).filter(|_| seen.insert(name.to_owned())) else { return };
        for before in &module.before {
            for name in self.called(before) {
                self.add(&name, seen, order);
            }
        }
        for name in &module.depends {
            self.add(name, seen, order);
        }
        order.push(name.to_owned());
    }

    /// Who goes by this name or alias.
    fn called(&self, name: &str) -> Vec<String> {
        let name = plain(name);
        if self.modules.contains_key(&name) {
            return vec![name];
        }
        self.by_alias.get(&name).cloned().unwrap_or_default()
    }

    /// `modules.dep`: each module's path and those of what it needs, the last to be loaded first.
    pub(crate) fn dependencies(&self, chosen: &[String]) -> String {
        self.lines(chosen, |name, module, text| {
            let mut needed = Vec::new();
            self.hard(name, &mut BTreeSet::new(), &mut needed);
            // The module itself came last.
            needed.pop();
            let paths: Vec<&str> = needed.iter().rev().map(|module| module.path.as_str()).collect();
            let between = if paths.is_empty() { "" } else { " " };
            *text += &format!("{}:{between}{}\n", module.path, paths.join(" "));
        })
    }

    fn hard<'a>(&'a self, name: &str, seen: &mut BTreeSet<String>, order: &mut Vec<&'a Module>) {
        let Some(module) = self.modules.get(name).filter(|_| seen.insert(name.to_owned())) else { return };
        for name in &module.depends {
            self.hard(name, seen, order);
        }
        order.push(module);
    }

    /// `modules.alias`: which module to load for a device.
    pub(crate) fn aliases(&self, chosen: &[String]) -> String {
        self.lines(chosen, |name, module, text| {
            for alias in &module.aliases {
                *text += &format!("alias {alias} {name}\n");
            }
        })
    }

    /// `modules.softdep`: what should be loaded before or after a module.
    pub(crate) fn soft_dependencies(&self, chosen: &[String]) -> String {
        self.lines(chosen, |name, module, text| {
            for soft in &module.soft {
                *text += &format!("softdep {name} {soft}\n");
            }
        })
    }

    fn lines(&self, chosen: &[String], line: impl Fn(&str, &Module, &mut String)) -> String {
        let mut modules: Vec<(&str, &Module)> =
            chosen.iter().filter_map(|name| Some((name.as_str(), self.modules.get(name)?))).collect();
        modules.sort_by_key(|(_, module)| module.path.as_str());
        let mut text = String::new();
        for (name, module) in modules {
            line(name, module, &mut text);
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};

    /// `path: key=value key=value…`
    fn modules(lines: &[&str]) -> Modules {
        let modules = lines.iter().map(|line| {
            let (path, entries) = line.split_once(": ").unwrap_or((line, ""));
            Module::read(path, entries.replace(" | ", "\0").as_bytes())
        });
        Modules::new(modules, "kernel/drivers/nvme/host/nvme.ko\nkernel/lib/crc-itu-t.ko\n")
    }

    fn some() -> Modules {
        modules(&[
            "kernel/fs/ext4/ext4.ko: depends=mbcache,jbd2,crc16 | alias=fs-ext4 | softdep=pre: crypto-crc32c post: late",
            "kernel/fs/jbd2/jbd2.ko: depends= | softdep=pre: crypto-crc32c",
            "kernel/fs/mbcache.ko: depends=",
            "kernel/lib/crc16.ko: depends=",
            "kernel/arch/x86/crypto/crc32c-intel.ko: alias=crypto-crc32c | alias=cpu:type:x86,ven*",
            "kernel/crypto/crc32c_generic.ko: alias=crypto-crc32c",
            "kernel/net/late.ko: depends=",
            "kernel/net/a.ko: depends=b-one | firmware=a/a.bin",
            "kernel/net/b_one.ko: depends=late,crc16",
            "kernel/x/round.ko: depends= | softdep=pre: trip",
            "kernel/x/trip.ko: depends= | softdep=pre: round",
        ])
    }

    fn check(names: &[&str], expect: Expect) {
        let Choice { order, absent } = some().choose(names.iter().copied());
        expect.assert_eq(&format!("{} / {}", order.join(" "), absent.join(" ")));
    }

    #[test]
    fn each_comes_after_what_it_needs() {
        check(&["ext4"], expect!["crc32c_generic crc32c_intel mbcache jbd2 crc16 ext4 / "]);
        check(&["a", "b-one"], expect!["late crc16 b_one a / "]);
        check(&["a", "ext4"], expect!["late crc16 b_one a crc32c_generic crc32c_intel mbcache jbd2 ext4 / "]);
        check(&["round"], expect!["trip round / "]);
        check(&[], expect![" / "]);
    }

    #[test]
    fn what_is_built_in_is_not_absent() {
        check(&["nvme", "crc-itu-t", "e1000e"], expect![" / e1000e"]);
    }

    #[test]
    fn texts_are_of_the_chosen_alone() {
        let modules = some();
        let chosen = modules.choose(["a", "ext4"]).order;
        expect![[r#"
            kernel/arch/x86/crypto/crc32c-intel.ko:
            kernel/crypto/crc32c_generic.ko:
            kernel/fs/ext4/ext4.ko: kernel/lib/crc16.ko kernel/fs/jbd2/jbd2.ko kernel/fs/mbcache.ko
            kernel/fs/jbd2/jbd2.ko:
            kernel/fs/mbcache.ko:
            kernel/lib/crc16.ko:
            kernel/net/a.ko: kernel/net/b_one.ko kernel/lib/crc16.ko kernel/net/late.ko
            kernel/net/b_one.ko: kernel/lib/crc16.ko kernel/net/late.ko
            kernel/net/late.ko:
        "#]]
        .assert_eq(&modules.dependencies(&chosen));
        expect![[r#"
            alias crypto-crc32c crc32c_intel
            alias cpu:type:x86,ven* crc32c_intel
            alias crypto-crc32c crc32c_generic
            alias fs-ext4 ext4
        "#]]
        .assert_eq(&modules.aliases(&chosen));
        expect![[r#"
            softdep ext4 pre: crypto-crc32c post: late
            softdep jbd2 pre: crypto-crc32c
        "#]]
        .assert_eq(&modules.soft_dependencies(&chosen));
    }

    #[test]
    fn a_file_has_a_module_or_not() {
        for (path, name) in [
            ("kernel/lib/crc-t10dif.ko", Some("crc_t10dif")),
            ("kernel/a.ko.xz", Some("a")),
            ("modules.builtin", None),
            ("kernel/a.ko.sig", None),
        ] {
            assert_eq!(name_of(path).as_deref(), name, "{path}");
        }
    }

    #[test]
    fn a_module_names_its_firmware() {
        assert_eq!(some().get("a").map(|module| module.firmware.clone()), Some(vec!["a/a.bin".to_owned()]));
    }
}
