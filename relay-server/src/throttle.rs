//! How often somebody may do something: a bucket for each sender, in a table that never grows beyond its bound. Pure.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

use crate::address::sender;
use crate::delivery::{Pace, Rate, Turn};

/// How long a full table is left as it is when looking through it has made no room, in milliseconds.
const LOOK_EVERY_MS: u64 = 1000;

/// The buckets of many senders, at one rate at a time.
#[derive(Debug)]
pub struct Throttle {
    /// The most senders with a bucket of their own.
    most: usize,
    // Held for a look into a map, never over an await.
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    buckets: HashMap<IpAddr, Pace>,
    /// The one bucket of everybody who found no place: who comes with a million addresses does not get a million buckets.
    rest: Option<Pace>,
    /// When the table was looked through for room, in milliseconds.
    looked_ms: u64,
}

impl Throttle {
    /// Nobody has come yet. So many senders have a bucket of their own at a time.
    #[must_use]
    pub fn new(most: usize) -> Self {
        Self { most, table: Mutex::default() }
    }

    /// Whether this sender may go at this rate, at this time of the steady clock, and else when.
    pub fn take(&self, address: IpAddr, rate: Rate, now_ms: u64) -> Turn {
        let (sender, fresh) = (sender(address), || Pace::new(rate));
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        let full = table.buckets.len() >= self.most && !table.buckets.contains_key(&sender);
        let bucket = if full && !table.makes_room(self.most, now_ms) {
            table.rest.get_or_insert_with(fresh)
        } else {
            table.buckets.entry(sender).or_insert_with(fresh)
        };
        bucket.set(rate);
        bucket.take(now_ms)
    }

    /// How many senders have a bucket of their own.
    #[must_use]
    pub fn len(&self) -> usize {
        self.table.lock().unwrap_or_else(PoisonError::into_inner).buckets.len()
    }

    /// Whether nobody has come, or everybody was forgotten.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Table {
    /// Forgets everybody whose bucket is full again: they are as if they had never come.
    fn makes_room(&mut self, most: usize, now_ms: u64) -> bool {
        if now_ms < self.looked_ms.saturating_add(LOOK_EVERY_MS) {
            return false;
        }
        self.looked_ms = now_ms;
        self.buckets.retain(|_, bucket| !bucket.is_full(now_ms));
        self.buckets.len() < most
    }
}

/// After how many seconds somebody who may not go now is to come again, at least one.
#[must_use]
pub fn seconds_until(at_ms: u64, now_ms: u64) -> u32 {
    u32::try_from(at_ms.saturating_sub(now_ms).div_ceil(1000)).unwrap_or(u32::MAX).max(1)
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use super::*;

    const NOW: u64 = 1_700_000_000_000;

    fn rate(text: &str) -> Rate {
        Rate::parse(text).unwrap()
    }

    fn four(n: u32) -> IpAddr {
        Ipv4Addr::from_bits(n).into()
    }

    #[test]
    fn each_sender_has_a_bucket_and_a_customer_of_ipv6_has_one() {
        let throttle = Throttle::new(10);
        let take = |address: IpAddr, at| throttle.take(address, rate("1/s:2"), NOW + at);
        assert_eq!([take(four(1), 0), take(four(1), 0)], [Turn::Now; 2]);
        assert_eq!(take(four(1), 0), Turn::At(NOW + 1000));
        assert_eq!(take(four(2), 0), Turn::Now);
        let six = |n: u128| IpAddr::V6(Ipv6Addr::from_bits((0x2001_0db8 << 96) | n));
        assert_eq!([take(six(1), 0), take(six(2), 0)], [Turn::Now; 2]);
        assert_eq!(take(six(3), 0), Turn::At(NOW + 1000));
        assert_eq!(take(four(1), 1000), Turn::Now);
    }

    #[test]
    fn the_table_is_bounded_and_the_rest_share() {
        let throttle = Throttle::new(100);
        let go = |n, at| throttle.take(four(n), rate("1/s:2"), NOW + at) == Turn::Now;
        let gone = (0..10_000).filter(|n| go(*n, 0)).count();
        assert_eq!((throttle.len(), gone), (100, 102));
        // Those who were there keep their own.
        assert!(go(7, 0) && !go(7, 0));
        // Who has not come for a while makes room.
        assert!((20_000..20_100).all(|n| go(n, 5000)));
        assert_eq!(throttle.len(), 100);
    }

    #[test]
    fn another_rate_holds_at_once() {
        let throttle = Throttle::new(1);
        assert_eq!(throttle.take(four(1), rate("1/h:1"), NOW), Turn::Now);
        assert_eq!(throttle.take(four(1), rate("1/s:1"), NOW), Turn::Now);
        assert_eq!(throttle.take(four(1), rate("1/s:1"), NOW), Turn::At(NOW + 1000));
    }

    #[test]
    fn nobody_is_told_to_come_again_at_once() {
        assert_eq!([seconds_until(5, 5), seconds_until(1001, 0), seconds_until(0, 9)], [1, 2, 1]);
    }
}
