// SPDX-License-Identifier: GPL-2.0

//! tarpit-top, see its man page.

use clap::Parser;
use eyes::cli::Top;

fn main() {
    let _options = Top::parse();
}
