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

#include "xt_TARPIT.h"
#include "xt_TARPIT_helpers.h"

#define CREATE_TRACE_POINTS
#include "xt_TARPIT_trace.h"

#if !IS_ENABLED(CONFIG_IPV6)
#error "xt_TARPIT needs a kernel with CONFIG_IPV6"
#endif

MODULE_VERSION(XT_TARPIT_VERSION);

static_assert(sizeof(struct xt_tarpit_facts) == 32);
static_assert(offsetof(struct xt_tarpit_facts, readable) == 16);
static_assert(offsetof(struct xt_tarpit_facts, len) == 20);
static_assert(offsetof(struct xt_tarpit_facts, now_ms) == 24);
static_assert(XT_TARPIT_checksum == 17);
static_assert(XT_TARPIT_limited == 19);
static_assert(sizeof(struct xt_tarpit_tginfo) == 1);
static_assert(sizeof(struct xt_tarpit_tginfo_v1) == 8);

u64 xt_tarpit_key[2] __ro_after_init;

/* By which link, and between which stations, an answer goes back that is not routed. */
struct station {
	struct net_device *dev;		/* NULL when it is to be routed */
	u8 peer[ETH_ALEN];
	u8 self[ETH_ALEN];
	__be16 vlan_proto;
	u16 vlan_tci;			/* of a frame whose tag the card or the bridge has set aside */
};

/* What /proc/net/stat/xt_TARPIT shows: a line for each CPU, as its neighbours. */
struct xt_tarpit_net {
	u64 __percpu *columns;
};

static unsigned int xt_tarpit_net_id __read_mostly;

struct xt_tarpit_call {
	const struct xt_action_param *par;
	u64 __percpu *columns;
	struct net_device *in;
	struct station back;
};

/* Whether a bridge passes the packet on. */
static bool is_bridged(const struct sk_buff *skb, const struct xt_action_param *par)
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

/* The port that a bridged frame came in by; NULL if it is gone, or there is more than Ethernet to undo (PPPoE). */
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

/* Fills in @back for a packet that is to be answered by @dev. */
static bool find_station(struct station *back, struct net_device *dev, const struct sk_buff *skb)
{
	const struct ethhdr *eth;

	if (!skb_mac_header_was_set(skb) || skb->network_header - skb->mac_header < ETH_HLEN)
		return false;
	eth = eth_hdr(skb);
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

/* Whether the packet came to one host, this one or one that it routes for. */
static bool for_one_host(const struct sk_buff *skb, const struct xt_action_param *par, u8 family)
{
	if (skb->pkt_type != PACKET_HOST)
		return false;
	if (family != NFPROTO_IPV4)
		return true;
	if (skb_valid_dst(skb))
		return !(skb_rtable(skb)->rt_flags & (RTCF_BROADCAST | RTCF_MULTICAST));
	/* In PREROUTING nobody has looked yet. */
	switch (inet_addr_type_dev_table(xt_net(par), xt_in(par), ip_hdr(skb)->daddr)) {
	case RTN_BROADCAST:
	case RTN_MULTICAST:
		return false;
	default:
		return true;
	}
}

/* Whether the packet is what was in a frame of the device that it came from, and nothing else was undone. */
static bool came_by_ethernet(const struct sk_buff *skb, const struct xt_action_param *par)
{
	const struct net_device *in = xt_in(par);

	return in->type == ARPHRD_ETHER && !netif_is_l3_master(in) && !secpath_exists(skb) &&
	       !skb_metadata_dst((struct sk_buff *)skb);
}

/*
 * Whether the source is an address of this host, which nobody has looked at in PREROUTING and for IPv6, or the
 * broadcast address of a subnet, which the route of an answer would tell.
 */
static bool is_no_peer(const struct sk_buff *skb, const struct xt_action_param *par)
{
	const struct iphdr *iph = ip_hdr(skb);

	if (xt_family(par) == NFPROTO_IPV6)
		return ipv6_chk_addr(xt_net(par), &ipv6_hdr(skb)->saddr, NULL, 0);
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

/* Fills in where the packet came from and an answer goes; whether it is from one host to one host. */
static bool find_way(struct xt_tarpit_call *call, const struct sk_buff *skb,
		     const struct xt_tarpit_tginfo_v1 *rule, u8 family)
{
	const struct xt_action_param *par = call->par;

	if (is_bridged(skb, par)) {
		call->in = bridged_from(skb, par);
		return call->in && skb->pkt_type == PACKET_HOST && find_station(&call->back, call->in, skb);
	}
	if (!for_one_host(skb, par, family))
		return false;
	call->in = came_from(skb, par);
	if (!(rule->flags & XT_TARPIT_HAIRPIN) || !came_by_ethernet(skb, par))
		return true;
	return !is_no_peer(skb, par) && find_station(&call->back, xt_in(par), skb);
}

static unsigned int tarpit_tg(struct sk_buff *skb, const struct xt_action_param *par,
			      const struct xt_tarpit_tginfo_v1 *rule, u8 family, u32 headers_len)
{
	/* What net_generic() gives, but for its rcu_read_lock(), which the hook's caller holds. */
	const struct xt_tarpit_net *tn = rcu_dereference(xt_net(par)->gen)->ptr[xt_tarpit_net_id];
	struct xt_tarpit_call call = { .par = par, .columns = tn->columns };
	struct xt_tarpit_facts facts;
	u32 mtu;

	/* Rules for both directions may name us in both (FireHOL); what this host sends is not ours. */
	if (xt_hooknum(par) == NF_INET_LOCAL_OUT)
		return XT_CONTINUE;
	this_cpu_add(call.columns[XT_TARPIT_bytes_in], skb->len);
	if (!find_way(&call, skb, rule, family)) {
		xt_tarpit_count(&call, XT_TARPIT_notunicast);
		return NF_DROP;
	}
	mtu = READ_ONCE(call.in->mtu);
	facts = (struct xt_tarpit_facts) {
		.headers = skb->data,
		.rule = rule,
		.readable = skb_headlen(skb),
		.len = skb->len,
		.now_ms = jiffies_to_msecs(jiffies),
		.mss = clamp(mtu, headers_len, IP_MAX_MTU) - headers_len,
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

#define HEADERS_LEN4	(sizeof(struct iphdr) + sizeof(struct tcphdr))
#define HEADERS_LEN6	(sizeof(struct ipv6hdr) + sizeof(struct tcphdr))

static unsigned int tarpit_tg4_v0(struct sk_buff *skb, const struct xt_action_param *par)
{
	const struct xt_tarpit_tginfo_v1 rule = from_v0(par->targinfo);

	return tarpit_tg(skb, par, &rule, NFPROTO_IPV4, HEADERS_LEN4);
}

static unsigned int tarpit_tg6_v0(struct sk_buff *skb, const struct xt_action_param *par)
{
	const struct xt_tarpit_tginfo_v1 rule = from_v0(par->targinfo);

	return tarpit_tg(skb, par, &rule, NFPROTO_IPV6, HEADERS_LEN6);
}

static unsigned int tarpit_tg4_v1(struct sk_buff *skb, const struct xt_action_param *par)
{
	return tarpit_tg(skb, par, par->targinfo, NFPROTO_IPV4, HEADERS_LEN4);
}

static unsigned int tarpit_tg6_v1(struct sk_buff *skb, const struct xt_action_param *par)
{
	return tarpit_tg(skb, par, par->targinfo, NFPROTO_IPV6, HEADERS_LEN6);
}

static int check(const struct xt_tgchk_param *par, const struct xt_tarpit_tginfo_v1 *rule)
{
	int err = xt_tarpit_checkentry(rule);

	if (err) {
		pr_info_ratelimited("a rule with mode %u, profile %u, flags %#x, ttl %u and window %u is not supported by this version\n",
				    rule->variant, rule->profile, rule->flags, rule->ttl, rule->window);
		return err;
	}
	/*
	 * Only packets that could begin a connection come there. Of a user-defined chain
	 * nft_compat does not say where it is called from.
	 */
	if (!strcmp(par->table, "nat") && par->hook_mask != 1 << NF_INET_LOCAL_IN) {
		pr_info_ratelimited("in the nat table, TARPIT is for INPUT only\n");
		return -EINVAL;
	}
	return 0;
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
		trace_segment(xt_net(call->par), kind, skb, th, age_ms);
}

void xt_tarpit_saw(const struct sk_buff *skb, const struct xt_tarpit_call *call, u32 kind, u32 thoff,
		   u32 age_ms)
{
	this_cpu_inc(call->columns[kind]);
	this_cpu_add(call->columns[XT_TARPIT_trapped_ms], age_ms);
	if (trace_segment_enabled())
		trace(skb, call, kind, thoff, age_ms);
}

/* What each CPU has told to people who may never have asked, in all namespaces. */
struct xt_tarpit_second {
	u32 number;
	u32 answers;
};

static DEFINE_PER_CPU(struct xt_tarpit_second, unverified);

u32 xt_tarpit_unverified(u32 second)
{
	struct xt_tarpit_second *now = this_cpu_ptr(&unverified);

	if (now->number != second) {
		now->number = second;
		now->answers = 0;
	}
	return ++now->answers;
}

#ifdef CONFIG_PROC_FS
static void *stat_start(struct seq_file *seq, loff_t *pos)
{
	const struct xt_tarpit_net *tn = net_generic(seq_file_net(seq), xt_tarpit_net_id);

	if (*pos == 0)
		return SEQ_START_TOKEN;
	for (; *pos - 1 < nr_cpu_ids; ++*pos)
		if (cpu_possible(*pos - 1))
			return per_cpu_ptr(tn->columns, *pos - 1);
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
	const u64 *columns = v;
	int i;

	if (v == SEQ_START_TOKEN) {
		seq_puts(seq, XT_TARPIT_COLUMNS(COLUMN_NAME) "\n");
		return 0;
	}
	for (i = 0; i < XT_TARPIT_COLUMN_COUNT; i++)
		seq_printf(seq, "%08llx ", columns[i]);
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
	struct xt_tarpit_net *tn = net_generic(net, xt_tarpit_net_id);

	tn->columns = __alloc_percpu(XT_TARPIT_COLUMN_COUNT * sizeof(u64), sizeof(u64));
	if (!tn->columns)
		return -ENOMEM;
#ifdef CONFIG_PROC_FS
	if (!proc_create_net("xt_TARPIT", 0444, net->proc_net_stat, &stat_ops,
			     sizeof(struct seq_net_private))) {
		free_percpu(tn->columns);
		return -ENOMEM;
	}
#endif
	return 0;
}

static void __net_exit xt_tarpit_net_exit(struct net *net)
{
	struct xt_tarpit_net *tn = net_generic(net, xt_tarpit_net_id);

	remove_proc_entry("xt_TARPIT", net->proc_net_stat);
	free_percpu(tn->columns);
}

static struct pernet_operations xt_tarpit_net_ops = {
	.init	= xt_tarpit_net_init,
	.exit	= xt_tarpit_net_exit,
	.id	= &xt_tarpit_net_id,
	.size	= sizeof(struct xt_tarpit_net),
};

/* Runs from init_module(), when __ro_after_init is still writable. */
int xt_tarpit_register(void)
{
	/* The key lasts as long as the module; early in the boot there may be no entropy yet. */
	int err = get_random_bytes_wait(xt_tarpit_key, sizeof(xt_tarpit_key));

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
	/*
	 * nf_ip_checksum() counts on the IP header to sum up to zero, which it no longer does when the
	 * stack has written into an option of it (timestamp, record route).
	 */
	if (family == NFPROTO_IPV4 && thoff > sizeof(struct iphdr)) {
		__wsum sum = skb_checksum(skb, thoff, skb->len - thoff, 0);

		return !tcp_v4_check(skb->len - thoff, ip_hdr(skb)->saddr, ip_hdr(skb)->daddr, sum);
	}
	/*
	 * Always as for local input: for other hooks, nf_checksum() takes a hardware's full checksum
	 * for right without comparing it.
	 */
	return nf_checksum(skb, NF_INET_LOCAL_IN, thoff, IPPROTO_TCP, family) == 0;
}

/* Whether there is room, and nobody else needs what would be overwritten: headers, length, skb_shinfo(). */
static bool reusable(const struct sk_buff *skb, u32 len)
{
	if (skb_shared(skb) || skb->len < len)
		return false;
	if (!skb_cloned(skb))
		return true;
	return !skb_is_nonlinear(skb) && !skb_is_gso(skb) && skb_clone_writable(skb, len);
}

/* Lets @reply carry the connection of @skb, so that NAT is undone, or marks it as untracked. */
static void attach_conntrack(struct sk_buff *reply, const struct sk_buff *skb,
			     const struct xt_action_param *par)
{
#if IS_ENABLED(CONFIG_NF_CONNTRACK)
	enum ip_conntrack_info ctinfo;
	struct nf_conn *ct = nf_ct_get(skb, &ctinfo);

	/* Before routing, addresses are still those on the wire, and an answer with them is right. */
	if (!ct || xt_hooknum(par) == NF_INET_PRE_ROUTING) {
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

struct sk_buff *xt_tarpit_turn(struct sk_buff *skb, const struct xt_tarpit_call *call, u32 len,
			       u32 tcp_len, u8 **headers)
{
	struct net *net = xt_net(call->par);
	struct sk_buff *reply = skb;

	if (!reusable(skb, len)) {
		reply = fresh(skb, len);
		if (!reply)
			goto failed;
	} else {
		if (pskb_trim(skb, len) || skb_linearize(skb))
			goto failed;
		clear_metadata(skb);
	}
	attach_conntrack(reply, skb, call->par);
	reply->mark = xt_family(call->par) == NFPROTO_IPV4 ? IP4_REPLY_MARK(net, reply->mark)
							   : IP6_REPLY_MARK(net, reply->mark);
	skb_reset_network_header(reply);
	skb_set_transport_header(reply, len - tcp_len);
	*headers = reply->data;
	return reply;
failed:
	xt_tarpit_count(call, XT_TARPIT_failed);
	return NULL;
}

/* Whether a @local route leads to this host itself, for a packet that came from elsewhere. */
static bool is_own(bool local, const struct xt_action_param *par)
{
	const struct net_device *in = xt_in(par);

	/* IPv4 has validated the source before all other hooks. */
	if (xt_family(par) == NFPROTO_IPV4 && xt_hooknum(par) != NF_INET_PRE_ROUTING)
		return false;
	return local && !(in->flags & IFF_LOOPBACK) && !netif_is_l3_master(in);
}

static int route4(struct net *net, struct sk_buff *skb, const struct xt_action_param *par)
{
	struct iphdr *iph = ip_hdr(skb);
	struct flowi4 fl4 = {
		.flowi4_l3mdev = l3mdev_master_ifindex_rcu(xt_in(par)),
		.flowi4_mark = skb->mark,
		.flowi4_proto = IPPROTO_TCP,
		/* The address may be anybody's: in FORWARD, or of a netblock that is routed here. */
		.flowi4_flags = FLOWI_FLAG_ANYSRC,
		.saddr = iph->saddr,
		.daddr = iph->daddr,
		.fl4_sport = tcp_hdr(skb)->source,
		.fl4_dport = tcp_hdr(skb)->dest,
	};
	struct rtable *rt;

	security_skb_classify_flow(skb, flowi4_to_flowi_common(&fl4));
	rt = ip_route_output_flow(net, &fl4, NULL);
	if (IS_ERR(rt))
		return PTR_ERR(rt);
	skb_dst_set(skb, &rt->dst);
	/* Only the routing table knows a subnet's broadcast address, be it the peer's. */
	if (rt->rt_flags & (RTCF_BROADCAST | RTCF_MULTICAST) || is_own(rt->rt_flags & RTCF_LOCAL, par))
		return -EINVAL;
	if (!iph->ttl)
		iph->ttl = ip4_dst_hoplimit(&rt->dst);
	return 0;
}

static int route6(struct net *net, struct sk_buff *skb, const struct xt_tarpit_call *call)
{
	const struct xt_action_param *par = call->par;
	struct ipv6hdr *ip6h = ipv6_hdr(skb);
	struct flowi6 fl6 = {
		.flowi6_proto = IPPROTO_TCP,
		.flowi6_mark = skb->mark,
		.saddr = ip6h->saddr,
		.daddr = ip6h->daddr,
		.fl6_sport = tcp_hdr(skb)->source,
		.fl6_dport = tcp_hdr(skb)->dest,
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
		return -EINVAL;
	}
	dst = xfrm_lookup(net, dst, flowi6_to_flowi(&fl6), NULL, 0);
	if (IS_ERR(dst))
		return PTR_ERR(dst);
	skb_dst_set(skb, dst);
	if (!ip6h->hop_limit)
		ip6h->hop_limit = ip6_dst_hoplimit(dst);
	return 0;
}

/* Counts a reply of @len bytes, which is about to go out. */
static void sent(const struct xt_tarpit_call *call, u32 len)
{
	this_cpu_inc(call->columns[XT_TARPIT_replies]);
	this_cpu_add(call->columns[XT_TARPIT_bytes_out], len);
}

/* The way of a reply that is a packet of this host. */
static void send_routed(struct sk_buff *reply, const struct xt_tarpit_call *call)
{
	const struct xt_action_param *par = call->par;
	struct net *net = xt_net(par);

	/* The errors of the output functions are the network's loss; they consume in any case. */
	if (xt_family(par) == NFPROTO_IPV4) {
		if (route4(net, reply, par))
			goto free;
		sent(call, reply->len);
		ip_local_out(net, NULL, reply);
	} else {
		if (route6(net, reply, call))
			goto free;
		sent(call, reply->len);
		ip6_local_out(net, NULL, reply);
	}
	return;
free:
	xt_tarpit_free(reply, call);
}

/* The way of a reply that goes back as its packet came. */
static void send_back(struct sk_buff *reply, const struct xt_tarpit_call *call)
{
	const struct station *back = &call->back;
	struct net *net = xt_net(call->par);
	const u32 len = reply->len;

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
			    len) < 0) {
		xt_tarpit_free(reply, call);
		return;
	}
	sent(call, len);
	dev_queue_xmit(reply);
}

void xt_tarpit_send(struct sk_buff *reply, const struct xt_tarpit_call *call)
{
	/* As REJECT: the connection of which one end is told that it is gone. */
	if (tcp_hdr(reply)->rst)
		nf_ct_set_closing(skb_nfct(reply));
	if (call->back.dev)
		send_back(reply, call);
	else
		send_routed(reply, call);
}

void xt_tarpit_free(struct sk_buff *reply, const struct xt_tarpit_call *call)
{
	xt_tarpit_count(call, XT_TARPIT_failed);
	kfree_skb(reply);
}
