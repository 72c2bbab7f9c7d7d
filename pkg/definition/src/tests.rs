use std::time::Duration;

use pkg_api::game::v1 as api;
use pkg_api::game::v1::queue_definition::Format as ApiFormat;
use pkg_api::game::v1::{property_at_least, property_rule};
use proptest::prelude::*;

use super::*;
use crate::testing::definitions;

#[expect(clippy::unnecessary_wraps, reason = "as the fields take it")]
fn span(milliseconds: i64) -> Option<prost_types::Duration> {
    let nanos = i32::try_from(milliseconds % 1_000 * 1_000_000).unwrap();
    Some(prost_types::Duration { seconds: milliseconds / 1_000, nanos })
}

const SECOND: i64 = 1_000;
const MINUTE: i64 = 60 * SECOND;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

fn queue() -> api::QueueDefinition {
    api::QueueDefinition {
        key: "duel".to_owned(),
        format: Some(ApiFormat::Teams(api::TeamFormat { team_count: 2, max_team_size: 4, min_team_size: 0 })),
        ..Default::default()
    }
}

fn rated() -> api::QueueDefinition {
    api::QueueDefinition { rating: Some(api::RatingRule::default()), ..queue() }
}

fn board() -> api::LeaderboardDefinition {
    api::LeaderboardDefinition { key: "wins".to_owned(), ..Default::default() }
}

fn with_rules(rules: api::SessionRules) -> api::GameDefinition {
    api::GameDefinition { session_rules: Some(rules), ..Default::default() }
}

fn with_queue(queue: api::QueueDefinition) -> api::GameDefinition {
    let session_rules = Some(api::SessionRules { max_players: 1_000, ..Default::default() });
    api::GameDefinition { session_rules, queues: vec![queue], ..Default::default() }
}

fn with_board(board: api::LeaderboardDefinition) -> api::GameDefinition {
    api::GameDefinition { leaderboards: vec![board], ..Default::default() }
}

fn refused(message: &api::GameDefinition) -> Vec<String> {
    Definition::parse(message).err().unwrap_or_default().into_iter().map(|violation| violation.path).collect()
}

/// Good values are accepted, bad ones refused at the place.
fn bounds<V: std::fmt::Debug>(path: &str, make: impl Fn(V) -> api::GameDefinition, good: Vec<V>, bad: Vec<V>) {
    for value in good {
        let shown = format!("{value:?}");
        assert_eq!(refused(&make(value)), Vec::<String>::new(), "{path} = {shown}");
    }
    for value in bad {
        let shown = format!("{value:?}");
        assert_eq!(refused(&make(value)), [path], "{path} = {shown}");
    }
}

#[test]
fn nothing_given_means_the_defaults() {
    let definition = Definition::parse(&api::GameDefinition::default()).unwrap();
    let rules = &definition.sessions;
    assert_eq!((rules.max_sessions.get(), rules.max_players.get(), rules.max_entities), (100_000, 16, 1_000));
    assert_eq!(rules.creators, SessionCreators::Players);
    assert!(!rules.owner_may_finish && !rules.members_may_update && !rules.join_after_start);
    assert_eq!(rules.reconnect_grace, Duration::from_secs(30));
    assert_eq!(rules.abandon_after, Duration::from_mins(2));
    assert_eq!(rules.max_duration, Duration::from_hours(24));
    assert_eq!(rules.keep_after_end, Duration::from_hours(1));
    let limits = &rules.event_limits;
    assert_eq!((limits.player_events_per_second.get(), limits.session_events_per_second.get()), (60, 5_000));
    assert_eq!((limits.max_event_bytes.get(), limits.retained_events.get()), (4_096, 1_000));
    assert_eq!(limits.retention, Duration::from_mins(10));
    assert!(definition.queues.is_empty() && definition.leaderboards.is_empty());
}

#[test]
fn a_queue_has_its_defaults() {
    let definition = Definition::parse(&with_queue(queue())).unwrap();
    let queue = definition.queue("duel").unwrap();
    assert_eq!((queue.format.min_players(), queue.format.max_players(), queue.format.team_count()), (8, 8, 2));
    assert_eq!(queue.region.regions.iter().collect::<Vec<_>>(), [&Region::Global]);
    assert_eq!((queue.tick, queue.ticket_lifetime), (Duration::from_millis(250), Duration::from_mins(5)));
    assert_eq!(queue.presence_timeout, Duration::from_secs(45));
    let names: Vec<_> = queue.session.team_names.iter().map(TeamName::as_str).collect();
    assert_eq!(names, ["team-1", "team-2"]);
    assert!(queue.rating.is_none() && queue.latency.is_none() && queue.balance.is_none());
    assert!(definition.queue("other").is_none());

    let rated = api::QueueDefinition {
        rating: Some(api::RatingRule::default()),
        region: Some(api::RegionRule::default()),
        ..super::tests::queue()
    };
    let definition = Definition::parse(&with_queue(rated)).unwrap();
    let rating = definition.queues[0].rating.unwrap();
    let close = |number: Finite, expected: f64| (number.get() - expected).abs() < 1e-9;
    assert!(close(rating.initial_skill, 25.0) && close(rating.initial_uncertainty, 25.0 / 3.0));
    assert!(close(rating.beta, 25.0 / 6.0));
    assert_eq!(definition.queues[0].region.regions.len(), Region::ALL.len());
}

#[test]
fn a_board_has_its_defaults() {
    let definition = Definition::parse(&with_board(board())).unwrap();
    let board = definition.leaderboard("wins").unwrap();
    assert_eq!((board.order, board.operator, board.writers), (Order::HighWins, Operator::Best, Writers::Servers));
    assert_eq!((board.periods.as_slice(), board.time_zone), ([Period::AllTime].as_slice(), TimeZone::UTC));
    assert_eq!((board.min_value, board.max_value), (i64::MIN, i64::MAX));
    assert_eq!((board.rate.count.get(), board.rate.per), (10, Duration::from_secs(1)));
}

#[test]
fn session_rules_have_bounds() {
    let rules = |set: fn(&mut api::SessionRules, i32)| {
        move |value| {
            let mut rules = api::SessionRules::default();
            set(&mut rules, value);
            with_rules(rules)
        }
    };
    let path = |name: &str| format!("session_rules.{name}");
    bounds(&path("max_sessions"), rules(|r, v| r.max_sessions = v), vec![0, 1, i32::MAX], vec![-1, i32::MIN]);
    bounds(&path("max_players"), rules(|r, v| r.max_players = v), vec![0, 1, 1_000], vec![-1, 1_001]);
    bounds(&path("max_entities"), rules(|r, v| r.max_entities = Some(v)), vec![0, 10_000], vec![-1, 10_001]);
    bounds(&path("creators"), rules(|r, v| r.creators = v), vec![0, 1, 2], vec![-1, 3]);

    let spans = |set: fn(&mut api::SessionRules, Option<prost_types::Duration>)| {
        move |value| {
            let mut rules = api::SessionRules::default();
            set(&mut rules, span(value));
            with_rules(rules)
        }
    };
    bounds(
        &path("reconnect_grace"),
        spans(|r, v| r.reconnect_grace = v),
        vec![0, 10 * MINUTE],
        vec![-1, 10 * MINUTE + 1],
    );
    bounds(
        &path("abandon_after"),
        spans(|r, v| r.abandon_after = v),
        vec![10 * SECOND, DAY],
        vec![10 * SECOND - 1, DAY + 1],
    );
    bounds(
        &path("max_duration"),
        spans(|r, v| r.max_duration = v),
        vec![10 * SECOND, 7 * DAY],
        vec![9_999, 7 * DAY + 1],
    );
    bounds(
        &path("keep_after_end"),
        spans(|r, v| r.keep_after_end = v),
        vec![MINUTE, 7 * DAY],
        vec![MINUTE - 1, 7 * DAY + 1],
    );
    let misshapen = prost_types::Duration { seconds: 5, nanos: 1_000_000_000 };
    assert_eq!(
        refused(&with_rules(api::SessionRules { reconnect_grace: Some(misshapen), ..Default::default() })),
        ["session_rules.reconnect_grace"]
    );
}

#[test]
fn event_limits_have_bounds() {
    let limits = |set: fn(&mut api::EventLimits, i32)| {
        move |value| {
            let mut limits = api::EventLimits::default();
            set(&mut limits, value);
            with_rules(api::SessionRules { event_limits: Some(limits), ..Default::default() })
        }
    };
    let path = |name: &str| format!("session_rules.event_limits.{name}");
    bounds(
        &path("player_events_per_second"),
        limits(|l, v| l.player_events_per_second = v),
        vec![1, 1_000],
        vec![-1, 1_001],
    );
    bounds(
        &path("session_events_per_second"),
        limits(|l, v| l.session_events_per_second = v),
        vec![1, 100_000],
        vec![100_001],
    );
    bounds(&path("max_event_bytes"), limits(|l, v| l.max_event_bytes = v), vec![1, 65_536], vec![65_537]);
    bounds(&path("retained_events"), limits(|l, v| l.retained_events = v), vec![0, 16, 10_000], vec![15, 10_001]);
    let retention = |value| {
        let limits = api::EventLimits { retention: span(value), ..Default::default() };
        with_rules(api::SessionRules { event_limits: Some(limits), ..Default::default() })
    };
    bounds(&path("retention"), retention, vec![10 * SECOND, DAY], vec![9_999, DAY + 1]);
}

#[test]
fn keys_and_titles_have_bounds_and_keys_differ() {
    let keys = |key: String| with_queue(api::QueueDefinition { key, ..queue() });
    let text = |text: &str| text.to_owned();
    let bad = vec![text(""), "k".repeat(65), text("Duel"), text("du el"), text("düell"), text("a.b")];
    bounds("queues[0].key", keys, vec![text("a"), "k".repeat(64), text("a-b_9")], bad);
    let titles = |title: String| with_queue(api::QueueDefinition { title, ..queue() });
    bounds("queues[0].title", titles, vec![text(""), "é".repeat(100)], vec!["é".repeat(101), text("a\nb")]);

    let twice = api::GameDefinition { queues: vec![queue(), queue()], ..Default::default() };
    assert_eq!(refused(&twice), ["queues[1].key"]);
    let many = |count: usize| {
        let board = |number| api::LeaderboardDefinition { key: format!("b{number}"), ..Default::default() };
        api::GameDefinition { leaderboards: (0..count).map(board).collect(), ..Default::default() }
    };
    bounds("leaderboards", many, vec![256], vec![257]);
    let many = |count: usize| {
        let queue = |number| api::QueueDefinition { key: format!("q{number}"), ..queue() };
        api::GameDefinition { queues: (0..count).map(queue).collect(), ..Default::default() }
    };
    bounds("queues", many, vec![64], vec![65]);
}

#[test]
fn the_shape_of_a_match_has_bounds() {
    let teams = |(team_count, min_team_size, max_team_size)| {
        let teams = api::TeamFormat { team_count, min_team_size, max_team_size };
        with_queue(api::QueueDefinition { format: Some(ApiFormat::Teams(teams)), ..queue() })
    };
    bounds("queues[0].teams.team_count", teams, vec![(2, 1, 1), (16, 0, 50)], vec![(1, 0, 1), (17, 0, 1), (-2, 0, 1)]);
    bounds("queues[0].teams.min_team_size", teams, vec![(2, 4, 4)], vec![(2, 5, 4), (2, -1, 4)]);
    bounds("queues[0].teams.max_team_size", teams, vec![(2, 0, 100)], vec![(2, 0, 0), (2, 0, 101)]);
    let all = |(min_players, max_players)| {
        let all = api::FreeForAllFormat { min_players, max_players };
        with_queue(api::QueueDefinition { format: Some(ApiFormat::FreeForAll(all)), ..queue() })
    };
    bounds("queues[0].free_for_all.max_players", all, vec![(0, 2), (2, 100)], vec![(0, 1), (0, 101), (0, 0)]);
    bounds("queues[0].free_for_all.min_players", all, vec![(8, 8)], vec![(1, 8), (9, 8)]);
    assert_eq!(refused(&with_queue(api::QueueDefinition { format: None, ..queue() })), ["queues[0].format"]);

    let mut small = with_queue(queue());
    small.session_rules = Some(api::SessionRules { max_players: 7, ..Default::default() });
    assert_eq!(refused(&small), ["queues[0].teams"]);
}

#[test]
fn steps_rise_in_time_and_fall_in_number() {
    let steps = |steps: Vec<(i64, i32)>| {
        let step = |(after, min_players)| api::StartWithFewer { after: span(after), min_players };
        let start_with_fewer = steps.into_iter().map(step).collect();
        with_queue(api::QueueDefinition { start_with_fewer, ..queue() })
    };
    assert_eq!(refused(&steps(vec![(SECOND, 7), (2 * SECOND, 2)])), Vec::<String>::new());
    assert_eq!(refused(&steps(vec![(SECOND, 8)])), ["queues[0].start_with_fewer[0].min_players"]);
    assert_eq!(refused(&steps(vec![(SECOND, 1)])), ["queues[0].start_with_fewer[0].min_players"]);
    assert_eq!(refused(&steps(vec![(SECOND, 6), (SECOND, 4)])), ["queues[0].start_with_fewer[1].after"]);
    assert_eq!(refused(&steps(vec![(SECOND, 6), (2_000, 6)])), ["queues[0].start_with_fewer[1].min_players"]);
    let nine = (1..=9).map(|step| (SECOND * step, 9 - i32::try_from(step).unwrap()));
    assert!(refused(&steps(nine.collect())).contains(&"queues[0].start_with_fewer".to_owned()));
}

#[test]
fn limits_loosen_up_to_a_ceiling() {
    let windows = |(start, growth_per_second, ceiling)| {
        let distance = Some(api::RelaxingLimit { start, growth_per_second, ceiling });
        with_queue(api::QueueDefinition { rating_window: Some(api::RatingWindow { distance }), ..rated() })
    };
    let path = |field: &str| format!("queues[0].rating_window.distance.{field}");
    let ceilings = vec![(1.0, 1.0, 0.0), (2.0, 0.0, 1.0), (0.0, 1.0, f64::NAN), (0.0, 0.0, -1.0)];
    bounds(&path("ceiling"), windows, vec![(0.0, 0.0, 0.0), (3.0, 0.0, 0.0), (3.0, 1.0, 3.0)], ceilings);
    bounds(&path("start"), windows, vec![(0.0, 1.0, 1.0)], vec![(-1.0, 0.0, 5.0), (f64::INFINITY, 0.0, 5.0)]);
    bounds(&path("growth_per_second"), windows, vec![(0.0, 0.0, 9.0)], vec![(0.0, -1.0, 1.0), (0.0, f64::NAN, 1.0)]);
    let empty = api::QueueDefinition { rating_window: Some(api::RatingWindow::default()), ..rated() };
    assert_eq!(refused(&with_queue(empty)), ["queues[0].rating_window.distance"]);

    let balances = |(start, ceiling)| {
        let imbalance = Some(api::RelaxingLimit { start, growth_per_second: 0.0, ceiling });
        with_queue(api::QueueDefinition { balance: Some(api::BalanceRule { imbalance }), ..rated() })
    };
    bounds("queues[0].balance.imbalance.ceiling", balances, vec![(0.1, 0.5)], vec![(0.1, 0.51)]);
    bounds("queues[0].balance.imbalance.start", balances, vec![(0.5, 0.0)], vec![(0.51, 0.0)]);

    let latencies = |(start, ceiling): (Option<i64>, Option<i64>)| {
        let latency =
            api::LatencyRule { start: start.and_then(span), growth_per_second: None, ceiling: ceiling.and_then(span) };
        with_queue(api::QueueDefinition { latency: Some(latency), ..queue() })
    };
    bounds("queues[0].latency.start", latencies, vec![(Some(60), None)], vec![(None, None), (Some(-1), None)]);
    bounds("queues[0].latency.ceiling", latencies, vec![(Some(60), Some(60))], vec![(Some(60), Some(59))]);
}

#[test]
fn what_compares_ratings_needs_ratings() {
    let limit = Some(api::RelaxingLimit { start: 0.1, ..Default::default() });
    let comparing = |rating| {
        with_queue(api::QueueDefinition {
            rating,
            rating_window: Some(api::RatingWindow { distance: limit }),
            balance: Some(api::BalanceRule { imbalance: limit }),
            ..queue()
        })
    };
    assert_eq!(refused(&comparing(None)), ["queues[0].rating_window", "queues[0].balance"]);
    assert_eq!(refused(&comparing(Some(api::RatingRule::default()))), Vec::<String>::new());
}

#[test]
fn spans_of_a_queue_have_bounds() {
    let spans = |set: fn(&mut api::QueueDefinition, Option<prost_types::Duration>)| {
        move |value| {
            let mut queue = queue();
            set(&mut queue, span(value));
            with_queue(queue)
        }
    };
    bounds("queues[0].tick", spans(|q, v| q.tick = v), vec![50, 10 * SECOND], vec![49, 10 * SECOND + 1]);
    bounds("queues[0].ticket_lifetime", spans(|q, v| q.ticket_lifetime = v), vec![SECOND, HOUR], vec![999, HOUR + 1]);
    let presence = spans(|q, v| q.presence_timeout = v);
    bounds("queues[0].presence_timeout", presence, vec![5 * SECOND, 10 * MINUTE], vec![4_999, 10 * MINUTE + 1]);
}

#[test]
fn regions_are_named_once() {
    let regions = |regions: Vec<i32>| {
        let region = api::RegionRule { regions, any_region_after: span(0) };
        with_queue(api::QueueDefinition { region: Some(region), ..queue() })
    };
    bounds("queues[0].region.regions[1]", regions, vec![vec![1, 13]], vec![vec![4, 4], vec![4, 0], vec![4, 99]]);
}

#[test]
fn a_property_rule_has_one_check() {
    let rules = |check: Option<property_rule::Check>| {
        let rule = api::PropertyRule { property: "role".to_owned(), check, drop_after: None };
        with_queue(api::QueueDefinition { properties: vec![rule], ..queue() })
    };
    bounds(
        "queues[0].properties[0].check",
        rules,
        vec![Some(property_rule::Check::Equality(api::PropertyEquality {}))],
        vec![None],
    );
    let at_least = |(count, counted)| {
        rules(Some(property_rule::Check::AtLeast(api::PropertyAtLeast { count, per_team: true, counted })))
    };
    let healer = || Some(property_at_least::Counted::Minimum(1.0));
    bounds(
        "queues[0].properties[0].at_least.count",
        at_least,
        vec![(1, healer()), (4, healer())],
        vec![(0, healer()), (-1, healer()), (5, healer())],
    );
    let in_all = |count| {
        let counted = healer();
        rules(Some(property_rule::Check::AtLeast(api::PropertyAtLeast { count, per_team: false, counted })))
    };
    bounds("queues[0].properties[0].at_least.count", in_all, vec![8], vec![9]);
    bounds("queues[0].properties[0].at_least.counted", at_least, vec![], vec![(1, None)]);
    let none = Some(property_at_least::Counted::Equals(api::AttributeValue::default()));
    bounds("queues[0].properties[0].at_least.equals", at_least, vec![], vec![(1, none)]);
    let many = |count| {
        let check = Some(property_rule::Check::Equality(api::PropertyEquality {}));
        let rule = api::PropertyRule { property: "role".to_owned(), check, drop_after: span(HOUR) };
        with_queue(api::QueueDefinition { properties: vec![rule; count], ..queue() })
    };
    bounds("queues[0].properties", many, vec![16], vec![17]);
}

#[test]
fn ratings_have_bounds() {
    let ratings = |(initial_skill, initial_uncertainty, beta)| {
        let rating = api::RatingRule { initial_skill, initial_uncertainty, beta };
        with_queue(api::QueueDefinition { rating: Some(rating), ..queue() })
    };
    bounds(
        "queues[0].rating.initial_skill",
        ratings,
        vec![(Some(-5.0), None, None), (Some(-1e9), None, None)],
        vec![(Some(f64::NAN), None, None), (Some(1.1e9), None, None)],
    );
    bounds(
        "queues[0].rating.initial_uncertainty",
        ratings,
        vec![(None, Some(0.1), None), (None, Some(1e-6), None)],
        vec![(None, Some(0.0), None), (None, Some(1e10), None)],
    );
    bounds(
        "queues[0].rating.beta",
        ratings,
        vec![(None, None, Some(0.1)), (None, None, Some(1e9))],
        vec![(None, None, Some(0.0)), (None, None, Some(-1.0))],
    );
}

#[test]
fn teams_have_names_that_differ() {
    let names = |names: Vec<&str>| {
        let team_names = names.into_iter().map(str::to_owned).collect();
        let session = Some(api::SessionTemplate { team_names, ..Default::default() });
        with_queue(api::QueueDefinition { session, ..queue() })
    };
    bounds(
        "queues[0].session.team_names[1]",
        names,
        vec![vec!["red", "blue"], vec!["red"]],
        vec![vec!["a", "a"], vec!["team-2"], vec!["a", "b c"]],
    );
    bounds("queues[0].session.team_names", names, vec![vec![]], vec![vec!["a", "b", "c"]]);
}

#[test]
fn boards_have_bounds() {
    let board = |set: fn(&mut api::LeaderboardDefinition, i32)| {
        move |value| {
            let mut board = board();
            set(&mut board, value);
            with_board(board)
        }
    };
    bounds("leaderboards[0].order", board(|b, v| b.order = v), vec![0, 1, 2], vec![3, -1]);
    bounds("leaderboards[0].operator", board(|b, v| b.operator = v), vec![0, 3], vec![4]);
    bounds("leaderboards[0].writers", board(|b, v| b.writers = v), vec![0, 2], vec![3]);
    bounds("leaderboards[0].periods[1]", board(|b, v| b.periods = vec![1, v]), vec![2, 4], vec![1, 0, 5]);
    bounds(
        "leaderboards[0].max_value",
        board(|b, v| (b.min_value, b.max_value) = (Some(0), Some(v.into()))),
        vec![0, 1],
        vec![-1],
    );
    let rate =
        |b: &mut api::LeaderboardDefinition, count, per| b.rate = Some(api::SubmissionRate { count, per: span(per) });
    bounds(
        "leaderboards[0].rate.count",
        |v| {
            let mut b = super::tests::board();
            rate(&mut b, v, DAY);
            with_board(b)
        },
        vec![1, i32::MAX],
        vec![0, -1],
    );
    bounds(
        "leaderboards[0].rate.per",
        |v| {
            let mut b = super::tests::board();
            rate(&mut b, 1, v);
            with_board(b)
        },
        vec![SECOND, DAY],
        vec![999, DAY + 1],
    );
    let zones =
        |zone: &str| with_board(api::LeaderboardDefinition { time_zone: zone.to_owned(), ..super::tests::board() });
    bounds("leaderboards[0].time_zone", zones, vec!["", "Europe/Vienna"], vec!["Mars/Base", "utc"]);
}

#[test]
fn a_definition_has_a_size() {
    // No part of it is too large by itself.
    let text = api::AttributeValue { kind: Some(api::attribute_value::Kind::StringValue("x".repeat(1_000))) };
    let attributes: std::collections::HashMap<_, _> = (0..16).map(|key| (key.to_string(), text.clone())).collect();
    let session = Some(api::SessionTemplate { attributes, ..Default::default() });
    let queues = |count| {
        let queue = |number| api::QueueDefinition { key: format!("q{number}"), session: session.clone(), ..queue() };
        api::GameDefinition { queues: (0..count).map(queue).collect(), ..Default::default() }
    };
    bounds("", queues, vec![10], vec![17]);
}

#[test]
fn everything_wrong_is_told_at_once() {
    let mut bad = with_queue(api::QueueDefinition { key: String::new(), tick: span(1), ..queue() });
    bad.leaderboards.push(api::LeaderboardDefinition { time_zone: "?".to_owned(), ..board() });
    bad.session_rules.as_mut().unwrap().max_sessions = -1;
    let expected = ["session_rules.max_sessions", "queues[0].key", "queues[0].tick", "leaderboards[0].time_zone"];
    assert_eq!(refused(&bad), expected);
    let violation = Definition::parse(&bad).unwrap_err().swap_remove(1).under("definition");
    assert_eq!(violation.path, "definition.queues[0].key");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn no_message_makes_it_panic_and_places_are_short(message in definitions()) {
        let Err(violations) = Definition::parse(&message) else { return Ok(()) };
        prop_assert!(!violations.is_empty());
        for violation in violations {
            prop_assert!(violation.path.len() < 1_000 && violation.problem.len() < 1_000);
        }
    }
}
