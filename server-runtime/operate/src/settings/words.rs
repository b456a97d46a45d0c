//! Which word was meant.

/// The one of `known` that `word` is a slip of, if any: no more than a third of its letters are wrong.
///
/// ```
/// assert_eq!(operate::settings::nearest("tick-rat", ["tick-rate", "seed"]), Some("tick-rate"));
/// assert_eq!(operate::settings::nearest("colour", ["tick-rate", "seed"]), None);
/// ```
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let far = |known: &&str| strsim::damerau_levenshtein(word, known);
    let best = known.into_iter().min_by_key(far)?;
    (far(&best) <= (word.chars().count() / 3).max(1)).then_some(best)
}
