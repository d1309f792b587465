// SPDX-License-Identifier: GPL-2.0

//! xt_TARPIT: an x_tables target that holds TCP connections.
//!
//! `tarpit` decides which reply a segment gets, and uses nothing of the kernel. `glue` moves
//! packets. This file makes a module of both.

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
            description: "Milliseconds per reply to an unverified segment of one source (1-3600000)",
        },
        source_burst: u32 {
            default: 8,
            description: "Number of such replies that one source may get at once",
        },
        syn_limit: u32 {
            default: 200_000,
            description: "Replies to SYNs per CPU and second in a network namespace; 0 for no limit",
        },
    },
}

/// The loaded module. The targets are registered as long as it exists.
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
