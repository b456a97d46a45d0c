//! libFuzzer's door to `netcode_fuzz::snapshot::receiver`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    netcode_fuzz::snapshot::receiver(input);
});
