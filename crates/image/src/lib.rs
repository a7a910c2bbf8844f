//! Images: (what to build, a cache of packages) → files that machines boot.
//!
//! It runs `apt-get`, `dpkg-deb` and `mmdebstrap`, and writes files. It serves nothing, knows no zone, and decides nothing of one. What goes
//! into an image, in which order and as which octets, is decided in modules without I/O.
//!
//! | module       | subject                                                       | I/O |
//! |--------------|---------------------------------------------------------------|-----|
//! | `list`       | what is in images, as data                                    |     |
//! | `lock`       | which packages an image is made of                            |     |
//! | `elf`        | what a program needs to run, what a module says of itself     |     |
//! | `modules`    | which modules, in which order, and the texts that load them   |     |
//! | `programs`   | programs and the libraries that they need                     |     |
//! | `tree`       | the files of an archive before it is written                  |     |
//! | `newc`       | the archive that Linux unpacks                                |     |
//! | `root`       | the archive of a whole system, and what is not in it          |     |
//! | `chunks`     | a file hashed piece by piece while it is written              |     |
//! | `apt`        | asking `apt-get`                                              | yes |
//! | `packages`   | choosing packages, and the cache that they are kept in        | yes |
//! | `archive`    | the files of a package                                        | yes |
//! | `source`     | the files of all packages together                            | yes |
//! | `grub`       | GRUB, put together of its modules                             | yes |
//! | `repository` | the packages of a lock as all that `apt` can have             | yes |
//! | `overlay`    | files that are laid over packages                             | yes |
//! | `bootstrap`  | running `mmdebstrap`                                          | yes |
//! | `manifest`   | what an image is, and its digest                              | yes |
//! | `place`      | an image is there whole or not at all                         | yes |
//! | `request`    | what all images are built from, and end as                    | yes |
//! | `installer`  | the installer, from a request to a directory                  | yes |
//! | `os`         | an operating system, likewise                                 | yes |

mod apt;
mod archive;
mod bootstrap;
mod chunks;
mod elf;
mod error;
mod grub;
pub mod installer;
mod list;
mod lock;
pub mod manifest;
mod modules;
mod newc;
pub mod os;
mod overlay;
mod packages;
mod place;
mod programs;
mod repository;
mod request;
mod root;
mod source;
mod tree;

pub use elf::is_static;
pub use error::Error;
pub use packages::Step;
pub use request::{Built, Request, lock_of};
