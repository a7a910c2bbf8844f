//! What is counted while packets pass: one relaxed addition each, no lock.

use model::Reason;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// The protocols that are answered.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) enum Protocol {
    /// DHCP for IPv4.
    Dhcp,
    /// DNS.
    Dns,
    /// TFTP.
    Tftp,
    /// HTTP boot.
    Http,
}

impl Protocol {
    /// All, in order; `self as usize` is the position here.
    pub(crate) const ALL: [Protocol; 4] = [Self::Dhcp, Self::Dns, Self::Tftp, Self::Http];

    /// The metric's label.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Dhcp => "dhcp",
            Self::Dns => "dns",
            Self::Tftp => "tftp",
            Self::Http => "http",
        }
    }
}

/// A number that only grows.
#[derive(Debug, Default)]
pub(crate) struct Count(AtomicU64);

impl Count {
    pub(crate) fn add(&self, amount: u64) {
        self.0.fetch_add(amount, Relaxed);
    }

    pub(crate) fn one(&self) {
        self.add(1);
    }

    pub(crate) fn set(&self, value: u64) {
        self.0.store(value, Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// Of one protocol.
#[derive(Debug, Default)]
pub(crate) struct Traffic {
    /// Packets and requests that came.
    pub(crate) received: Count,
    /// Answers that went out.
    pub(crate) answered: Count,
    /// Octets of answers.
    pub(crate) octets: Count,
    /// Answers that the system would not send.
    pub(crate) send_failed: Count,
    /// Requests that met a bug of ours. Each cost one packet.
    pub(crate) panicked: Count,
    /// By position in [`Reason::ALL`].
    pub(crate) refused: [Count; Reason::ALL.len()],
}

/// All of it.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    traffic: [Traffic; Protocol::ALL.len()],
    /// Events that found the keeper's queue full.
    pub(crate) events_dropped: Count,
    /// Sightings of one machine that came faster than any machine boots, and were not looked at.
    pub(crate) events_damped: Count,
    /// Events that were kept.
    pub(crate) events_stored: Count,
    /// Batches that the store would not take; each is tried again.
    pub(crate) store_failures: Count,
    /// Views that were published.
    pub(crate) views_published: Count,
    /// How long the last view took to make, in microseconds.
    pub(crate) view_micros: Count,
}

impl Counters {
    /// A view was made in this time, and published.
    pub(crate) fn view_made(&self, took: Duration) {
        self.views_published.one();
        self.view_micros.set(u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
    }

    pub(crate) fn of(&self, protocol: Protocol) -> &Traffic {
        &self.traffic[protocol as usize]
    }
}
