use std::collections::BTreeSet;
use std::time::Duration;

use pkg_definition::{AttributeValue, Counted, Format, LatencyRule, PropertyCheck, StartWithFewer};

use super::testing::{at, attributes, limit, player, queue, rule, some, teams, ticket};
use super::*;
use crate::rating::Rating;
use crate::ticket::{Latencies, Regions};

fn matcher(rules: Queue) -> Matcher {
    Matcher::new(Arc::new(rules))
}

fn duel() -> Queue {
    queue(teams(2, 1..=1))
}

fn ids(proposal: &Proposal) -> Vec<u128> {
    proposal.tickets.iter().map(|ticket| ticket.id.as_u128()).collect()
}

fn tick(matcher: &mut Matcher, now: i64) -> Vec<Proposal> {
    matcher.tick(at(now), Budget::UNLIMITED).proposals
}

#[test]
fn a_pair_is_matched_when_the_second_comes() {
    let mut matcher = matcher(duel());
    assert_eq!(matcher.insert(ticket(1, 0, &[20.0]), at(0)), None);
    assert_eq!((matcher.len(), matcher.players(), matcher.oldest()), (1, 1, Some(at(0))));
    let found = matcher.insert(ticket(2, 5, &[30.0]), at(5)).unwrap();
    assert_eq!(ids(&found), [1, 2]);
    assert_eq!(found.region, Region::Global);
    assert!(found.teams[0].win_probability.unwrap() < 0.5 && found.teams[1].win_probability.unwrap() > 0.5);
    assert!(matcher.is_empty() && matcher.next_change(at(5)).is_none());
}

#[test]
fn the_oldest_of_those_that_fit_meets_who_arrives() {
    let mut rules = duel();
    rules.rating_window = Some(limit(10.0, 0.0, 10.0));
    let mut matcher = matcher(rules);
    assert_eq!(matcher.insert(ticket(1, 0, &[10.0]), at(0)), None);
    assert_eq!(matcher.insert(ticket(2, 1, &[25.0]), at(1)), None);
    // Closer to the second.
    assert_eq!(ids(&matcher.insert(ticket(3, 2, &[19.0]), at(2)).unwrap()), [1, 3]);
}

#[test]
fn windows_widen_and_the_moment_is_known() {
    let mut rules = duel();
    rules.rating_window = Some(limit(5.0, 1.0, 10.0));
    let mut matcher = matcher(rules);
    matcher.insert(ticket(1, 0, &[10.0]), at(0));
    matcher.insert(ticket(2, 1_000, &[18.0]), at(1_000));
    // Eight points, three seconds after the younger came.
    assert_eq!(matcher.next_change(at(1_000)), Some(at(4_000)));
    assert_eq!(tick(&mut matcher, 3_999), []);
    assert_eq!(tick(&mut matcher, 4_000).len(), 1);
}

#[test]
fn a_clock_that_goes_back_tightens_nothing() {
    let mut rules = duel();
    rules.rating_window = Some(limit(0.0, 1.0, 10.0));
    let mut matcher = matcher(rules);
    matcher.insert(ticket(1, 0, &[10.0]), at(10_000));
    assert_eq!(ids(&matcher.insert(ticket(2, 0, &[20.0]), at(-500_000)).unwrap()), [1, 2]);
}

#[test]
fn a_ticket_is_there_once() {
    let mut matcher = matcher(duel());
    matcher.insert(ticket(1, 0, &[10.0]), at(0));
    assert_eq!(matcher.insert(ticket(1, 0, &[10.0]), at(0)), None);
    assert_eq!(matcher.len(), 1);
    assert!(matcher.get(Uuid::from_u128(1)).is_some());
    assert_eq!(matcher.remove(Uuid::from_u128(1)).map(|it| it.id.as_u128()), Some(1));
    assert_eq!(matcher.remove(Uuid::from_u128(1)), None);
    assert!(tick(&mut matcher, 10).is_empty());
}

#[test]
fn full_matches_come_before_smaller_ones() {
    let mut rules = queue(teams(2, 2..=4));
    rules.start_with_fewer = vec![StartWithFewer { after: Duration::from_secs(30), min_players: some(3) }];
    let mut matcher = matcher(rules);
    for number in 1..=7 {
        matcher.insert(ticket(number, 0, &[25.0]), at(0));
    }
    let sizes = |found: Vec<Proposal>| -> Vec<Vec<usize>> {
        found.iter().map(|it| it.teams.iter().map(|team| team.players.len()).collect()).collect()
    };
    assert_eq!(sizes(tick(&mut matcher, 1)), [[4, 3]]);
    for number in 11..=13 {
        matcher.insert(ticket(number, 0, &[25.0]), at(0));
    }
    assert!(tick(&mut matcher, 29_999).is_empty());
    assert_eq!(sizes(tick(&mut matcher, 30_000)), [[2, 1]]);
}

#[test]
fn friends_stay_together_and_teams_are_equal() {
    let mut matcher = matcher(queue(teams(2, 3..=3)));
    matcher.insert(ticket(1, 0, &[40.0, 20.0]), at(0));
    for (number, skill) in [(2, 30.0), (3, 10.0), (4, 35.0), (5, 25.0)] {
        matcher.insert(ticket(number, 1, &[skill]), at(1));
    }
    let found = tick(&mut matcher, 250);
    // 40 + 20 + 10 or 25 against the rest of 160 in all: 85 and 75 are closest.
    let players: Vec<u128> = found[0].teams[0].players.iter().map(Uuid::as_u128).collect();
    assert_eq!(players, [1_001, 1_002, 5_001]);
    assert_eq!(fits_rules(&found[0], matcher.rules(), at(250)), Ok(()));
}

#[test]
fn teams_that_are_too_unequal_wait() {
    let mut rules = duel();
    rules.balance = Some(limit(0.1, 0.01, 0.5));
    let mut matcher = matcher(rules);
    matcher.insert(ticket(1, 0, &[20.0]), at(0));
    assert_eq!(matcher.insert(ticket(2, 0, &[30.0]), at(0)), None);
    let then = matcher.next_change(at(0)).unwrap();
    assert!((at(20_000)..at(40_000)).contains(&then), "{then}");
    let found = matcher.tick(then, Budget::UNLIMITED).proposals;
    assert!(found[0].imbalance.unwrap() > 0.3);
}

#[test]
fn the_region_is_the_one_with_the_best_slowest_connection() {
    let mut rules = duel();
    rules.region.regions = BTreeSet::from([Region::NaEast, Region::Sa, Region::EuWest]);
    let millis = Duration::from_millis;
    rules.latency = Some(LatencyRule { start: millis(100), growth_per_second: millis(10), ceiling: millis(200) });
    let mut matcher = matcher(rules);
    let with = |number, latencies: [u64; 3]| {
        let regions = [Region::NaEast, Region::Sa, Region::EuWest];
        let mut ticket = ticket(number, 0, &[25.0]);
        ticket.players[0].latencies = regions.into_iter().zip(latencies.map(millis)).collect::<Latencies>();
        ticket
    };
    matcher.insert(with(1, [20, 60, 90]), at(0));
    assert_eq!(matcher.insert(with(2, [95, 70, 20]), at(0)).unwrap().region, Region::Sa);
    // 150 ms are too much for five seconds, 201 for ever.
    matcher.insert(with(3, [150, 201, 201]), at(0));
    assert_eq!(matcher.insert(with(4, [20, 201, 201]), at(0)), None);
    assert_eq!(matcher.next_change(at(0)), Some(at(5_000)));
    assert_eq!(tick(&mut matcher, 5_000)[0].region, Region::NaEast);
}

#[test]
fn other_regions_are_taken_after_a_while() {
    let mut rules = duel();
    rules.region.regions = BTreeSet::from([Region::NaEast, Region::Sa, Region::EuWest]);
    rules.region.any_region_after = Some(Duration::from_secs(20));
    let mut matcher = matcher(rules);
    let asking = |number, region| {
        let mut ticket = ticket(number, 0, &[25.0]);
        ticket.regions = Regions::from_iter([region]);
        ticket
    };
    matcher.insert(asking(1, Region::NaEast), at(0));
    assert_eq!(matcher.insert(asking(2, Region::Sa), at(0)), None);
    assert_eq!(matcher.region_players().map(|(_, count)| count).collect::<Vec<_>>(), [1, 1, 0]);
    let why = matcher.unmet(Uuid::from_u128(1), at(1));
    assert_eq!((&why[0].rule, why[0].count, why[0].relaxed), (&UnmetRule::Region, 1, Some(at(20_000))));
    assert_eq!(matcher.next_change(at(1)), Some(at(20_000)));
    assert_eq!(tick(&mut matcher, 20_000).len(), 1);
}

#[test]
fn every_team_has_its_healer() {
    let mut rules = queue(teams(2, 2..=2));
    let counted = Counted::Equals(AttributeValue::text("healer").unwrap());
    let check = PropertyCheck::AtLeast { count: some(1), per_team: true, counted };
    rules.properties = vec![rule("role", check, Some(Duration::from_mins(1)))];
    let mut matcher = matcher(rules);
    let role = |number, role: &str| {
        let mut ticket = ticket(number, 0, &[25.0]);
        ticket.players[0].properties = attributes(&[("role", AttributeValue::text(role).unwrap())]);
        ticket
    };
    for number in 1..=200 {
        matcher.insert(role(number, "fighter"), at(0));
    }
    matcher.insert(role(500, "healer"), at(0));
    assert!(tick(&mut matcher, 1_000).is_empty());
    let why = matcher.unmet(Uuid::from_u128(1), at(1_000));
    assert_eq!(why[0].rule, UnmetRule::Property("role".to_owned()));
    assert_eq!((why[0].count, why[0].relaxed), (199, Some(at(60_000))));

    matcher.insert(role(501, "healer"), at(2_000));
    let found = tick(&mut matcher, 2_000);
    assert_eq!(found.len(), 1);
    assert_eq!(fits_rules(&found[0], matcher.rules(), at(2_000)), Ok(()));
    assert_eq!(tick(&mut matcher, 60_000).len(), 49);
}

#[test]
fn what_excludes_most_is_told_first() {
    let mut rules = duel();
    rules.rating_window = Some(limit(2.0, 1.0, 4.0));
    rules.properties = vec![rule("map", PropertyCheck::Equality, None)];
    let mut matcher = matcher(rules);
    let on = |number: u128, skill: f64, map: i64| {
        let mut ticket = ticket(number, 0, &[skill]);
        ticket.players[0].properties = attributes(&[("map", AttributeValue::Int(map))]);
        ticket
    };
    matcher.insert(on(1, 25.0, 1), at(0));
    let why = matcher.unmet(Uuid::from_u128(1), at(0));
    assert_eq!((why.len(), &why[0].rule, why[0].count), (1, &UnmetRule::PlayerCount, 1));
    for number in 2..=4 {
        matcher.insert(on(number, 25.0, i64::try_from(number).unwrap()), at(0));
    }
    matcher.insert(on(5, 29.5, 1), at(0));
    let why = matcher.unmet(Uuid::from_u128(1), at(1_000));
    let told: Vec<_> = why.iter().map(|it| (it.rule.clone(), it.count, it.limit, it.relaxed)).collect();
    let map = UnmetRule::Property("map".to_owned());
    assert_eq!(told, [(map, 3, None, None), (UnmetRule::Rating, 1, Some(3.0), Some(at(2_000)))]);
    assert!(matcher.unmet(Uuid::from_u128(99), at(0)).is_empty());
}

#[test]
fn new_rules_send_away_who_can_never_fit() {
    let mut matcher = matcher(queue(teams(2, 2..=2)));
    matcher.insert(ticket(1, 0, &[25.0, 25.0]), at(0));
    matcher.insert(ticket(2, 0, &[25.0]), at(0));
    matcher.insert(ticket(3, 0, &[25.0]), at(0));
    let unfit = matcher.set_rules(Arc::new(duel()), at(0));
    assert_eq!(unfit.iter().map(|(ticket, _)| ticket.id.as_u128()).collect::<Vec<_>>(), [1]);
    assert_eq!(matcher.next_change(at(0)), Some(at(0)));
    assert_eq!(tick(&mut matcher, 0).iter().map(ids).collect::<Vec<_>>(), [[2, 3]]);
}

#[test]
fn no_ticket_keeps_others_from_their_turn() {
    let mut rules = queue(teams(2, 2..=2));
    rules.rating_window = Some(limit(1.0, 0.0, 1.0));
    let mut matcher = matcher(rules);
    // A hundred who fit nobody, and four who fit.
    for number in 1..=100_u32 {
        matcher.insert(ticket(number.into(), 0, &[f64::from(number) * 10.0]), at(0));
    }
    for number in 201..=204 {
        matcher.insert(ticket(number, 1, &[5.0]), at(1));
    }
    assert!(matcher.tick(at(2), Budget { steps: 1 }).ran_out);
    let mut rounds = 0;
    while matcher.tick(at(2), Budget { steps: 12 }).proposals.is_empty() {
        rounds += 1;
        assert!(rounds < 100);
    }
    assert!(!matcher.tick(at(2), Budget::UNLIMITED).ran_out);
}

#[test]
fn large_matches_are_found() {
    let mut all = queue(Format::FreeForAll { min_players: some(2), max_players: some(100) });
    all.rating_window = Some(limit(50.0, 0.0, 50.0));
    let large = queue(teams(16, 60..=60));
    for (rules, waiting, expected) in [(all, 250_u32, vec![100, 100, 50]), (large, 1_000, vec![960])] {
        let mut matcher = matcher(rules);
        for number in 0..waiting {
            matcher.insert(ticket(u128::from(number) + 1, 0, &[f64::from(number % 50)]), at(0));
        }
        let found = tick(&mut matcher, 250);
        assert_eq!(found.iter().map(|it| it.tickets.len()).collect::<Vec<_>>(), expected);
        for proposal in &found {
            assert_eq!(fits_rules(proposal, matcher.rules(), at(250)), Ok(()));
        }
    }
}

#[test]
fn a_queue_without_ratings_matches_by_age() {
    let mut rules = duel();
    rules.rating = None;
    let mut matcher = matcher(rules);
    for number in [3, 1, 2, 4] {
        let created = i64::try_from(number).unwrap();
        matcher.restore(ticket(number, created, &[1e9 * f64::from(u32::try_from(number).unwrap())]), at(10));
    }
    let found = tick(&mut matcher, 10);
    assert_eq!(found.iter().map(ids).collect::<Vec<_>>(), [[1, 2], [3, 4]]);
    assert!(found.iter().all(|it| it.imbalance.is_none() && it.teams[0].win_probability.is_none()));
}

#[test]
fn extreme_numbers_do_no_harm() {
    let skills = [1e9, -1e9, 0.0, f64::MIN_POSITIVE, 25.0];
    let wide = limit(f64::MAX / 2.0, f64::MAX, f64::MAX);
    for format in [teams(2, 1..=1), teams(2, 1..=2), teams(3, 1..=1)] {
        let mut rules = queue(format);
        rules.rating_window = Some(wide);
        rules.balance = Some(limit(0.0, f64::MAX, 0.5));
        let mut matcher = matcher(rules);
        for (number, skill) in (1..).zip(skills) {
            let mut ticket = ticket(number, 0, &[skill]);
            ticket.players[0].rating = Rating::new(skill, 10_f64.powf(skill.signum() * 9.0)).unwrap();
            let (first, last) = (time::PrimitiveDateTime::MIN, time::PrimitiveDateTime::MAX);
            ticket.created = if number % 2 == 0 { first } else { last }.assume_utc();
            matcher.insert(ticket, at(0));
        }
        matcher.insert(Ticket { players: vec![], ..ticket(90, 0, &[]) }, at(0));
        matcher.insert(Ticket { players: vec![player(1, 1.0); 400], ..ticket(91, 0, &[]) }, at(0));
        for now in [0, 3_600_000, i64::from(i32::MAX), -5] {
            assert!(matcher.next_change(at(now)).is_none_or(|next| next >= at(now)));
            assert!(matcher.unmet(Uuid::from_u128(1), at(now)).len() < 9);
            matcher.tick(at(now), Budget::UNLIMITED);
        }
        let (first, last) = (time::PrimitiveDateTime::MIN.assume_utc(), time::PrimitiveDateTime::MAX.assume_utc());
        for now in [first, last] {
            matcher.tick(now, Budget::UNLIMITED);
            assert!(matcher.next_change(now).is_none_or(|next| next >= now));
        }
    }
}
