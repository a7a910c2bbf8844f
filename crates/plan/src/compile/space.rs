//! The address space: how large each subnet is, where it lies, and so what any slot's address is.

use ipnet::{Ipv4Net, Ipv6Net};

use super::blocks::{Cut, Demand, TooSmall, bits_for};
use super::jacks::{self, ModelJacks};
use super::routers::Whereabouts;
use super::slots::{Extent, Place, Regions};
use model::design::{Design, DeviceKind, Network, Scope};
use model::finding::{Code, Finding};
use model::ids::{NetworkId, PodId, RackId, SubnetId};
use model::plan::{Aggregate, Subnet};
use std::net::{Ipv4Addr, Ipv6Addr};

/// The most /64s (as bits) that are cut up; a shorter IPv6 supernet is used from its start.
const V6_BITS_MAX: u32 = 48;

/// The cut supernets of a zone.
#[derive(Debug)]
pub(super) struct Space {
    v4: Option<Family>,
    v6: Option<Family>,
    /// For each network.
    networks: Vec<Placed>,
}

/// One family's supernet.
#[derive(Debug)]
struct Family {
    base: u128,
    /// What one unit is, as a shift: 0 for an IPv4 address, 64 for an IPv6 /64.
    unit_shift: u32,
    pod_bits: Option<u32>,
    rack_bits: Option<u32>,
    /// For each network: where its subnet lies in the block of its scope, in units.
    offsets: Vec<Option<u128>>,
}

#[derive(Debug)]
struct Placed {
    scope: Scope,
    regions: Regions,
    /// Bits of its IPv4 subnet.
    bits: u32,
    /// The id of its first subnet; the others follow in the order of pods or racks.
    first_subnet: u32,
}

impl Space {
    /// Sizes and places every network. `None`, with findings, if a supernet is too small.
    pub(super) fn of(design: &Design, jacks: &[ModelJacks], findings: &mut Vec<Finding>) -> Option<Self> {
        let mut networks = Vec::with_capacity(design.networks.len());
        let mut next_subnet = 0;
        let controller_bmcs = design.devices.iter().any(|device| {
            let model = &design.models[device.model.index()];
            device.kind == DeviceKind::Controller && (model.bmc.is_some() || model.bmc_shares.is_some())
        });
        for (index, network) in design.networks.iter().enumerate() {
            let stride = jacks::stride(jacks, NetworkId::from_index(index));
            let extent = Extent { stride, controller_bmcs };
            let regions = Regions::new(network, design.zone.capacity, extent);
            let bits = bits_for(regions.size.into()).unwrap_or(0).max(2);
            networks.push(Placed { scope: network.scope, regions, bits, first_subnet: next_subnet });
            next_subnet += u32::try_from(places(design, network.scope)).unwrap_or(u32::MAX);
        }
        let v4 = design.zone.supernet4.map(|supernet| {
            let bits = 32 - u32::from(supernet.prefix_len());
            let sizes = |network: &Network, placed: &Placed| network.ipv4.then_some(placed.bits);
            Family::cut(design, u32::from(supernet.network()).into(), 0, bits, &networks, sizes)
                .map_err(|small| findings.push(too_small_v4(design, supernet, &networks, &small)))
        });
        let v6 = design.zone.supernet6.map(|supernet| {
            let bits = 64_u32.saturating_sub(supernet.prefix_len().into()).min(V6_BITS_MAX);
            let sizes = |network: &Network, _: &Placed| network.ipv6.then_some(0);
            Family::cut(design, supernet.network().into(), 64, bits, &networks, sizes)
                .map_err(|small| findings.push(too_small_v6(design, supernet, &small)))
        });
        Some(Self { v4: v4.transpose().ok()?, v6: v6.transpose().ok()?, networks })
    }

    /// Every network in every place it exists: by network, then by pod or rack as written.
    pub(super) fn places(&self, design: &Design) -> Vec<(NetworkId, Whereabouts)> {
        let of_network = |(index, placed): (usize, &Placed)| {
            let id = NetworkId::from_index(index);
            Whereabouts::of_scope(design, placed.scope).into_iter().map(move |where_| (id, where_))
        };
        self.networks.iter().enumerate().flat_map(of_network).collect()
    }

    /// The subnets of all places, without routers.
    pub(super) fn subnets(&self, design: &Design) -> Vec<Subnet> {
        let subnet = |(network, where_): (NetworkId, Whereabouts)| {
            let (location, pod, rack) = match where_ {
                Whereabouts::Zone => (model::Location::new(&design.zone.name), 0, 0),
                Whereabouts::Pod(pod) => {
                    let pod = &design.pods[pod.index()];
                    (pod.location.clone(), pod.slot, 0)
                }
                Whereabouts::Rack(rack) => {
                    let rack = &design.racks[rack.index()];
                    (rack.location.clone(), design.pods[rack.pod.index()].slot, rack.slot)
                }
            };
            let placed = &self.networks[network.index()];
            let base = |family: &Option<Family>| family.as_ref()?.subnet(network, placed.scope, pod, rack);
            let length = u8::try_from(32_u32.saturating_sub(placed.bits)).unwrap_or(0);
            let v4 = base(&self.v4).and_then(|base| Ipv4Net::new(to_v4(base), length).ok());
            let v6 = base(&self.v6).and_then(|base| Ipv6Net::new(Ipv6Addr::from(base), 64).ok());
            Subnet {
                network,
                location,
                v4,
                v6,
                gateway4: v4.map(|net| v4_at(net, Regions::GATEWAY)),
                gateway6: v6.map(|net| v6_at(net, Regions::GATEWAY)),
                routers: Vec::new(),
            }
        };
        self.places(design).into_iter().map(subnet).collect()
    }

    /// The id of a network's subnet in a place of its scope.
    pub(super) fn subnet_at(&self, network: NetworkId, where_: Whereabouts) -> SubnetId {
        let place = match where_ {
            Whereabouts::Zone => 0,
            Whereabouts::Pod(pod) => u32::from(pod.0),
            Whereabouts::Rack(rack) => rack.0,
        };
        SubnetId(self.networks[network.index()].first_subnet + place)
    }

    /// One block per pod and per rack.
    pub(super) fn aggregates(&self, design: &Design) -> Vec<Aggregate> {
        let mut aggregates = Vec::with_capacity(design.pods.len() + design.racks.len());
        let mut racks_of = vec![Vec::new(); design.pods.len()];
        for rack in &design.racks {
            racks_of[rack.pod.index()].push(rack);
        }
        let block = |location: &model::Location, pod: u32, rack: Option<u32>| {
            let v4 = self.v4.as_ref().and_then(|family| family.block(pod, rack));
            let v6 = self.v6.as_ref().and_then(|family| family.block(pod, rack));
            Aggregate {
                location: location.clone(),
                v4: v4.and_then(|(base, length)| Ipv4Net::new(to_v4(base), length - 96).ok()),
                v6: v6.and_then(|(base, length)| Ipv6Net::new(Ipv6Addr::from(base), length).ok()),
            }
        };
        for (pod, racks) in design.pods.iter().zip(racks_of) {
            aggregates.push(block(&pod.location, pod.slot, None));
            aggregates.extend(racks.iter().map(|rack| block(&rack.location, pod.slot, Some(rack.slot))));
        }
        aggregates.retain(|aggregate| aggregate.v4.is_some() || aggregate.v6.is_some());
        aggregates
    }

    /// The subnet in which a device stands on a network. `None` if the network's scope does not reach it: a device
    /// at the root is in no rack.
    pub(super) fn subnet_of(
        &self,
        network: NetworkId,
        pod: Option<PodId>,
        rack: Option<RackId>,
    ) -> Option<SubnetId> {
        let where_ = match self.networks[network.index()].scope {
            Scope::Zone => Whereabouts::Zone,
            Scope::Pod => Whereabouts::Pod(pod?),
            Scope::Rack => Whereabouts::Rack(rack?),
        };
        Some(self.subnet_at(network, where_))
    }

    /// The regions of a network's subnets.
    pub(super) fn regions(&self, network: NetworkId) -> &Regions {
        &self.networks[network.index()].regions
    }

    /// The addresses at an offset of a network's subnet, for a device that stands in this pod and rack.
    pub(super) fn addresses(
        &self,
        network: NetworkId,
        place: Place,
        offset: u64,
    ) -> (Option<Ipv4Addr>, Option<Ipv6Addr>) {
        let scope = self.networks[network.index()].scope;
        let at = |family: &Option<Family>| {
            let base =
                family.as_ref()?.subnet(network, scope, place.pod.unwrap_or(0), place.rack.unwrap_or(0))?;
            Some(base + u128::from(offset))
        };
        (at(&self.v4).map(to_v4), at(&self.v6).map(Ipv6Addr::from))
    }
}

impl Family {
    fn cut(
        design: &Design,
        base: u128,
        unit_shift: u32,
        total_bits: u32,
        networks: &[Placed],
        size: impl Fn(&Network, &Placed) -> Option<u32>,
    ) -> Result<Self, TooSmall> {
        let mut demand = Demand::default();
        let mut positions = Vec::with_capacity(networks.len());
        for (network, placed) in design.networks.iter().zip(networks) {
            let list = match placed.scope {
                Scope::Zone => &mut demand.zone,
                Scope::Pod => &mut demand.pod,
                Scope::Rack => &mut demand.rack,
            };
            positions.push(size(network, placed).map(|bits| {
                list.push(bits);
                list.len() - 1
            }));
        }
        let capacity = design.zone.capacity;
        let cut = Cut::new(total_bits, capacity.pods, capacity.racks, &demand)?;
        let offset = |(position, placed): (Option<usize>, &Placed)| match placed.scope {
            Scope::Zone => Some(cut.zone[position?]),
            Scope::Pod => Some(cut.pod[position?]),
            Scope::Rack => Some(cut.rack[position?]),
        };
        let offsets = positions.into_iter().zip(networks).map(offset).collect();
        Ok(Self { base, unit_shift, pod_bits: cut.pod_bits, rack_bits: cut.rack_bits, offsets })
    }

    /// The first address of a network's subnet.
    fn subnet(&self, network: NetworkId, scope: Scope, pod: u32, rack: u32) -> Option<u128> {
        let offset = self.offsets[network.index()]?;
        let pod_start = || Some(u128::from(pod) << self.pod_bits?);
        let units = match scope {
            Scope::Zone => offset,
            Scope::Pod => pod_start()? + offset,
            Scope::Rack => pod_start()? + (u128::from(rack) << self.rack_bits?) + offset,
        };
        Some(self.base + (units << self.unit_shift))
    }

    /// The block of a pod or rack: first address, and prefix length counted in 128 bits.
    fn block(&self, pod: u32, rack: Option<u32>) -> Option<(u128, u8)> {
        let mut units = u128::from(pod) << self.pod_bits?;
        let mut bits = self.pod_bits?;
        if let Some(rack) = rack {
            bits = self.rack_bits?;
            units += u128::from(rack) << bits;
        }
        Some((self.base + (units << self.unit_shift), u8::try_from(128 - bits - self.unit_shift).ok()?))
    }
}

/// How many subnets a network of this scope has.
fn places(design: &Design, scope: Scope) -> usize {
    match scope {
        Scope::Zone => 1,
        Scope::Pod => design.pods.len(),
        Scope::Rack => design.racks.len(),
    }
}

/// The low 32 bits; all that an IPv4 family's arithmetic uses.
fn to_v4(address: u128) -> Ipv4Addr {
    Ipv4Addr::from(u32::try_from(address & u128::from(u32::MAX)).unwrap_or(0))
}

/// An address of a subnet.
pub(super) fn v4_at(net: Ipv4Net, offset: u64) -> Ipv4Addr {
    to_v4(u128::from(u32::from(net.network())) + u128::from(offset))
}

/// An address of a subnet.
pub(super) fn v6_at(net: Ipv6Net, offset: u64) -> Ipv6Addr {
    Ipv6Addr::from(u128::from(net.network()) + u128::from(offset))
}

fn too_small_v4(design: &Design, supernet: Ipv4Net, networks: &[Placed], small: &TooSmall) -> Finding {
    let capacity = design.zone.capacity;
    let sizes: Vec<String> = design
        .networks
        .iter()
        .zip(networks)
        .filter(|(network, _)| network.ipv4)
        .map(|(network, placed)| {
            let per = match placed.scope {
                Scope::Zone => "",
                Scope::Pod => " in each pod",
                Scope::Rack => " in each rack",
            };
            format!("`{}` {} addresses{per}", network.name, placed.regions.size)
        })
        .collect();
    let finding = Finding::error(
        Code::OutOfAddresses,
        design.zone.source,
        format!(
            "{supernet} has {} addresses, but {} pods of {} ({} racks of {} each) and {} for the zone's own subnets \
             are needed",
            1_u64 << (32 - supernet.prefix_len()),
            capacity.pods,
            small.pod,
            capacity.racks,
            small.rack,
            small.zone,
        ),
    )
    .label(format!("needs: {}", sizes.join(", ")));
    if small.needed_bits <= 32 {
        let prefix = 32 - small.needed_bits;
        finding.help(format!("a /{prefix} would do; or lower the capacity, or use fewer networks"))
    } else {
        finding.help("no IPv4 supernet is large enough: lower the capacity, or use fewer networks")
    }
}

fn too_small_v6(design: &Design, supernet: Ipv6Net, small: &TooSmall) -> Finding {
    let capacity = design.zone.capacity;
    let have = 64_u32.saturating_sub(supernet.prefix_len().into());
    let finding = Finding::error(
        Code::OutOfAddresses,
        design.zone.source,
        format!(
            "{supernet} has {} subnets of /64, but {} pods of {} ({} racks of {} each) and {} for the zone are needed",
            1_u128 << have,
            capacity.pods,
            small.pod,
            capacity.racks,
            small.rack,
            small.zone,
        ),
    );
    finding.help(format!("a /{} would do", 64_u32.saturating_sub(small.needed_bits)))
}
