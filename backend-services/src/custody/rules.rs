//! Whose word on a player's state counts. Fences and numbers decide, never clocks: the holder that opened last, and of
//! its saves the one with the highest number. Pure.

use crate::clock::UnixMs;
use crate::store::StateRow;

/// A document may have so many bytes.
pub const DOCUMENT_BYTES_MAX: usize = 32 * 1024;
/// A state's name may have so many characters.
pub const NAME_CHARS_MAX: usize = 32;
/// A holder's name may have so many characters.
pub const HOLDER_CHARS_MAX: usize = 128;

/// What a game server said makes no sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StateFault {
    /// The name is none.
    #[error("name must be 1 to {NAME_CHARS_MAX} of a-z, 0-9 and -")]
    Name,
    /// The holder is none.
    #[error("holder must be 1 to {HOLDER_CHARS_MAX} printable ASCII characters")]
    Holder,
    /// The document is too long.
    #[error("document must have at most {DOCUMENT_BYTES_MAX} bytes")]
    TooLong,
    /// The document is something else.
    #[error("document must be a JSON object")]
    NoObject,
    /// The fence or the number is one that nobody was given.
    #[error("fence and sequence are 1 to 2^63 - 1")]
    Number,
}

/// A save, as it was checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Saving {
    /// Which opening it goes with.
    pub fence: u64,
    /// Its number of that opening.
    pub sequence: u64,
    /// What is saved; `None`: what is there stays.
    pub document: Option<String>,
    /// The game's version of it.
    pub version: u32,
    /// The holder lets go.
    pub release: bool,
    /// When it came.
    pub now: UnixMs,
}

/// What becomes of a save.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Saved {
    /// It stands.
    Saved,
    /// It, or a later one of the same fence, stood already.
    Duplicate,
    /// Another holder has opened since, or nobody was given this fence.
    Stale,
}

/// Opens a state for `holder`: the row from now on, or `None` where another one holds it and is not to be forced.
pub fn open(row: &StateRow, holder: &str, force: bool) -> Option<StateRow> {
    if row.fence > 0 && row.holder == holder {
        return Some(StateRow { released: false, ..row.clone() });
    }
    if !row.released && !force {
        return None;
    }
    let fence = row.fence.saturating_add(1);
    Some(StateRow { fence, holder: holder.to_owned(), released: false, sequence: 0, ..row.clone() })
}

/// What a save does: its fate, and the row from now on where that changes.
pub fn save(row: &StateRow, saving: &Saving) -> (Saved, Option<StateRow>) {
    if saving.fence != row.fence {
        return (Saved::Stale, None);
    }
    if saving.sequence <= row.sequence {
        return (Saved::Duplicate, None);
    }
    let mut after = StateRow { sequence: saving.sequence, released: saving.release, ..row.clone() };
    if let Some(document) = &saving.document {
        after.document = Some(document.clone());
        (after.version, after.saved) = (saving.version, saving.now);
    }
    (Saved::Saved, Some(after))
}

/// Whether this names a state.
///
/// # Errors
/// It does not.
pub fn check_name(name: &str) -> Result<(), StateFault> {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let sound = (1..=NAME_CHARS_MAX).contains(&name.len()) && name.bytes().all(plain);
    sound.then_some(()).ok_or(StateFault::Name)
}

/// Whether this names a holder.
///
/// # Errors
/// It does not.
pub fn check_holder(holder: &str) -> Result<(), StateFault> {
    let sound =
        (1..=HOLDER_CHARS_MAX).contains(&holder.len()) && holder.bytes().all(|b| b.is_ascii_graphic());
    sound.then_some(()).ok_or(StateFault::Holder)
}

/// Whether a save can be one.
///
/// # Errors
/// What is wrong with it.
pub fn check_save(saving: &Saving) -> Result<(), StateFault> {
    let given = |number: u64| number > 0 && i64::try_from(number).is_ok();
    if !given(saving.fence) || !given(saving.sequence) {
        return Err(StateFault::Number);
    }
    let Some(document) = &saving.document else { return Ok(()) };
    if document.len() > DOCUMENT_BYTES_MAX {
        return Err(StateFault::TooLong);
    }
    // The null character is no text to Postgres, not even escaped.
    let sound = serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(document).is_ok();
    (sound && !document.contains('\0')).then_some(()).ok_or(StateFault::NoObject)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn saving(fence: u64, sequence: u64, document: &str) -> Saving {
        let document = Some(document.to_owned());
        Saving { fence, sequence, document, version: 1, release: false, now: UnixMs(5) }
    }

    #[test]
    fn whoever_opened_last_is_heard_and_nobody_else() {
        let a = open(&StateRow::default(), "a", false).expect("nobody holds it");
        assert_eq!((a.fence, open(&a, "a", false)), (1, Some(a.clone())), "asked again");
        assert_eq!(open(&a, "b", false), None, "held");
        let b = open(&a, "b", true).expect("forced");
        assert_eq!((b.fence, b.sequence), (2, 0));
        assert_eq!(save(&b, &saving(1, 9, "{}")), (Saved::Stale, None));
        assert_eq!(save(&b, &saving(3, 1, "{}")), (Saved::Stale, None), "nobody was given it");
        let (fate, after) = save(&b, &saving(2, 1, r#"{"x":1}"#));
        let after = after.expect("changed");
        assert_eq!((fate, after.document.as_deref(), after.sequence), (Saved::Saved, Some(r#"{"x":1}"#), 1));
        assert_eq!(save(&after, &saving(2, 1, "{}")), (Saved::Duplicate, None));
    }

    #[test]
    fn who_lets_go_may_come_back_and_the_next_one_need_not_wait() {
        let row = open(&StateRow::default(), "a", false).expect("free");
        let last = Saving { release: true, document: None, ..saving(1, 4, "") };
        let released = save(&row, &last).1.expect("changed");
        assert!(released.released && released.document.is_none());
        assert_eq!(open(&released, "a", false).map(|row| (row.fence, row.sequence)), Some((1, 4)));
        assert_eq!(open(&released, "b", false).map(|row| (row.fence, row.sequence)), Some((2, 0)));
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for name in ["", "Arena", "a b", "ä", &"x".repeat(33)] {
            assert_eq!(check_name(name), Err(StateFault::Name), "{name}");
        }
        assert_eq!((check_name("arena-2"), check_holder("s/1")), (Ok(()), Ok(())));
        assert_eq!(check_holder("a b"), Err(StateFault::Holder));
        let check = |document: &str| check_save(&saving(1, 1, document));
        assert_eq!(check(r#"{"a":[1]}"#), Ok(()));
        for document in ["", "[]", "1", "{\"a\":1", "{} {}", &"[".repeat(999), "{\"a\":\"\0\"}"] {
            assert_eq!(check(document), Err(StateFault::NoObject), "{document}");
        }
        let long = format!("{{\"a\":\"{}\"}}", "x".repeat(DOCUMENT_BYTES_MAX));
        assert_eq!(check(&long), Err(StateFault::TooLong));
        for (fence, sequence) in [(0, 1), (1, 0), (u64::MAX, 1)] {
            assert_eq!(check_save(&saving(fence, sequence, "{}")), Err(StateFault::Number));
        }
    }
}
