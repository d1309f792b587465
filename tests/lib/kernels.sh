# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0
#
# tests/machine: the kernels that it knows, and the packages whose names differ between them.

# Which kernel, and which archive suite it comes from: the only place that knows. KERNEL=7.3-generic
# is the flavour for real machines instead of that for virtual ones, KERNEL=6.12-rt the one with
# PREEMPT_RT, KERNEL=6.12-arm64 another processor.
arch=amd64 flavour=cloud-amd64
case $KERNEL in
*-generic) flavour=amd64 ;;
*-rt) flavour=rt-amd64 ;;
*-arm64) arch=arm64 flavour=cloud-arm64 ;;
esac
case ${KERNEL%-*} in
7.3) suite=trixie kernel_suite=trixie-backports ;;
7.2) suite=forky kernel_suite=forky ;;
6.12) suite=trixie kernel_suite=trixie ;;
6.1) suite=bookworm kernel_suite=bookworm ;;
*)
	die "KERNEL=$KERNEL is not known here;" \
		"6.1, 6.12, 7.2 and 7.3 are, each with -generic, -rt or -arm64."
	;;
esac

# Which of the two builds is tested (docs/kernels.md), and what the packages are called: the
# kernel's headers, with the source of one that has Rust; its image; and the packages of the build
# root and of the guest whose names differ between the suites.
kernel_packages=("linux-headers-$flavour")
image_packages=(linux-image)
[[ $KERNEL != 7.* ]] || image_packages=(linux-{binary,base,modules})
if [[ $KERNEL == 7.* && $arch == amd64 ]]; then
	kernel_packages+=("linux-source-${KERNEL%-*}")
	TARPIT_BUILD=${TARPIT_BUILD:-kernel}
else
	TARPIT_BUILD=${TARPIT_BUILD:-own}
	[[ $TARPIT_BUILD == own ]] ||
		die "kernel $KERNEL has no Rust crates of its own here, so TARPIT_BUILD can only be own."
fi
case $suite in
bookworm) rust_packages=({rustc,cargo,rustfmt}-web rust-web-{clippy,src}) lwip_package=liblwip0 ;;
*) rust_packages=(rustc cargo rustfmt rust-clippy rust-src) lwip_package=liblwip0t64 ;;
esac
