# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0
#
# tests/machine: what is tested, and the parts that tests need beside it. Each product X has a
# function X_key and a function make_X DIR.

### The peer: xtables-addons' TARPIT

peer_key() { key "$(recipe make_peer build_peer)" "$(root_key)"; }

make_peer() { build_peer "$1" "$(kdir)"; }

# build_peer DIR KDIR [VARIABLE=VALUE...]
build_peer() { enter /src/tests/inside/peer "${1##*/}" "${@:2}"; }

### What is tested: built and installed by the commands that a user types

# What the sources say; what only the guest runs, and prose, is left out.
tested_sources() { enter /src/tests/inside/tested-sources; }

module_key() {
	key "$TARPIT_BUILD" "$(tested_sources)" "$(root_key)" "$(iptables_key)" \
		"$(recipe make_module make_cross_module)"
}

# The option table of libxtables has grown between 1.8.9 and 1.8.11 without another soname, so
# bookworm's needs an extension that was built with its header. That of sid gets along with
# trixie's.
make_module() {
	[[ $arch == amd64 ]] || { make_cross_module "$1"; return; }
	in_tree env PKG_CONFIG_PATH="/cache/iptables-$(iptables_key)/bookworm" make ext
	in_tree install -D build/target/release/libxt_TARPIT.so \
		-t "/cache/${1##*/}/opt/iptables/bookworm/lib/xtables"
	in_tree make KDIR="$(kdir)" all monitor
	in_tree make KDIR="$(kdir)" DESTDIR="/cache/${1##*/}" install
	in_tree tests/inside/uninstall "$(kdir)"
}

# The same by cross compilers, as far as the other processor's guest runs it.
make_cross_module() {
	local cross=(
		env CARGO_BUILD_TARGET=aarch64-unknown-linux-gnu
		CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc
		PKG_CONFIG_ALLOW_CROSS=1 PKG_CONFIG_LIBDIR=/usr/lib/aarch64-linux-gnu/pkgconfig
		BINDGEN_EXTRA_CLANG_ARGS=--target=aarch64-linux-gnu
	)
	in_tree "${cross[@]}" make KDIR="$(kdir)" all monitor
	in_tree "${cross[@]}" make KDIR="$(kdir)" DESTDIR="/cache/${1##*/}" install
}

# The module and the extension alone, for the demonstration.
shown_key() { key "$TARPIT_BUILD" "$(tested_sources)" "$(root_key)" "$(recipe make_shown)"; }

make_shown() {
	in_tree make KDIR="$(kdir)" all
	in_tree make KDIR="$(kdir)" DESTDIR="/cache/${1##*/}" install
}

### The sanitizer kernel: the same sources with tests/sanitizer.config, and the modules that it loads

sanitizer_key() {
	key "$(recipe make_sanitizer)" "$(root_key)" "$(<"$repo/tests/sanitizer.config")"
}

make_sanitizer() { enter /src/tests/inside/sanitizer "${1##*/}"; }

sanitized_key() {
	key "$(recipe make_sanitized build_peer)" "$module" "$(sanitizer_key)" \
		"$(sha256sum "$repo"/tests/provoke/*)"
}

make_sanitized() {
	local kdir
	kdir=/cache/sanitizer-$(sanitizer_key)/linux
	build_peer "$1" "$kdir" LLVM=1
	enter /src/tests/inside/sanitized "${1##*/}" "$kdir"
}

# sums FOLDER: the checksums of a folder's files, without what cargo builds there.
sums() {
	(cd "$repo/$1" && find . -type f ! -path '*/target/*' -print0 | LC_ALL=C sort -z | xargs -0 sha256sum)
}

### Clients with another TCP than the kernel's: smoltcp, lwIP

stacks_key() { key "$(recipe make_stacks)" "$(root_key)" "$(sums tests/stacks)"; }

make_stacks() {
	[[ $arch == amd64 ]] || { mkdir -p "$1/opt/stacks"; return; } # not cross-compiled
	in_tree tests/inside/stacks "${1##*/}"
}

### The segment zoo

zoo_key() { key "$(recipe make_zoo)" "$(root_key)" "$(sums tests/zoo)" "$(sums tests/oracle)"; }

make_zoo() {
	[[ $arch == amd64 ]] || { mkdir -p "$1/opt/zoo"; return; } # not cross-compiled
	in_tree env CARGO_TARGET_DIR=/cache/target-zoo \
		cargo build --release --locked --manifest-path tests/zoo/Cargo.toml
	enter install -D /cache/target-zoo/release/zoo -t "/cache/${1##*/}/opt/zoo"
}

### Other versions of iptables, and upstream's own test programs

iptables_key() { key "$(recipe make_iptables)" "$(root_key)"; }

make_iptables() {
	[[ $arch == amd64 ]] || { mkdir -p "$1/opt/iptables"; return; } # not cross-compiled
	enter /src/tests/inside/iptables "${1##*/}" "$suite"
}
