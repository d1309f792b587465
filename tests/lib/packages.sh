# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0
#
# tests/machine packages: the packages, built where debian/control has its wishes and no more, and
# installed on a stock Debian.

# Besides the packages that debian/control names: what enter() needs, the checks of packages, a
# firmware with its keys, and what tests/host mounts with.
packager_packages=(ca-certificates rsync lintian ovmf python3-virt-firmware mount)

packager_key() {
	key "$(recipe make_packager bootstrap hook)" "$suite" "${packager_packages[@]}" \
		"$(sed -n '/^Build-/,/^[^ ]/p' "$repo/debian/control")"
}

make_packager() {
	bootstrap "$1/root" apt "$(joined "${packager_packages[@]}")" \
		--customize-hook="$(hook tests/inside/packager "$repo/debian")"
}

debs_key() { key "$(recipe make_debs)" "$(packager_key)" "$(tested_sources)"; }

make_debs() {
	enter_root=$cache/packager-$(packager_key)/root in_tree tests/inside/debs "${1##*/}"
}

need_debs() {
	product packager "$(packager_key)" "where packages are built (a minute and a half, once)"
	product debs "$(debs_key)" "packages: make deb, lintian"
}

stock_key() {
	key "$(recipe make_stock bootstrap hook)" "$suite" "$kernel_suite" "${kernel_packages[@]}"
}

make_stock() {
	bootstrap "$1/root" important iproute2,python3 \
		--setup-hook="$(hook tests/inside/suites "$suite" "$kernel_suite")" \
		--customize-hook="$(hook tests/inside/stock "linux-image-cloud-amd64/$kernel_suite" \
			"${kernel_packages[0]}/$kernel_suite")"
}

installed_key() {
	key "$(recipe make_installed)" "$(stock_key)" "$(debs_key)" \
		"$(sha256sum "$repo"/tests/{packages,init})"
}

# What is kept: a guest of each flavour, from that root without the compilers, and the certificate
# that DKMS made.
make_installed() {
	local which debs addons enter_root
	debs=/cache/debs-$(debs_key)
	# Trixie's xtables-addons cannot be built for 7.3, that of sid can.
	addons=(xtables-addons-{dkms,common})
	[[ $KERNEL != 7.* ]] || addons=("$(root_dir)"/opt/debs/xtables-addons-*.deb)
	addons=("${addons[@]/#"$cache"//cache}")
	enter_root=$1/root
	cp -a "$cache/stock-$(stock_key)/root" "$1/"
	enter /src/tests/packages install "$debs" "${addons[@]}"
	mkdir "$1/root/xt" "$1/root/out"
	cp -r "$repo/tests" "$cache/${debs#/cache/}"/tarpit-monitor_*.deb "$1/root/xt/"
	cp "$repo/tests/init" "$1/root/init"
	chmod 755 "$1/root/init"
	cp "$1/root/var/lib/dkms/mok.pub" "$1/"
	enter_root=$cache/packager-$(packager_key)/root enter /src/tests/inside/certificate "${1##*/}"
	enter_root='' enter /src/tests/inside/installed-image "${1##*/}"
	for which in cloud generic; do
		mkdir "$1/$which"
		ln "$1/image.cpio" "$1/$which/"
	done
	mv "$1"/root/boot/vmlinuz-*-cloud-amd64 "$1/cloud/vmlinuz"
	mv "$1"/root/boot/vmlinuz-* "$1/generic/vmlinuz"
	rm -r "$1/root/xt" "$1/root/init" "$1/image.cpio"
	enter /src/tests/packages remove "$debs"
	rm -r "$1/root"
}

# packages [--short]: the packages on a stock Debian: built, installed, for a second kernel, removed
# (all of that when something has changed); then both kernels boot what was installed. At last the
# signatures: first nobody knows DKMS's key, then the firmware does.
# shellcheck disable=SC2004 # image is associative
packages() {
	local which dir out=$repo/build/packages key
	[[ $KERNEL != *-* ]] ||
		die "packages: both flavours are tested; KERNEL=${KERNEL%-*} is what to ask for."
	need_host
	lock
	need_root
	need_debs
	[[ ${1:-} != --short ]] || return 0
	product stock "$(stock_key)" "a stock Debian with the kernel's headers (a minute and a half, once)"
	key=$(installed_key)
	product installed "$key" "apt install, for two kernels, and apt purge (ten minutes)"
	dir=$cache/installed-$key
	if [[ $TARPIT_BUILD == kernel ]]; then
		say "where a distribution ships the metadata"
		need_metadata
		in_tree tests/layouts "$(kdir)"
	fi
	exec 9>&-
	grep -a '^xt_TARPIT is not built for kernel\|^== ' "$cache/log/installed" || true
	for which in cloud generic; do
		say "booting what was installed, flavour $which"
		image[$guest]=$dir/$which
		boot icount 300 "$out/$which" tests/packages hold 3600 || exit 1
	done
	say "the exporter's unit, under systemd"
	image[$guest]=$dir/cloud cmdline=" xt.systemd"
	boot smp 600 "$out/systemd" tests/packages unit || exit 1
	say "a kernel that wants signatures, and does not know this one"
	image[$guest]=$dir/cloud cmdline=" module.sig_enforce=1"
	boot smp 300 "$out/refused" tests/packages refused || exit 1
	say "the same, with DKMS's certificate in the firmware's db"
	cp "$dir"/{firmware,vars} "$out/"
	firmware=(
		-drive "if=pflash,format=raw,unit=0,readonly=on,file=$out/firmware"
		-drive "if=pflash,format=raw,unit=1,file=$out/vars"
	)
	boot smp 600 "$out/signed" tests/packages hold 10 || exit 1
	say "all good"
}
