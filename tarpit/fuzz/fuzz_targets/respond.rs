// SPDX-License-Identifier: GPL-2.0

//! A connection in which the client says anything: every answer keeps the laws.

#![no_main]

use libfuzzer_sys::fuzz_target;
use tarpit_fuzz::{Host, Talk};

fuzz_target!(|input: (Host, Talk)| {
    let (host, talk) = input;
    talk.play(&host);
});
