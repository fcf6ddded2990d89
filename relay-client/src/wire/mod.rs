//! One line of the protocol over one WebSocket, driven by tokio. Both ends use it: the agent's link, the relay's session.
//!
//! [`Carrier`] is the line that its streams and its driver share; [`drive`] moves bytes between it and the socket. It
//! knows nothing of endpoints, targets or stores.

mod bulk;
mod carrier;
mod driver;
mod inbox;
mod pipe;
mod shared;
mod stream;

pub use carrier::{Carrier, Event};
pub use driver::{Ended, drive};
pub use pipe::Pipe;
pub use stream::{Chunk, Gone, Heard, Stream};
