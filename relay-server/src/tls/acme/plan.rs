//! When the next certificate is ordered. Pure: `now` and chance are given.

use std::time::Duration;

/// The longest pause between two failed orders.
const PAUSE_MAX: Duration = Duration::from_secs(6 * 3600);

/// The shortest pause after the server has said that there were too many.
const TOO_MANY: Duration = Duration::from_secs(3600);

/// When a certificate that holds from and until these times is renewed: after two thirds of its life (what most
/// authorities advise), and by `chance` (0 to 1) up to a thirtieth later, so that many relays do not come at once.
pub(super) fn renewal((from, until): (u64, u64), chance: f64) -> u64 {
    let life = until.saturating_sub(from) as f64;
    from.saturating_add((life * (2.0 / 3.0 + chance / 30.0)) as u64)
}

/// How long it is waited after so many failures in a row: `base`, doubling, by `chance` (0 to 1) a quarter more or less.
pub(super) fn pause(base: Duration, failures: u32, too_many: bool, chance: f64) -> Duration {
    let doubled = base.saturating_mul(1 << failures.saturating_sub(1).min(20)).min(PAUSE_MAX);
    let least = if too_many { TOO_MANY } else { Duration::ZERO };
    doubled.max(least).mul_f64(0.75 + 0.5 * chance)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_is_renewed_when_a_third_of_its_life_is_left() {
        let days = |n: u64| n * 86_400_000;
        assert_eq!(renewal((days(10), days(100)), 0.0), days(70));
        assert_eq!(renewal((days(10), days(100)), 1.0), days(73));
        assert_eq!(renewal((days(10), days(5)), 1.0), days(10));
    }

    #[test]
    fn failures_come_ever_more_seldom() {
        let base = Duration::from_secs(120);
        let pauses: Vec<u64> = (1..=9).map(|n| pause(base, n, false, 0.5).as_secs() / 60).collect();
        assert_eq!(pauses, [2, 4, 8, 16, 32, 64, 128, 256, 360]);
        assert_eq!(pause(base, u32::MAX, false, 0.5), PAUSE_MAX);
        assert_eq!(pause(base, 1, false, 0.0).as_secs(), 90);
        assert_eq!(pause(base, 1, true, 0.5), TOO_MANY);
    }
}
