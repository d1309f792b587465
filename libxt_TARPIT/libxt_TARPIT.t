# SPDX-License-Identifier: GPL-2.0
# The grammar is that of iptables-test.py; every line is run in every chain that is named above it.
# tests/cli.sh has more that fails.
*filter
:INPUT,FORWARD,OUTPUT
-j TARPIT;-j TARPIT --tarpit;OK
-p tcp -j TARPIT;-p tcp -j TARPIT --tarpit;OK
-p tcp -j TARPIT --tarpit;=;OK
-p tcp -j TARPIT --honeypot;=;OK
-p tcp -j TARPIT --reset;=;OK
:INPUT
-p tcp -m tcp --dport 23 -j TARPIT --tarpit;=;OK
-j TARPIT --profile linux;-j TARPIT --tarpit --profile linux;OK
-j TARPIT --profile hold;-j TARPIT --tarpit;OK
-j TARPIT --drip;-j TARPIT --tarpit --drip;OK
-p tcp -j TARPIT --tarpit --profile linux;=;OK
-p tcp -j TARPIT --tarpit --drip;=;OK
-p tcp -j TARPIT --tarpit --ttl 1;=;OK
-p tcp -j TARPIT --honeypot --ttl 255;=;OK
-p tcp -j TARPIT --tarpit --window 1;=;OK
-p tcp -j TARPIT --honeypot --window 65535;=;OK
-p tcp -j TARPIT --reset --hairpin;=;OK
-j TARPIT --ttl 0x40 --hairpin;-j TARPIT --tarpit --ttl 64 --hairpin;OK
-p tcp -j TARPIT --tarpit --profile linux --ttl 64 --window 29200 --hairpin;=;OK
-p tcp -j TARPIT --tarpit --drip --ttl 64 --hairpin;=;OK
-p tcp -j TARPIT --honeypot --ttl 64 --window 100 --hairpin;=;OK
-p tcp -j TARPIT --reset --ttl 64 --hairpin;=;OK
-j TARPIT --tarpit --honeypot;;FAIL
-j TARPIT ! --tarpit;;FAIL
-j TARPIT --tarpit 1;;FAIL
-j TARPIT --profile windows;;FAIL
-j TARPIT --drip --reset;;FAIL
-j TARPIT --ttl 0;;FAIL
-j TARPIT --window 65536;;FAIL
-j TARPIT --window 1 --reset;;FAIL
-j TARPIT --hairpin 1;;FAIL
-j TARPIT --unknown-variant=7;;FAIL
*raw
:PREROUTING,OUTPUT
-p tcp -j TARPIT --tarpit;=;OK
-p tcp -j TARPIT --reset --hairpin;=;OK
*mangle
:PREROUTING,INPUT,FORWARD,OUTPUT
-p tcp -j TARPIT --tarpit;=;OK
-p tcp -j TARPIT --honeypot --hairpin;=;OK
:POSTROUTING
-p tcp -j TARPIT --tarpit;;FAIL
*nat
:INPUT
-p tcp -j TARPIT --tarpit;=;OK
:OUTPUT
-p tcp -j TARPIT --tarpit;;FAIL
