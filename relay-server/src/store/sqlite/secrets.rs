//! The rows of secrets: sealed before they come here, and opened elsewhere.

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::super::StoreError;
use super::super::records::{NewSecret, Purpose, Resealed, SealedSecret, SecretChange};
use crate::clock::now_ms;
use crate::endpoint::EndpointId;

/// By what a key is known as the one that has sealed what is here.
const CHECK: &str = "seal_check";

const COLUMNS: &str = "id, endpoint, purpose, sealed, created_ms, until_ms, unseen";

pub(in super::super) fn all(connection: &Connection) -> rusqlite::Result<Vec<SealedSecret>> {
    let sql = format!("SELECT {COLUMNS} FROM secrets ORDER BY id");
    connection.prepare(&sql)?.query_map([], secret)?.collect()
}

/// Changes the secrets of an endpoint, and gives all that it has then.
pub(in super::super) fn change(
    connection: &Connection,
    endpoint: EndpointId,
    change: SecretChange,
) -> rusqlite::Result<Result<Vec<SealedSecret>, StoreError>> {
    let there = "SELECT 1 FROM endpoints WHERE id = ?1";
    if !connection.prepare_cached(there)?.exists([endpoint.0])? {
        return Ok(Err(StoreError::NotFound("such endpoint".into())));
    }
    let over = "DELETE FROM secrets WHERE endpoint = ?1 AND until_ms <= ?2";
    connection.execute(over, params![endpoint.0, now_ms() as i64])?;
    match change {
        SecretChange::Add { new, most } => {
            let count = "SELECT count(*) FROM secrets WHERE endpoint = ?1 AND purpose = ?2";
            let of = params![endpoint.0, new.purpose.as_str()];
            let n: u32 = connection.query_row(count, of, |row| row.get(0))?;
            if n as usize >= most {
                let words = format!("the endpoint has {n} secrets, and may have {most}");
                return Ok(Err(StoreError::Refused(words)));
            }
            insert(connection, endpoint, &new)?;
        }
        SecretChange::Replace(new, until_ms) => {
            let sql = "UPDATE secrets SET until_ms = min(coalesce(until_ms, ?3), ?3)
                 WHERE endpoint = ?1 AND purpose = ?2";
            connection.execute(sql, params![endpoint.0, new.purpose.as_str(), until_ms as i64])?;
            connection.execute(over, params![endpoint.0, now_ms() as i64])?;
            insert(connection, endpoint, &new)?;
        }
        SecretChange::Remove(id) => {
            let sql = "DELETE FROM secrets WHERE endpoint = ?1 AND id = ?2";
            if connection.execute(sql, params![endpoint.0, id])? == 0 {
                return Ok(Err(StoreError::NotFound(format!("secret {id}"))));
            }
        }
        SecretChange::Seen(id) => {
            let sql =
                "UPDATE secrets SET unseen = 0 WHERE endpoint = ?1 AND id = ?2 AND unseen = 1";
            if connection.execute(sql, params![endpoint.0, id])? == 0 {
                return Ok(Err(StoreError::NotFound(format!("unseen secret {id}"))));
            }
        }
    }
    of(connection, endpoint).map(Ok)
}

/// The secrets of an endpoint.
fn of(connection: &Connection, endpoint: EndpointId) -> rusqlite::Result<Vec<SealedSecret>> {
    let sql = format!("SELECT {COLUMNS} FROM secrets WHERE endpoint = ?1 ORDER BY id");
    connection.prepare(&sql)?.query_map([endpoint.0], secret)?.collect()
}

pub(super) fn insert(
    connection: &Connection,
    endpoint: EndpointId,
    new: &NewSecret,
) -> rusqlite::Result<()> {
    let sql = "INSERT INTO secrets(endpoint, purpose, sealed, created_ms, unseen) VALUES(?1, ?2, ?3, ?4, ?5)";
    let NewSecret { purpose, sealed, created_ms, unseen } = new;
    let row = params![endpoint.0, purpose.as_str(), sealed, *created_ms as i64, unseen];
    connection.execute(sql, row).map(drop)
}

/// What the key of this store has sealed, if one has.
pub(in super::super) fn check(connection: &Connection) -> rusqlite::Result<Option<Vec<u8>>> {
    let sql = "SELECT unhex(value) FROM meta WHERE key = ?1";
    connection.query_row(sql, [CHECK], |row| row.get(0)).optional()
}

pub(in super::super) fn set_check(
    connection: &Connection,
    sealed: &[u8],
) -> rusqlite::Result<Result<(), StoreError>> {
    let sql = "INSERT OR REPLACE INTO meta(key, value) VALUES(?1, hex(?2))";
    connection.execute(sql, params![CHECK, sealed]).map(|_| Ok(()))
}

/// Puts another form in the place of all that is sealed.
pub(in super::super) fn reseal(connection: &Connection, anew: &Resealed) -> rusqlite::Result<()> {
    let Resealed { check, secrets, own } = anew;
    for (id, sealed) in secrets {
        connection.execute("UPDATE secrets SET sealed = ?2 WHERE id = ?1", params![id, sealed])?;
    }
    for (name, sealed) in own {
        connection.execute("UPDATE kept SET value = ?2 WHERE name = ?1", params![name, sealed])?;
    }
    set_check(connection, check).map(drop)
}

fn secret(row: &Row<'_>) -> rusqlite::Result<SealedSecret> {
    let purpose: String = row.get(2)?;
    let unknown =
        || rusqlite::Error::InvalidColumnType(2, purpose.clone(), rusqlite::types::Type::Text);
    Ok(SealedSecret {
        id: row.get(0)?,
        endpoint: EndpointId(row.get(1)?),
        purpose: Purpose::parse(&purpose).ok_or_else(unknown)?,
        sealed: row.get(3)?,
        created_ms: row.get::<_, i64>(4)?.unsigned_abs(),
        until_ms: row.get::<_, Option<i64>>(5)?.map(i64::unsigned_abs),
        unseen: row.get(6)?,
    })
}
