//! Frames that are none, or none for here.

use relay_tests::frames::{ACK, CONTINUATION, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS};
use relay_tests::frames::{
    COMPRESSION_ERROR, FLOW_CONTROL_ERROR, FRAME_SIZE_ERROR, Frames, PADDED,
};
use relay_tests::frames::{PING, PREFACE, PRIORITY, PROTOCOL_ERROR, PUSH_PROMISE, RST_STREAM};
use relay_tests::frames::{SETTINGS, STREAM_CLOSED, WINDOW_UPDATE, block, frame, integer, setting};

use super::{Case, Expect, STREAM, World, bare, case, head, post, request};
use Expect::{Ends, Reset, Taken};

/// Field blocks that cannot be read have a code of their own as well, and the library the general one.
const COMPRESSION: &[u32] = &[COMPRESSION_ERROR, PROTOCOL_ERROR];

#[tokio::test]
async fn frames_where_they_do_not_belong_end_the_connection() {
    let world = World::fresh().await;
    let (path, taken) = (world.path("framed"), world.path("taken"));
    let sound = post(&taken);
    let (fields, data) = (post(&path), |stream, body: &str| frame(DATA, END_STREAM, stream, body));
    let open = head(STREAM, &fields);
    let begun = frame(HEADERS, 0, STREAM, block(&sound[..2]));
    let rest = |stream| frame(CONTINUATION, END_HEADERS, stream, block(&sound[2..]));
    let with = |first: &[u8], then: Vec<u8>| [first, &then].concat();
    let promised = [&2_u32.to_be_bytes()[..], &block(&fields)].concat();
    world
        .judge(vec![
            bad("data before a head", "§5.1", data(STREAM, "x")),
            bad("data on stream 0", "§6.1", data(0, "x")),
            bad("a head on stream 0", "§6.2", bare(0, &fields)),
            bad("a head on an even stream", "§5.1.1", bare(8, &fields)),
            case(
                "a head on a lower stream",
                "§5.1.1",
                with(&head(9, &fields), bare(3, &fields)),
                Ends(&[PROTOCOL_ERROR, STREAM_CLOSED]),
            ),
            bad("a reset of an idle stream", "§6.4", frame(RST_STREAM, 0, 9, [0; 4])),
            bad("a reset of stream 0", "§6.4", frame(RST_STREAM, 0, 0, [0; 4])),
            bad("settings on a stream", "§6.5", frame(SETTINGS, 0, 1, [])),
            bad("a ping on a stream", "§6.7", frame(PING, 0, 1, [0; 8])),
            bad("goaway on a stream", "§6.8", frame(GOAWAY, 0, 1, [0; 8])),
            bad("a push", "§8.4", with(&open, frame(PUSH_PROMISE, 4, STREAM, promised))),
            bad("a priority of stream 0", "§6.3", frame(PRIORITY, 0, 0, [0; 5])),
            bad("a continuation of nothing", "§6.10", rest(STREAM)),
            bad("a continuation of another", "§6.10", with(&begun, rest(9))),
            bad("data in a field block", "§6.10", with(&begun, data(STREAM, "x"))),
            bad("a ping in a field block", "§6.10", with(&begun, frame(PING, 0, 0, [0; 8]))),
            case(
                "a continuation that is due",
                "§6.10",
                with(&begun, [rest(STREAM), data(STREAM, "")].concat()),
                Taken,
            ),
            case(
                "an unknown frame",
                "§5.5",
                with(&frame(0xbe, 0xff, 9, "?"), request(STREAM, &sound, "")),
                Taken,
            ),
            case(
                "an unknown setting",
                "§6.5.2",
                with(&settings(0xbe, 7), request(STREAM, &sound, "")),
                Taken,
            ),
        ])
        .await;
}

#[tokio::test]
async fn windows_that_cannot_be_end_what_they_are_for() {
    let world = World::fresh().await;
    let (path, taken) = (world.path("framed"), world.path("taken"));
    let (open, closed) = (head(STREAM, &post(&path)), bare(STREAM, &post(&taken)));
    let with = |first: &[u8], then: Vec<u8>| [first, &then].concat();
    let data = |stream, body: &str| frame(DATA, END_STREAM, stream, body);
    world
        .judge(vec![
            bad("a window update of an idle stream", "§5.1", window(9, 1)),
            bad("a window of 0 for all", "§6.9", window(0, 0)),
            case(
                "a window above all for all",
                "§6.9.1",
                window(0, i32::MAX as u32),
                Ends(&[FLOW_CONTROL_ERROR]),
            ),
            bad("a window of 0", "§6.9", with(&open, window(STREAM, 0))),
            case(
                "a window above all",
                "§6.9.1",
                with(&open, window(STREAM, i32::MAX as u32)),
                Reset(&[FLOW_CONTROL_ERROR]),
            ),
            case(
                "data after the end",
                "§5.1",
                with(&closed, data(STREAM, "x")),
                Ends(&[STREAM_CLOSED, PROTOCOL_ERROR]),
            ),
        ])
        .await;
}

#[tokio::test]
async fn frames_of_a_wrong_size_and_settings_that_are_none_end_the_connection() {
    let world = World::fresh().await;
    let path = world.path("framed");
    let fields = post(&path);
    let open = head(STREAM, &fields);
    let with = |then: Vec<u8>| [&open[..], &then].concat();
    let padded = |kind| frame(kind, PADDED | END_STREAM | END_HEADERS, STREAM, [200, 0, 0]);
    let none = |kind| frame(kind, PADDED | END_STREAM | END_HEADERS, STREAM, []);
    world
        .judge(
            vec![
                sized("data above 16 KiB", "§4.2", with(frame(DATA, 0, STREAM, vec![7; 16_385]))),
                sized("settings above 16 KiB", "§4.2", frame(SETTINGS, 0, 0, vec![0; 16_386])),
                sized("a head above 16 KiB", "§4.2", frame(HEADERS, 0, STREAM, vec![0; 16_385])),
                sized("16 MiB announced", "§4.2", vec![255, 255, 255, 0, 0, 0, 0, 0, 1]),
                sized("settings of 5 bytes", "§6.5", frame(SETTINGS, 0, 0, [0; 5])),
                sized("an ack with settings", "§6.5", frame(SETTINGS, ACK, 0, setting(3, 1))),
                sized("a ping of 7 bytes", "§6.7", frame(PING, 0, 0, [0; 7])),
                sized("a reset of 3 bytes", "§6.4", with(frame(RST_STREAM, 0, STREAM, [0; 3]))),
                sized("a window update of 3 bytes", "§6.9", frame(WINDOW_UPDATE, 0, 0, [0; 3])),
                sized("goaway of 7 bytes", "§6.8", frame(GOAWAY, 0, 0, [0; 7])),
                sized("a priority of 4 bytes", "§6.3", frame(PRIORITY, 0, 1, [0; 4])),
                bad("data of padding only", "§6.1", with(padded(DATA))),
                bad("a head of padding only", "§6.2", padded(HEADERS)),
                sized("padded data without a length", "§6.1", with(none(DATA))),
                sized("a padded head without a length", "§6.2", none(HEADERS)),
                bad("a push that is 2", "§6.5.2", settings(2, 2)),
                case(
                    "a window above 2^31-1",
                    "§6.5.2",
                    settings(4, 1 << 31),
                    Ends(&[FLOW_CONTROL_ERROR, PROTOCOL_ERROR]),
                ),
                bad("frames of 1 byte", "§6.5.2", settings(5, 1)),
                bad("frames of 16 MiB", "§6.5.2", settings(5, 1 << 24)),
                bad("an ack of nothing", "§6.5.3", frame(SETTINGS, ACK, 0, [])),
            ]
            .into_iter()
            .map(|it: Case| it)
            .collect(),
        )
        .await;
}

#[tokio::test]
async fn field_blocks_that_cannot_be_read_end_the_connection() {
    let world = World::fresh().await;
    let path = world.path("packed");
    let sound = block(&post(&path));
    let unread = |name, block: &[u8]| {
        let send = frame(HEADERS, END_HEADERS | END_STREAM, STREAM, block);
        case(name, "§4.3", send, Ends(COMPRESSION))
    };
    let then = |block: &[u8]| [&sound[..], block].concat();
    // A table of 4096 bytes was granted, since nothing else was said.
    let table = integer(0x20, 5, 4097);
    world
        .judge(vec![
            unread("the field of index 0", &then(&[0x80])),
            unread("the field of an index that nobody has", &then(&integer(0x80, 7, 62))),
            unread("a table above what was granted", &[&table[..], &sound].concat()),
            unread("a table that changes in between", &then(&[0x20])),
            unread("an integer without an end", &then(&[0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff])),
            unread("a text that is longer than the block", &then(&[0, 5, b'x'])),
            unread("a text of 2^31 bytes", &then(&[&[0][..], &integer(0, 7, 1 << 31)].concat())),
            unread(
                "Huffman's code with its end in it",
                &then(&[0, 1, b'x', 0x84, 255, 255, 255, 255]),
            ),
            unread("Huffman's code with padding of zeros", &then(&[0, 1, b'x', 0x81, 0])),
        ])
        .await;
}

#[tokio::test]
async fn who_does_not_begin_as_http2_does_is_not_served() {
    let world = World::fresh().await;
    let address = world.journey.relay.address;
    let path = world.path("unheard");
    let sound = request(STREAM, &post(&path), "");
    let begun = frame(SETTINGS, 0, 0, []);
    for preface in [
        &b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"[..],
        b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n",
        b"PRI * HTTP/1.1\r\n\r\nSM\r\n\r\n",
        b"",
    ] {
        let mut caller = Frames::silent(address, &world.authority).await;
        caller.try_send([preface, &begun, &sound].concat()).await;
        caller.ended().await;
    }
    let mut caller = Frames::silent(address, &world.authority).await;
    caller.send(&PREFACE[..20]).await;
    drop(caller);
    assert!(world.serves(&mut world.caller().await, 1, "alive").await);
    assert_eq!(world.journey.target.only().path(), b"/alive");
}

/// A frame that does not belong there.
fn bad(name: &'static str, rfc: &'static str, send: Vec<u8>) -> Case {
    case(name, rfc, send, Ends(&[PROTOCOL_ERROR]))
}

/// A frame whose length cannot be; for that, the standard has a code of its own, and the library often the general one.
fn sized(name: &'static str, rfc: &'static str, send: Vec<u8>) -> Case {
    case(name, rfc, send, Ends(&[FRAME_SIZE_ERROR, PROTOCOL_ERROR]))
}

fn window(stream: u32, by: u32) -> Vec<u8> {
    frame(WINDOW_UPDATE, 0, stream, by.to_be_bytes())
}

fn settings(id: u16, value: u32) -> Vec<u8> {
    frame(SETTINGS, 0, 0, setting(id, value))
}
