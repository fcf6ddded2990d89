//! A delivery's row, as it is written: its state, whose it is, and its last attempt.

use std::sync::LazyLock;

use relay_protocol::id::{EventId, Name};
use rusqlite::Connection;

use super::super::records::{Attempt, AttemptResult, Collapse, Next};
use super::rows::{self, Inserts, Row, Values};
use crate::delivery::{KeyHash, State};
use crate::endpoint::EndpointId;

/// Where a delivery stands after something has happened to it.
pub(super) struct Landing {
    pub(super) state: State,
    pub(super) due_ms: Option<u64>,
    pub(super) spent_ms: u64,
    /// Whether the same hands keep it.
    pub(super) held: bool,
    pub(super) why: Option<&'static str>,
}

impl Landing {
    pub(super) fn of(next: &Next) -> Self {
        let landed = |state, due_ms| Self { state, due_ms, spent_ms: 0, held: false, why: None };
        match next {
            Next::Delivered => landed(State::Delivered, None),
            Next::Failed => landed(State::Failed, None),
            Next::Retry { due_ms, spent_ms } => {
                Self { spent_ms: *spent_ms, ..landed(State::Pending, Some(*due_ms)) }
            }
            Next::Held(until_ms) => {
                Self { held: true, ..landed(State::Delivering, Some(*until_ms)) }
            }
            Next::Dead(why) => Self { why: Some(why), ..landed(State::Dead, None) },
            Next::Rejected(why) => Self { why: Some(why), ..landed(State::Rejected, None) },
        }
    }
}

/// One row of `deliveries`.
pub(super) struct DeliveryRow<'a> {
    endpoint: EndpointId,
    event: EventId,
    pub(super) group: &'a Name,
    pub(super) replay: u32,
    pub(super) state: State,
    pub(super) due_ms: Option<u64>,
    pub(super) spent_ms: u64,
    pub(super) lease: Option<u64>,
    pub(super) okey: Option<KeyHash>,
    pub(super) collapse: Option<Collapse>,
    pub(super) size: i64,
    pub(super) code: Option<&'a str>,
    pub(super) detail: Option<&'a str>,
    last: Last<'a>,
}

impl<'a> DeliveryRow<'a> {
    pub(super) fn new(endpoint: EndpointId, event: EventId, group: &'a Name, size: i64) -> Self {
        let (due_ms, lease, okey, collapse) = (None, None, None, None);
        let (state, code, detail, last) = (State::Pending, None, None, Last::default());
        Self {
            endpoint,
            event,
            group,
            replay: 0,
            state,
            due_ms,
            spent_ms: 0,
            lease,
            okey,
            collapse,
            size,
            code,
            detail,
            last,
        }
    }

    pub(super) fn set_last(&mut self, attempt: Option<&'a Attempt>) {
        self.last = attempt.map(Last::of).unwrap_or_default();
        (self.code, self.detail) = (self.last.code, self.last.detail);
    }

    pub(super) fn land(&mut self, landing: &Landing, token: u64) {
        (self.state, self.due_ms) = (landing.state, landing.due_ms);
        self.spent_ms = landing.spent_ms;
        self.lease = landing.held.then_some(token);
        self.code = landing.why.or(self.code);
    }

    pub(super) fn fail(&mut self, state: State, code: &'static str) {
        (self.state, self.code, self.due_ms, self.lease) = (state, Some(code), None, None);
        (self.okey, self.collapse) = (None, None);
    }

    pub(super) fn insert(&self, connection: &Connection) -> rusqlite::Result<()> {
        rows::insert(connection, std::slice::from_ref(self))
    }
}

impl Row for DeliveryRow<'_> {
    fn inserts() -> &'static Inserts {
        const TABLE: &str =
            "deliveries(endpoint, event, grp, replay, state, attempts, due_ms, lease, started_ms, took_ms,
                 status, code, detail, fields, body, size, spent_ms, okey, ckey, collapse_by_ms)";
        static INSERTS: LazyLock<Inserts> = LazyLock::new(|| Inserts::into(TABLE));
        &INSERTS
    }

    fn give(&self, values: &mut Values<'_, '_>) -> rusqlite::Result<()> {
        values.add(self.endpoint.0)?;
        values.add(self.event.as_bytes())?;
        values.add(self.group.as_str())?;
        values.add(self.replay)?;
        values.add(self.state.as_str())?;
        values.add(self.last.number)?;
        values.add(self.due_ms.map(|ms| ms as i64))?;
        values.add(self.lease.map(|token| token as i64))?;
        values.add(self.last.started_ms)?;
        values.add(self.last.took_ms)?;
        values.add(self.last.status)?;
        values.add(self.code)?;
        values.add(self.detail)?;
        values.add(self.last.fields)?;
        values.add(self.last.body)?;
        values.add(self.size)?;
        values.add(self.spent_ms as i64)?;
        values.add(self.okey.as_ref().map(|key| &key.0[..]))?;
        values.add(self.collapse.as_ref().map(|collapse| &collapse.key.0[..]))?;
        values.add(self.collapse.map(|collapse| collapse.by_ms as i64))
    }
}

/// An attempt as the columns of a row.
#[derive(Default)]
pub(super) struct Last<'a> {
    pub(super) number: u32,
    pub(super) started_ms: Option<i64>,
    pub(super) took_ms: Option<i64>,
    pub(super) status: Option<u16>,
    pub(super) code: Option<&'static str>,
    pub(super) detail: Option<&'a str>,
    pub(super) fields: Option<&'a [u8]>,
    pub(super) body: Option<&'a [u8]>,
}

impl<'a> Last<'a> {
    pub(super) fn of(attempt: &'a Attempt) -> Self {
        let Attempt { number, started_ms, took_ms, result } = attempt;
        let (started_ms, took_ms) = (Some(*started_ms as i64), Some(*took_ms as i64));
        let bare = Self { number: *number, started_ms, took_ms, ..Self::default() };
        match result {
            AttemptResult::Answered { status, fields, body } => {
                let (fields, body) = (Some(&fields.encoded()[..]), Some(&body[..]));
                Self { status: Some(*status), fields, body, ..bare }
            }
            AttemptResult::Failed { code, detail } => {
                Self { code: Some(code), detail: Some(detail), ..bare }
            }
        }
    }
}
