//! libFuzzer's door to `netcode_fuzz::link::bodies`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    netcode_fuzz::link::bodies(input);
});
