//! Why a packet or request was not answered: counted per reason, sampled for `zw why`.

use crate::ids::{DeviceId, InterfaceId};
use serde::{Deserialize, Serialize};
use std::fmt;

macro_rules! reasons {
    ($($name:ident $word:literal $meaning:literal $remedy:literal)*) => {
        /// The reasons. The word is the metric's label and never changes its meaning.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
        pub enum Reason {
            $(
                #[doc = $meaning]
                #[serde(rename = $word)]
                $name,
            )*
        }

        impl Reason {
            /// All reasons, in order; `self as usize` is the position here.
            pub const ALL: &'static [Reason] = &[$(Reason::$name,)*];

            /// `unknown-relay`.
            pub fn as_str(self) -> &'static str {
                match self { $(Reason::$name => $word,)* }
            }

            /// What it means, one sentence.
            pub fn meaning(self) -> &'static str {
                match self { $(Reason::$name => $meaning,)* }
            }

            /// What to do.
            pub fn remedy(self) -> &'static str {
                match self { $(Reason::$name => $remedy,)* }
            }
        }
    };
}

reasons! {
    Malformed "malformed" "the packet is not a message of this protocol" "capture it; something on that port speaks nonsense"
    NotForUs "not-for-us" "the client chose another server" "if no other server should be there, find it by its server-id"
    UnknownRelay "unknown-relay" "no switch of the plan has this relay address or remote-id" "draw the switch, or mend what its relay writes"
    UnknownPort "unknown-port" "the relay is known, but nothing is drawn at the port it names" "draw the cable, or mend the switch model's circuit_id"
    NoIdentity "no-identity" "the request carries neither Option 82 nor a known address" "let the switch's relay insert Option 82"
    UntrustedRelay "untrusted-relay" "Option 82 arrived without a relay address, or from a relay that may not speak for that port" "find out who forges it; a relay that sends from an address of its own is named by the zone's relays_from"
    RelayLoop "relay-loop" "the packet passed too many relays, or came back to us" "look for two relays that forward to each other"
    Guest "guest" "a virtual machine behind the port asked; it is not the machine that is drawn there" "nothing, unless it should get an address: then draw it"
    OtherMachine "other-machine" "the hardware address belongs to another location" "put the cable back, or accept the location"
    WrongAddress "wrong-address" "the client asks to keep an address that is not its own" "nothing: it was told to start anew"
    Retired "retired" "the location is retired" "return it to service, or unplug it"
    NotArmed "not-armed" "an installer was asked for, but the machine is not armed for this plan" "arm it, if its disks may be written"
    Conflict "conflict" "the location's address is in use by somebody else, who was heard by the client" "find the other holder of the address"
    NotServed "not-served" "the zone does not serve this (name, file or message type)" "check the name"
    NotAllowed "not-allowed" "this client may not ask for this" "add it to the design if it may"
    BadTemplate "bad-template" "the template that was asked for cannot be rendered for this machine" "read the sentence of the reply, or `zw check`: it names template and line"
    CertificateRefused "certificate-refused" "the client objected to the certificate of HTTPS boot, or left when it saw it" "give its firmware the zone's authority (`zw authority`), and look at its clock"
    TlsUnable "tls-unable" "the client offers no TLS that HTTPS boot is served with: 1.3, or 1.2 with ECDHE, ECDSA and AES-GCM" "update its firmware (EDK2 can since 2025.05), or let its role boot by HTTP"
    TooMany "too-many" "a limit is reached; asking again later helps" "raise the limit if this is ordinary load"
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A request that gets no answer (or a negative one), and why. Small and free to make: a flood makes millions.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Refusal {
    /// Why.
    pub reason: Reason,
    /// The switch whose relay brought it, if that much was understood.
    pub switch: Option<DeviceId>,
    /// The interface it would have been for, if that much was understood.
    pub interface: Option<InterfaceId>,
}

impl From<Reason> for Refusal {
    fn from(reason: Reason) -> Self {
        Self { reason, switch: None, interface: None }
    }
}
