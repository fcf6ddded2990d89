//! The bodies of answers: there at once, still coming from a target, or from the API.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use crate::ingress::AnswerBody;

/// An answer's body.
#[derive(Debug)]
pub enum ResponseBody {
    /// All of it.
    Whole(Option<Bytes>),
    /// From a target, as it comes.
    Answer(Box<AnswerBody>),
    /// From the API.
    Api(axum::body::Body),
}

impl ResponseBody {
    /// A body that is there at once.
    #[must_use]
    pub fn whole(bytes: Bytes) -> Self {
        Self::Whole((!bytes.is_empty()).then_some(bytes))
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        match self.get_mut() {
            Self::Whole(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Self::Answer(answer) => Pin::new(answer.as_mut()).poll_frame(cx),
            Self::Api(body) => Pin::new(body).poll_frame(cx).map_err(std::io::Error::other),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(bytes) => bytes.is_none(),
            Self::Answer(_) => false,
            Self::Api(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(bytes) => {
                SizeHint::with_exact(bytes.as_ref().map_or(0, |b| b.len() as u64))
            }
            Self::Answer(_) => SizeHint::default(),
            Self::Api(body) => body.size_hint(),
        }
    }
}
