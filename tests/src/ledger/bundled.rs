//! What the store keeps in bundles, read by their format and not with the relay's own eyes.

use rusqlite::Connection;
use serde::Deserialize;

use super::{Attempt, Delivery, event};

/// An event in a bundle.
pub(super) struct Bundled {
    pub(super) endpoint: i64,
    pub(super) event: String,
    packed: Packed,
}

/// An event as it is kept there.
#[derive(Deserialize)]
#[expect(dead_code, reason = "what comes before and between is read to get to the rest")]
struct Packed {
    sums: u64,
    method: String,
    #[serde(with = "serde_bytes")]
    path: Vec<u8>,
    remote: String,
    https: bool,
    version: String,
    checked: Option<(String, String, Option<String>, Option<String>)>,
    #[serde(with = "serde_bytes")]
    fields: Vec<u8>,
    #[serde(with = "serde_bytes")]
    trailers: Vec<u8>,
    body_len: u64,
    #[serde(with = "serde_bytes")]
    body: Option<Vec<u8>>,
    number: u32,
    started_ms: u64,
    took_ms: u64,
    status: u16,
    #[serde(with = "serde_bytes")]
    answer_fields: Vec<u8>,
    #[serde(with = "serde_bytes")]
    answer_body: Vec<u8>,
}

/// Every event that is in a bundle.
pub(super) fn all(connection: &Connection) -> Vec<Bundled> {
    let sql = "SELECT endpoint, ids, data FROM bundles";
    let mut select = connection.prepare(sql).expect("the schema");
    let mut rows = select.query([]).expect("a query");
    let mut all = Vec::new();
    while let Some(row) = rows.next().expect("a row") {
        let endpoint = row.get(0).expect("a number");
        let (ids, data): (Vec<u8>, Vec<u8>) =
            (row.get(1).expect("ids"), row.get(2).expect("events"));
        let mut rest = &data[..];
        for id in ids.as_chunks().0 {
            let (length, after) = rest.split_first_chunk().expect("a length");
            let (packed, after) = after.split_at(u32::from_be_bytes(*length) as usize);
            let packed = postcard::from_bytes(packed).expect("an event");
            all.push(Bundled { endpoint, event: event(*id), packed });
            rest = after;
        }
        assert!(rest.is_empty(), "a bundle with more in it than it says");
    }
    all
}

impl Bundled {
    /// How it was delivered.
    pub(super) fn delivery(&self) -> Delivery {
        Delivery {
            event: self.event.clone(),
            group: "main".into(),
            replay: 0,
            state: "delivered".into(),
            attempts: self.packed.number,
            status: Some(self.packed.status),
            code: None,
            detail: None,
            leased: false,
        }
    }

    /// The attempt that delivered it.
    pub(super) fn attempt(&self) -> Attempt {
        let Packed { number, started_ms, took_ms, status, .. } = self.packed;
        (number, started_ms as i64, took_ms as i64, Some(status), None)
    }
}
