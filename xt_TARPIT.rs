// SPDX-License-Identifier: GPL-2.0

//! xt_TARPIT: an x_tables target that catches TCP connections and does not let go.
//!
//! Two rooms: `tarpit` decides what to answer to a segment and knows no kernel, `glue` moves packets
//! and knows no TCP. This file only makes a module of them.

use kernel::prelude::*;

mod glue;
#[forbid(unsafe_code)]
#[expect(
    unreachable_pub,
    reason = "the same files are a crate for the host's tests"
)]
mod tarpit;

module! {
    type: Module,
    name: "xt_TARPIT",
    authors: ["The xt_TARPIT developers"],
    description: "Xtables: hold TCP connections at no cost",
    license: "GPL",
    alias: ["ipt_TARPIT", "ip6t_TARPIT"],
    params: {
        source_interval_ms: u32 {
            default: 2000,
            description: "Milliseconds for each answer to a source that has proved nothing (1-3600000)",
        },
        source_burst: u32 {
            default: 8,
            description: "How many such answers may go out at once",
        },
        syn_limit: u32 {
            default: 200_000,
            description: "Answers to SYNs that each CPU may send in a second, in each network namespace; 0 for no limit",
        },
    },
}

/// The loaded module: the targets are registered for as long as it lives.
struct Module {
    _targets: glue::Registration,
}

impl kernel::Module for Module {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        Ok(Self {
            _targets: glue::Registration::new()?,
        })
    }
}
