//! The embedded engine: SQLite in WAL mode, one writer thread, a few readers.

pub(super) mod audit;
pub(super) mod backup;
mod batch;
mod books;
mod bundle;
pub(super) mod check;
pub(super) mod endpoints;
mod found;
mod insert;
pub(super) mod kept;
mod lease;
pub(super) mod list;
mod open;
mod ops;
mod reader;
mod removed;
pub(super) mod replay;
mod retention;
mod row;
mod rows;
mod schema;
pub(super) mod secrets;
mod settle;
pub(super) mod show;
pub(super) mod standing;
mod task;
pub(super) mod tokens;
pub(super) mod upkeep;
mod writer;

pub(super) use batch::Answer;
pub(super) use open::{Opened, create, open};
pub(super) use ops::{Op, Urgency};
pub(super) use reader::Reader;
pub(super) use writer::Writer;

use super::StoreError;

/// What an engine error means to a caller. The reason is for the log; the store's health tells when it is over.
fn unavailable(error: &rusqlite::Error) -> StoreError {
    StoreError::Unavailable(error.to_string())
}

/// Whether an error is a broken uniqueness.
fn is_conflict(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(rusqlite::ErrorCode::ConstraintViolation)
}
