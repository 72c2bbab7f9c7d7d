use std::collections::BTreeSet;

use pkg_api::game::v1 as api;
use pkg_api::game::v1::queue_definition::Format;
use proptest::prelude::*;

use super::*;
use crate::testing::definitions;

fn queue(key: &str, start: f64) -> api::QueueDefinition {
    let distance = api::RelaxingLimit { start, ..Default::default() };
    api::QueueDefinition {
        key: key.to_owned(),
        format: Some(Format::Teams(api::TeamFormat { team_count: 2, max_team_size: 1, ..Default::default() })),
        rating_window: Some(api::RatingWindow { distance: Some(distance) }),
        ..Default::default()
    }
}

fn definition(queues: Vec<api::QueueDefinition>) -> GameDefinition {
    GameDefinition { queues, ..Default::default() }
}

fn told(old: &GameDefinition, new: &GameDefinition) -> Vec<(ChangeKind, String, String, String)> {
    let changes = definition_changes(old, new).into_iter();
    changes.map(|change| (change.kind(), change.path, change.old_value, change.new_value)).collect()
}

fn tell(kind: ChangeKind, path: &str, old: &str, new: &str) -> (ChangeKind, String, String, String) {
    (kind, path.to_owned(), old.to_owned(), new.to_owned())
}

#[test]
fn places_have_keys_instead_of_positions() {
    let old = definition(vec![queue("duel", 3.0), queue("old", 1.0)]);
    let mut changed = queue("duel", 4.5);
    changed.tick = Some(prost_types::Duration { seconds: 1, nanos: 500_000_000 });
    let new = definition(vec![changed, api::QueueDefinition { key: "new".to_owned(), ..Default::default() }]);
    assert_eq!(
        told(&old, &new)[..3],
        [
            tell(ChangeKind::Changed, "definition.queues[duel].rating_window.distance.start", "3.0", "4.5"),
            tell(ChangeKind::Added, "definition.queues[duel].tick", "", "\"1.500s\""),
            tell(ChangeKind::Added, "definition.queues[new]", "", "{\"key\":\"new\"}"),
        ]
    );
    let (kind, path, old_value, new_value) = told(&old, &new).pop().unwrap();
    assert_eq!((kind, path.as_str(), new_value.as_str()), (ChangeKind::Removed, "definition.queues[old]", ""));
    let gone: serde_json::Value = serde_json::from_str(&old_value).unwrap();
    assert_eq!(gone["teams"]["max_team_size"], 1);
}

#[test]
fn another_order_is_a_change_of_the_list() {
    let (one, other) = (queue("a", 1.0), queue("b", 1.0));
    let changes = told(&definition(vec![one.clone(), other.clone()]), &definition(vec![other, one]));
    assert_eq!(changes, [tell(ChangeKind::Changed, "definition.queues", "[\"a\",\"b\"]", "[\"b\",\"a\"]")]);
}

#[test]
fn the_other_shape_takes_the_place_of_one() {
    let old = definition(vec![queue("a", 1.0)]);
    let mut new = old.clone();
    new.queues[0].format = Some(Format::FreeForAll(api::FreeForAllFormat { max_players: 8, ..Default::default() }));
    let kinds: Vec<_> = told(&old, &new).into_iter().map(|(kind, path, ..)| (kind, path)).collect();
    assert_eq!(
        kinds,
        [
            (ChangeKind::Removed, "definition.queues[a].teams".to_owned()),
            (ChangeKind::Added, "definition.queues[a].free_for_all".to_owned())
        ]
    );
}

#[test]
fn games_differ_in_what_is_shown() {
    let old = Game { name: "Duel".to_owned(), ..Default::default() };
    let new = Game { name: "Duel!".to_owned(), data: vec![1, 2, 3], ..Default::default() };
    let paths: Vec<_> = game_changes(&old, &new).into_iter().map(|change| (change.path, change.new_value)).collect();
    let expected = [("game.name", "\"Duel!\""), ("game.data", "\"AQID\"")];
    assert_eq!(paths, expected.map(|(path, value)| (path.to_owned(), value.to_owned())));
}

/// Numbers that are not equal to themselves differ from themselves.
fn without_nan(definition: &GameDefinition) -> bool {
    let same = definition.clone();
    same == *definition
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn there_is_no_difference_if_and_only_if_they_are_equal(old in definitions(), new in definitions()) {
        prop_assume!(without_nan(&old) && without_nan(&new));
        prop_assert_eq!(definition_changes(&old, &new).is_empty(), old == new);
        prop_assert_eq!(definition_changes(&old, &old), []);
        prop_assert_eq!(definition_changes(&new, &new), []);
    }

    #[test]
    fn one_field_makes_a_difference(old in definitions(), parts in definitions(), which in 0..3) {
        prop_assume!(without_nan(&old) && without_nan(&parts));
        let mut new = old.clone();
        match which {
            0 => new.session_rules = parts.session_rules,
            1 => new.queues = parts.queues,
            _ => new.leaderboards = parts.leaderboards,
        }
        prop_assert_eq!(definition_changes(&old, &new).is_empty(), old == new);
    }

    #[test]
    fn no_place_is_named_twice_and_values_are_json(old in definitions(), new in definitions()) {
        let changes = definition_changes(&old, &new);
        let places: BTreeSet<&str> = changes.iter().map(|change| change.path.as_str()).collect();
        prop_assert_eq!(places.len(), changes.len());
        for change in &changes {
            for (value, absent) in [
                (&change.old_value, change.kind() == ChangeKind::Added),
                (&change.new_value, change.kind() == ChangeKind::Removed),
            ] {
                prop_assert_eq!(value.is_empty(), absent);
                prop_assert!(absent || serde_json::from_str::<serde_json::Value>(value).is_ok());
            }
        }
    }
}
