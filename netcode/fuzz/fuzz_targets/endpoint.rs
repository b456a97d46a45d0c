//! libFuzzer's door to `netcode_fuzz::endpoint::schedule`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    netcode_fuzz::endpoint::schedule(input);
});
