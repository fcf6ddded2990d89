//! Looks over a whole store and tells every damage it finds. Changes nothing.

use std::path::Path;
use std::sync::Arc;

use relay_protocol::id::EventId;
use rusqlite::{Connection, OpenFlags};

use super::super::spool::Spool;
use super::super::{OpenError, Report};
use super::bundle;
use super::lease::load;
use super::open::DATABASE;
use super::schema;
use crate::endpoint::EndpointId;
use crate::event::Body;

/// The most that is told of one kind of damage.
const TOLD_MAX: usize = 20;

/// What must not be there: what it is, and the rows that are it, each with what to call it.
const DAMAGES: &[(&str, &str)] = &[
    (
        "an event without its payload",
        "SELECT hex(id) FROM events LEFT JOIN payloads ON n = payload WHERE n IS NULL",
    ),
    (
        "an event without a delivery",
        "SELECT hex(id) FROM events e WHERE NOT EXISTS
             (SELECT 1 FROM deliveries d WHERE d.endpoint = e.endpoint AND d.event = e.id)",
    ),
    (
        "a delivery without its event",
        "SELECT hex(event) FROM deliveries d WHERE NOT EXISTS
             (SELECT 1 FROM events e WHERE e.endpoint = d.endpoint AND e.id = d.event)",
    ),
    (
        "an attempt without its delivery",
        "SELECT hex(event) FROM attempts a WHERE NOT EXISTS
             (SELECT 1 FROM deliveries d WHERE d.endpoint = a.endpoint AND d.event = a.event AND d.grp = a.grp
                  AND d.replay = a.replay)",
    ),
    (
        "a payload without its event",
        "SELECT n FROM payloads WHERE n NOT IN (SELECT payload FROM events)",
    ),
    (
        "a body of another length than it had",
        "SELECT hex(id) FROM events JOIN payloads ON n = payload WHERE body_kept = 'row'
             AND coalesce(length(body), 0) <> body_len",
    ),
    (
        "a delivery that waits for nothing",
        "SELECT hex(event) || ' ' || grp FROM deliveries WHERE state IN ('pending', 'delivering') AND due_ms IS NULL
             AND okey IS NULL",
    ),
    (
        "a delivery that is over and still due",
        "SELECT hex(event) || ' ' || grp FROM deliveries WHERE state NOT IN ('live', 'pending', 'delivering')
             AND due_ms IS NOT NULL",
    ),
    (
        "a count that is wrong (endpoint, group, state, counted, there)",
        "SELECT endpoint || ' ' || grp || ' ' || state || ' ' || sum(n) || ' ' || sum(there) FROM
             (SELECT endpoint, grp, state, n, 0 there FROM counts UNION ALL
              SELECT endpoint, grp, state, 0, count(*) FROM deliveries GROUP BY endpoint, grp, state UNION ALL
              SELECT endpoint, 'main', 'delivered', 0, sum(events) FROM bundles GROUP BY endpoint)
         WHERE endpoint IN (SELECT id FROM endpoints) GROUP BY endpoint, grp, state HAVING sum(n) <> sum(there)",
    ),
    (
        "a total that is wrong (endpoint, counted, there)",
        "SELECT endpoint || ' ' || sum(n) || ' ' || sum(there) FROM
             (SELECT endpoint, n, 0 there FROM totals UNION ALL
              SELECT endpoint, 0, count(*) FROM events GROUP BY endpoint UNION ALL
              SELECT endpoint, 0, sum(events) FROM bundles GROUP BY endpoint)
         GROUP BY endpoint HAVING sum(n) <> sum(there)",
    ),
    (
        "sequence numbers that retention does not explain (endpoint, last, events, taken by retention)",
        "SELECT id || ' ' || last_seq || ' ' || there || ' ' || gone FROM
             (SELECT endpoints.id, last_seq, coalesce(gone, 0) gone,
                  (SELECT count(*) FROM events WHERE events.endpoint = endpoints.id)
                      + (SELECT coalesce(sum(events), 0) FROM bundles WHERE bundles.endpoint = endpoints.id) there
              FROM endpoints LEFT JOIN totals ON totals.endpoint = endpoints.id)
         WHERE last_seq <> there + gone",
    ),
    (
        "a sequence number that is there twice (endpoint, number)",
        "SELECT endpoint || ' ' || seq FROM
             (SELECT endpoint, seq, lag(seq + n) OVER (PARTITION BY endpoint ORDER BY seq) free FROM
                  (SELECT endpoint, seq, 1 n FROM events UNION ALL SELECT endpoint, seq, events FROM bundles))
         WHERE free > seq",
    ),
    (
        "a bundle of events that is not whole",
        "SELECT hex(last) FROM bundles WHERE length(ids) <> events * 16 OR substr(ids, 1, 16) <> first
             OR substr(ids, -16) <> last",
    ),
];

/// Checks the store in a directory; the relay may run.
pub(in super::super) fn check(data: &Path) -> Result<Report, OpenError> {
    let shown = data.display().to_string();
    let database = data.join(DATABASE);
    if !database.exists() {
        return Err(OpenError::Missing(shown));
    }
    let look = || {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(&database, flags)?;
        let version = schema::version(&connection)?;
        // One snapshot for all of it, so that what changes meanwhile is no damage.
        let snapshot = connection.unchecked_transaction()?;
        let mut report = Report { damages: pages(&snapshot)?, ..Report::default() };
        if version != schema::VERSION {
            let why =
                format!("schema version {version}; this relay-server checks {}", schema::VERSION);
            report.damages.push(why);
            return Ok(report);
        }
        let sql =
            "SELECT (SELECT count(*) FROM events) + (SELECT coalesce(sum(events), 0) FROM bundles)";
        report.events = snapshot.query_row(sql, [], |row| row.get(0))?;
        for (what, sql) in DAMAGES {
            report.damages.extend(rows(&snapshot, what, sql)?);
        }
        report.damages.extend(bodies(&snapshot, data)?);
        let unsound = bundle::unsound(&snapshot, TOLD_MAX)?;
        let told = unsound.into_iter().map(|id| format!("the event {id} is not what it was"));
        report.damages.extend(told);
        Ok(report)
    };
    look().map_err(|e: rusqlite::Error| OpenError::Broken(shown, e.to_string()))
}

/// What the engine itself finds.
fn pages(connection: &Connection) -> rusqlite::Result<Vec<String>> {
    let mut found = Vec::new();
    for pragma in ["PRAGMA integrity_check(20)", "PRAGMA foreign_key_check"] {
        let mut select = connection.prepare(pragma)?;
        let mut rows = select.query([])?;
        while let Some(row) = rows.next()? {
            let text: String = row.get(0)?;
            if text != "ok" {
                found.push(format!("the database: {text}"));
            }
        }
    }
    Ok(found)
}

fn rows(connection: &Connection, what: &str, sql: &str) -> rusqlite::Result<Vec<String>> {
    let sql = format!(
        "SELECT CAST(x AS TEXT) FROM (SELECT 0 x WHERE 0 UNION ALL {sql}) LIMIT {TOLD_MAX}"
    );
    let mut select = connection.prepare(&sql)?;
    let told = select.query_map([], |row| Ok(format!("{what}: {}", row.get::<_, String>(0)?)))?;
    told.collect()
}

/// Events that are not what the store was given: their heads, their bodies, the files of these.
fn bodies(connection: &Connection, data: &Path) -> rusqlite::Result<Vec<String>> {
    let spool = Arc::new(Spool::at(data));
    let sql = "SELECT endpoint, id, body_kept = 'spool' FROM events JOIN payloads ON n = payload
         WHERE sums IS NOT NULL OR body_kept = 'spool'";
    let mut select = connection.prepare(sql)?;
    let mut rows = select.query([])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()?
        && found.len() < TOLD_MAX
    {
        let (endpoint, id) = (EndpointId(row.get(0)?), EventId::from_bytes(row.get(1)?));
        let in_file: bool = row.get(2)?;
        match load(connection, &spool, endpoint, id) {
            Err(error) => found.push(format!("the event {id} cannot be read: {error}")),
            Ok((_, false)) => found.push(format!("the event {id} is not what it was")),
            Ok((event, true)) => match &event.body {
                Body::Absent(_) if in_file => found.push(format!("the body of {id} is not there")),
                Body::Spooled(file) if !file.is_sound() => {
                    found.push(format!("the body of {id} is not what it was"));
                }
                Body::Memory(_) | Body::Spooled(_) | Body::Absent(_) => {}
            },
        }
    }
    Ok(found)
}
