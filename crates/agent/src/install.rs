//! Carries out an order: disks become a system, or a slot that does not run becomes another one.
//!
//! In: an [`Order`] and what the agent runs in. Out: progress, and that everything is written and proved, or a sentence that says what to
//! do. It decides nothing that the order could say, and refuses an order that does not fit the machine before anything is
//! written. `docs/internals/installing.md` has the steps, and what a power cut leaves after each.
//!
//! | module      | what it does                                                          | I/O |
//! |-------------|--------------------------------------------------------------------------|-----|
//! | `layout`    | what an order may ask of disks; where partitions lie                      |     |
//! | `gpt`       | partition tables as octets                                               |     |
//! | `grub`      | GRUB's texts, its environment, and how a BIOS starts it                   |     |
//! | `files`     | what the agent itself puts into a system                                 |     |
//! | `devices`   | disks as the kernel knows them                                           | yes |
//! | `volumes`   | RAID, volumes, file systems                                              | yes |
//! | `programs`  | running other people's programs                                          | yes |
//! | `http`      | a part of a file by HTTP                                                 | yes |
//! | `download`  | the image, proved before it is given out                                 | yes |
//! | `root`      | unpacking and writing below a directory, and nowhere else                | yes |
//! | `esp`       | EFI system partitions                                                    | yes |
//! | `write`     | an order, from its first check to the seal                               | yes |
//! | `running`   | what the agent runs in; trial, confirmation, restart                      | yes |
//! | `watchdog`  | a machine that hangs restarts                                            | yes |
//! | `installer` | orders as they come from a controller, one at a time                      | yes |

mod devices;
mod download;
mod esp;
mod files;
mod gpt;
pub(crate) mod grub;
pub(crate) mod http;
mod installer;
mod layout;
mod programs;
mod root;
mod running;
mod volumes;
mod watchdog;
mod write;

pub(crate) use installer::{Installer, Said};
pub(crate) use watchdog::Watchdog;
