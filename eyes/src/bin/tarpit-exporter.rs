// SPDX-License-Identifier: GPL-2.0

//! tarpit-exporter, see its man page.

use clap::Parser;
use eyes::cli::Exporter;

fn main() {
    let _options = Exporter::parse();
}
