# SPDX-License-Identifier: GPL-2.0
# The grammar is that of iptables-test.py; both families run every line.
:INPUT,FORWARD
*filter
-j TARPIT;-j TARPIT --tarpit;OK
-j TARPIT --tarpit;=;OK
-p tcp -j TARPIT;-p tcp -j TARPIT --tarpit;OK
-p tcp -j TARPIT --tarpit;=;OK
-p tcp -m tcp --dport 23 -j TARPIT --tarpit;=;OK
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
