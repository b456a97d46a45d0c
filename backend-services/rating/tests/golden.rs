//! The published TrueSkill values, and laws that hold for any match.
//!
//! The values are those of the Python package `trueskill` 0.4.5. Its default arithmetic has an erfc that is
//! good to 1.2e-7 only; what it prints with exact arithmetic (mpmath) is held here to 1e-9, and what it
//! prints by default to 1e-6, the draw excepted: there its own error is 4e-6.

use proptest::prelude::*;
use rating::{Rating, RatingError, TrueSkill};

const NEW: Rating = Rating::NEWCOMER;

#[track_caller]
fn within(tolerance: f64, found: Rating, mu: f64, sigma: f64) {
    assert!((found.mu - mu).abs() < tolerance, "mu {} is not {mu}", found.mu);
    assert!((found.sigma - sigma).abs() < tolerance, "sigma {} is not {sigma}", found.sigma);
}

#[track_caller]
fn near(found: Rating, mu: f64, sigma: f64) {
    within(1e-6, found, mu, sigma);
}

#[track_caller]
fn exact(found: Rating, mu: f64, sigma: f64) {
    within(1e-9, found, mu, sigma);
}

fn solo(ratings: &[Rating]) -> Vec<Vec<(Rating, f64)>> {
    ratings.iter().map(|r| vec![(*r, 1.0)]).collect()
}

fn rate(teams: &[Vec<(Rating, f64)>], placements: &[u32]) -> Vec<Vec<Rating>> {
    TrueSkill::default().rate(teams, placements).expect("a sound match")
}

#[test]
fn one_against_one() {
    let won = rate(&solo(&[NEW, NEW]), &[1, 2]);
    near(won[0][0], 29.395_832_019_999_16, 7.171_475_587_326_195);
    near(won[1][0], 20.604_167_980_000_835, 7.171_475_587_326_195);
    let drawn = rate(&solo(&[NEW, NEW]), &[1, 1]);
    exact(drawn[0][0], 25.0, 6.457_515_683_245_051);
    exact(drawn[1][0], 25.0, 6.457_515_683_245_051);
    within(5e-6, drawn[0][0], 25.0, 6.457_519_662_317_322);
    let quality = TrueSkill::default().quality_of_pair(NEW, NEW);
    assert!((quality - 0.447_213_595_5).abs() < 1e-9, "{quality}");
}

#[test]
fn two_against_two() {
    let pair = vec![(NEW, 1.0), (NEW, 1.0)];
    let updated = rate(&[pair.clone(), pair], &[1, 2]);
    for (winner, loser) in updated[0].iter().zip(&updated[1]) {
        near(*winner, 28.108_322_630_298_364, 7.774_363_349_770_355);
        near(*loser, 21.891_677_369_701_625, 7.774_363_349_770_355);
    }
}

#[test]
fn free_for_all_of_three() {
    let first = Rating { mu: 25.0, sigma: 8.333 };
    let (second, third) = (Rating { mu: 30.0, sigma: 5.0 }, Rating { mu: 20.0, sigma: 4.0 });
    let updated = rate(&solo(&[first, second, third]), &[1, 2, 3]);
    near(updated[0][0], 32.896_683_06, 6.204_731_86);
    near(updated[1][0], 28.543_822_43, 4.325_295_74);
    near(updated[2][0], 19.111_950_18, 3.757_437_25);
    exact(updated[0][0], 32.896_682_571_458_77, 6.204_732_457_776_215);
}

#[test]
fn free_for_all_of_eight_with_a_draw() {
    let updated = rate(&solo(&[NEW; 8]), &[1, 2, 3, 3, 5, 6, 7, 8]);
    exact(updated[0][0], 35.708_864_693_726_47, 5.809_775_297_844_757);
    exact(updated[2][0], 27.442_504_801_403_17, 4.843_040_082_074_94);
    exact(updated[3][0], 27.482_563_233_694_957, 4.841_055_954_556_334);
    exact(updated[7][0], 13.738_795_061_234_695, 5.798_191_967_113_693);
}

#[test]
fn uneven_teams_that_played_a_part_each_with_a_draw() {
    let r = |mu, sigma, share| (Rating { mu, sigma }, share);
    let teams = [
        vec![r(25.0, 8.0, 1.0), r(30.0, 5.0, 0.5)],
        vec![r(20.0, 4.0, 1.0), r(28.0, 3.0, 1.0)],
        vec![r(22.0, 7.0, 0.25)],
    ];
    let updated = rate(&teams, &[2, 1, 2]);
    exact(updated[0][0], 2.088_378_358_841_19, 4.636_586_629_453_894);
    exact(updated[0][1], 25.524_316_505_923_14, 4.835_783_854_008_264);
    exact(updated[1][0], 20.000_003_195_693_76, 4.000_863_975_765_239);
    exact(updated[2][0], 26.385_570_786_127_98, 6.888_356_043_861_954);
}

#[test]
fn even_teams_win_half_the_time_less_draws() {
    let p = TrueSkill::default().win_probability(&[NEW], &[NEW]);
    assert!((0.4..0.5).contains(&p), "{p}");
}

#[test]
fn a_short_stay_moves_a_rating_less() {
    let full = rate(&[vec![(NEW, 1.0)], vec![(NEW, 1.0)]], &[1, 2]);
    let short = rate(&[vec![(NEW, 0.25)], vec![(NEW, 1.0)]], &[2, 1]);
    assert!((short[0][0].mu - 25.0).abs() < (full[1][0].mu - 25.0).abs());
}

#[test]
fn what_cannot_be_rated_is_refused() {
    let model = TrueSkill::default();
    assert_eq!(model.rate(&solo(&[NEW]), &[1]), Err(RatingError::TooFewTeams(1)));
    assert_eq!(model.rate(&[vec![], vec![(NEW, 1.0)]], &[1, 2]), Err(RatingError::EmptyTeam(0)));
    let differ = RatingError::PlacementsDiffer { teams: 2, placements: 1 };
    assert_eq!(model.rate(&solo(&[NEW, NEW]), &[1]), Err(differ));
    for bad in [(NEW, 0.0), (NEW, 1.5), (NEW, f64::NAN), (Rating { mu: f64::NAN, sigma: 1.0 }, 1.0)] {
        let refused = model.rate(&[vec![(NEW, 1.0)], vec![bad]], &[1, 2]);
        assert_eq!(refused, Err(RatingError::OutOfRange { team: 1, player: 0 }));
    }
}

fn any_rating() -> impl Strategy<Value = Rating> {
    (-20.0..70.0, 0.3..10.0).prop_map(|(mu, sigma)| Rating { mu, sigma })
}

fn any_match() -> impl Strategy<Value = (Vec<Vec<(Rating, f64)>>, Vec<u32>)> {
    let team = prop::collection::vec((any_rating(), 0.05..1.0), 1..5);
    prop::collection::vec((team, 1..6u32), 2..9).prop_map(|teams| teams.into_iter().unzip())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(256) })]

    #[test]
    fn any_match_gives_finite_ratings((teams, placements) in any_match()) {
        for player in rate(&teams, &placements).iter().flatten() {
            prop_assert!(player.mu.is_finite() && player.sigma.is_finite() && player.sigma > 0.0);
        }
    }

    #[test]
    fn the_order_of_the_teams_changes_nothing((teams, placements) in any_match()) {
        let distinct: Vec<u32> = (0..).zip(&placements).map(|(i, p)| p * 100 + i).collect();
        let forward = rate(&teams, &distinct);
        let reversed: Vec<_> = teams.iter().rev().cloned().collect();
        let backward = rate(&reversed, &distinct.iter().rev().copied().collect::<Vec<_>>());
        for (a, b) in forward.iter().zip(backward.iter().rev()) {
            for (x, y) in a.iter().zip(b) {
                prop_assert!((x.mu - y.mu).abs() < 1e-9 && (x.sigma - y.sigma).abs() < 1e-9);
            }
        }
    }

    #[test]
    fn the_winner_of_two_gains_and_the_loser_loses(a in any_rating(), b in any_rating()) {
        let updated = rate(&solo(&[a, b]), &[1, 2]);
        prop_assert!(updated[0][0].mu >= a.mu - 1e-9 && updated[1][0].mu <= b.mu + 1e-9);
    }
}
