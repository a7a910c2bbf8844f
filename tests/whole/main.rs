//! Tests of the whole: the program as its users meet it.
//!
//! | module     | what it holds                                                                        |
//! |------------|--------------------------------------------------------------------------------------|
//! | `abuse`    | floods, forgeries, and tools that others wrote to starve DHCP servers               |
//! | `cases`    | every folder of `tests/cases` is a design and a transcript of commands; add a folder |
//! | `clients`, `clients6` | DHCP clients and a relay that we did not write, of both families         |
//! | `controllers` | several controllers of a zone, and what may go wrong with the one that decides   |
//! | `debian`   | Debian's own installer on a machine with real firmware, from our preseed             |
//! | `dns`      | `dig`, `named-checkzone`, `drill`, `dnsperf`                                         |
//! | `dns_secondary` | BIND as a secondary, ldns as a judge of zones                                  |
//! | `edge`     | an edge beside a served zone, with the controller gone and put back from a copy      |
//! | `bmc`      | a BMC that others play, adopted and worked with                                     |
//! | `boot`     | TFTP and HTTP clients                                                                |
//! | `perf`     | `perfdhcp` as a judge                                                                |
//! | `pictures` | libxml2, librsvg and a browser on what we draw                                      |
//! | `judges`   | Ansible, Prometheus and Graphviz on what we export; the API by its own document      |
//! | `image`    | `cpio`, `zstd` and `depmod` on the installer, made twice                            |
//! | `install`  | the installer on a machine with real firmware: power cuts, upgrades, falling back   |
//! | `key`      | machines that are handed a key by their BMC                                         |
//! | `machines` | OVMF and SeaBIOS in QEMU: real machines of the lab                            |
//! | `os`       | an operating system, made by two users on two machines alike, looked at by `tar`     |
//! | `examples` | the examples' whole plans, by digest                                                |
//! | `hardship` | taken ports, full disks, kills, noise, broken designs                                |
//! | `network`  | a private network inside a test, which leaves nothing behind                         |
//! | `served`   | a zone served in such a network                                                      |
//! | `templates` | the judges of preseed, kickstart and cloud-init on our templates            |
//! | `zw`       | running the program                                                                  |

mod abuse;
mod bmc;
mod boot;
mod cases;
mod clients;
mod clients6;
mod controllers;
mod debian;
mod dns;
mod dns_secondary;
mod edge;
mod examples;
mod fleetlock;
mod hardship;
mod image;
mod install;
mod judges;
mod key;
mod machines;
mod machines_https;
mod metal;
mod network;
mod os;
mod perf;
mod pictures;
mod served;
mod templates;
mod zw;
