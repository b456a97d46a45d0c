//! One match rated, counts and quits included: duels, teams, free-for-all.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use rating::{Appearance, Count, Match, Parameters, Skill, Team, TrueSkill2};

/// A match of so many teams of so many players, with kills and deaths; one in eleven killed nobody.
fn game(teams: u32, players: u32) -> Match {
    let player = |team: u32, seat: u32| {
        let number = team * players + seat;
        let (kills, deaths) = (Some(number * 7 % 11), Some(number * 5 % 13 + 1));
        let quit = players > 1 && number == 1;
        Appearance { player: u64::from(number), seconds: 600.0, squad: 1, kills, deaths, quit }
    };
    let team =
        |team| Team { placement: team + 1, players: (0..players).map(|seat| player(team, seat)).collect() };
    Match {
        id: "bench".to_owned(),
        seconds: 600.0,
        teams: (0..teams).map(team).collect(),
        ..Match::default()
    }
}

fn rate(criterion: &mut Criterion) {
    let mut parameters = Parameters { quit_margin: Some(0.0), ..Parameters::default() };
    let count = Count { rate: 0.7, own: 0.02, opponent: -0.02, variance: 0.5 };
    parameters.mode.kills = Some(count);
    parameters.mode.deaths = Some(Count { own: -0.02, opponent: 0.02, ..count });
    let model = TrueSkill2::new(parameters).expect("the parameters make sense");
    let mut group = criterion.benchmark_group("rate");
    for (name, teams, players) in
        [("1v1", 2, 1), ("4v4", 2, 4), ("8v8", 2, 8), ("50v50", 2, 50), ("ffa8", 8, 1), ("ffa100", 100, 1)]
    {
        let game = game(teams, players);
        let before: Vec<Vec<Skill>> = vec![vec![model.newcomer(); players as usize]; teams as usize];
        group.bench_function(BenchmarkId::from_parameter(name), |bencher| {
            bencher.iter(|| model.rate(black_box(&game), black_box(&before)));
        });
    }
    group.finish();
}

criterion_group!(benches, rate);
criterion_main!(benches);
