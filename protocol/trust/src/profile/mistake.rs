//! What is wrong with a table of profiles, each with its line.

use std::fmt;
use std::ops::Range;

/// One mistake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// The line, counted from 1.
    pub line: usize,
    /// What is wrong there.
    pub what: String,
}

/// A table of profiles has mistakes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct ProfileError {
    /// Each of them, in the order of their lines; at least one.
    pub mistakes: Vec<Mistake>,
}

impl ProfileError {
    /// The line of the first.
    #[must_use]
    pub fn line(&self) -> usize {
        self.mistakes.first().map_or(1, |mistake| mistake.line)
    }
}

impl fmt::Display for ProfileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, Mistake { line, what }) in self.mistakes.iter().enumerate() {
            let end = if at == 0 { "" } else { "\n" };
            write!(f, "{end}line {line}: {what}")?;
        }
        Ok(())
    }
}

/// Gathers mistakes in a text.
pub(super) struct Mistakes<'t> {
    text: &'t str,
    found: Vec<Mistake>,
}

impl<'t> Mistakes<'t> {
    pub(super) const fn new(text: &'t str) -> Self {
        Self { text, found: Vec::new() }
    }

    pub(super) fn add(&mut self, at: &Range<usize>, what: impl Into<String>) {
        let before = self.text.get(..at.start).unwrap_or_default();
        let line = 1 + before.matches('\n').count();
        self.found.push(Mistake { line, what: what.into() });
    }

    /// What the reader of TOML says.
    pub(super) fn add_toml(&mut self, error: &toml::de::Error, row: &Range<usize>) {
        let what = error.message().trim().replace('\n', " ");
        self.add(&error.span().unwrap_or_else(|| row.clone()), what);
    }

    pub(super) fn end(mut self) -> Result<(), ProfileError> {
        if self.found.is_empty() {
            return Ok(());
        }
        self.found.sort_by_key(|mistake| mistake.line);
        Err(ProfileError { mistakes: self.found })
    }
}
