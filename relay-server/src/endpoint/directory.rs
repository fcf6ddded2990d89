//! The endpoints in memory, by key, by name and by number: what every request looks into.

use std::sync::Arc;

use dashmap::DashMap;
use foldhash::fast::RandomState;
use relay_protocol::id::Name;
use tokio::sync::{Mutex, MutexGuard};

use super::{Endpoint, EndpointId, Key};
use crate::clock::now_ms;

/// Each request looks into them, and nobody from outside puts anything in: a quick hash will do.
type Map<K, V> = DashMap<K, V, RandomState>;

/// All endpoints. Whoever changes one in the store changes it here right after, in its [turn](Self::turn).
#[derive(Debug, Default)]
pub struct Directory {
    by_key: Map<Box<str>, Arc<Endpoint>>,
    by_name: Map<Name, Arc<Endpoint>>,
    by_id: Map<EndpointId, Arc<Endpoint>>,
    /// Keys that were rotated away, and until when they lead to their endpoint, in milliseconds of the Unix epoch.
    old_keys: Map<Box<str>, (EndpointId, u64)>,
    /// Held over the wait for the store; whoever only looks never waits for it.
    changing: Mutex<()>,
}

impl Directory {
    /// Held by who changes an endpoint, from before the store has it until it is here: changes come here in the order in
    /// which they are stored, and none after the endpoint has gone.
    pub async fn turn(&self) -> MutexGuard<'_, ()> {
        self.changing.lock().await
    }

    /// Adds an endpoint, or puts it in the place of its older self.
    pub fn put(&self, endpoint: Endpoint) -> Arc<Endpoint> {
        let endpoint = Arc::new(endpoint);
        self.by_key.insert(endpoint.key.as_str().into(), Arc::clone(&endpoint));
        self.by_name.insert(endpoint.name.clone(), Arc::clone(&endpoint));
        let older = self.by_id.insert(endpoint.id, Arc::clone(&endpoint));
        if let Some(older) = older.filter(|older| older.key != endpoint.key) {
            self.by_key.remove(older.key.as_str());
        }
        endpoint
    }

    /// Has an old key lead to its endpoint for a while.
    pub fn put_old_key(&self, key: &Key, endpoint: EndpointId, until_ms: u64) {
        self.old_keys.insert(key.as_str().into(), (endpoint, until_ms));
    }

    /// Takes an endpoint off.
    pub fn remove(&self, endpoint: &Endpoint) {
        self.by_key.remove(endpoint.key.as_str());
        self.by_name.remove(&endpoint.name);
        self.by_id.remove(&endpoint.id);
        self.old_keys.retain(|_, (of, _)| *of != endpoint.id);
    }

    /// The endpoint whose URL has this key, or had it until a while ago.
    #[must_use]
    pub fn by_key(&self, key: &str) -> Option<Arc<Endpoint>> {
        if let Some(found) = self.by_key.get(key) {
            return Some(Arc::clone(&found));
        }
        let (endpoint, until_ms) = *self.old_keys.get(key)?;
        if now_ms() < until_ms { self.by_id(endpoint) } else { None }
    }

    /// The endpoint of this name.
    #[must_use]
    pub fn by_name(&self, name: &Name) -> Option<Arc<Endpoint>> {
        self.by_name.get(name).map(|found| Arc::clone(&found))
    }

    /// The endpoint of this number.
    #[must_use]
    pub fn by_id(&self, id: EndpointId) -> Option<Arc<Endpoint>> {
        self.by_id.get(&id).map(|found| Arc::clone(&found))
    }

    /// All endpoints, by name.
    #[must_use]
    pub fn all(&self) -> Vec<Arc<Endpoint>> {
        let mut all: Vec<_> = self.by_name.iter().map(|found| Arc::clone(&found)).collect();
        all.sort_by(|a, b| a.name.cmp(&b.name));
        all
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::endpoint::Settings;

    fn endpoint(key: &str) -> Endpoint {
        Endpoint {
            id: EndpointId(1),
            name: "a".parse().unwrap(),
            key: Key::parse(key).unwrap(),
            created_ms: 0,
            set: BTreeMap::new(),
            settings: Settings::default(),
            paused_ms: None,
        }
    }

    #[test]
    fn a_rotated_key_leads_to_the_endpoint_as_it_is_now_and_only_for_its_grace() {
        let directory = Directory::default();
        directory.put(endpoint("old"));
        directory.put(endpoint("new"));
        assert!(directory.by_key("old").is_none());
        directory.put_old_key(&Key::parse("old").unwrap(), EndpointId(1), u64::MAX);
        assert_eq!(directory.by_key("old").unwrap().key.as_str(), "new");
        directory.put_old_key(&Key::parse("old").unwrap(), EndpointId(1), 1);
        assert!(directory.by_key("old").is_none());
        let now = directory.by_key("new").unwrap();
        directory.put_old_key(&Key::parse("old").unwrap(), EndpointId(1), u64::MAX);
        directory.remove(&now);
        assert!(directory.by_key("old").is_none() && directory.by_key("new").is_none());
    }
}
