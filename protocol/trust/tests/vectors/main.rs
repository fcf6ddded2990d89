//! Requests as providers send them, published or made by their own libraries, and what must be found.

mod explained;
mod generic;
mod handshakes;
mod reasons;
mod vector;

use vector::all;

#[test]
fn every_vector_is_judged_rightly() {
    let vectors = all();
    assert!(vectors.len() >= 231, "the vectors are found");
    let wrong = vectors.iter().filter_map(|vector| {
        let found = vector.case().find();
        (found.is_good() != vector.is_valid()).then(|| format!("{}: {found:?}", vector.name()))
    });
    let wrong: Vec<String> = wrong.collect();
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}
