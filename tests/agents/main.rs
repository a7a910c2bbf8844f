//! Agents and controller, over real TLS on the loopback: who gets a certificate, who is heard, and what abuse costs.
//!
//! | module      | what it holds                                                                |
//! |-------------|--------------------------------------------------------------------------------|
//! | `bench`     | a zone of two machines, the real listener, a clock that is set by hand          |
//! | `client`    | a peer that says whatever a test wants it to say                               |
//! | `enrolment` | tokens and certificates: to whom, how often, how long                            |
//! | `sessions`  | what a machine with a certificate may do, and when it may no longer              |
//! | `burn_in`   | burn-in: begun, gone on with, called off, failed                                 |
//! | `by_bmc`    | places that are proved by a key from their BMC                                   |
//! | `abuse`     | garbage, floods, silence                                                       |
//! | `crowd`     | three hundred machines at once: how soon, and at what cost                        |
//! | `agent`     | the real agent against the real listener, through loss and restart               |
//! | `tpm`       | places that are proved by a TPM, and whoever says that he is it                   |

mod abuse;
mod agent;
mod bench;
mod burn_in;
mod by_bmc;
mod client;
mod crowd;
#[path = "../emulated_tpm.rs"]
mod emulated_tpm;
mod enrolment;
mod sessions;
mod tpm;
