//! The network between agent and relay breaks.

use std::time::{Duration, Instant};

use super::{LIFE, PAUSE, Report, STREAMS, random_moment};
use crate::chaos::rig::Rig;
use crate::line::Line;
use crate::wait::pass;

/// How long a line is half-open: longer than it takes both ends to notice.
const FROZEN: Duration = Duration::from_secs(3);

/// The agent's line is cut, severed for a while, and half-open for a while, in turn.
pub async fn line_breaks(rounds: u32) -> Report {
    let begun = Instant::now();
    let mut rig = Rig::new(&[("heartbeat", "500ms"), ("dead_after", "1500ms")], &[]).await;
    let line = Line::to(rig.relay.address).await;
    rig.agent_via = Some(line.url());
    rig.start_agent();
    rig.served().await;
    let load = rig.load(STREAMS, PAUSE);
    for _ in 0..rounds {
        random_moment(LIFE).await;
        line.cut();
        random_moment(LIFE).await;
        line.sever();
        random_moment(LIFE).await;
        line.mend();
        rig.served().await;
        random_moment(LIFE).await;
        line.freeze();
        // Long enough for both ends to give the line up.
        pass(FROZEN).await;
        line.mend();
        rig.served().await;
    }
    Report::of("the line is cut, severed, half-open", rounds * 3, rig, load, begun).await
}
