//! The table of settings: each key's name, how its value is read and checked, and how it is shown.

use relay_trust::Profiles;

use super::choices::{
    CAPTURES, FALLBACKS, ON_FAILURE, Order, REPLIES, RESIGN, SWITCH, choose, chosen,
};
use super::values::{
    count, count32, groups, show_groups, show_or, show_statuses, size, statuses, text, unless, url,
    wait,
};
use super::{Settings, Verify};
use crate::address::Networks;
use crate::delivery::{Filter, Rate, Retry, Selector};
use crate::endpoint::units::{show_bytes, show_duration};

const SECOND: u64 = 1000;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;
const YEAR: u64 = 365 * DAY;
/// The largest `max_body`: one event fits into the memory of a small machine's page cache.
const MAX_BODY_MAX: u64 = 1 << 30;
/// The largest bound on a queue or an archive: more than a single machine holds.
const EVENTS_MAX: u64 = 10_000_000_000;
const BYTES_MAX: u64 = 1 << 50;

/// One row of the table.
pub(super) struct Key {
    pub(super) name: &'static str,
    pub(super) set: fn(&mut Settings, &str, &Profiles) -> Result<(), String>,
    pub(super) show: fn(&Settings) -> String,
}

/// A row for a field, with the way it is read and the way it is shown.
macro_rules! key {
    ($field:ident, $value:ident => $read:expr, $shown:ident => $show:expr) => {
        Key {
            name: stringify!($field),
            set: |settings, $value, _| {
                settings.$field = $read?;
                Ok(())
            },
            show: |settings| {
                let $shown = &settings.$field;
                $show
            },
        }
    };
}

/// How the provider is answered, how the event is delivered, what is kept: in the order of the manual.
pub(super) const KEYS: &[Key] = &[
    key!(reply, v => choose(v, REPLIES), x => chosen(x, REPLIES)),
    key!(reply_timeout, v => wait(v, 100..=5 * MINUTE), x => show_duration(*x)),
    key!(hold, v => wait(v, 0..=MINUTE), x => show_duration(*x)),
    key!(fallback, v => choose(v, FALLBACKS), x => chosen(x, FALLBACKS)),
    key!(fallback_statuses, v => statuses(v), x => show_statuses(x)),
    Key {
        name: "ack_status",
        set: |s, v, _| {
            let status = count32(v, 200..=299)?;
            s.ack_status = u16::try_from(status).map_err(|e| e.to_string())?;
            Ok(())
        },
        show: |s| s.ack_status.to_string(),
    },
    key!(ack_body, v => unless("default", v, text), x => show_or("default", x.as_deref(), str::to_owned)),
    key!(capture, v => choose(v, CAPTURES), x => chosen(x, CAPTURES)),
    key!(retry, v => Retry::parse(v), x => x.to_string()),
    key!(retry_for, v => wait(v, SECOND..=60 * DAY), x => show_duration(*x)),
    key!(
        expire_after, v => unless("never", v, |v| wait(v, SECOND..=YEAR)),
        x => show_or("never", x.as_ref(), |x| show_duration(*x))
    ),
    key!(attempt_timeout, v => wait(v, 100..=10 * MINUTE), x => show_duration(*x)),
    key!(order, v => Order::parse(v), x => x.to_string()),
    key!(max_in_flight, v => count32(v, 1..=10_000), x => x.to_string()),
    key!(rate, v => unless("none", v, Rate::parse), x => show_or("none", x.as_ref(), Rate::to_string)),
    key!(breaker, v => choose(v, SWITCH), x => chosen(x, SWITCH)),
    key!(dedup, v => unless("off", v, Selector::parse), x => show_or("off", x.as_ref(), Selector::to_string)),
    key!(dedup_window, v => wait(v, SECOND..=30 * DAY), x => show_duration(*x)),
    key!(batch, v => count32(v, 1..=1000), x => x.to_string()),
    key!(batch_wait, v => wait(v, 0..=5 * MINUTE), x => show_duration(*x)),
    key!(
        collapse, v => unless("off", v, Selector::parse),
        x => show_or("off", x.as_ref(), Selector::to_string)
    ),
    key!(collapse_wait, v => wait(v, 0..=HOUR), x => show_duration(*x)),
    key!(groups, v => groups(v), x => show_groups(x)),
    key!(filter, v => unless("none", v, Filter::parse), x => show_or("none", x.as_ref(), Filter::to_string)),
    key!(queue_max_events, v => count(v, 1..=EVENTS_MAX), x => x.to_string()),
    key!(queue_max_bytes, v => size(v, 1..=BYTES_MAX), x => show_bytes(*x)),
    Key {
        name: "verify",
        set: |s, v, profiles| {
            s.verify = unless("off", v, |v| Verify::of(v, profiles))?;
            Ok(())
        },
        show: |s| show_or("off", s.verify.as_ref(), |x| x.profile.name().to_owned()),
    },
    key!(on_failure, v => choose(v, ON_FAILURE), x => chosen(x, ON_FAILURE)),
    key!(public_url, v => unless("default", v, url), x => show_or("default", x.as_deref(), str::to_owned)),
    key!(resign, v => choose(v, RESIGN), x => chosen(x, RESIGN)),
    key!(allow, v => unless("all", v, Networks::parse), x => show_or("all", x.as_ref(), Networks::to_string)),
    key!(rate_limit, v => unless("none", v, Rate::parse), x => show_or("none", x.as_ref(), Rate::to_string)),
    key!(
        rate_limit_address, v => unless("none", v, Rate::parse),
        x => show_or("none", x.as_ref(), Rate::to_string)
    ),
    key!(max_body, v => size(v, 0..=MAX_BODY_MAX), x => show_bytes(*x)),
    key!(keep_for, v => wait(v, MINUTE..=10 * YEAR), x => show_duration(*x)),
    key!(
        keep_events, v => unless("none", v, |v| count(v, 1..=EVENTS_MAX)),
        x => show_or("none", x.as_ref(), u64::to_string)
    ),
    key!(
        keep_bytes, v => unless("none", v, |v| size(v, 1..=BYTES_MAX)),
        x => show_or("none", x.as_ref(), |x| show_bytes(*x))
    ),
];
