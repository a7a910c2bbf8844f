//! What a run is made of: what is given, and what follows from the seed.

use crate::random::Random;

/// One run.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Everything that may come one way or another follows from it.
    pub seed: u64,
    /// Machines of the zone, about; `None`: some few, by the seed.
    pub machines: Option<usize>,
    /// Simulated hours; `None`: by the seed.
    pub hours: Option<f64>,
    /// What the world does wrong on purpose, to prove a checker.
    pub planted: Option<Planted>,
    /// Things go wrong.
    pub troubles: bool,
}

/// A bug of the world, one for each checker.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Planted {
    /// A relay writes another port's circuit-id.
    WrongCircuit,
    /// An agent writes disks that nobody ordered it to.
    UnarmedWrite,
    /// A batch is acknowledged, and is not there after a restart.
    LostBatch,
    /// Views are not made anew when facts say so.
    StaleView,
    /// Operators get what the budget refuses.
    OverBudget,
    /// A replica forgets to follow.
    DeafReplica,
    /// An agent gets another place's certificate.
    WrongPlace,
    /// Machines do not do what they are told at last.
    DeadMachine,
    /// Whoever takes over does not know how far a change is.
    ForgottenStep,
    /// Machines with a bad system say that all is well, while it is a change that brought it.
    SmoothTalk,
    /// What is stored cannot be read again as it was, and a machine is ready with a failed check.
    Unsound,
}

/// What goes wrong, and how often, in this run.
#[derive(Clone, Debug)]
pub(crate) struct Profile {
    pub(crate) controllers: usize,
    /// Packets lost, doubled and late, of 1,000.
    pub(crate) lost: u64,
    pub(crate) doubled: u64,
    pub(crate) late: u64,
    /// Mean time between troubles of each kind, in milliseconds; 0: never.
    pub(crate) trouble_every_ms: u64,
    /// Mean time between wishes of operators.
    pub(crate) wish_every_ms: u64,
    /// From power-on of the first to that of the last machine.
    pub(crate) power_on_ms: u64,
    /// Nothing goes wrong any more from then on, and the end.
    pub(crate) calm_from_ms: u64,
    pub(crate) end_ms: u64,
}

impl Settings {
    /// A run by its seed alone.
    pub fn of(seed: u64) -> Self {
        Self { seed, machines: None, hours: None, planted: None, troubles: true }
    }

    /// Machines of the zone, about.
    pub fn size(&self) -> usize {
        self.machines.unwrap_or(4 + usize::try_from(self.seed % 13).unwrap_or(0))
    }

    /// Too many machines for hours in which everything comes about by chance.
    pub(crate) fn is_large(&self) -> bool {
        self.size() >= 500
    }

    /// Larger zones take longer to make a view of.
    pub(crate) fn view_gap_ms(&self) -> u64 {
        75 + self.size() as u64 / 5
    }

    pub(crate) fn heartbeat_ms(&self) -> u64 {
        60_000
    }

    pub(crate) fn profile(&self, random: &mut Random) -> Profile {
        let size = self.size() as u64;
        let hours = self.hours.unwrap_or(if size > 5_000 { 1.0 } else { 5.0 });
        // `as` saturates.
        let end_ms = (hours * 3_600_000.0) as u64;
        let troubles = |mean: u64| if self.troubles { mean } else { 0 };
        Profile {
            controllers: 1 + random.below(3),
            lost: troubles(random.between(0, 60)),
            doubled: troubles(random.between(0, 40)),
            late: troubles(random.between(0, 40)),
            // More machines, more troubles; but controllers are never more than three.
            trouble_every_ms: troubles(random.between(60_000, 600_000) / (size / 50).isqrt().max(1)),
            wish_every_ms: random.between(60_000, 900_000),
            power_on_ms: random.between(1_000, 600_000).max(size * 20),
            calm_from_ms: end_ms / 2,
            end_ms,
        }
    }
}
