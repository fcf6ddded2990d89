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

#[test]
fn a_vector_that_says_why_is_judged_for_that() {
    let vectors = all();
    let told: Vec<_> =
        vectors.iter().filter_map(|v| Some((v.name(), v.found()?, v.case().told()))).collect();
    assert!(told.len() >= 100, "the vectors of tokens are found");
    let wrong = told.iter().filter(|(_, wanted, told)| wanted != told);
    let wrong: Vec<_> = wrong.collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}
