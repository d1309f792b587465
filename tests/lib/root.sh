# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0
#
# tests/machine: the build root, and how commands run in it.

# What the README tells a user to install, and the tools of `make check`; with KASAN a kernel that
# has Rust must be LLVM's. `make demo` on a kernel without Rust does without the tools.
build_packages=(
	ca-certificates make gcc g++ libc6-dev pkgconf kmod rsync cpio
	flex bison bc libelf-dev libssl-dev zlib1g-dev pahole python3 xz-utils
	"${rust_packages[@]}" bindgen libclang-dev
	libxtables-dev iptables man-db groff shellcheck gnuplot-nox
	liblwip-dev
	clang lld llvm
	codespell sparse perl python3-pip
)
[[ -z $only_demo || $TARPIT_BUILD != own ]] || build_packages=(
	ca-certificates make gcc libc6-dev pkgconf kmod rsync cpio xz-utils
	"${rust_packages[@]}" libclang-dev libxtables-dev
)
# For another processor it has cross compilers.
[[ $arch == amd64 ]] || build_packages+=(gcc-aarch64-linux-gnu libc6-dev-arm64-cross)

root_key() {
	local make=make_root
	[[ $arch == amd64 ]] || make=make_cross_root
	key "$(recipe "$make" bootstrap hook)" "$suite" "$kernel_suite" "${kernel_packages[@]}" \
		"${build_packages[@]}"
}

root_dir() { echo "$cache/root-$(root_key)/root"; }

# bootstrap DIR VARIANT PACKAGES [OPTION...]: a Debian root from $DEBIAN_MIRROR, else from the
# mirror that mmdebstrap knows. A Release file may be past its date on a mirror that is updated
# rarely.
bootstrap() {
	local dir=$1 variant=$2 packages=$3
	shift 3
	mmdebstrap --mode=root --variant="$variant" --include="$packages" \
		--aptopt='Acquire::Check-Valid-Until "false"' --aptopt='Acquire::Retries "3"' \
		--dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
		"$@" "$suite" "$dir" ${DEBIAN_MIRROR:+"$DEBIAN_MIRROR"}
}

# hook SCRIPT WORD...: the text of a hook of mmdebstrap that runs SCRIPT, a path below the
# repository, on this machine, with the new root and these words.
# shellcheck disable=SC2016 # $1 is the hook's
hook() { printf '%q "$1"' "$repo/$1" && printf ' %q' "${@:2}"; }

# joined WORD...: the words with commas between them.
joined() { (IFS=, && echo "$*"); }

make_root() {
	[[ $arch == amd64 ]] || { make_cross_root "$1"; return; }
	bootstrap "$1/root" apt "$(joined "${build_packages[@]}")" \
		--setup-hook="$(hook tests/inside/suites "$suite" "$kernel_suite" sid)" \
		--customize-hook="$(hook tests/inside/kernel "$kernel_suite" "$flavour" \
			"${kernel_packages[*]}" "${image_packages[*]}")"
}

# For another processor: the tools are native, with cross compilers.
make_cross_root() {
	bootstrap "$1/root" apt "$(joined "${build_packages[@]}")" --architectures="amd64,$arch" \
		--setup-hook="$(hook tests/inside/suites "$suite" "$kernel_suite" sid)" \
		--customize-hook="$(hook tests/inside/cross-kernel "$kernel_suite" \
			"${kernel_packages[0]}" "${image_packages[*]}")"
}

# enter CMD...: runs CMD in the build root, or in $enter_root, as tests/inside/enter says.
enter() {
	local root
	root=${enter_root:-$(root_dir)}
	((${#own_mounts[@]})) || need_mounts
	"${own_mounts[@]}" "$repo/tests/inside/enter" "$root" "$repo" "$cache" "$@"
}

# in_tree CMD...: the same, in a copy of the repository that may be written to.
in_tree() { enter /src/tests/inside/tree "$(key "$repo")" "$@"; }

kdir() {
	local dir
	dir=$(echo "$(root_dir)"/usr/src/linux-headers-*-"$flavour")
	echo "/usr/src/${dir##*/}"
}

release() {
	local dir
	dir=$(kdir)
	echo "${dir#*linux-headers-}"
}

need_root() {
	mkdir -p "$cache/home" "$cache/log"
	product root "$(root_key)" "build root: Debian $suite, kernel $KERNEL's headers and source, Rust \
(about two minutes, once)"
}

# The metadata is also made again for each version of tools/metadata, so that a check runs it.
need_metadata() {
	local all=$cache/home/xt_TARPIT/kdir made
	[[ $TARPIT_BUILD == kernel ]] || return 0
	made=$all.$(release)-$(key "$(<"$repo/tools/metadata")")
	[[ -e $made ]] || rm -rf "${all:?}/$(release)"
	! in_tree tools/metadata --find "$(kdir)" >/dev/null 2>&1 || return 0
	say "metadata of kernel $(release) (about two minutes, once)"
	quietly metadata in_tree make -s metadata KDIR="$(kdir)"
	touch "$made"
}

### The programs of `make lint` that are in no package

linters_key() {
	key "$(recipe make_linters)" "$(root_key)" "$(<"$repo/tests/requirements.txt")"
}

make_linters() { enter /src/tests/inside/linters "${1##*/}"; }

# need_linters: puts them into the PATH of enter().
need_linters() {
	product linters "$(linters_key)" "ruff, and the kernel's checkpatch.pl"
	LINTERS=/cache/linters-$(linters_key)
	export LINTERS
}
