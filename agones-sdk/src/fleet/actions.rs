//! Owns: what an allocation changes on the server it takes: metadata, counters, lists.
//! Must never know: why this server was taken.

use crate::proto::allocation::{AllocationRequest, CounterAction, ListAction};
use crate::proto::sdk::GameServer;
use crate::proto::sdk::game_server::Status;
use crate::sidecar::capacity;

use super::select;

/// Applies the request to the server. An action that cannot be done is left out: the allocation holds all the same.
pub(super) fn apply(request: &AllocationRequest, server: &mut GameServer) {
    let patch = select::patch(request);
    let meta = server.meta_mut();
    meta.labels.extend(patch.labels);
    meta.annotations.extend(patch.annotations);
    let status = server.status_mut();
    for (name, action) in &request.counters {
        if !apply_counter(status, name, action) {
            tracing::warn!(counter = name, "counter action not done");
        }
    }
    for (name, action) in &request.lists {
        if !apply_list(status, name, action) {
            tracing::warn!(list = name, "list action not done");
        }
    }
}

/// Capacity first; then the count moves and is cut to 0..=capacity.
fn apply_counter(status: &mut Status, name: &str, action: &CounterAction) -> bool {
    let Some(counter) = status.counters.get_mut(name) else { return false };
    if let Some(capacity) = action.capacity.filter(|&capacity| capacity >= 0) {
        counter.capacity = capacity;
    }
    let amount = action.amount.unwrap_or(0);
    let moved = match action.action.as_deref() {
        Some("Increment") if amount >= 0 => counter.count.saturating_add(amount),
        Some("Decrement") if amount >= 0 => counter.count.saturating_sub(amount),
        None | Some("") => counter.count,
        Some(_) => return false,
    };
    counter.count = moved.min(counter.capacity).max(0);
    true
}

/// Capacity first; then values are added as far as they are new and fit; then values are deleted.
fn apply_list(status: &mut Status, name: &str, action: &ListAction) -> bool {
    let Some(list) = status.lists.get_mut(name) else { return false };
    if let Some(wanted) = action.capacity {
        if !(0..=capacity::LIST_CAPACITY_MAX).contains(&wanted) {
            return false;
        }
        list.capacity = wanted;
    }
    for value in &action.add_values {
        if !list.values.contains(value) {
            list.values.push(value.clone());
        }
    }
    capacity::truncate(list);
    list.values.retain(|value| !action.delete_values.contains(value));
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::allocation::MetaPatch;
    use crate::proto::sdk::game_server::status::{CounterStatus, ListStatus};

    fn server() -> GameServer {
        let mut server = GameServer::default();
        server.status_mut().counters.insert("rooms".into(), CounterStatus { count: 2, capacity: 5 });
        let players = ListStatus { capacity: 3, values: vec!["a".into(), "b".into()] };
        server.status_mut().lists.insert("players".into(), players);
        server
    }

    fn check_counter(action: &str, amount: i64, capacity: Option<i64>, expected: (i64, i64)) {
        let action = CounterAction { action: Some(action.into()), amount: Some(amount), capacity };
        let request = AllocationRequest { counters: [("rooms".into(), action)].into(), ..Default::default() };
        let mut server = server();
        apply(&request, &mut server);
        let counter = &server.status_mut().counters["rooms"];
        assert_eq!((counter.count, counter.capacity), expected);
    }

    #[test]
    fn counters_are_cut_to_their_range() {
        check_counter("Increment", 2, None, (4, 5));
        check_counter("Increment", 9, None, (5, 5));
        check_counter("Increment", 9, Some(20), (11, 20));
        check_counter("Decrement", 9, None, (0, 5));
        check_counter("Increment", i64::MAX, None, (5, 5));
        check_counter("Multiply", 2, None, (2, 5));
        check_counter("Increment", -1, None, (2, 5));
    }

    #[test]
    fn lists_grow_then_shrink() {
        let action = ListAction {
            add_values: vec!["b".into(), "c".into(), "d".into()],
            capacity: None,
            delete_values: vec!["a".into()],
        };
        let request = AllocationRequest { lists: [("players".into(), action)].into(), ..Default::default() };
        let mut server = server();
        apply(&request, &mut server);
        assert_eq!(server.status_mut().lists["players"].values, ["b", "c"]);
    }

    #[test]
    fn metadata_is_set_as_given() {
        let patch = MetaPatch {
            labels: [("mode".into(), "dm".into())].into(),
            annotations: [("tickwright.dev/match".into(), "{}".into())].into(),
        };
        let mut server = server();
        apply(&AllocationRequest { metadata: Some(patch), ..Default::default() }, &mut server);
        assert_eq!(
            (server.label("mode"), server.annotation("tickwright.dev/match")),
            (Some("dm"), Some("{}"))
        );
    }
}
