//! Which racks, pods and parts of the zone outside them sheets are made for.

use model::Plan;
use model::design::{Design, Device};
use model::finding::nearest;
use model::ids::{PodId, RackId};

/// Where a device stands, as sheets go.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(super) enum Place {
    /// Outside pods.
    Zone,
    /// In a pod, outside racks.
    Pod(PodId),
    /// In a rack.
    Rack(RackId),
}

impl Place {
    pub(super) fn of(device: &Device) -> Self {
        match (device.pod, device.rack) {
            (_, Some(rack)) => Self::Rack(rack),
            (Some(pod), None) => Self::Pod(pod),
            (None, None) => Self::Zone,
        }
    }

    /// `p01/r1`, `p01`, or the zone's name.
    pub(super) fn words(self, design: &Design) -> &str {
        match self {
            Self::Zone => &design.zone.name,
            Self::Pod(pod) => design.pods[pod.index()].location.within_zone(),
            Self::Rack(rack) => design.racks[rack.index()].location.within_zone(),
        }
    }
}

/// The places that sheets are wanted for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Places {
    /// In the order of the design: the zone, then each pod and its racks.
    list: Vec<Place>,
}

impl Places {
    /// Those that `targets` name: racks (`p01/r1`), pods (`p01`), or selectors (`pod=p01,rack=r1`). None: all, and what stands
    /// outside pods.
    ///
    /// # Errors
    /// A sentence for a target that the zone does not have, with what may have been meant.
    pub fn of(plan: &Plan, targets: &[String]) -> Result<Self, String> {
        let design = &plan.design;
        let all = every(design);
        let mut list = Vec::new();
        for target in targets {
            let found: Vec<Place> = if target.contains('=') {
                selected(design, &all, target)?
            } else {
                named(design, &all, target)
            };
            if found.is_empty() {
                let known = all.iter().map(|place| place.words(design));
                return Err(match nearest(target, known) {
                    Some(near) => format!("the zone has no rack or pod {target}; did you mean {near}?"),
                    None => format!("the zone has no rack or pod {target}"),
                });
            }
            list.extend(found);
        }
        if targets.is_empty() {
            return Ok(Self { list: all });
        }
        Ok(Self { list: all.into_iter().filter(|place| list.contains(place)).collect() })
    }

    pub(super) fn list(&self) -> &[Place] {
        &self.list
    }

    /// The pods that any of them is in.
    pub(super) fn pods(&self, design: &Design) -> Vec<PodId> {
        let mut pods: Vec<PodId> = self.list.iter().filter_map(|place| pod_of(design, *place)).collect();
        pods.dedup();
        pods
    }

    pub(super) fn has_zone(&self) -> bool {
        self.list.contains(&Place::Zone)
    }
}

fn every(design: &Design) -> Vec<Place> {
    let mut racks_of = vec![Vec::new(); design.pods.len()];
    for (index, rack) in design.racks.iter().enumerate() {
        racks_of[rack.pod.index()].push(Place::Rack(RackId::from_index(index)));
    }
    let mut all = vec![Place::Zone];
    for (index, racks) in racks_of.into_iter().enumerate() {
        all.push(Place::Pod(PodId::from_index(index)));
        all.extend(racks);
    }
    all
}

/// A rack; a pod with its racks; the zone with all.
fn named(design: &Design, all: &[Place], target: &str) -> Vec<Place> {
    let is = |place: Place| match place {
        Place::Zone => design.zone.name == target,
        Place::Pod(pod) => design.pods[pod.index()].location.is(target),
        Place::Rack(rack) => design.racks[rack.index()].location.is(target),
    };
    match all.iter().copied().find(|place| is(*place)) {
        Some(Place::Zone) => all.to_vec(),
        Some(Place::Pod(pod)) => {
            all.iter().copied().filter(|place| pod_of(design, *place) == Some(pod)).collect()
        }
        Some(rack) => vec![rack],
        None => Vec::new(),
    }
}

fn pod_of(design: &Design, place: Place) -> Option<PodId> {
    match place {
        Place::Zone => None,
        Place::Pod(pod) => Some(pod),
        Place::Rack(rack) => Some(design.racks[rack.index()].pod),
    }
}

/// `pod=p01`, `rack=r1`, or both: what is left when each says no to the others.
fn selected(design: &Design, all: &[Place], target: &str) -> Result<Vec<Place>, String> {
    let (mut pod_wanted, mut rack_wanted) = (None, None);
    for part in target.split(',') {
        match part.split_once('=') {
            Some(("pod", pod)) => pod_wanted = Some(pod),
            Some(("rack", rack)) => rack_wanted = Some(rack),
            _ => return Err(format!("`{part}`: a selector of racks may name pod and rack: pod=p01,rack=r1")),
        }
    }
    let is_wanted = |place: &Place| {
        let pod = pod_of(design, *place).map(|pod| design.pods[pod.index()].location.leaf());
        let rack = match place {
            Place::Rack(rack) => Some(design.racks[rack.index()].location.leaf()),
            Place::Zone | Place::Pod(_) => None,
        };
        pod_wanted.is_none_or(|wanted| pod == Some(wanted))
            && rack_wanted.is_none_or(|wanted| rack == Some(wanted))
    };
    Ok(all.iter().filter(|place| is_wanted(place)).copied().collect())
}
