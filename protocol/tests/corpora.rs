//! The fuzz targets over their checked-in corpora, and over noise made of them: what a fuzzer once found stays found.

#[expect(unreachable_pub, reason = "it is a crate of its own elsewhere")]
#[path = "../../tests/fuzz/src/wire.rs"]
mod targets;

#[expect(unreachable_pub, reason = "it is a crate of its own elsewhere")]
#[path = "../../tests/fuzz/src/corpora.rs"]
mod corpus;

use std::path::Path;
use std::sync::LazyLock;

use proptest::prelude::*;
use proptest::sample::Index;

use corpus::{Target, corpus};

/// Every target with the name of its corpus.
const TARGETS: [(&str, Target); 5] = [
    ("to_agent", targets::to_agent),
    ("to_relay", targets::to_relay),
    ("line_of_relay", targets::line_of_relay),
    ("line_of_agent", targets::line_of_agent),
    ("fields", targets::fields),
];

fn corpora() -> &'static [Vec<Vec<u8>>] {
    static CORPORA: LazyLock<Vec<Vec<Vec<u8>>>> = LazyLock::new(|| {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fuzz/corpus");
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

proptest! {
    #![proptest_config(ProptestConfig::with_cases(5_000))]

    #[test]
    fn every_target_bears_its_corpus_cut_joined_and_changed(
        picks in prop::collection::vec((any::<Index>(), any::<Index>(), any::<Index>(), any::<u8>()), 1..6),
    ) {
        for ((_, target), corpus) in TARGETS.iter().zip(corpora()) {
            let mut bytes = Vec::new();
            for (file, cut, place, value) in &picks {
                let part = file.get(corpus);
                bytes.extend_from_slice(&part[..cut.index(part.len() + 1)]);
                if !bytes.is_empty() {
                    *place.get_mut(&mut bytes) = *value;
                }
            }
            target(&bytes);
        }
    }
}
