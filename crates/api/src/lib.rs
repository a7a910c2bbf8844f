//! See ARCHITECTURE.md.

pub mod agent;
