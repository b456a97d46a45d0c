//! libFuzzer's door to `netcode_fuzz::wire::bytes`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    netcode_fuzz::wire::bytes(input);
});
