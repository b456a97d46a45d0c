//! Owns: which servers an allocation fits (contract of the Agones allocator).
//! Must never know: how a server is taken, or that anybody else takes one too.

use std::collections::BTreeMap;

use crate::proto::allocation::game_server_selector::GameServerState;
use crate::proto::allocation::label_match_expressions::Operator;
use crate::proto::allocation::{
    AllocationRequest, CounterSelector, GameServerSelector, LabelMatchExpressions, ListSelector, MetaPatch,
};
use crate::proto::sdk::GameServer;
use crate::proto::sdk::game_server::Status;
use crate::sidecar::capacity;
use crate::state::State;

/// The request's selectors in the order they are tried; the deprecated fields count only where the new one is empty.
pub(super) fn selectors(request: &AllocationRequest) -> Vec<GameServerSelector> {
    if !request.game_server_selectors.is_empty() {
        return request.game_server_selectors.clone();
    }
    let required = request.required_game_server_selector.clone().unwrap_or_default();
    request.preferred_game_server_selectors.iter().cloned().chain([required]).collect()
}

/// The request's patch; the deprecated field counts only where the new one is missing.
pub(super) fn patch(request: &AllocationRequest) -> MetaPatch {
    request.metadata.clone().or_else(|| request.meta_patch.clone()).unwrap_or_default()
}

/// Whether a server fits: labels, then state, then counters and lists.
pub(super) fn matches(selector: &GameServerSelector, server: &GameServer) -> bool {
    let no_labels = BTreeMap::new();
    let labels = server.object_meta.as_ref().map_or(&no_labels, |meta| &meta.labels);
    let state = match selector.game_server_state() {
        GameServerState::Ready => State::Ready,
        GameServerState::Allocated => State::Allocated,
    };
    let no_status = Status::default();
    let status = server.status.as_ref().unwrap_or(&no_status);
    selector.match_labels.iter().all(|(key, value)| labels.get(key) == Some(value))
        && selector.match_expressions.iter().all(|expression| expression_holds(expression, labels))
        && server.state() == Some(state)
        && selector.counters.iter().all(|(name, bounds)| counter_fits(status, name, bounds))
        && selector.lists.iter().all(|(name, bounds)| list_fits(status, name, bounds))
}

fn expression_holds(expression: &LabelMatchExpressions, labels: &BTreeMap<String, String>) -> bool {
    let value = labels.get(&expression.key);
    let listed = value.is_some_and(|value| expression.values.contains(value));
    match expression.operator() {
        Operator::In => listed,
        // As in Kubernetes: a label that is missing is not in the set.
        Operator::NotIn => !listed,
        Operator::Exists => value.is_some(),
        Operator::DoesNotExist => value.is_none(),
    }
}

fn counter_fits(status: &Status, name: &str, bounds: &CounterSelector) -> bool {
    status.counters.get(name).is_some_and(|counter| {
        let available = counter.capacity.saturating_sub(counter.count);
        within(counter.count, bounds.min_count, bounds.max_count)
            && within(available, bounds.min_available, bounds.max_available)
    })
}

fn list_fits(status: &Status, name: &str, bounds: &ListSelector) -> bool {
    status.lists.get(name).is_some_and(|list| {
        within(capacity::available(list), bounds.min_available, bounds.max_available)
            && (bounds.contains_value.is_empty() || list.values.contains(&bounds.contains_value))
    })
}

/// A maximum of 0 is none.
fn within(value: i64, min: i64, max: i64) -> bool {
    value >= min && (max == 0 || value <= max)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::sdk::game_server::status::{CounterStatus, ListStatus};

    fn server(name: &str, state: State, labels: &[(&str, &str)], rooms: Option<(i64, i64)>) -> GameServer {
        let mut server = GameServer::default();
        name.clone_into(&mut server.meta_mut().name);
        let labels = labels.iter().map(|&(key, value)| (key.to_owned(), value.to_owned()));
        server.meta_mut().labels = labels.collect();
        state.name().clone_into(&mut server.status_mut().state);
        if let Some((count, capacity)) = rooms {
            server.status_mut().counters.insert("rooms".into(), CounterStatus { count, capacity });
        }
        server
    }

    fn any() -> GameServerSelector {
        GameServerSelector::default()
    }

    #[test]
    fn labels_and_state_decide() {
        let ready = server("a", State::Ready, &[("tier", "gold")], None);
        let allocated = server("b", State::Allocated, &[], None);
        let gold =
            GameServerSelector { match_labels: [("tier".to_owned(), "gold".to_owned())].into(), ..any() };
        assert!(matches(&any(), &ready) && matches(&gold, &ready));
        assert!(!matches(&any(), &allocated) && !matches(&gold, &allocated));
        let mut again = any();
        again.set_game_server_state(GameServerState::Allocated);
        assert!(matches(&again, &allocated) && !matches(&again, &ready));
        for state in [State::Shutdown, State::Unhealthy, State::Scheduled, State::Reserved] {
            assert!(!matches(&any(), &server("c", state, &[], None)));
        }
    }

    #[test]
    fn expressions_follow_kubernetes() {
        let labelled = server("a", State::Ready, &[("tier", "gold")], None);
        let bare = server("b", State::Ready, &[], None);
        let check = |operator: Operator, values: &[&str], on_labelled, on_bare| {
            let mut expression = LabelMatchExpressions { key: "tier".into(), ..Default::default() };
            expression.set_operator(operator);
            expression.values = values.iter().map(|&value| value.to_owned()).collect();
            let selector = GameServerSelector { match_expressions: vec![expression], ..any() };
            assert_eq!((matches(&selector, &labelled), matches(&selector, &bare)), (on_labelled, on_bare));
        };
        check(Operator::In, &["gold", "iron"], true, false);
        check(Operator::In, &["iron"], false, false);
        check(Operator::NotIn, &["gold"], false, true);
        check(Operator::Exists, &[], true, false);
        check(Operator::DoesNotExist, &[], false, true);
    }

    #[test]
    fn counters_and_lists_must_exist_and_fit() {
        let mut half = server("a", State::Ready, &[], Some((5, 10)));
        half.status_mut()
            .lists
            .insert("players".into(), ListStatus { capacity: 3, values: vec!["p".into()] });
        let counter =
            |bounds| GameServerSelector { counters: [("rooms".to_owned(), bounds)].into(), ..any() };
        let list = |bounds| GameServerSelector { lists: [("players".to_owned(), bounds)].into(), ..any() };
        let wide = CounterSelector::default();
        assert!(matches(&counter(wide), &half));
        assert!(!matches(&counter(wide), &server("b", State::Ready, &[], None)));
        assert!(!matches(&counter(CounterSelector { min_available: 6, ..wide }), &half));
        assert!(!matches(&counter(CounterSelector { max_count: 4, ..wide }), &half));
        assert!(matches(
            &list(ListSelector { contains_value: "p".into(), min_available: 2, max_available: 2 }),
            &half
        ));
        assert!(!matches(&list(ListSelector { contains_value: "q".into(), ..Default::default() }), &half));
        assert!(!matches(&list(ListSelector { max_available: 1, ..Default::default() }), &half));
    }

    #[test]
    fn deprecated_fields_count_only_alone() {
        let labelled =
            |tier: &str| GameServerSelector { match_labels: [("tier".into(), tier.into())].into(), ..any() };
        let mut request = AllocationRequest {
            required_game_server_selector: Some(labelled("required")),
            preferred_game_server_selectors: vec![labelled("preferred")],
            ..Default::default()
        };
        assert_eq!(selectors(&request), [labelled("preferred"), labelled("required")]);
        request.game_server_selectors = vec![labelled("new")];
        assert_eq!(selectors(&request), [labelled("new")]);
        assert_eq!(selectors(&AllocationRequest::default()), [any()]);
    }
}
