//! What a match needs of a server, written as Agones' allocation request. Pure.

use std::collections::BTreeMap;

use agones_sdk::allocation::{
    AllocationRequest, GameServerSelector, GameServerState, ListAction, ListSelector, MetaPatch,
};

use backend_proto::signature::{RESULT_KEY_ANNOTATION, ResultKey};

use super::sheet::{MATCH_ANNOTATION, MatchSheet};
use crate::ids::MatchId;

/// The label that carries the match's id.
const MATCH_LABEL: &str = "tickwright.dev/match-id";
/// The label by which Agones marks the servers of a fleet.
const FLEET_LABEL: &str = "agones.dev/fleet";
/// The list of a server's matches, by their ids.
const ROOMS: &str = "rooms";
/// So many sheets may stand side by side on a server: each is in the place that its match's id has among so many.
const SHEETS: u128 = 64;

/// Which servers are ours to take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selection {
    /// The servers' namespace.
    pub namespace: String,
    /// Servers of this fleet only; any if absent.
    pub fleet: Option<String>,
    /// Further labels that a server must have.
    pub labels: BTreeMap<String, String>,
    /// A server may hold several matches: one that is in use and has room in its list `rooms` is taken before a fresh one.
    pub shared: bool,
}

/// What a match wants.
#[derive(Clone, Debug, PartialEq)]
pub struct Wanted {
    /// Which match.
    pub id: MatchId,
    /// What its server is told.
    pub sheet: MatchSheet,
    /// What the server signs the result with. In an annotation of its own: sheets are shown, keys are not.
    pub result_key: Option<ResultKey>,
    /// Milliseconds to each region, one map for each player or party; empty if nobody measured.
    pub latencies: Vec<BTreeMap<String, u32>>,
    /// Nobody may play further away than this, milliseconds.
    pub latency_max_ms: Option<u32>,
}

impl Wanted {
    /// The request that takes a server of `selection`, in this region, for this match.
    pub(super) fn request(&self, selection: &Selection, region: &str) -> AllocationRequest {
        let fleet = selection.fleet.iter().map(|fleet| (FLEET_LABEL.to_owned(), fleet.clone()));
        let match_labels = fleet.chain(selection.labels.clone()).collect();
        let mut sheet = self.sheet.clone();
        if let Some(named) = sheet.backfill.as_mut().and_then(|terms| terms.get_mut("region"))
            && !region.is_empty()
        {
            // Where it is played in the end: another one than was thought of, where that had no server.
            *named = region.into();
        }
        let sheet = serde_json::to_string(&sheet).expect("a sheet is plain JSON");
        let mut annotations = BTreeMap::new();
        let mut note = |what: &str, text: &str| {
            annotations.insert(what.to_owned(), text.to_owned());
            if selection.shared {
                annotations.insert(format!("{what}-{}", self.id.as_u128() % SHEETS), text.to_owned());
            }
        };
        note(MATCH_ANNOTATION, &sheet);
        if let Some(key) = &self.result_key {
            note(RESULT_KEY_ANNOTATION, &key.to_text());
        }
        let fresh = GameServerSelector { match_labels, ..Default::default() };
        let (game_server_selectors, lists) = match selection.shared {
            true => (vec![in_use(&fresh), fresh], self.on_the_list()),
            false => (vec![fresh], BTreeMap::new()),
        };
        AllocationRequest {
            namespace: selection.namespace.clone(),
            game_server_selectors,
            lists,
            metadata: Some(MetaPatch {
                labels: [(MATCH_LABEL.to_owned(), self.id.to_string())].into(),
                annotations,
            }),
            ..Default::default()
        }
    }
    fn on_the_list(&self) -> BTreeMap<String, ListAction> {
        let add = ListAction { add_values: vec![self.id.to_string()], ..Default::default() };
        [(ROOMS.to_owned(), add)].into()
    }
}

/// Servers like these that have a match already, and room for another.
fn in_use(fresh: &GameServerSelector) -> GameServerSelector {
    let has_room = ListSelector { min_available: 1, ..Default::default() };
    let mut in_use = GameServerSelector { lists: [(ROOMS.to_owned(), has_room)].into(), ..fresh.clone() };
    in_use.set_game_server_state(GameServerState::Allocated);
    in_use
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_in_use_is_taken_first_where_servers_are_shared() {
        let sheet = MatchSheet {
            match_id: String::new(),
            mode: "arena".to_owned(),
            seconds: 60,
            seed: 1,
            players: Vec::new(),
            backfill: None,
        };
        let id = MatchId::from_u128(64 * 5 + 7);
        let result_key = Some(ResultKey::generate());
        let wanted = Wanted { id, sheet, result_key, latencies: Vec::new(), latency_max_ms: None };
        let selection = |shared| Selection {
            namespace: "games".to_owned(),
            fleet: Some("arena".to_owned()),
            labels: BTreeMap::new(),
            shared,
        };
        let alone = wanted.request(&selection(false), "");
        assert_eq!((alone.game_server_selectors.len(), alone.lists.len()), (1, 0));
        let annotations = |request: &AllocationRequest| -> Vec<String> {
            request.metadata.as_ref().unwrap().annotations.keys().cloned().collect()
        };
        assert_eq!(annotations(&alone), [MATCH_ANNOTATION, RESULT_KEY_ANNOTATION]);
        let shared = wanted.request(&selection(true), "");
        let [first, second] = &shared.game_server_selectors[..] else { panic!("two") };
        assert_eq!(first.game_server_state(), GameServerState::Allocated);
        assert_eq!((first.lists["rooms"].min_available, &first.match_labels), (1, &second.match_labels));
        assert_eq!(second, &alone.game_server_selectors[0]);
        assert_eq!(shared.lists["rooms"].add_values, [id.to_string()]);
        let places = [MATCH_ANNOTATION, RESULT_KEY_ANNOTATION].map(|name| format!("{name}-7"));
        assert!(
            places.iter().all(|place| annotations(&shared).contains(place)),
            "{:?}",
            annotations(&shared)
        );
        assert!(
            annotations(&alone).iter().all(|name| annotations(&shared).contains(name)),
            "for old servers"
        );
    }
}
