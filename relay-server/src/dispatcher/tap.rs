//! Taps: who only looks on gets a copy of each event as it comes, once, and what it answers is nobody's concern.

use std::sync::Arc;

use relay_protocol::id::Name;
use tokio::time::Instant;

use super::attempt::Order;
use super::{Arrived, Dispatcher};

impl Dispatcher {
    /// Gives an event to everybody who taps its endpoint.
    pub(super) fn tap(self: &Arc<Self>, arrived: &Arrived) {
        for group in self.router.taps(arrived.head.endpoint) {
            let order = copy(arrived, group);
            let dispatcher = Arc::clone(self);
            self.tasks.spawn(async move {
                let deadline = order.deadline;
                if let Ok(answered) = dispatcher.attempt(order).await {
                    let _ = super::outcome::hear_out(answered, deadline).await;
                }
            });
        }
    }
}

fn copy(arrived: &Arrived, group: Name) -> Order {
    Order {
        head: Arc::clone(&arrived.head),
        group,
        payload: arrived.payload.clone(),
        number: 1,
        replay: 0,
        resent: false,
        resigns: arrived.endpoint.settings.resign,
        queued: false,
        deadline: Instant::now() + arrived.endpoint.settings.attempt_timeout,
        hold_until: Instant::now(),
    }
}
