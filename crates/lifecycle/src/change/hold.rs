//! The plan in force while a change is under way: the new one, in which machines that are not reached keep their rows of the old.
//!
//! A machine's row is its role, with the image, system and layout behind it, and what its model is expected to have. Copies of
//! the old ones are appended to the new plan's tables, and the devices that are held point at them: whoever looks up a
//! machine's role finds the right one and need not know of changes. Addresses, names and cables are the new plan's at once.

use model::design::{Design, Role};
use model::ids::{ImageId, LayoutId, ModelId, OsId, RoleId};
use model::{Change, DeviceId, Location, Plan};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// A plan that a change brings to machines, as it stands for now.
#[derive(Clone, Debug)]
pub struct Held {
    /// The change.
    pub change: Change,
    /// The plan that machines come from.
    pub before: Arc<Plan>,
    /// What each of them runs by now.
    pub plan: Arc<Plan>,
}

impl Held {
    /// `new`, where a change has reached as many machines as it has.
    pub fn new(new: &Plan, before: Arc<Plan>, change: Change) -> Self {
        let plan = Arc::new(hold(new, &before, change.held()));
        Self { change, before, plan }
    }
}

/// `new`, in which these machines keep their rows of `old`.
pub fn hold<'a>(new: &Plan, old: &Plan, held: impl Iterator<Item = &'a Location>) -> Plan {
    let at = |plan: &Plan| -> HashMap<Location, DeviceId> {
        let devices = plan.design.devices.iter().enumerate();
        devices.map(|(index, device)| (device.location.clone(), DeviceId::from_index(index))).collect()
    };
    let (in_new, in_old) = (at(new), at(old));
    let mut design = (*new.design).clone();
    let mut rows = Rows { old, roles: BTreeMap::new(), models: BTreeMap::new() };
    for location in held {
        let Some((now, before)) = in_new.get(location).zip(in_old.get(location)) else { continue };
        let before = &old.design.devices[before.index()];
        let role = before.role.map(|role| rows.role(&mut design, role));
        let model = design.devices[now.index()].model;
        let model = rows.model(&mut design, model, before.model);
        let device = &mut design.devices[now.index()];
        (device.role, device.model) = (role, model);
    }
    Plan { design: Arc::new(design), ..new.clone() }
}

/// Which rows were appended, by what they were in the old plan.
struct Rows<'a> {
    old: &'a Plan,
    roles: BTreeMap<RoleId, RoleId>,
    /// By the new plan's model, whose ports count, and the old one's, whose expectations do.
    models: BTreeMap<(ModelId, ModelId), ModelId>,
}

impl Rows<'_> {
    fn role(&mut self, design: &mut Design, id: RoleId) -> RoleId {
        if let Some(known) = self.roles.get(&id) {
            return *known;
        }
        let old = &self.old.design;
        let before = &old.roles[id.index()];
        let named = design.roles.iter().find(|role| role.name == before.name);
        // What others see of the role, in DNS and on the wire, is the new plan's at once.
        let (services, guest_ouis) = named.map_or_else(
            || (before.services.clone(), before.guest_ouis.clone()),
            |role| (role.services.clone(), role.guest_ouis.clone()),
        );
        let role = Role {
            boot: before.boot.map(|image| self.image(design, image)),
            os: before.os.map(|os| self.system(design, os)),
            disks: before.disks.map(|layout| self.layout(design, layout)),
            services,
            guest_ouis,
            ..before.clone()
        };
        let appended = RoleId::from_index(design.roles.len());
        design.roles.push(role);
        self.roles.insert(id, appended);
        appended
    }

    fn image(&self, design: &mut Design, id: ImageId) -> ImageId {
        let image = &self.old.design.images[id.index()];
        ImageId::from_index(find_or_push(&mut design.images, image.clone()))
    }

    fn system(&self, design: &mut Design, id: OsId) -> OsId {
        let mut system = self.old.design.systems[id.index()].clone();
        // Its files are served by its name: they are not those of the new plan's system of that name.
        let differs = |other: &model::design::Os| {
            other.name == system.name && (&other.image, &other.digest) != (&system.image, &system.digest)
        };
        if design.systems.iter().any(differs) {
            system.name = format!("{}@{}", system.name, self.old.generation.0);
        }
        OsId::from_index(find_or_push(&mut design.systems, system))
    }

    fn layout(&self, design: &mut Design, id: LayoutId) -> LayoutId {
        LayoutId::from_index(find_or_push(&mut design.layouts, self.old.design.layouts[id.index()].clone()))
    }

    fn model(&mut self, design: &mut Design, now: ModelId, before: ModelId) -> ModelId {
        let expect = &self.old.design.models[before.index()].expect;
        if design.models[now.index()].expect == *expect {
            return now;
        }
        if let Some(known) = self.models.get(&(now, before)) {
            return *known;
        }
        let mut model = design.models[now.index()].clone();
        model.expect = expect.clone();
        let appended = ModelId::from_index(design.models.len());
        design.models.push(model);
        self.models.insert((now, before), appended);
        appended
    }
}

fn find_or_push<T: PartialEq>(rows: &mut Vec<T>, row: T) -> usize {
    rows.iter().position(|known| *known == row).unwrap_or_else(|| {
        rows.push(row);
        rows.len() - 1
    })
}
