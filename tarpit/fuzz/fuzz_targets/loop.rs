// SPDX-License-Identifier: GPL-2.0

//! Two hosts with rules, and a packet to one of them in the name of the other, which may be of a connection
//! that the first one holds: they fall silent.

#![no_main]

use libfuzzer_sys::fuzz_target;
use tarpit_fuzz::{family, Host, Talk};

/// Numbers pass by chance seldom, and not for long.
const A_FEW: usize = 4;

/// Oftener between two honeypots, which take one number in 256.
const OF_HONEYPOTS: usize = 16;

fuzz_target!(|input: ([Host; 2], Talk)| {
    let (hosts, talk) = input;
    let (mut packet, now_ms) = talk.play(&hosts[0]);
    let most = if hosts.iter().all(Host::is_honeypot) {
        OF_HONEYPOTS
    } else {
        A_FEW
    };
    let mut answers = 0;
    for host in hosts.iter().cycle() {
        let asked = host.ask(now_ms, family(&packet), &packet, packet.len());
        let Ok((given, reply)) = asked else {
            break;
        };
        answers += 1;
        assert!(answers <= most, "{reply:?}");
        packet = given.packet;
    }
});
