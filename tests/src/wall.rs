//! A wall clock for one program that a story sets, by libfaketime; the steady clock stays true.

use std::path::{Path, PathBuf};

use crate::folder::Folder;
use crate::relay::Relay;

/// Where Debian's package `faketime` has its library.
const LIBRARIES: [&str; 2] = [
    "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1",
    "/usr/lib/aarch64-linux-gnu/faketime/libfaketime.so.1",
];

/// A clock on the wall.
#[derive(Debug)]
pub struct Wall {
    library: &'static str,
    file: PathBuf,
    _folder: Folder,
}

impl Wall {
    /// A clock that goes right until it is set; `None`, said aloud, where there is no libfaketime.
    #[must_use]
    pub fn hung(story: &str) -> Option<Self> {
        let Some(library) = LIBRARIES.iter().find(|path| Path::new(path).exists()) else {
            println!("skipped, libfaketime is not installed: {story}");
            return None;
        };
        let folder = Folder::fresh();
        let file = folder.file("clock", "+0");
        Some(Self { library, file, _folder: folder })
    }

    /// Has a relay that is the real program start by this clock from now on.
    pub async fn over(&self, relay: &mut Relay) {
        relay.stop().await;
        relay.under = self.starter();
        relay.resume_program().await;
    }

    /// What starts a program by this clock.
    #[must_use]
    pub fn starter(&self) -> Vec<String> {
        let mut starter: Vec<String> =
            ["env", "TZ=UTC", &format!("LD_PRELOAD={}", self.library)].map(str::to_owned).into();
        starter.push(format!("FAKETIME_TIMESTAMP_FILE={}", self.file.display()));
        let how =
            ["FAKETIME_NO_CACHE=1", "FAKETIME_DONT_FAKE_MONOTONIC=1", "DONT_FAKE_MONOTONIC=1"];
        starter.extend(how.map(str::to_owned));
        starter
    }

    /// Stops the clock at this second of the Unix epoch.
    ///
    /// # Panics
    /// When its file cannot be written.
    pub fn stop_at(&self, unix_s: u64) {
        let at = format!("{}\n", relay_server::clock::civil(unix_s).replace('T', " "));
        self.set(&at);
    }

    /// Sets it ahead of the true time, as in `+25h`.
    ///
    /// # Panics
    /// When its file cannot be written.
    pub fn set(&self, to: &str) {
        // Renamed into its place: it is read at any moment.
        let part = self.file.with_extension("part");
        std::fs::write(&part, to).expect("the clock is set");
        std::fs::rename(&part, &self.file).expect("the clock is set");
    }
}
