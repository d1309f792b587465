# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0
#
# tests/machine: the cache of products, and how it reports.

cache=${XDG_CACHE_HOME:-$HOME/.cache}/xt_TARPIT

die() {
	echo "tests/machine: $*" >&2
	exit 1
}

say() { printf '[%4d s] %s\n' "$SECONDS" "$*"; }

# quietly NAME CMD...: runs CMD with its output in a log, of which a failure shows the end.
quietly() {
	local log=$cache/log/$1 status=0
	shift
	mkdir -p "$cache/log"
	if [[ -n $VERBOSE ]]; then
		"$@" </dev/null 2>&1 | tee "$log" || status=$?
	else
		"$@" >"$log" 2>&1 </dev/null || status=$?
		((status == 0)) || tail -n 40 "$log" >&2
	fi
	((status == 0)) || die "failed (status $status): $* (VERBOSE=1 shows everything)"
}

# key WORD...: a short name for these inputs, with the kernel in front.
key() {
	local sum
	sum=$(printf '%s\0' "$@" | sha256sum)
	echo "$KERNEL-${sum:0:12}"
}

# recipe FUNCTION...: the text of these functions, and of each script tests/inside/NAME that they
# name. It belongs in the key of the product that they make: when one of them changes, the product
# is made again. A function or script that a listed one only calls must be listed as well.
recipe() {
	local text files
	text=$(declare -f "$@")
	echo "$text"
	mapfile -t files < <(grep -oE 'tests/inside/[a-z-]+' <<<"$text" | LC_ALL=C sort -u)
	((${#files[@]} == 0)) || (cd "$repo" && cat "${files[@]}")
}

# product KIND KEY WHAT: makes $cache/KIND-KEY by running `make_KIND DIR` if it is not there. Of
# each kind the two that were used last are kept for each kernel.
product() {
	local dir=$cache/$1-$2 new=$cache/new-$1 old
	if [[ ! -e $dir ]]; then
		say "$3"
		rm -rf "$new"
		mkdir -p "$new"
		# A process of its own: `set -e` holds nowhere inside a function whose status is
		# tested.
		quietly "$1" "$self" make "$1" "$new"
		mv "$new" "$dir"
		say "$1 is done"
	fi
	touch "$dir"
	# shellcheck disable=SC2012 # names are our own
	ls -dt "$cache/$1-$KERNEL"-???????????? | tail -n +3 | while read -r old; do rm -rf "$old"; done
}

lock() {
	mkdir -p "$cache"
	exec 9>"$cache/lock"
	flock 9
}
