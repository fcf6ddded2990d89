//! The fuzz targets over their checked-in corpora, and over noise made of them: what a fuzzer once found stays found.

#[expect(unreachable_pub, reason = "it is a crate of its own elsewhere")]
#[path = "../../../tests/fuzz/src/trust.rs"]
mod targets;

#[expect(unreachable_pub, reason = "it is a crate of its own elsewhere")]
#[path = "../../../tests/fuzz/src/corpora.rs"]
mod corpus;

use std::path::Path;
use std::sync::LazyLock;

use proptest::prelude::*;
use proptest::sample::Index;

use corpus::{Target, corpus};

/// Every target with the name of its corpus.
const TARGETS: [(&str, Target); 4] = [
    ("verifier", targets::verifier),
    ("handshakes", targets::handshakes),
    ("explained", targets::explained),
    ("profiles", targets::profiles),
];

fn corpora() -> &'static [Vec<Vec<u8>>] {
    static CORPORA: LazyLock<Vec<Vec<Vec<u8>>>> = LazyLock::new(|| {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fuzz/corpus");
        TARGETS.iter().map(|(name, _)| corpus(&folder, name)).collect()
    });
    &CORPORA
}

#[test]
fn every_target_bears_its_corpus() {
    for ((_, target), corpus) in TARGETS.iter().zip(corpora()) {
        corpus.iter().for_each(|bytes| target(bytes));
    }
}

/// A change of a file: what is done, where, how far, with which byte.
type Change = (u8, Index, Index, u8);

/// The file with bytes changed, cut out, put in and written twice.
fn changed(bytes: &[u8], changes: &[Change]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for (what, from, length, value) in changes {
        let at = from.index(bytes.len() + 1);
        let end = at + length.index(bytes.len() - at + 1).min(64);
        match what % 5 {
            0 if at < bytes.len() => bytes[at] = *value,
            1 => bytes.insert(at, *value),
            2 => drop(bytes.drain(at..end)),
            3 => {
                let again = bytes[at..end].to_vec();
                bytes.splice(at..at, again);
            }
            _ if at < bytes.len() => bytes[at] ^= 1 << (value % 8),
            _ => {}
        }
    }
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20_000))]

    #[test]
    fn every_target_bears_its_corpus_changed(
        file in any::<Index>(),
        changes in prop::collection::vec((any::<u8>(), any::<Index>(), any::<Index>(), any::<u8>()), 1..8),
    ) {
        for ((name, target), corpus) in TARGETS.iter().zip(corpora()) {
            // The one costs as much as a hundred of the others.
            if matches!(*name, "explained" | "profiles") && changes[0].3 >= 8 {
                continue;
            }
            let bytes: &Vec<u8> = file.get(corpus);
            target(&changed(bytes, &changes));
        }
    }
}
