# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0
#
# tests/machine: the boot of a guest in QEMU.

guest=guest # which of the three boots

# accel: the accelerator for two processors: KVM only where a stock guest really boots with it. The
# probe has no root file system, so a working guest ends by saying so. With a thread for each, QEMU
# now and then runs a stale translation of what the kernel patches in itself (an int3 in NF_HOOK or
# ktime_get_real_ts64), and the guest dies; in one thread the processors take turns.
accel() {
	local answer
	answer=$cache/kvm-$(key "$(declare -f accel)" "$(release)" "$(uname -a)" "$(qemu-system-x86_64 --version)")
	if [[ ! -e $answer ]]; then
		echo tcg,thread=single >"$answer.new"
		if [[ -w /dev/kvm ]] && timeout -k 1 15 qemu-system-x86_64 -nodefaults -no-reboot -display none \
			-accel kvm -smp 2 -m 512 -kernel "${image[$guest]}/vmlinuz" -append 'console=ttyS0 panic=-1' \
			-serial stdio </dev/null 2>&1 | grep -ca 'Kernel panic - not syncing: VFS' >/dev/null; then
			echo kvm >"$answer.new"
		fi
		mv "$answer.new" "$answer"
	fi
	cat "$answer"
}

# Beside what a scenario asks for: words for the kernel's command line, and a firmware.
cmdline='' firmware=()

# qemu_args MODE DIR COMMAND: fills $qemu. In mode icount the guest's clock counts instructions, 1
# ns each, and idle time is skipped: costs are exact, and a day passes in seconds. icount2 has two
# processors, which take turns.
# shellcheck disable=SC2054 # the commas are QEMU's
qemu_args() {
	local append machine=pc memory=2G
	[[ $arch == amd64 ]] || { qemu_args_arm64 "$@"; return; }
	# With addresses drawn anew for each process, QEMU would translate the C library for each.
	append="rdinit=/init console=ttyS0 loglevel=5 panic=-1 oops=panic norandmaps xt.run=$(base64 -w0 <<<"$3")"
	# Without these the guest wakes up eleven times as often while it idles, for nothing here.
	local quiet="tsc=reliable nowatchdog psi=0 damon_stat.enabled=0 sysctl.vm.compaction_proactiveness=0 sysctl.vm.stat_interval=3600"
	[[ $1 != icount* ]] || append+=" $quiet"
	if [[ $guest == sanitizer ]]; then
		append+=" kasan_multi_shot"
		machine=q35 # in the other's ACPI tables there is a loop that takes 20 s there
		memory=4G
	fi
	# With a firmware, the initramfs is in memory twice, and its files may take half of the
	# rest.
	((${#firmware[@]} == 0)) || memory=3G
	append+=$cmdline
	((${#append} < 2000)) || die "the command is too long for a kernel command line."
	qemu=(qemu-system-x86_64 -nodefaults -no-user-config -no-reboot -display none
		-machine "$machine,hpet=off" -m "$memory" -kernel "${image[$guest]}/vmlinuz" -initrd "${image[$guest]}/image.cpio" -append "$append"
		-serial "file:$2/console" -device virtio-serial-pci
		-chardev "file,id=out,path=$2/out.tar" -device virtserialport,chardev=out,name=out
		"${firmware[@]}")
	case $1 in
	icount) qemu+=(-accel tcg -icount shift=0,sleep=off -smp 1) ;;
	icount2) qemu+=(-accel tcg -icount shift=0,sleep=off -smp 2) ;;
	smp) qemu+=(-accel "$(accel)" -smp 2) ;;
	esac
}

# The same for the other processor; the guest's second serial port is a virtio console.
# shellcheck disable=SC2054 # the commas are QEMU's
qemu_args_arm64() {
	local append
	append="rdinit=/init console=ttyAMA0 loglevel=5 panic=-1 oops=panic norandmaps xt.run=$(base64 -w0 <<<"$3")$cmdline"
	[[ $1 != icount* ]] || append+=" nowatchdog psi=0 sysctl.vm.compaction_proactiveness=0 sysctl.vm.stat_interval=3600"
	((${#append} < 2000)) || die "the command is too long for a kernel command line."
	qemu=(qemu-system-aarch64 -nodefaults -no-user-config -no-reboot -display none
		-machine virt -cpu max,pauth-impdef=on -m 2G
		-kernel "${image[$guest]}/vmlinuz" -initrd "${image[$guest]}/image.cpio" -append "$append"
		-serial "file:$2/console" -device virtio-serial-pci
		-chardev "file,id=out,path=$2/out.tar" -device virtserialport,chardev=out,name=out
		-device virtconsole,chardev=screen)
	case $1 in
	icount) qemu+=(-accel tcg -icount shift=0,sleep=off -smp 1) ;;
	icount2) qemu+=(-accel tcg -icount shift=0,sleep=off -smp 2) ;;
	smp) qemu+=(-accel tcg,thread=single -smp 2) ;;
	esac
}

# screen_args KIND: fills $screen_args: the guest's second serial port is this chardev of QEMU.
screen_args() {
	screen_args=(-chardev "$1,id=screen")
	[[ $arch != amd64 ]] || screen_args+=(-serial chardev:screen)
}

# boot MODE LIMIT OUT CMD...: runs CMD in the guest, shows what it prints, and judges: it must end
# with the line RESULT rc=0 within LIMIT seconds. What it leaves in /out, and the logs, go to OUT.
boot() {
	local mode=$1 limit=$2 out=$3 qemu screen_args pid status result verdict='' tries=3
	shift 3
	[[ $out != "$repo/build/"* ]] || rm -rf "$out"
	mkdir -p "$out"
	[[ -z $(ls -A "$out") ]] || die "$out is not empty."
	qemu_args "$mode" "$out" "$(printf '%q ' "$@")"
	screen_args "file,path=$out/screen"
	while :; do
		: >"$out/screen"
		status=0
		timeout -k 5 "$limit" "${qemu[@]}" "${screen_args[@]}" </dev/null 2>"$out/qemu" &
		pid=$!
		# shellcheck disable=SC2064 # this pid, now
		trap "kill $pid 2>/dev/null || true" EXIT
		tail -f -s 0.2 -n +1 --pid="$pid" "$out/screen" | sed -u '/^RESULT rc=/d'
		wait "$pid" || status=$?
		trap - EXIT
		# Seldom, QEMU runs what the booting kernel has just patched in itself, or the clock
		# is wrong (tests/init), or on a busy machine the first timer is late.
		if grep -qa '^init begins' "$out/console" || ! grep -qaE 'Oops: int3|IO-APIC \+ timer|^wrong clock' "$out/console" || ((--tries == 0)); then
			break
		fi
		say "the guest's kernel and QEMU have not got along before init began; booting again"
	done

	result=$(tail -n 1 "$out/screen" | tr -d '\r') # a virtio console may end its lines with both
	if grep -qaE 'Kernel panic|Oops:' "$out/console"; then
		verdict="the guest's kernel panicked"
	elif ((status == 124 || status == 137)); then
		verdict="no end within $limit s"
	elif [[ $result != "RESULT rc="* ]]; then
		verdict="the guest ended (QEMU status $status) without a RESULT line"
	elif [[ $result != "RESULT rc=0" ]]; then
		verdict=$result
	fi
	[[ ! -s $out/out.tar ]] || tar xmf "$out/out.tar" -C "$out" # m: the guest may come from the future
	rm -f "$out/out.tar"
	chown -R --reference="$repo" "$out"
	[[ -n $verdict ]] || return 0
	tail -n 40 "$out/console" "$out/qemu" >&2
	echo "tests/machine: $mode: $verdict (logs: ${out#"$repo/"}/)" >&2
	return 1
}
