//! An edge's boot files: read, fetched, offered. The cache says which; here is who holds the locks meanwhile.

use super::Edge;
use super::cache::{Found, Part, Wanted};
use super::follow;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

impl Edge {
    /// Reads what lies in the cache and is not known, up to so many octets, and what was read long ago; shows each.
    pub(super) fn read_files(&self, octets_max: u64) {
        let (wanted, old) = {
            let keeper = self.keeper();
            (keeper.cache.wanted(&keeper.stands.site), keeper.cache.old(&keeper.stands.site))
        };
        let mut left = octets_max;
        for file in wanted.into_iter().chain(old) {
            let Some(less) = left.checked_sub(file.size) else { continue };
            let found = follow::look(self, &file);
            if found == Found::Nothing {
                continue;
            }
            left = less;
            if found == Found::Wrong {
                self.say(&format!(
                    "{} on this edge's disk is not what it was, and is not served: it is fetched anew",
                    file.name
                ));
            }
            self.learn(&file, &found);
        }
    }

    /// Takes out of what is offered what does not lie there any more as it was read; whoever fetches looks at it.
    pub(super) fn take_out_changed(&self) {
        let mut keeper = self.keeper();
        let changed = keeper.cache.take_out_changed();
        if changed.is_empty() {
            return;
        }
        if let Some(answering) = self.answering.get() {
            keeper.show(answering);
        }
        let files = keeper.stands.site.files.iter();
        let changed = files.filter(|file| file.sha256.as_ref().is_some_and(|hex| changed.contains(hex)));
        let names: Vec<String> = changed.map(|file| file.name.clone()).collect();
        drop(keeper);
        for name in names {
            self.say(&format!(
                "{name} on this edge's disk is gone or was written to, and is not served until it was read again, or fetched anew"
            ));
        }
        self.files_changed.notify_one();
    }

    pub(super) fn learn(&self, file: &Wanted, found: &Found) {
        let mut keeper = self.keeper();
        keeper.cache.learn(file, found);
        if let Some(answering) = self.answering.get() {
            keeper.show(answering);
        }
    }

    pub(super) fn wanted(&self) -> Vec<Wanted> {
        let keeper = self.keeper();
        keeper.cache.wanted(&keeper.stands.site)
    }

    pub(super) fn place(&self, sha256: &str) -> PathBuf {
        self.keeper().cache.path(sha256)
    }

    pub(super) fn part(&self, sha256: &str) -> PathBuf {
        self.keeper().cache.part(sha256)
    }

    /// Room for a file, or for what is not one.
    pub(super) fn make_room(&self, file: Option<&Wanted>) -> io::Result<()> {
        let mut keeper = self.keeper();
        let site = keeper.stands.site.clone();
        keeper.cache.make_room(&site, file)
    }

    /// What is left to the controllers for want of room; each is said once.
    pub(super) fn say_no_room(&self) {
        let no_room = {
            let keeper = self.keeper();
            keeper.cache.no_room(&keeper.stands.site)
        };
        for name in no_room {
            self.say_once(
                &name,
                "is not fetched: there is no room for it, and machines get it from the controllers",
            );
        }
    }

    pub(super) fn finish(&self, part: Part, file: &Wanted) -> io::Result<Found> {
        let found = part.finish(&self.place(&file.sha256), file)?;
        self.learn(file, &found);
        Ok(found)
    }

    /// What came of fetching a file; said once.
    pub(super) fn fetched(&self, file: &Wanted, trouble: Option<String>) {
        match trouble {
            None => drop(self.link().said.remove(&file.name)),
            Some(why) => self.say_once(&file.name, &format!("is not fetched yet: {why}")),
        }
    }

    fn say_once(&self, name: &str, sentence: &str) {
        let is_news =
            self.link().said.insert(name.to_owned(), sentence.to_owned()).as_deref() != Some(sentence);
        if is_news {
            self.say(&format!("{name} {sentence}"));
        }
    }

    /// From whom files come.
    pub(super) fn sources(&self) -> Vec<SocketAddr> {
        let followed = self.followed();
        let keeper = self.keeper();
        let site = &keeper.stands.site;
        follow::sources(followed, &site.controllers, site.boot_port)
    }
}
