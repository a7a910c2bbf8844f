//! How long a BMC may take, and how much it may say.

use std::time::Duration;

/// How long a BMC may take.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// To connect, TLS included: old BMCs take seconds for one RSA signature.
    pub connect: Duration,
    /// For one answer: an inventory right after a start takes half a minute.
    pub answer: Duration,
    /// How often a request that is answered "busy" is made again.
    pub busy_retries: u32,
    /// Between looks at a state or a task, unless the BMC says another time.
    pub poll: Duration,
    /// The longest time that a BMC may have us wait before we look again.
    pub poll_max: Duration,
    /// Until power is on or off after it was asked for.
    pub power: Duration,
    /// Until the system has shut itself down.
    pub graceful: Duration,
    /// Until media are inserted or ejected, where that is a task.
    pub media: Duration,
    /// Until firmware is updated, the BMC's restart included.
    pub update: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(15),
            answer: Duration::from_secs(60),
            busy_retries: 5,
            poll: Duration::from_secs(2),
            poll_max: Duration::from_secs(30),
            power: Duration::from_secs(60),
            graceful: Duration::from_secs(300),
            media: Duration::from_secs(120),
            update: Duration::from_secs(3600),
        }
    }
}

/// The longest answer that is read, in octets: a collection that is expanded has some hundred KiB.
pub(crate) const BODY_MAX: usize = 4 << 20;
/// The longest head of an answer, in octets.
pub(crate) const HEAD_MAX: usize = 64 << 10;
/// Redirections that are followed, one after the other.
pub(crate) const REDIRECTS_MAX: u32 = 3;
/// Pages of one collection.
pub(crate) const PAGES_MAX: usize = 32;
/// Members of one collection.
pub(crate) const MEMBERS_MAX: usize = 512;
/// Interfaces, or drives, that an inventory asks for one by one.
pub(crate) const PARTS_MAX: usize = 64;
