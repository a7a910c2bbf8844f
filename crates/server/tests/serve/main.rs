//! A server on free ports of 127.0.0.1, with `examples/pocket`, spoken to over real sockets.
//!
//! Each test has its own server and directory. Nothing sleeps: what has to be waited for comes as a server-sent event.

mod boot;
mod boot_http;
mod boot_tftp;
mod boot_tls;
#[path = "../../../../tests/browser.rs"]
mod browser;
mod changes;
mod deaf;
mod dhcp6;
mod dns;
#[path = "../../../store/tests/contract/etcd.rs"]
mod etcd;
mod garbage;
mod interface;
mod loops;
mod map;
mod page;
mod people;
mod reload;
mod restart;
mod shared;
mod start;
mod support;
