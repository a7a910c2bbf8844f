//! The site that is served now, between those who look at the boot files and the keeper, who shows it.

use super::{Gatherer, Known};
use crate::controller::Controller;
use crate::keeper::Message;
use model::Plan;
use model::view::Site;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The boot files that are served, and what finds others.
pub(crate) struct Served {
    /// Held as long as a look takes, which on a slow disk is long.
    gatherer: Mutex<Gatherer>,
    /// Never held longer than it takes to read or replace it.
    site: Mutex<Arc<Site>>,
}

impl Served {
    pub(crate) fn new(gatherer: Gatherer, site: Arc<Site>) -> Self {
        Self { gatherer: Mutex::new(gatherer), site: Mutex::new(site) }
    }

    pub(crate) fn site(&self) -> Arc<Site> {
        Arc::clone(&lock(&self.site))
    }

    /// Serves this from the next view on.
    pub(crate) fn serve(&self, site: Arc<Site>) {
        *lock(&self.site) = site;
    }

    /// Looks for what a plan needs, and serves it from the next view on: of a plan that is shown with what the one before needed, a machine
    /// would hear that its files are not here.
    pub(crate) fn serve_for(&self, controller: &Controller, plan: &Plan) -> Arc<Site> {
        let mut gatherer = lock(&self.gatherer);
        if let Some(site) = self.compare(gather(&mut gatherer, controller, plan)) {
            self.serve(site);
        }
        self.site()
    }

    /// Looks again, and has the keeper show what is new.
    pub(crate) fn look_again(&self, controller: &Controller, plan: &Plan) {
        let mut gatherer = lock(&self.gatherer);
        let Some(site) = self.compare(gather(&mut gatherer, controller, plan)) else { return };
        let before = std::mem::replace(&mut *lock(&self.site), site);
        if !controller.inbox.send(Message::Site) {
            // A full queue means that it is tried again at the next look.
            self.serve(before);
        }
    }

    /// The boot files that a plan needs, if they are others than those that are served.
    pub(crate) fn look(&self, controller: &Controller, plan: &Plan) -> Option<Arc<Site>> {
        self.compare(gather(&mut lock(&self.gatherer), controller, plan))
    }

    /// The files whose content is not known yet.
    pub(crate) fn unread(&self) -> Vec<PathBuf> {
        lock(&self.gatherer).unread().to_vec()
    }

    /// Takes what was [`read`](super::read); the next look shows it.
    pub(crate) fn learn(&self, path: PathBuf, known: Known) {
        lock(&self.gatherer).learn(path, known);
    }

    fn compare(&self, site: Site) -> Option<Arc<Site>> {
        (**lock(&self.site) != site).then(|| Arc::new(site))
    }
}

fn gather(gatherer: &mut Gatherer, controller: &Controller, plan: &Plan) -> Site {
    let (site, troubles) = gatherer.gather(&plan.design, controller.shares());
    controller.change_condition(|condition| condition.site_troubles = troubles);
    site
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
