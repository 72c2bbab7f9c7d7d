use proptest::prelude::*;
use skillratings::Outcomes;
use skillratings::weng_lin::{expected_score_multi_team, expected_score_two_teams, weng_lin_two_teams};

use super::*;

fn rule(skill: f64, uncertainty: f64, beta: f64) -> RatingRule {
    let finite = |number| pkg_definition::Finite::new(number).expect("it is finite");
    RatingRule { initial_skill: finite(skill), initial_uncertainty: finite(uncertainty), beta: finite(beta) }
}

fn usual() -> RatingRule {
    rule(25.0, 25.0 / 3.0, 25.0 / 6.0)
}

fn rating(skill: f64, uncertainty: f64) -> Rating {
    Rating::new(skill, uncertainty).expect("it is finite")
}

fn placed(number: u128, team: &str, placement: i32, rating: Rating) -> Placed<'_> {
    Placed { player: Uuid::from_u128(number), team, placement, rating }
}

fn close(one: f64, other: f64) -> bool {
    (one - other).abs() < 1e-6
}

fn theirs(ratings: &[Rating]) -> Vec<WengLinRating> {
    ratings.iter().map(|it| WengLinRating { rating: it.skill, uncertainty: it.uncertainty }).collect()
}

#[test]
fn two_players_are_rated_as_in_the_paper() {
    let start = Rating::initial(&usual());
    let after = update(&[placed(1, "", 1, start), placed(2, "", 2, start)], &usual()).unwrap();
    assert!(close(after[0].skill(), 27.635_231) && close(after[1].skill(), 22.364_769), "{after:?}");
    assert!(close(after[0].uncertainty(), 8.065_506) && close(after[1].uncertainty(), 8.065_506), "{after:?}");
}

#[test]
fn teams_are_rated_as_the_crate_does() {
    let (red, blue) = ([rating(30.0, 4.0), rating(20.0, 8.0)], [rating(26.0, 5.0), rating(25.0, 3.0)]);
    let config = WengLinConfig { beta: 25.0 / 6.0, uncertainty_tolerance: SHRINKAGE };
    let (red_after, blue_after) = weng_lin_two_teams(&theirs(&red), &theirs(&blue), &Outcomes::LOSS, &config);
    let players = [
        placed(1, "red", 2, red[0]),
        placed(3, "blue", 1, blue[0]),
        placed(2, "red", 2, red[1]),
        placed(4, "blue", 1, blue[1]),
    ];
    let after = update(&players, &usual()).unwrap();
    for (mine, theirs) in
        [(after[0], red_after[0]), (after[2], red_after[1]), (after[1], blue_after[0]), (after[3], blue_after[1])]
    {
        assert!(close(mine.skill(), theirs.rating) && close(mine.uncertainty(), theirs.uncertainty), "{after:?}");
    }
    let teams: Vec<Strength> = [&red, &blue].map(|team| team.iter().collect()).into();
    let expected = expected_score_two_teams(&theirs(&red), &theirs(&blue), &config);
    let mine = win_probabilities(&teams, 25.0 / 6.0);
    assert!(close(mine[0], expected.0) && close(mine[1], expected.1));
}

#[test]
fn draws_bring_players_together_and_places_rank_them() {
    let (strong, weak) = (rating(30.0, 5.0), rating(20.0, 5.0));
    let after = update(&[placed(1, "", 1, strong), placed(2, "", 1, weak)], &usual()).unwrap();
    assert!(after[0].skill() < 30.0 && after[1].skill() > 20.0);

    let start = Rating::initial(&usual());
    let places = [(1, 7), (2, -3), (3, 100), (4, 7)];
    let after = update(&places.map(|(number, place)| placed(number, "", place, start)), &usual()).unwrap();
    assert!(after[1].skill() > after[0].skill() && after[0].skill() > after[2].skill());
    assert!(close(after[0].skill(), after[3].skill()));
}

#[test]
fn what_has_no_two_teams_does_not_count() {
    let start = Rating::initial(&usual());
    assert_eq!(update(&[], &usual()), None);
    assert_eq!(update(&[placed(1, "", 1, start)], &usual()), None);
    assert_eq!(update(&[placed(1, "red", 1, start), placed(2, "red", 1, start)], &usual()), None);
    assert_eq!(update(&[placed(1, "", 1, start), placed(1, "", 2, start)], &usual()), None);
}

#[test]
fn numbers_of_players_do_not_decide() {
    // Whatever the scale's zero is.
    for zero in [0.0, 1_500.0, -40.0] {
        let team = |size: u32| (0..size).map(|_| rating(zero, 2.0)).collect::<Vec<_>>();
        let teams: Vec<Strength> = [team(3), team(2)].iter().map(|team| team.iter().collect()).collect();
        let expected = win_probabilities(&teams, 4.0);
        assert!(close(expected[0], 0.5) && close(imbalance(&expected), 0.0));
        let players: Vec<_> = (0..5).map(|n| placed(n, if n < 3 { "a" } else { "b" }, 1, rating(zero, 2.0))).collect();
        assert!(update(&players, &usual()).unwrap().iter().all(|after| close(after.skill(), zero)));
    }
}

#[test]
fn ratings_keep_moving() {
    let mut one = Rating::initial(&usual());
    let mut other = one;
    for _ in 0..2_000 {
        let after = update(&[placed(1, "", 1, one), placed(2, "", 1, other)], &usual()).unwrap();
        (one, other) = (after[0], after[1]);
    }
    assert!(close(one.uncertainty(), 25.0 / 3.0 * UNCERTAINTY_FLOOR));
    let after = update(&[placed(1, "", 2, one), placed(2, "", 1, other)], &usual()).unwrap();
    assert!(after[1].skill() - other.skill() > 0.05);
}

#[test]
fn what_is_not_finite_is_no_rating() {
    for (skill, uncertainty) in [(f64::NAN, 1.0), (1.0, f64::INFINITY), (f64::NEG_INFINITY, 1.0)] {
        assert_eq!(Rating::new(skill, uncertainty), None);
    }
    let bounded = rating(-1e300, 0.0);
    assert_eq!((bounded.skill(), bounded.uncertainty()), (-POINTS_MAX, POINTS_MIN));
}

fn any_rating() -> impl Strategy<Value = Rating> {
    let number = prop_oneof![-50.0..50.0, any::<f64>().prop_filter("finite", |it| it.is_finite()), Just(0.0)];
    (number.clone(), number).prop_map(|(skill, uncertainty)| rating(skill, uncertainty))
}

proptest! {
    #[test]
    fn everything_stays_finite(
        players in prop::collection::vec((any_rating(), 0_usize..6, any::<i32>()), 0..12),
        (skill, uncertainty, beta) in (any::<f64>(), any::<f64>(), any::<f64>()),
    ) {
        prop_assume!(skill.is_finite() && uncertainty.is_finite() && beta.is_finite());
        let rule = rule(skill, uncertainty.abs(), beta.abs());
        let names = ["", "a", "b", "c", "", "d"];
        let players: Vec<_> =
            (1..).zip(&players).map(|(number, (rating, team, place))| placed(number, names[*team], *place, *rating)).collect();
        for after in update(&players, &rule).into_iter().flatten() {
            prop_assert!(after.skill().abs() <= POINTS_MAX);
            prop_assert!((POINTS_MIN..=POINTS_MAX).contains(&after.uncertainty()));
        }
        let teams: Vec<Strength> = players.iter().map(|placed| [placed.rating].iter().collect()).collect();
        let probabilities = win_probabilities(&teams, rule.beta.get());
        prop_assert!(probabilities.iter().all(|p| (0.0..=1.0).contains(p)));
        prop_assert!(teams.is_empty() || close(probabilities.iter().sum(), 1.0));
        prop_assert!((0.0..=1.0).contains(&imbalance(&probabilities)));
    }

    #[test]
    fn the_order_of_players_makes_no_difference(
        players in prop::collection::vec((0.0..50.0_f64, 1.0..9.0_f64, 0_usize..4, 1..5_i32), 2..10),
    ) {
        let names = ["", "a", "b", "c"];
        let given: Vec<_> = (1..)
            .zip(&players)
            .map(|(number, (skill, uncertainty, team, place))| placed(number, names[*team], *place, rating(*skill, *uncertainty)))
            .collect();
        let mut turned = given.clone();
        turned.reverse();
        let after = update(&turned, &usual()).map(|mut after| { after.reverse(); after });
        prop_assert_eq!(update(&given, &usual()), after);
    }

    #[test]
    fn predictions_are_those_of_the_crate(skills in prop::collection::vec((0.0..50.0_f64, 1.0..9.0_f64), 2..8)) {
        let ratings: Vec<Rating> = skills.iter().map(|(skill, uncertainty)| rating(*skill, *uncertainty)).collect();
        let teams: Vec<Strength> = ratings.iter().map(|it| [*it].iter().collect()).collect();
        let given: Vec<_> = ratings.iter().map(|it| theirs(&[*it])).collect();
        let given: Vec<&[WengLinRating]> = given.iter().map(Vec::as_slice).collect();
        let config = WengLinConfig { beta: 4.0, uncertainty_tolerance: SHRINKAGE };
        let expected = expected_score_multi_team(&given, &config);
        for (mine, theirs) in win_probabilities(&teams, 4.0).into_iter().zip(expected) {
            prop_assert!(close(mine, theirs));
        }
    }
}
