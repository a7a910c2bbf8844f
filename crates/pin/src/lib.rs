//! TLS to a server that no public authority vouches for: it is known by a SHA-256, of its own certificate or of its authority's.
//!
//! In: who judges what the server shows, and what we show. Out: a configuration of the TLS library. Never here: a socket, and
//! where a SHA-256 comes from.
//!
//! | module      | what it does                                                          |
//! |-------------|-----------------------------------------------------------------------|
//! | `verifier`  | certificates by a [`Judge`], signatures by the TLS library            |
//! | `authority` | controllers: their authority's certificate comes along, and is the one |

mod authority;
mod verifier;

pub use authority::{Own, to_controller};
pub use verifier::{Judge, Shown, client};
