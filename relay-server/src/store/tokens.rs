//! Tokens, and what those who hold them have changed.

use super::records::{Act, ActFilter, Actor, NewSecretOfToken, Noted, Token};
use super::{Store, StoreError, sqlite};

impl Store {
    /// Every token, revoked ones too.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn tokens(&self) -> Result<Vec<Token>, StoreError> {
        self.reader.read(sqlite::tokens::all).await
    }

    /// Keeps a new token.
    ///
    /// # Errors
    /// When the store is unavailable.
    pub async fn create_token(&self, token: Token, by: Actor) -> Result<(), StoreError> {
        let write = move |db: &_, _: &mut _| {
            sqlite::tokens::create(db, &token)?;
            sqlite::audit::write(db, &Act::token_created(by, &token)).map(Ok)
        };
        self.writer.write(write).await
    }

    /// Gives a token another secret.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when there is none, or it was revoked.
    pub async fn rotate_token(
        &self,
        id: String,
        new: NewSecretOfToken,
        by: Actor,
    ) -> Result<(), StoreError> {
        let until = Some(new.old_until_ms.to_string());
        let act = Act::new(by, "token.rotated", &id).with("old_secret_until_ms", until);
        self.writer.write(move |db, _| told(db, sqlite::tokens::rotate(db, &id, &new)?, &act)).await
    }

    /// Marks a token as revoked.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when there is none.
    pub async fn revoke_token(&self, id: String, at_ms: u64, by: Actor) -> Result<(), StoreError> {
        let act = Act::new(by, "token.revoked", &id);
        self.writer
            .write(move |db, _| told(db, sqlite::tokens::revoke(db, &id, at_ms)?, &act))
            .await
    }

    /// Notes when tokens were last shown, in milliseconds of the Unix epoch.
    ///
    /// # Errors
    /// When the store is unavailable.
    pub async fn note_uses(&self, uses: Vec<(String, u64)>) -> Result<(), StoreError> {
        self.writer.write(move |db, _| sqlite::tokens::used(db, &uses).map(Ok)).await
    }

    /// What was changed by whom: the newest of what the filter takes, at most `limit`.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn acts(&self, filter: ActFilter, limit: usize) -> Result<Vec<Noted>, StoreError> {
        self.reader.read(move |db| sqlite::audit::page(db, filter, limit)).await
    }

    /// Says how long it is kept who has changed what, in milliseconds; until then, for ever.
    pub fn set_audit_retention(&self, age_ms: u64) {
        self.writer.set_audit_retention(age_ms);
    }
}

/// Writes an act down if it was done.
pub(super) fn told<T>(
    db: &rusqlite::Connection,
    done: Result<T, StoreError>,
    act: &Act,
) -> rusqlite::Result<Result<T, StoreError>> {
    if done.is_ok() {
        sqlite::audit::write(db, act)?;
    }
    Ok(done)
}
