//! libFuzzer's door to `netcode_fuzz::session::packets`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    netcode_fuzz::session::packets(input);
});
