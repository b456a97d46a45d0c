//! Owns: which calls a client made, against the list that it should make (`sdk-server --test`).
//! Must never know: gRPC, HTTP, or what a call does.

use std::collections::BTreeSet;

use crate::proto::beta::CounterUpdateRequest;

/// The calls that have a name in the conformance mode.
pub const CALLS: [&str; 24] = [
    "addlistvalue",
    "allocate",
    "gameserver",
    "getconnectedplayers",
    "getcounter",
    "getlist",
    "getplayercapacity",
    "getplayercount",
    "health",
    "isplayerconnected",
    "playerconnect",
    "playerdisconnect",
    "ready",
    "removelistvalue",
    "reserve",
    "setannotation",
    "setcapacitycounter",
    "setcountcounter",
    "setlabel",
    "setplayercapacity",
    "shutdown",
    "updatecounter",
    "updatelist",
    "watch",
];

/// The calls that a client should make.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expected(BTreeSet<&'static str>);

/// What a client did otherwise.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("calls are not as expected: missing [{}], unexpected [{}]", .missing.join(","), .unexpected.join(","))]
pub struct Deviation {
    /// Expected, and not made.
    pub missing: Vec<&'static str>,
    /// Made, and not expected.
    pub unexpected: Vec<&'static str>,
}

impl std::str::FromStr for Expected {
    type Err = String;

    /// Names with commas between them.
    fn from_str(text: &str) -> Result<Self, String> {
        let known = |name: &str| CALLS.into_iter().find(|call| *call == name);
        let names = text.split(',').map(str::trim).filter(|name| !name.is_empty());
        let calls: Result<BTreeSet<_>, _> = names
            .map(|name| known(name).ok_or_else(|| format!("{name:?} is no call that is recorded")))
            .collect();
        calls
            .and_then(|calls| if calls.is_empty() { Err("no call is named".into()) } else { Ok(Self(calls)) })
    }
}

impl Expected {
    /// As the real one compares: as sets; how often and in which order does not count.
    ///
    /// # Errors
    /// A call is missing, or one was made that is not on the list.
    pub fn compare(&self, made: &BTreeSet<&'static str>) -> Result<(), Deviation> {
        let missing: Vec<_> = self.0.difference(made).copied().collect();
        let unexpected: Vec<_> = made.difference(&self.0).copied().collect();
        if missing.is_empty() && unexpected.is_empty() {
            Ok(())
        } else {
            Err(Deviation { missing, unexpected })
        }
    }
}

/// One RPC updates a counter in three ways, each with a name.
pub(super) fn of_update(update: &CounterUpdateRequest) -> impl Iterator<Item = &'static str> {
    let calls = [
        (update.capacity.is_some(), "setcapacitycounter"),
        (update.count.is_some(), "setcountcounter"),
        (update.count_diff != 0, "updatecounter"),
    ];
    calls.into_iter().filter_map(|(made, call)| made.then_some(call))
}

/// Of player tracking, a call counts only with the one player that proves it, as at the real one: alone here after it came
/// and while it is asked for, and nobody here after the last has left.
pub(super) fn of_players(call: &'static str, id: &str, here: &[String]) -> Option<&'static str> {
    let counts = match call {
        "playerconnect" => here == [PROOF],
        "playerdisconnect" => here.is_empty(),
        "isplayerconnected" => here.join(",") == id,
        _ => true,
    };
    counts.then_some(call)
}

/// The id that `playerconnect` counts with.
const PROOF: &str = "1234";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_are_compared() {
        let expected: Expected = "ready, health,ready".parse().unwrap();
        assert_eq!(expected.compare(&["health", "ready"].into()), Ok(()));
        let deviation = expected.compare(&["ready", "watch"].into()).unwrap_err();
        assert_eq!(deviation.to_string(), "calls are not as expected: missing [health], unexpected [watch]");
        assert!("ready,reddy".parse::<Expected>().unwrap_err().contains("reddy"));
        assert!(" ,".parse::<Expected>().is_err());
    }

    #[test]
    fn players_are_proved_by_one() {
        let one = ["1234".to_owned()];
        assert_eq!(of_players("playerconnect", "1234", &one), Some("playerconnect"));
        assert_eq!(of_players("playerconnect", "a", &["a".to_owned()]), None);
        assert_eq!(of_players("isplayerconnected", "1234", &one), Some("isplayerconnected"));
        assert_eq!(of_players("isplayerconnected", "a", &one), None);
        assert_eq!(of_players("playerdisconnect", "1234", &one), None);
        assert_eq!(of_players("playerdisconnect", "1234", &[]), Some("playerdisconnect"));
        assert_eq!(of_players("getplayercount", "", &one), Some("getplayercount"));
    }

    #[test]
    fn a_counter_is_updated_in_three_ways() {
        let update = CounterUpdateRequest { capacity: Some(1), count_diff: 2, ..Default::default() };
        assert_eq!(of_update(&update).collect::<Vec<_>>(), ["setcapacitycounter", "updatecounter"]);
        let update = CounterUpdateRequest { count: Some(0), ..Default::default() };
        assert_eq!(of_update(&update).collect::<Vec<_>>(), ["setcountcounter"]);
    }
}
