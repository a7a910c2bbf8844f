//! One file for each command: its arguments, and what it does.

pub(crate) mod account;
pub(crate) mod agent;
pub(crate) mod apply;
pub(crate) mod authority;
pub(crate) mod bmc;
pub(crate) mod change;
pub(crate) mod check;
pub(crate) mod completions;
pub(crate) mod edge;
pub(crate) mod export;
pub(crate) mod fmt;
pub(crate) mod history;
pub(crate) mod image;
pub(crate) mod install;
pub(crate) mod lab;
pub(crate) mod new;
pub(crate) mod plan;
pub(crate) mod serve;
pub(crate) mod show;
pub(crate) mod status;
pub(crate) mod store;
pub(crate) mod why;
pub(crate) mod wish;
