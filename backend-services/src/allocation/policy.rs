//! Which cluster of a region is asked first: Agones' `GameServerAllocationPolicy`. Pure: the dice are an argument.
//!
//! The lowest priority number comes first; among equals the order is drawn, a cluster of weight 2 comes before one of
//! weight 1 in two of three draws. A cluster of weight 0 comes after all others of its priority.

use serde::Deserialize;

/// The object's `spec`, as in the cluster; YAML turned into JSON.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AllocationPolicy {
    /// Lower comes first.
    #[serde(default)]
    pub priority: u32,
    /// Share among those of the same priority.
    #[serde(default)]
    pub weight: u32,
    /// Where the cluster is.
    pub connection_info: ConnectionInfo,
}

/// How a cluster's allocator is reached.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ConnectionInfo {
    /// The cluster's name, for logs.
    #[serde(default)]
    pub cluster_name: String,
    /// Host, `host:port` or URL; the next is asked where one cannot be reached.
    pub allocation_endpoints: Vec<String>,
    /// The secret with our certificate and key.
    #[serde(default)]
    pub secret_name: String,
    /// The game servers' namespace there.
    #[serde(default)]
    pub namespace: String,
    /// The authority of the allocator's certificate: PEM in base64.
    #[serde(default)]
    pub server_ca: String,
}

/// Priority and weight of one cluster.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rank {
    /// Lower comes first.
    pub priority: u32,
    /// Share among those of the same priority.
    pub weight: u32,
}

/// The order in which clusters are asked, by index; `dice` gives numbers in 0..1.
///
/// Within a priority each next one is drawn with the probability of its share of the weight that is left.
pub fn order(ranks: &[Rank], mut dice: impl FnMut() -> f64) -> Vec<usize> {
    let mut left: Vec<usize> = (0..ranks.len()).collect();
    left.sort_by_key(|index| ranks[*index].priority);
    let mut order = Vec::with_capacity(left.len());
    while let Some(first) = left.first() {
        let priority = ranks[*first].priority;
        let peers = left.iter().take_while(|index| ranks[**index].priority == priority).count();
        let drawn = draw(&left[..peers], ranks, dice());
        order.push(left.remove(drawn));
    }
    order
}

/// The place in `peers` on which `unit` falls when they share 0..1 by weight.
fn draw(peers: &[usize], ranks: &[Rank], unit: f64) -> usize {
    let total: u64 = peers.iter().map(|index| u64::from(ranks[*index].weight)).sum();
    let mut left = unit * total as f64;
    for (place, index) in peers.iter().enumerate() {
        let weight = f64::from(ranks[*index].weight);
        if left < weight {
            return place;
        }
        left -= weight;
    }
    // All that are left weigh nothing, or rounding left a trace: the first that weighs most.
    peers
        .iter()
        .enumerate()
        .max_by_key(|(place, index)| (ranks[**index].weight, std::cmp::Reverse(*place)))
        .map_or(0, |(place, _)| place)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ranks(pairs: &[(u32, u32)]) -> Vec<Rank> {
        pairs.iter().map(|(priority, weight)| Rank { priority: *priority, weight: *weight }).collect()
    }

    #[track_caller]
    fn check(pairs: &[(u32, u32)], dice: &[f64], expected: &[usize]) {
        let mut dice = dice.iter().copied().cycle();
        assert_eq!(order(&ranks(pairs), || dice.next().unwrap_or(0.0)), expected, "{pairs:?}");
    }

    #[test]
    fn priority_first_then_the_draw() {
        check(&[], &[0.5], &[]);
        check(&[(2, 1), (1, 1), (3, 1)], &[0.5], &[1, 0, 2]);
        check(&[(1, 100), (1, 300)], &[0.24], &[0, 1]);
        check(&[(1, 100), (1, 300)], &[0.26], &[1, 0]);
        check(&[(2, 900), (1, 1), (1, 3)], &[0.5, 0.0, 0.0], &[2, 1, 0]);
        // Nothing weighs anything: as they come.
        check(&[(1, 0), (1, 0)], &[0.99], &[0, 1]);
        check(&[(1, 0), (1, 5), (1, 0)], &[0.0], &[1, 0, 2]);
        check(&[(1, u32::MAX), (1, u32::MAX)], &[0.999_999], &[1, 0]);
    }

    #[test]
    fn shares_follow_the_weights() {
        let ranks = ranks(&[(1, 1), (1, 2), (1, 7)]);
        let mut rng = fastrand::Rng::with_seed(7);
        let mut first = [0_u32; 3];
        for _ in 0..20_000 {
            first[order(&ranks, || rng.f64())[0]] += 1;
        }
        for (count, share) in first.into_iter().zip([0.1, 0.2, 0.7]) {
            assert!((f64::from(count) / 20_000.0 - share).abs() < 0.015, "{first:?}");
        }
    }

    #[test]
    fn every_cluster_comes_once() {
        let mut rng = fastrand::Rng::with_seed(11);
        for _ in 0..500 {
            let ranks: Vec<Rank> =
                (0..rng.usize(..9)).map(|_| Rank { priority: rng.u32(..3), weight: rng.u32(..3) }).collect();
            let order = order(&ranks, || rng.f64());
            assert!(order.windows(2).all(|pair| ranks[pair[0]].priority <= ranks[pair[1]].priority));
            let mut sorted = order;
            sorted.sort_unstable();
            assert_eq!(sorted, (0..ranks.len()).collect::<Vec<_>>());
        }
    }

    #[test]
    fn the_clusters_own_object_is_read() {
        let policy: AllocationPolicy = serde_json::from_str(
            r#"{"priority":1,"weight":100,"connectionInfo":{"clusterName":"eu-1","allocationEndpoints":["10.0.0.1"],
                "secretName":"allocator-client.default","namespace":"games","serverCa":"LS0t"}}"#,
        )
        .expect("an object as in the contract");
        assert_eq!((policy.priority, policy.weight), (1, 100));
        assert_eq!(policy.connection_info.allocation_endpoints, ["10.0.0.1"]);
        assert!(serde_json::from_str::<AllocationPolicy>(r#"{"priority":-1,"connectionInfo":{}}"#).is_err());
    }
}
