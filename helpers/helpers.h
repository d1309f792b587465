/* SPDX-License-Identifier: GPL-2.0 */
/* The structures that the C files share. xt_TARPIT_helpers.h is the contract with the Rust half. */
#ifndef _XT_TARPIT_HELPERS_HELPERS_H
#define _XT_TARPIT_HELPERS_HELPERS_H

#include <linux/if_ether.h>
#include <linux/netfilter/x_tables.h>
#include <linux/percpu.h>
#include <net/dst.h>
#include <net/net_namespace.h>
#include <net/netns/generic.h>

#include "../compat/compat.h"
#include "../xt_TARPIT.h"
#include "../xt_TARPIT_helpers.h"

/* By which link, and between which stations, an answer goes back that is not routed. */
struct station {
	struct net_device *dev;		/* NULL when it is to be routed */
	u8 peer[ETH_ALEN];
	u8 self[ETH_ALEN];
	__be16 vlan_proto;
	u16 vlan_tci;			/* of a frame whose tag is not in its payload */
};

/* What each CPU counts for a network namespace. */
struct cpu_state {
	u64 columns[XT_TARPIT_COLUMN_COUNT];	/* a line of /proc/net/stat/xt_TARPIT; first */
	u32 second;				/* the last one with an unverified reply */
	u32 unverified;				/* how many such replies it had */
};

static_assert(offsetof(struct cpu_state, columns) == 0);

/* All that a network namespace has of ours, from its first rule until it ends. */
struct net_state {
	struct xt_tarpit_state shared;
	struct cpu_state __percpu *cpu;
};

struct xt_tarpit_net {
	struct net_state __rcu *state;
};

/* One packet that a rule has matched: what the rule says, and where a reply goes. */
struct xt_tarpit_call {
	const struct xt_action_param *par;
	u64 __percpu *columns;		/* of struct cpu_state */
	struct net_device *in;
	struct station back;
};

#endif /* _XT_TARPIT_HELPERS_HELPERS_H */
