//! Owns: which feature gates there are, and which are open. Must never know: what is behind one.

use std::str::FromStr;

use super::refusal::Refusal;

/// The gates that change what a sidecar answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FeatureGates {
    /// Counters and lists (beta, open unless closed).
    pub counts_and_lists: bool,
    /// Player tracking (alpha, closed unless opened, being withdrawn upstream in favour of lists).
    pub player_tracking: bool,
}

impl Default for FeatureGates {
    /// Upstream's own.
    fn default() -> Self {
        Self { counts_and_lists: true, player_tracking: false }
    }
}

impl FeatureGates {
    pub(super) fn check_counts_and_lists(self) -> Result<(), Refusal> {
        if self.counts_and_lists { Ok(()) } else { Err(Refusal::NotEnabled("CountsAndLists")) }
    }

    pub(super) fn check_player_tracking(self) -> Result<(), Refusal> {
        if self.player_tracking { Ok(()) } else { Err(Refusal::NotEnabled("PlayerTracking")) }
    }
}

/// Gates that Agones has and that change nothing here: a sidecar takes the cluster's whole list.
const OTHERS: [&str; 12] = [
    "AutopilotPassthroughPort",
    "DisableResyncOnSDKServer",
    "FleetAutoscaleRequestMetaData",
    "GKEAutopilotExtendedDurationPods",
    "PlayerAllocationFilter",
    "PortPolicyNone",
    "PortRanges",
    "ProcessorAllocator",
    "RollingUpdateFix",
    "ScheduledAutoscaler",
    "SidecarContainers",
    "WasmAutoscaler",
];

impl FromStr for FeatureGates {
    type Err = String;

    /// As a URL's query, `PlayerTracking=true&CountsAndLists=false`; what is not named stays as it is by default.
    fn from_str(text: &str) -> Result<Self, String> {
        let mut gates = Self::default();
        for pair in text.split('&').map(str::trim).filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let open = match value.to_ascii_lowercase().as_str() {
                "true" | "1" | "t" => true,
                "false" | "0" | "f" => false,
                _ => return Err(format!("feature gate {name:?} is {value:?}, not true or false")),
            };
            match name {
                "CountsAndLists" => gates.counts_and_lists = open,
                "PlayerTracking" => gates.player_tracking = open,
                other if OTHERS.contains(&other) => {}
                _ => return Err(format!("there is no feature gate {name:?}")),
            }
        }
        Ok(gates)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gates_are_read_as_a_query() {
        let check = |text: &str, counts_and_lists, player_tracking| {
            assert_eq!(text.parse(), Ok(FeatureGates { counts_and_lists, player_tracking }), "{text}");
        };
        check("", true, false);
        check("PlayerTracking=true", true, true);
        check("CountsAndLists=false&PlayerTracking=TRUE&SidecarContainers=true", false, true);
        for wrong in ["PlayerTracking", "PlayerTracking=yes", "Teleport=true", "=true"] {
            assert!(wrong.parse::<FeatureGates>().is_err(), "{wrong}");
        }
    }
}
