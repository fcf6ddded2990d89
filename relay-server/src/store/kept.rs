//! What the relay keeps for itself: bytes by name, such as its own certificate; and how all that is sealed gets another
//! form. What it means is not known here.

use super::records::{Act, Actor, Resealed};
use super::{Store, StoreError, sqlite};

impl Store {
    /// What is kept by this name.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn kept(&self, name: &'static str) -> Result<Option<Vec<u8>>, StoreError> {
        self.reader.read(move |db| sqlite::kept::get(db, name)).await
    }

    /// Keeps bytes by a name, in place of what was kept by it.
    ///
    /// # Errors
    /// When the store is unavailable or has too much to write.
    pub async fn keep(&self, name: &'static str, value: Vec<u8>) -> Result<(), StoreError> {
        self.writer.write(move |db, _| sqlite::kept::put(db, name, &value)).await
    }

    /// Keeps bytes by a name, and nothing of what was kept by it, neither in the database nor in the log of its changes,
    /// unless a backup is just reading that: then it goes when the store is closed.
    ///
    /// # Errors
    /// As [`keep`](Self::keep).
    pub async fn keep_instead(&self, name: &'static str, value: Vec<u8>) -> Result<(), StoreError> {
        self.writer.write(move |db, _| sqlite::kept::put_over(db, name, &value)).await?;
        if let Err(error) = self.reader.alone(sqlite::upkeep::clear_log).await {
            tracing::warn!(%error, "the database's log is not cleared");
        }
        Ok(())
    }

    /// Keeps all that is sealed in another form, in one transaction.
    ///
    /// # Errors
    /// When the store is unavailable; nothing has changed then.
    pub async fn reseal(&self, anew: Resealed, by: Actor) -> Result<(), StoreError> {
        let act = Act::new(by, "secrets.resealed", "");
        let write = move |db: &_, _: &mut _| {
            sqlite::secrets::reseal(db, &anew)?;
            sqlite::audit::write(db, &act).map(Ok)
        };
        self.writer.write(write).await
    }

    /// Writes the whole database anew, so that nothing is left in it of what was overwritten or deleted. It needs as much
    /// room again, twice, and time; the relay does not run meanwhile.
    ///
    /// # Errors
    /// When there is no room for it; everything is as it was then.
    pub async fn write_anew(&self) -> Result<(), StoreError> {
        self.reader.alone(sqlite::upkeep::write_anew).await
    }
}
