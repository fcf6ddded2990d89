//! The memory that bodies from all queues take together. It is not the one of requests that come in, so that a backlog
//! that drains never has a provider refused. Whoever needs some waits in line for it.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::store::spool::SPOOL_ABOVE;

/// What is counted: so many bytes, or a part of them, are one.
const UNIT: usize = 1024;

/// The least that is needed to deliver anything, in bytes: room for a few bodies that are not in files.
const LEAST: usize = 4 * SPOOL_ABOVE;

/// Memory for bodies.
#[derive(Debug)]
pub(in super::super) struct Memory {
    free: Arc<Semaphore>,
    units: u32,
}

/// Some of it, given back when dropped.
#[derive(Debug)]
pub(super) struct Share(OwnedSemaphorePermit);

impl Memory {
    /// So many bytes, or a little that is always there.
    pub(in super::super) fn new(bytes: usize) -> Self {
        let units = u32::try_from(bytes.max(LEAST) / UNIT).unwrap_or(u32::MAX >> 3);
        Self { free: Arc::new(Semaphore::new(units as usize)), units }
    }

    /// Waits for so many bytes; for all there are, if it is more than that.
    pub(super) async fn share(&self, bytes: u64) -> Share {
        let units = units(bytes).min(self.units);
        let permit = Arc::clone(&self.free).acquire_many_owned(units).await;
        Share(permit.expect("the semaphore is never closed"))
    }

    /// Waits for what one body takes, and brings more if it is free, so many bytes at the most.
    pub(super) async fn share_up_to(&self, bytes: u64) -> Share {
        let mut share = self.share(SPOOL_ABOVE as u64).await;
        let more = (units(bytes) as usize)
            .saturating_sub(share.0.num_permits())
            .min(self.free.available_permits());
        // Somebody else may have been quicker; then it is one body.
        let more = u32::try_from(more).unwrap_or(0);
        if let Ok(more) = Arc::clone(&self.free).try_acquire_many_owned(more) {
            share.0.merge(more);
        }
        share
    }
}

impl Share {
    /// A part of it, with so many bytes, or all there is left.
    pub(super) fn part(&mut self, bytes: u64) -> Self {
        let units = (units(bytes) as usize).min(self.0.num_permits());
        Self(self.0.split(units).expect("no more than there is"))
    }

    /// How many bytes it has.
    pub(super) fn bytes(&self) -> u64 {
        (self.0.num_permits() * UNIT) as u64
    }
}

fn units(bytes: u64) -> u32 {
    u32::try_from(bytes.div_ceil(UNIT as u64)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    #[tokio::test]
    async fn there_is_never_more_than_all_of_it() {
        let memory = Memory::new(LEAST);
        let all = LEAST as u64;
        let mut share = memory.share(u64::MAX).await;
        assert_eq!(share.bytes(), all);
        let part = share.part(all - 1024);
        assert_eq!((part.bytes(), share.bytes()), (all - 1024, 1024));
        let mut waits = std::pin::pin!(memory.share(2048));
        assert!(timeout(Duration::ZERO, waits.as_mut()).await.is_err());
        drop(share);
        assert!(timeout(Duration::ZERO, waits.as_mut()).await.is_err());
        drop(part);
        waits.await;
        assert_eq!(memory.free.available_permits(), memory.units as usize);
    }

    #[tokio::test]
    async fn what_is_free_is_shared_and_a_body_is_waited_for() {
        let memory = Memory::new(LEAST);
        let (all, body) = (LEAST as u64, SPOOL_ABOVE as u64);
        let first = memory.share_up_to(all - body).await;
        let second = memory.share_up_to(all).await;
        assert_eq!((first.bytes(), second.bytes()), (all - body, body));
        let mut waits = std::pin::pin!(memory.share_up_to(all));
        assert!(timeout(Duration::ZERO, waits.as_mut()).await.is_err());
        drop(second);
        assert_eq!(waits.await.bytes(), body);
    }
}
