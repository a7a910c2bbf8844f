//! What a plan does to machines that run by the one before.

use super::Because;
use crate::document::document;
use model::change::Effect;
use model::design::{Device, Role};
use model::finding::Source;
use model::quick::Map;
use model::{DeviceId, Location, Plan};
use std::collections::{BTreeMap, HashMap};

/// Every machine, in both, to which `new` does something, what, and why; in the order of their locations.
///
/// It says the same as [`super::diff`] and adds what is only looked at again: checks, what a model is expected to have, proofs.
pub fn effects(old: &Plan, new: &Plan) -> BTreeMap<Location, (Effect, String)> {
    let before: Map<&Location, DeviceId> =
        old.design.devices.iter().zip(0..).map(|(device, id)| (&device.location, DeviceId(id))).collect();
    let mut rows = Rows { old, new, same: HashMap::new() };
    let mut found = BTreeMap::new();
    let mut is_alike = true;
    for (now, id) in new.design.devices.iter().zip(0..) {
        let Some(was) = before.get(&now.location).filter(|_| now.kind == model::design::DeviceKind::Machine)
        else {
            continue;
        };
        is_alike &= rows.are_addresses_alike(*was, DeviceId(id));
        let Alike { runs, is_judged } = rows.alike(&old.design.devices[was.index()], now);
        is_alike &= runs;
        if let Some(reason) = is_judged {
            found.insert(now.location.clone(), (Effect::Check, reason));
        }
    }
    // The documents of ten thousand machines take a while, and most publications touch none.
    if is_alike {
        return found;
    }
    let diff = super::diff(&document(old), &document(new));
    let lists = [
        (Effect::Restart, diff.reboots),
        (Effect::Upgrade, diff.upgrades),
        (Effect::Reinstall, diff.reinstalls),
    ];
    for (effect, list) in lists {
        let because =
            list.into_iter().map(|Because { location, reasons }| (location, (effect, reasons.join(", "))));
        found.extend(because);
    }
    found
}

/// How two rows of a machine compare.
#[derive(Clone)]
struct Alike {
    /// What it boots and how its disks are written.
    runs: bool,
    /// What it is judged by otherwise than before.
    is_judged: Option<String>,
}

struct Rows<'a> {
    old: &'a Plan,
    new: &'a Plan,
    /// By role and model, before and now.
    same: HashMap<[(Option<u16>, u16); 2], Alike>,
}

impl Rows<'_> {
    fn are_addresses_alike(&self, was: DeviceId, now: DeviceId) -> bool {
        let (was, now) = (self.old.interfaces_of(was), self.new.interfaces_of(now));
        was.len() == now.len()
            && was.iter().zip(now).all(|(was, now)| {
                (&was.name, was.v4, was.v6) == (&now.name, now.v4, now.v6)
                    && self.told(self.old, was.subnet) == self.told(self.new, now.subnet)
            })
    }

    /// What a machine sets up an interface by.
    fn told<'a>(
        &self,
        plan: &'a Plan,
        subnet: model::ids::SubnetId,
    ) -> (&'a str, Option<u16>, Option<std::net::Ipv4Addr>, Option<ipnet::Ipv4Net>, Option<ipnet::Ipv6Net>)
    {
        let subnet = plan.subnet(subnet);
        let network = &plan.design.networks[subnet.network.index()];
        (&network.name, network.mtu, subnet.gateway4, subnet.v4, subnet.v6)
    }

    fn alike(&mut self, was: &Device, now: &Device) -> Alike {
        let key = [was, now].map(|device| (device.role.map(|role| role.0), device.model.0));
        if let Some(known) = self.same.get(&key) {
            return known.clone();
        }
        let alike = compare(self.old, was, self.new, now);
        self.same.insert(key, alike.clone());
        alike
    }
}

fn compare(old: &Plan, was: &Device, new: &Plan, now: &Device) -> Alike {
    let role = |plan: &Plan, device: &Device| device.role.map(|role| plan.design.roles[role.index()].clone());
    let (was_role, now_role) = (role(old, was), role(new, now));
    let runs = match (&was_role, &now_role) {
        (None, None) => true,
        (Some(was), Some(now)) => does_run_alike(old, was, new, now),
        _ => false,
    };
    let models = [(old, was), (new, now)].map(|(plan, device)| &plan.design.models[device.model.index()]);
    let differs = |is_other: fn(&Role, &Role) -> bool| {
        was_role.as_ref().zip(now_role.as_ref()).is_some_and(|(was, now)| is_other(was, now))
    };
    let named = was_role.as_ref().zip(now_role.as_ref()).filter(|(was, now)| was.name != now.name);
    let by_role = |reason: &str| match named {
        Some((was, now)) => format!("its role is {}, was {}", now.name, was.name),
        None => reason.to_owned(),
    };
    let is_judged = if models[0].expect != models[1].expect {
        Some("its model is expected to have other hardware".to_owned())
    } else if differs(|was, now| was.checks != now.checks) {
        Some(by_role("its role has other checks"))
    } else if differs(|was, now| was.trust != now.trust) {
        Some(by_role("its role is proved otherwise"))
    } else {
        None
    };
    Alike { runs: runs && models[0].name == models[1].name, is_judged }
}

fn does_run_alike(old: &Plan, was: &Role, new: &Plan, now: &Role) -> bool {
    let nowhere = Source::default();
    let image = |plan: &Plan, role: &Role| {
        role.boot.map(|image| {
            let mut image = plan.design.images[image.index()].clone();
            image.source = nowhere;
            image.templates.iter_mut().for_each(|template| template.source = nowhere);
            image
        })
    };
    let system = |plan: &Plan, role: &Role| {
        role.os.map(|os| model::design::Os { source: nowhere, ..plan.design.systems[os.index()].clone() })
    };
    let layout = |plan: &Plan, role: &Role| {
        role.disks.map(|layout| model::design::Layout {
            source: nowhere,
            ..plan.design.layouts[layout.index()].clone()
        })
    };
    image(old, was) == image(new, now)
        && system(old, was) == system(new, now)
        && layout(old, was) == layout(new, now)
}

#[cfg(test)]
mod tests {
    use super::effects;
    use crate::testing::{POCKET, plan};
    use expect_test::{Expect, expect};

    /// What an edit of the pocket example does to its first machine, and to how many.
    fn check(edits: &[(&str, &str)], expected: Expect) {
        let after = edits.iter().fold(POCKET.to_owned(), |text, (from, to)| {
            assert!(text.contains(from), "the example has no {from:?}");
            text.replacen(from, to, 1)
        });
        let found = effects(&plan(POCKET), &plan(&after));
        let first =
            found.iter().next().map(|(location, (effect, why))| format!("{location} {effect:?}: {why}"));
        expected.assert_eq(&format!("{} of {}", first.unwrap_or_default(), found.len()));
    }

    const STORAGE: (&str, &str) =
        ("role \"hypervisor\" {", "role \"storage\" {\n  boot = image.kvm\n}\n\nrole \"hypervisor\" {");

    #[test]
    fn checks_that_differ_are_the_roles_or_come_with_another_role() {
        check(
            &[("  check \"checks/kvm.yaml\" {}\n", "")],
            expect!["lab1/p01/r1/u01 Check: its role has other checks of 8"],
        );
        check(
            &[STORAGE, ("role  = \"hypervisor\"", "role  = \"storage\"")],
            expect!["lab1/p01/r1/u01 Check: its role is storage, was hypervisor of 8"],
        );
        check(&[STORAGE], expect![" of 0"]);
    }
}
