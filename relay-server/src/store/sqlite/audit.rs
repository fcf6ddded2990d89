//! The rows of what people did: written beside what they did, read page by page, taken away when they are old.

use rusqlite::{Connection, Row, params};

use super::super::records::{Act, ActFilter, Actor, Noted};

/// How many rows are taken away in one step.
const SWEEP_MAX: i64 = 200;

/// Writes an act down, in the transaction of what it tells of.
pub(in super::super) fn write(connection: &Connection, act: &Act) -> rusqlite::Result<()> {
    let sql = "INSERT INTO audit(at_ms, token, name, address, act, subject, changes)
         VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7)";
    let Act { at_ms, actor: Actor { token, name, address }, act, subject, changes } = act;
    let (address, changes) = (
        address.map(|address| address.to_string()),
        serde_json::to_string(changes).expect("a list of texts"),
    );
    let row = params![*at_ms as i64, token, name, address, act, subject, changes];
    connection.prepare_cached(sql)?.execute(row).map(drop)
}

/// The newest of those that the filter takes, at most `limit`.
pub(in super::super) fn page(
    connection: &Connection,
    filter: ActFilter,
    limit: usize,
) -> rusqlite::Result<Vec<Noted>> {
    let sql = "SELECT n, at_ms, token, name, address, act, subject, changes FROM audit
         WHERE n < ?1 AND at_ms >= ?2 AND at_ms < ?3 ORDER BY n DESC LIMIT ?4";
    let bound = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    let ActFilter { since_ms, before_ms, before } = filter;
    let of = params![bound(before), bound(since_ms), bound(before_ms), bound(limit as u64)];
    connection.prepare_cached(sql)?.query_map(of, noted)?.collect()
}

/// Takes away a step of what is older than this; whether there may be more.
pub(super) fn sweep(connection: &Connection, older_than_ms: u64) -> rusqlite::Result<bool> {
    let sql = "DELETE FROM audit WHERE n IN (SELECT n FROM audit WHERE at_ms < ?1 ORDER BY at_ms LIMIT ?2)";
    let gone = connection.prepare_cached(sql)?.execute(params![older_than_ms as i64, SWEEP_MAX])?;
    Ok(gone as i64 == SWEEP_MAX)
}

fn noted(row: &Row<'_>) -> rusqlite::Result<Noted> {
    let (address, changes): (Option<String>, String) = (row.get(4)?, row.get(7)?);
    let changes = serde_json::from_str(&changes).map_err(|e| {
        rusqlite::Error::FromSqlConversionFailure(7, rusqlite::types::Type::Text, Box::new(e))
    })?;
    let address = address.and_then(|text| text.parse().ok());
    let act = Act {
        at_ms: row.get::<_, i64>(1)?.unsigned_abs(),
        actor: Actor { token: row.get(2)?, name: row.get(3)?, address },
        act: row.get(5)?,
        subject: row.get(6)?,
        changes,
    };
    Ok(Noted { n: row.get::<_, i64>(0)?.unsigned_abs(), act })
}
