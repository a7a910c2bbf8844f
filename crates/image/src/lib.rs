//! Images: (what to build, a cache of packages) → files that machines boot.
//!
//! It runs `apt-get` and `dpkg-deb`, and writes files. It serves nothing, knows no zone, and decides nothing of one. What goes
//! into an image, in which order and as which octets, is decided in modules without I/O.
//!
//! | module    | subject                                                        |
//! |-----------|----------------------------------------------------------------|
//! | `elf`     | what a program needs to run, what a module says of itself      |
//! | `list`    | what is in the installer, as data                              |
//! | `lock`    | which packages an image is made of                             |
//! | `modules` | which modules, in which order, and the texts that load them    |
//! | `newc`    | the archive that Linux unpacks                                 |
//! | `tree`    | the files of an archive before it is written                   |

pub mod elf;
pub mod list;
pub mod lock;
pub mod modules;
pub mod newc;
pub mod tree;
