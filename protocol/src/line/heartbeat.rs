//! Is the other side alive? Any inbound frame counts; PING only asks when it has been quiet.

use std::time::{Duration, Instant};

/// The clockwork of one line.
#[derive(Debug)]
pub(super) struct Heartbeat {
    quiet: Duration,
    dead: Duration,
    heard: Instant,
    asked: bool,
    ping: u64,
    ping_sent: Option<Instant>,
    rtt: Duration,
}

/// What the clock says.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Pulse {
    /// Nothing to do.
    Fine,
    /// Send this PING.
    Ask(u64),
    /// Quiet for too long.
    Dead,
}

/// The round trip assumed before one was measured: generous, so that the first window may grow.
const RTT_GUESS: Duration = Duration::from_millis(100);

impl Heartbeat {
    pub(super) fn new(now: Instant, quiet: Duration, dead: Duration) -> Self {
        let (asked, ping, ping_sent) = (false, 0, None);
        Self { quiet, dead, heard: now, asked, ping, ping_sent, rtt: RTT_GUESS }
    }

    pub(super) fn heard(&mut self, now: Instant) {
        self.heard = now;
        self.asked = false;
    }

    pub(super) fn pong(&mut self, now: Instant, number: u64) {
        if number == self.ping
            && let Some(sent) = self.ping_sent.take()
        {
            self.rtt = now.saturating_duration_since(sent);
        }
    }

    pub(super) fn rtt(&self) -> Duration {
        self.rtt
    }

    /// The next PING, sent outside the beat to measure the round trip.
    pub(super) fn ask(&mut self, now: Instant) -> u64 {
        self.asked = true;
        self.ping += 1;
        self.ping_sent = Some(now);
        self.ping
    }

    pub(super) fn check(&mut self, now: Instant) -> Pulse {
        if now >= self.heard + self.dead {
            Pulse::Dead
        } else if now >= self.heard + self.quiet && !self.asked {
            Pulse::Ask(self.ask(now))
        } else {
            Pulse::Fine
        }
    }

    pub(super) fn next(&self) -> Instant {
        self.heard + if self.asked { self.dead } else { self.quiet.min(self.dead) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_quiet_line_is_asked_once_and_then_dies() {
        let start = Instant::now();
        let mut beat = Heartbeat::new(start, 15 * SECOND, 40 * SECOND);
        assert_eq!(beat.next(), start + 15 * SECOND);
        assert_eq!(beat.check(start + 14 * SECOND), Pulse::Fine);
        assert_eq!(beat.check(start + 15 * SECOND), Pulse::Ask(1));
        assert_eq!(beat.check(start + 16 * SECOND), Pulse::Fine);
        assert_eq!(beat.next(), start + 40 * SECOND);
        assert_eq!(beat.check(start + 40 * SECOND), Pulse::Dead);
    }

    #[test]
    fn any_frame_is_life_and_a_pong_tells_the_round_trip() {
        let start = Instant::now();
        let mut beat = Heartbeat::new(start, 15 * SECOND, 40 * SECOND);
        assert_eq!(beat.check(start + 20 * SECOND), Pulse::Ask(1));
        beat.heard(start + 21 * SECOND);
        beat.pong(start + 21 * SECOND, 1);
        assert_eq!(beat.rtt(), SECOND);
        assert_eq!(beat.next(), start + 36 * SECOND);
        beat.pong(start + 30 * SECOND, 1);
        assert_eq!(beat.rtt(), SECOND, "a pong counts once");
    }
}
