//! What each of TrueSkill 2's extras does: alone, in the direction that it should, and on a world where it is true.

mod support;

use rating::{
    Appearance, Count, Descent, Effort, Experience, Ledger, Match, Mode, Parameters, Rating, Skill, Team,
    TrueSkill, TrueSkill2, forecast, learn,
};
use support::World;

const NEW: Rating = Rating::NEWCOMER;

fn model(change: impl FnOnce(&mut Parameters)) -> TrueSkill2 {
    let mut parameters = Parameters::default();
    change(&mut parameters);
    TrueSkill2::new(parameters).expect("sound parameters")
}

fn seat(player: u64) -> Appearance {
    Appearance { player, ..Appearance::default() }
}

/// Teams in finishing order.
fn game(teams: Vec<Vec<Appearance>>) -> Match {
    let team = |(place, players)| Team { placement: place, players };
    Match { id: "one".to_owned(), teams: (1..).zip(teams).map(team).collect(), ..Match::default() }
}

fn fresh(game: &Match) -> Vec<Vec<Skill>> {
    game.teams.iter().map(|team| vec![Skill::of(NEW); team.players.len()]).collect()
}

fn mu(after: &[Vec<Skill>], team: usize, player: usize) -> f64 {
    after[team][player].base.mu
}

#[test]
fn with_every_extra_off_it_is_trueskill() {
    let ours = model(|_| ());
    let simple = TrueSkill::default();
    let ratings = [(25.0, 8.333), (30.0, 5.0), (20.0, 4.0), (28.0, 3.0), (22.0, 7.0)];
    let rating = |index: usize| Rating { mu: ratings[index].0, sigma: ratings[index].1 };
    // Teams as indices into the ratings, minutes of the longest played, placements.
    type Case<'a> = (&'a [&'a [usize]], &'a [f64], &'a [u32]);
    let matches: [Case<'_>; 5] = [
        (&[&[0], &[1]], &[1.0, 1.0], &[1, 2]),
        (&[&[0], &[1]], &[1.0, 1.0], &[1, 1]),
        (&[&[0, 1], &[2, 3]], &[1.0, 0.25, 1.0, 0.5], &[2, 1]),
        (&[&[0, 1, 2], &[3], &[4]], &[1.0, 1.0, 0.1, 1.0, 0.75], &[1, 2, 2]),
        (&[&[0], &[1], &[2], &[3], &[4]], &[1.0; 5], &[3, 1, 2, 5, 4]),
    ];
    for (teams, shares, placements) in matches {
        let pairs: Vec<Vec<(Rating, f64)>> = teams
            .iter()
            .map(|team| team.iter().map(|&index| (rating(index), shares[index])).collect())
            .collect();
        let expected = simple.rate(&pairs, placements).expect("a sound match");
        let player = |&index: &usize| Appearance {
            seconds: shares[index] * 600.0,
            kills: Some(3),
            ..seat(index as u64)
        };
        let side = |(team, place): (&&[usize], &u32)| Team {
            placement: *place,
            players: team.iter().map(player).collect(),
        };
        let game = Match {
            seconds: 600.0,
            ended_unix_ms: 1,
            teams: teams.iter().zip(placements).map(side).collect(),
            ..Match::default()
        };
        let before: Vec<Vec<Skill>> =
            teams.iter().map(|team| team.iter().map(|&index| Skill::of(rating(index))).collect()).collect();
        let found = ours.rate(&game, &before).expect("a sound match");
        for (found, expected) in found.iter().flatten().zip(expected.iter().flatten()) {
            let Rating { mu, sigma } = found.base;
            assert!((mu - expected.mu).abs() < 1e-6 && (sigma - expected.sigma).abs() < 1e-6, "{found:?}");
        }
    }
    // The published numbers themselves.
    let duel = ours.rate(&game(vec![vec![seat(1)], vec![seat(2)]]), &vec![vec![Skill::of(NEW)]; 2]);
    let duel = duel.expect("a sound match");
    assert!((duel[0][0].base.mu - 29.395_832_019_999_16).abs() < 1e-6);
    assert!((duel[0][0].base.sigma - 7.171_475_587_326_195).abs() < 1e-6);
}

#[test]
fn kills_and_deaths_tell_team_mates_apart() {
    let count = Count { rate: 5.0, own: 0.2, opponent: -0.2, variance: 2.0 };
    let model = model(|parameters| {
        parameters.mode.kills = Some(count);
        parameters.mode.deaths = Some(Count { own: -0.2, opponent: 0.2, ..count });
    });
    let player =
        |number, kills, deaths| Appearance { kills: Some(kills), deaths: Some(deaths), ..seat(number) };
    let game = game(vec![vec![player(1, 12, 2), player(2, 0, 6)], vec![player(3, 9, 3), player(4, 0, 9)]]);
    let after = model.rate(&game, &fresh(&game)).expect("sound");
    assert!(mu(&after, 0, 0) > mu(&after, 0, 1) + 2.0);
    assert!(mu(&after, 1, 0) > mu(&after, 1, 1) + 2.0);
    assert!(mu(&after, 1, 0) > 25.0, "a loser who outplayed everybody gains");
    assert!(mu(&after, 1, 1) < 25.0);
}

#[test]
fn who_quits_pays_and_the_team_less() {
    let model = model(|parameters| parameters.quit_margin = Some(0.0));
    let player = |number, seconds, quit| Appearance { seconds, quit, ..seat(number) };
    let play = |quit| {
        let seconds = 150.0;
        let mut game = game(vec![
            vec![player(1, 600.0, false), player(2, 600.0, false)],
            vec![player(3, 600.0, false), player(4, seconds, quit)],
        ]);
        game.seconds = 600.0;
        let after = model.rate(&game, &fresh(&game)).expect("sound");
        (mu(&after, 1, 0), mu(&after, 1, 1))
    };
    let ((mate, quitter), (mate_of_late, late)) = (play(true), play(false));
    assert!(quitter < late - 1.0, "{quitter} {late}");
    assert!((mate - mate_of_late).abs() < 1.0, "{mate} {mate_of_late}");
    // A quitter counts even if the team wins.
    let mut won = game(vec![vec![player(1, 600.0, false), player(2, 60.0, true)], vec![seat(3), seat(4)]]);
    won.seconds = 600.0;
    won.teams[1].players.iter_mut().for_each(|seat| seat.seconds = 600.0);
    let after = model.rate(&won, &fresh(&won)).expect("sound");
    assert!(mu(&after, 0, 1) < 25.0 && mu(&after, 0, 0) > 25.0);
}

#[test]
fn a_party_is_expected_to_play_better() {
    let model = model(|parameters| parameters.squad = vec![1.0, 2.0]);
    let in_squad = |number, squad| Appearance { squad, ..seat(number) };
    let game = game(vec![vec![in_squad(1, 2), in_squad(2, 2)], vec![seat(3), seat(4)]]);
    let outlook = model.outlook(&game, &fresh(&game)).expect("sound");
    assert_eq!((outlook[0][0].mu, outlook[1][0].mu), (26.0, 25.0));
    assert!(model.ahead(&outlook[0], &outlook[1]) > 0.5);
    let after = model.rate(&game, &fresh(&game)).expect("sound");
    let alone =
        TrueSkill2::new(Parameters::default()).expect("sound").rate(&game, &fresh(&game)).expect("sound");
    assert!(mu(&after, 0, 0) < mu(&alone, 0, 0), "a win that was expected moves less");
}

#[test]
fn experience_lifts_those_with_little_of_it() {
    let model = model(|parameters| parameters.experience = Experience { gain: 1.0, matches: 10.0 });
    let game = game(vec![vec![seat(1)], vec![seat(2)], vec![seat(3)], vec![seat(4)]]);
    let with = |matches| vec![Skill { matches, ..Skill::of(NEW) }];
    let outlook = model.outlook(&game, &[with(0), with(1), with(50), with(5000)]).expect("sound");
    let mu: Vec<f64> = outlook.iter().map(|team| team[0].mu).collect();
    assert_eq!(mu[0], 25.0);
    assert!(mu[1] > 25.9 && mu[2] < 25.01 && mu[3] >= 25.0, "{mu:?}");
}

#[test]
fn time_away_makes_unsure_but_no_less_sure_than_a_newcomer() {
    let model = model(|parameters| parameters.drift_per_minute = 0.05);
    let known = Rating { mu: 31.0, sigma: 1.0 };
    let skill = Skill { base: known, matches: 40, played_unix_ms: Some(0), ..Skill::of(known) };
    let at = |minutes: i64| {
        let game = Match { ended_unix_ms: minutes * 60_000, ..game(vec![vec![seat(1)], vec![seat(2)]]) };
        model.outlook(&game, &[vec![skill.clone()], vec![Skill::of(NEW)]]).expect("sound")[0][0]
    };
    assert!((at(400).sigma - (1.0_f64 + 400.0 * 0.0025 + (25.0_f64 / 300.0).powi(2)).sqrt()).abs() < 1e-12);
    assert!(at(60 * 24 * 3650).sigma <= NEW.sigma + 0.01);
    assert_eq!(at(400).mu, 31.0);
    assert_eq!(at(-5), at(0), "clocks that run backwards take nothing");
}

#[test]
fn modes_share_a_base_and_keep_their_own() {
    let model = model(|parameters| {
        parameters.mode = Mode { offset_sigma: 4.0, offset_drift: 0.05, ..Mode::default() };
    });
    let mut ledger = Ledger::new(model);
    for round in 0..12 {
        let duel = game(vec![vec![seat(1)], vec![seat(2)]]);
        ledger.count(&Match { id: round.to_string(), mode: "duel".to_owned(), ..duel }).expect("sound");
    }
    let winner = ledger.skill(1);
    let (duel, race) = (winner.in_mode("duel"), winner.in_mode("race"));
    assert!(duel.mu > race.mu + 1.0 && race.mu > 26.0, "{duel:?} {race:?}");
    let entering = Match { mode: "race".to_owned(), ..game(vec![vec![seat(1)], vec![seat(2)]]) };
    let outlook = ledger.model().outlook(&entering, &ledger.before(&entering)).expect("sound");
    assert!(outlook[0][0].sigma > duel.sigma, "less is known in a mode that was never played");
    assert!(ledger.model().ahead(&outlook[0], &outlook[1]) > 0.6);
}

#[test]
fn odds_are_probabilities_and_agree() {
    let model = model(|_| ());
    let rating = |mu, sigma| Rating { mu, sigma };
    let (first, second) =
        (vec![rating(27.0, 3.0), rating(24.0, 5.0)], vec![rating(25.0, 2.0), rating(22.0, 8.0)]);
    let odds = model.odds("", &first, &second);
    assert!((odds.win + odds.draw + odds.loss - 1.0).abs() < 1e-12 && odds.draw > 0.0);
    let pair = model.win_probabilities(&[first.clone(), second.clone()]);
    assert!((pair[0] - model.ahead(&first, &second)).abs() < 1e-6);
    let even = model.win_probabilities(&vec![vec![NEW]; 5]);
    assert!(even.iter().all(|p| (p - 0.2).abs() < 1e-9), "{even:?}");
    // Of three: by counting in a hundred thousand drawn matches.
    let teams = [vec![rating(28.0, 2.0)], vec![rating(25.0, 6.0)], vec![rating(20.0, 1.0), rating(4.0, 1.0)]];
    let mut random = fastrand::Rng::with_seed(3);
    let mut wins = [0_u32; 3];
    for _ in 0..100_000 {
        let mut perform = |team: &Vec<Rating>| -> f64 {
            let one = |r: &Rating| r.mu + r.sigma.hypot(25.0 / 6.0) * support::normal(&mut random);
            team.iter().map(one).sum()
        };
        let drawn: Vec<f64> = teams.iter().map(&mut perform).collect();
        let best = (0..3).max_by(|a, b| drawn[*a].total_cmp(&drawn[*b])).expect("three");
        wins[best] += 1;
    }
    for (stated, won) in model.win_probabilities(&teams).iter().zip(wins) {
        assert!((stated - f64::from(won) / 1e5).abs() < 0.006, "{stated} {won}");
    }
    assert!(model.win_probabilities(&[]).is_empty());
}

/// A world of teams with every kind of evidence, and a model that knows its numbers.
fn rich() -> Parameters {
    let count = Count { rate: 8.0, own: 0.4, opponent: -0.3, variance: 4.0 };
    let mode = Mode { kills: Some(count), draw_probability: 0.0, ..Mode::default() };
    Parameters { drift: 0.0, squad: vec![3.0], mode, ..Parameters::default() }
}

#[test]
fn posteriors_know_how_much_they_know() {
    let mut inside = 0;
    let mut total = 0;
    let (mut product, mut squares) = (0.0, (0.0, 0.0));
    for seed in 0..6 {
        let mut world = World::new(seed, 60, rich());
        let mut ledger = Ledger::new(TrueSkill2::new(rich()).expect("sound"));
        for _ in 0..150 {
            let game = world.play(2, 2, &[1, 1]);
            ledger.count(&game).expect("sound");
        }
        for (player, skill) in ledger.skills() {
            let truth = world.skills[player as usize];
            total += 1;
            // 90 % of a normal lie within 1.645 standard deviations.
            inside += u32::from((truth - skill.base.mu).abs() < 1.645 * skill.base.sigma);
            product += (truth - 25.0) * (skill.base.mu - 25.0);
            squares.0 += (truth - 25.0) * (truth - 25.0);
            squares.1 += (skill.base.mu - 25.0) * (skill.base.mu - 25.0);
        }
    }
    let share = f64::from(inside) / f64::from(total);
    assert!((0.86..0.94).contains(&share), "{share} of {total}");
    let correlation = product / f64::sqrt(squares.0 * squares.1);
    assert!(correlation > 0.85, "{correlation}");
}

#[test]
fn learning_finds_what_the_log_is_made_of() {
    let mut world = World::new(11, 80, rich());
    let mut log: Vec<Match> =
        (0..900).map(|round| world.play(2, 2, if round % 2 == 0 { &[2, 1] } else { &[1, 2] })).collect();
    let later = log.split_off(600);
    let start = Parameters::default();
    let effort = |extras| {
        let descent = Descent { iterations: 14, step: 0.2, ..Descent::default() };
        Effort { descent, extras, ..Effort::default() }
    };
    let plain = learn(&log, &start, effort(false)).expect("a sound log");
    let rich = learn(&log, &start, effort(true)).expect("a sound log");
    assert!(plain.after.log_loss < plain.before.log_loss, "{plain:?}");
    assert!(rich.after.log_loss < plain.after.log_loss - 0.02, "{rich:?} {plain:?}");
    assert!(rich.parameters.squad[0] > 0.5, "{rich:?}");
    let kills = rich.parameters.mode.kills.expect("the log has kills");
    assert!(kills.own > 0.0 && kills.opponent < 0.0 && rich.parameters.mode.deaths.is_none());
    assert!(rich.parameters.quit_margin.is_none(), "nobody quit");
    // And on matches that nobody learned from.
    let (with, without) = (forecast(&later, &rich.parameters), forecast(&later, &plain.parameters));
    assert!(with.expect("sound").log_loss < without.expect("sound").log_loss);
    assert_eq!(learn(&log, &start, effort(true)).expect("a sound log"), rich, "the same every time");
}

#[test]
fn a_log_without_extras_is_not_harmed_by_them() {
    let plain = Parameters { drift: 0.0, ..Parameters::default() };
    let mut world = World::new(5, 50, plain);
    let log: Vec<Match> = (0..400).map(|_| world.play(2, 1, &[])).collect();
    let effort = |extras| {
        let descent = Descent { iterations: 10, ..Descent::default() };
        Effort { descent, extras, ..Effort::default() }
    };
    let with = learn(&log, &Parameters::default(), effort(true)).expect("sound");
    let without = learn(&log, &Parameters::default(), effort(false)).expect("sound");
    assert!(with.after.log_loss < without.after.log_loss + 0.005, "{with:?} {without:?}");
    assert!(with.parameters.mode.kills.is_none() && with.parameters.squad.is_empty());
}
