/* SPDX-License-Identifier: GPL-2.0 */
/* The structures that the C files share. xt_TARPIT_helpers.h is the contract with the Rust half. */
#ifndef _XT_TARPIT_HELPERS_HELPERS_H
#define _XT_TARPIT_HELPERS_HELPERS_H

#include <linux/if_ether.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/x_tables.h>
#include <linux/percpu.h>
#include <net/dst.h>
#include <net/net_namespace.h>
#include <net/netns/generic.h>

#include "../compat/compat.h"
#include "../xt_TARPIT.h"
#include "../xt_TARPIT_helpers.h"

/* The link by which a reply goes back that is not routed. */
struct l2_path {
	struct net_device *dev;		/* NULL if the reply is routed */
	u8 dest[ETH_ALEN];
	u8 source[ETH_ALEN];
	__be16 vlan_proto;		/* 0 without a tag outside of the payload */
	u16 vlan_tci;
};

/*
 * The way out of a reply: all that a reply takes from the packet that caused it, except its bytes,
 * the label of security_skb_classify_flow() and the reference to @ct. @source, @dest and @ct belong
 * to that packet: they are valid until it is reused or freed. The devices are valid under
 * rcu_read_lock().
 */
struct way_out {
	struct net *net;
	u8 family;
	enum ip_conntrack_info ctinfo;	/* of the packet, if @ct is not NULL */
	struct nf_conn *ct;		/* that the reply belongs to, or NULL */
	struct l2_path l2;

	/* For a reply that is routed. */
	struct net_device *dev;		/* that the packet came by; in a VRF, not the VRF's own */
	const void *source;		/* addresses of the reply, in network byte order */
	const void *dest;
	u32 mark;			/* of the reply */
	bool may_be_local;		/* the route may lead to this host itself */
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

/* The counters for a packet, and the route and way out of its reply. */
struct xt_tarpit_ctx {
	u64 __percpu *columns;		/* of struct cpu_state */
	struct dst_entry *dst;		/* the route of a reply that is not sent yet; a reference */
	struct way_out way;
};

#endif /* _XT_TARPIT_HELPERS_HELPERS_H */
