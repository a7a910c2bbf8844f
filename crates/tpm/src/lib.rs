//! What a TPM 2.0 proves of the machine that it is soldered to.
//!
//! Both ends of it: the machine's, which talks to the TPM ([`Tpm`]), and the controller's, which has no TPM and judges octets
//! ([`make_credential`], [`Quote::verify`]). Only what enrolment needs of the TPM 2.0 Library (parts 1 to 3, revision 1.59) is here:
//! one kind of endorsement key (RSA 2048 by template L-1 of the TCG EK Credential Profile 2.4, which every TPM of a PC has),
//! one kind of attestation key (ECDSA by P-256), SHA-256 throughout.
//!
//! | module       | what it does                                                         |
//! |--------------|------------------------------------------------------------------------|
//! | `octets`     | integers and sized buffers, big endian, in and out                     |
//! | `public`     | public areas: what a key is and may do, and the name that follows from it |
//! | `command`    | the commands that we send, and what is read of their responses          |
//! | `device`     | the TPM of this machine, asked one command at a time                     |
//! | `credential` | a secret that one TPM can read, if it holds the key that was named        |
//! | `quote`      | a signed statement of its PCRs                                           |
//!
//! How the two make an enrolment is in `docs/internals/trust.md`.

mod command;
mod credential;
mod device;
mod octets;
mod public;
mod quote;

pub use credential::{Credential, make_credential};
pub use device::{Shown, Tpm, TpmError};
pub use octets::Malformed;
pub use public::Public;
pub use quote::{Quote, Quoted, WrongQuote, nonce};

/// The number of a platform configuration register, 0 to 23, of the SHA-256 bank.
pub type Pcr = u8;

/// Registers of a TPM (PC Client Platform TPM Profile §4.6.2).
pub const PCRS: u8 = 24;
