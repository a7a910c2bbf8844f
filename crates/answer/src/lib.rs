//! What to answer: (View, request, now) → reply, or a named Refusal.
//!
//! Pure: no await, no lock, no log, no write, no clock. The server's socket loops call it between receive and send.

pub mod dhcp;
pub mod dhcp6;
pub mod dns;
pub mod http;
mod machine_uuid;
pub mod party;
pub mod tftp;
