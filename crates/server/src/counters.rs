//! What is counted while packets pass: one relaxed addition each, no lock.

use model::Reason;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// The protocols that are answered.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) enum Protocol {
    /// DHCP for IPv4.
    Dhcp,
    /// DHCP for IPv6.
    Dhcp6,
    /// DNS.
    Dns,
    /// TFTP.
    Tftp,
    /// HTTP boot.
    Http,
}

impl Protocol {
    /// All, in order; `self as usize` is the position here.
    pub(crate) const ALL: [Protocol; 5] = [Self::Dhcp, Self::Dhcp6, Self::Dns, Self::Tftp, Self::Http];

    /// The metric's label.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Dhcp => "dhcp",
            Self::Dhcp6 => "dhcp6",
            Self::Dns => "dns",
            Self::Tftp => "tftp",
            Self::Http => "http",
        }
    }
}

/// The steps of a changed design on its way to the answers, in order.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Phase {
    /// The files are read.
    Read,
    /// Text to design.
    Parse,
    /// Design to plan.
    Compile,
    /// On the disk.
    Store,
    /// Plan and facts to the view that packets are answered from.
    View,
    /// From the word that the files changed to answers from the view, waiting included.
    Whole,
}

impl Phase {
    /// All, in order; `self as usize` is the position here.
    pub(crate) const ALL: [Phase; 6] =
        [Self::Read, Self::Parse, Self::Compile, Self::Store, Self::View, Self::Whole];

    /// The metric's label.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Parse => "parse",
            Self::Compile => "compile",
            Self::Store => "store",
            Self::View => "view",
            Self::Whole => "whole",
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
    /// How long each step of the last change of plan took, in microseconds; by position in [`Phase::ALL`].
    change_micros: [Count; Phase::ALL.len()],
}

impl Counters {
    /// A view was made in this time, and published.
    pub(crate) fn view_made(&self, took: Duration) {
        self.views_published.one();
        self.view_micros.set(micros(took));
    }

    /// A step of a change took this long.
    pub(crate) fn phase_took(&self, phase: Phase, took: Duration) {
        self.change_micros[phase as usize].set(micros(took));
    }

    /// How long it took the last time, in seconds.
    pub(crate) fn phase_seconds(&self, phase: Phase) -> f64 {
        self.change_micros[phase as usize].get() as f64 / 1e6
    }

    pub(crate) fn of(&self, protocol: Protocol) -> &Traffic {
        &self.traffic[protocol as usize]
    }
}

fn micros(took: Duration) -> u64 {
    u64::try_from(took.as_micros()).unwrap_or(u64::MAX)
}
