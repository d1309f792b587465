# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0
#
# tests/machine kernels: a share of the tests on each kernel, with each build; and the core's tests
# on a big-endian processor.

# What each kernel and each build is tried with: handshake, modes, hooks, conntrack, freeze, bridge,
# counters, one round of the life cycle, load and unload.
kernel_share=(tests/vm/smp/test_{smoke,handshake,reset,honeypot,hooks,links,freeze,counters,lifecycle,module}.py)

# share FILE: builds the module from nothing for this kernel, runs a share of the scenarios and a
# day of hold; writes what came of it to FILE, a line of JSON.
share() {
	local out=$repo/build/share-$KERNEL-$TARPIT_BUILD status=0 begin built
	build guest
	say "kernel $(release), build '$TARPIT_BUILD': make clean, make"
	need_metadata
	in_tree make -s KDIR="$(kdir)" clean >/dev/null
	begin=$(date +%s%N)
	quietly share in_tree make KDIR="$(kdir)" modules
	built=$((($(date +%s%N) - begin) / 100000000))
	say "sparse"
	quietly sparse in_tree make KDIR="$(kdir)" sparse
	grep -a '^lint: ' "$cache/log/sparse" || true # where the headers cannot run it
	say "a share of the scenarios"
	boot smp 1500 "$out/smp" env ROUNDS=1 "${pytest[@]}" --junitxml=/out/junit.xml "${kernel_share[@]}" || status=1
	say "a day of hold"
	boot icount 600 "$out/icount" python3 tests/vm/hold.py share || status=1
	enter /src/tests/inside/share-row "/src/${out#"$repo/"}" "$(release)" "$arch" "$TARPIT_BUILD" \
		"$(enter rustc --version | cut -d" " -f2)" "$built" >"$1"
	chown --reference="$repo" "$1"
	cat "$1"
	((status == 0)) || die "kernel $(release), build '$TARPIT_BUILD': failed (logs: ${out#"$repo/"}/)"
}

# Which kernel, with which build; those that `check` tries a share on come first.
shares=("6.12 own" "6.1 own" "7.3 own" "7.3 kernel" "6.12-arm64 own" "7.2 own" "7.2 kernel")

# kernels [COUNT]: a share on each of these, and the core's tests on s390x; or a share on the first
# COUNT. build/kernels.json has the results.
kernels() {
	local one files=() status=0
	need_host
	mkdir -p "$repo/build"
	for one in "${shares[@]:0:${1:-${#shares[@]}}}"; do
		files+=("$repo/build/share-${one/ /-}.json")
		rm -f "${files[-1]}"
		KERNEL=${one% *} TARPIT_BUILD=${one#* } "$self" share "${files[-1]}" || status=1
	done
	{
		echo "["
		cat "${files[@]}" | sed '$!s/$/,/'
		echo "]"
	} >"$repo/build/kernels.json"
	cat "$repo/build/kernels.json"
	[[ -n ${1:-} ]] || "$self" bigendian || status=1
	((status == 0)) || exit 1
}

### The core's tests on a big-endian processor, emulated by QEMU. No kernel is built for it.

# Of sid, whose archive has no parts that may differ between two architectures (updates, security).
bigendian_packages=(
	ca-certificates rsync cargo rustc gcc libc6-dev gcc-s390x-linux-gnu libc6-dev-s390x-cross
	libstd-rust-dev:s390x qemu-user
)

bigendian_key() { key "$(recipe make_bigendian bootstrap)" "${bigendian_packages[@]}"; }

make_bigendian() {
	# shellcheck disable=SC2016 # $1 is the hook's
	suite=sid bootstrap "$1/root" apt "$(joined "${bigendian_packages[@]}")" --architectures=amd64,s390x \
		--customize-hook='mkdir -p "$1/src" "$1/cache"'
}

bigendian() {
	need_host
	lock
	product bigendian "$(bigendian_key)" "cross compiler for s390x (two minutes, once)"
	exec 9>&-
	say "tests of the core on s390x"
	enter_root=$cache/bigendian-$(bigendian_key)/root quietly bigendian in_tree env \
		CARGO_PROFILE_TEST_OPT_LEVEL=2 CARGO_TARGET_S390X_UNKNOWN_LINUX_GNU_LINKER=s390x-linux-gnu-gcc \
		CARGO_TARGET_S390X_UNKNOWN_LINUX_GNU_RUNNER="qemu-s390x -L /usr/s390x-linux-gnu" \
		cargo test --locked --manifest-path tarpit/Cargo.toml --target s390x-unknown-linux-gnu
	grep -a '^test result:' "$cache/log/bigendian"
}
