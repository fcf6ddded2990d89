//! Who may send to public URLs, and how often. Whoever may not is told so before anything else of the request is looked at.
//!
//! An address has its own share before the endpoint's is touched: who sends too much is refused out of his own.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use dashmap::DashMap;

use crate::clock::steady_ms;
use crate::delivery::{Pace, Rate, Turn};
use crate::endpoint::{Directory, Endpoint, EndpointId};
use crate::problem::{Code, Problem};
use crate::throttle::{Throttle, seconds_until};

/// The most addresses with a bucket of their own, over all endpoints: some 5 MiB.
const SENDERS_MAX: usize = 65_536;

/// The same for one endpoint.
const SENDERS_OF_ENDPOINT_MAX: usize = 8192;

/// Who was there lately.
#[derive(Debug)]
pub struct Admission {
    /// What one address may send, to all endpoints together.
    pub each: Option<Rate>,
    senders: Throttle,
    /// Of those endpoints that have a limit.
    endpoints: DashMap<EndpointId, Arc<Buckets>>,
}

/// The buckets of one endpoint.
#[derive(Debug)]
struct Buckets {
    all: Mutex<Option<Pace>>,
    senders: Throttle,
}

impl Admission {
    /// Nobody has come yet. One address may send as much as `each` says, to all endpoints together.
    #[must_use]
    pub fn new(each: Option<Rate>) -> Self {
        Self { each, senders: Throttle::new(SENDERS_MAX), endpoints: DashMap::new() }
    }

    /// Whether this address may ask for any endpoint, be there one or not.
    ///
    /// # Errors
    /// [`Code::RateLimited`].
    pub fn at_the_door(&self, address: IpAddr) -> Result<(), Problem> {
        let Some(rate) = self.each else { return Ok(()) };
        let now_ms = steady_ms();
        let turn = self.senders.take(address, rate.as_limit(), now_ms);
        go(turn, now_ms, || format!("one address may send {rate} to this relay"))
    }

    /// Whether this address may send to this endpoint now.
    ///
    /// # Errors
    /// [`Code::AddressNotAllowed`] and [`Code::RateLimited`].
    pub fn to(
        &self,
        endpoint: &Endpoint,
        address: IpAddr,
        directory: &Directory,
    ) -> Result<(), Problem> {
        let settings = &endpoint.settings;
        if settings.allow.as_ref().is_some_and(|allowed| !allowed.contains(address)) {
            let words = "the endpoint takes nothing from this address";
            return Err(Problem::new(Code::AddressNotAllowed, words).closing());
        }
        if settings.rate_limit.is_none() && settings.rate_limit_address.is_none() {
            return Ok(());
        }
        let (buckets, now_ms) = (self.buckets(endpoint.id, directory), steady_ms());
        if let Some(rate) = settings.rate_limit_address {
            let turn = buckets.senders.take(address, rate.as_limit(), now_ms);
            go(turn, now_ms, || format!("one address may send {rate} to this endpoint"))?;
        }
        if let Some(rate) = settings.rate_limit {
            let limit = rate.as_limit();
            let mut all = buckets.all.lock().unwrap_or_else(PoisonError::into_inner);
            let pace = all.get_or_insert_with(|| Pace::new(limit));
            pace.set(limit);
            go(pace.take(now_ms), now_ms, || format!("the endpoint takes {rate}"))?;
        }
        Ok(())
    }

    fn buckets(&self, endpoint: EndpointId, directory: &Directory) -> Arc<Buckets> {
        if let Some(found) = self.endpoints.get(&endpoint) {
            return Arc::clone(&found);
        }
        // A new one has come; so deleted ones may have gone.
        self.endpoints.retain(|id, _| directory.by_id(*id).is_some());
        let fresh = || {
            let senders = Throttle::new(SENDERS_OF_ENDPOINT_MAX);
            Arc::new(Buckets { all: Mutex::default(), senders })
        };
        Arc::clone(&self.endpoints.entry(endpoint).or_insert_with(fresh))
    }
}

fn go(turn: Turn, now_ms: u64, words: impl FnOnce() -> String) -> Result<(), Problem> {
    match turn {
        Turn::Now => Ok(()),
        Turn::At(at_ms) => {
            let problem = Problem::new(Code::RateLimited, words());
            Err(problem.after(seconds_until(at_ms, now_ms)).closing())
        }
    }
}
