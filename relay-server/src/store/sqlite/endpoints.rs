//! The rows of endpoints.

use std::collections::BTreeMap;

use relay_protocol::id::Name;
use relay_trust::Profiles;
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::super::StoreError;
use super::super::records::{Change, NewEndpoint, OldKey};
use super::books::Books;
use super::{is_conflict, secrets};
use crate::endpoint::{Endpoint, EndpointId, Key, Settings};

pub(in super::super) fn all(
    connection: &Connection,
    profiles: &Profiles,
) -> rusqlite::Result<Vec<Endpoint>> {
    let sql = "SELECT id, name, key, settings, created_ms, paused_ms FROM endpoints";
    connection.prepare(sql)?.query_map([], |row| endpoint(row, profiles))?.collect()
}

pub(in super::super) fn old_keys(connection: &Connection) -> rusqlite::Result<Vec<OldKey>> {
    let sql = "SELECT key, endpoint, until_ms FROM old_keys";
    let old_key = |row: &Row<'_>| {
        let key = Key::parse(&row.get::<_, String>(0)?).map_err(|e| broken(0, e))?;
        let (endpoint, until_ms) = (EndpointId(row.get(1)?), row.get::<_, i64>(2)?.unsigned_abs());
        Ok(OldKey { key, endpoint, until_ms })
    };
    connection.prepare(sql)?.query_map([], old_key)?.collect()
}

pub(in super::super) fn by_id(
    connection: &Connection,
    id: EndpointId,
    profiles: &Profiles,
) -> rusqlite::Result<Option<Endpoint>> {
    let sql = "SELECT id, name, key, settings, created_ms, paused_ms FROM endpoints WHERE id = ?1";
    connection.query_row(sql, [id.0], |row| endpoint(row, profiles)).optional()
}

/// Changes an endpoint as it is in the store, not as somebody remembers it.
pub(in super::super) fn change(
    connection: &Connection,
    mut changed: Endpoint,
    change: Change,
    profiles: &Profiles,
) -> rusqlite::Result<Result<Endpoint, StoreError>> {
    let id = changed.id;
    match change {
        Change::Settings(wanted) => {
            for (key, value) in wanted {
                match value {
                    Some(value) => drop(changed.set.insert(key, value)),
                    None => drop(changed.set.remove(&key)),
                }
            }
            match Settings::apply(&changed.set, profiles) {
                Ok(settings) => changed.settings = settings,
                Err(bad) => {
                    let all: Vec<String> = bad.iter().map(ToString::to_string).collect();
                    return Ok(Err(StoreError::Refused(all.join("; "))));
                }
            }
        }
        Change::Pause(at_ms) => drop(changed.paused_ms.get_or_insert(at_ms)),
        Change::Resume => changed.paused_ms = None,
        Change::Key(key, until_ms) => {
            if is_taken(connection, &key)? {
                return Ok(Err(StoreError::Exists(format!("key {key}"))));
            }
            let old = std::mem::replace(&mut changed.key, key);
            let sql = "INSERT OR REPLACE INTO old_keys(key, endpoint, until_ms) VALUES(?1, ?2, ?3)";
            connection.execute(sql, params![old.as_str(), id.0, until_ms as i64])?;
        }
    }
    let settings = serde_json::to_string(&changed.set).expect("a map of texts");
    let paused_ms = changed.paused_ms.map(|ms| ms as i64);
    let sql = "UPDATE endpoints SET key = ?2, settings = ?3, paused_ms = ?4 WHERE id = ?1";
    connection.execute(sql, params![id.0, changed.key.as_str(), settings, paused_ms])?;
    Ok(Ok(changed))
}

/// Whether a key leads to an endpoint, or did until lately.
fn is_taken(connection: &Connection, key: &Key) -> rusqlite::Result<bool> {
    let sql = "SELECT 1 FROM endpoints WHERE key = ?1 UNION ALL
         SELECT 1 FROM old_keys WHERE key = ?1 AND until_ms > ?2";
    connection.prepare(sql)?.exists(params![key.as_str(), crate::clock::now_ms() as i64])
}

pub(in super::super) fn create(
    connection: &Connection,
    new: NewEndpoint,
) -> rusqlite::Result<Result<Endpoint, StoreError>> {
    if is_taken(connection, &new.key)? {
        return Ok(Err(StoreError::Exists(format!("endpoint {}", new.name))));
    }
    let settings = serde_json::to_string(&new.set).expect("a map of texts");
    let inserted = connection.execute(
        "INSERT INTO endpoints(name, key, settings, created_ms) VALUES(?1, ?2, ?3, ?4)",
        params![new.name.as_str(), new.key.as_str(), settings, new.created_ms as i64],
    );
    match inserted {
        Ok(_) => {}
        Err(error) if is_conflict(&error) => {
            return Ok(Err(StoreError::Exists(format!("endpoint {}", new.name))));
        }
        Err(error) => return Err(error),
    }
    let id = EndpointId(connection.last_insert_rowid());
    for secret in &new.secrets {
        secrets::insert(connection, id, secret)?;
    }
    Ok(Ok(Endpoint {
        id,
        name: new.name,
        key: new.key,
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
    connection.execute("DELETE FROM secrets WHERE endpoint = ?1", [id.0])?;
    let deleted = connection.execute("DELETE FROM endpoints WHERE id = ?1", [id.0])?;
    Ok(if deleted == 1 { Ok(()) } else { Err(StoreError::NotFound("such endpoint".into())) })
}

fn endpoint(row: &Row<'_>, profiles: &Profiles) -> rusqlite::Result<Endpoint> {
    let set: String = row.get(3)?;
    let set: BTreeMap<String, String> = serde_json::from_str(&set).map_err(|e| broken(3, e))?;
    // Settings are checked when they are set; one that a later version no longer knows must not stop the relay.
    let settings = Settings::apply(&set, profiles).unwrap_or_else(|bad| {
        tracing::error!(?bad, "settings in the store are refused; the endpoint has its defaults");
        Settings::default()
    });
    let (name, key): (String, String) = (row.get(1)?, row.get(2)?);
    Ok(Endpoint {
        id: EndpointId(row.get(0)?),
        name: name.parse::<Name>().map_err(|e| broken(1, e))?,
        key: Key::parse(&key).map_err(|e| broken(2, e))?,
        created_ms: row.get::<_, i64>(4)? as u64,
        paused_ms: row.get::<_, Option<i64>>(5)?.map(i64::unsigned_abs),
        set,
        settings,
    })
}

fn broken(column: usize, error: impl std::error::Error + Send + Sync + 'static) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, rusqlite::types::Type::Text, Box::new(error))
}
