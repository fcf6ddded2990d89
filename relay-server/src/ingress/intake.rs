//! Takes in a request's body: bounded in size and in patience, in memory while small, in a file when large.
//!
//! An [`Intake`] grows while it is read elsewhere, so that a large body is on its way to the target before it is whole,
//! and can be read again from its beginning by a second attempt.

mod pace;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::{Bytes, BytesMut};
use http_body::{Body as _, Frame};
use hyper::body::Incoming;
use relay_protocol::id::EventId;
use relay_protocol::webhook::Fields;
use tokio::sync::Notify;
use tokio::task::spawn_blocking;

use super::fields;
use crate::budget::{Budget, Held};
use crate::event::Body;
use crate::http::FIELDS_MAX;
use crate::problem::{Code, Problem};
use crate::store::spool::{SPOOL_ABOVE, Spool, Spooled};
use pace::Pace;

/// The longest trailer section, in bytes of names and values: far below what a line carries, as a head is.
const TRAILERS_MAX: usize = 16 * 1024;

/// How much is gathered before a body is passed on while it grows.
pub const GATHER: usize = 32 * 1024;

/// How much is read from a file at once.
const PIECE: usize = 256 * 1024;

/// The bounds of one body.
#[derive(Debug, Clone)]
pub struct Bounds {
    /// The longest body, in bytes.
    pub max: u64,
    /// Where memory is taken from.
    pub budget: Budget,
}

/// A body that was there at once.
#[derive(Debug)]
pub struct Whole {
    /// The bytes.
    pub bytes: Bytes,
    /// The trailers, usually none.
    pub trailers: Fields,
    /// The memory it takes.
    pub held: Option<Held>,
}

/// What came of the first look at a body.
pub enum FirstLook {
    /// It is whole.
    Whole(Whole),
    /// There is more to come.
    More {
        /// What has come.
        begun: Vec<Bytes>,
        /// Where the rest comes from.
        rest: Incoming,
    },
}

/// Refuses a body whose declared length is above the bound, before a byte of it is asked for.
///
/// # Errors
/// [`Code::BodyTooLarge`].
pub fn refuse_declared(body: &Incoming, max: u64) -> Result<(), Problem> {
    match body.size_hint().lower() {
        declared if declared > max => Err(too_large(max)),
        _ => Ok(()),
    }
}

/// Gathers a body that is small, or the beginning of one that is not.
///
/// # Errors
/// When it breaks off, stands still or is too large.
pub async fn first_look(
    mut body: Incoming,
    max: u64,
    budget: &Budget,
) -> Result<FirstLook, Problem> {
    if body.is_end_stream() {
        return Ok(FirstLook::Whole(Whole {
            bytes: Bytes::new(),
            trailers: Fields::default(),
            held: None,
        }));
    }
    let large = body.size_hint().lower() > GATHER as u64;
    let (mut begun, mut length) = (Vec::new(), 0);
    // Taken before the rest is waited for: whoever drips a body holds memory as well.
    let mut gathering = None;
    let mut pace = Pace::default();
    while !large && length <= GATHER {
        let Some(frame) = pace.frame(&mut body).await? else {
            return whole(begun, Fields::default(), budget, gathering);
        };
        match frame.into_data() {
            Ok(bytes) => {
                length += bytes.len();
                if length as u64 > max {
                    return Err(too_large(max));
                }
                begun.push(bytes);
                if body.is_end_stream() {
                    return whole(begun, Fields::default(), budget, gathering);
                }
                if gathering.is_none() {
                    gathering = Some(budget.take(GATHER).ok_or_else(overloaded)?);
                }
            }
            Err(frame) => {
                return whole(begun, trailers(frame)?, budget, gathering);
            }
        }
    }
    Ok(FirstLook::More { begun, rest: body })
}

fn whole(
    begun: Vec<Bytes>,
    trailers: Fields,
    budget: &Budget,
    gathering: Option<Held>,
) -> Result<FirstLook, Problem> {
    let bytes = join(begun);
    drop(gathering);
    let held = Some(budget.take(bytes.len()).ok_or_else(overloaded)?);
    Ok(FirstLook::Whole(Whole { bytes, trailers, held }))
}

/// The trailer section in the last frame of a body.
fn trailers(last: Frame<Bytes>) -> Result<Fields, Problem> {
    let Ok(map) = last.into_trailers() else { return Ok(Fields::default()) };
    let size: usize = map.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
    if map.len() > FIELDS_MAX || size > TRAILERS_MAX {
        let words = format!("the trailers are above {TRAILERS_MAX} bytes or {FIELDS_MAX} fields");
        return Err(Problem::new(Code::HeadersTooLarge, words).closing());
    }
    Ok(fields::trailers(&map))
}

fn join(mut parts: Vec<Bytes>) -> Bytes {
    if parts.len() == 1 {
        return parts.pop().unwrap_or_default();
    }
    let mut joined = BytesMut::with_capacity(parts.iter().map(Bytes::len).sum());
    parts.iter().for_each(|part| joined.extend_from_slice(part));
    joined.freeze()
}

/// A body that grows.
#[derive(Debug)]
pub struct Intake {
    event: EventId,
    spool: Arc<Spool>,
    bounds: Bounds,
    state: Mutex<State>,
    grown: Notify,
}

#[derive(Debug, Default)]
struct State {
    memory: BytesMut,
    file: Option<Arc<Spooled>>,
    held: Option<Held>,
    end: Option<Result<Fields, Problem>>,
}

/// The next piece of a growing body.
#[derive(Debug)]
pub enum Piece {
    /// Some bytes.
    Data(Bytes),
    /// That was all of it.
    End(Fields),
    /// It will never be whole.
    Broken,
}

impl Intake {
    /// A body of this event that has begun.
    #[must_use]
    pub fn new(event: EventId, spool: Arc<Spool>, bounds: Bounds) -> Arc<Self> {
        let (state, grown) = (Mutex::default(), Notify::new());
        Arc::new(Self { event, spool, bounds, state, grown })
    }

    /// Reads the rest of the body; completes when it is whole or broken.
    ///
    /// # Errors
    /// When it breaks off, stands still or is too large, or when the disk does not take it.
    pub async fn pull(&self, begun: Vec<Bytes>, body: Incoming) -> Result<(), Problem> {
        let pulled = self.pull_all(begun, body).await;
        let result = pulled.as_ref().map(|_| ()).map_err(Clone::clone);
        self.lock().end = Some(pulled);
        self.grown.notify_waiters();
        result
    }

    async fn pull_all(&self, begun: Vec<Bytes>, mut body: Incoming) -> Result<Fields, Problem> {
        let mut length = 0;
        for bytes in begun {
            self.grow(&mut length, bytes).await?;
        }
        let mut pace = Pace::default();
        while let Some(frame) = pace.frame(&mut body).await? {
            match frame.into_data() {
                Ok(bytes) => self.grow(&mut length, bytes).await?,
                Err(frame) => return trailers(frame),
            }
        }
        Ok(Fields::default())
    }

    async fn grow(&self, length: &mut u64, bytes: Bytes) -> Result<(), Problem> {
        *length += bytes.len() as u64;
        if *length > self.bounds.max {
            return Err(too_large(self.bounds.max));
        }
        let full = {
            let mut state = self.lock();
            if state.file.is_none() && state.held.is_none() {
                state.held = Some(self.bounds.budget.take(SPOOL_ABOVE).ok_or_else(overloaded)?);
            }
            if state.file.is_none() && state.memory.len() + bytes.len() <= SPOOL_ABOVE {
                state.memory.extend_from_slice(&bytes);
                None
            } else {
                Some((state.file.clone(), state.memory.clone().freeze()))
            }
        };
        if let Some((file, memory)) = full {
            self.append(file, memory, bytes).await.map_err(|error| {
                tracing::error!(event = %self.event, %error, "a body cannot be spooled");
                Problem::new(
                    Code::StoreUnavailable,
                    "the relay cannot take large bodies at the moment",
                )
                .closing()
            })?;
        }
        self.grown.notify_waiters();
        Ok(())
    }

    /// Writes to the file, beginning with what was in memory when there is none yet.
    async fn append(
        &self,
        file: Option<Arc<Spooled>>,
        memory: Bytes,
        bytes: Bytes,
    ) -> std::io::Result<()> {
        let (spool, event) = (Arc::clone(&self.spool), self.event);
        let written = spawn_blocking(move || {
            let file = match file {
                Some(file) => file,
                None => {
                    let file = Arc::new(spool.create(event)?);
                    file.append(&memory)?;
                    file
                }
            };
            file.append(&bytes)?;
            Ok::<_, std::io::Error>(file)
        });
        let file = written.await.map_err(std::io::Error::other)??;
        let mut state = self.lock();
        if state.file.replace(file).is_none() {
            state.memory = BytesMut::new();
            state.held = None;
        }
        Ok(())
    }

    /// The next piece from an offset, waiting for it.
    pub async fn piece(&self, at: u64) -> Piece {
        loop {
            let mut grown = std::pin::pin!(self.grown.notified());
            // Interest first, then the look: what grows in between is not missed.
            grown.as_mut().enable();
            let file = {
                let state = self.lock();
                let there =
                    state.file.as_ref().map_or(state.memory.len() as u64, |file| file.len());
                match (&state.file, &state.end) {
                    (_, Some(Err(_))) => return Piece::Broken,
                    (_, Some(Ok(trailers))) if at >= there => return Piece::End(trailers.clone()),
                    (_, None) if at >= there => None,
                    (Some(file), _) => Some(Arc::clone(file)),
                    (None, _) => {
                        let from = usize::try_from(at).expect("memory holds it");
                        return Piece::Data(Bytes::copy_from_slice(&state.memory[from..]));
                    }
                }
            };
            match file {
                Some(file) => {
                    let read = file.piece(at, PIECE).await;
                    return read.map_or(Piece::Broken, Piece::Data);
                }
                None => grown.await,
            }
        }
    }

    /// Waits for the end: the whole body with its trailers and the memory it takes, or nothing if it broke off.
    pub async fn finished(&self) -> Option<(Body, Fields, Option<Held>)> {
        loop {
            let mut grown = std::pin::pin!(self.grown.notified());
            grown.as_mut().enable();
            if let Some(end) = self.end() {
                return end;
            }
            grown.await;
        }
    }

    fn end(&self) -> Option<Option<(Body, Fields, Option<Held>)>> {
        let mut state = self.lock();
        let trailers = match state.end.as_ref()? {
            Ok(trailers) => trailers.clone(),
            Err(_) => return Some(None),
        };
        let body = match &state.file {
            Some(file) => Body::Spooled(Arc::clone(file)),
            None => Body::Memory(state.memory.clone().freeze()),
        };
        Some(Some((body, trailers, state.held.take())))
    }

    /// How many bytes have come.
    #[must_use]
    pub fn len(&self) -> u64 {
        let state = self.lock();
        state.file.as_ref().map_or(state.memory.len() as u64, |file| file.len())
    }

    /// Whether none have come.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn too_large(max: u64) -> Problem {
    Problem::new(Code::BodyTooLarge, format!("the body is above {max} bytes")).closing()
}

fn overloaded() -> Problem {
    Problem::new(Code::RelayOverloaded, "the relay has as many bytes in hand as it may").closing()
}
