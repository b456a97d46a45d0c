//! What bits cost: writing, reading, quantising. One element is one field.

#![allow(missing_docs, reason = "criterion's macros make functions without documentation")]

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use netcode_wire::quant::{Angle, Range};
use netcode_wire::{BitReader, BitWriter};

/// A ship's columns as (value, bits), thirty ships of them.
fn fields() -> Vec<(u64, u32)> {
    let ship = [(70_000, 17), (31_000, 17), (3_400, 13), (2_900, 13), (1_234, 12), (5, 4), (0, 8), (7, 8)];
    ship.repeat(30)
}

fn bits(criterion: &mut Criterion) {
    let fields = fields();
    let mut group = criterion.benchmark_group("wire/bits");
    group.throughput(Throughput::Elements(fields.len() as u64));
    let mut writer = BitWriter::with_capacity(1200);
    group.bench_function("write", |bench| {
        bench.iter(|| {
            writer.clear();
            for (value, bits) in &fields {
                writer.write_bits(*value, *bits);
            }
            black_box(writer.bit_len())
        });
    });
    let bytes = writer.as_bytes().to_vec();
    group.bench_function("read", |bench| {
        bench.iter(|| {
            let mut reader = BitReader::new(&bytes);
            fields.iter().map(|(_, bits)| reader.read_bits(*bits).expect("all was written")).sum::<u64>()
        });
    });
    group.finish();
}

fn varints(criterion: &mut Criterion) {
    let values: Vec<i64> = (0..256).map(|i: i64| (i - 128) * (i % 7) * 13).collect();
    let mut group = criterion.benchmark_group("wire/varint");
    group.throughput(Throughput::Elements(values.len() as u64));
    let mut writer = BitWriter::with_capacity(1200);
    group.bench_function("write", |bench| {
        bench.iter(|| {
            writer.clear();
            values.iter().for_each(|value| writer.write_signed_varint(*value));
            black_box(writer.bit_len())
        });
    });
    let bytes = writer.as_bytes().to_vec();
    group.bench_function("read", |bench| {
        bench.iter(|| {
            let mut reader = BitReader::new(&bytes);
            (0..values.len()).map(|_| reader.read_signed_varint().expect("all was written")).sum::<i64>()
        });
    });
    group.finish();
}

fn quantise(criterion: &mut Criterion) {
    let (range, angle) = (Range::new(-64.0, 64.0, 0.001), Angle::new(12));
    let values: Vec<f32> = (0..256).map(|i| (i as f32 * 0.37).sin() * 63.0).collect();
    let mut group = criterion.benchmark_group("wire/quantise");
    group.throughput(Throughput::Elements(values.len() as u64));
    group.bench_function("range", |bench| {
        bench.iter(|| values.iter().map(|value| range.quantise(*value)).fold(0, u32::wrapping_add));
    });
    group.bench_function("angle", |bench| {
        bench.iter(|| values.iter().map(|value| angle.quantise(*value)).fold(0, u32::wrapping_add));
    });
    group.finish();
}

criterion_group!(all, bits, varints, quantise);
criterion_main!(all);
