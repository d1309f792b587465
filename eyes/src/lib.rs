// SPDX-License-Identifier: GPL-2.0

//! What tarpit-top and tarpit-exporter have in common: the segments that the module shows, who is held
//! by them, and since when.

pub mod cli;
