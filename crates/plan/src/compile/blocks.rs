//! Cutting a supernet: one aligned block per pod, one per rack inside it, subnets at the ends.
//!
//! Everything is counted in units from the start of the supernet: an IPv4 unit is one address, an IPv6 unit one /64.
//! Sizes come in, offsets go out; nothing here knows a device, and both families use the same code.
//!
//! The rules, so that growth moves nothing:
//! - a pod's block is the largest power of two with which `pods` blocks fit and as much as one block stays free for
//!   the zone's own subnets; a rack's block inside the pod's likewise. So a block depends on the supernet and the
//!   capacity, and hardly ever on the networks: a network added later finds room;
//! - pods and racks count up from the start, by slot;
//! - subnets of a rack count up from the start of its block, those of a pod and of the zone count down from the end
//!   of theirs, each first-fit in the order the networks are written, so an appended network moves none before it.

/// How many units the subnets of each scope take: one entry per network of the scope, as a power of two.
#[derive(Clone, Debug, Default)]
pub(super) struct Demand {
    /// Bits of each subnet of scope rack.
    pub(super) rack: Vec<u32>,
    /// Of scope pod.
    pub(super) pod: Vec<u32>,
    /// Of scope zone.
    pub(super) zone: Vec<u32>,
}

/// Where everything lies, in units.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Cut {
    /// Bits of a pod's block; `None` if no pod or rack needs one.
    pub(super) pod_bits: Option<u32>,
    /// Bits of a rack's block; `None` if no rack needs one.
    pub(super) rack_bits: Option<u32>,
    /// Offset of each rack subnet within its rack's block.
    pub(super) rack: Vec<u128>,
    /// Of each pod subnet within its pod's block.
    pub(super) pod: Vec<u128>,
    /// Of each zone subnet within the supernet.
    pub(super) zone: Vec<u128>,
}

/// Why a supernet cannot be cut: the sum that did not fit.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct TooSmall {
    /// Units one rack needs, rounded up to a block.
    pub(super) rack: u128,
    /// Units one pod needs, rounded up to a block.
    pub(super) pod: u128,
    /// Units the zone's own subnets need.
    pub(super) zone: u128,
    /// The smallest supernet that would do, in bits.
    pub(super) needed_bits: u32,
}

impl Cut {
    /// Cuts `2^total_bits` units for `pods` pods of `racks` racks.
    pub(super) fn new(total_bits: u32, pods: u32, racks: u32, demand: &Demand) -> Result<Self, TooSmall> {
        let (rack, rack_top) = first_fit(&demand.rack);
        let (pod, pod_top) = first_fit(&demand.pod);
        let (zone, zone_top) = first_fit(&demand.zone);
        let rack_min = bits_for(rack_top);
        let racks_need = rack_min.map_or(0, |bits| u128::from(racks) << bits);
        let pod_min = bits_for(racks_need + pod_top);
        let needed = pod_min.map_or(0, |bits| u128::from(pods) << bits) + zone_top;
        if needed > 1 << total_bits {
            return Err(TooSmall {
                rack: rack_min.map_or(0, |bits| 1 << bits),
                pod: pod_min.map_or(0, |bits| 1 << bits),
                zone: zone_top,
                needed_bits: bits_for(needed).unwrap_or(0),
            });
        }
        let pod_bits = pod_min.map(|least| widest(total_bits, pods, zone_top, least));
        let rack_bits =
            rack_min.zip(pod_bits).map(|(least, pod_bits)| widest(pod_bits, racks, pod_top, least));
        let down = |offsets: Vec<u128>, sizes: &[u32], block: u32| -> Vec<u128> {
            offsets.iter().zip(sizes).map(|(offset, bits)| (1 << block) - offset - (1 << bits)).collect()
        };
        Ok(Self {
            pod_bits,
            rack_bits,
            rack,
            pod: pod_bits.map_or_else(Vec::new, |block| down(pod, &demand.pod, block)),
            zone: down(zone, &demand.zone, total_bits),
        })
    }
}

/// The widest block, at least `least` bits, with which `count` of them leave `own` units, and as much as one block,
/// free; if the least leaves no such room, the least all the same (the caller has seen that it fits).
fn widest(total_bits: u32, count: u32, own: u128, least: u32) -> u32 {
    (least..=total_bits)
        .rev()
        .find(|&bits| (u128::from(count) << bits) + own.max(1 << bits) <= 1 << total_bits)
        .unwrap_or(least)
}

/// Each size (in bits) at the lowest aligned place still free, in order; and the end of the last.
fn first_fit(sizes: &[u32]) -> (Vec<u128>, u128) {
    let mut taken: Vec<(u128, u128)> = Vec::with_capacity(sizes.len());
    let mut offsets = Vec::with_capacity(sizes.len());
    for &bits in sizes {
        let size = 1_u128 << bits;
        let mut start = 0_u128;
        let mut position = taken.len();
        for (index, &(from, to)) in taken.iter().enumerate() {
            if start + size <= from {
                position = index;
                break;
            }
            start = to.next_multiple_of(size).max(start);
        }
        taken.insert(position, (start, start + size));
        offsets.push(start);
    }
    let end = taken.last().map_or(0, |&(_, to)| to);
    (offsets, end)
}

/// The bits of the smallest block that holds `units`; `None` for nothing.
pub(super) fn bits_for(units: u128) -> Option<u32> {
    (units > 0).then(|| units.next_power_of_two().trailing_zeros())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_subnets_fill_the_gaps_that_alignment_leaves() {
        assert_eq!(first_fit(&[6, 5, 6, 5, 4]), (vec![0, 64, 128, 96, 192], 208));
        assert_eq!(first_fit(&[]), (vec![], 0));
    }

    #[test]
    fn blocks_take_what_the_supernet_gives() {
        let demand = Demand { rack: vec![6, 6], pod: vec![9], zone: vec![10] };
        let cut = Cut::new(18, 64, 8, &demand).unwrap();
        assert_eq!((cut.pod_bits, cut.rack_bits), (Some(11), Some(7)));
        assert_eq!((cut.rack, cut.pod, cut.zone), (vec![0, 64], vec![2048 - 512], vec![(1 << 18) - 1024]));
    }

    #[test]
    fn a_full_supernet_is_cut_without_reserve() {
        let demand = Demand { rack: vec![6], ..Demand::default() };
        let cut = Cut::new(10, 4, 4, &demand).unwrap();
        assert_eq!((cut.pod_bits, cut.rack_bits), (Some(8), Some(6)));
    }

    #[test]
    fn too_small_tells_the_sum() {
        let demand = Demand { rack: vec![6], pod: vec![], zone: vec![4] };
        let small = Cut::new(10, 4, 4, &demand).unwrap_err();
        assert_eq!(small, TooSmall { rack: 64, pod: 256, zone: 16, needed_bits: 11 });
    }

    #[test]
    fn a_zone_without_rack_or_pod_networks_has_no_blocks() {
        let cut = Cut::new(8, 4, 4, &Demand { zone: vec![5], ..Demand::default() }).unwrap();
        assert_eq!((cut.pod_bits, cut.rack_bits, cut.zone), (None, None, vec![256 - 32]));
    }
}
