//! Plan → the texts that others read.
//!
//! | module | text                                   | reader        |
//! |--------|----------------------------------------|---------------|
//! | `ipxe` | what a machine boots, or why it waits   | iPXE          |
//! | `grub` | the same, where Secure Boot is on       | GRUB          |
//! | `system` | a machine's own files, what its agent starts from | its operating system |
//! | `template` | what an installer of a distribution is told | kickstart, preseed, autoinstall, Ignition, cloud-init |
//! | `export` | inventories, host files, cable lists  | other people's tools |
//! | `picture` | elevations, cabling, address plan, labels, pull lists | people, on paper |
//!
//! Pure: text out, nothing else. What is written here comes from the design and from operators, never from a packet.

pub mod export;
pub mod grub;
pub mod ipxe;
pub mod picture;
pub mod system;
pub mod template;
