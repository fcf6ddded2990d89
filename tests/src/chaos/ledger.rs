//! The ledger of both ends, and its check: what was promised must have arrived, as it was sent, where it belongs.
//!
//! It knows nothing of relays: whatever stands between sender and target is judged by what both of them saw.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::mark::{Digest, Mark};

/// How many examples of a fault are shown.
const SHOWN: usize = 5;

/// What both ends have seen so far.
#[derive(Debug, Default)]
pub struct Ledger(Mutex<Pages>);

#[derive(Debug, Default)]
struct Pages {
    posted: HashMap<Mark, Posted>,
    /// What arrived and was never posted, by what it said it was.
    unknown: Vec<String>,
    /// How often anything arrived.
    arrived: u64,
    /// How many events wait to be taken: counted, for it is asked often, and there may be very many.
    waiting: usize,
}

#[derive(Debug)]
struct Posted {
    digest: Digest,
    /// A 2xx, and the id that came with it, if one did.
    promised: Option<Option<String>>,
    refused: Option<u16>,
    arrivals: Vec<Arrival>,
}

/// One request as the target saw it.
#[derive(Debug, Clone)]
pub struct Arrival {
    /// At whose door it came.
    pub door: String,
    /// The SHA-256 of the body.
    pub digest: Digest,
    /// The id that it came with.
    pub event_id: String,
    /// The status that it was answered with; none if it was not answered.
    pub status: Option<u16>,
    /// Its place among all arrivals.
    at: u64,
}

impl Arrival {
    /// One that comes now.
    #[must_use]
    pub fn new(door: &str, digest: Digest, event_id: &str, status: Option<u16>) -> Self {
        let (door, event_id) = (door.to_owned(), event_id.to_owned());
        Self { door, digest, event_id, status, at: 0 }
    }

    fn was_taken(&self) -> bool {
        self.status.is_some_and(|status| (200..300).contains(&status))
    }
}

impl Posted {
    /// Whether it was promised and has not been taken by the target.
    fn waits(&self) -> bool {
        self.promised.is_some() && !self.arrivals.iter().any(Arrival::was_taken)
    }
}

impl Pages {
    /// Takes something down of a posted event; `false` when nothing like it was posted.
    fn change(&mut self, mark: &Mark, take_down: impl FnOnce(&mut Posted)) -> bool {
        let Some(posted) = self.posted.get_mut(mark) else { return false };
        let before = posted.waits();
        take_down(posted);
        self.waiting = self.waiting + usize::from(posted.waits()) - usize::from(before);
        true
    }
}

impl Ledger {
    /// An event is about to be posted; once only.
    pub fn posts(&self, mark: &Mark, digest: Digest) {
        let (promised, refused, arrivals) = (None, None, Vec::new());
        let posted = Posted { digest, promised, refused, arrivals };
        self.lock().posted.insert(mark.clone(), posted);
    }

    /// Its provider was answered, with this id if any.
    pub fn answered(&self, mark: &Mark, status: u16, event_id: Option<String>) {
        self.lock().change(mark, |posted| match status {
            200..300 => posted.promised = Some(event_id),
            _ => posted.refused = Some(status),
        });
    }

    /// A request came to the target, saying that it is this.
    pub fn arrives(&self, said: &str, mut arrival: Arrival) {
        let mut pages = self.lock();
        pages.arrived += 1;
        arrival.at = pages.arrived;
        let mark: Option<Mark> = said.parse().ok();
        if !mark.is_some_and(|mark| pages.change(&mark, |posted| posted.arrivals.push(arrival))) {
            pages.unknown.push(said.to_owned());
        }
    }

    /// How many events were promised and have not been taken by the target.
    #[must_use]
    pub fn outstanding(&self) -> usize {
        self.lock().waiting
    }

    /// How many events were promised.
    #[must_use]
    pub fn promised(&self) -> usize {
        self.lock().posted.values().filter(|posted| posted.promised.is_some()).count()
    }

    /// How many events were refused with this status.
    #[must_use]
    pub fn refused(&self, status: u16) -> usize {
        self.lock().posted.values().filter(|posted| posted.refused == Some(status)).count()
    }

    /// How often anything arrived at the target.
    #[must_use]
    pub fn arrived(&self) -> u64 {
        self.lock().arrived
    }

    /// Checks the one end against the other.
    #[must_use]
    pub fn check(&self) -> Verdict {
        let pages = self.lock();
        let mut verdict = Verdict { posted: pages.posted.len(), ..Verdict::default() };
        verdict.corrupt.extend(pages.unknown.iter().map(|said| format!("nobody posted {said}")));
        let mut streams: BTreeMap<(&str, u32), Vec<(u32, u64)>> = BTreeMap::new();
        for (mark, posted) in &pages.posted {
            verdict.look_at(mark, posted);
            if let Some(first) =
                posted.arrivals.iter().filter(|a| a.was_taken()).map(|a| a.at).min()
            {
                let stream = streams.entry((&mark.endpoint, mark.stream)).or_default();
                stream.push((mark.seq, first));
            }
        }
        for ((endpoint, stream), mut events) in streams {
            events.sort_unstable();
            let late = events.windows(2).filter(|pair| pair[0].1 > pair[1].1);
            let told = |pair: &[(u32, u64)]| format!("{endpoint}/{stream}/{} came late", pair[0].0);
            verdict.reordered.extend(late.map(told));
        }
        verdict
    }

    fn lock(&self) -> MutexGuard<'_, Pages> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the check has found.
#[derive(Debug, Clone, Default)]
pub struct Verdict {
    /// How many events were posted.
    pub posted: usize,
    /// How many of them were promised by a 2xx.
    pub promised: usize,
    /// How many the target has taken.
    pub delivered: usize,
    /// How many of those were taken again, with the same id.
    pub duplicates: usize,
    /// Promised and never taken.
    pub lost: Vec<String>,
    /// Came with another body than was sent, or were never sent.
    pub corrupt: Vec<String>,
    /// Came to another endpoint's door.
    pub misdirected: Vec<String>,
    /// Came under more than one id, or another than was promised.
    pub renamed: Vec<String>,
    /// Came first after a later one of their stream.
    pub reordered: Vec<String>,
}

impl Verdict {
    fn look_at(&mut self, mark: &Mark, posted: &Posted) {
        let at_home = |arrival: &&Arrival| arrival.door == mark.endpoint;
        let whole = |arrival: &&Arrival| arrival.digest == posted.digest;
        let arrivals = &posted.arrivals;
        let good = arrivals.iter().filter(at_home).filter(whole).filter(|a| a.was_taken()).count();
        self.delivered += usize::from(good > 0);
        self.duplicates += good.saturating_sub(1);
        if let Some(id) = &posted.promised {
            self.promised += 1;
            if good == 0 {
                self.lost.push(mark.to_string());
            }
            let others =
                arrivals.iter().filter(|a| id.as_ref().is_some_and(|id| *id != a.event_id));
            self.renamed.extend(others.map(|a| format!("{mark} came as {}", a.event_id)));
        }
        self.corrupt.extend(arrivals.iter().filter(|a| !whole(a)).map(|_| mark.to_string()));
        let astray = arrivals.iter().filter(|a| !at_home(a));
        self.misdirected.extend(astray.map(|a| format!("{mark} came to {}", a.door)));
        let again = arrivals.iter().skip(1).filter(|a| a.event_id != arrivals[0].event_id);
        self.renamed.extend(again.map(|a| format!("{mark} came as {} too", a.event_id)));
    }

    /// Whether everything promised was kept; order is a promise of its own.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        let faults = [&self.lost, &self.corrupt, &self.misdirected, &self.renamed];
        faults.iter().all(|found| found.is_empty())
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { posted, promised, delivered, duplicates, .. } = self;
        write!(f, "{posted} posted, {promised} promised, {delivered} delivered: ")?;
        let faults = [
            ("lost", &self.lost),
            ("corrupt", &self.corrupt),
            ("misdirected", &self.misdirected),
            ("renamed", &self.renamed),
        ];
        for (name, found) in faults {
            write!(f, "{} {name}", found.len())?;
            if !found.is_empty() {
                write!(f, " ({})", found[..found.len().min(SHOWN)].join(", "))?;
            }
            f.write_str(", ")?;
        }
        write!(f, "{duplicates} duplicates, {} reordered", self.reordered.len())
    }
}
