//! Every code a finding can have, with what it means and what to do: the reference is generated from this table.

use serde::{Deserialize, Serialize};
use std::fmt;

macro_rules! codes {
    ($($code:literal $name:ident $meaning:literal $remedy:literal)*) => {
        /// A finding's stable code. Codes are never reused.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
        pub enum Code {
            $(
                #[doc = $meaning]
                #[serde(rename = $code)]
                $name,
            )*
        }

        impl Code {
            /// All codes, in order.
            pub const ALL: &'static [Code] = &[$(Code::$name,)*];

            /// `ZW0101`.
            pub fn as_str(self) -> &'static str {
                match self { $(Code::$name => $code,)* }
            }

            /// What it means.
            pub fn meaning(self) -> &'static str {
                match self { $(Code::$name => $meaning,)* }
            }

            /// What to do.
            pub fn remedy(self) -> &'static str {
                match self { $(Code::$name => $remedy,)* }
            }
        }
    };
}

// ZW01xx syntax · ZW02xx words and values · ZW03xx the drawing · ZW04xx wiring files · ZW05xx the address plan ·
// ZW06xx change against a parent plan · ZW07xx cabling as observed. A new code goes at the end of its group.
codes! {
    "ZW0101" Syntax
        "The file is not HCL at this place."
        "Look at the mark and just before it: a missing quote, bracket or newline is the usual cause."
    "ZW0102" NothingHere
        "The directory holds no design: no file ends in `.hcl`."
        "Name the design's directory, or start one with `zw new DIRECTORY`."

    "ZW0201" UnknownBlock
        "There is no block of this name here."
        "Check the spelling and the nesting; the reference lists which blocks stand where."
    "ZW0202" UnknownKey
        "There is no attribute of this name in this block."
        "Check the spelling; nothing unknown is ignored, so that a typing error cannot change a zone quietly."
    "ZW0203" MissingKey
        "A required attribute or block is not there."
        "Add it; the reference shows an example."
    "ZW0204" WrongType
        "The value is of another kind than this attribute takes."
        "Write the kind of value that the sentence names."
    "ZW0205" WrongValue
        "The value has the right kind but cannot be used here."
        "Use a value in the range or form that the sentence names."
    "ZW0206" UnknownName
        "Something is named here that the design does not have."
        "Define it, or mend the name."
    "ZW0207" WrittenTwice
        "The same thing is defined twice."
        "Keep one of the two."
    "ZW0208" BadPattern
        "A pattern such as `u{01..36}` cannot be expanded."
        "Write `{first..last}`, both decimal, padded alike, first not above last; `{first..last..step}` steps."
    "ZW0209" BadTemplate
        "A naming template or identity template cannot be used."
        "Use only the fields that the sentence lists, each in braces."
    "ZW0210" BadExpression
        "An expression cannot be evaluated."
        "The sentence says which part; indices count from one, as port names do."
    "ZW0211" MissingFile
        "A file that the design names cannot be read."
        "Paths are relative to the design's directory; create the file or mend the path."
    "ZW0212" BadChecks
        "A file of checks cannot be understood."
        "The sentence names the place; the reference lists the checks."
    "ZW0213" BadImageTemplate
        "A template of an image cannot be read, or cannot be rendered for a machine that boots the image."
        "The mark is at the template's line, the words are the template engine's; the guide to templates lists what a template may name."

    "ZW0301" DuplicateName
        "Two devices would have the same name."
        "Let the naming template use `{pod}`, `{rack}` and `{unit}`, or name one of them in an `at` block."
    "ZW0302" BadName
        "A name is not a DNS label."
        "Use letters, digits and hyphens, at most 63, not a hyphen first or last (RFC 1123 §2.1)."
    "ZW0303" PortTakenTwice
        "Two cables end in the same port."
        "A port holds one plug: mend one of the cables."
    "ZW0304" UnknownPort
        "The device's model has no such port."
        "Mend the port's name, or add it to the model's `ports`."
    "ZW0305" UnknownDevice
        "A cable names a device that the design does not have."
        "Add the device, or mend the name."
    "ZW0306" NoSlot
        "A pod, rack or unit has no number to take its place in the address plan from."
        "End its label in a number (`r07`), or give it `slot = N`."
    "ZW0307" SlotTakenTwice
        "Two pods, racks or units have the same number, and so the same place in the address plan."
        "Give one another number; the number, not the order in the file, decides the addresses."
    "ZW0308" BeyondCapacity
        "A number is above what the zone's `capacity` leaves room for."
        "Raise the capacity. That may renumber: `zw plan --against` shows what."
    "ZW0309" Unattached
        "A machine is cabled to no switch that relays DHCP, so nothing can know it by its place."
        "Cable one of its interfaces to a switch whose model has `circuit_id`."
    "ZW0310" SameIdentity
        "Two ports would send the same identity, so a request could be either's."
        "Let the switch model's `circuit_id` use `{port}`, and its `remote_id` or relay address tell the switch."
    "ZW0311" CableToItself
        "A cable joins two ports of one device."
        "Right for a loopback test; otherwise mend one end."
    "ZW0312" NoController
        "The zone has no controller, so nobody would answer."
        "Add a `controller` block and a network `for` it."
    "ZW0313" OverrideOfNothing
        "An `at` block names a place where nothing stands."
        "Mend the path: pod, rack and unit as their labels are written."
    "ZW0314" NoBmc
        "A machine's role says `trust = \"bmc\"`, and it has no BMC with an address, so it can never enrol."
        "Give its model a `bmc` and the zone a network `for` BMCs; or choose another `trust`."
    "ZW0315" StartsInACircle
        "Roles are to start after each other in a circle, so that none of them could ever start."
        "Take one of the words out of an `after`: what needs least comes first."
    "ZW0316" UnitsMeet
        "A machine's model is so many units high (`height`) that it reaches into the unit of another, or above the rack."
        "Mend the `height`, or the number of one of them; addresses do not depend on it, elevations and cable lengths do."

    "ZW0401" BadWiringHeader
        "A wiring file's first line lacks a column that is needed."
        "It needs StartDevice, StartPort, EndDevice and EndPort; others are optional and unknown ones are allowed."
    "ZW0402" BadWiringRow
        "A line of a wiring file cannot be read as a cable."
        "Fill in both devices and both ports, or remove the line."
    "ZW0403" SameCableTwice
        "The same cable is written twice."
        "Remove one of the two lines."

    "ZW0501" OutOfAddresses
        "The supernet is too small for the capacity and networks."
        "Use a shorter prefix, a smaller capacity or fewer networks; the sentence gives the sizes."
    "ZW0502" NoNetwork
        "An interface has no network, so it gets no address."
        "Add a `network` block `for` its kind."
    "ZW0503" TwoUntagged
        "Two untagged networks are for the same interface, so which one DHCP answers on is not decided."
        "Give one of them a `vlan`, or limit it with `interfaces`."

    "ZW0601" Renumbers
        "Against the plan that is current, existing addresses would change."
        "Keep the capacity and the order of networks, or say `--renumber` if it is meant."
    "ZW0602" Shrinks
        "Against the plan that is current, many machines would disappear."
        "If it is meant, say `--remove COUNT` with the number that the sentence gives."
    "ZW0603" Grows
        "Against the plan that is current, the zone would more than double."
        "A pattern with a digit too many draws thousands. If it is meant, say `--grow COUNT` with the number that the sentence gives."

    "ZW0701" Swapped
        "Two machines are on each other's ports."
        "Swap the two cables back; or, if the machines changed places on purpose, `zw accept` both locations."
    "ZW0702" ShiftedByOne
        "A run of machines is each one port further than drawn."
        "Move the cables back by one, starting at the end that has a free port."
    "ZW0703" PairCrossed
        "A machine's two cables go to the wrong switch of the pair."
        "Exchange the two plugs at the machine or at the switches."
    "ZW0704" Foreign
        "A machine that belongs elsewhere, or nowhere in this zone, is on this port."
        "Take it off, or `zw accept` the location if it is to stay."
    "ZW0705" Miscabled
        "A machine known from one port is on another."
        "Put the cable back where the sentence says; or `zw accept` the location if it is to stay."

    "ZW0801" ForeignServer
        "A DHCP server that is not the zone's answers its machines."
        "Find its hardware address in the switches' tables and take it off; let switches drop DHCP replies that come from machines' ports."
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
