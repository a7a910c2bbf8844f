//! Indices into the tables of one Design or Plan.
//!
//! An id is only good inside the Design or Plan it came from; what must last longer is named by [`crate::Location`].

use serde::{Deserialize, Serialize};

macro_rules! index {
    ($($(#[$doc:meta])* $name:ident($repr:ty);)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub $repr);

        impl $name {
            /// The position in its table.
            pub fn index(self) -> usize {
                self.0 as usize
            }

            /// The id of position `index`.
            ///
            /// # Panics
            /// If `index` does not fit: tables are bounded far below that by the design's limits.
            pub fn from_index(index: usize) -> Self {
                Self(<$repr>::try_from(index).expect("a table within the design's limits"))
            }
        }
    )*};
}

index! {
    /// A pod of the zone.
    PodId(u16);
    /// A rack of a pod.
    RackId(u32);
    /// A switch, machine or controller.
    DeviceId(u32);
    /// A switch or server model.
    ModelId(u16);
    /// A role.
    RoleId(u16);
    /// A boot image.
    ImageId(u16);
    /// An operating system.
    OsId(u16);
    /// A disk layout.
    LayoutId(u16);
    /// A `network` block of the design.
    NetworkId(u16);
    /// One network made concrete in its zone, pod or rack: a subnet.
    SubnetId(u32);
    /// One addressed interface of a device.
    InterfaceId(u32);
    /// A port, as its position in the port list of the device's model.
    PortIndex(u16);
}

/// The number of a published plan. Every publication is one higher; receivers refuse a lower one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Generation(pub u64);

impl std::fmt::Display for Generation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "#{}", self.0)
    }
}

/// The number of a change.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ChangeId(pub u64);

impl std::fmt::Display for ChangeId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "change {}", self.0)
    }
}
