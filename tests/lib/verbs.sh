# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0
#
# tests/machine: what its verbs do.

run() {
	local mode=smp limit=600 out=$repo/build/run
	while [[ ${1:-} == --* ]]; do
		case $1 in
		--icount) mode=icount ;;
		--tools | --sanitizer) guest=${1#--} ;;
		--timeout) limit=$2 && shift ;;
		--out) out=$2 && shift ;;
		--) shift && break ;;
		*) usage >&2 && exit 2 ;;
		esac
		shift
	done
	(($#)) || { usage >&2 && exit 2; }
	build "$guest"
	say "booting ($mode)"
	boot "$mode" "$limit" "$out" "$@" || exit 1
	say "done"
}

shell() {
	local mode=smp qemu
	while (($#)); do
		case $1 in
		--icount) mode=icount ;;
		--tools | --sanitizer) guest=${1#--} ;;
		*) usage >&2 && exit 2 ;;
		esac
		shift
	done
	build "$guest"
	mkdir -p "$repo/build/shell"
	qemu_args "$mode" "$repo/build/shell" ""
	say "a shell in the guest; it ends with 'exit', QEMU with Ctrl-A X"
	screen_args stdio,mux=on,signal=off
	"${qemu[@]}" "${screen_args[@]}" -mon chardev=screen
}

# Boots again and again, each time into the next of the zoo's four worlds, until SOAK segments of a
# seed were sent. build/soak/state says how far that is; where a case failed, its boot's folder is
# kept beside it.
SOAK=${SOAK:-10000000}
soak() {
	local dir=$repo/build/soak slices=200 seed slice sent out before
	build guest
	mkdir -p "$dir"
	[[ -e $dir/state ]] || echo "$RANDOM$RANDOM 0 0" >"$dir/state"
	read -r seed slice sent <"$dir/state"
	before=$sent
	while ((sent < SOAK)); do
		out=$dir/$seed-$slice
		say "seed $seed, slice $slice, $sent of $SOAK segments"
		boot smp 3000 "$out" python3 tests/vm/zoo.py run "$seed" "$slice" $((slice + slices)) $((slice / slices % 4)) || exit 1
		sent=$((sent + $(sed -n 's/^zoo: {"segments":\([0-9]*\),.*/\1/p' "$out/screen")))
		slice=$((slice + slices))
		echo "$seed $slice $sent" >"$dir/state"
		rm -r "$out"
		say "$(((sent - before) / (SECONDS + 1))) segments a second, $(((SOAK - sent) * SECONDS / (sent - before) / 60)) minutes to go"
	done
	say "all of it; without build/soak/state the next one begins with another seed"
}

# What fails is tried once more, and then named as a rerun; not for what the kernel has to say about
# it.
pytest=(python3 -m pytest -p no:cacheprovider -q --color=no --durations=15 --durations-min=2 -rR)
# Debian 12's plugin for that does not know the exception.
[[ $suite == bookworm ]] || pytest+=(--reruns 1 --rerun-except "the kernel's log")

# provoke: that the sanitizer kernel finds what is provoked, and that this makes a run fail.
provoke() {
	local out=$repo/build/provoked text
	if boot smp 300 "$out" tests/provoke/all >"$repo/build/provoke.log" 2>&1; then
		die "faults were provoked, and nobody minded (logs: build/provoked/)"
	fi
	for text in 'possible circular locking' 'scheduling while atomic' 'KASAN: slab-use-after-free' 'KASAN: slab-out-of-bounds' \
		'UBSAN: shift-out-of-bounds' 'new suspected memory leaks' 'ref_tracker_dir_exit' 'refcount_t: addition on 0' \
		'ODEBUG: free active' 'WARNING: provoke'; do
		grep -qaF "$text" "$out/smells" || die "was provoked and not noticed: $text (logs: build/provoked/)"
	done
	say "each fault that was provoked has been noticed"
}

# What can be had of it in minutes.
share=(tests/vm/smp/test_{handshake,packets,lifecycle}.py)

# sanitize [--share]: scenarios on the sanitizer kernel.
sanitize() {
	local guest=sanitizer limit=5400 rounds=${ROUNDS:-5} what=(tests/vm/smp)
	if [[ ${1:-} == --share ]]; then
		limit=1200 rounds=1
		what=("${share[@]}")
	fi
	build sanitizer
	provoke
	say "scenarios on the sanitizer kernel"
	boot smp "$limit" "$repo/build/sanitizer" env "ROUNDS=$rounds" "${pytest[@]}" -rs "${what[@]}" || exit 1
	say "no report"
}

# As `make demo` does it, for this kernel or, if none was asked for, for its own.
show_demo() {
	local kernel=$KERNEL TARPIT_BUILD=$TARPIT_BUILD
	[[ $kernel != "$default_kernel" ]] || kernel='' TARPIT_BUILD=''
	KERNEL=$kernel "$self" demo
}

check() {
	local half=(tests/vm/smp/test_{stealth,freeze,extension,upstream,memory,honeypot}.py) others=() status=0
	need_host
	lock
	need_root
	need_linters
	say "formatter"
	quietly fmt in_tree make fmt
	need_metadata
	say "lints: clippy on core, extension and module; shellcheck, ruff, checkpatch, codespell"
	quietly lint in_tree make KDIR="$(kdir)" lint
	grep -a '^lint: ' "$cache/log/lint" || true # what is not checked in this root
	say "tests on the host: core and extension"
	quietly test in_tree make test
	grep -aE '^test result:|^[0-9]+ passed' "$cache/log/test"
	say "does the build refuse what can panic?"
	quietly skb-headers in_tree tests/skb-headers "$(kdir)"
	quietly panics in_tree tests/panics "$(kdir)"
	cat "$cache/log/panics"
	say "fuzz targets of the core, a quarter of a minute each"
	quietly fuzz in_tree tests/fuzz short
	grep -aE '^[a-z_]+ [0-9]+$' "$cache/log/fuzz"
	if [[ $suite == trixie ]]; then # which the packages are for
		need_debs
		say "does tests/machine name the programs that are missing?"
		enter_root=$cache/packager-$(packager_key)/root quietly host-test enter /src/tests/host
	fi
	build guest tools
	say "scenarios on two processors, in two machines; beside them docs/recipes.md, those by the" \
		"instruction clock, the demonstration and a short form of hold"
	accel >/dev/null # found out once, before all ask
	boot smp 1500 "$repo/build/smp2" "${pytest[@]}" "${half[@]}" >"$repo/build/smp2.log" 2>&1 &
	others+=($!)
	{
		guest=tools boot smp 900 "$repo/build/tools" "${pytest[@]}" tests/vm/tools || status=1
		boot icount 1500 "$repo/build/icount" "${pytest[@]}" tests/vm/icount || status=1
		hold --short
		show_demo || status=1
		exit "$status"
	} >"$repo/build/others.log" 2>&1 &
	others+=($!)
	boot smp 1500 "$repo/build/smp" "${pytest[@]}" tests/vm/smp "${half[@]/#/--ignore=}" || status=1
	say "their other half, the recipes, those by the instruction clock, the demonstration and hold"
	wait "${others[0]}" || status=1
	cat "$repo/build/smp2.log"
	wait "${others[1]}" || status=1
	cat "$repo/build/others.log"
	((status == 0)) || exit 1
	# Another kernel was asked for: that one it is.
	[[ $KERNEL != "$default_kernel" ]] || kernels 1
	say "all good"
}

demo() {
	guest=demo
	run --icount --timeout 300 --out "$repo/build/demo" tests/demo
}

# hold [--short]: two machines side by side, and then one table of both. The short form has two
# clients at one RTT.
hold() {
	local name=hold to=build clients=() found others status=0
	if [[ ${1:-} == --short ]]; then
		name=hold-short to=build/hold-short clients=(send-wait send-close)
	fi
	found=$repo/build/$name
	build guest
	say "a day of clients against xtables-addons, DROP and silence, and beside it against xt_TARPIT"
	boot icount 900 "$found/others" python3 tests/vm/hold.py others "${clients[@]}" \
		>"$repo/build/$name.log" 2>&1 &
	others=$!
	boot icount 900 "$found/ours" python3 tests/vm/hold.py ours "${clients[@]}" || status=1
	wait "$others" || status=1
	cat "$repo/build/$name.log"
	((status == 0)) || exit 1
	rm -rf "${cache:?}/$name"
	mkdir "$cache/$name"
	enter /src/tests/hold "/src/build/$name" "/cache/$name" "${clients[@]}"
	cp "$cache/$name/"* "$repo/$to/"
	chown --reference="$repo" "$repo/$to/hold"*
	cat "$repo/$to/hold.txt"
	say "done; also in $to/: hold.json, hold-more.json, hold.svg"
}

# All of it in one boot, one module after the other; and in another, which has two processors, what
# they have in common.
bench() {
	local found=$repo/build/bench other status=0
	build guest
	say "counting the instructions that a packet takes"
	boot icount2 600 "$found/processors" python3 tests/vm/bench.py processors &
	other=$!
	boot icount 600 "$found/one" python3 tests/vm/bench.py || status=1
	wait "$other" || status=1
	((status == 0)) || exit 1
	cat "$found/one/bench.txt" "$found/processors/processors.txt" >"$repo/build/bench.txt"
	cp -p "$found/one/bench.json" "$repo/build/"
	chown --reference="$repo" "$repo/build/bench"*
	cat "$repo/build/bench.txt"
	say "done; also in build/: bench.json"
}

# In a copy of the tree; what is found and counted stays in the cache.
fuzz() {
	need_host
	need_root
	in_tree env ${FUZZ_RUNS:+"FUZZ_RUNS=$FUZZ_RUNS"} ${FUZZ_SECONDS:+"FUZZ_SECONDS=$FUZZ_SECONDS"} tests/fuzz long
}
