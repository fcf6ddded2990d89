//! The relay's own errors, in one place: each code's status, and the answer that says it (RFC 9457).
//!
//! What goes out is polite and bounded; what went wrong inside is for the log. A target's own answer never comes through
//! here, and never carries the header that marks these.

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONNECTION, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderName, HeaderValue, Response, StatusCode};
use relay_protocol::reason::Dispatched;
use serde::Serialize;

/// Marks an answer that the relay gives itself, with the code.
pub const ERROR_HEADER: HeaderName = HeaderName::from_static("webhook-relay-error");

macro_rules! codes {
    ($($(#[$doc:meta])* $variant:ident = $name:literal $status:literal $dispatched:ident $retry:expr,)*) => {
        /// What went wrong, as the outside knows it.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Code { $($(#[$doc])* $variant,)* }

        impl Code {
            /// Every code.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// Its name.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// Its HTTP status.
            #[must_use]
            pub const fn status(self) -> u16 {
                match self { $(Self::$variant => $status,)* }
            }

            /// Whether the target may have seen the request.
            #[must_use]
            pub const fn dispatched(self) -> Dispatched {
                match self { $(Self::$variant => Dispatched::$dispatched,)* }
            }

            /// After how many seconds it makes sense to try again, if it does.
            #[must_use]
            pub const fn retry_after(self) -> Option<u32> {
                match self { $(Self::$variant => $retry,)* }
            }
        }
    };
}

codes! {
    /// No endpoint has this key.
    UnknownEndpoint = "unknown_endpoint" 404 No None,
    /// No token, or one that is not accepted.
    Unauthorized = "unauthorized" 401 No None,
    /// Nothing proves that the provider has sent it.
    SignatureInvalid = "signature_invalid" 401 No None,
    /// The endpoint takes nothing from this address.
    AddressNotAllowed = "address_not_allowed" 403 No None,
    /// More than the endpoint, or the relay, takes in the time.
    RateLimited = "rate_limited" 429 No Some(1),
    /// The body is above the endpoint's bound.
    BodyTooLarge = "body_too_large" 413 No None,
    /// The header fields are above the bound.
    HeadersTooLarge = "headers_too_large" 431 No None,
    /// The request target is above the bound.
    UriTooLong = "uri_too_long" 414 No None,
    /// The request did not come in time.
    RequestTimeout = "request_timeout" 408 No None,
    /// No agent serves the endpoint.
    AgentOffline = "agent_offline" 503 No Some(10),
    /// Every agent has as much in hand as it may.
    AgentOverloaded = "agent_overloaded" 503 No Some(2),
    /// The relay has as much in hand as it may.
    RelayOverloaded = "relay_overloaded" 503 No Some(2),
    /// The relay is shutting down.
    RelayDraining = "relay_draining" 503 No Some(5),
    /// The store does not write.
    StoreUnavailable = "store_unavailable" 503 No Some(10),
    /// As much waits for the endpoint as may.
    QueueFull = "queue_full" 503 No Some(30),
    /// The target takes no connection.
    TargetRefused = "target_refused" 502 No Some(5),
    /// The target's name does not resolve.
    TargetDns = "target_dns" 502 No Some(5),
    /// No TLS with the target.
    TargetTls = "target_tls" 502 No Some(5),
    /// The path would leave the target's base path.
    PathNotAllowed = "path_not_allowed" 400 No None,
    /// The target's answer is none.
    TargetBadResponse = "target_bad_response" 502 Yes None,
    /// The line to the agent broke.
    LinkLost = "link_lost" 502 Maybe Some(2),
    /// The target gave no answer in time.
    TargetTimeout = "target_timeout" 504 Yes None,
    /// The agent gave no answer in time.
    AgentTimeout = "agent_timeout" 504 Maybe None,
    /// The request has come through this relay before.
    LoopDetected = "loop_detected" 508 No None,
    /// The request is malformed, or its method or framing is not served.
    BadRequest = "bad_request" 400 No None,
    /// The token does not allow it.
    NotAllowed = "not_allowed" 403 No None,
    /// It came in clear to where only TLS is served.
    HttpsRequired = "https_required" 403 No None,
    /// There is no such thing.
    NotFound = "not_found" 404 No None,
    /// The path is not served with this method.
    MethodNotAllowed = "method_not_allowed" 405 No None,
    /// It exists already.
    Conflict = "conflict" 409 No None,
    /// A fault in the relay.
    Internal = "internal" 500 Maybe None,
}

/// One refusal.
#[derive(Debug, Clone)]
pub struct Problem {
    /// What it is.
    pub code: Code,
    /// In words, fit for strangers.
    pub detail: String,
    /// Whether the target may have seen the request; usually the code's own.
    pub dispatched: Dispatched,
    /// After how many seconds it makes sense to try again, if it does; usually the code's own.
    pub retry_after: Option<u32>,
    /// Whether the connection is to be closed after it: the rest of the request was not read.
    pub close: bool,
}

/// RFC 9457, with the members of this product.
#[derive(Serialize)]
struct Document<'a> {
    r#type: &'static str,
    title: &'a str,
    status: u16,
    code: &'static str,
    detail: &'a str,
    request_id: &'a str,
    dispatched: &'static str,
}

impl Problem {
    /// A problem with this code and these words.
    #[must_use]
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        let (dispatched, retry_after) = (code.dispatched(), code.retry_after());
        Self { code, detail: detail.into(), dispatched, retry_after, close: false }
    }

    /// The same, closing the connection.
    #[must_use]
    pub fn closing(self) -> Self {
        Self { close: true, ..self }
    }

    /// The same, saying after how many seconds to come again.
    #[must_use]
    pub fn after(self, seconds: u32) -> Self {
        Self { retry_after: Some(seconds), ..self }
    }

    /// The answer. `request_id` finds the request again in the log.
    #[must_use]
    pub fn response(&self, request_id: &str) -> Response<Bytes> {
        let code = self.code;
        let document = Document {
            r#type: "about:blank",
            title: StatusCode::from_u16(code.status())
                .ok()
                .and_then(|s| s.canonical_reason())
                .unwrap_or(""),
            status: code.status(),
            code: code.as_str(),
            detail: &self.detail,
            request_id,
            dispatched: self.dispatched.as_str(),
        };
        let body = serde_json::to_vec(&document).expect("plain data serializes");
        let mut response = Response::new(Bytes::from(body));
        *response.status_mut() =
            StatusCode::from_u16(code.status()).expect("a status of the table");
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(ERROR_HEADER, HeaderValue::from_static(code.as_str()));
        if let Some(seconds) = self.retry_after {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        if self.close {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}

/// A fresh request id, for what never became an event.
#[must_use]
pub fn request_id() -> String {
    format!("req_{:016x}", fastrand::u64(..))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_says_what_the_table_says() {
        let response = Problem::new(Code::LinkLost, "the line broke").response("req_1");
        assert_eq!(response.status(), 502);
        assert_eq!(response.headers()[&ERROR_HEADER], "link_lost");
        assert_eq!(response.headers()[RETRY_AFTER], "2");
        let body: serde_json::Value = serde_json::from_slice(response.body()).unwrap();
        assert_eq!(body["dispatched"], "maybe");
        assert_eq!(body["request_id"], "req_1");
        assert_eq!(body["status"], 502);
    }

    #[test]
    fn every_503_says_when_to_come_back() {
        for code in Code::ALL.iter().filter(|code| code.status() == 503) {
            assert!(code.retry_after().is_some(), "{}", code.as_str());
        }
    }
}
