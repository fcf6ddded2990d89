//! The durable record and its verbs. SQL ends here.
//!
//! What must survive goes through one writer that commits in groups; what is only looked at is read beside it. A verb's
//! promise is durable when it has returned, unless its name says that it is only noted.

mod ids;
mod kept;
pub mod records;
mod replays;
mod seen;
pub mod spool;
mod sqlite;
mod sums;
mod tokens;
pub mod upkeep;

use std::path::Path;
use std::sync::Arc;

use relay_protocol::id::{EventId, Name};
use relay_trust::Profiles;
use tokio::sync::{Notify, oneshot};

use crate::endpoint::{Endpoint, EndpointId};
use ids::Ids;
use records::{
    Acceptance, Act, Actor, Change, Due, Keep, NewEndpoint, OldKey, Promise, Receipt, SealedSecret,
    SecretChange, Settlement, Standing, Want,
};
pub use replays::REPLAY_STEP_MAX;
pub use seen::Feed;
use spool::Spool;
use sqlite::{Answer, Op, Reader, Urgency, Writer};
use upkeep::{BackupError, Report};

/// Why the store did not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The disk is full or failing; nothing was done. It recovers by itself.
    #[error("the store is unavailable: {0}")]
    Unavailable(String),
    /// More is waiting to be written than may wait.
    #[error("the store cannot keep up")]
    Overloaded,
    /// The name or key is taken.
    #[error("{0} exists already")]
    Exists(String),
    /// There is no such thing.
    #[error("no {0}")]
    NotFound(String),
    /// As much waits for the endpoint as may.
    #[error("the endpoint's queue is full")]
    QueueFull,
    /// What was asked for makes no sense, for this reason.
    #[error("{0}")]
    Refused(String),
}

/// Why a store did not open.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// There is none.
    #[error("there is no store in {0}; make one with: relay-server init --data {0}")]
    Missing(String),
    /// There is one already.
    #[error("there is a store in {0} already")]
    Exists(String),
    /// Another process has it.
    #[error("the store in {0} is in use by another process")]
    InUse(String),
    /// A network file system, whose locks and syncs are not to be trusted with the one copy of an event.
    #[error("{0} is on a network file system ({1}); the store needs a local disk")]
    NetworkFileSystem(String, &'static str),
    /// Made by a later version of this program.
    #[error(
        "the store in {0} has schema version {1}, made by a later relay-server; this one knows {2}"
    )]
    TooNew(String, i64, i64),
    /// The database does not open or is damaged.
    #[error("the store in {0} does not open: {1}")]
    Broken(String, String),
}

/// The store.
#[derive(Debug)]
pub struct Store {
    writer: Writer,
    reader: Reader,
    spool: Arc<Spool>,
    instance: String,
    ids: Ids,
    profiles: Arc<Profiles>,
}

impl Store {
    /// Makes a new, empty store in a directory, which may exist.
    ///
    /// # Errors
    /// [`OpenError::Exists`] when there is one already; others say why none could be made.
    pub fn init(data: &Path) -> Result<Self, OpenError> {
        sqlite::create(data)?;
        Self::open(data)
    }

    /// Opens the store in a directory, bringing an older one up to date.
    ///
    /// # Errors
    /// [`OpenError`] says why it cannot be used.
    pub fn open(data: &Path) -> Result<Self, OpenError> {
        let spool = Spool::open(data)
            .map_err(|e| OpenError::Broken(data.display().to_string(), e.to_string()))?;
        let spool = Arc::new(spool);
        let sqlite::Opened { writer, reader, instance, newest } = sqlite::open(data, &spool)?;
        let (ids, profiles) = (Ids::after(newest), Profiles::embedded());
        Ok(Self { writer, reader, spool, instance, ids, profiles })
    }

    /// The same store, in which endpoints may be of these providers too.
    #[must_use]
    pub fn with_profiles(self, profiles: Arc<Profiles>) -> Self {
        Self { profiles, ..self }
    }

    /// The store's own id, chosen once when it was made: the relay's name in `Via`.
    #[must_use]
    pub fn instance(&self) -> &str {
        &self.instance
    }

    /// An id for a new event, greater than every id before it.
    #[must_use]
    pub fn new_id(&self) -> EventId {
        self.ids.next()
    }

    /// Where large bodies go.
    #[must_use]
    pub fn spool(&self) -> &Arc<Spool> {
        &self.spool
    }

    /// Whether writes succeed, as far as is known.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] with the reason.
    pub fn health(&self) -> Result<(), StoreError> {
        self.writer.health()
    }

    /// Waits until the store is not far behind with what it was given, for up to 2 s: before an event is taken that is then
    /// [noted](Self::note), so that who brings too many is slowed down.
    ///
    /// # Errors
    /// [`StoreError::Overloaded`] when it stays so far behind.
    pub async fn room(&self) -> Result<(), StoreError> {
        self.writer.room().await
    }

    /// Notes an event that somebody else answers for; it is durable soon.
    ///
    /// # Errors
    /// When the store is unavailable or has too much to write.
    pub fn note(&self, acceptance: Acceptance) -> Result<(), StoreError> {
        self.writer.submit(Op::Note(Box::new(acceptance)), Urgency::Lazy)
    }

    /// Notes an event that is whole only now; it is durable soon. It was let in by [`room`](Self::room) when it came, so that
    /// it is taken however much waits by now.
    ///
    /// # Errors
    /// When the store is unavailable.
    pub fn note_late(&self, acceptance: Acceptance) -> Result<(), StoreError> {
        self.writer.submit_late(acceptance)
    }

    /// Notes an event whose live delivery is over, which costs less than to note it and to settle it; it is durable soon, or
    /// when the store is well again. It was let in by [`room`](Self::room) when it came.
    ///
    /// # Errors
    /// When the store is unavailable and as much waits for it as may.
    pub fn note_over(
        &self,
        acceptance: Acceptance,
        settlement: Settlement,
    ) -> Result<(), StoreError> {
        self.writer.submit_over(acceptance, settlement)
    }

    /// Keeps an event; it is durable when this returns.
    ///
    /// # Errors
    /// When the store is unavailable or has too much to write, when the endpoint's queue is full, or when there is no
    /// such endpoint any more. Nothing is kept then.
    pub async fn accept(&self, acceptance: Acceptance) -> Result<Receipt, StoreError> {
        self.ask(|answer| Op::Accept(Box::new(acceptance), answer), Urgency::Prompt).await
    }

    /// Promises a live delivery after all; it is durable when this returns.
    ///
    /// # Errors
    /// As with [`accept`](Self::accept); the event is no longer live then, but failed or not there.
    pub async fn promise(&self, promise: Promise) -> Result<Receipt, StoreError> {
        self.ask(|answer| Op::Promise(promise, answer), Urgency::Prompt).await
    }

    /// Notes how an attempt ended. If it is lost, the lease expires and the event is delivered once more.
    pub fn settle(&self, settlement: Settlement) {
        self.writer.submit_settlements(vec![settlement]);
    }

    /// Notes how an attempt of several deliveries ended; all of them are seen settled, or none.
    pub fn settle_together(&self, settlements: Vec<Settlement>) {
        self.writer.submit_settlements(settlements);
    }

    /// Puts what is due into the asker's hands.
    ///
    /// # Errors
    /// When the store is unavailable or has too much to write.
    pub async fn lease(&self, want: Want) -> Result<Due, StoreError> {
        self.ask(|answer| Op::Lease(want, answer), Urgency::Lazy).await
    }

    /// How the first delivery of an event to `main` stands.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn standing(
        &self,
        endpoint: EndpointId,
        event: EventId,
    ) -> Result<Standing, StoreError> {
        self.reader.read(move |db| sqlite::standing::standing(db, endpoint, event)).await
    }

    /// Called whenever something in a queue has become due, or will be at a time not known before. One call is kept for
    /// who is not listening, so none is missed.
    #[must_use]
    pub fn due_signal(&self, endpoint: EndpointId, group: &Name) -> Arc<Notify> {
        self.writer.wakes().of((endpoint, group.clone()))
    }

    async fn ask<T>(
        &self,
        op: impl FnOnce(Answer<T>) -> Op,
        urgency: Urgency,
    ) -> Result<T, StoreError> {
        let (answer, done) = oneshot::channel();
        self.writer.submit(op(answer), urgency)?;
        done.await.unwrap_or_else(|_| Err(StoreError::Unavailable("the writer has ended".into())))
    }

    /// Every endpoint.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn endpoints(&self) -> Result<Vec<Endpoint>, StoreError> {
        let profiles = Arc::clone(&self.profiles);
        self.reader.read(move |db| sqlite::endpoints::all(db, &profiles)).await
    }

    /// Keeps a new endpoint.
    ///
    /// # Errors
    /// [`StoreError::Exists`] when its name or key is taken.
    pub async fn create_endpoint(
        &self,
        new: NewEndpoint,
        by: Actor,
    ) -> Result<Endpoint, StoreError> {
        let write = move |db: &_, _: &mut _| {
            let made = sqlite::endpoints::create(db, new)?;
            if let Ok(made) = &made {
                sqlite::audit::write(db, &Act::endpoint_created(by, made))?;
            }
            Ok(made)
        };
        self.writer.write(write).await
    }

    /// Changes an endpoint and gives it as it is now.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when there is none, [`StoreError::Refused`] when a setting makes no sense,
    /// [`StoreError::Exists`] when the key is taken.
    pub async fn change_endpoint(
        &self,
        id: EndpointId,
        change: Change,
        by: Actor,
    ) -> Result<Endpoint, StoreError> {
        let profiles = Arc::clone(&self.profiles);
        let write = move |db: &_, _: &mut _| {
            let Some(old) = sqlite::endpoints::by_id(db, id, &profiles)? else {
                return Ok(Err(StoreError::NotFound("such endpoint".into())));
            };
            let act = Act::endpoint_changed(by, &change, &old);
            let changed = sqlite::endpoints::change(db, old.clone(), change, &profiles)?;
            if let Ok(changed) = &changed {
                sqlite::audit::write(db, &act.with_settings(&old, changed))?;
            }
            Ok(changed)
        };
        self.writer.write(write).await
    }

    /// The keys that were rotated away.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn old_keys(&self) -> Result<Vec<OldKey>, StoreError> {
        self.reader.read(sqlite::endpoints::old_keys).await
    }

    /// Says what an endpoint keeps of what is over; until then, it keeps everything.
    pub fn set_retention(&self, id: EndpointId, keep: Keep) {
        self.writer.set_retention(id, Some(keep));
    }

    /// Deletes an endpoint; its events go bit by bit.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when there is none.
    pub async fn delete_endpoint(&self, id: EndpointId, by: Actor) -> Result<(), StoreError> {
        let profiles = Arc::clone(&self.profiles);
        let write = move |db: &_, books: &mut _| {
            let Some(old) = sqlite::endpoints::by_id(db, id, &profiles)? else {
                return Ok(Err(StoreError::NotFound("such endpoint".into())));
            };
            let act = Act::new(by, "endpoint.deleted", old.name.as_str());
            tokens::told(db, sqlite::endpoints::delete(db, books, id)?, &act)
        };
        self.writer.write(write).await?;
        self.writer.set_retention(id, None);
        Ok(())
    }

    /// Every secret, sealed as it is.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn secrets(&self) -> Result<Vec<SealedSecret>, StoreError> {
        self.reader.read(sqlite::secrets::all).await
    }

    /// Changes the secrets of an endpoint, and gives all that it has then.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when there is no such endpoint or secret, [`StoreError::Refused`] when there would be too
    /// many.
    pub async fn change_secrets(
        &self,
        endpoint: &Endpoint,
        change: SecretChange,
        by: Actor,
    ) -> Result<Vec<SealedSecret>, StoreError> {
        let (id, act) = (endpoint.id, Act::secret_changed(by, &change, &endpoint.name));
        let write = move |db: &_, _: &mut _| {
            tokens::told(db, sqlite::secrets::change(db, id, change)?, &act)
        };
        self.writer.write(write).await
    }

    /// What the key of this store has sealed, by which it is known again; none if there was no key yet.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn seal_check(&self) -> Result<Option<Vec<u8>>, StoreError> {
        self.reader.read(sqlite::secrets::check).await
    }

    /// Keeps what a key has sealed, by which it is known again.
    ///
    /// # Errors
    /// When the store is unavailable.
    pub async fn set_seal_check(&self, sealed: Vec<u8>) -> Result<(), StoreError> {
        self.writer.write(move |db, _| sqlite::secrets::set_check(db, &sealed)).await
    }

    /// Waits until everything submitted so far is durable.
    ///
    /// # Errors
    /// When the store is unavailable.
    pub async fn flush(&self) -> Result<(), StoreError> {
        self.ask(Op::Flush, Urgency::Prompt).await
    }
}
