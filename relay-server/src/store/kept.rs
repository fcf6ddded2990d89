//! What the relay keeps for itself: bytes by name, such as its own certificate. What they mean is not known here.

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
}
