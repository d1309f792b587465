// SPDX-License-Identifier: GPL-2.0

//! Finds libxtables and translates its header, as it is installed here, together with the rule
//! data of `xt_TARPIT.h`. Nothing of either is written down a second time.

use std::env;
use std::path::Path;
use std::process;

fn main() {
    let xtables = pkg_config::probe_library("xtables").unwrap_or_else(|_| {
        fail(
            "libxtables was not found: install pkgconf and libxtables-dev (Fedora: iptables-devel)",
        )
    });

    let bindings = bindgen::builder()
        .header("wrapper.h")
        .clang_args(
            xtables
                .include_paths
                .iter()
                .map(|path| format!("-I{}", path.display())),
        )
        .parse_callbacks(Box::new(bindgen::CargoCallbacks::new()))
        .use_core()
        .generate_cstr(true)
        .prepend_enum_name(false)
        .wrap_unsafe_ops(true)
        .allowlist_function("xtables_(find_target|option_parse|register_target)")
        .allowlist_function("dlsym|putchar|abort")
        .allowlist_type("xtables_target|xt_tarpit_.*|xtables_(afinfo|exittype|tryload)")
        .allowlist_var("XTABLES_VERSION|NFPROTO_UNSPEC|afinfo|xt_params")
        .allowlist_var("TARPIT_TGINFO_.*|XT_TARPIT_(DRIP|HAIRPIN)")
        .generate()
        .unwrap_or_else(|error| fail(&format!("wrapper.h was not understood: {error}")));

    let out = env::var_os("OUT_DIR").unwrap_or_else(|| fail("OUT_DIR is not set: run cargo build"));
    bindings
        .write_to_file(Path::new(&out).join("sys.rs"))
        .unwrap_or_else(|error| fail(&format!("the bindings could not be written: {error}")));

    println!("cargo:rustc-link-lib=c"); // no_std brings none
    println!("cargo:rustc-cdylib-link-arg=-Wl,-z,defs");
}

fn fail(why: &str) -> ! {
    eprintln!("{why}");
    process::exit(1)
}
