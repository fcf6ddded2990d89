//! Who has changed what, over the API: page by page, the newest first.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{RawQuery, State};
use serde::Serialize;

use super::{Api, Bearer, Refused, time};
use crate::clock::now_ms;
use crate::problem::Code;
use crate::store::records::{ActFilter, Changed, Noted};

/// How many acts are on a page.
const LIMIT: usize = 50;
/// The most acts on a page.
const LIMIT_MAX: usize = 1000;

/// A page of acts.
#[derive(Serialize)]
pub(super) struct Page {
    acts: Vec<Shown>,
    /// To be given as `cursor` for the next page; none when there is no more.
    next: Option<String>,
}

/// An act as the API shows it.
#[derive(Serialize)]
struct Shown {
    n: u64,
    at: String,
    act: String,
    subject: String,
    /// The token's public part; none for a program that worked on the store itself.
    token: Option<String>,
    /// The token's name, or the program's.
    name: Option<String>,
    address: Option<IpAddr>,
    changes: Vec<Changed>,
}

impl Shown {
    fn of(noted: Noted) -> Self {
        let Noted { n, act } = noted;
        Self {
            n,
            at: time::show(act.at_ms),
            act: act.act,
            subject: act.subject,
            token: act.actor.token,
            name: act.actor.name,
            address: act.actor.address,
            changes: act.changes,
        }
    }
}

pub(super) async fn list(
    State(api): State<Arc<Api>>,
    who: Bearer,
    RawQuery(query): RawQuery,
) -> Result<axum::Json<Page>, Refused> {
    who.admin()?;
    let (filter, limit) = filter(query.as_deref().unwrap_or_default())?;
    let mut acts = api.store.acts(filter, limit + 1).await?;
    let more = acts.len() > limit;
    acts.truncate(limit);
    let next = acts.last().filter(|_| more).map(|noted| noted.n.to_string());
    Ok(axum::Json(Page { acts: acts.into_iter().map(Shown::of).collect(), next }))
}

/// The filter in a query, and how many acts are wanted.
fn filter(query: &str) -> Result<(ActFilter, usize), Refused> {
    let (mut filter, mut limit) =
        (ActFilter { since_ms: 0, before_ms: u64::MAX, before: u64::MAX }, LIMIT);
    let now_ms = now_ms();
    for (key, value) in form_urlencoded::parse(query.as_bytes()) {
        let bad = |why: String| Refused::new(Code::BadRequest, format!("{key}: {why}"));
        let time = || time::parse(&value, now_ms).map_err(bad);
        match &*key {
            "since" => filter.since_ms = time()?,
            "before" => filter.before_ms = time()?,
            "cursor" => {
                filter.before = value.parse().map_err(|_| bad("no page begins there".into()))?;
            }
            "limit" => {
                let wanted = value.parse().ok().filter(|limit| (1..=LIMIT_MAX).contains(limit));
                limit = wanted.ok_or_else(|| bad(format!("a number from 1 to {LIMIT_MAX}")))?;
            }
            _ => return Err(bad("no such filter; there are since, before, limit, cursor".into())),
        }
    }
    Ok((filter, limit))
}
