//! The wall clock of a relay, to be set by hours. The steady clock stays true, as it does when somebody sets a machine's.

use std::path::{Path, PathBuf};

use crate::relay::Relay;

/// Where Debian's package `faketime` has its library.
const LIBRARIES: [&str; 2] = [
    "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1",
    "/usr/lib/aarch64-linux-gnu/faketime/libfaketime.so.1",
];

/// What makes the library look at its file each time, and leave the steady clock alone.
const HOW: [&str; 3] =
    ["FAKETIME_NO_CACHE=1", "FAKETIME_DONT_FAKE_MONOTONIC=1", "DONT_FAKE_MONOTONIC=1"];

/// The wall clock of one relay.
#[derive(Debug)]
pub struct WallClock(PathBuf);

impl WallClock {
    /// The clock of this relay, a program, which is started anew under it.
    ///
    /// # Errors
    /// Why this cannot be done here.
    pub async fn of(relay: &mut Relay) -> Result<Self, String> {
        let library = LIBRARIES.iter().find(|path| Path::new(path).exists());
        let library = library.ok_or("libfaketime is not installed")?;
        relay.stop().await;
        let clock = Self(relay.data.file("clock", "+0"));
        relay.under = ["env", &format!("LD_PRELOAD={library}")].map(str::to_owned).to_vec();
        relay.under.push(format!("FAKETIME_TIMESTAMP_FILE={}", clock.0.display()));
        relay.under.extend(HOW.map(str::to_owned));
        relay.resume_program().await;
        Ok(clock)
    }

    /// Sets it so far from the true time: `+2h`, `-30m`, `+0`.
    ///
    /// # Panics
    /// When the disk does not take it.
    pub fn set(&self, to: &str) {
        // Renamed into its place: it is read at any moment.
        let part = self.0.with_extension("part");
        std::fs::write(&part, to).expect("the clock is set");
        std::fs::rename(&part, &self.0).expect("the clock is set");
    }
}
