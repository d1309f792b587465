// SPDX-License-Identifier: GPL-2.0
/*
 * What cannot be said in Rust yet: the xt_target table, whose layout changes with the kernel's
 * version and configuration, and flat functions over the stack's inlines. It knows where a packet
 * came from and which way an answer goes; what is answered is decided in tarpit/.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/etherdevice.h>
#include <linux/if_arp.h>
#include <linux/if_vlan.h>
#include <linux/jiffies.h>
#include <linux/module.h>
#include <linux/netfilter/x_tables.h>
#include <linux/netfilter_bridge.h>
#include <linux/percpu.h>
#include <linux/proc_fs.h>
#include <linux/random.h>
#include <linux/security.h>
#include <linux/seq_file.h>
#include <linux/skbuff.h>
#include <net/dst_metadata.h>
#include <net/ip.h>
#include <net/ip6_route.h>
#include <net/ipv6.h>
#include <net/l3mdev.h>
#include <net/net_namespace.h>
#include <net/netfilter/nf_conntrack.h>
#include <net/netns/generic.h>
#include <net/route.h>
#include <net/tcp.h>
#include <net/xfrm.h>

#include "compat/compat.h"
#include "xt_TARPIT.h"
#include "xt_TARPIT_helpers.h"

#define CREATE_TRACE_POINTS
#include "xt_TARPIT_trace.h"

#if !IS_ENABLED(CONFIG_IPV6)
#error "xt_TARPIT needs a kernel with CONFIG_IPV6"
#endif

/* The layouts that glue/abi.rs mirrors, and a jiffies_to_msecs() that wraps without a gap. */
#ifndef CONFIG_64BIT
#error "xt_TARPIT needs a 64-bit kernel"
#endif

MODULE_VERSION(XT_TARPIT_VERSION);

static_assert(sizeof(struct xt_tarpit_facts) == 48);
static_assert(offsetof(struct xt_tarpit_facts, readable) == 32);
static_assert(offsetof(struct xt_tarpit_facts, len) == 36);
static_assert(offsetof(struct xt_tarpit_facts, now_ms) == 40);
static_assert(sizeof(struct xt_tarpit_reply) == 24);
static_assert(offsetof(struct xt_tarpit_reply, source_port) == 16);
static_assert(offsetof(struct xt_tarpit_reply, mss) == 20);
static_assert(sizeof(struct xt_tarpit_wire) == 36);
static_assert(offsetof(struct xt_tarpit_state, sources) == 16 + 8 * XT_TARPIT_TABLE_SIZE);
static_assert(XT_TARPIT_checksum == 17);
static_assert(XT_TARPIT_limited == 19);
static_assert(sizeof(struct xt_tarpit_tginfo) == 1);
static_assert(sizeof(struct xt_tarpit_tginfo_v1) == 8);

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

/* All that a network namespace has of ours, from its first rule until it ends. */
struct net_state {
	struct xt_tarpit_state shared;
	struct cpu_state __percpu *cpu;
};

struct xt_tarpit_net {
	struct net_state __rcu *state;
};

static unsigned int xt_tarpit_net_id __read_mostly;

static_assert(offsetof(struct cpu_state, columns) == 0);

struct xt_tarpit_call {
	const struct xt_action_param *par;
	u64 __percpu *columns;		/* of struct cpu_state */
	struct net_device *in;
	struct station back;
};

/* Returns true if a bridge passes the packet on. */
static __always_inline bool is_bridged(const struct sk_buff *skb, const struct xt_action_param *par)
{
#if IS_ENABLED(CONFIG_BRIDGE_NETFILTER)
	const struct nf_bridge_info *info = nf_bridge_info_get(skb);

	/* In PREROUTING the frame's address tells, in FORWARD that a port was found. */
	return info && (xt_hooknum(par) == NF_INET_PRE_ROUTING ? info->pkt_otherhost
							       : !!info->physoutdev);
#else
	return false;
#endif
}

/*
 * The port that a bridged frame came in by; NULL if it is gone, or there is more than Ethernet to
 * undo (PPPoE).
 */
static struct net_device *bridged_from(const struct sk_buff *skb, const struct xt_action_param *par)
{
#if IS_ENABLED(CONFIG_BRIDGE_NETFILTER)
	if (nf_bridge_info_get(skb)->orig_proto == BRNF_PROTO_UNCHANGED)
		return nf_bridge_get_physindev(skb, xt_net(par));
#endif
	return NULL;
}

/* The device that a packet came from: in a VRF, not the VRF's own. */
static struct net_device *came_from(const struct sk_buff *skb, const struct xt_action_param *par)
{
	struct net_device *in = xt_in(par), *dev = NULL;

	if (netif_is_l3_master(in))
		dev = dev_get_by_index_rcu(xt_net(par), xt_family(par) == NFPROTO_IPV4 ?
					   IPCB(skb)->iif : IP6CB(skb)->iif);
	return dev ? dev : in;
}

/* Returns true if the packet follows the header of a frame, and not other headers (SRv6). */
static bool follows_frame(const struct sk_buff *skb)
{
	return skb_mac_header_was_set(skb) && skb->mac_len >= ETH_HLEN &&
	       skb->network_header - skb->mac_header == skb->mac_len;
}

/*
 * Fills in @back for a packet that follows_frame() and is to be answered by @dev. Returns false if
 * the frame names no stations.
 */
static bool find_station(struct station *back, struct net_device *dev, const struct sk_buff *skb)
{
	const struct ethhdr *eth = eth_hdr(skb);

	if (!is_valid_ether_addr(eth->h_source) || !is_valid_ether_addr(eth->h_dest))
		return false;
	back->dev = dev;
	ether_addr_copy(back->peer, eth->h_source);
	ether_addr_copy(back->self, eth->h_dest);
	if (skb_vlan_tag_present(skb)) {
		back->vlan_proto = skb->vlan_proto;
		back->vlan_tci = skb_vlan_tag_get_id(skb);
	}
	return true;
}

/* Returns true if the packet came to one host, this one or one that it routes for. */
static bool for_one_host(const struct sk_buff *skb, const struct xt_action_param *par, u8 family)
{
	if (skb->pkt_type != PACKET_HOST)
		return false;
	if (family != NFPROTO_IPV4)
		return true;
	/* A packet that came within IPv6 (SRv6) still has the route of that in PREROUTING. */
	if (skb_valid_dst(skb) && skb_dst(skb)->ops->family == AF_INET)
		return !(skb_rtable(skb)->rt_flags & (RTCF_BROADCAST | RTCF_MULTICAST));
	/* In PREROUTING the stack has not looked yet. */
	switch (inet_addr_type_dev_table(xt_net(par), xt_in(par), ip_hdr(skb)->daddr)) {
	case RTN_BROADCAST:
	case RTN_MULTICAST:
		return false;
	default:
		return true;
	}
}

/*
 * Returns true if the packet is the payload of a frame of its device, and no tunnel or VRF is in
 * between. A device without an address (netkit in L3 mode) has frames without stations.
 */
static bool came_by_ethernet(const struct sk_buff *skb, const struct xt_action_param *par)
{
	const struct net_device *in = xt_in(par);

	return in->type == ARPHRD_ETHER && !is_zero_ether_addr(in->dev_addr) &&
	       !netif_is_l3_master(in) && follows_frame(skb) && !secpath_exists(skb) &&
	       !skb_metadata_dst((struct sk_buff *)skb);
}

/*
 * Returns true if the source is an address of this host, which the stack has not checked in
 * PREROUTING and for IPv6, or the broadcast address of a subnet, which the route of a reply would
 * show.
 */
static bool is_no_peer(const struct sk_buff *skb, const struct xt_action_param *par)
{
	const struct iphdr *iph = ip_hdr(skb);

	/* Within the VRF of the device, and for a link-local address on this device only. */
	if (xt_family(par) == NFPROTO_IPV6)
		return ipv6_chk_addr(xt_net(par), &ipv6_hdr(skb)->saddr, xt_in(par), 0);
	if (ipv4_is_loopback(iph->saddr) || ipv4_is_loopback(iph->daddr))
		return true;
	switch (inet_addr_type_dev_table(xt_net(par), xt_in(par), iph->saddr)) {
	case RTN_LOCAL:
	case RTN_BROADCAST:
		return true;
	default:
		return false;
	}
}

/*
 * Fills in where the packet came from and a reply goes. Returns true if it is from one host to one
 * host.
 */
static bool find_way(struct xt_tarpit_call *call, const struct sk_buff *skb,
		     const struct xt_tarpit_tginfo_v1 *rule, u8 family)
{
	const struct xt_action_param *par = call->par;

	if (is_bridged(skb, par)) {
		call->in = bridged_from(skb, par);
		return call->in && skb->pkt_type == PACKET_HOST && follows_frame(skb) &&
		       find_station(&call->back, call->in, skb);
	}
	if (!for_one_host(skb, par, family))
		return false;
	call->in = came_from(skb, par);
	if (!(rule->flags & XT_TARPIT_HAIRPIN) || !came_by_ethernet(skb, par))
		return true;
	return !is_no_peer(skb, par) && find_station(&call->back, xt_in(par), skb);
}

/*
 * Fills in what the packet's addresses and ports were on the wire, and returns true, if NAT has
 * changed them. A held client's packets are all new to conntrack, so each may get another
 * destination.
 */
static bool find_wire(struct xt_tarpit_wire *wire, const struct sk_buff *skb)
{
#if IS_ENABLED(CONFIG_NF_CONNTRACK)
	const struct nf_conntrack_tuple *tuple;
	enum ip_conntrack_info ctinfo;
	const struct nf_conn *ct = nf_ct_get(skb, &ctinfo);

	if (likely(!ct || !(READ_ONCE(ct->status) & IPS_NAT_MASK)))
		return false;
	tuple = nf_ct_tuple(ct, CTINFO2DIR(ctinfo));
	memcpy(wire->source, &tuple->src.u3, sizeof(wire->source));
	memcpy(wire->destination, &tuple->dst.u3, sizeof(wire->destination));
	wire->source_port = tuple->src.u.tcp.port;
	wire->destination_port = tuple->dst.u.tcp.port;
	return true;
#else
	return false;
#endif
}

static unsigned int tarpit_tg(struct sk_buff *skb, const struct xt_action_param *par,
			      const struct xt_tarpit_tginfo_v1 *rule, u8 family)
{
	const struct xt_tarpit_net *tn = net_generic(xt_net(par), xt_tarpit_net_id);
	const struct net_state *state = rcu_dereference(tn->state);
	struct xt_tarpit_call call = { .par = par };
	struct xt_tarpit_facts facts;
	struct xt_tarpit_wire wire;

	/*
	 * Rules for both directions may name us in both (FireHOL); what this host sends is not
	 * ours. Of a bridged frame the device may be gone.
	 */
	if (!xt_in(par) && !is_bridged(skb, par))
		return XT_CONTINUE;
	/* checkentry has made it, before the rule could match anything. */
	if (WARN_ON_ONCE(!state))
		return NF_DROP;
	call.columns = state->cpu->columns;
	this_cpu_add(call.columns[XT_TARPIT_bytes_in], skb->len);
	if (!find_way(&call, skb, rule, family)) {
		xt_tarpit_count(&call, XT_TARPIT_notunicast);
		return NF_DROP;
	}
	facts = (struct xt_tarpit_facts) {
		.headers = skb->data,
		.rule = rule,
		.state = &state->shared,
		.wire = find_wire(&wire, skb) ? &wire : NULL,
		.readable = skb_headlen(skb),
		.len = skb->len,
		.now_ms = jiffies_to_msecs(jiffies),
		.family = family,
	};
	return xt_tarpit_target(skb, &call, &facts);
}

/* What a rule of revision 0 says in the words of revision 1. */
static struct xt_tarpit_tginfo_v1 from_v0(const void *targinfo)
{
	const struct xt_tarpit_tginfo *info = targinfo;

	return (struct xt_tarpit_tginfo_v1) { .variant = info->variant };
}

static unsigned int tarpit_tg4_v0(struct sk_buff *skb, const struct xt_action_param *par)
{
	const struct xt_tarpit_tginfo_v1 rule = from_v0(par->targinfo);

	return tarpit_tg(skb, par, &rule, NFPROTO_IPV4);
}

static unsigned int tarpit_tg6_v0(struct sk_buff *skb, const struct xt_action_param *par)
{
	const struct xt_tarpit_tginfo_v1 rule = from_v0(par->targinfo);

	return tarpit_tg(skb, par, &rule, NFPROTO_IPV6);
}

static unsigned int tarpit_tg4_v1(struct sk_buff *skb, const struct xt_action_param *par)
{
	return tarpit_tg(skb, par, par->targinfo, NFPROTO_IPV4);
}

static unsigned int tarpit_tg6_v1(struct sk_buff *skb, const struct xt_action_param *par)
{
	return tarpit_tg(skb, par, par->targinfo, NFPROTO_IPV6);
}

static void free_state(struct net_state *state)
{
	free_percpu(state->cpu);
	kvfree(state);
}

/* Gives the network namespace its key, tables and counters, unless it has them; 0 or -ENOMEM. */
static int make_state(struct net *net)
{
	struct xt_tarpit_net *tn = net_generic(net, xt_tarpit_net_id);
	struct net_state *state;

	if (rcu_access_pointer(tn->state))
		return 0;
	/* On the account of the namespace's user, who may make thousands of them. */
	state = kvzalloc(sizeof(*state), GFP_KERNEL_ACCOUNT);
	if (!state)
		return -ENOMEM;
	state->cpu = alloc_percpu_gfp(struct cpu_state, GFP_KERNEL_ACCOUNT);
	if (!state->cpu) {
		kvfree(state);
		return -ENOMEM;
	}
	get_random_bytes(state->shared.key, sizeof(state->shared.key));
	/* Another table's first rule may have been faster. */
	if (cmpxchg((struct net_state __force **)&tn->state, NULL, state))
		free_state(state);
	return 0;
}

/*
 * In the nat table only INPUT will do: other chains get packets that could begin a connection, and
 * no more. Of a user-defined chain this is asked when a base chain leads there.
 */
static int tarpit_tg_check_hooks(const struct xt_tgchk_param *par)
{
	if (strcmp(par->table, "nat") || !(par->hook_mask & ~(1 << NF_INET_LOCAL_IN)))
		return 0;
	pr_info_ratelimited("in the nat table, TARPIT is for INPUT only\n");
	return -EINVAL;
}

static int check(const struct xt_tgchk_param *par, const struct xt_tarpit_tginfo_v1 *rule)
{
	int err = xt_tarpit_checkentry(rule);

	if (err) {
		pr_info_ratelimited("a rule with mode %u, profile %u, flags %#x, ttl %u and window %u is not supported by this version\n",
				    rule->variant, rule->profile, rule->flags, rule->ttl, rule->window);
		return err;
	}
	err = compat_checkentry_hooks(par, tarpit_tg_check_hooks);
	return err ? err : make_state(par->net);
}

static int tarpit_tg_check_v0(const struct xt_tgchk_param *par)
{
	const struct xt_tarpit_tginfo_v1 rule = from_v0(par->targinfo);

	return check(par, &rule);
}

static int tarpit_tg_check_v1(const struct xt_tgchk_param *par)
{
	return check(par, par->targinfo);
}

/* Any protocol is accepted: fail2ban and CrowdSec write rules without -p tcp. */
#define TARPIT(rev, v, info) {								\
		.name		= "TARPIT",						\
		.revision	= rev,							\
		.family		= NFPROTO_IPV##v,					\
		.hooks		= 1 << NF_INET_PRE_ROUTING | 1 << NF_INET_LOCAL_IN |	\
				  1 << NF_INET_FORWARD | 1 << NF_INET_LOCAL_OUT,	\
		.target		= tarpit_tg##v##_v##rev,				\
		.checkentry	= tarpit_tg_check_v##rev,				\
		COMPAT_CHECK_HOOKS(tarpit_tg_check_hooks)				\
		.targetsize	= sizeof(struct info),					\
		.me		= THIS_MODULE,						\
	}

static struct xt_target tarpit_tg_reg[] __read_mostly = {
	TARPIT(0, 4, xt_tarpit_tginfo),
	TARPIT(0, 6, xt_tarpit_tginfo),
	TARPIT(1, 4, xt_tarpit_tginfo_v1),
	TARPIT(1, 6, xt_tarpit_tginfo_v1),
};

void xt_tarpit_count(const struct xt_tarpit_call *call, u32 column)
{
	this_cpu_inc(call->columns[column]);
}

/* Kept apart, so that a segment which nobody looks at is only counted. */
static noinline void trace(const struct sk_buff *skb, const struct xt_tarpit_call *call, u8 kind,
			   u32 thoff, u32 age_ms)
{
	struct tcphdr buffer;
	const struct tcphdr *th = skb_header_pointer(skb, thoff, sizeof(buffer), &buffer);

	if (th)
		trace_xt_tarpit_segment(xt_net(call->par), kind, skb, th, age_ms);
}

void xt_tarpit_saw(const struct sk_buff *skb, const struct xt_tarpit_call *call, u32 kind,
		   u32 thoff, u32 age_ms)
{
	this_cpu_inc(call->columns[kind]);
	this_cpu_add(call->columns[XT_TARPIT_trapped_ms], age_ms);
	if (trace_xt_tarpit_segment_enabled())
		trace(skb, call, kind, thoff, age_ms);
}

u32 xt_tarpit_unverified(const struct xt_tarpit_call *call, u32 second)
{
	struct cpu_state __percpu *cpu = (struct cpu_state __percpu *)call->columns;
	struct cpu_state *now = get_cpu_ptr(cpu);
	u32 count;

	if (now->second != second) {
		now->second = second;
		now->unverified = 0;
	}
	/* A softirq in between costs one count. */
	count = ++now->unverified;
	put_cpu_ptr(cpu);
	return count;
}

#ifdef CONFIG_PROC_FS
static void *stat_start(struct seq_file *seq, loff_t *pos)
{
	/* Without a rule, nothing was counted. */
	static const struct cpu_state none;
	const struct xt_tarpit_net *tn = net_generic(seq_file_net(seq), xt_tarpit_net_id);
	/* It goes with the namespace, which an open file holds. */
	const struct net_state *state = rcu_dereference_check(tn->state, true);

	if (*pos == 0)
		return SEQ_START_TOKEN;
	for (; *pos - 1 < nr_cpu_ids; ++*pos)
		if (cpu_possible(*pos - 1))
			return (void *)(state ? per_cpu_ptr(state->cpu, *pos - 1) : &none);
	return NULL;
}

static void *stat_next(struct seq_file *seq, void *v, loff_t *pos)
{
	++*pos;
	return stat_start(seq, pos);
}

static void stat_stop(struct seq_file *seq, void *v)
{
}

#define COLUMN_NAME(name) #name " "

static int stat_show(struct seq_file *seq, void *v)
{
	const struct cpu_state *cpu = v;
	int i;

	if (v == SEQ_START_TOKEN) {
		seq_puts(seq, XT_TARPIT_COLUMNS(COLUMN_NAME) "\n");
		return 0;
	}
	for (i = 0; i < XT_TARPIT_COLUMN_COUNT; i++)
		seq_printf(seq, "%08llx ", cpu->columns[i]);
	seq_putc(seq, '\n');
	return 0;
}

static const struct seq_operations stat_ops = {
	.start	= stat_start,
	.next	= stat_next,
	.stop	= stat_stop,
	.show	= stat_show,
};
#endif

static int __net_init xt_tarpit_net_init(struct net *net)
{
#ifdef CONFIG_PROC_FS
	if (!proc_create_net("xt_TARPIT", 0444, net->proc_net_stat, &stat_ops,
			     sizeof(struct seq_net_private)))
		return -ENOMEM;
#endif
	return 0;
}

static void __net_exit xt_tarpit_net_exit(struct net *net)
{
	struct xt_tarpit_net *tn = net_generic(net, xt_tarpit_net_id);
	struct net_state *state = rcu_dereference_protected(tn->state, true);

	remove_proc_entry("xt_TARPIT", net->proc_net_stat);
	/* The namespace's devices and the readers of its file are gone. */
	if (state)
		free_state(state);
}

static struct pernet_operations xt_tarpit_net_ops = {
	.init	= xt_tarpit_net_init,
	.exit	= xt_tarpit_net_exit,
	.id	= &xt_tarpit_net_id,
	.size	= sizeof(struct xt_tarpit_net),
};

int xt_tarpit_register(void)
{
	/* For the keys; early in the boot there may be no entropy yet. */
	int err = wait_for_random_bytes();

	if (err)
		return err;
	err = register_pernet_subsys(&xt_tarpit_net_ops);
	if (err)
		return err;
	err = xt_register_targets(tarpit_tg_reg, ARRAY_SIZE(tarpit_tg_reg));
	if (err)
		unregister_pernet_subsys(&xt_tarpit_net_ops);
	return err;
}

void xt_tarpit_unregister(void)
{
	xt_unregister_targets(tarpit_tg_reg, ARRAY_SIZE(tarpit_tg_reg));
	unregister_pernet_subsys(&xt_tarpit_net_ops);
}

bool xt_tarpit_copy(const struct sk_buff *skb, void *to, u32 len)
{
	return skb_copy_bits(skb, 0, to, len) == 0;
}

bool xt_tarpit_checksum(struct sk_buff *skb, const struct xt_tarpit_call *call, u32 thoff)
{
	const u8 family = xt_family(call->par);

	if (skb->ip_summed == CHECKSUM_UNNECESSARY || skb->ip_summed == CHECKSUM_PARTIAL)
		return true;
	/* Bytes in a device's memory (zero-copy receive) cannot be summed up. */
	if (!skb_frags_readable(skb))
		return false;
	/*
	 * nf_ip_checksum() counts on the IP header to sum up to zero, which it no longer does when
	 * the stack has written into an option of it (timestamp, record route).
	 */
	if (family == NFPROTO_IPV4 && thoff > sizeof(struct iphdr)) {
		__wsum sum = skb_checksum(skb, thoff, skb->len - thoff, 0);

		return !tcp_v4_check(skb->len - thoff, ip_hdr(skb)->saddr, ip_hdr(skb)->daddr, sum);
	}
	/*
	 * Always as for local input: for other hooks, nf_checksum() takes a hardware's full
	 * checksum for right without comparing it.
	 */
	return nf_checksum(skb, NF_INET_LOCAL_IN, thoff, IPPROTO_TCP, family) == 0;
}

/*
 * Returns true if a reply of @len bytes fits and nothing else needs what it overwrites: headers,
 * length, skb_shinfo().
 */
static bool reusable(const struct sk_buff *skb, u32 len)
{
	if (skb_shared(skb) || skb->len < len)
		return false;
	if (!skb_cloned(skb))
		return true;
	return !skb_is_nonlinear(skb) && !skb_is_gso(skb) && skb_clone_writable(skb, len);
}

/* Lets @reply carry the connection of @skb, so that NAT is undone, or marks it as untracked. */
static void attach_conntrack(struct sk_buff *reply, const struct sk_buff *skb)
{
#if IS_ENABLED(CONFIG_NF_CONNTRACK)
	enum ip_conntrack_info ctinfo;
	struct nf_conn *ct = nf_ct_get(skb, &ctinfo);

	/* In raw PREROUTING there may be a template (-j CT), which is no connection. */
	if (!ct || nf_ct_is_template(ct)) {
		if (reply == skb)
			nf_reset_ct(reply);
		/* Without a mark the reply would make an entry of its own. */
		nf_ct_set(reply, NULL, IP_CT_UNTRACKED);
		return;
	}
	/* In place, the reference is there already and moves over; a new packet takes its own. */
	reply->_nfct = 0;
	nf_ct_set(reply, ct, CTINFO2DIR(ctinfo) == IP_CT_DIR_ORIGINAL ? IP_CT_RELATED_REPLY
								      : IP_CT_RELATED);
	if (reply != skb)
		nf_conntrack_get(skb_nfct(reply));
#endif
}

/*
 * Makes the metadata of a received packet that of a new one. All of what a copy would inherit
 * (struct_group headers) is cleared at once; what has to survive in it is named here, and is to be
 * looked through again for each new kernel: alloc_cpu, which belongs to the memory, and protocol
 * and mark, which the routing reads.
 */
static void clear_metadata(struct sk_buff *skb)
{
	typeof(skb->alloc_cpu) alloc_cpu = skb->alloc_cpu;
	__be16 protocol = skb->protocol;
	u32 mark = skb->mark;

	skb_orphan(skb);
	skb_dst_drop(skb);
	skb_ext_reset(skb);
	memset(&skb->headers, 0, sizeof(skb->headers));
	skb->alloc_cpu = alloc_cpu;
	skb->protocol = protocol;
	skb->mark = mark;
	skb_unset_mac_header(skb);
	skb->dev = NULL;
	skb->mac_len = 0;
	skb->tstamp = 0;
	skb_set_queue_mapping(skb, 0);
	memset(skb->cb, 0, sizeof(skb->cb));
	/* What a clone shares is not ours to change, and by reusable() has nothing to clear. */
	if (!skb_cloned(skb)) {
		skb_gso_reset(skb);
		skb_metadata_clear(skb);
		skb_shinfo(skb)->tx_flags = 0;
		/* The time of arrival, or a pointer of the driver; tx_flags said which. */
		*skb_hwtstamps(skb) = (struct skb_shared_hwtstamps){};
	}
}

/* A packet of @len bytes that stands for the reply to @skb. */
static struct sk_buff *fresh(const struct sk_buff *skb, u32 len)
{
	struct sk_buff *reply = alloc_skb(LL_MAX_HEADER + len, GFP_ATOMIC);

	if (!reply)
		return NULL;
	skb_reserve(reply, LL_MAX_HEADER);
	skb_put_zero(reply, len);
	reply->protocol = skb->protocol;
	reply->mark = skb->mark;
	return reply;
}

/*
 * Returns true if a @local route leads to this host itself, for a packet that came from elsewhere.
 */
static bool is_own(bool local, const struct xt_action_param *par)
{
	const struct net_device *in = xt_in(par);

	/* IPv4 has validated the source before all other hooks. */
	if (xt_family(par) == NFPROTO_IPV4 && xt_hooknum(par) != NF_INET_PRE_ROUTING)
		return false;
	return local && !(in->flags & IFF_LOOPBACK) && !netif_is_l3_master(in);
}

/* The route of a reply to @skb; an error if it leads to no single other host. */
static struct dst_entry *route4(struct sk_buff *skb, const struct xt_tarpit_call *call,
				const struct xt_tarpit_reply *to)
{
	const struct xt_action_param *par = call->par;
	const struct iphdr *iph = ip_hdr(skb);
	struct flowi4 fl4 = {
		.flowi4_l3mdev = l3mdev_master_ifindex_rcu(xt_in(par)),
		.flowi4_mark = IP4_REPLY_MARK(xt_net(par), skb->mark),
		.flowi4_proto = IPPROTO_TCP,
		/*
		 * The address need not be ours: in FORWARD, or of a netblock that is routed here.
		 */
		.flowi4_flags = FLOWI_FLAG_ANYSRC,
		.saddr = iph->daddr,
		.daddr = iph->saddr,
		.fl4_sport = to->destination_port,
		.fl4_dport = to->source_port,
	};
	struct rtable *rt;

	security_skb_classify_flow(skb, flowi4_to_flowi_common(&fl4));
	rt = ip_route_output_flow(xt_net(par), &fl4, NULL);
	if (IS_ERR(rt))
		return ERR_CAST(rt);
	/* Only the routing table knows a subnet's broadcast address, even as a source. */
	if (rt->rt_flags & (RTCF_BROADCAST | RTCF_MULTICAST) ||
	    is_own(rt->rt_flags & RTCF_LOCAL, par)) {
		ip_rt_put(rt);
		return ERR_PTR(-EINVAL);
	}
	return &rt->dst;
}

/* The same for IPv6. */
static struct dst_entry *route6(struct sk_buff *skb, const struct xt_tarpit_call *call,
				const struct xt_tarpit_reply *to)
{
	const struct xt_action_param *par = call->par;
	const struct ipv6hdr *ip6h = ipv6_hdr(skb);
	struct net *net = xt_net(par);
	struct flowi6 fl6 = {
		.flowi6_proto = IPPROTO_TCP,
		.flowi6_mark = IP6_REPLY_MARK(net, skb->mark),
		.saddr = ip6h->daddr,
		.daddr = ip6h->saddr,
		.fl6_sport = to->destination_port,
		.fl6_dport = to->source_port,
	};
	struct dst_entry *dst;

	/* A link-local peer is behind the link that its packet came from, and no other. */
	if (ipv6_addr_type(&fl6.daddr) & IPV6_ADDR_LINKLOCAL)
		fl6.flowi6_oif = call->in->ifindex;
	else
		fl6.flowi6_l3mdev = l3mdev_master_ifindex_rcu(xt_in(par));
	security_skb_classify_flow(skb, flowi6_to_flowi_common(&fl6));

	dst = ip6_route_output(net, NULL, &fl6);
	if (dst->error || is_own(dst_rt6_info(dst)->rt6i_flags & RTF_LOCAL, par)) {
		dst_release(dst);
		return ERR_PTR(-EINVAL);
	}
	return xfrm_lookup(net, dst, flowi6_to_flowi(&fl6), NULL, 0);
}

/* What a segment may carry back by the link that the packet came from: its MTU less the headers. */
static u32 link_mss(const struct xt_tarpit_call *call)
{
	const u32 headers_len = sizeof(struct tcphdr) +
				(xt_family(call->par) == NFPROTO_IPV4 ? sizeof(struct iphdr) :
									sizeof(struct ipv6hdr));
	const u32 mtu = READ_ONCE(call->back.dev->mtu);

	return clamp(mtu, headers_len, IP_MAX_MTU) - headers_len;
}

/*
 * Finds the route of a reply; NULL for one that goes back by the link, an error if there is no
 * way.
 */
static struct dst_entry *find_route(struct sk_buff *skb, const struct xt_tarpit_call *call,
				    const struct xt_tarpit_reply *to)
{
	if (call->back.dev)
		return NULL;
	return xt_family(call->par) == NFPROTO_IPV4 ? route4(skb, call, to) : route6(skb, call, to);
}

struct sk_buff *xt_tarpit_turn(struct sk_buff *skb, const struct xt_tarpit_call *call,
			       struct xt_tarpit_reply *to)
{
	struct dst_entry *dst = find_route(skb, call, to);
	struct net *net = xt_net(call->par);
	struct sk_buff *reply = skb;

	if (IS_ERR(dst)) {
		xt_tarpit_count(call, XT_TARPIT_refused);
		return NULL;
	}
	if (to->needs_mss)
		to->mss = min(dst ? dst_metric_advmss(dst) : link_mss(call), U16_MAX);
	if (!reusable(skb, to->len)) {
		reply = fresh(skb, to->len);
		if (!reply)
			goto failed;
	} else {
		if (pskb_trim(skb, to->len) || skb_linearize(skb))
			goto failed;
		clear_metadata(skb);
	}
	attach_conntrack(reply, skb);
	reply->mark = xt_family(call->par) == NFPROTO_IPV4 ? IP4_REPLY_MARK(net, reply->mark)
							   : IP6_REPLY_MARK(net, reply->mark);
	if (dst)
		skb_dst_set(reply, dst);
	skb_reset_network_header(reply);
	skb_set_transport_header(reply, to->len - to->tcp_len);
	to->headers = reply->data;
	return reply;
failed:
	dst_release(dst);
	xt_tarpit_count(call, XT_TARPIT_failed);
	return NULL;
}

/* Counts a reply of @len bytes by what the output functions said of it. */
static void count_sent(const struct xt_tarpit_call *call, u32 len, int err)
{
	if (net_xmit_eval(err)) {
		xt_tarpit_count(call, err == -ENOMEM ? XT_TARPIT_failed : XT_TARPIT_refused);
		return;
	}
	this_cpu_inc(call->columns[XT_TARPIT_replies]);
	this_cpu_add(call->columns[XT_TARPIT_bytes_out], len);
}

/* Sends a reply that is a packet of this host. */
static int send_routed(struct sk_buff *reply, const struct xt_tarpit_call *call)
{
	struct net *net = xt_net(call->par);

	if (xt_family(call->par) == NFPROTO_IPV4) {
		if (!ip_hdr(reply)->ttl)
			ip_hdr(reply)->ttl = ip4_dst_hoplimit(skb_dst(reply));
		return ip_local_out(net, NULL, reply);
	}
	if (!ipv6_hdr(reply)->hop_limit)
		ipv6_hdr(reply)->hop_limit = ip6_dst_hoplimit(skb_dst(reply));
	return ip6_local_out(net, NULL, reply);
}

/* Sends a reply back as its packet came. */
static int send_back(struct sk_buff *reply, const struct xt_tarpit_call *call)
{
	const struct station *back = &call->back;
	struct net *net = xt_net(call->par);

	if (xt_family(call->par) == NFPROTO_IPV4) {
		if (!ip_hdr(reply)->ttl)
			ip_hdr(reply)->ttl = READ_ONCE(net->ipv4.sysctl_ip_default_ttl);
		ip_send_check(ip_hdr(reply));
	} else if (!ipv6_hdr(reply)->hop_limit) {
		ipv6_hdr(reply)->hop_limit = READ_ONCE(net->ipv6.devconf_all->hop_limit);
	}
	nf_reset_ct(reply);
	reply->mark = 0;
	reply->dev = back->dev;
	if (back->vlan_proto)
		__vlan_hwaccel_put_tag(reply, back->vlan_proto, back->vlan_tci);
	if (skb_cow_head(reply, LL_RESERVED_SPACE(back->dev)) ||
	    dev_hard_header(reply, back->dev, ntohs(reply->protocol), back->peer, back->self,
			    reply->len) < 0) {
		kfree_skb_reason(reply, SKB_DROP_REASON_NOMEM);
		return -ENOMEM;
	}
	return dev_queue_xmit(reply);
}

void xt_tarpit_send(struct sk_buff *reply, const struct xt_tarpit_call *call)
{
	const u32 len = reply->len;

	/* As REJECT: the connection of which one end is told that it is gone. */
	if (tcp_hdr(reply)->rst)
		nf_ct_set_closing(skb_nfct(reply));
	/* The output functions consume the reply in any case. */
	count_sent(call, len, call->back.dev ? send_back(reply, call) : send_routed(reply, call));
}

void xt_tarpit_free(struct sk_buff *reply, const struct xt_tarpit_call *call)
{
	xt_tarpit_count(call, XT_TARPIT_failed);
	kfree_skb_reason(reply, SKB_DROP_REASON_NETFILTER_DROP);
}
