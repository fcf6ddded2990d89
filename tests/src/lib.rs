//! The words that the stories in `it/` are told with: real sockets, real processes, nothing simulated but the network.
//!
//! - [`relay`]: a relay in this process or as the real program · [`agent`]: an agent likewise · [`wire`]: an agent by
//!   hand, frame by frame
//! - [`provider`]: who sends webhooks · [`target`]: who gets them · [`raw`]: what both of them really say
//! - [`clock`]: the wall clock below a relay, to be set
//! - [`http2`]: a provider that speaks HTTP/2 · [`frames`]: the same by hand, frame by frame
//! - [`authority`]: who certifies what the story trusts
//! - [`pebble`]: a real ACME server
//! - [`tamper`]: the disk below a relay, slow or failing
//! - [`mod@line`]: the network between two of them, to be cut, slowed, delayed, frozen · [`tls`]: TLS in front of a relay
//! - [`interception`]: a proxy that opens TLS · [`black_hole`]: an address that is dead
//! - [`place`]: a port that stays one's own
//! - [`proxy`]: real proxies between an agent and its relay
//! - [`load`], [`fast_target`], [`cost`]: what the benchmarks are told with
//! - [`ledger`]: what the store of a relay has written down
//! - [`shelf`]: a store by itself
//! - [`vector`]: requests of providers that are on record · [`wall`]: a clock that can be set
//! - [`chaos`]: everything broken on purpose, and ledgers that tell whether anything was lost
//! - [`journey`]: all of it put together · [`process`], [`folder`], [`wait`]: what the words are made of
//!
//! A word panics when the world is not as it says; the stories need no error handling of their own.

pub mod agent;
pub mod authority;
pub mod black_hole;
pub mod chaos;
pub mod clock;
pub mod cost;
pub mod fast_target;
pub mod folder;
pub mod frames;
pub mod http2;
pub mod interception;
pub mod journey;
pub mod ledger;
pub mod line;
pub mod load;
pub mod pebble;
pub mod place;
pub mod process;
pub mod provider;
pub mod proxy;
pub mod raw;
pub mod relay;
pub mod shelf;
pub mod tamper;
pub mod target;
pub mod tls;
pub mod vector;
pub mod wait;
pub mod wall;
pub mod wire;
