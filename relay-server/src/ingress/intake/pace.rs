//! The patience with one body: how long it may stand still, and how slow it may be in all.

use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body as _, Frame};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::time::{Instant, timeout_at};

use crate::problem::{Code, Problem};

/// How long a body may stand still.
const STALL: Duration = Duration::from_secs(20);

/// How long a body may be slower than [`RATE_MIN`] in all.
const GRACE: Duration = Duration::from_secs(10);

/// The slowest body, in bytes a second: a modem's speed, and far above a slowloris.
const RATE_MIN: f64 = 1024.0;

/// The patience with one body.
#[derive(Default)]
pub(super) struct Pace {
    /// Since when it was waited for; never for a body that was there at once.
    since: Option<Instant>,
    length: usize,
}

impl Pace {
    /// The next frame, if it comes in time.
    ///
    /// # Errors
    /// When it does not, or the body breaks off.
    pub(super) async fn frame(
        &mut self,
        body: &mut Incoming,
    ) -> Result<Option<Frame<Bytes>>, Problem> {
        let late = || Problem::new(Code::RequestTimeout, "the body did not come in time").closing();
        let broke =
            |_| Problem::new(Code::BadRequest, "the body broke off or is badly framed").closing();
        let there =
            std::future::poll_fn(|cx| Poll::Ready(Pin::new(&mut *body).poll_frame(cx))).await;
        let frame = match there {
            Poll::Ready(frame) => frame,
            Poll::Pending => timeout_at(self.deadline(), body.frame()).await.map_err(|_| late())?,
        };
        let frame = frame.transpose().map_err(broke)?;
        if let Some(bytes) = frame.as_ref().and_then(|frame| frame.data_ref()) {
            self.length += bytes.len();
        }
        Ok(frame)
    }

    fn deadline(&mut self) -> Instant {
        let now = Instant::now();
        let allowed = GRACE + Duration::from_secs_f64(self.length as f64 / RATE_MIN);
        (now + STALL).min(*self.since.get_or_insert(now) + allowed)
    }
}
