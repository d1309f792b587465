// SPDX-License-Identifier: GPL-2.0

//! Segments of a held connection with timestamps, under a plain rule.

mod data;
mod numbers;
mod probes;
