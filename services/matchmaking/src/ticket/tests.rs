use std::collections::BTreeSet;

use pkg_definition::{LatencyRule, RelaxingLimit};

use super::*;
use crate::matcher::testing::{attributes, finite, queue, rule, teams, ticket};

fn check(ticket: &Ticket, change: impl FnOnce(&mut Queue)) -> Result<(), Unfit> {
    let mut rules = queue(teams(2, 1..=3));
    change(&mut rules);
    ticket.check(&rules)
}

#[test]
fn regions_are_a_set() {
    let regions: Regions = [Region::Global, Region::NaEast, Region::Global].into_iter().collect();
    assert_eq!(regions.iter().collect::<Vec<_>>(), [Region::NaEast, Region::Global]);
    assert!(regions.contains(Region::Global) && !regions.contains(Region::Sa));
    let all: Regions = Region::ALL.into_iter().collect();
    assert_eq!(all.iter().collect::<Vec<_>>(), Region::ALL);
    assert_eq!(all.and(regions), regions);
    assert!(Regions::NONE.is_empty() && Regions::NONE.iter().next().is_none());
}

#[test]
fn latencies_are_whole_milliseconds_rounded_up() {
    let micros = Duration::from_micros;
    let given = [(Region::Sa, micros(1)), (Region::Mena, micros(20_000)), (Region::Africa, Duration::MAX)];
    let latencies: Latencies = given.into_iter().collect();
    assert_eq!(latencies.get(Region::Sa), Some(Duration::from_millis(1)));
    assert_eq!(latencies.get(Region::Mena), Some(Duration::from_millis(20)));
    assert!(latencies.get(Region::Africa).is_some_and(|latency| latency > Duration::from_mins(1)));
    assert_eq!(latencies.get(Region::Global), None);
}

#[test]
fn a_team_takes_so_many_players() {
    assert_eq!(check(&ticket(1, 0, &[1.0, 2.0, 3.0]), |_| {}), Ok(()));
    let too_many = Err(Unfit::TooManyPlayers { players: 4, most: 3 });
    assert_eq!(check(&ticket(1, 0, &[1.0, 2.0, 3.0, 4.0]), |_| {}), too_many);
    assert_eq!(check(&ticket(1, 0, &[]), |_| {}), Err(Unfit::NoPlayers));
    let alone = Err(Unfit::TooManyPlayers { players: 2, most: 1 });
    let two = pkg_definition::Format::FreeForAll {
        min_players: crate::matcher::testing::some(2),
        max_players: crate::matcher::testing::some(9),
    };
    assert_eq!(check(&ticket(1, 0, &[1.0, 2.0]), |rules| rules.format = two), alone);
}

#[test]
fn a_region_must_be_on_offer_and_within_reach() {
    let mut asked = ticket(1, 0, &[1.0]);
    asked.regions = Regions::from_iter([Region::Sa]);
    let offer = |rules: &mut Queue| rules.region.regions = BTreeSet::from([Region::NaEast]);
    assert_eq!(check(&asked, offer), Err(Unfit::NoRegion));
    let after = |wait: u64| {
        move |rules: &mut Queue| {
            offer(rules);
            rules.region.any_region_after = Some(Duration::from_secs(wait));
        }
    };
    assert_eq!(check(&asked, after(300)), Ok(()));
    // It has expired by then.
    assert_eq!(check(&asked, after(301)), Err(Unfit::NoRegion));

    let near = |rules: &mut Queue| {
        let ceiling = Duration::from_millis(100);
        rules.latency = Some(LatencyRule { start: ceiling, growth_per_second: Duration::ZERO, ceiling });
    };
    let mut far = ticket(1, 0, &[1.0]);
    assert_eq!(check(&far, near), Err(Unfit::OutOfReach));
    far.players[0].latencies = Latencies::from_iter([(Region::Global, Duration::from_millis(101))]);
    assert_eq!(check(&far, near), Err(Unfit::OutOfReach));
    far.players[0].latencies = Latencies::from_iter([(Region::Global, Duration::from_millis(100))]);
    assert_eq!(check(&far, near), Ok(()));
}

#[test]
fn properties_must_do_unless_their_rule_is_dropped() {
    let with = |check: PropertyCheck, drop_after| {
        move |rules: &mut Queue| rules.properties = vec![rule("a", check, drop_after)]
    };
    let unfit = || Err(Unfit::Property { property: "a".to_owned() });
    let bare = ticket(1, 0, &[1.0, 2.0]);
    assert_eq!(check(&bare, with(PropertyCheck::Equality, None)), unfit());
    assert_eq!(check(&bare, with(PropertyCheck::Equality, Some(Duration::from_secs(5)))), Ok(()));

    let mut different = bare.clone();
    for (player, number) in different.players.iter_mut().zip(1..) {
        player.properties = attributes(&[("a", AttributeValue::Int(number * 10))]);
    }
    assert_eq!(check(&different, with(PropertyCheck::Equality, None)), unfit());
    let range = |ceiling| {
        PropertyCheck::Range(RelaxingLimit {
            start: finite(0.0),
            growth_per_second: finite(1.0),
            ceiling: finite(ceiling),
        })
    };
    assert_eq!(check(&different, with(range(10.0), None)), Ok(()));
    assert_eq!(check(&different, with(range(9.0), None)), unfit());
}
