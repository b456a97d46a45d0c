//! Which servers stand on spot machines, which are cheap and can be taken away at short notice, and where a match goes.
//!
//! A match that ends within the notice loses nothing on a spot machine; a longer one goes to an on-demand machine as
//! long as there is one. When a notice comes the machine is cordoned: what is ready on it goes at once, what is in use
//! may finish within the notice.

/// How the fleet is divided.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SpotRules {
    /// The share of all servers that stands on spot machines, 0..=1; 0.6 to 0.7 keeps a third that nobody takes away.
    pub share: f64,
    /// On-demand servers there are always so many, whatever the share.
    pub on_demand_min: u32,
    /// From the notice to the end of a spot machine, seconds: AWS 120, GCP and Azure 30.
    pub notice_s: u32,
}

impl Default for SpotRules {
    fn default() -> Self {
        Self { share: 0.65, on_demand_min: 2, notice_s: 120 }
    }
}

/// How many servers of which kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mix {
    /// On spot machines.
    pub spot: u32,
    /// On machines that stay.
    pub on_demand: u32,
}

impl SpotRules {
    /// Divides so many servers; the parts add up to the whole.
    pub fn divide(&self, replicas: u32) -> Mix {
        let most = replicas.saturating_sub(self.on_demand_min.min(replicas));
        let spot = ((f64::from(replicas) * self.share.clamp(0.0, 1.0)).floor() as u32).min(most);
        Mix { spot, on_demand: replicas - spot }
    }

    /// Whether a match of this length should rather be on a spot machine.
    pub fn prefers_spot(&self, match_s: u32) -> bool {
        match_s <= self.notice_s
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_add_up_and_the_share_holds() {
        let rules = SpotRules::default();
        for replicas in 0..2000 {
            let mix = rules.divide(replicas);
            assert_eq!(mix.spot + mix.on_demand, replicas);
            assert!(mix.on_demand >= rules.on_demand_min.min(replicas));
            if replicas >= 20 {
                let share = f64::from(mix.spot) / f64::from(replicas);
                assert!((0.60..=0.70).contains(&share), "{replicas}: {share}");
            }
        }
        assert_eq!(SpotRules { share: 7.0, ..rules }.divide(10), Mix { spot: 8, on_demand: 2 });
    }

    #[test]
    fn long_matches_stay_off_spot_machines() {
        let rules = SpotRules { notice_s: 30, ..SpotRules::default() };
        assert!(rules.prefers_spot(30) && !rules.prefers_spot(31));
    }
}
