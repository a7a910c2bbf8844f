//! Which port is at the other end of each cable, by index.

use model::design::{Design, PortRef};
use model::ids::{DeviceId, PortIndex};

/// The far end of every port of every device.
#[derive(Debug)]
pub(super) struct FarEnds {
    /// Where each device's ports start in `ends`.
    first: Vec<u32>,
    ends: Vec<Option<PortRef>>,
}

impl FarEnds {
    /// The cables of a design, both ways. Of two cables in one port the first counts; the design has told of it.
    pub(super) fn of(design: &Design) -> Self {
        let mut first = Vec::with_capacity(design.devices.len());
        let mut total = 0_u32;
        for device in &design.devices {
            first.push(total);
            total += u32::try_from(design.models[device.model.index()].ports.len()).unwrap_or(0);
        }
        let mut far_ends = Self { first, ends: vec![None; total as usize] };
        for cable in &design.cables {
            for (near, far) in [(cable.a, cable.b), (cable.b, cable.a)] {
                let at = far_ends.first[near.device.index()] as usize + near.port.index();
                if let Some(end @ None) = far_ends.ends.get_mut(at) {
                    *end = Some(far);
                }
            }
        }
        far_ends
    }

    /// What a port is cabled to.
    pub(super) fn get(&self, device: DeviceId, port: PortIndex) -> Option<PortRef> {
        self.ends.get(self.first[device.index()] as usize + port.index()).copied().flatten()
    }
}
