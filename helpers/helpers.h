/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the C files of the module share. xt_TARPIT_helpers.h is the contract with the Rust half, and
 * says what the functions of that half's concern do.
 */
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

extern unsigned int xt_tarpit_net_id;

/* One packet that a rule has matched: what the rule says, and where a reply goes. */
struct xt_tarpit_call {
	const struct xt_action_param *par;
	u64 __percpu *columns;		/* of struct cpu_state */
	struct net_device *in;
	struct station back;
};

/* net.c: what a network namespace keeps. */

/* The state of a network namespace, or NULL before its first rule. Under rcu_read_lock(). */
static inline const struct net_state *xt_tarpit_net_state(const struct net *net)
{
	const struct xt_tarpit_net *tn = net_generic(net, xt_tarpit_net_id);

	return rcu_dereference(tn->state);
}

/* Gives the network namespace its key, tables and counters, unless it has them; 0 or -ENOMEM. */
int xt_tarpit_make_state(struct net *net);
int xt_tarpit_register_net(void);
void xt_tarpit_unregister_net(void);

/* path.c: where a packet came from. */

/* Returns true if a bridge passes the packet on. */
bool xt_tarpit_is_bridged(const struct sk_buff *skb, const struct xt_action_param *par);
/*
 * Fills in where the packet came from and a reply goes. Returns true if it is from one host to one
 * host.
 */
bool xt_tarpit_find_way(struct xt_tarpit_call *call, const struct sk_buff *skb,
			const struct xt_tarpit_tginfo_v1 *rule, u8 family);
/*
 * Fills in what the packet's addresses and ports were on the wire, and returns true, if NAT has
 * changed them.
 */
bool xt_tarpit_find_wire(struct xt_tarpit_wire *wire, const struct sk_buff *skb);

/* route.c: the way of a reply. */

/*
 * Finds the route of a reply to @skb; NULL for one that goes back by the link, an error if there is
 * no way. The caller owns the reference.
 */
struct dst_entry *xt_tarpit_find_route(struct sk_buff *skb, const struct xt_tarpit_call *call,
				       const struct xt_tarpit_reply *to);
/* What a segment may carry on that way, in bytes; @dst is the route, or NULL. */
u16 xt_tarpit_mss(const struct xt_tarpit_call *call, const struct dst_entry *dst);

#endif /* _XT_TARPIT_HELPERS_HELPERS_H */
