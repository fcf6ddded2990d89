//! What a transaction has written, as long as it is open.

use super::super::super::StoreError;
use super::super::super::records::Settlement;
use super::super::batch::Answer;
use super::super::bundle::Bundled;
use super::super::insert::Inserted;
use super::super::ops::Work;

/// Who is to be told of a transaction, and what is tried again if it fails.
#[derive(Default)]
pub(super) struct Written {
    pub(super) inserted: Inserted,
    pub(super) flushes: Vec<Answer<()>>,
    pub(super) works: Vec<Box<dyn Work>>,
    pub(super) settlements: Vec<Settlement>,
    pub(super) bundled: Vec<Bundled>,
}

impl Written {
    pub(super) fn is_empty(&self) -> bool {
        self.inserted.is_empty()
            && self.flushes.is_empty()
            && self.works.is_empty()
            && self.settlements.is_empty()
            && self.bundled.is_empty()
    }

    pub(super) fn answer(self, committed: &Result<(), StoreError>) {
        if committed.is_ok() {
            self.inserted.files.iter().for_each(|file| file.belongs_to_a_row());
        }
        for (answer, verdict) in self.inserted.told {
            let _ = answer.send(committed.clone().and(verdict));
        }
        for answer in self.flushes {
            let _ = answer.send(committed.clone());
        }
        for work in self.works {
            work.answer(committed.clone());
        }
    }
}
