//! The rows of tokens.

use relay_protocol::id::Name;
use rusqlite::{Connection, Row, params};

use super::super::StoreError;
use super::super::records::{Scope, Token};

pub(in super::super) fn all(connection: &Connection) -> rusqlite::Result<Vec<Token>> {
    let sql = "SELECT id, hash, scopes, endpoints, created_ms, expires_ms, revoked_ms FROM tokens";
    connection.prepare(sql)?.query_map([], token)?.collect()
}

pub(in super::super) fn create(
    connection: &Connection,
    token: &Token,
) -> rusqlite::Result<Result<(), StoreError>> {
    let names = |list: &Vec<Name>| serde_json::to_string(list).expect("a list of names");
    let scopes: Vec<&str> = token.scopes.iter().map(|scope| scope.as_str()).collect();
    connection.execute(
        "INSERT INTO tokens(id, hash, scopes, endpoints, created_ms, expires_ms) VALUES(?1, ?2, ?3, ?4, ?5, ?6)",
        params![
            token.id,
            &token.hash[..],
            scopes.join(" "),
            token.endpoints.as_ref().map(names),
            token.created_ms as i64,
            token.expires_ms.map(|ms| ms as i64),
        ],
    )?;
    Ok(Ok(()))
}

pub(in super::super) fn revoke(
    connection: &Connection,
    id: &str,
    at_ms: u64,
) -> rusqlite::Result<Result<(), StoreError>> {
    let sql = "UPDATE tokens SET revoked_ms = coalesce(revoked_ms, ?2) WHERE id = ?1";
    let found = connection.execute(sql, params![id, at_ms as i64])?;
    Ok(if found == 1 { Ok(()) } else { Err(StoreError::NotFound(format!("token {id}"))) })
}

fn token(row: &Row<'_>) -> rusqlite::Result<Token> {
    let scopes: String = row.get(2)?;
    let endpoints: Option<String> = row.get(3)?;
    let endpoints = endpoints.map(|list| serde_json::from_str(&list)).transpose().map_err(|e| {
        rusqlite::Error::FromSqlConversionFailure(3, rusqlite::types::Type::Text, Box::new(e))
    })?;
    Ok(Token {
        id: row.get(0)?,
        hash: row.get(1)?,
        // A scope that this version does not know allows nothing.
        scopes: scopes.split(' ').filter_map(Scope::parse).collect(),
        endpoints,
        created_ms: row.get::<_, i64>(4)? as u64,
        expires_ms: row.get::<_, Option<i64>>(5)?.map(|ms| ms as u64),
        revoked_ms: row.get::<_, Option<i64>>(6)?.map(|ms| ms as u64),
    })
}
