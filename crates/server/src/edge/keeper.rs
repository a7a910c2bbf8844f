//! What an edge answers from, and how it takes what a controller tells: judged, compiled, compared, stored in one piece, and then shown.
//!
//! What cannot be taken whole changes nothing. Blocking; one thing at a time.

use super::cache::Cache;
use crate::answering::Answering;
use crate::changes;
use crate::edges::{digest, document};
use crate::options::StartError;
use crate::reload;
use api::agent::Octets;
use api::edge::{Have, Held, News, PlanNews, Position, SiteNews};
use lifecycle::change;
use model::facts::Machine;
use model::view::{Ports, Site};
use model::{Facts, Generation, Location, Plan, Time, View};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use store::{Mirror, Published, Taken};

/// Under this name it is kept where an edge stands.
const STANDS: &str = "stands";

/// Where an edge stands, beside plans and machines.
#[derive(Clone, Default, Serialize, Deserialize)]
pub(super) struct Stands {
    pub(super) have: Have,
    pub(super) site: SiteNews,
    before: Option<Generation>,
    held: Vec<Location>,
    /// Of the plan, as the controller's.
    document: String,
    /// When a controller was heard last.
    pub(super) contact: Time,
}

/// See the module.
pub(super) struct Keeper {
    pub(super) mirror: Mirror,
    pub(super) cache: Cache,
    pub(super) stands: Stands,
    plans: Option<Plans>,
    facts: Facts,
    /// Boot ports of this edge.
    pub(super) ports: [u16; 2],
    /// Machines that may be installed get their installers: a controller was heard lately.
    pub(super) installs: bool,
    /// Once, a zone that has gone back is taken as it is.
    pub(super) accepts_older: bool,
}

/// What was published last, what some machines keep, and both together.
#[derive(Clone)]
struct Plans {
    whole: Arc<Plan>,
    before: Option<Arc<Plan>>,
    in_force: Arc<Plan>,
}

impl Plans {
    fn new(whole: Arc<Plan>, before: Option<Arc<Plan>>, held: &[Location]) -> Self {
        let in_force = match &before {
            Some(before) if !held.is_empty() => Arc::new(change::hold(&whole, before, held.iter())),
            _ => Arc::clone(&whole),
        };
        Self { whole, before, in_force }
    }
}

impl Keeper {
    /// As it was kept.
    pub(super) fn open(mirror: Mirror, cache: Cache) -> Result<Self, StartError> {
        let stands = mirror.bytes(STANDS).map_err(StartError::State)?;
        let stands: Option<Stands> =
            stands.map(|octets| serde_json::from_slice(&octets)).transpose().map_err(|error| {
                StartError::Authority(format!("where the edge stands cannot be read: {error}"))
            })?;
        let mut keeper = Self {
            mirror,
            cache,
            stands: Stands::default(),
            plans: None,
            facts: Facts::default(),
            ports: [0; 2],
            installs: false,
            accepts_older: false,
        };
        let Some(stands) = stands else { return Ok(keeper) };
        let (facts, whole, before) = std::thread::scope(|scope| {
            let mirror = &keeper.mirror;
            let facts = mirror.facts();
            let load = |generation| mirror.plan(generation);
            let whole = load(stands.have.position.generation);
            let before = stands.before.map(load);
            let compile = |published: Published| changes::compiled(&published).map(Arc::new);
            let whole = scope.spawn(move || whole.map(|plan| plan.map(compile)));
            let before = before.map(|before| before.map(|plan| plan.map(compile)));
            (facts, whole.join().unwrap_or_else(|bug| std::panic::resume_unwind(bug)), before)
        });
        let not_compiled = |why: String| {
            StartError::Controller(format!("this release cannot compile the plan that the edge has: {why}"))
        };
        keeper.facts = facts.map_err(StartError::State)?;
        let Some(whole) = whole.map_err(StartError::State)?.transpose().map_err(not_compiled)? else {
            return Err(StartError::Controller(
                "the plan that the edge had is not in its state, so it cannot answer from it: move the files zonewright.db* of its state away (boot files may stay), and make it an edge anew: `zw edge add NAME --address ADDRESS` on a controller, and `zw edge enrol` here with the ticket".to_owned(),
            ));
        };
        let before = before.transpose().map_err(StartError::State)?.flatten();
        let before = before.transpose().map_err(not_compiled)?;
        keeper.plans = Some(Plans::new(whole, before, &stands.held));
        keeper.stands = stands;
        Ok(keeper)
    }

    /// The plan, and the digest of the document that the controller made of it.
    pub(super) fn compared(&self) -> (Option<Arc<Plan>>, String) {
        (self.plans.as_ref().map(|plans| Arc::clone(&plans.whole)), self.stands.document.clone())
    }

    /// The plan that it answers from.
    pub(super) fn plan(&self) -> Option<&Arc<Plan>> {
        self.plans.as_ref().map(|plans| &plans.in_force)
    }

    /// The view as it is now.
    pub(super) fn view(&self) -> Option<View> {
        let plans = self.plans.as_ref()?;
        Some(plan::view(&plans.in_force, &self.shown(), &Arc::new(self.site())))
    }

    /// Shows the view as it is now, from the one before.
    pub(super) fn show(&self, answering: &Answering) {
        let Some(plans) = &self.plans else { return };
        let began = std::time::Instant::now();
        let (previous, site, facts) = (answering.view.load_full(), self.site(), self.shown());
        let is_alike = Arc::ptr_eq(&previous.plan, &plans.in_force);
        let view = match is_alike && *previous.boot.site == site {
            true => plan::view::refresh(&previous, &facts),
            false => plan::view::succeed(&previous, &plans.in_force, &facts, &Arc::new(site)),
        };
        let generation = view.generation;
        if !is_alike {
            answering.told.forget();
        }
        answering.view.publish(view);
        answering.counters.view_made(began.elapsed());
        answering.published.send_if_modified(|now| std::mem::replace(now, generation) != generation);
    }

    /// The facts; without word of a controller nobody is installed: what would say that it is done is not heard.
    fn shown(&self) -> Facts {
        let mut facts = self.facts.clone();
        if !self.installs {
            facts.machines.values_mut().for_each(|machine| machine.armed = None);
        }
        facts
    }

    fn site(&self) -> Site {
        let SiteNews { controllers, own, edges, boot_port, agents_port, ca_sha256, proxy, systems, .. } =
            &self.stands.site;
        let (files, elsewhere) = self.cache.offered(&self.stands.site);
        let pin = ca_sha256.parse::<Octets>().ok().and_then(|pin| <[u8; 32]>::try_from(pin.0).ok());
        let [boot, boot_tls] = self.ports;
        let boot = if boot == 0 { *boot_port } else { boot };
        Site {
            controllers: controllers.clone(),
            // A controller told it of all.
            is_shared: false,
            own: own.clone(),
            edges: edges.clone(),
            ports: Ports { boot, boot_tls, agents: *agents_port },
            ca_sha256: pin.unwrap_or_default(),
            proxy: proxy.clone(),
            files,
            elsewhere,
            systems: systems.clone(),
        }
    }

    /// Takes what a controller tells. Gives whether anything changed.
    ///
    /// # Errors
    /// Why it is not taken, a sentence; everything is as it was.
    pub(super) fn take(&mut self, news: News, now: Time) -> Result<bool, String> {
        let known = &self.stands.have.position;
        let is_first = self.plans.is_none();
        if let Some(why) = is_older(&news.position, known).filter(|_| !is_first && !self.accepts_older) {
            return Err(why);
        }
        let mut stands = self.stands.clone();
        stands.have.position = news.position.clone();
        stands.have.stream = news.stream;
        stands.contact = now;
        let mut whole = self.plans.as_ref().map(|plans| Arc::clone(&plans.whole));
        let mut published = Vec::new();
        if let Some(told) = &news.plan {
            whole = Some(Arc::new(compiled(told, &news.release)?));
            stands.document.clone_from(&told.document);
            published.push(kept(told, now));
        }
        let Some(whole) = whole else { return Err("the controller told of no plan".to_owned()) };
        if whole.generation != news.position.generation {
            return Err("the controller told of another plan than the one that it has".to_owned());
        }
        let mut before = self.plans.as_ref().and_then(|plans| plans.before.clone());
        if let Some(held) = &news.held {
            before = self.before(held, &news.release)?;
            published.extend(held.before.iter().map(|told| kept(told, now)));
            stands.before = before.as_ref().map(|plan| plan.generation);
            stands.held.clone_from(&held.machines);
            stands.have.held = digest(held);
        }
        if let Some(site) = news.site {
            stands.have.site = digest(&site);
            stands.site = site;
        }
        let is_news = !published.is_empty()
            || stands.have.site != self.stands.have.site
            || news.held.is_some()
            || news.are_all
            || !news.machines.is_empty();
        let is_moved = stands.have.position != self.stands.have.position;
        // Who was heard last is worth a write now and then, and where the zone stands each time.
        let is_due = now.since(self.stands.contact) > super::CONTACT_KEPT_EVERY;
        if !is_news && !is_moved && !is_due {
            return Ok(false);
        }
        let machines: Vec<(Location, Option<Machine>)> = news.machines.into_iter().collect();
        let keep: Vec<Generation> = [whole.generation].into_iter().chain(stands.before).collect();
        let bytes = serde_json::to_vec(&stands).map_err(|error| error.to_string())?;
        self.mirror
            .take(&Taken {
                plans: &published,
                keep: &keep,
                are_all: news.are_all,
                machines: &machines,
                bytes: &[(STANDS, bytes)],
            })
            .map_err(|failure| format!("it cannot be kept: {failure}"))?;
        self.accepts_older = false;
        if news.are_all {
            self.facts.machines.clear();
        }
        for (location, machine) in machines {
            match machine {
                Some(machine) => drop(self.facts.machines.insert(location, machine)),
                None => drop(self.facts.machines.remove(&location)),
            }
        }
        let is_same = self.plans.as_ref().is_some_and(|plans| Arc::ptr_eq(&plans.whole, &whole));
        if !is_same || news.held.is_some() {
            self.plans = Some(Plans::new(whole, before, &stands.held));
        }
        self.stands = stands;
        Ok(is_news)
    }

    /// The plan that some machines keep.
    fn before(&self, held: &Held, release: &str) -> Result<Option<Arc<Plan>>, String> {
        let Some(told) = &held.before else { return Ok(None) };
        let known = self.plans.iter().flat_map(|plans| plans.before.iter().chain([&plans.whole]));
        let mut known = known.filter(|plan| plan.generation == told.generation);
        if let Some(plan) = known.next() {
            return Ok(Some(Arc::clone(plan)));
        }
        compiled(told, release).map(|plan| Some(Arc::new(plan)))
    }
}

/// Why what a controller has is not taken: the zone does not go back.
fn is_older(theirs: &Position, ours: &Position) -> Option<String> {
    let (plan, design) = (theirs.generation, &theirs.design);
    let what = if plan < ours.generation {
        format!("it has plan {plan}, and this edge plan {}", ours.generation)
    } else if plan == ours.generation && *design != ours.design {
        format!("its plan {plan} is another than this edge's plan {plan}")
    } else if plan == ours.generation && theirs.seq < ours.seq {
        format!("its last event is {}, and this edge knows of event {}", theirs.seq, ours.seq)
    } else {
        return None;
    };
    Some(format!(
        "{what}: it was put back from an old copy, or is behind; started with --accept-older, this edge takes it"
    ))
}

/// The plan that a controller told of, if it comes out here as it did there.
fn compiled(told: &PlanNews, release: &str) -> Result<Plan, String> {
    let published = kept(told, Time(0));
    let found = reload::digest(&changes::as_files(&published));
    if found != told.design {
        return Err(format!("the files of plan {} did not arrive as they were", told.generation));
    }
    let plan = changes::compiled(&published)
        .map_err(|why| format!("this release cannot compile plan {}: {why}", told.generation))?;
    if document(&plan) != told.document {
        return Err(format!(
            "plan {} comes out otherwise here than there: this edge is release {}, the controller {release}; give both the same",
            told.generation,
            env!("CARGO_PKG_VERSION")
        ));
    }
    Ok(plan)
}

fn kept(told: &PlanNews, at: Time) -> Published {
    Published {
        generation: told.generation,
        parent: Generation(told.generation.0.saturating_sub(1)),
        author: String::new(),
        reason: String::new(),
        at,
        files: told.files.clone(),
        digest: told.design.clone(),
        commit: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::read_design;
    use api::edge::Stream;
    use model::facts::{Armed, Installed, Purpose};
    use std::path::{Path, PathBuf};

    /// The pocket zone, as a controller tells of it; the text is its first file's, with this behind it.
    fn told(generation: u64, more: &str) -> PlanNews {
        let pocket = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/pocket");
        let mut files: Vec<(String, String)> = read_design(&pocket)
            .expect("an example")
            .iter()
            .map(|file| (file.path.clone(), file.text.to_string()))
            .collect();
        files.iter_mut().filter(|(path, _)| path == "zone.hcl").for_each(|(_, text)| text.push_str(more));
        let mut told = PlanNews { generation: Generation(generation), files, ..PlanNews::default() };
        let published = kept(&told, Time(0));
        told.design = reload::digest(&changes::as_files(&published));
        told.document = document(&changes::compiled(&published).expect("a plan"));
        told
    }

    fn news(plan: PlanNews, seq: u64) -> News {
        let design = plan.design.clone();
        News {
            position: Position { generation: plan.generation, design, seq },
            release: "9.9.9".into(),
            stream: Stream { epoch: 7, revision: seq },
            plan: Some(plan),
            held: Some(Held::default()),
            site: Some(SiteNews { boot_port: 80, ..SiteNews::default() }),
            ..News::default()
        }
    }

    struct Place(PathBuf);

    impl Place {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("zonewright-edge-{name}-{}", std::process::id()));
            let _ = std::fs::remove_dir_all(&path);
            Mirror::open(&path).expect("opened").found(b"{}").expect("founded");
            Self(path)
        }

        fn keeper(&self) -> Keeper {
            let cache = Cache::open(&self.0, 1 << 20).expect("a cache");
            Keeper::open(Mirror::open(&self.0).expect("opened"), cache).expect("as it was")
        }
    }

    impl Drop for Place {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    fn generation(keeper: &Keeper) -> Option<u64> {
        keeper.view().map(|view| view.generation.0)
    }

    #[test]
    fn what_cannot_be_taken_whole_changes_nothing_and_what_was_is_there_after_a_start() {
        let place = Place::new("taken");
        let mut keeper = place.keeper();
        assert_eq!(generation(&keeper), None, "nothing is answered before the first plan");
        assert_eq!(keeper.take(news(told(5, ""), 100), Time(1)), Ok(true));
        assert_eq!(generation(&keeper), Some(5));
        let next = || news(told(6, "\n# another\n"), 101);
        let refuse = |keeper: &mut Keeper, news: News, words: &str| {
            let why = keeper.take(news, Time(2)).expect_err("refused");
            assert!(why.contains(words), "{why}");
            assert_eq!((generation(keeper), keeper.stands.have.position.seq), (Some(5), 100), "{words}");
        };
        let mut other = next();
        other.plan.as_mut().expect("a plan").document = "0".repeat(64);
        refuse(&mut keeper, other, "comes out otherwise here than there");
        let mut broken = next();
        broken.plan.as_mut().expect("a plan").files[0].1.push('x');
        refuse(&mut keeper, broken, "did not arrive as they were");
        let mut without = next();
        without.plan = None;
        refuse(&mut keeper, without, "another plan than the one that it has");
        refuse(&mut keeper, news(told(4, ""), 500), "it has plan #4, and this edge plan #5");
        drop(keeper);
        let mut keeper = place.keeper();
        assert_eq!(generation(&keeper), Some(5));
        refuse(&mut keeper, news(told(5, "\n# a fork\n"), 500), "is another than this edge's");
        keeper.accepts_older = true;
        assert_eq!(keeper.take(news(told(4, ""), 90), Time(3)), Ok(true));
        assert_eq!((generation(&keeper), keeper.accepts_older), (Some(4), false), "once");
        assert_eq!(keeper.take(next(), Time(4)), Ok(true));
        drop(keeper);
        assert_eq!(generation(&place.keeper()), Some(6));
    }

    #[test]
    fn nobody_is_installed_without_word_of_a_controller() {
        let place = Place::new("installs");
        let mut keeper = place.keeper();
        let here = Location::new("lab1/p01/r1/u01");
        let armed = Armed {
            generation: Generation(5),
            until: Time(99),
            since: Time(1),
            purpose: Purpose::Install,
            undo_until: None,
        };
        let installed = Installed { image: None, slot: None, generation: Generation(5), at: Time(0) };
        let machine = Machine { armed: Some(armed), installed: Some(installed), ..Machine::default() };
        let mut all = news(told(5, ""), 1);
        all.are_all = true;
        all.machines.insert(here.clone(), Some(machine));
        assert_eq!(keeper.take(all, Time(1)), Ok(true));
        let seen =
            |keeper: &Keeper| keeper.shown().machines.get(&here).map(|it| (it.armed, it.installed.is_some()));
        assert_eq!(seen(&keeper), Some((None, true)));
        keeper.installs = true;
        assert_eq!(seen(&keeper), Some((Some(armed), true)));
        drop(keeper);
        assert_eq!(seen(&place.keeper()), Some((None, true)), "a start is no word");
    }

    #[test]
    fn a_zone_does_not_go_back() {
        let at = |generation, design: &str, seq| Position {
            generation: Generation(generation),
            design: design.into(),
            seq,
        };
        let ours = at(5, "x", 100);
        for newer in [at(5, "x", 100), at(5, "x", 101), at(6, "y", 120), at(6, "y", 90)] {
            assert_eq!(is_older(&newer, &ours), None);
        }
        for (older, why) in [
            (at(4, "w", 200), "it has plan #4, and this edge plan #5"),
            (at(5, "z", 100), "its plan #5 is another"),
            (at(5, "x", 99), "its last event is 99"),
        ] {
            assert!(is_older(&older, &ours).is_some_and(|said| said.starts_with(why)), "{why}");
        }
    }
}
