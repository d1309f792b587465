# SPDX-License-Identifier: GPL-2.0
# The grammar is that of iptables-test.py; both families run every line.
:INPUT,FORWARD
*filter
-j TARPIT;-j TARPIT --tarpit;OK
-j TARPIT --tarpit;=;OK
-p tcp -j TARPIT;-p tcp -j TARPIT --tarpit;OK
-p tcp -j TARPIT --tarpit;=;OK
-p tcp -m tcp --dport 23 -j TARPIT --tarpit;=;OK
-j TARPIT --profile linux;-j TARPIT --tarpit --profile linux;OK
-j TARPIT --profile hold;-j TARPIT --tarpit;OK
-j TARPIT --drip;-j TARPIT --tarpit --drip;OK
-p tcp -j TARPIT --tarpit --profile linux;=;OK
-p tcp -j TARPIT --tarpit --drip;=;OK
# The kernel module does not have these two yet. When it has: ;=;OK
-p tcp -j TARPIT --honeypot;;FAIL
-p tcp -j TARPIT --reset;;FAIL
-j TARPIT --tarpit --honeypot;;FAIL
-j TARPIT --tarpit --reset;;FAIL
-j TARPIT --honeypot --reset;;FAIL
-j TARPIT --tarpit --honeypot --reset;;FAIL
-j TARPIT --tarpit --tarpit;;FAIL
-j TARPIT ! --tarpit;;FAIL
-j TARPIT --tarpit 1;;FAIL
-j TARPIT --tarpit=1;;FAIL
-j TARPIT --unknown-variant=7;;FAIL
-j TARPIT --profile;;FAIL
-j TARPIT --profile windows;;FAIL
-j TARPIT --profile linux --profile linux;;FAIL
-j TARPIT ! --profile linux;;FAIL
-j TARPIT --profile linux --honeypot;;FAIL
-j TARPIT --reset --profile hold;;FAIL
-j TARPIT --drip --drip;;FAIL
-j TARPIT ! --drip;;FAIL
-j TARPIT --drip 1;;FAIL
-j TARPIT --honeypot --drip;;FAIL
-j TARPIT --drip --reset;;FAIL
-j TARPIT --drip --profile linux;;FAIL
-j TARPIT --tarpit --unknown-profile=2;;FAIL
-j TARPIT --tarpit --unknown-flags=2;;FAIL
-j TARPIT --tarpit --unknown-reserved=1;;FAIL
