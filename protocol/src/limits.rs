//! Every bound of the wire, with its unit and its reason. Both sides check them; nothing else decides a size.

use std::time::Duration;

/// The longest frame, in bytes: one frame is one WebSocket message, and a small one never waits long behind it.
pub const FRAME_MAX: usize = 64 * 1024;

/// The most body bytes in one DATA frame. Small, so that other streams and control frames get their turn.
pub const DATA_MAX: usize = 32 * 1024;

/// The most body bytes that ride inside OPEN or ANSWER, so that a small event is one frame each way.
pub const INLINE_MAX: usize = 16 * 1024;

/// The longest header block, in encoded bytes; with [`INLINE_MAX`] spent elsewhere it still fits in one frame.
pub const FIELDS_MAX: usize = 61 * 1024;

/// The most header fields in one block: a bound on work, above hyper's own 100.
pub const FIELD_COUNT_MAX: usize = 512;

/// The longest method, in bytes. The longest registered one has 17.
pub const METHOD_MAX: usize = 64;

/// The longest path with its query, in bytes (RFC 9112 §3 asks for at least 8,000).
pub const PATH_MAX: usize = 16 * 1024;

/// The longest explanation in REFUSE, RESET and GOAWAY, in bytes: a sentence for a log, not a document.
pub const DETAIL_MAX: usize = 512;

/// The longest HELLO, WELCOME or RENEW, in bytes.
pub const HELLO_MAX: usize = FRAME_MAX;

/// The most endpoint-and-group pairs that one agent may ask for on one line.
pub const SUBSCRIPTIONS_MAX: usize = 256;

/// The longest instance id, in bytes.
pub const INSTANCE_MAX: usize = 64;

/// The longest token that RENEW may carry, in bytes.
pub const TOKEN_MAX: usize = 256;

/// The most streams on one line at a time, unless HELLO asks for fewer.
pub const STREAMS_MAX: u32 = 256;

/// What one stream may send before the other side has taken anything, in bytes.
pub const STREAM_CREDIT: u32 = 256 * 1024;

/// How far a stream's credit grows for a receiver that keeps up, in bytes: 4 MiB fill 100 Mbit/s at 300 ms.
pub const STREAM_CREDIT_MAX: u32 = 4 * 1024 * 1024;

/// What all streams of a line together may have under way, in bytes: the memory that a line can cost.
pub const LINE_CREDIT: u32 = 16 * 1024 * 1024;

/// Credit beyond this is a fault of the sender, as in RFC 9113 §6.9.1.
pub const CREDIT_LIMIT: u64 = (1 << 31) - 1;

/// How many body bytes may wait in a line for its socket, in bytes. A control frame never waits for more.
pub const OUTBOX_MAX: usize = 128 * 1024;

/// How many control frames may wait for a socket: a peer that provokes answers and reads none is cut off.
pub const CONTROL_QUEUE_MAX: usize = 4 * 1024;

/// How long the first frame of a line may take to come.
pub const HELLO_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a line may be quiet before a PING is sent; every line takes this ± 20 %.
pub const HEARTBEAT: Duration = Duration::from_secs(15);

/// How long a line may be quiet before it is dead.
pub const DEAD_AFTER: Duration = Duration::from_secs(40);

/// The longest time that a relay may let a line be quiet: a day. Beyond it a clock could run over.
pub const DEAD_AFTER_MAX: Duration = Duration::from_secs(24 * 60 * 60);

const _: () = assert!(INLINE_MAX <= DATA_MAX && DATA_MAX < FRAME_MAX);
const _: () = assert!(FIELDS_MAX + 64 < FRAME_MAX);
const _: () = assert!(STREAM_CREDIT as usize >= DATA_MAX && STREAM_CREDIT_MAX < LINE_CREDIT);
