//! libFuzzer's door to `netcode_fuzz::token::public`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    netcode_fuzz::token::public(input);
});
