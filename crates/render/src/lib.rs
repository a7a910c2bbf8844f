//! Plan → the texts that others read.
//!
//! | module | text                                   | reader        |
//! |--------|----------------------------------------|---------------|
//! | `ipxe` | what a machine boots, or why it waits   | iPXE          |
//! | `export` | inventories, host files, cable lists  | other people's tools |
//!
//! Pure: text out, nothing else. What is written here comes from the design and from operators, never from a packet.

pub mod export;
pub mod ipxe;
