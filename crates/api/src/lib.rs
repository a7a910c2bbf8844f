//! The types spoken between controller, agent, command line and page.
//!
//! | module  | between whom                                     | how                                         |
//! |---------|---------------------------------------------------|---------------------------------------------|
//! | `agent` | agent and controller                              | frames of JSON in TLS                       |
//! | `bmc`   | command line and controller                       | one request, lines of JSON back             |
//! | `change` | command line, page and programs, and controller  | the same HTTP: plans, changes, budgets        |
//! | `edge`  | edge and controller                               | JSON over HTTP in TLS                       |
//! | `image` | who builds, serves and writes images               | `manifest.json`                             |
//! | `install` | agent and controller                             | inside their frames                         |
//! | `key_media` | controller and agent, by way of a BMC           | a virtual CD                                |
//! | `http`  | command line, page and programs, and controller   | JSON over HTTP, described by OpenAPI        |
//!
//! Nothing here opens a socket or decides anything.

pub mod agent;
pub mod bmc;
pub mod change;
pub mod edge;
pub mod http;
pub mod image;
pub mod install;
pub mod key_media;
pub mod people;
