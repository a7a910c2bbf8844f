//! Which connections give way when there is no room for another.
//!
//! Idle ones first, of the clients that have most and of theirs those that have waited longest: one client with thousands
//! of sockets takes them from itself. Where none is idle, a client that has far more than a machine needs loses some on
//! which replies go out, for it may have asked for them only to hold them.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Instant;

/// Connections that are closed at once: some, so that a flood does not go through all of them for each of its own.
const CLOSED_AT_ONCE: usize = 64;
/// Connections of one client that are left to it while replies go out on them: twice as many as it may be sent large files.
const CLIENT_LEFT: usize = 16;

/// An open connection.
pub(super) struct Open {
    pub(super) token: usize,
    /// Whose it is.
    pub(super) client: IpAddr,
    /// Since when it has been idle, or made no progress.
    pub(super) since: Instant,
    pub(super) is_idle: bool,
}

/// The tokens of those that give way; none if everybody is being served, and is modest.
pub(super) fn who_give_way(open: &[Open]) -> Vec<usize> {
    let mut clients: HashMap<IpAddr, usize> = HashMap::new();
    for connection in open {
        *clients.entry(connection.client).or_default() += 1;
    }
    let mut give_way: Vec<_> = open
        .iter()
        .filter(|connection| connection.is_idle || clients[&connection.client] > CLIENT_LEFT)
        .map(|connection| {
            let most_first = Reverse(clients[&connection.client]);
            (!connection.is_idle, most_first, connection.client, connection.since, connection.token)
        })
        .collect();
    give_way.sort_unstable();
    let mut closed = Vec::new();
    let any_is_idle = give_way.first().is_some_and(|(is_serving, ..)| !is_serving);
    for (is_serving, _, client, _, token) in give_way {
        if closed.len() == CLOSED_AT_ONCE || (is_serving && any_is_idle) {
            break;
        }
        let Some(left) = clients.get_mut(&client) else { continue };
        if !is_serving || *left > CLIENT_LEFT {
            *left -= 1;
            closed.push(token);
        }
    }
    closed
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;
    use std::time::Duration;

    /// So many connections of a client, the first of which has waited longest; their tokens follow on those that are there.
    fn add(open: &mut Vec<Open>, began: Instant, client: u32, count: usize, is_idle: bool) {
        for _ in 0..count {
            let token = open.len();
            let since = began + Duration::from_millis(token as u64);
            open.push(Open { token, client: Ipv4Addr::from(client).into(), since, is_idle });
        }
    }

    #[test]
    fn the_idle_of_whoever_has_most_give_way_first() {
        let (mut open, began) = (Vec::new(), Instant::now());
        add(&mut open, began, 1, 2, true);
        add(&mut open, began, 2, 500, false);
        add(&mut open, began, 3, 100, true);
        assert_eq!(who_give_way(&open), Vec::from_iter(502..566));
        open.truncate(505);
        assert_eq!(who_give_way(&open), [502, 503, 504, 0, 1], "and of the others only as many as wait");
    }

    #[test]
    fn a10_who_holds_replies_by_the_thousand_makes_room_and_nobody_else() {
        let (mut open, began) = (Vec::new(), Instant::now());
        add(&mut open, began, 1, 8, false);
        add(&mut open, began, 2, 8000, false);
        add(&mut open, began, 3, 20, false);
        assert_eq!(who_give_way(&open), Vec::from_iter(8..72));
        open.retain(|connection| !(8..8008).contains(&connection.token));
        assert_eq!(who_give_way(&open), Vec::from_iter(8008..8012), "what the third has too many");
        open.retain(|connection| !(8008..8012).contains(&connection.token));
        assert_eq!(who_give_way(&open), [0; 0], "nobody has too many");
    }
}
