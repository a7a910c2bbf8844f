//! Where each machine stands on the map: a document for each plan, and the order that the board tells states in.

use crate::http::machines::booted;
use model::{DeviceId, Generation, Plan};
use serde::Serialize;

/// A plan's map.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Layout {
    pub(super) generation: Generation,
    /// The machines in the order of the document: pod by pod, rack by rack.
    pub(super) order: Vec<DeviceId>,
    /// JSON: a [`Drawn`].
    pub(super) document: String,
}

/// The map as the page draws it. Every label is the design's own.
#[derive(Serialize)]
struct Drawn<'a> {
    zone: &'a str,
    generation: u64,
    pods: Vec<Pod<'a>>,
}

#[derive(Serialize)]
struct Pod<'a> {
    /// Empty for what stands outside pods.
    pod: &'a str,
    racks: Vec<Rack<'a>>,
}

#[derive(Serialize)]
struct Rack<'a> {
    /// Empty for what stands outside racks.
    rack: &'a str,
    /// What the locations of its machines begin with, `p01/r1/`.
    at: &'a str,
    units: Vec<&'a str>,
    #[serde(skip)]
    machines: Vec<DeviceId>,
}

impl Layout {
    pub(super) fn of(plan: &Plan) -> Self {
        let design = &plan.design;
        let mut pods: Vec<Pod<'_>> = Vec::new();
        for (id, device) in booted(plan) {
            let pod = device.pod.map_or("", |pod| design.pods[pod.index()].location.leaf());
            let rack = device.rack.map_or("", |rack| design.racks[rack.index()].location.leaf());
            let unit = device.location.leaf();
            let within = device.location.within_zone();
            let at = within.strip_suffix(unit).unwrap_or_default();
            // A machine follows its neighbours in the design, but for those that an `at` block moved.
            let place = pods.iter().rposition(|known| known.pod == pod).unwrap_or_else(|| {
                pods.push(Pod { pod, racks: Vec::new() });
                pods.len() - 1
            });
            let racks = &mut pods[place].racks;
            let place =
                racks.iter().rposition(|known| (known.rack, known.at) == (rack, at)).unwrap_or_else(|| {
                    racks.push(Rack { rack, at, units: Vec::new(), machines: Vec::new() });
                    racks.len() - 1
                });
            racks[place].units.push(unit);
            racks[place].machines.push(id);
        }
        let racks = pods.iter().flat_map(|pod| &pod.racks);
        let order = racks.flat_map(|rack| rack.machines.iter().copied()).collect();
        let drawn = Drawn { zone: &design.zone.name, generation: plan.generation.0, pods };
        // Names and numbers always have a JSON form.
        let document = serde_json::to_string(&drawn).unwrap_or_default();
        Self { generation: plan.generation, order, document }
    }
}
