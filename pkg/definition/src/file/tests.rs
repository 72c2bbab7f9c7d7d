use pkg_api::game::v1 as api;
use pkg_api::game::v1::attribute_value::Kind;
use proptest::prelude::*;

use super::*;
use crate::Definition;

const DUEL: &str = include_str!("../../../../examples/duel/game.toml");

fn problems(text: &str) -> Vec<(usize, String, String)> {
    let problems = GameFile::parse(text).expect_err("the file has problems");
    problems.into_iter().map(|found| (found.position.line, found.place, found.problem)).collect()
}

#[test]
fn the_example_is_a_game() {
    let file = GameFile::parse(DUEL).unwrap();
    assert_eq!(file.game.key, "duel");
    let definition = Definition::parse(&file.definition).unwrap();
    assert_eq!((definition.queues.len(), definition.leaderboards.len()), (2, 1));
}

#[test]
fn every_kind_of_value_has_its_form() {
    let file = GameFile::parse(
        r#"
        key = "duel"
        data = "AQID"
        attributes = { genre = "arcade", "max.level" = 9223372036854775807, speed = 1.0, open = true }

        [session_rules]
        max_players = 0x10
        creators = "servers"
        reconnect_grace = "1m 30s"
        max_entities = 0

        [[queues]]
        key = "ranked"
        free_for_all = { max_players = 8 }
        region.regions = ["eu_west", "na_east"]
        rating_window.distance = { start = 3, growth_per_second = 0.5, ceiling = 12 }
        start_with_fewer = [{ after = "20s", min_players = 4 }]

        [[leaderboards]]
        key = "best-time"
        order = "low_wins"
        periods = ["daily", "all_time"]
        min_value = -9223372036854775808
        "#,
    )
    .unwrap();
    assert_eq!(file.game.data, [1, 2, 3]);
    let attribute = |key: &str| file.game.attributes[key].kind.clone().unwrap();
    assert_eq!(attribute("genre"), Kind::StringValue("arcade".to_owned()));
    assert_eq!(attribute("max.level"), Kind::IntValue(i64::MAX));
    assert_eq!(attribute("speed"), Kind::FloatValue(1.0));
    assert_eq!(attribute("open"), Kind::BoolValue(true));

    let rules = file.definition.session_rules.unwrap();
    assert_eq!(rules.max_players, 16);
    assert_eq!(rules.creators(), api::SessionCreators::Servers);
    assert_eq!(rules.reconnect_grace, Some(prost_types::Duration { seconds: 90, nanos: 0 }));
    assert_eq!(rules.max_entities, Some(0));
    let queue = &file.definition.queues[0];
    assert_eq!(queue.region.as_ref().unwrap().regions, [4, 1]);
    assert!((queue.rating_window.unwrap().distance.unwrap().ceiling - 12.0).abs() < f64::EPSILON);
    let board = &file.definition.leaderboards[0];
    assert_eq!(board.order(), api::LeaderboardOrder::LowWins);
    assert_eq!((board.periods.as_slice(), board.min_value), ([2, 1].as_slice(), Some(i64::MIN)));
}

#[test]
fn all_problems_are_told_with_their_places_in_the_order_of_the_file() {
    let text = r#"key = 5
nmae = "Duel"
version = 3

[session_rules]
creators = "everybody"
max_players = 3000000000
abandon_after = 30
max_entities = 1.5

[[queues]]
key = "a"
[[queues]]
teams = { team_count = 2 }
free_for_all = {}
session.attributes.when = 2026-01-01
properties = "none"
"#;
    let found = problems(text);
    let places: Vec<(usize, &str)> = found.iter().map(|(line, place, _)| (*line, place.as_str())).collect();
    assert_eq!(
        places,
        [
            (1, "key"),
            (2, "nmae"),
            (3, "version"),
            (6, "session_rules.creators"),
            (7, "session_rules.max_players"),
            (8, "session_rules.abandon_after"),
            (9, "session_rules.max_entities"),
            (14, "queues[1].teams"),
            (16, "queues[1].session.attributes[when]"),
            (17, "queues[1].properties"),
        ]
    );
    let problem = |place: usize| found[place].2.as_str();
    assert!(problem(1).contains("short_description") && problem(1).contains("leaderboards"), "{}", problem(1));
    assert_eq!(problem(3), "is one of \"players\", \"servers\"");
    assert!(problem(5).contains("\"30s\""));
    assert!(problem(7).contains("free_for_all"));
}

#[test]
fn what_is_no_toml_is_told_by_line() {
    for (text, line) in [("key = \"duel\"\nname = \n", 2), ("a = 1\n\nb 2", 3), ("a = 1\na = 2", 2), ("\u{feff}[", 1)] {
        let found = problems(text);
        assert!(found.iter().any(|(at, ..)| *at == line), "{text:?} {found:?}");
        assert!(found.iter().all(|(_, place, problem)| place.is_empty() && !problem.is_empty()));
    }
}

#[test]
fn places_of_a_request_are_found_in_the_file() {
    let text = "key = \"a\"\n[[queues]]\nkey = \"a\"\n[[queues]]\nkey = \"b\"\ntick = \"1s\"\nteams = {}\n";
    let file = GameFile::parse(text).unwrap();
    let line = |path| file.position(path).map(|position| position.line);
    assert_eq!(line("game.key"), Some(1));
    assert_eq!(line("definition.queues[1].tick"), Some(6));
    assert_eq!(line("definition.queues[1].teams.team_count"), Some(7));
    assert_eq!(line("definition.queues[0].format"), Some(2));
    assert_eq!(line("game.name"), None);
    assert_eq!(line("definition"), None);
    let column = GameFile::parse("name = \"ä\"\nkey = \"a\"").unwrap().position("game.key").unwrap();
    assert_eq!(column, Position { line: 2, column: 1 });
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in ".*") {
        let _ = GameFile::parse(&text);
    }

    #[test]
    fn no_table_makes_it_panic(
        key in "(key|data|attributes|queues|leaderboards|session_rules(\\.[a-z_]+)?)",
        value in "(-?[0-9]{1,20}|[0-9]\\.[0-9]e[0-9]{1,3}|inf|nan|true|\"[^\"\\\\]*\"|\\[.{0,10}\\]|\\{.{0,10}\\}|0x[0-9a-f]+)",
    ) {
        let _ = GameFile::parse(&format!("{key} = {value}"));
    }
}
