# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0
#
# tests/machine: what it needs of the machine that it runs on.

qemu_program="qemu-system-x86_64:qemu-system-x86"
[[ $arch == amd64 ]] || qemu_program="qemu-system-aarch64:qemu-system-arm"

# The programs that run on this machine itself, each with the Debian package that has it. All others
# run in the build root.
host_tools=(
	"$qemu_program" mmdebstrap:mmdebstrap gpg:gpg dpkg-deb:dpkg tar:tar
	mount:mount umount:mount unshare:util-linux flock:util-linux mountpoint:util-linux
	bash:bash find:findutils xargs:findutils grep:grep sed:sed
	base64:coreutils chroot:coreutils sha256sum:coreutils timeout:coreutils
)

keyring=/usr/share/keyrings/debian-archive-keyring.gpg

# need_host: checks that each program of host_tools is here. Installs missing ones with apt, or
# names them where there is no apt.
need_host() {
	local missing=() names tool
	for tool in "${host_tools[@]}"; do
		type -P "${tool%:*}" >/dev/null || missing+=("$tool")
	done
	[[ -e $keyring ]] || missing+=("$keyring:debian-archive-keyring")
	if ((${#missing[@]})); then
		mapfile -t names < <(printf '%s\n' "${missing[@]#*:}" | sort -u)
		if ! type -P apt-get >/dev/null || ! grep -qE '^ID(_LIKE)?=.*(debian|ubuntu)' /etc/os-release; then
			die "missing here: ${missing[*]%:*} (in Debian's packages ${names[*]});" \
				"install them and run this again."
		fi
		say "installing on this machine with apt: ${names[*]}"
		quietly host env DEBIAN_FRONTEND=noninteractive apt-get update
		quietly host env DEBIAN_FRONTEND=noninteractive \
			apt-get install -y --no-install-recommends "${names[@]}"
	fi
	need_mounts
}

# need_mounts: sets $own_mounts to the command that runs a program in a mount namespace of its own,
# from which no mount below the cache propagates. In a chroot whose root is no mount point, that
# command cannot make mounts private. There the cache becomes a private mount first, which stays
# until `tests/machine clean`.
own_mounts=()
need_mounts() {
	own_mounts=(unshare -m)
	! "${own_mounts[@]}" true 2>/dev/null || return 0
	own_mounts=(unshare -m --propagation unchanged)
	"${own_mounts[@]}" true ||
		die "this container allows no mounts (unshare -m fails): give it CAP_SYS_ADMIN" \
			"(docker run --privileged), or run this outside of it."
	[[ -e /proc/self/mountinfo ]] ||
		die "/proc is not mounted in this chroot: mount -t proc proc /proc"
	mkdir -p "$cache"
	mountpoint -q "$cache" || mount --bind "$cache" "$cache"
	mount --make-private "$cache"
}
