//! Sockets of switches: what their relays write for each, which place each is drawn for, and who is plugged in there.

use model::design::Audience;
use model::{Location, Plan};
use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::Arc;

/// A position in [`Cabling::jacks`].
pub(crate) type JackId = usize;

/// A socket of a switch.
pub(crate) struct Jack {
    pub(crate) switch: String,
    pub(crate) port: String,
    pub(crate) circuit_id: Box<[u8]>,
    pub(crate) remote_id: Option<Arc<[u8]>>,
    /// What its relay calls itself.
    pub(crate) relay: Ipv4Addr,
    /// Whose address whoever asks there gets.
    pub(crate) address: Option<Ipv4Addr>,
    /// The place that is drawn there, and its port.
    pub(crate) drawn: (Location, String),
    /// The body that is plugged in, and by which port.
    pub(crate) plugged: Option<(usize, usize)>,
    /// The relay hears nothing until then.
    pub(crate) deaf_until: u64,
}

/// Every socket that was ever drawn: growth adds some, and none is ever another.
#[derive(Default)]
pub(crate) struct Cabling {
    pub(crate) jacks: Vec<Jack>,
    pub(crate) drawn_for: BTreeMap<(Location, String), JackId>,
}

impl Cabling {
    /// Takes in what a plan draws.
    pub(crate) fn learn(&mut self, plan: &Plan) {
        let design = &plan.design;
        let name = |end: model::design::PortRef| {
            let model = design.devices[end.device.index()].model;
            design.models[model.index()].ports[end.port.index()].clone()
        };
        for binding in &plan.bindings {
            let interface = plan.interface(binding.interface);
            if !matches!(interface.audience, Audience::Machine | Audience::Bmc) {
                continue;
            }
            let place = design.devices[interface.device.index()].location.clone();
            let drawn = (place, name(binding.own_port));
            if self.drawn_for.contains_key(&drawn) {
                continue;
            }
            let routers = &plan.subnet(interface.subnet).routers;
            let own = routers.iter().find(|router| router.switch == binding.switch);
            let Some(relay) = own.and_then(|router| router.v4) else { continue };
            self.drawn_for.insert(drawn.clone(), self.jacks.len());
            self.jacks.push(Jack {
                switch: design.devices[binding.switch.index()].name.clone(),
                port: name(binding.port),
                circuit_id: binding.circuit_id.clone(),
                remote_id: binding.remote_id.clone(),
                relay,
                address: interface.v4,
                drawn,
                plugged: None,
                deaf_until: 0,
            });
        }
    }

    /// Where a place's port is drawn.
    pub(crate) fn of(&self, place: &Location, port: &str) -> Option<JackId> {
        self.drawn_for.get(&(place.clone(), port.to_owned())).copied()
    }
}
