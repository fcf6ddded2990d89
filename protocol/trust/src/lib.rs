//! Who may have sent a webhook. Pure: no sockets, no tasks, no clock, no files.
//!
//! A [`Profile`] says as data how a provider signs, what it wants to hear when a URL is registered, where its event ids
//! are and how it behaves; [`Profiles`] are the embedded table (`providers.toml`) and the user's own rows. A verifier
//! takes a profile, a [`Request`] as it was received, byte for byte, the [`Keys`] of the endpoint and the time, and
//! gives a [`Finding`].
//!
//! - [`profile`]: the table, its schema and its mistakes; `PROFILES.md` beside this crate tells it to people
//! - [`request`], [`secret`], [`finding`]: what goes in and what comes out
//! - [`verify()`]: what makes the one of the other; [`handshake()`]: what is answered before there are events
//! - [`explain()`]: why something is not good, for people
//! - [`standard`]: how a relay signs anew
//! - `selector`, `template`: the small languages of the table; `json` and `form` read bodies for them
//!
//! ```
//! use std::collections::BTreeMap;
//! use relay_trust::{Certificates, Keys, Profiles, Request, Secret, State, verify};
//!
//! let params = BTreeMap::new();
//! let profiles = Profiles::embedded();
//! let github = profiles.get("github").expect("a row of the table").fit(&params)?;
//! let headers: [(&[u8], &[u8]); 1] = [(
//!     b"X-Hub-Signature-256",
//!     b"sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17",
//! )];
//! let url = b"https://relay.example.com/hooks/ci-abc";
//! let request = Request { method: "POST", url, headers: &headers, body: b"Hello, World!" };
//! let secrets = [Secret::new("It's a Secret to Everybody")];
//! let keys = Keys { secrets: &secrets, params: &params, tolerance_s: None };
//! let found = verify(&github, &request, &keys, &Certificates::new(), 1_764_000_000_000);
//! assert_eq!(found.map(|found| found.state), Ok(State::Verified));
//! # Ok::<(), String>(())
//! ```

mod encoding;
pub mod explain;
pub mod finding;
mod form;
pub mod handshake;
mod json;
pub mod profile;
mod reading;
pub mod request;
pub mod secret;
mod selector;
pub mod standard;
mod template;
mod verify;

pub use explain::explain;
pub use finding::{Finding, NeedsCertificate, Reason, State};
pub use handshake::{Answer, Keep, handshake};
pub use profile::{Profile, ProfileError, Profiles};
pub use request::{Certificates, Keys, Request};
pub use secret::Secret;
pub use verify::verify;
