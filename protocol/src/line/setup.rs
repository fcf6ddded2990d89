//! What can be chosen about a line.

use std::time::Duration;

use crate::limits::{DEAD_AFTER, HEARTBEAT, LINE_CREDIT, STREAM_CREDIT, STREAMS_MAX};

/// How a line is set up; both sides say the same unless they were configured otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Setup {
    /// Quiet time before a PING. Give each line its own, ± 20 %, so that thousands do not beat together.
    pub heartbeat: Duration,
    /// Quiet time after which the line is dead.
    pub dead_after: Duration,
    /// What the other side may send on one stream ahead of its receiver, in bytes.
    pub stream_credit: u32,
    /// What the other side may send on all streams ahead of their receivers, in bytes.
    pub line_credit: u32,
    /// The most streams at a time.
    pub max_streams: u32,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            heartbeat: HEARTBEAT,
            dead_after: DEAD_AFTER,
            stream_credit: STREAM_CREDIT,
            line_credit: LINE_CREDIT,
            max_streams: STREAMS_MAX,
        }
    }
}
