//! What a match needs of a server, written as Agones' allocation request. Pure.

use std::collections::BTreeMap;

use agones_sdk::allocation::{AllocationRequest, GameServerSelector, MetaPatch};

use backend_proto::signature::{RESULT_KEY_ANNOTATION, ResultKey};

use super::sheet::{MATCH_ANNOTATION, MatchSheet};
use crate::ids::MatchId;

/// The label that carries the match's id.
const MATCH_LABEL: &str = "tickwright.dev/match-id";
/// The label by which Agones marks the servers of a fleet.
const FLEET_LABEL: &str = "agones.dev/fleet";

/// Which servers are ours to take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selection {
    /// The servers' namespace.
    pub namespace: String,
    /// Servers of this fleet only; any if absent.
    pub fleet: Option<String>,
    /// Further labels that a server must have.
    pub labels: BTreeMap<String, String>,
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
        let mut annotations = BTreeMap::from([(MATCH_ANNOTATION.to_owned(), sheet)]);
        if let Some(key) = &self.result_key {
            annotations.insert(RESULT_KEY_ANNOTATION.to_owned(), key.to_text());
        }
        AllocationRequest {
            namespace: selection.namespace.clone(),
            game_server_selectors: vec![GameServerSelector { match_labels, ..Default::default() }],
            metadata: Some(MetaPatch {
                labels: [(MATCH_LABEL.to_owned(), self.id.to_string())].into(),
                annotations,
            }),
            ..Default::default()
        }
    }
}
