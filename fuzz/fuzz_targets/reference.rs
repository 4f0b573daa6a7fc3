//! See `src/reference.rs`.

#![no_main]

use std::panic;

libfuzzer_sys::fuzz_target!(
    init: {
        // The Parquet decoder panics over some damaged files, and the reader catches it: only a
        // panic from elsewhere is a finding. libFuzzer's own hook ends the process.
        let finding = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            let decoder = info
                .location()
                .is_some_and(|location| location.file().contains("/parquet-"));
            if !decoder {
                finding(info);
            }
        }));
    },
    |data: &[u8]| targets::reference::run(data)
);
