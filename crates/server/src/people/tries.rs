//! How often a password may be tried: a few times at once and then slowly, for each account from each place, and for
//! each place. So that nobody can shut another out by trying, no limit is an account's alone.

use model::Time;
use std::collections::HashMap;
use std::net::IpAddr;

/// Tries of one account from one place: at once, and then each second.
const ACCOUNT: (f64, f64) = (5.0, 0.1);
/// Tries from one place, whatever the account.
const PLACE: (f64, f64) = (20.0, 0.2);
/// Places and accounts that are remembered; the fullest are forgotten, which had their pause.
const REMEMBERED_MAX: usize = 4096;

/// The tries.
#[derive(Debug, Default)]
pub(crate) struct Tries(HashMap<(IpAddr, String), Bucket>);

#[derive(Clone, Copy, Debug)]
struct Bucket {
    left: f64,
    at: Time,
}

impl Tries {
    /// Whether this try may be made; it counts then.
    pub(crate) fn may(&mut self, from: IpAddr, name: &str, now: Time) -> bool {
        if self.0.len() >= REMEMBERED_MAX {
            let full = |bucket: &Bucket| bucket.left(now, PLACE) >= ACCOUNT.0;
            self.0.retain(|_, bucket| !full(bucket));
            // Somebody tries from thousands of places: nobody is let in faster for it.
            if self.0.len() >= REMEMBERED_MAX {
                return false;
            }
        }
        let from = network(from);
        let keys = [((from, name.to_owned()), ACCOUNT), ((from, String::new()), PLACE)];
        let left = |(key, limit): &((IpAddr, String), (f64, f64))| {
            self.0.get(key).map_or(limit.0, |bucket| bucket.left(now, *limit))
        };
        let lefts = [left(&keys[0]), left(&keys[1])];
        if lefts.iter().any(|left| *left < 1.0) {
            return false;
        }
        for ((key, _), left) in keys.into_iter().zip(lefts) {
            self.0.insert(key, Bucket { left: left - 1.0, at: now });
        }
        true
    }

    /// In how many seconds a try may be made again; nothing, if one may be made now.
    pub(crate) fn wait(&self, from: IpAddr, name: &str, now: Time) -> u64 {
        let from = network(from);
        let keys = [((from, name.to_owned()), ACCOUNT), ((from, String::new()), PLACE)];
        let waits = keys.iter().filter_map(|(key, limit)| {
            let left = self.0.get(key)?.left(now, *limit);
            Some(((1.0 - left) / limit.1).ceil().max(0.0) as u64)
        });
        waits.max().unwrap_or_default()
    }

    /// The password was right: what was tried before was a slip.
    pub(crate) fn forget(&mut self, from: IpAddr, name: &str) {
        self.0.remove(&(network(from), name.to_owned()));
    }
}

impl Bucket {
    fn left(&self, now: Time, (most, each_second): (f64, f64)) -> f64 {
        (self.left + now.since(self.at).as_secs_f64() * each_second).min(most)
    }
}

/// Who has one IPv6 address has a network of them.
pub(crate) fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(v6) => IpAddr::V6((u128::from(v6) >> 64 << 64).into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const START: Time = Time(1_700_000_000_000);
    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));
    const THERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 2));

    fn allowed(tries: &mut Tries, from: IpAddr, name: &str, count: usize, now: Time) -> usize {
        (0..count).filter(|_| tries.may(from, name, now)).count()
    }

    #[test]
    fn a_few_at_once_and_then_slowly() {
        let mut tries = Tries::default();
        assert_eq!(allowed(&mut tries, HERE, "ada", 100, START), 5);
        assert_eq!(allowed(&mut tries, HERE, "ada", 100, START + Duration::from_secs(60)), 5);
        assert_eq!(allowed(&mut tries, HERE, "ada", 100, START + Duration::from_secs(70)), 1);
    }

    #[test]
    fn it_is_told_when_one_may_try_again() {
        let mut tries = Tries::default();
        assert_eq!(tries.wait(HERE, "ada", START), 0);
        allowed(&mut tries, HERE, "ada", 5, START);
        assert_eq!(tries.wait(HERE, "ada", START), 10);
        let later = START + Duration::from_millis(7_500);
        assert_eq!(tries.wait(HERE, "ada", later), 3);
        assert!(tries.may(HERE, "ada", later + Duration::from_secs(3)));
    }

    #[test]
    fn nobody_is_shut_out_by_anothers_tries() {
        let mut tries = Tries::default();
        allowed(&mut tries, HERE, "ada", 100, START);
        assert!(tries.may(THERE, "ada", START));
    }

    #[test]
    fn a_place_does_not_go_from_account_to_account() {
        let mut tries = Tries::default();
        let all: usize = (0..100).map(|n| allowed(&mut tries, HERE, &format!("a{n}"), 5, START)).sum();
        assert_eq!(all, 20);
        let v6 = |n: u16| IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, n]);
        let all = (0..100).filter(|n| tries.may(v6(*n), "ada", START)).count();
        assert_eq!(all, 5, "addresses of one network are one place");
    }

    #[test]
    fn a_right_password_forgives_the_slips_before_it() {
        let mut tries = Tries::default();
        allowed(&mut tries, HERE, "ada", 5, START);
        tries.forget(HERE, "ada");
        assert!(tries.may(HERE, "ada", START));
    }

    #[test]
    fn many_places_do_not_fill_the_memory() {
        let mut tries = Tries::default();
        for n in 0..100_000_u32 {
            tries.may(IpAddr::V4(n.into()), "ada", START);
        }
        assert!(tries.0.len() <= REMEMBERED_MAX + 1);
        assert!(tries.may(HERE, "ada", START + Duration::from_secs(3600)), "they are forgotten again");
    }
}
