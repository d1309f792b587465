// SPDX-License-Identifier: GPL-2.0
/* The route of a reply. In C for struct flowi4 and flowi6 and the inlines of the routing table. */
#include <linux/security.h>
#include <linux/skbuff.h>
#include <net/ip.h>
#include <net/ip6_route.h>
#include <net/ipv6.h>
#include <net/l3mdev.h>
#include <net/route.h>
#include <net/xfrm.h>

#include "helpers.h"

/* Returns the route of a reply with these ports to @skb, or an error. */
static struct dst_entry *route4(const struct way_out *way, struct sk_buff *skb, __be16 source,
				__be16 dest)
{
	struct flowi4 fl4 = {
		.flowi4_l3mdev = l3mdev_master_ifindex_rcu(way->dev),
		.flowi4_mark = way->mark,
		.flowi4_proto = IPPROTO_TCP,
		/*
		 * The address need not be ours: in FORWARD, or of a netblock that is routed here.
		 */
		.flowi4_flags = FLOWI_FLAG_ANYSRC,
		.saddr = *(const __be32 *)way->source,
		.daddr = *(const __be32 *)way->dest,
		.fl4_sport = source,
		.fl4_dport = dest,
	};
	struct rtable *rt;

	security_skb_classify_flow(skb, flowi4_to_flowi_common(&fl4));
	rt = ip_route_output_flow(way->net, &fl4, NULL);
	if (IS_ERR(rt))
		return ERR_CAST(rt);
	if (!leads_to_peer(way, &rt->dst)) {
		ip_rt_put(rt);
		return ERR_PTR(-EHOSTUNREACH);
	}
	return &rt->dst;
}

/* The same for IPv6. */
static struct dst_entry *route6(const struct way_out *way, struct sk_buff *skb, __be16 source,
				__be16 dest)
{
	struct flowi6 fl6 = {
		.flowi6_proto = IPPROTO_TCP,
		.flowi6_mark = way->mark,
		.saddr = *(const struct in6_addr *)way->source,
		.daddr = *(const struct in6_addr *)way->dest,
		.fl6_sport = source,
		.fl6_dport = dest,
	};
	struct dst_entry *dst;

	/* A link-local peer is behind the link that its packet came from, and no other. */
	if (ipv6_addr_type(&fl6.daddr) & IPV6_ADDR_LINKLOCAL)
		fl6.flowi6_oif = way->dev->ifindex;
	else
		fl6.flowi6_l3mdev = l3mdev_master_ifindex_rcu(way->dev);
	security_skb_classify_flow(skb, flowi6_to_flowi_common(&fl6));

	dst = ip6_route_output(way->net, NULL, &fl6);
	/* Before IPsec, whose route would not show it. */
	if (!leads_to_peer(way, dst)) {
		dst_release(dst);
		return ERR_PTR(-EHOSTUNREACH);
	}
	return xfrm_lookup(way->net, dst, flowi6_to_flowi(&fl6), NULL, 0);
}

/*
 * Finds the route of a reply with these ports to @skb, unless it is known or the reply goes back by
 * the link. Returns 0 or an error.
 */
static __always_inline int find_route(struct xt_tarpit_ctx *ctx, struct sk_buff *skb,
				      __be16 source, __be16 dest)
{
	struct dst_entry *dst;

	if (ctx->way.l2.dev || ctx->dst)
		return 0;
	dst = ctx->way.family == NFPROTO_IPV4 ? route4(&ctx->way, skb, source, dest) :
						route6(&ctx->way, skb, source, dest);
	if (IS_ERR(dst))
		return PTR_ERR(dst);
	ctx->dst = dst;
	return 0;
}

struct xt_tarpit_path xt_tarpit_path(struct sk_buff *skb, struct xt_tarpit_ctx *ctx,
				     __be16 source, __be16 dest)
{
	struct xt_tarpit_path path = {};
	int err = find_route(ctx, skb, source, dest);

	if (err)
		count_reply(ctx, 0, err);
	else if (ctx->dst)
		path.advmss = max(dst_metric_advmss(ctx->dst), 1U);
	else
		path.mtu = max(READ_ONCE(ctx->way.l2.dev->mtu), 1);
	return path;
}
