//! The order of boxes in tiers, so that few lines cross: barycentre sweeps, down and up, the best of them kept.

/// How often it is swept; small zones settle in two or three.
const SWEEPS: usize = 6;

/// Orders each tier. `group` says for each node with which neighbours it may change places: those of the same number that stand
/// beside it. `edges` join nodes of any tiers.
pub(super) fn ordered(
    mut tiers: Vec<Vec<usize>>,
    group: &[usize],
    edges: &[(usize, usize)],
) -> Vec<Vec<usize>> {
    let mut neighbours = vec![Vec::new(); group.len()];
    for (a, b) in edges {
        neighbours[*a].push(*b);
        neighbours[*b].push(*a);
    }
    let mut best = (crossings(&tiers, group.len(), edges), tiers.clone());
    for sweep in 0..2 * SWEEPS {
        let order: Vec<usize> =
            if sweep % 2 == 0 { (0..tiers.len()).collect() } else { (0..tiers.len()).rev().collect() };
        for tier in order {
            let places = places(&tiers, group.len());
            let tier_of = |node: usize| places[node].0;
            let weight = |node: usize| {
                let others = neighbours[node].iter().filter(|other| tier_of(**other) != tier_of(node));
                let (sum, count) =
                    others.fold((0.0, 0.0), |(sum, count), other| (sum + places[*other].1, count + 1.0));
                if count > 0.0 { sum / count } else { places[node].1 }
            };
            for run in tiers[tier].chunk_by_mut(|a, b| group[*a] == group[*b]) {
                run.sort_by(|a, b| weight(*a).total_cmp(&weight(*b)));
            }
        }
        let now = crossings(&tiers, group.len(), edges);
        if now < best.0 {
            best = (now, tiers.clone());
        }
        if best.0 == 0 {
            break;
        }
    }
    best.1
}

/// For each node its tier, and where in it, from 0 to 1.
fn places(tiers: &[Vec<usize>], nodes: usize) -> Vec<(usize, f64)> {
    let mut places = vec![(0, 0.0); nodes];
    for (tier, members) in tiers.iter().enumerate() {
        for (at, node) in members.iter().enumerate() {
            places[*node] = (tier, (at as f64 + 0.5) / members.len() as f64);
        }
    }
    places
}

/// How many pairs of lines between the same two tiers cross.
fn crossings(tiers: &[Vec<usize>], nodes: usize, edges: &[(usize, usize)]) -> usize {
    let places = places(tiers, nodes);
    let mut lines: Vec<((usize, usize), f64, f64)> = Vec::with_capacity(edges.len());
    for (a, b) in edges {
        let (a, b) = if places[*a].0 <= places[*b].0 { (a, b) } else { (b, a) };
        if places[*a].0 != places[*b].0 {
            lines.push(((places[*a].0, places[*b].0), places[*a].1, places[*b].1));
        }
    }
    let crosses = |a: &((usize, usize), f64, f64), b: &((usize, usize), f64, f64)| {
        a.0 == b.0 && (a.1 - b.1) * (a.2 - b.2) < 0.0
    };
    lines.iter().enumerate().map(|(at, a)| lines[at + 1..].iter().filter(|b| crosses(a, b)).count()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crossed_lines_are_uncrossed_and_fixed_boxes_stay() {
        // 0, 1, 2 above, free; 3, 4, 5 below, each where it stands.
        let tiers = vec![vec![0, 1, 2], vec![3, 4, 5]];
        let edges = [(0, 5), (1, 4), (2, 3)];
        assert_eq!(ordered(tiers.clone(), &[0, 0, 0, 1, 2, 3], &edges), [vec![2, 1, 0], vec![3, 4, 5]]);
        assert_eq!(ordered(tiers.clone(), &[1, 2, 3, 4, 5, 6], &edges), tiers);
    }
}
