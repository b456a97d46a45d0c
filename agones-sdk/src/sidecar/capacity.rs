//! Owns: the rules of counters and lists. Must never know: who asks, or where the status is kept.

use std::collections::BTreeMap;

use super::refusal::Refusal;
use crate::proto::beta::{Counter, CounterUpdateRequest, List};
use crate::proto::sdk::game_server::Status;
use crate::proto::sdk::game_server::status::{CounterStatus, ListStatus};

/// The largest capacity of a list.
pub(crate) const LIST_CAPACITY_MAX: i64 = 1000;

/// The counter of this name.
pub(crate) fn counter(status: &Status, name: &str) -> Result<Counter, Refusal> {
    let counter = status.counters.get(name).ok_or_else(|| Refusal::NoCounter(name.to_owned()))?;
    Ok(Counter { name: name.to_owned(), count: counter.count, capacity: counter.capacity })
}

/// Changes a counter: capacity first, then count, then the difference; all or nothing.
pub(crate) fn update_counter(status: &mut Status, update: &CounterUpdateRequest) -> Result<Counter, Refusal> {
    let mut next = counter(status, &update.name)?;
    if let Some(capacity) = update.capacity {
        next.capacity = capacity;
        if capacity < 0 {
            return Err(Refusal::CounterCapacity(capacity));
        }
    }
    // A capacity alone may fall below the count: only a new count is held against it.
    if update.count.is_some() || update.count_diff != 0 {
        next.count = update.count.unwrap_or(next.count).saturating_add(update.count_diff);
        if !(0..=next.capacity).contains(&next.count) {
            return Err(Refusal::CountRange { count: next.count, capacity: next.capacity });
        }
    }
    let kept = CounterStatus { count: next.count, capacity: next.capacity };
    status.counters.insert(update.name.clone(), kept);
    Ok(next)
}

/// The list of this name.
pub(crate) fn list(status: &Status, name: &str) -> Result<List, Refusal> {
    let list = status.lists.get(name).ok_or_else(|| Refusal::NoList(name.to_owned()))?;
    Ok(List { name: name.to_owned(), capacity: list.capacity, values: list.values.clone() })
}

/// Overwrites those fields of a list that `mask` names; values beyond the capacity are cut off.
pub(crate) fn update_list(
    status: &mut Status,
    list: &List,
    mask: &[String],
    capacity_max: i64,
) -> Result<List, Refusal> {
    if let Some(unknown) = mask.iter().find(|path| !["name", "capacity", "values"].contains(&path.as_str())) {
        return Err(Refusal::Invalid(format!("Field Mask Path(s): {unknown} are invalid for List")));
    }
    if !(0..=capacity_max).contains(&list.capacity) {
        return Err(Refusal::ListCapacity(list.capacity));
    }
    let kept = find_list(&mut status.lists, &list.name)?;
    if mask.iter().any(|path| path == "capacity") {
        kept.capacity = list.capacity;
    }
    if mask.iter().any(|path| path == "values") {
        kept.values.clone_from(&list.values);
    }
    truncate(kept);
    self::list(status, &list.name)
}

/// Appends a value.
pub(crate) fn add_list_value(status: &mut Status, name: &str, value: &str) -> Result<List, Refusal> {
    let list = find_list(&mut status.lists, name)?;
    if available(list) <= 0 {
        return Err(Refusal::ListFull { capacity: list.capacity, size: list.values.len() });
    }
    if list.values.iter().any(|known| known == value) {
        return Err(Refusal::ValueExists { list: name.to_owned(), value: value.to_owned() });
    }
    list.values.push(value.to_owned());
    self::list(status, name)
}

/// Removes a value.
pub(crate) fn remove_list_value(status: &mut Status, name: &str, value: &str) -> Result<List, Refusal> {
    let list = find_list(&mut status.lists, name)?;
    let Some(index) = list.values.iter().position(|known| known == value) else {
        return Err(Refusal::NoValue { list: name.to_owned(), value: value.to_owned() });
    };
    list.values.remove(index);
    self::list(status, name)
}

/// How many more values a list takes; negative when it holds too many.
pub(crate) fn available(list: &ListStatus) -> i64 {
    list.capacity - i64::try_from(list.values.len()).unwrap_or(i64::MAX)
}

/// Cuts off the values beyond the capacity.
pub(crate) fn truncate(list: &mut ListStatus) {
    list.values.truncate(usize::try_from(list.capacity).unwrap_or(0));
}

fn find_list<'a>(
    lists: &'a mut BTreeMap<String, ListStatus>,
    name: &str,
) -> Result<&'a mut ListStatus, Refusal> {
    lists.get_mut(name).ok_or_else(|| Refusal::NoList(name.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status() -> Status {
        let mut status = Status::default();
        status.counters.insert("rooms".into(), CounterStatus { count: 1, capacity: 10 });
        status.lists.insert("players".into(), ListStatus { capacity: 2, values: vec!["a".into()] });
        status
    }

    fn check_counter(
        count: Option<i64>,
        capacity: Option<i64>,
        count_diff: i64,
        expected: &Result<(i64, i64), Refusal>,
    ) {
        let mut status = status();
        let update = CounterUpdateRequest { name: "rooms".into(), count, capacity, count_diff };
        let found = update_counter(&mut status, &update).map(|c| (c.count, c.capacity));
        let kept = &status.counters["rooms"];
        assert_eq!((kept.count, kept.capacity), *found.as_ref().unwrap_or(&(1, 10)), "all or nothing");
        assert_eq!(&found, expected);
    }

    #[test]
    fn counters_stay_in_their_range() {
        check_counter(Some(5), None, 0, &Ok((5, 10)));
        check_counter(None, None, 9, &Ok((10, 10)));
        check_counter(None, Some(20), 15, &Ok((16, 20)));
        check_counter(None, None, 10, &Err(Refusal::CountRange { count: 11, capacity: 10 }));
        check_counter(None, None, -2, &Err(Refusal::CountRange { count: -1, capacity: 10 }));
        check_counter(None, None, i64::MAX, &Err(Refusal::CountRange { count: i64::MAX, capacity: 10 }));
        check_counter(None, Some(-1), 0, &Err(Refusal::CounterCapacity(-1)));
        check_counter(None, Some(0), 0, &Ok((1, 0)));
    }

    #[test]
    fn lists_hold_each_value_once_and_no_more_than_they_can() {
        let mut status = status();
        let exists = Refusal::ValueExists { list: "players".into(), value: "a".into() };
        assert_eq!(add_list_value(&mut status, "players", "a"), Err(exists));
        assert_eq!(add_list_value(&mut status, "players", "b").unwrap().values, ["a", "b"]);
        let full = Refusal::ListFull { capacity: 2, size: 2 };
        assert_eq!(add_list_value(&mut status, "players", "c"), Err(full));
        assert_eq!(remove_list_value(&mut status, "players", "a").unwrap().values, ["b"]);
        let missing = Refusal::NoValue { list: "players".into(), value: "a".into() };
        assert_eq!(remove_list_value(&mut status, "players", "a"), Err(missing));
        assert_eq!(add_list_value(&mut status, "none", "c"), Err(Refusal::NoList("none".into())));
    }

    #[test]
    fn a_mask_says_what_is_overwritten() {
        let mut status = status();
        let wanted = List { name: "players".into(), capacity: 1, values: vec!["x".into(), "y".into()] };
        let mask = |paths: &[&str]| paths.iter().map(|&p| p.to_owned()).collect::<Vec<_>>();
        let all = update_list(&mut status, &wanted, &mask(&["values"]), LIST_CAPACITY_MAX).unwrap();
        assert_eq!((all.capacity, all.values.len()), (2, 2));
        let cut = update_list(&mut status, &wanted, &mask(&["capacity"]), LIST_CAPACITY_MAX).unwrap();
        assert_eq!((cut.capacity, cut.values), (1, vec!["x".to_owned()]));
        assert!(update_list(&mut status, &wanted, &mask(&["size"]), LIST_CAPACITY_MAX).is_err());
        let large = List { capacity: 1001, ..wanted };
        let refused = update_list(&mut status, &large, &mask(&["capacity"]), LIST_CAPACITY_MAX);
        assert_eq!(refused, Err(Refusal::ListCapacity(1001)));
    }
}
