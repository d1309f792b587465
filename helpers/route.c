// SPDX-License-Identifier: GPL-2.0
/* The way of a reply. In C for struct flowi4 and flowi6 and the inlines of the routing table. */
#include <linux/security.h>
#include <linux/skbuff.h>
#include <net/ip.h>
#include <net/ip6_route.h>
#include <net/ipv6.h>
#include <net/l3mdev.h>
#include <net/route.h>
#include <net/tcp.h>
#include <net/xfrm.h>

#include "helpers.h"

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

/* What a segment may carry on the way of a reply, in bytes; @dst is the route, or NULL. */
static u16 way_mss(const struct xt_tarpit_call *call, const struct dst_entry *dst)
{
	const u32 headers_len = sizeof(struct tcphdr) +
				(xt_family(call->par) == NFPROTO_IPV4 ? sizeof(struct iphdr) :
									sizeof(struct ipv6hdr));

	if (dst)
		return min(dst_metric_advmss(dst), U16_MAX);
	/* By the link that the packet came from: its MTU less the headers. */
	return min(clamp(READ_ONCE(call->back.dev->mtu), headers_len, IP_MAX_MTU) - headers_len,
		   U16_MAX);
}

/*
 * Finds the route of a reply to @skb; NULL for one that goes back by the link, an error if there is
 * no way. The caller owns the reference.
 */
static struct dst_entry *find_route(struct sk_buff *skb, const struct xt_tarpit_call *call,
				    const struct xt_tarpit_reply *to)
{
	if (call->back.dev)
		return NULL;
	return xt_family(call->par) == NFPROTO_IPV4 ? route4(skb, call, to) : route6(skb, call, to);
}
