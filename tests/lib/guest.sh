# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0
#
# tests/machine: the guests, small Debian systems with the stock kernel, and the images that boot.

# What the guest runs.
guest_packages=(
	iptables iproute2 python3 python3-pytest python3-pytest-rerunfailures python3-scapy tcpdump curl netcat-openbsd ethtool
	conntrack nftables kmod mount procps "$lwip_package"
	nmap masscan zmap
)

# What the guest of the demonstration runs.
demo_packages=(iptables iproute2 kmod mount procps tcpdump curl netcat-openbsd)

# What the guest of the tools runs: what the lab needs, the tools that write rules, a brute-forcer,
# and who looks at the programs of monitor/.
tools_packages=(
	iptables iproute2 python3 python3-pytest python3-pytest-rerunfailures kmod mount procps perl
	fail2ban openssh-server openssh-client sshpass crowdsec-firewall-bouncer ipset
	shorewall shorewall6 firehol ferm ufw firewalld
	prometheus python3-pyte
)

### The guests, each an uncompressed archive for initramfs

# guest_packages_key PACKAGE...
guest_packages_key() {
	key "$(recipe small_debian configure_unpacked bootstrap)" "$suite" "$(root_key)" "$@"
}

guest_key() { guest_packages_key "${guest_packages[@]}"; }
tools_key() { guest_packages_key "${tools_packages[@]}"; }
demo_key() { guest_packages_key "${demo_packages[@]}"; }

make_guest() { small_debian "$1" "${guest_packages[@]}"; }
make_tools() { small_debian "$1" "${tools_packages[@]}"; }
make_demo() { small_debian "$1" "${demo_packages[@]}"; }

# small_debian DIR PACKAGE...: Perl is left out unless it is asked for.
small_debian() {
	local dir=$1 root deb image
	shift
	root=$(root_dir)
	if [[ $arch == amd64 ]]; then
		bootstrap "$dir/root" essential "$(joined "$@")"
	else
		bootstrap "$dir/root" extract "$(joined "$@")" --architectures="$arch" --include='?essential'
		configure_unpacked "$dir/root"
	fi
	for deb in "$root"/opt/debs/linux-*.deb; do
		dpkg-deb --fsys-tarfile "$deb" | tar x -C "$dir/root" --keep-directory-symlink
	done
	cd "$dir/root"
	for image in usr/lib/modules/*/vmlinuz boot/vmlinuz-*; do
		[[ ! -e $image ]] || mv "$image" ../vmlinuz
	done
	rm -rf boot var/lib/apt var/cache/* var/lib/dpkg usr/share/{man,info,doc,bash-completion,zoneinfo,i18n,lintian} \
		usr/lib/*-linux-gnu/gconv usr/share/nmap/{scripts,nselib,nmap-service-probes,nmap-mac-prefixes} \
		lib/modules/*/{config,build,source} lib/modules/*/kernel/drivers/{gpu,scsi,ata,infiniband,md} lib/modules/*/kernel/fs
	[[ " $* " == *" perl "* ]] || rm -rf usr/{bin,share,lib/*-linux-gnu}/perl*
	mkdir -p out xt
	enter bash -euc "cd /cache/${dir##*/}/root; find . | LC_ALL=C sort | cpio -o -H newc --quiet > ../guest.cpio"
}

# configure_unpacked ROOT: what the packages' scripts would do, which are programs of another
# processor.
configure_unpacked() {
	local name
	cp "$1/usr/share/base-passwd/passwd.master" "$1/etc/passwd"
	cp "$1/usr/share/base-passwd/group.master" "$1/etc/group"
	echo "tcpdump:x:100:65534::/nonexistent:/usr/sbin/nologin" >>"$1/etc/passwd"
	for name in {iptables,ip6tables}{,-save,-restore}; do
		ln -sf "${name/tables/tables-nft}" "$1/usr/sbin/$name"
	done
	ln -sf nc.openbsd "$1/usr/bin/nc"
	ln -sf mawk "$1/usr/bin/awk"
}

### The images, one of each guest, and that of the first with the sanitizer kernel

# image_key GUEST
image_key() {
	if [[ $1 == sanitizer ]]; then
		key "$(image_key guest)" "$(sanitized_key)"
		return
	fi
	if [[ $1 == demo ]]; then
		key "$(recipe make_image)" "$(shown_key)" "$(demo_key)" "$(peer_key)" "$(sha256sum "$repo"/tests/{init,demo})"
		return
	fi
	key "$(recipe make_image)" "$module" "$1-$("$1_key")" "$(peer_key)" "$(stacks_key)" "$(zoo_key)" "$(iptables_key)" \
		"$(cd "$repo" && find tests docs/recipes.md -type f ! -name '*.pyc' ! -path '*/target/*' -print0 | LC_ALL=C sort -z | xargs -0 sha256sum)"
}

# The image is made of a guest's packages and the parts of other products.
all_parts() { echo "module-$module/ peer-$(peer_key)/ stacks-$(stacks_key)/ zoo-$(zoo_key)/ iptables-$(iptables_key)/opt"; }

make_guest_image() { make_image "$1" "guest-$(guest_key)" "$(all_parts)"; }
make_tools_image() { make_image "$1" "tools-$(tools_key)" "$(all_parts)"; }
make_demo_image() { make_image "$1" "demo-$(demo_key)" "shown-$(shown_key)/ peer-$(peer_key)/"; }
make_sanitizer_image() {
	make_image "$1" "guest-$(guest_key)" "$(all_parts)" "sanitizer-$(sanitizer_key)" "sanitized-$(sanitized_key)"
}

# make_image DIR GUEST PARTS [KERNEL MODULES]: as tests/inside/image says.
make_image() { enter /src/tests/inside/image "$(release)" "${1##*/}" "${@:2}"; }

# build GUEST...: everything up to the images of these guests; ${image[GUEST]} is the folder of
# each. An image is made once in a run: all parts of a check test the same sources.
declare -A image what_it_is=(
	[guest]="a small Debian with the stock kernel (about a minute, once)"
	[tools]="another one, for docs/recipes.md (about a minute, once)"
	[demo]="a small Debian with the stock kernel (half a minute, once)"
	[sanitizer]="a kernel that looks for faults (ten minutes on two free processors, once)"
)
build() {
	local kind missing=()
	for kind in "$@"; do [[ -v image[$kind] ]] || missing+=("$kind"); done
	((${#missing[@]})) || return 0
	need_host
	mkdir -p "$repo/build"
	chown --reference="$repo" "$repo/build"
	lock
	need_root
	product peer "$(peer_key)" "peer: xtables-addons' TARPIT"
	if [[ $* == demo ]]; then
		product demo "$(demo_key)" "$1: ${what_it_is[$1]}"
		need_metadata
		product shown "$(shown_key)" "module and extension: make, make install"
		product demo_image "$(image_key demo)" "image: the demonstration"
		image[demo]=$cache/demo_image-$(image_key demo)
		exec 9>&-
		return
	fi
	product stacks "$(stacks_key)" "clients on smoltcp and lwIP"
	product zoo "$(zoo_key)" "the segment zoo"
	product iptables "$(iptables_key)" "iptables of other Debian suites, and its test programs"
	for kind in guest "$@"; do
		product "$kind" "$("${kind}_key")" "$kind: ${what_it_is[$kind]}"
	done
	need_metadata
	module=$(module_key)
	export module
	product module "$module" "module, extension and programs: make, make install"
	[[ " $* " != *" sanitizer "* ]] || product sanitized "$(sanitized_key)" "the module for the sanitizer kernel"
	for kind in "$@"; do
		product "${kind}_image" "$(image_key "$kind")" "image: $kind, what is tested, and its scenarios"
		image[$kind]=$cache/${kind}_image-$(image_key "$kind")
	done
	exec 9>&-
}
