//! The rows of tokens.

use relay_protocol::id::Name;
use rusqlite::{Connection, Row, params};

use super::super::StoreError;
use super::super::records::{NewSecretOfToken, OldSecret, Scope, Token};

pub(in super::super) fn all(connection: &Connection) -> rusqlite::Result<Vec<Token>> {
    let sql = "SELECT id, hash, scopes, endpoints, created_ms, expires_ms, revoked_ms, name, old_hash, old_until_ms,
             used_ms FROM tokens";
    connection.prepare(sql)?.query_map([], token)?.collect()
}

pub(in super::super) fn create(connection: &Connection, token: &Token) -> rusqlite::Result<()> {
    let names = |list: &Vec<Name>| serde_json::to_string(list).expect("a list of names");
    let scopes: Vec<&str> = token.scopes.iter().map(|scope| scope.as_str()).collect();
    connection.execute(
        "INSERT INTO tokens(id, hash, scopes, endpoints, created_ms, expires_ms, name)
             VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        params![
            token.id,
            &token.hash[..],
            scopes.join(" "),
            token.endpoints.as_ref().map(names),
            token.created_ms as i64,
            token.expires_ms.map(|ms| ms as i64),
            token.name,
        ],
    )?;
    Ok(())
}

/// Gives a token that was not revoked another secret. Of the older ones, only the last counts on.
pub(in super::super) fn rotate(
    connection: &Connection,
    id: &str,
    new: &NewSecretOfToken,
) -> rusqlite::Result<Result<(), StoreError>> {
    let sql = "UPDATE tokens SET old_hash = hash, old_until_ms = ?3, hash = ?2
         WHERE id = ?1 AND revoked_ms IS NULL";
    let row = params![id, &new.hash[..], new.old_until_ms as i64];
    found(connection.execute(sql, row)?, id)
}

pub(in super::super) fn revoke(
    connection: &Connection,
    id: &str,
    at_ms: u64,
) -> rusqlite::Result<Result<(), StoreError>> {
    let sql = "UPDATE tokens SET revoked_ms = coalesce(revoked_ms, ?2) WHERE id = ?1";
    found(connection.execute(sql, params![id, at_ms as i64])?, id)
}

fn found(rows: usize, id: &str) -> rusqlite::Result<Result<(), StoreError>> {
    Ok(if rows == 1 { Ok(()) } else { Err(StoreError::NotFound(format!("token {id}"))) })
}

/// Notes when tokens were last shown.
pub(in super::super) fn used(
    connection: &Connection,
    uses: &[(String, u64)],
) -> rusqlite::Result<()> {
    let mut update = connection.prepare_cached("UPDATE tokens SET used_ms = ?2 WHERE id = ?1")?;
    for (id, at_ms) in uses {
        update.execute(params![id, *at_ms as i64])?;
    }
    Ok(())
}

fn token(row: &Row<'_>) -> rusqlite::Result<Token> {
    let scopes: String = row.get(2)?;
    let endpoints: Option<String> = row.get(3)?;
    let endpoints = endpoints.map(|list| serde_json::from_str(&list)).transpose().map_err(|e| {
        rusqlite::Error::FromSqlConversionFailure(3, rusqlite::types::Type::Text, Box::new(e))
    })?;
    let time =
        |at: usize| Ok::<_, rusqlite::Error>(row.get::<_, Option<i64>>(at)?.map(i64::unsigned_abs));
    let old = row.get::<_, Option<[u8; 32]>>(8)?.zip(time(9)?);
    Ok(Token {
        id: row.get(0)?,
        hash: row.get(1)?,
        // A scope that this version does not know allows nothing.
        scopes: scopes.split(' ').filter_map(Scope::parse).collect(),
        endpoints,
        created_ms: row.get::<_, i64>(4)?.unsigned_abs(),
        expires_ms: time(5)?,
        revoked_ms: time(6)?,
        name: row.get(7)?,
        old: old.map(|(hash, until_ms)| OldSecret { hash, until_ms }),
        used_ms: time(10)?,
    })
}
