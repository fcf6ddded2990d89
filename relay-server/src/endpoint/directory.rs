//! The endpoints in memory, by key, by name and by number: what every request looks into.

use std::sync::Arc;

use dashmap::DashMap;
use relay_protocol::id::Name;

use super::{Endpoint, EndpointId};

/// All endpoints. Whoever changes one in the store changes it here right after.
#[derive(Debug, Default)]
pub struct Directory {
    by_key: DashMap<Box<str>, Arc<Endpoint>>,
    by_name: DashMap<Name, Arc<Endpoint>>,
    by_id: DashMap<EndpointId, Arc<Endpoint>>,
}

impl Directory {
    /// Adds an endpoint, or puts it in the place of its older self.
    pub fn put(&self, endpoint: Endpoint) -> Arc<Endpoint> {
        let endpoint = Arc::new(endpoint);
        self.by_key.insert(endpoint.key.as_str().into(), Arc::clone(&endpoint));
        self.by_name.insert(endpoint.name.clone(), Arc::clone(&endpoint));
        self.by_id.insert(endpoint.id, Arc::clone(&endpoint));
        endpoint
    }

    /// Takes an endpoint off.
    pub fn remove(&self, endpoint: &Endpoint) {
        self.by_key.remove(endpoint.key.as_str());
        self.by_name.remove(&endpoint.name);
        self.by_id.remove(&endpoint.id);
    }

    /// The endpoint whose URL has this key.
    #[must_use]
    pub fn by_key(&self, key: &str) -> Option<Arc<Endpoint>> {
        self.by_key.get(key).map(|found| Arc::clone(&found))
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
