// SPDX-License-Identifier: GPL-2.0

//! The segment zoo: sends odd and malformed packets at the tarpit, and judges its answers.
//!
//! `zoo rules 4|6`, `zoo addresses` say what `tests/vm/zoo.py` has to build; that starts `zoo run SEED FROM TO`, for slices
//! of a seed, and `zoo replay LINE...` with what it has built in the environment:
//!
//! - `ZOO_LINKS`: for each link (veth, tap, frags, tun) the file descriptors to send and receive by: `veth=3,4 tun=5,5 ...`
//! - `ZOO_SEEN`: a packet socket to be drained, which makes clones of what passes; or empty
//! - `ZOO_REPLIES`: the module's counters of the server
//! - `ZOO_DEFRAG`: 1 if fragments are put together before all hooks

mod case;
mod judge;
mod link;
mod render;
mod world;
mod zoo;

use case::Batch;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};
use std::cell::{Cell, RefCell};
use std::error::Error;
use std::ops::Range;
use std::process::ExitCode;
use zoo::Zoo;

/// A slice is so many batches: what is played again when a run goes on in the middle.
const BATCHES: u32 = 20;

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    match words[..] {
        ["rules", version] => print!("{}", world::rules(version == "6")),
        ["addresses"] => print!("{}", world::own_addresses()),
        ["run", seed, from, to] => return run(seed.parse()?, from.parse()?..to.parse()?),
        ["replay", ref lines @ ..] => {
            let mut zoo = Zoo::new()?;
            for line in lines {
                let batch: Batch = serde_json::from_str(line)?;
                if let Err(why) = zoo.play(&batch) {
                    println!("zoo: {why}\nzoo replay '{line}'");
                    return Ok(ExitCode::FAILURE);
                }
            }
        }
        _ => {
            return Err(
                "usage: zoo rules 4|6 | addresses | run SEED FROM TO | replay LINE...".into(),
            )
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The seed of a slice. XorShift, as each choice of proptest forks its generator, and that one is cheap; so
/// numbers that are close to each other have to be mixed first (SplitMix64).
fn mixed(seed: u64, slice: u64) -> [u8; 16] {
    let mix = |mut word: u64| {
        word = (word ^ word >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ word >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ word >> 31
    };
    let first = mix(mix(seed)
        .wrapping_add(slice)
        .wrapping_add(0x9e37_79b9_7f4a_7c15));
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&first.to_le_bytes());
    bytes[8..].copy_from_slice(&mix(first.wrapping_add(0x9e37_79b9_7f4a_7c15)).to_le_bytes());
    bytes
}

fn line(batch: &Batch) -> String {
    serde_json::to_string(batch).expect("all of it can be written")
}

/// Plays slices of a seed.
fn run(seed: u64, slices: Range<u64>) -> Result<ExitCode, Box<dyn Error>> {
    let zoo = RefCell::new(Zoo::new()?);
    let strategy = case::batch();
    for slice in slices {
        let config = Config {
            cases: BATCHES,
            failure_persistence: None,
            max_shrink_iters: 5000,
            max_global_rejects: 0,
            ..Config::default()
        };
        let rng = TestRng::from_seed(RngAlgorithm::XorShift, &mixed(seed, slice));
        let failed = Cell::new(false);
        let outcome = TestRunner::new_with_rng(config, rng).run(&strategy, |batch| {
            let outcome = zoo.borrow_mut().play(&batch);
            outcome.map_err(|why| {
                if !failed.replace(true) {
                    println!("zoo: seed {seed}, slice {slice}: {why}; looking for less that does the same");
                }
                if zoo.borrow().is_dead {
                    // Who no longer answers at all does not answer less.
                    println!("zoo replay '{}'", line(&batch));
                    return TestCaseError::reject(why);
                }
                TestCaseError::fail(why)
            })
        });
        match outcome {
            Ok(()) => {}
            Err(TestError::Abort(why)) => return Err(why.to_string().into()),
            Err(TestError::Fail(why, batch)) => {
                let again = (0..10)
                    .filter(|_| zoo.borrow_mut().play(&batch).is_err())
                    .count();
                println!("zoo: {why} (and {again} times of 10 again)");
                println!("zoo replay '{}'", line(&batch));
                return Ok(ExitCode::FAILURE);
            }
        }
    }
    println!("zoo: {}", serde_json::to_string(&zoo.borrow().tally)?);
    Ok(ExitCode::SUCCESS)
}
