//! libFuzzer's door to `netcode_fuzz::exchange::messages`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    netcode_fuzz::exchange::messages(input);
});
