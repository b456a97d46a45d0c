//! What the compiler tells a gameplay programmer who made a mistake, word for word: one file a mistake, its answer beside
//! it. After a change on purpose, `TRYBUILD=overwrite cargo test -p netcode-derive --test told` writes the answers anew.

#[test]
fn mistakes_are_told_in_words() {
    let cases = trybuild::TestCases::new();
    cases.compile_fail("tests/told/*.rs");
}
