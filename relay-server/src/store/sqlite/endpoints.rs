//! The rows of endpoints.

use std::collections::BTreeMap;

use relay_protocol::id::Name;
use rusqlite::{Connection, Row, params};

use super::super::StoreError;
use super::super::records::NewEndpoint;
use super::books::Books;
use super::is_conflict;
use crate::endpoint::{Endpoint, EndpointId, Key, Settings};

pub(in super::super) fn all(connection: &Connection) -> rusqlite::Result<Vec<Endpoint>> {
    let sql =
        "SELECT id, name, key, signing_secret, settings, created_ms, paused_ms FROM endpoints";
    connection.prepare(sql)?.query_map([], endpoint)?.collect()
}

pub(in super::super) fn create(
    connection: &Connection,
    new: NewEndpoint,
) -> rusqlite::Result<Result<Endpoint, StoreError>> {
    let settings = serde_json::to_string(&new.set).expect("a map of texts");
    let inserted = connection.execute(
        "INSERT INTO endpoints(name, key, signing_secret, settings, created_ms) VALUES(?1, ?2, ?3, ?4, ?5)",
        params![new.name.as_str(), new.key.as_str(), new.signing_secret, settings, new.created_ms as i64],
    );
    match inserted {
        Ok(_) => {}
        Err(error) if is_conflict(&error) => {
            return Ok(Err(StoreError::Exists(format!("endpoint {}", new.name))));
        }
        Err(error) => return Err(error),
    }
    Ok(Ok(Endpoint {
        id: EndpointId(connection.last_insert_rowid()),
        name: new.name,
        key: new.key,
        signing_secret: new.signing_secret,
        created_ms: new.created_ms,
        paused_ms: None,
        set: new.set,
        settings: new.settings,
    }))
}

pub(in super::super) fn delete(
    connection: &Connection,
    books: &mut Books,
    id: EndpointId,
) -> rusqlite::Result<Result<(), StoreError>> {
    books.forget(id);
    connection.execute("DELETE FROM counts WHERE endpoint = ?1", [id.0])?;
    connection.execute("DELETE FROM old_keys WHERE endpoint = ?1", [id.0])?;
    let deleted = connection.execute("DELETE FROM endpoints WHERE id = ?1", [id.0])?;
    Ok(if deleted == 1 { Ok(()) } else { Err(StoreError::NotFound("such endpoint".into())) })
}

fn endpoint(row: &Row<'_>) -> rusqlite::Result<Endpoint> {
    let set: String = row.get(4)?;
    let set: BTreeMap<String, String> = serde_json::from_str(&set).map_err(|e| broken(4, e))?;
    // Settings are checked when they are set; one that a later version no longer knows must not stop the relay.
    let settings = Settings::apply(&set).unwrap_or_else(|bad| {
        tracing::error!(?bad, "settings in the store are refused; the endpoint has its defaults");
        Settings::default()
    });
    let (name, key): (String, String) = (row.get(1)?, row.get(2)?);
    Ok(Endpoint {
        id: EndpointId(row.get(0)?),
        name: name.parse::<Name>().map_err(|e| broken(1, e))?,
        key: Key::parse(&key).map_err(|e| broken(2, e))?,
        signing_secret: row.get(3)?,
        created_ms: row.get::<_, i64>(5)? as u64,
        paused_ms: row.get::<_, Option<i64>>(6)?.map(i64::unsigned_abs),
        set,
        settings,
    })
}

fn broken(column: usize, error: impl std::error::Error + Send + Sync + 'static) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, rusqlite::types::Type::Text, Box::new(error))
}
