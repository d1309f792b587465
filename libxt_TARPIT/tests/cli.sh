#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# cli.sh DIR: what the iptables commands make of DIR/libxt_TARPIT.so, as far as no TARPIT is needed
# in the kernel. A network namespace of its own keeps the rules of this host out of it.
set -u

if [ "${2-}" != in-namespace ]; then
	[ -e "${1-}/libxt_TARPIT.so" ] || { echo "usage: $0 DIRECTORY-OF-libxt_TARPIT.so" >&2; exit 2; }
	dir=$(cd "$1" && pwd)
	if [ "$(id -u)" = 0 ]; then unshare='unshare -n'; else unshare='unshare -rn'; fi
	$unshare true || { echo 'SKIP: no network namespace can be made here'; exit 4; }
	exec $unshare "$0" "$dir" in-namespace
fi

here=$(dirname "$0")
PATH=$PATH:/usr/sbin:/sbin
XTABLES_LIBDIR=$1:$(pkg-config --variable=xtlibdir xtables)
export PATH XTABLES_LIBDIR LC_ALL=C
passed=0 failed=0 skipped=0

run()    { out=$("$@" 2>&1); code=$?; }
ok()     { passed=$((passed + 1)); }
not_ok() { failed=$((failed + 1)); printf 'FAIL: %s: exit code %s\n%s\n' "$1" "$code" "$out"; }
skip()   { skipped=$((skipped + 1)); echo "SKIP: $1"; }

unprivileged() { setpriv --inh-caps=-all --bounding-set=-all "$@"; }

exits()  { # code, text in the output, command...
	want=$1 text=$2; shift 2
	run "$@"
	case $code,$out in "$want",*"$text"*) ok ;; *) not_ok "$*" ;; esac
}

# shellcheck disable=SC2086 # an option and its value are words
for tool in iptables-nft iptables-legacy ip6tables-nft ip6tables-legacy; do
	command -v $tool >/dev/null || { skip "$tool is not installed"; continue; }

	for option in --tarpit --honeypot --reset '--profile hold|linux' --drip '--ttl N' '--window N' --hairpin; do
		exits 0 "  $option" $tool -j TARPIT -h
	done
	for option in --tarpit --honeypot --reset; do
		exits 2 "\"$option\" can only be used once" $tool -A INPUT -j TARPIT $option $option
		exits 2 "\"$option\" cannot be inverted" $tool -A INPUT -j TARPIT ! $option
		exits 2 "Bad argument \`1'" $tool -A INPUT -j TARPIT $option 1
		for other in --tarpit --honeypot --reset; do
			[ $option = $other ] ||
				exits 2 'cannot be used together with' $tool -A INPUT -j TARPIT $option $other
		done
	done
	exits 2 'unknown option' $tool -A INPUT -j TARPIT --tarpit=1
	for word in --drop --unknown-variant=7 --unknown-profile=2 --unknown-flags=4 --unknown-reserved=1; do
		exits 2 "unknown option \"$word\"" $tool -A INPUT -j TARPIT $word
	done

	# Who may not ask the kernel for revisions is taken to have them all: what the options of
	# revision 1 make of a mistake, in any kernel. The right to change a rule is asked for later.
	for option in '--profile linux' --drip '--ttl 64' '--window 1000' --hairpin; do
		name=${option%% *}
		case $tool in *-nft) denied=4 ;; *) denied=3 ;; esac
		exits $denied 'Permission denied' unprivileged $tool -A INPUT -j TARPIT $option
		exits $denied 'Permission denied' unprivileged $tool -A INPUT -j TARPIT --tarpit $option
		exits 2 "\"$name\" can only be used once" unprivileged $tool -A INPUT -j TARPIT $option $option
		exits 2 "\"$name\" cannot be inverted" unprivileged $tool -A INPUT -j TARPIT ! $option
		exits 2 "Bad argument \`1'" unprivileged $tool -A INPUT -j TARPIT $option 1
		case $name in
		--profile | --drip) others='--honeypot --reset' ;;
		--window) others=--reset ;;
		*) others= ;;
		esac
		for mode in --honeypot --reset; do
			case " $others " in
			*" $mode "*) ;;
			*) exits $denied 'Permission denied' unprivileged $tool -A INPUT -j TARPIT $mode $option; continue ;;
			esac
			text="option \"$mode\" cannot be used together with \"$name\""
			exits 2 "$text" unprivileged $tool -A INPUT -j TARPIT $option $mode
			exits 2 "$text" unprivileged $tool -A INPUT -j TARPIT $mode $option
		done
	done
	exits 2 'cannot be used together with' unprivileged $tool -A INPUT -j TARPIT --drip --profile linux
	exits 2 'cannot be used together with' unprivileged $tool -A INPUT -j TARPIT --drip --window 24
	exits 2 'option "--profile" requires an argument' unprivileged $tool -A INPUT -j TARPIT --profile
	for value in windows linu LINUX '' --drip; do
		exits 2 "unknown profile \"$value\"; it can be \"hold\" or \"linux\"" \
			unprivileged $tool -A INPUT -j TARPIT --profile "$value"
	done
	for option in ttl:255 window:65535; do
		name=--${option%:*} most=${option#*:}
		exits $denied 'Permission denied' unprivileged $tool -A INPUT -j TARPIT $name $most
		exits 2 "option \"$name\" requires an argument" unprivileged $tool -A INPUT -j TARPIT $name
		for value in 0 $((most + 1)) -1 1:2 x ''; do
			exits 2 "or out of range (1-$most)" unprivileged $tool -A INPUT -j TARPIT $name "$value"
		done
	done

	run $tool -A INPUT -j TARPIT
	case $out in
	*'missing kernel module?'*)
		for option in '--profile linux' '--profile hold' --drip '--ttl 64' '--window 1' --hairpin; do
			exits 2 "TARPIT: option \"${option%% *}\" needs revision 1 of the target" \
				$tool -A INPUT -j TARPIT $option
		done
		;;
	*) skip "$tool finds a TARPIT in this kernel, maybe with revision 1" ;;
	esac

	$tool -n -L INPUT >/dev/null 2>&1 || { skip "$tool finds no tables in this kernel"; continue; }
	for mode in tarpit honeypot reset; do
		run $tool -v -A INPUT -p tcp -j TARPIT --$mode # shows the rule, whether it loads or not
		case $out in *"TARPIT "*"/0 "*" $mode"*) ok ;; *) not_ok "list $mode" ;; esac

		# as xtables-addons saved it, with a space at the end
		printf '*filter\n-A INPUT -p tcp -j TARPIT --%s \nCOMMIT\n' $mode >"${TMPDIR:-/tmp}/cli.$$"
		exits 0 '' $tool-restore --test "${TMPDIR:-/tmp}/cli.$$"
		rm "${TMPDIR:-/tmp}/cli.$$"
	done
done

if command -v iptables-translate >/dev/null; then
	while read -r line; do
		case $line in
		ip*tables-translate*) run $line ;;
		nft*) if [ "$out" = "$line " ]; then ok; else not_ok "$line"; fi ;;
		esac
	done <"$here/../libxt_TARPIT.txlate"
else
	skip 'iptables-translate is not installed'
fi

echo "$passed passed, $failed failed, $skipped skipped"
[ $failed = 0 ]
