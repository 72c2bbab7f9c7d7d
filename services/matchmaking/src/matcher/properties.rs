//! What holds for whatever tickets and rules there are.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use pkg_definition::{
    AttributeValue, Counted, Format, LatencyRule, PropertyCheck, PropertyRule, Queue, Region, RegionRule,
    RelaxingLimit, StartWithFewer,
};
use proptest::prelude::*;
use proptest::sample::Index;
use uuid::Uuid;

use super::limits::{age_allowing, limit_at};
use super::testing::{at, attributes, every_match, finite, limit, queue, rule, some, splits_of, teams};
use super::{Budget, Matcher, Proposal, find_matches, fits_rules};
use crate::rating::Rating;
use crate::ticket::{Latencies, Player, Regions, Ticket};

const REGIONS: [Region; 3] = [Region::NaEast, Region::EuWest, Region::Oceania];
/// The oldest ticket is so old, in milliseconds.
const OLDEST: i64 = 60_000;

fn formats() -> impl Strategy<Value = Format> {
    let team_formats = (2_u32..=4, 1_u32..=3, 0_u32..=2).prop_map(|(count, size, fewer)| {
        let size = if count > 2 { size.min(2) } else { size };
        teams(count, size.saturating_sub(fewer).max(1)..=size)
    });
    let alone = (2_u32..=5, 0_u32..=3).prop_map(|(most, fewer)| Format::FreeForAll {
        min_players: some(most.saturating_sub(fewer).max(2)),
        max_players: some(most),
    });
    prop_oneof![1 => Just(teams(2, 1..=1)), 2 => team_formats, 1 => alone]
}

fn limits(scale: f64) -> impl Strategy<Value = RelaxingLimit> {
    (0_u32..8, 0_u32..3, 0_u32..12).prop_map(move |(start, growth, more)| {
        let (start, more) = (f64::from(start) * scale, f64::from(more) * scale);
        limit(start, f64::from(growth) * scale / 8.0, start + more)
    })
}

fn properties() -> impl Strategy<Value = Vec<PropertyRule>> {
    let at_least = (1_u32..=2, any::<bool>(), any::<bool>()).prop_map(|(count, per_team, exactly)| {
        let counted = if exactly { Counted::Equals(AttributeValue::Int(1)) } else { Counted::Minimum(finite(1.0)) };
        PropertyCheck::AtLeast { count: some(count), per_team, counted }
    });
    let check = prop_oneof![Just(PropertyCheck::Equality), limits(1.0).prop_map(PropertyCheck::Range), at_least];
    let rules = (prop::sample::select(vec!["a", "b"]), check, prop::option::of(0_u64..60))
        .prop_map(|(key, check, drop_after)| rule(key, check, drop_after.map(Duration::from_secs)));
    prop::collection::vec(rules, 0..=2)
}

fn latency_rules() -> impl Strategy<Value = LatencyRule> {
    (0_u64..80, 0_u64..4, 0_u64..80).prop_map(|(start, growth, more)| LatencyRule {
        start: Duration::from_millis(start),
        growth_per_second: Duration::from_millis(growth),
        ceiling: Duration::from_millis(start + more),
    })
}

fn rules() -> impl Strategy<Value = Queue> {
    let regions = prop::collection::btree_set(prop::sample::select(REGIONS.to_vec()), 1..=3);
    (
        formats(),
        prop::option::of(limits(2.0)),
        prop::option::weighted(0.3, limits(0.03)),
        (regions, prop::option::of(0_u64..60)),
        prop::option::weighted(0.4, latency_rules()),
        prop_oneof![2 => Just(Vec::new()), 1 => properties()],
        prop::option::of(0_u64..60),
        prop::bool::weighted(0.8),
    )
        .prop_map(|(format, window, balance, (regions, any), latency, properties, fewer, rated)| {
            let mut queue = queue(format);
            queue.rating_window = window.filter(|_| rated);
            queue.balance = balance.filter(|_| rated);
            queue.rating = queue.rating.filter(|_| rated);
            queue.region = RegionRule { regions, any_region_after: any.map(Duration::from_secs) };
            queue.latency = latency;
            queue.properties = properties;
            let least = format.team_count().max(2);
            queue.start_with_fewer = fewer
                .filter(|_| least < format.min_players())
                .map(|after| StartWithFewer { after: Duration::from_secs(after), min_players: some(least) })
                .into_iter()
                .collect();
            queue
        })
}

fn values() -> impl Strategy<Value = AttributeValue> {
    prop_oneof![
        4 => (0_i64..3).prop_map(AttributeValue::Int),
        2 => (0_u32..3).prop_map(|number| AttributeValue::Float(finite(f64::from(number)))),
        1 => Just(AttributeValue::Bool(true)),
    ]
}

fn players() -> impl Strategy<Value = Player> {
    let latencies = prop::collection::vec((prop::sample::select(REGIONS.to_vec()), 0_u64..160), 0..4);
    let latencies = prop_oneof![1 => latencies, 2 => Just(REGIONS.map(|region| (region, 20)).to_vec())];
    let property = || prop::option::weighted(0.9, values());
    (0_u32..40, 1_u32..9, latencies, property(), property()).prop_map(|(skill, uncertainty, latencies, a, b)| {
        let given: Vec<_> = [("a", a), ("b", b)].into_iter().filter_map(|(key, it)| Some((key, it?))).collect();
        let latencies = latencies.into_iter().map(|(region, millis)| (region, Duration::from_millis(millis)));
        Player {
            id: Uuid::nil(),
            rating: Rating::new(f64::from(skill) / 2.0 + 15.0, f64::from(uncertainty)).expect("it is finite"),
            latencies: latencies.collect::<Latencies>(),
            properties: attributes(&given),
        }
    })
}

/// Tickets for a queue, each with another id; most of one player.
fn tickets(rules: &Queue, count: std::ops::RangeInclusive<usize>) -> impl Strategy<Value = Vec<Ticket>> + use<> {
    let most = rules.format.max_team_size() as usize;
    let players = prop_oneof![
        3 => prop::collection::vec(players(), 1),
        1 => prop::collection::vec(players(), 1..=most),
    ];
    let regions = prop::collection::vec(prop::sample::select(REGIONS.to_vec()), 0..3);
    let ticket = (players, regions, 0..OLDEST, 0_u64..1_000);
    prop::collection::vec(ticket, count).prop_map(|given| {
        let mut tickets = Vec::new();
        for ((mut players, regions, created, random), number) in given.into_iter().zip(0_u128..) {
            let id = (u128::from(random) << 32) + number + 1;
            for (place, player) in (1..).zip(&mut players) {
                player.id = Uuid::from_u128((number << 8) + place);
            }
            // Some of one moment, so that ids decide.
            let created = at(created / 7_000 * 7_000);
            tickets.push(Ticket { id: Uuid::from_u128(id), players, regions: Regions::from_iter(regions), created });
        }
        tickets
    })
}

fn queues(count: std::ops::RangeInclusive<usize>) -> impl Strategy<Value = (Queue, Vec<Ticket>)> {
    rules().prop_flat_map(move |rules| {
        let tickets = tickets(&rules, count.clone());
        (Just(rules), tickets)
    })
}

fn by_age(tickets: &[Ticket]) -> Vec<Ticket> {
    let mut sorted = tickets.to_vec();
    sorted.sort_by_key(|ticket| (ticket.created, ticket.id));
    sorted
}

/// That matches keep the rules, and that whoever is in none had none when the turn came, oldest first.
fn check_all(tickets: &[Ticket], found: &[Proposal], rules: &Queue, now: time::OffsetDateTime) {
    let mut matched = BTreeSet::new();
    for proposal in found {
        assert_eq!(fits_rules(proposal, rules, now), Ok(()), "{proposal:#?}");
        for ticket in &proposal.tickets {
            assert!(matched.insert(ticket.id), "a ticket is in two matches");
            assert!(tickets.contains(ticket), "a ticket came out of nowhere");
        }
    }
    let mut left = by_age(tickets);
    while let Some(oldest) = left.first() {
        if let Some(proposal) = found.iter().find(|proposal| proposal.tickets[0].id == oldest.id) {
            left.retain(|ticket| !proposal.tickets.iter().any(|other| other.id == ticket.id));
        } else {
            assert!(!matched.contains(&oldest.id), "an older ticket of its match came later");
            every_match(&left, rules, now, |proposal| panic!("overlooked: {proposal:#?}\nmade: {found:#?}"));
            left.remove(0);
        }
    }
}

proptest! {
    #[test]
    fn the_oldest_ticket_that_has_a_match_is_in_one((rules, tickets) in queues(0..=12)) {
        let rules = Arc::new(rules);
        let found = find_matches(&tickets, &rules, at(OLDEST));
        check_all(&tickets, &found, &rules, at(OLDEST));
    }

    #[test]
    fn no_other_split_is_more_equal((rules, tickets) in queues(0..=9)) {
        let rules = Arc::new(rules);
        for found in find_matches(&tickets, &rules, at(OLDEST)) {
            splits_of(&found.tickets, &rules, at(OLDEST), &mut |other: &Proposal| {
                assert!(found.imbalance <= other.imbalance.map(|it| it + 1e-9), "{found:?} {other:?}");
                false
            });
        }
    }

    #[test]
    fn the_order_of_tickets_makes_no_difference(
        ((rules, tickets), seeds) in (queues(0..=30), prop::collection::vec(any::<Index>(), 30)),
    ) {
        let rules = Arc::new(rules);
        let found = find_matches(&tickets, &rules, at(OLDEST));
        let mut shuffled = tickets;
        for (place, seed) in seeds.iter().enumerate().take(shuffled.len()) {
            let other = seed.index(shuffled.len());
            shuffled.swap(place, other);
        }
        prop_assert_eq!(found, find_matches(&shuffled, &rules, at(OLDEST)));
    }

    #[test]
    fn what_fits_fits_later_as_well((rules, tickets) in queues(0..=12), later in 0_i64..3_000_000) {
        let rules = Arc::new(rules);
        for found in find_matches(&tickets, &rules, at(OLDEST)) {
            prop_assert_eq!(fits_rules(&found, &rules, at(OLDEST + later)), Ok(()));
        }
    }

    #[test]
    fn arrivals_and_ticks_leave_no_match_behind(
        (rules, tickets) in queues(0..=10),
        steps in prop::collection::vec((0_i64..9_000, 0_u8..4, any::<Index>()), 0..24),
    ) {
        let rules = Arc::new(rules);
        let mut story = Story::new(&rules);
        let mut coming = by_age(&tickets);
        coming.reverse();
        for (wait, what, which) in steps {
            story.wait(wait);
            match what {
                0 | 1 if !coming.is_empty() => story.arrive(coming.pop().expect("there is one")),
                2 => story.cancel(which),
                _ => story.tick(),
            }
        }
        for ticket in coming {
            story.arrive(ticket);
        }
        story.wait(OLDEST);
        story.tick();
    }

    #[test]
    fn a_small_budget_ends_where_a_large_one_does_for_whoever_waits((rules, tickets) in queues(0..=10), steps in 1_u64..40) {
        let rules = Arc::new(rules);
        let mut matcher = Matcher::new(rules.clone());
        for ticket in &tickets {
            matcher.restore(ticket.clone(), at(OLDEST));
        }
        let (mut found, mut rounds) = (Vec::new(), 0);
        loop {
            let ticked = matcher.tick(at(OLDEST), Budget { steps });
            found.extend(ticked.proposals);
            rounds += 1;
            prop_assert!(rounds < 1_000, "every ticket has its turn");
            if !ticked.ran_out {
                break;
            }
        }
        found.extend(matcher.tick(at(OLDEST), Budget::UNLIMITED).proposals);
        for proposal in &found {
            prop_assert_eq!(fits_rules(proposal, &rules, at(OLDEST)), Ok(()));
        }
        let left = by_age(&matcher.tickets().cloned().collect::<Vec<_>>());
        prop_assert_eq!(left.len() + found.iter().map(|it| it.tickets.len()).sum::<usize>(), tickets.len());
        check_all(&left, &[], &rules, at(OLDEST));
    }

    #[test]
    fn new_rules_hold_at_once((rules, tickets) in queues(0..=10), other in rules()) {
        let mut matcher = Matcher::new(Arc::new(rules));
        for ticket in &tickets {
            matcher.insert(ticket.clone(), at(OLDEST));
        }
        let before: Vec<Ticket> = matcher.tickets().cloned().collect();
        let other = Arc::new(other);
        let unfit = matcher.set_rules(other.clone(), at(OLDEST));
        let is_unfit = |ticket: &Ticket| unfit.iter().any(|(other, _)| other.id == ticket.id);
        for (ticket, _) in &unfit {
            let others = tickets.iter().filter(|it| it.id != ticket.id);
            let first: Vec<Ticket> = std::iter::once(&**ticket).chain(others).cloned().collect();
            every_match(&first, &other, at(3_600_000), |proposal| panic!("it fits: {proposal:#?}"));
        }
        let fit: Vec<Ticket> = before.into_iter().filter(|it| !is_unfit(it)).collect();
        let found = matcher.tick(at(OLDEST), Budget::UNLIMITED).proposals;
        prop_assert_eq!(&found, &find_matches(&fit, &other, at(OLDEST)));
    }

    #[test]
    fn limits_never_tighten(
        (start, growth, more) in (0.0..1e9_f64, 0.0..1e9_f64, 0.0..1e9_f64),
        (age, later) in (0_i64..4_000_000, 0_i64..4_000_000),
        distance in 0.0..3e9_f64,
    ) {
        let limit = limit(start, growth, start + more);
        prop_assert!(limit_at(&limit, age) <= limit_at(&limit, age + later));
        match age_allowing(&limit, distance) {
            None => prop_assert!(limit_at(&limit, 3_600_000) < distance),
            Some(from) => {
                prop_assert!(limit_at(&limit, from) >= distance);
                prop_assert!(from == 0 || limit_at(&limit, from - 1) < distance);
            }
        }
    }
}

/// A matcher and everyone who is in it.
struct Story {
    rules: Arc<Queue>,
    matcher: Matcher,
    waiting: Vec<Ticket>,
    now: i64,
}

impl Story {
    fn new(rules: &Arc<Queue>) -> Self {
        Self { rules: rules.clone(), matcher: Matcher::new(rules.clone()), waiting: Vec::new(), now: 0 }
    }

    /// Time goes by. In a queue of pairs nothing may fit before the matcher says so.
    fn wait(&mut self, millis: i64) {
        let until = self.now + millis;
        while self.is_pairs()
            && let Some(next) = self.matcher.next_change(at(self.now))
            && next <= at(until)
        {
            let before = next - time::Duration::milliseconds(1);
            if before > at(self.now) {
                check_all(&self.waiting, &[], &self.rules, before);
            }
            let millis = (next - at(0)).whole_milliseconds();
            self.now = i64::try_from(millis).expect("it is soon");
            self.tick();
        }
        self.now = until;
        if self.is_pairs() {
            check_all(&self.waiting, &[], &self.rules, at(self.now));
        }
    }

    fn arrive(&mut self, mut ticket: Ticket) {
        ticket.created = ticket.created.min(at(self.now));
        self.waiting.push(ticket.clone());
        let found: Vec<Proposal> = self.matcher.insert(ticket, at(self.now)).into_iter().collect();
        if self.is_pairs() {
            check_all(&self.waiting, &found, &self.rules, at(self.now));
        }
        self.settle(&found);
    }

    fn cancel(&mut self, which: Index) {
        if !self.waiting.is_empty() {
            let ticket = self.waiting.swap_remove(which.index(self.waiting.len()));
            assert_eq!(self.matcher.remove(ticket.id).as_deref(), Some(&ticket));
        }
    }

    fn tick(&mut self) {
        let ticked = self.matcher.tick(at(self.now), Budget::UNLIMITED);
        assert!(!ticked.ran_out);
        check_all(&self.waiting, &ticked.proposals, &self.rules, at(self.now));
        self.settle(&ticked.proposals);
    }

    fn settle(&mut self, found: &[Proposal]) {
        let matched: Vec<Uuid> = found.iter().flat_map(|it| it.tickets.iter().map(|ticket| ticket.id)).collect();
        self.waiting.retain(|ticket| !matched.contains(&ticket.id));
        assert_eq!(self.matcher.len(), self.waiting.len());
        let players: usize = self.waiting.iter().map(|ticket| ticket.players.len()).sum();
        assert_eq!(self.matcher.players(), players as u64);
        for id in self.waiting.iter().map(|ticket| ticket.id) {
            assert!(self.matcher.unmet(id, at(self.now)).len() < 9);
        }
    }

    fn is_pairs(&self) -> bool {
        self.rules.format.max_players() == 2
    }
}
