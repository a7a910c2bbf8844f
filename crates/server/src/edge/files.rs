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

    pub(super) fn make_room(&self, octets: u64) -> io::Result<()> {
        let mut keeper = self.keeper();
        let site = keeper.stands.site.clone();
        keeper.cache.make_room(&site, octets)
    }

    pub(super) fn finish(&self, part: Part, file: &Wanted) -> io::Result<Found> {
        let found = part.finish(&self.place(&file.sha256), file)?;
        self.learn(file, &found);
        Ok(found)
    }

    /// What came of fetching a file; said once.
    pub(super) fn fetched(&self, file: &Wanted, trouble: Option<String>) {
        let mut link = self.link();
        match trouble {
            None => drop(link.said.remove(&file.name)),
            Some(why) => {
                let is_news = link.said.insert(file.name.clone(), why.clone()).as_ref() != Some(&why);
                drop(link);
                if is_news {
                    self.say(&format!("{} is not fetched yet: {why}", file.name));
                }
            }
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
