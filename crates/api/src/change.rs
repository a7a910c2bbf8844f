//! Plans and changes, as the API tells them and is asked for them.

use model::{Location, Time};
use serde::{Deserialize, Serialize};
use std::net::IpAddr;
use utoipa::ToSchema;

use crate::http::Finding;

/// A plan that was current.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
pub struct PlanRow {
    /// Its number.
    pub generation: u64,
    /// The one that it replaced; 0 for the first.
    pub parent: u64,
    /// Who published it.
    pub author: String,
    /// Why.
    pub reason: String,
    /// When.
    #[schema(value_type = u64)]
    pub at: Time,
    /// The commit that its design's files were in version control, whole and unchanged; `null`: in none.
    pub commit: Option<String>,
    /// The change that brought it to machines; `null`: it touched none in service.
    pub change: Option<u64>,
}

/// A plan with its design.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
pub struct PlanFiles {
    /// Which.
    #[serde(flatten)]
    pub row: PlanRow,
    /// The design's files.
    pub files: Vec<DesignFile>,
}

/// A file of a design.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
pub struct DesignFile {
    /// Path, relative to the design's directory.
    pub path: String,
    /// Its text.
    pub text: String,
}

/// An address, a name or another value of a plan that a plan changed.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Origin {
    /// What it was before, in words; empty: it was not there.
    pub from: String,
    /// What it became; empty: it is gone.
    pub to: String,
    /// By which plan.
    pub plan: PlanRow,
}

/// Asks that the design as it lies there becomes current.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Apply {
    /// Why, for everybody who asks later.
    pub reason: String,
    /// Existing addresses may change.
    pub renumber: bool,
    /// So many machines may disappear.
    pub remove: u32,
    /// So many may be new.
    pub grow: u32,
    /// Only say what would happen.
    pub dry_run: bool,
    /// Against this plan only: if another is current by now, nothing happens. `null`: whichever it is.
    pub against: Option<u64>,
    /// This design only, by what `design` of an answer was: if the files are others by now, nothing happens. `null`: whichever lies there.
    pub design: Option<String>,
}

/// Asks that a plan of before becomes current again, as a new one.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Rollback {
    /// Which; 0: the newest before the current one that was not taken back.
    pub to: u64,
    /// Why.
    pub reason: String,
    /// Existing addresses may change.
    pub renumber: bool,
    /// So many machines may disappear.
    pub remove: u32,
    /// So many may be new.
    pub grow: u32,
    /// Only say what would happen.
    pub dry_run: bool,
    /// Against this plan only: if another is current by now, nothing happens. `null`: whichever it is.
    pub against: Option<u64>,
}

/// What came of it, or would.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Applied {
    /// The plan in force.
    pub generation: u64,
    /// It is a new one.
    pub changed: bool,
    /// The change that brings it to machines in service; `null`: it touches none.
    pub change: Option<u64>,
    /// Why it is not, or would not be, in force.
    pub refused: Option<String>,
    /// What was found in the design.
    pub findings: Vec<Finding>,
    /// What happens to machines in service, before it begins.
    pub machines: Vec<MemberRow>,
    /// What is to be expected of each wave.
    pub waves: Vec<Predicted>,
    /// What of it cannot be taken back, a sentence each.
    pub for_good: Vec<String>,
    /// Machines that are not drawn any more.
    pub gone: Vec<GoneRow>,
    /// Tells the design that was looked at from every other; `null`: it could not be read.
    pub design: Option<String>,
    /// Of a rollback: the plan that it goes back to.
    pub back_to: Option<PlanRow>,
    /// The plan in force, where it is of this design already.
    pub in_force: Option<PlanRow>,
}

/// A machine that is not drawn any more, with what goes with it.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
pub struct GoneRow {
    /// Where it was.
    #[schema(value_type = String)]
    pub location: Location,
    /// Its state, as `zw status` calls it.
    pub state: String,
    /// It is in service, or was, and nobody retired it.
    pub in_service: bool,
    /// Its names in DNS, without the domain.
    pub names: Vec<String>,
    /// Its addresses, with its BMC's.
    #[schema(value_type = Vec<String>)]
    pub addresses: Vec<IpAddr>,
}

/// What is to be expected of a wave.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Predicted {
    /// `canary`, `rack`, `pod` or `zone`: how far it reaches.
    pub reach: String,
    /// How many machines of it are still to come.
    pub machines: usize,
    /// How many of these are passed over: they are not in service.
    pub passed: usize,
    /// How many of them at once.
    pub at_once: usize,
    /// How long it takes, with its time of watching, in seconds.
    pub seconds: u64,
    /// What the tightest budget leaves meanwhile; `null`: no budget counts any of them.
    pub margin: Option<Tightest>,
}

/// What the tightest of the budgets that a wave draws on leaves, while the wave has as many machines out as it may.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Tightest {
    /// The budget, or the role that has an ordinary one.
    pub budget: String,
    /// The zone, pod or rack.
    pub domain: String,
    /// How many machines count.
    pub members: usize,
    /// How many may be out.
    pub limit: usize,
    /// How many are, before the wave begins.
    pub out: usize,
    /// How many of the wave are out at once at most; 0: it waits.
    pub taken: usize,
    /// How many more may be out meanwhile.
    pub left: usize,
}

/// A change in one line.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
pub struct ChangeRow {
    /// Its number.
    pub id: u64,
    /// `plan` or `restart`.
    pub kind: String,
    /// The plan that machines had; `null`: it is not about plans.
    pub from: Option<u64>,
    /// The plan that they get.
    pub to: Option<u64>,
    /// The change that it takes back.
    pub undoes: Option<u64>,
    /// The change that takes it back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undone_by: Option<u64>,
    /// Who began it.
    pub by: String,
    /// Why.
    pub reason: String,
    /// When.
    #[schema(value_type = u64)]
    pub began: Time,
    /// `rolling`, `baking`, `paused`, `done`, `halted` or `aborted`.
    pub state: String,
    /// What it waits for: completes "it waits for …".
    pub waits_for: Option<String>,
    /// When it ended.
    #[schema(value_type = Option<u64>)]
    pub ended: Option<Time>,
    /// How it ended, with the evidence.
    pub outcome: Option<String>,
    /// Its waves, in order; the first that is not over is under way.
    pub waves: Vec<Wave>,
    /// Machines that have it against machines that do not, in words.
    pub evidence: String,
}

/// A wave of a change.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Wave {
    /// `canary`, `rack`, `pod` or `zone`.
    pub reach: String,
    /// Its machines.
    pub machines: usize,
    /// Those whose turn has not come.
    pub waiting: usize,
    /// Those that are at it.
    pub taken: usize,
    /// Those that are back, and right.
    pub done: usize,
    /// Those that are not right.
    pub failed: usize,
    /// Those that were not in service.
    pub passed: usize,
}

/// A change, whole.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
pub struct ChangeDetail {
    /// In one line.
    #[serde(flatten)]
    pub row: ChangeRow,
    /// Every machine of it, wave by wave.
    pub machines: Vec<MemberRow>,
    /// What is to be expected of its waves that are not over.
    #[serde(default)]
    pub ahead: Vec<Predicted>,
    /// What was worth saying, in order.
    pub notes: Vec<Note>,
}

/// A machine of a change.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
pub struct MemberRow {
    /// Where.
    #[schema(value_type = String)]
    pub location: Location,
    /// `canary`, `rack`, `pod` or `zone`.
    pub wave: String,
    /// `check`, `restart`, `upgrade` or `reinstall`.
    pub effect: String,
    /// What changes for it, in words.
    pub because: String,
    /// `waiting`, `taken`, `done`, `failed` or `passed`.
    pub step: String,
    /// Since when it is in that step.
    #[schema(value_type = Option<u64>)]
    pub since: Option<Time>,
    /// From being taken to being back, in milliseconds.
    pub took_ms: Option<u64>,
    /// Why it failed, or why it would be passed over now.
    pub why: Option<String>,
}

/// Something worth saying.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Note {
    /// When.
    #[schema(value_type = u64)]
    pub at: Time,
    /// What.
    pub sentence: String,
}

/// What is asked of a change that is under way.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case", tag = "wish", deny_unknown_fields)]
pub enum ChangeWish {
    /// Nothing new begins until it is resumed.
    Pause {
        /// Why.
        reason: String,
    },
    /// It goes on.
    Resume,
    /// It ends, and what it changed is taken back.
    Abort {
        /// Why.
        reason: String,
    },
}

/// Asks that machines restart, in waves.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Restart {
    /// Locations, names, addresses or selectors (`pod=p07,role=hypervisor`).
    pub targets: Vec<String>,
    /// Why.
    pub reason: String,
    /// Only say what would happen.
    #[serde(default)]
    pub dry_run: bool,
}

/// What is left of a budget in one failure domain.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Margin {
    /// The budget, or the role that has an ordinary one.
    pub budget: String,
    /// The zone, pod or rack.
    pub domain: String,
    /// How many machines count.
    pub members: usize,
    /// How many may be out.
    pub limit: usize,
    /// How many are.
    pub out: usize,
    /// Who has them out, or why they are.
    pub holders: Vec<String>,
}
