//! How rows of new events get into their tables: several with one statement, which costs less than one by one.
//!
//! A statement of several rows would keep a copy of every page that it touches, so that it could undo the first rows when a
//! later one fails. `OR FAIL` says that it need not: whoever meets an error here gives up the whole transaction. Where a
//! table's key is an integer that is given, SQLite keeps them all the same, which costs more than is saved: there it is
//! one by one.

use std::sync::LazyLock;

use relay_trust::Reason;
use rusqlite::{Connection, Statement, ToSql};

use super::super::records::Acceptance;
use super::super::sums::{self, Sums};
use crate::event::{Body, Head};

/// How many rows one statement inserts when there are as many: the most of what is saved, and not much to wait for.
pub(super) const MANY: usize = 8;

/// A row of a table to which new events bring rows.
pub(super) trait Row {
    /// The statements that insert such rows.
    fn inserts() -> &'static Inserts;
    /// The row's values, one for each column, in their order.
    fn give(&self, values: &mut Values<'_, '_>) -> rusqlite::Result<()>;
}

/// The statements that insert rows into a table.
pub(super) struct Inserts {
    one: String,
    /// None where each row has a statement of its own.
    many: Option<String>,
}

impl Inserts {
    /// Of a table and its columns, as `table(one, other)`.
    pub(super) fn into(table: &str) -> Self {
        let row = format!("({})", vec!["?"; table.split(',').count()].join(","));
        let begin = format!("INSERT OR FAIL INTO {table} VALUES");
        let many = format!("{begin}{}", [&row[..]; MANY].join(","));
        Self { one: format!("{begin}{row}"), many: Some(many) }
    }

    /// The same, each row with a statement of its own.
    fn one_by_one(self) -> Self {
        Self { many: None, ..self }
    }
}

/// Takes the values of the rows of one statement.
pub(super) struct Values<'a, 'c> {
    statement: &'a mut Statement<'c>,
    given: usize,
}

impl Values<'_, '_> {
    pub(super) fn add(&mut self, value: impl ToSql) -> rusqlite::Result<()> {
        self.given += 1;
        self.statement.raw_bind_parameter(self.given, value)
    }
}

/// Inserts these rows.
pub(super) fn insert<R: Row>(connection: &Connection, rows: &[R]) -> rusqlite::Result<()> {
    let several = R::inserts().many.as_ref();
    let (many, rest) = if several.is_some() { rows.as_chunks::<MANY>() } else { (&[][..], rows) };
    if let Some(sql) = several
        && !many.is_empty()
    {
        let mut insert = connection.prepare_cached(sql)?;
        many.iter().try_for_each(|rows| insert_with(&mut insert, rows))?;
    }
    if !rest.is_empty() {
        let mut insert = connection.prepare_cached(&R::inserts().one)?;
        rest.chunks(1).try_for_each(|row| insert_with(&mut insert, row))?;
    }
    Ok(())
}

fn insert_with<R: Row>(statement: &mut Statement<'_>, rows: &[R]) -> rusqlite::Result<()> {
    let mut values = Values { statement, given: 0 };
    rows.iter().try_for_each(|row| row.give(&mut values))?;
    statement.raw_execute().map(drop)
}

/// A new event, as lists show it.
pub(super) struct EventRow<'a> {
    pub(super) acceptance: &'a Acceptance,
    pub(super) seq: i64,
    /// The number of its payload.
    pub(super) payload: i64,
}

impl Row for EventRow<'_> {
    fn inserts() -> &'static Inserts {
        const TABLE: &str =
            "events(endpoint, id, seq, payload, method, path, remote, https, version, body_len, body_kept,
                 note, replay_of, event_type, verification, verified_as, unverified_why)";
        static INSERTS: LazyLock<Inserts> = LazyLock::new(|| Inserts::into(TABLE));
        &INSERTS
    }

    fn give(&self, values: &mut Values<'_, '_>) -> rusqlite::Result<()> {
        let Acceptance { event, note, replay_of, .. } = self.acceptance;
        let head = &event.head;
        let checked = head.checked.as_deref();
        values.add(head.endpoint.0)?;
        values.add(head.id.as_bytes())?;
        values.add(self.seq)?;
        values.add(self.payload)?;
        values.add(method(head))?;
        values.add(&head.path[..])?;
        values.add(head.origin.remote.as_str())?;
        values.add(head.origin.https)?;
        values.add(head.origin.version)?;
        values.add(event.body.len() as i64)?;
        values.add(kept(self.acceptance))?;
        values.add(note.as_deref())?;
        values.add(replay_of.as_ref().map(|of| &of.event.as_bytes()[..]))?;
        values.add(checked.and_then(|checked| checked.event_type.as_deref()))?;
        values.add(checked.map(|checked| checked.state.as_str()))?;
        values.add(checked.map(|checked| &*checked.provider))?;
        values.add(checked.and_then(|checked| checked.reason).map(Reason::as_str))
    }
}

/// What a new event carries.
pub(super) struct PayloadRow<'a> {
    pub(super) n: i64,
    pub(super) acceptance: &'a Acceptance,
}

impl Row for PayloadRow<'_> {
    fn inserts() -> &'static Inserts {
        const TABLE: &str = "payloads(n, fields, trailers, body, sums)";
        static INSERTS: LazyLock<Inserts> = LazyLock::new(|| Inserts::into(TABLE).one_by_one());
        &INSERTS
    }

    fn give(&self, values: &mut Values<'_, '_>) -> rusqlite::Result<()> {
        let Acceptance { event, keep_body, .. } = self.acceptance;
        let (body, sum) = match &event.body {
            Body::Memory(bytes) if *keep_body => (Some(&bytes[..]), sums::of_body(bytes)),
            Body::Spooled(file) if *keep_body => (None, file.sum()),
            Body::Memory(_) | Body::Spooled(_) | Body::Absent(_) => (None, sums::of_body(b"")),
        };
        let trailers = (!event.trailers.is_empty()).then(|| &event.trailers.encoded()[..]);
        let fields = &event.head.fields.encoded()[..];
        let (method, path) = (method(&event.head).as_bytes(), &event.head.path);
        let sums = Sums::of(method, path, fields, trailers.unwrap_or_default(), sum);
        values.add(self.n)?;
        values.add(fields)?;
        values.add(trailers)?;
        values.add(body)?;
        values.add(sums.to_number())
    }
}

/// The method as it is kept: HTTP has none that is no text.
pub(super) fn method(head: &Head) -> &str {
    std::str::from_utf8(&head.method).unwrap_or("?")
}

/// Where the body is kept.
pub(super) fn kept(acceptance: &Acceptance) -> &'static str {
    match &acceptance.event.body {
        Body::Memory(_) if acceptance.keep_body => "row",
        Body::Spooled(_) if acceptance.keep_body => "spool",
        Body::Memory(_) | Body::Spooled(_) | Body::Absent(_) => "none",
    }
}
