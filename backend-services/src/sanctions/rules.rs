//! What can be a sanction, and who is banned at a time. Pure.

use std::borrow::Cow;

use crate::clock::UnixMs;
use crate::store::BanRow;

/// A reason has so many bytes at most.
pub const REASON_BYTES_MAX: usize = 256;
/// Who decided is named in so many bytes at most.
pub const ACTOR_BYTES_MAX: usize = 64;

/// A sanction, by what it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Out of the running match.
    Kick,
    /// Out of everything until then; `None`: for ever.
    Ban(Option<UnixMs>),
    /// Back again.
    Unban,
}

impl Kind {
    /// As it is kept.
    pub fn name(self) -> &'static str {
        match self {
            Self::Kick => "kick",
            Self::Ban(_) => "ban",
            Self::Unban => "unban",
        }
    }
}

/// What was asked makes no sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SanctionFault {
    /// The reason is too long, or has what is no text.
    #[error("reason must have at most {REASON_BYTES_MAX} bytes without control characters")]
    Reason,
    /// Who decided is not said.
    #[error("actor must be 1 to {ACTOR_BYTES_MAX} bytes without control characters")]
    Actor,
    /// A ban that is over before it begins.
    #[error("until_unix_ms must be in the future, or 0: for ever")]
    Past,
}

/// Whether a sanction can be one.
///
/// # Errors
/// What is wrong with it.
pub fn check(kind: Kind, reason: &str, actor: &str, now: UnixMs) -> Result<(), SanctionFault> {
    let plain = |text: &str| !text.chars().any(char::is_control);
    if reason.len() > REASON_BYTES_MAX || !plain(reason) {
        return Err(SanctionFault::Reason);
    }
    if !(1..=ACTOR_BYTES_MAX).contains(&actor.len()) || !plain(actor) {
        return Err(SanctionFault::Actor);
    }
    match kind {
        Kind::Ban(Some(until)) if until <= now => Err(SanctionFault::Past),
        _ => Ok(()),
    }
}

/// The ban, if it stands at `now`.
pub fn ban_now(ban: Option<BanRow>, now: UnixMs) -> Option<BanRow> {
    ban.filter(|ban| ban.until.is_none_or(|until| until > now))
}

/// What a banned player is told.
pub fn sentence(ban: &BanRow) -> Cow<'static, str> {
    let until = match ban.until {
        Some(until) => format!("until {} (Unix milliseconds)", until.0),
        None => "for ever".to_owned(),
    };
    match ban.reason.as_str() {
        "" => format!("you are banned {until}").into(),
        reason => format!("you are banned {until}: {reason}").into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixMs = UnixMs(1000);

    #[test]
    fn a_ban_ends_by_itself() {
        let ban = |until: Option<i64>| BanRow { until: until.map(UnixMs), reason: "x".into(), at: UnixMs(1) };
        let stands = |ban: BanRow| ban_now(Some(ban), NOW).is_some();
        assert!(stands(ban(None)) && stands(ban(Some(1001))) && !stands(ban(Some(1000))));
        assert_eq!(ban_now(None, NOW), None);
        assert_eq!(sentence(&ban(None)), "you are banned for ever: x");
        assert_eq!(
            sentence(&BanRow { reason: String::new(), ..ban(Some(5)) }),
            "you are banned until 5 (Unix milliseconds)"
        );
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let check = |kind, reason: &str, actor: &str| check(kind, reason, actor, NOW);
        assert_eq!(check(Kind::Kick, "", "ops"), Ok(()));
        assert_eq!(check(Kind::Ban(None), "für immer", "ops"), Ok(()));
        assert_eq!(check(Kind::Ban(Some(NOW)), "", "ops"), Err(SanctionFault::Past));
        assert_eq!(check(Kind::Kick, &"x".repeat(257), "ops"), Err(SanctionFault::Reason));
        assert_eq!(check(Kind::Kick, "a\nb", "ops"), Err(SanctionFault::Reason));
        assert_eq!(check(Kind::Unban, "", ""), Err(SanctionFault::Actor));
    }
}
