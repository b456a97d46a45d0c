//! libFuzzer's door to `netcode_fuzz::dense::receiver`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    netcode_fuzz::dense::receiver(input);
});
