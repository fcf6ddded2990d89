//! An event for this room's tests.

use bytes::Bytes;
use relay_protocol::id::EventId;

use crate::endpoint::EndpointId;
use crate::event::{Head, Origin};

/// A POST with this path and these fields.
pub(super) fn head(path: &str, fields: &[(&str, &str)]) -> Head {
    Head {
        id: EventId::now(),
        endpoint: EndpointId(1),
        method: Bytes::from_static(b"POST"),
        path: Bytes::copy_from_slice(path.as_bytes()),
        fields: fields.iter().map(|(n, v)| (n.as_bytes(), v.as_bytes())).collect(),
        origin: Origin {
            remote: std::net::IpAddr::from([127, 0, 0, 1]).into(),
            https: true,
            version: "1.1",
        },
        checked: None,
    }
}
