//! Bytes ⇄ frames. Every bound is checked before anything is allocated; all integers are big-endian.
//!
//! Decoding shares the message's memory: body and fields are slices of it. Unknown flag bits are ignored.

mod decode;
mod encode;

pub use decode::BadFrame;
pub use encode::TooLong;
pub(crate) use encode::{answer_room, open_room};

/// OPEN and ANSWER: the body in this frame is all of it.
const FLAG_END: u8 = 0b001;
/// OPEN: the body's length is known.
const FLAG_LENGTH: u8 = 0b010;
/// OPEN: an earlier attempt may have been answered unheard.
const FLAG_RESENT: u8 = 0b100;

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::prelude::*;

    use crate::frame::{Answered, Both, GoAway, Open, Refuse, Reset, ToAgent, ToRelay};
    use crate::id::{EventId, StreamId};
    use crate::limits::{DATA_MAX, FRAME_MAX};
    use crate::reason::{Broken, Dispatched, Leaving, Refusal};
    use crate::webhook::{Answer, Fields, Request};

    fn bytes(most: usize) -> impl Strategy<Value = Bytes> {
        prop::collection::vec(any::<u8>(), 0..most).prop_map(Bytes::from)
    }

    fn fields() -> impl Strategy<Value = Fields> {
        let part = |least| prop::collection::vec(any::<u8>(), least..30);
        prop::collection::vec((part(1), part(0)), 0..10)
            .prop_map(|list| list.iter().map(|(n, v)| (&n[..], &v[..])).collect())
    }

    fn stream() -> impl Strategy<Value = StreamId> {
        (1..u64::MAX).prop_map(StreamId)
    }

    fn open() -> impl Strategy<Value = Open> {
        let head = (any::<[u8; 16]>(), any::<u32>(), any::<u16>(), any::<bool>(), any::<u32>());
        let rest =
            (fields(), prop::option::of(any::<u64>()), bytes(200), bytes(500), any::<bool>());
        (stream(), head, rest).prop_map(|(stream, head, (fields, length, path, body, end))| Open {
            stream,
            request: Request {
                event: EventId::from_bytes(head.0),
                attempt: head.1,
                subscription: head.2,
                resent: head.3,
                deadline_ms: head.4,
                method: Bytes::from_static(b"POST"),
                path,
                fields,
                length,
            },
            body,
            end,
        })
    }

    fn answered() -> impl Strategy<Value = Answered> {
        (stream(), 200u16..1000, fields(), bytes(500), any::<bool>()).prop_map(
            |(stream, status, fields, body, end)| Answered {
                stream,
                answer: Answer { status, fields },
                body,
                end,
            },
        )
    }

    fn both() -> impl Strategy<Value = Both> {
        let body = prop::collection::vec(any::<u8>(), 1..500).prop_map(Bytes::from);
        prop_oneof![
            (stream(), body).prop_map(|(stream, bytes)| Both::Data { stream, bytes }),
            (stream(), fields()).prop_map(|(stream, trailers)| Both::End { stream, trailers }),
            (any::<u64>(), 1..u32::MAX)
                .prop_map(|(s, bytes)| Both::Credit { stream: StreamId(s), bytes }),
            (stream(), ".{0,60}").prop_map(|(stream, detail)| {
                let (reason, dispatched) = (Broken::Stalled, Dispatched::Maybe);
                Both::Reset(Reset { stream, reason, dispatched, detail })
            }),
            any::<u64>().prop_map(Both::Ping),
            any::<u64>().prop_map(Both::Pong),
            (any::<u32>(), any::<u32>(), ".{0,60}").prop_map(
                |(deadline_ms, reconnect_after_ms, detail)| {
                    Both::GoAway(GoAway {
                        reason: Leaving::Replaced,
                        deadline_ms,
                        reconnect_after_ms,
                        detail,
                    })
                }
            ),
        ]
    }

    proptest! {
        #[test]
        fn every_frame_of_the_relay_survives_the_wire(frame in prop_oneof![open().prop_map(ToAgent::Open), both().prop_map(ToAgent::Both)]) {
            prop_assert_eq!(ToAgent::decode(frame.encode().unwrap()).unwrap(), Some(frame));
        }

        #[test]
        fn every_frame_of_an_agent_survives_the_wire(frame in prop_oneof![answered().prop_map(ToRelay::Answer), both().prop_map(ToRelay::Both)]) {
            prop_assert_eq!(ToRelay::decode(frame.encode().unwrap()).unwrap(), Some(frame));
        }

        #[test]
        fn any_bytes_decode_or_are_refused_without_a_panic(noise in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = ToAgent::decode(Bytes::from(noise.clone()));
            let _ = ToRelay::decode(Bytes::from(noise));
        }

        #[test]
        fn a_cut_frame_never_passes_as_another_length(frame in open(), cut in 1usize..40) {
            let whole = ToAgent::Open(Open { body: Bytes::new(), ..frame }).encode().unwrap();
            let short = whole.slice(..whole.len() - cut.min(whole.len()));
            prop_assert!(ToAgent::decode(short).is_err());
        }
    }

    #[test]
    fn refuse_carries_code_and_words() {
        let frame = Refuse {
            stream: StreamId(9),
            reason: Refusal::TargetDns,
            detail: "no such host".into(),
        };
        let frame = ToRelay::Refuse(frame);
        assert_eq!(ToRelay::decode(frame.encode().unwrap()).unwrap(), Some(frame));
    }

    #[test]
    fn unknown_frames_are_skipped_with_the_high_bit_and_fatal_without() {
        assert_eq!(ToAgent::decode(Bytes::from_static(&[0x80, 1, 2])).unwrap(), None);
        assert!(ToAgent::decode(Bytes::from_static(&[0x7f, 1, 2])).is_err());
        assert!(ToAgent::decode(Bytes::new()).is_err());
    }

    #[test]
    fn frames_of_the_other_direction_are_refused() {
        let refuse =
            Refuse { stream: StreamId(1), reason: Refusal::Draining, detail: String::new() };
        assert!(ToAgent::decode(ToRelay::Refuse(refuse).encode().unwrap()).is_err());
    }

    #[test]
    fn empty_and_oversized_data_are_refused() {
        let data =
            |n: usize| ToAgent::Both(Both::Data { stream: StreamId(1), bytes: vec![0; n].into() });
        assert!(ToAgent::decode(data(0).encode().unwrap()).is_err());
        assert!(ToAgent::decode(data(DATA_MAX).encode().unwrap()).is_ok());
        assert!(ToAgent::decode(data(DATA_MAX + 1).encode().unwrap()).is_err());
        assert!(ToAgent::decode(vec![6; FRAME_MAX + 1].into()).is_err());
    }
}
