//! Many locations in few words: counted by rack, or by pod when there are too many racks.

use model::Location;
use std::collections::BTreeMap;

/// How many of something there are below a place.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Group {
    /// `p07/r2`, `p07`, or the zone's name for its root; without the zone's segment.
    pub place: String,
    /// How many.
    pub count: usize,
}

/// Counts locations by rack; by pod if that would be more than `max` groups.
pub fn groups<'a>(locations: impl IntoIterator<Item = &'a Location>, max: usize) -> Vec<Group> {
    let mut racks: BTreeMap<&str, usize> = BTreeMap::new();
    for location in locations {
        let parent = location.as_str().rsplit_once('/').map_or(location.as_str(), |(parent, _)| parent);
        *racks.entry(parent).or_default() += 1;
    }
    let mut counts = racks;
    if counts.len() > max {
        let mut pods: BTreeMap<&str, usize> = BTreeMap::new();
        for (place, count) in counts {
            let end = place.match_indices('/').nth(1).map_or(place.len(), |(at, _)| at);
            *pods.entry(&place[..end]).or_default() += count;
        }
        counts = pods;
    }
    let within = |place: &str| place.split_once('/').map_or(place, |(_, rest)| rest).to_owned();
    counts.into_iter().map(|(place, count)| Group { place: within(place), count }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn racks_become_pods_when_they_are_many() {
        let places = ["z/p1/r1/u1", "z/p1/r2/u1", "z/p2/r1/u1", "z/p2/r1/u2", "z/core-1"].map(Location::new);
        let text = |max| {
            let of = |group: &Group| format!("{} {}", group.count, group.place);
            groups(&places, max).iter().map(of).collect::<Vec<_>>().join(", ")
        };
        assert_eq!(text(4), "1 z, 1 p1/r1, 1 p1/r2, 2 p2/r1");
        assert_eq!(text(3), "1 z, 2 p1, 2 p2");
    }
}
