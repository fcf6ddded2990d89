//! Frames that are sound, and too many; and bounds that are the same as over HTTP/1.1.

use relay_tests::frames::{ACK, CONTINUATION, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS};
use relay_tests::frames::{
    ENHANCE_YOUR_CALM, Frames, PING, PRIORITY, PROTOCOL_ERROR, REFUSED_STREAM, RST_STREAM,
};
use relay_tests::frames::{SETTINGS, WINDOW_UPDATE, Word, block, frame, integer, setting};
use relay_tests::raw::Written;

use super::{Expect, Fields, STREAM, World, bare, case, head, post, request};
use Expect::{Ends, Taken, Told};

/// How many frames of a flood are sent before it is looked what has become of them.
const AT_ONCE: usize = 500;

/// How many frames that ask for nothing are more than anybody needs.
const FLOOD: usize = 20_000;

/// Sends the same frame again and again, and says how often it was taken.
async fn flood(caller: &mut Frames, frame: &[u8]) -> usize {
    let mut taken = 0;
    while taken < FLOOD && caller.try_send(frame.repeat(AT_ONCE)).await && caller.is_alive().await {
        taken += AT_ONCE;
    }
    taken
}

#[tokio::test]
async fn floods_of_frames_that_ask_for_nothing_are_cut() {
    let world = World::fresh().await;
    let mut neighbour = world.caller().await;
    let floods = [
        ("pings", frame(PING, 0, 0, [7; 8])),
        ("answers to no ping", frame(PING, ACK, 0, [7; 8])),
        ("settings", frame(SETTINGS, 0, 0, [])),
        ("settings that change", frame(SETTINGS, 0, 0, [setting(4, 1), setting(4, 2)].concat())),
        ("windows", frame(WINDOW_UPDATE, 0, 0, [0, 0, 0, 1])),
        ("priorities", frame(PRIORITY, 0, 3, [0, 0, 0, 1, 7])),
        ("data of no bytes", frame(DATA, 0, 1, [])),
        ("what nobody knows", frame(0xbe, 0, 0, [7; 100])),
        ("goaway", frame(GOAWAY, 0, 0, [0; 8])),
    ];
    for (number, (name, frame)) in floods.iter().enumerate() {
        let mut caller = world.caller().await;
        // A request that is under way, so that the connection is not idle.
        caller.send(head(1, &post(&world.path("never")))).await;
        let taken = flood(&mut caller, frame).await;
        assert!(taken < FLOOD, "{name}: {taken} were taken");
        let stream = 1 + 2 * u32::try_from(number).unwrap();
        assert!(world.serves(&mut neighbour, stream, "neighbour").await, "{name}");
    }
    assert!(world.journey.target.seen().iter().all(|seen| seen.path() == b"/neighbour"));
}

#[tokio::test]
async fn field_blocks_without_an_end_are_cut() {
    let world = World::fresh().await;
    let path = world.path("endless");
    let begun = frame(HEADERS, 0, STREAM, block(&post(&path)));
    let more = |payload: &[u8], times| {
        [begun.clone(), frame(CONTINUATION, 0, STREAM, payload).repeat(times)].concat()
    };
    let text = [&[0, 1, b'x'][..], &integer(0, 7, 1 << 30)].concat();
    let long = "v".repeat(16_000);
    world
        .judge(vec![
            // CVE-2024-27316 and its kin: what never ends is neither a request nor idle.
            case("of nothing", "§10.5.1", more(&[], 2000), Ends(&[ENHANCE_YOUR_CALM])),
            case(
                "of short fields",
                "§10.5.1",
                more(&block(&[("x", "1")]), 2000),
                Ends(&[ENHANCE_YOUR_CALM]),
            ),
            case(
                "of long fields",
                "§10.5.1",
                more(&block(&[("x", &long)]), 100),
                Ends(&[ENHANCE_YOUR_CALM]),
            ),
            case(
                "of one long field",
                "§10.5.1",
                [more(&text, 1), frame(CONTINUATION, 0, STREAM, vec![b'v'; 16_384]).repeat(100)]
                    .concat(),
                Ends(&[ENHANCE_YOUR_CALM, PROTOCOL_ERROR]),
            ),
        ])
        .await;
}

/// The whole head of a request in as many frames as it takes.
fn pieces(flags: u8, block: &[u8]) -> Vec<u8> {
    let mut pieces: Vec<&[u8]> = block.chunks(16_384).collect();
    let last = pieces.pop().unwrap_or_default();
    let Some((first, between)) = pieces.split_first() else {
        return frame(HEADERS, flags | END_HEADERS, STREAM, last);
    };
    let mut sent = frame(HEADERS, flags, STREAM, first);
    between.iter().for_each(|piece| sent.extend(frame(CONTINUATION, 0, STREAM, piece)));
    sent.extend(frame(CONTINUATION, END_HEADERS, STREAM, last));
    sent
}

#[tokio::test]
async fn heads_above_the_bounds_are_refused_and_those_below_are_not() {
    let mut world = World::fresh().await;
    let (path, taken) = (world.path("bounds"), world.path("taken"));
    let whole = |block: &[u8]| pieces(END_STREAM, block);
    let named = |names: &'static [String]| -> Fields<'static> {
        names.iter().map(|name| (&name[..], "1")).collect()
    };
    let names: &'static [String] =
        Box::leak((0..1000).map(|n| format!("x-{n}")).collect::<Vec<_>>().into_boxed_slice());
    let many = |path: &str, count| whole(&block(&[post(path), named(&names[..count])].concat()));
    let long = |length| {
        let value = "v".repeat(length);
        whole(&block(&[post(&path), vec![("x", &value)]].concat()))
    };
    let far = format!("{path}/{}", "p".repeat(9 << 10));
    // One field that fills the table, named again and again by one byte each.
    let big = "v".repeat(4000);
    let indexed = [&[0x40][..], &block(&[("x", &big)])[1..]].concat();
    let bomb = |times| whole(&[&block(&post(&path))[..], &indexed, &vec![0xbe; times]].concat());
    let crumbs = [post(&taken), vec![("cookie", "a=1"); 200]].concat();
    world
        .judge(vec![
            case("33 KiB", "RFC 6585 §5", long(33 << 10), Told(431)),
            case("150 KiB", "§10.5.1", long(150 << 10), Told(431)),
            case("1 MiB", "§10.5.1", long(1 << 20), Ends(&[ENHANCE_YOUR_CALM, 9])),
            case("a target of 9 KiB", "RFC 9110 §4.1", request(STREAM, &post(&far), ""), Told(414)),
            case("100 fields", "RFC 6585 §5", many(&taken, 100), Taken),
            case("101 fields", "RFC 6585 §5", many(&path, 101), Told(431)),
            case("1000 fields", "RFC 6585 §5", many(&path, 1000), Told(431)),
            case("200 pieces of one cookie", "§8.2.3", whole(&block(&crumbs)), Taken),
            case("a small bomb", "RFC 7541 §7.3", bomb(50), Told(431)),
            case("a bomb", "RFC 7541 §7.3", bomb(100_000), Ends(&[ENHANCE_YOUR_CALM])),
        ])
        .await;
    assert!(!world.line_dropped().await);
}

#[tokio::test]
async fn trailers_above_the_bounds_are_refused_and_no_line_drops() {
    let mut world = World::fresh().await;
    let (path, taken) = (world.path("bounds"), world.path("taken"));
    let (half, long) = ("v".repeat(8 << 10), "v".repeat(70 << 10));
    let names: Vec<String> = (0..600).map(|n| format!("x-{n}")).collect();
    let many: Fields<'_> = names.iter().map(|name| (&name[..], "1")).collect();
    let ended = |path: &str, trailers: &[(&str, &str)]| {
        let begun = [head(STREAM, &post(path)), frame(DATA, 0, STREAM, "body")].concat();
        [begun, pieces(END_STREAM, &block(trailers))].concat()
    };
    world
        .judge(vec![
            case("8 KiB", "§8.1", ended(&taken, &[("x", &half)]), Taken),
            case("70 KiB", "RFC 6585 §5", ended(&path, &[("x", &long)]), Told(431)),
            case("600 fields", "RFC 6585 §5", ended(&path, &many), Told(431)),
        ])
        .await;
    // Over HTTP/1.1 as well.
    let through = world.journey.through();
    let chunked = through.request("POST", "/bounds").chunks(&[b"body"], &[("x", &long)]);
    assert_eq!(through.begin(&chunked).await.answer_to("POST").await.status(), 431);
    assert!(!world.line_dropped().await);
}

#[tokio::test]
async fn more_streams_than_allowed_are_refused_and_the_others_go_on() {
    let world = World::fresh().await;
    let (mut caller, taken) = (world.caller().await, world.path("taken"));
    for number in 0..100 {
        caller.send(head(1 + 2 * number, &post(&taken))).await;
    }
    caller.send(bare(201, &post(&world.path("above")))).await;
    assert_eq!(caller.word().await, Word::Reset(201, REFUSED_STREAM));
    caller.send(frame(DATA, END_STREAM, 1, "whole")).await;
    assert_eq!(caller.word().await, Word::Answer(1, 200));
    assert!(world.serves(&mut caller, 203, "alive").await);
    assert!(world.journey.target.seen().iter().all(|seen| seen.path() != b"/above"));
}

/// How the request on a stream ends.
type End = fn(u32) -> Vec<u8>;

#[tokio::test]
async fn requests_that_are_begun_only_to_end_badly_are_cut() {
    let world = World::fresh().await;
    let path = world.path("never");
    let ends: [(&str, End); 3] = [
        // CVE-2023-44487.
        ("reset by the caller", |stream| frame(RST_STREAM, 0, stream, [0, 0, 0, 8])),
        // CVE-2025-8671: the caller has the relay reset them.
        ("a window above all", |stream| frame(WINDOW_UPDATE, 0, stream, [0x7f, 255, 255, 255])),
        ("a head that depends on itself", |stream| {
            frame(PRIORITY, 0, stream, [&stream.to_be_bytes()[..], &[0]].concat())
        }),
    ];
    for (name, end) in ends {
        let mut caller = world.caller().await;
        let mut begun = 0;
        while begun < 3000 {
            let streams = (begun..begun + 20).map(|number| 1 + 2 * number);
            let sent =
                streams.flat_map(|stream| [head(stream, &post(&path)), end(stream)].concat());
            if !caller.try_send(sent.collect::<Vec<u8>>()).await || !caller.is_alive().await {
                break;
            }
            begun += 20;
        }
        assert!((50..1500).contains(&begun), "{name}: {begun} were taken");
        assert!(world.serves(&mut world.caller().await, 1, "alive").await, "{name}");
    }
    assert!(world.journey.target.seen().iter().all(|seen| seen.path() == b"/alive"));
}

#[tokio::test]
async fn who_says_that_it_leaves_gets_the_answers_that_it_waits_for() {
    let world = World::with(&[], |_| Written::answer(200).body("late").bytes()).await;
    let mut caller = world.caller().await;
    let leaves = frame(GOAWAY, 0, 0, [0; 8]);
    let sent = [head(1, &post(&world.path("taken"))), leaves, frame(DATA, END_STREAM, 1, "x")];
    caller.send(sent.concat()).await;
    assert_eq!(caller.word().await, Word::Answer(1, 200));
    caller.ended().await;
}

#[tokio::test]
async fn who_resets_what_it_has_taken_is_no_flood() {
    let world = World::fresh().await;
    let (mut caller, path) = (world.caller().await, world.path("taken"));
    for stream in (1..1001).step_by(2) {
        caller.send(request(stream, &post(&path), "x")).await;
        assert_eq!(caller.word().await, Word::Answer(stream, 200));
        // Some are in the habit of it.
        caller.send(frame(RST_STREAM, 0, stream, [0; 4])).await;
    }
    assert!(world.serves(&mut caller, 1001, "alive").await);
}
