//! What a server tick costs: the arena with pilots connected through memory; opening and sealing included. The
//! clients' work is left out of the time. One element is one player.

#![allow(missing_docs, reason = "criterion's macros make functions without documentation")]

use std::time::Duration;

use benches::room::Table;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};

fn ticks(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("tick");
    for players in [8, 32, 64] {
        group.throughput(Throughput::Elements(u64::from(players)));
        let mut table = Table::new(players, 1).expect("everybody gets in");
        group.bench_function(BenchmarkId::from_parameter(players), |bench| {
            bench.iter_custom(|times| {
                (0..times).map(|_| table.tick().expect("no system panics")).sum::<Duration>()
            });
        });
    }
    group.finish();
}

criterion_group!(all, ticks);
criterion_main!(all);
