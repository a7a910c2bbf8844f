//! The client against a BMC that is played here and misbehaves as real ones do.
//!
//! | module     | what it holds                                         |
//! |------------|--------------------------------------------------------|
//! | `played`   | the BMC: a small Redfish service with bad habits        |
//! | `habits`   | busy, slow, forgetful, garrulous, of broken trust       |
//! | `work`     | what is asked of machines                               |
//! | `accounts` | adopting, also where it was interrupted                |

mod accounts;
mod habits;
mod played;
mod work;
