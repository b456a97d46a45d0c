//! Owns: which keys and label values Kubernetes takes. Must never know: what is labelled.

use std::collections::BTreeMap;

use super::refusal::Refusal;

/// All annotations of one object, keys and values, as Kubernetes limits them.
const ANNOTATIONS_BYTES_MAX: usize = 256 << 10;

/// Whether one annotation more fits beside those there are.
pub(super) fn check_room(known: &BTreeMap<String, String>, key: &str, value: &str) -> Result<(), Refusal> {
    let others = known.iter().filter(|(other, _)| *other != key).map(|(key, value)| key.len() + value.len());
    let bytes = others.sum::<usize>() + key.len() + value.len();
    if bytes > ANNOTATIONS_BYTES_MAX { Err(Refusal::Annotations(bytes)) } else { Ok(()) }
}

/// A qualified name: an optional DNS prefix and one slash, then at most 63 letters, digits, `-`, `_`, `.`, with a letter
/// or digit at both ends.
pub(super) fn check_key(key: &str) -> Result<(), Refusal> {
    let name = key.split_once('/').map_or(key, |(_, name)| name);
    if !name.is_empty() && is_name(name) {
        return Ok(());
    }
    Err(Refusal::Key(key.to_owned()))
}

/// A label's value: empty, or as the name part of a key.
pub(super) fn check_label_value(value: &str) -> Result<(), Refusal> {
    if value.is_empty() || is_name(value) {
        return Ok(());
    }
    Err(Refusal::LabelValue(value.to_owned()))
}

fn is_name(text: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    let ends = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    let bytes = text.as_bytes();
    bytes.len() <= 63 && bytes.iter().copied().all(inner) && ends(bytes.first()) && ends(bytes.last())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_have_one_slash_at_most() {
        let check = |key: &str, good: bool| assert_eq!(check_key(key).is_ok(), good, "{key:?}");
        check("agones.dev/sdk-foo", true);
        check("plain", true);
        check("agones.dev/sdk-tickwright.dev/admin", false);
        check("agones.dev/sdk-", false);
        check("agones.dev/", false);
        check("agones.dev/sdk-white space", false);
        check(&format!("agones.dev/sdk-{}", "x".repeat(59)), true);
        check(&format!("agones.dev/sdk-{}", "x".repeat(60)), false);
    }

    #[test]
    fn annotations_have_a_common_limit() {
        let known = BTreeMap::from([("a".to_owned(), "x".repeat(200 << 10))]);
        assert!(check_room(&known, "b", &"x".repeat(50 << 10)).is_ok());
        assert!(check_room(&known, "b", &"x".repeat(60 << 10)).is_err());
        assert!(check_room(&known, "a", &"x".repeat(60 << 10)).is_ok());
    }

    #[test]
    fn label_values_may_be_empty_but_not_long() {
        let check = |value: &str, good: bool| assert_eq!(check_label_value(value).is_ok(), good, "{value:?}");
        check("", true);
        check("v1.2_x-Y", true);
        check("-x", false);
        check("127.0.0.1:80", false);
        check(&"x".repeat(64), false);
    }
}
