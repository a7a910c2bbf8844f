//! What a controller is told, and tells itself: it waits in a queue until the door takes it.

use super::{BMC_EVERY_MS, Step};
use crate::body::FromController;
use crate::drawing::Drawing;
use crate::world::{Happening, World};
use model::event::{Event, What, Wish};
use model::{ChangeId, Location};

/// What was heard waits for more as long as this.
const GATHER_MS: u64 = 10;
/// How long the same sighting is not told again.
const SAME_FOR_MS: u64 = 30_000;

/// Who waits for an event to be stored.
pub(crate) struct Asker {
    pub(crate) to: Reply,
    /// It must not be said before it is stored; otherwise memory will do.
    pub(crate) must_be_stored: bool,
}

/// What is done when it was.
pub(crate) enum Reply {
    Agent { body: usize, epoch: u32, connection: u32, frame: FromController },
    Bmc { location: Location },
    Nobody,
}

/// What it is asked besides events.
#[expect(clippy::large_enum_variant, reason = "nearly all of them are the largest")]
pub(crate) enum Message {
    Event(Event, Asker),
    Publish(Box<Drawing>),
    /// The drawing before is published again, since a change stopped.
    Undo(ChangeId),
}

impl World<'_> {
    /// Somebody saw something: told to whoever leads, unless it was told just now.
    pub(crate) fn observed(&mut self, controller: usize, observed: answer::dhcp::Observed) {
        let (now, at) = (self.now, self.clock(controller));
        let of = &mut self.controllers[controller];
        let Some(view) = of.view.clone() else { return };
        let before = of.told.get(&observed.interface);
        if before.is_some_and(|(same, when)| *same == observed && now < when + SAME_FOR_MS) {
            return;
        }
        of.told.insert(observed.interface, (observed, now));
        self.heard(controller, observed.event(&view.plan, at));
    }

    /// The same for what is no packet of DHCP.
    pub(crate) fn heard(&mut self, controller: usize, event: Event) {
        if self.controllers[controller].zone.is_some() {
            let asker = Asker { to: Reply::Nobody, must_be_stored: false };
            self.take(controller, Message::Event(event, asker), GATHER_MS);
        } else if let Some(leader) = self.leader() {
            let pause = self.random.between(1, 20);
            self.queue.put(self.now + pause, Happening::Forwarded { controller: leader, event });
        } else {
            self.tally.unheard += 1;
        }
    }

    /// Leaves something in the queue of one that leads.
    pub(crate) fn take(&mut self, controller: usize, message: Message, within_ms: u64) {
        let of = &mut self.controllers[controller];
        if let Message::Event(event, Asker { to: Reply::Agent { .. } | Reply::Bmc { .. }, .. }) = &message {
            // What is seen of a machine next is news: what is known of it changes.
            if let Some(zone) = &of.zone
                && let Some(device) = zone.roster().device_at(&event.location)
            {
                for interface in zone.plan().interface_ids_of(device) {
                    of.told.remove(&interface);
                }
            }
        }
        of.inbox.push_back(message);
        self.pump_within(controller, within_ms);
    }

    /// The door looks at what waits, unless it is about to.
    pub(super) fn pump_within(&mut self, controller: usize, within_ms: u64) {
        if !std::mem::replace(&mut self.controllers[controller].is_pumping, true) {
            self.after(controller, within_ms, Step::Pump);
        }
    }

    /// Asks the BMCs that are due.
    pub(super) fn look_at_bmcs(&mut self, controller: usize) {
        if self.controllers[controller].zone.is_none() {
            return;
        }
        self.after(controller, BMC_EVERY_MS, Step::Bmcs);
        let now = self.clock(controller);
        let Some(zone) = &self.controllers[controller].zone else { return };
        let due = lifecycle::starting::due(zone, now);
        if due.is_empty() {
            return;
        }
        let words = self.starts_within_budget(controller, &due, now);
        self.looked("budget");
        if let Err(words) = words {
            self.violated("budget", words);
        }
        for due in due {
            let what = What::Bmc {
                by: due.by,
                asked: "to boot from the network".to_owned(),
                outcome: None,
                start: Some(model::event::Started::Begun),
            };
            let event = Event { at: now, location: due.location.clone(), what };
            let asker = Asker { to: Reply::Bmc { location: due.location }, must_be_stored: true };
            self.take(controller, Message::Event(event, asker), 1);
        }
    }

    /// What an operator asks for, at whoever leads.
    pub(crate) fn wish(&mut self, location: &Location, wish: Wish) {
        let Some(leader) = self.leader() else { return };
        let event = Event {
            at: self.clock(leader),
            location: location.clone(),
            what: What::Operator { by: "ada".to_owned(), wish, beyond_budget: false },
        };
        let asker = Asker { to: Reply::Nobody, must_be_stored: true };
        self.take(leader, Message::Event(event, asker), 1);
    }
}
