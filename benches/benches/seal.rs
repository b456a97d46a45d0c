//! What secrecy costs: sealing and opening datagrams of three sizes, beside the cipher alone, and minting and opening connect tokens.

#![allow(missing_docs, reason = "criterion's macros make functions without documentation")]

use std::hint::black_box;

use aws_lc_rs::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use netcode_token::aead::PacketKey;
use netcode_token::{Key, PublicToken, Seat, TokenSpec, mint, open_private};

const ASSOCIATED: [u8; 22] = [7; 22];

fn datagrams(criterion: &mut Criterion) {
    let key = PacketKey::new(&Key::generate());
    let mut group = criterion.benchmark_group("seal/datagram");
    for bytes in [64_usize, 300, 1175] {
        group.throughput(Throughput::Bytes(bytes as u64));
        let mut text = vec![5_u8; bytes];
        let mut sequence = 0;
        group.bench_function(BenchmarkId::new("seal", bytes), |bench| {
            bench.iter(|| {
                sequence += 1;
                black_box(key.seal(sequence, &ASSOCIATED, &mut text))
            });
        });
        let mut sealed = vec![5_u8; bytes];
        let tag = key.seal(1, &ASSOCIATED, &mut sealed);
        sealed.extend_from_slice(&tag);
        group.bench_function(BenchmarkId::new("open", bytes), |bench| {
            bench.iter_batched_ref(
                || sealed.clone(),
                |sealed| key.open(1, &ASSOCIATED, sealed).map(|text| text.len()),
                BatchSize::SmallInput,
            );
        });
    }
    group.finish();
}

fn tokens(criterion: &mut Criterion) {
    let key = Key::generate();
    let seat = Seat { match_id: 1, player: 2, team: 0, rating_milli: 25_000, name: "bench".into() };
    let spec = TokenSpec {
        protocol_id: 1,
        create_unix_s: 1_000,
        expire_unix_s: 2_000,
        timeout_s: 10,
        client_id: 2,
        servers: vec![([127, 0, 0, 1], 7777).into()],
        user_data: seat.encode(),
    };
    let mut group = criterion.benchmark_group("seal/token");
    group.bench_function("mint", |bench| bench.iter(|| mint(&spec, &key)));
    let public = PublicToken::decode(&*mint(&spec, &key).expect("the specification is complete"));
    let public = public.expect("we have just minted it");
    group.bench_function("open", |bench| {
        bench.iter_batched_ref(
            || public.private.clone(),
            |sealed| open_private(&mut sealed[..], &public.nonce, 1, 2_000, &key).is_ok(),
            BatchSize::SmallInput,
        );
    });
    group.finish();
}

/// The cipher called directly, with a ready key and nonce: what `seal/datagram` is to be compared with.
fn cipher_alone(criterion: &mut Criterion) {
    let key = || {
        let unbound = UnboundKey::new(&CHACHA20_POLY1305, &[9; 32]).expect("a key is 32 bytes");
        LessSafeKey::new(unbound)
    };
    let nonce = || Nonce::assume_unique_for_key([3; 12]);
    let mut group = criterion.benchmark_group("seal/cipher-alone");
    for bytes in [64_usize, 300, 1175] {
        group.throughput(Throughput::Bytes(bytes as u64));
        let (key, mut text) = (key(), vec![5_u8; bytes]);
        group.bench_function(BenchmarkId::new("seal", bytes), |bench| {
            bench.iter(|| {
                black_box(key.seal_in_place_separate_tag(nonce(), Aad::from(ASSOCIATED), &mut text).is_ok())
            });
        });
        let mut sealed = vec![5_u8; bytes];
        key.seal_in_place_append_tag(nonce(), Aad::from(ASSOCIATED), &mut sealed).expect("the text is short");
        group.bench_function(BenchmarkId::new("open", bytes), |bench| {
            bench.iter_batched_ref(
                || sealed.clone(),
                |sealed| key.open_in_place(nonce(), Aad::from(ASSOCIATED), sealed).map(|text| text.len()),
                BatchSize::SmallInput,
            );
        });
    }
    group.finish();
}

/// Prints the ratio that a packet may not exceed: twice the cipher alone.
fn ratio(_: &mut Criterion) {
    benches::seal::seal(&benches::compare::workspace()).expect("the figures can be written");
}

criterion_group!(all, datagrams, cipher_alone, tokens, ratio);
criterion_main!(all);
