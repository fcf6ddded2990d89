//! Sums over what is kept of an event, so that a disk that has changed it is found out before anybody is given it.
//!
//! CRC-32: it finds every single flipped bit and every short burst of them. It is no defence against somebody who writes
//! into the store on purpose.

use crc32fast::Hasher;

/// The sum of an event's head and the one of its body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sums {
    head: u32,
    /// Of the body as it is kept; of no bytes when it is not.
    pub(super) body: u32,
}

impl Sums {
    /// The sums of an event that is kept in these parts.
    pub(super) fn of(
        method: &[u8],
        path: &[u8],
        fields: &[u8],
        trailers: &[u8],
        body: u32,
    ) -> Self {
        let mut head = Hasher::new();
        for part in [method, path, fields, trailers] {
            // The length too: no byte moves from one part into the next unseen.
            head.update(&(part.len() as u64).to_be_bytes());
            head.update(part);
        }
        Self { head: head.finalize(), body }
    }

    /// As one number, to be kept.
    pub(super) fn to_number(self) -> i64 {
        (u64::from(self.head) << 32 | u64::from(self.body)) as i64
    }

    /// From the number that was kept.
    pub(super) fn of_number(number: i64) -> Self {
        let number = number as u64;
        Self { head: (number >> 32) as u32, body: number as u32 }
    }
}

/// The sum of a body.
pub(super) fn of_body(bytes: &[u8]) -> u32 {
    crc32fast::hash(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flipped_bit_and_a_byte_that_moves_change_the_sum() {
        let sums = Sums::of(b"POST", b"/a", b"fields", b"", of_body(b"body"));
        assert_eq!(Sums::of_number(sums.to_number()), sums);
        for other in [
            Sums::of(b"PUT", b"/a", b"fields", b"", of_body(b"body")),
            Sums::of(b"POST/", b"a", b"fields", b"", of_body(b"body")),
            Sums::of(b"POST", b"/a", b"", b"fields", of_body(b"body")),
            Sums::of(b"POST", b"/a", b"fields", b"", of_body(b"bodz")),
        ] {
            assert_ne!(other, sums);
        }
    }
}
