//! Frames as text that people can read and review: hex in words, `xx*n` for n equal bytes, `#` for comments.

use std::fmt::Write as _;

/// A run of at least this many equal bytes is written as `xx*n`.
const RUN: usize = 24;

/// How many bytes stand on a line.
const LINE: usize = 32;

/// Bytes as text.
pub(crate) fn write(bytes: &[u8]) -> String {
    let (mut text, mut column, mut at) = (String::new(), 0, 0);
    while at < bytes.len() {
        let run = bytes[at..].iter().take_while(|byte| **byte == bytes[at]).count();
        let taken = if run >= RUN { run } else { 1 };
        if taken > 1 || column == LINE {
            text.push('\n');
            column = 0;
        } else if column > 0 && column % 8 == 0 {
            text.push(' ');
        }
        let _ = write!(text, "{:02x}", bytes[at]);
        column += 1;
        if taken > 1 {
            let _ = write!(text, "*{taken}");
            column = LINE;
        }
        at += taken;
    }
    text.trim_start().to_owned() + "\n"
}

/// Text as bytes.
pub(crate) fn read(text: &str) -> Vec<u8> {
    let lines = text.lines().map(|line| line.split('#').next().unwrap_or_default());
    let mut bytes = Vec::new();
    for word in lines.flat_map(str::split_whitespace) {
        let (digits, times) = word.split_once('*').unwrap_or((word, "1"));
        let part: Vec<u8> = (0..digits.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(&digits[at..at + 2], 16).expect("two hex digits"))
            .collect();
        let times: usize = times.parse().expect("a number after *");
        (0..times).for_each(|_| bytes.extend_from_slice(&part));
    }
    bytes
}
