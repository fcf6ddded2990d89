//! Holds what came of a case against what may come of it. Pure.

use std::time::Duration;

use relay_tests::raw::Message;

use super::caller::Heard;
use super::case::{Case, ExpectAnswer, Place, latin1};
use super::target::{End, Seen};

/// Everything that is wrong.
pub(super) fn judge(case: &Case, place: &Place, heard: &Heard, seen: &[Seen]) -> Vec<String> {
    let mut wrong = Vec::new();
    if !case.abort {
        connection(case, heard, &mut wrong);
    }
    if let Some(message) = heard.answer.as_ref().filter(|answer| answer.status() < 400) {
        answer(&case.expect.answer, heard, message, &mut wrong);
    }
    let own: Vec<&Seen> = seen.iter().filter(|seen| seen.id == case.name).collect();
    arrival(case, heard, &own, &mut wrong);
    for seen in &own {
        request(case, place, seen, &mut wrong);
    }
    let smuggled = format!("{}-smuggled", case.name);
    if seen.iter().any(|seen| seen.id == smuggled) {
        wrong.push("what was smuggled has reached the target".into());
    }
    wrong
}

/// What happened on the caller's connection.
fn connection(case: &Case, heard: &Heard, wrong: &mut Vec<String>) {
    let expect = &case.expect;
    match &heard.answer {
        Some(answer) if expect.status.iter().any(|status| status.covers(answer.status())) => {}
        Some(answer) => wrong.push(format!("status {}", answer.status())),
        None if heard.garbage => wrong.push("an answer that is no HTTP".into()),
        None if heard.closed.is_none() => wrong.push("no answer, and not closed".into()),
        None if !expect.or_closes => wrong.push("closed without an answer".into()),
        None => {}
    }
    if expect.closes && heard.closed.is_none() {
        wrong.push("the connection is left open".into());
    }
    let within = |took: Option<Duration>, seconds: u64| {
        took.is_some_and(|took| took <= Duration::from_secs(seconds))
    };
    if expect.closes_within_s.is_some_and(|s| !within(heard.closed, s)) {
        wrong.push(format!("closed after {:?}", heard.closed));
    }
    if expect.answers_within_s.is_some_and(|s| !within(heard.answered, s)) {
        wrong.push(format!("answered after {:?}", heard.answered));
    }
    if !expect.interim.iter().all(|status| heard.interim.contains(status)) {
        wrong.push(format!("interim answers {:?}", heard.interim));
    }
}

/// What the answer is.
fn answer(expect: &ExpectAnswer, heard: &Heard, answer: &Message, wrong: &mut Vec<String>) {
    let text: String = answer.body.iter().map(|byte| char::from(*byte)).collect();
    if expect.body.as_ref().is_some_and(|body| *body != text) {
        wrong.push(format!("the answer's body is {text:?}"));
    }
    if expect.contains.as_ref().is_some_and(|part| !text.contains(part)) {
        wrong.push(format!("the answer's body lacks something: {text:?}"));
    }
    if expect.length.is_some_and(|length| length != answer.body.len()) {
        wrong.push(format!("the answer's body has {} bytes", answer.body.len()));
    }
    if expect.field.as_ref().is_some_and(|(n, v)| answer.field(n).as_ref() != Some(v)) {
        wrong.push(format!("the answer's fields are {:?}", answer.fields));
    }
    for name in expect.lacks_fields.iter().filter(|name| answer.field(name).is_some()) {
        wrong.push(format!("the answer has {name}"));
    }
    let begun = expect.begins_within_ms.map(Duration::from_millis);
    if begun.is_some_and(|limit| heard.begun.is_none_or(|begun| begun > limit)) {
        wrong.push(format!("the first byte of the body came after {:?}", heard.begun));
    }
    if expect.not_whole && heard.whole {
        wrong.push("an answer that was cut short looks whole".into());
    }
    if expect.leave_early && !heard.cancelled {
        wrong.push("the target goes on after the caller has left".into());
    }
}

/// Whether and how the target saw it.
fn arrival(case: &Case, heard: &Heard, own: &[&Seen], wrong: &mut Vec<String>) {
    let expect = &case.expect;
    let taken = heard.answer.as_ref().is_some_and(|answer| answer.status() == 200);
    match expect.forwarded {
        Some(false) if !own.is_empty() => wrong.push("the target has seen it".into()),
        Some(true) if own.is_empty() && (taken || !expect.or_closes) => {
            wrong.push("the target has never seen it".into());
        }
        _ => {}
    }
    if own.len() > 1 {
        wrong.push(format!("the target has seen it {} times", own.len()));
    }
    if expect.never_whole && own.iter().any(|seen| matches!(seen.end, End::Whole | End::Left)) {
        wrong.push("the target takes it for a whole message".into());
    }
}

/// What the target saw.
fn request(case: &Case, place: &Place, seen: &Seen, wrong: &mut Vec<String>) {
    let (expect, message) = (&case.expect, &seen.message);
    let path = String::from_utf8_lossy(message.path()).into_owned();
    if expect.method.as_ref().is_some_and(|method| *method != message.method()) {
        wrong.push(format!("the method arrives as {}", message.method()));
    }
    let sound = !path.starts_with("http")
        && expect.path_ends.as_ref().is_none_or(|end| path.ends_with(end))
        && expect.path_lacks.as_ref().is_none_or(|part| !path.contains(part))
        && (!expect.path_as_sent || message.path() == case.path());
    if !sound {
        wrong.push(format!("the path arrives as {path:?} (prefix {:?})", place.prefix));
    }
    if expect.field.as_ref().is_some_and(|(n, v)| !message.all(n).contains(&&latin1(v)[..])) {
        wrong.push(format!("the fields arrive as {:?}", message.fields));
    }
    for name in expect.lacks_fields.iter().filter(|name| message.field(name).is_some()) {
        wrong.push(format!("the target gets {name}"));
    }
    for (name, value) in &expect.lacks_values {
        if message.all(name).contains(&value.as_bytes()) {
            wrong.push(format!("the target gets {name}: {value}"));
        }
    }
    if expect
        .body
        .as_ref()
        .is_some_and(|body| seen.end == End::Whole && latin1(body) != message.body)
    {
        wrong.push(format!("the body arrives as {:?}", String::from_utf8_lossy(&message.body)));
    }
    let control = |byte: &u8| byte.is_ascii_control() && *byte != b'\t';
    let odd = |(name, value): &&(String, Vec<u8>)| {
        name.bytes().any(|byte| byte.is_ascii_whitespace() || byte.is_ascii_control())
            || value.iter().any(control)
    };
    if let Some((name, _)) = message.fields.iter().find(odd) {
        wrong.push(format!("the field {name:?} is folded or has control characters"));
    }
}
