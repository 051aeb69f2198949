#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| cf_service_tokens::fuzzing::usage(data));
