// SPDX-License-Identifier: GPL-2.0
/*
 * A received packet's bytes and checksum, and the packet that the reply is written into and sent
 * as. In C for the inlines of struct sk_buff, conntrack and the output functions.
 */
#include <linux/etherdevice.h>
#include <linux/if_vlan.h>
#include <linux/skbuff.h>
#include <net/dst_metadata.h>
#include <net/ip.h>
#include <net/ip6_checksum.h>
#include <net/ip6_route.h>
#include <net/ipv6.h>
#include <net/netfilter/nf_conntrack.h>
#include <net/route.h>
#include <net/tcp.h>

#include "helpers.h"

bool xt_tarpit_copy(const struct sk_buff *skb, void *to, u32 len)
{
	return skb_copy_bits(skb, 0, to, len) == 0;
}

/* Returns true if the checksum of the TCP segment @thoff bytes into the packet is right. */
static bool checksum_is_right(struct sk_buff *skb, u8 family, u32 thoff)
{
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

bool xt_tarpit_verify(struct sk_buff *skb, const struct xt_tarpit_ctx *ctx, u32 class, u32 thoff,
		      u32 age_ms)
{
	bool is_right = checksum_is_right(skb, ctx->way.family, thoff);

	if (is_right)
		account(skb, ctx, class, thoff, age_ms);
	else
		account(skb, ctx, XT_TARPIT_checksum, thoff, 0);
	return is_right;
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

/*
 * Gives @reply the connection of the packet that caused it, so that NAT is undone, or marks it as
 * untracked. @skb is that packet, which may be @reply.
 */
static void attach_conntrack(struct sk_buff *reply, const struct sk_buff *skb,
			     const struct way_out *way)
{
#if IS_ENABLED(CONFIG_NF_CONNTRACK)
	/* In raw PREROUTING there may be a template (-j CT), which is no connection. */
	if (!way->ct || nf_ct_is_template(way->ct)) {
		if (reply == skb)
			nf_reset_ct(reply);
		/* Without this the reply would make an entry of its own. */
		nf_ct_set(reply, NULL, IP_CT_UNTRACKED);
		return;
	}
	/* In place, the reference is there already and moves over; a new packet takes its own. */
	reply->_nfct = 0;
	nf_ct_set(reply, way->ct, CTINFO2DIR(way->ctinfo) == IP_CT_DIR_ORIGINAL ?
				  IP_CT_RELATED_REPLY : IP_CT_RELATED);
	if (reply != skb)
		nf_conntrack_get(skb_nfct(reply));
#endif
}

/* Clears about 64 bytes by stores of words. One memset() would be a string instruction. */
static __always_inline void clear(void *to, size_t len)
{
	memset(to, 0, len / 2);
	memset(to + len / 2, 0, len - len / 2);
}

/*
 * Makes the metadata of a received packet that of a new one. All of what a copy would inherit
 * (struct_group headers) is cleared at once; what has to survive in it is named here, and is to be
 * looked through again for each new kernel: alloc_cpu, which belongs to the memory.
 */
static void clear_metadata(struct sk_buff *skb)
{
	typeof(skb->alloc_cpu) alloc_cpu = skb->alloc_cpu;

	skb_orphan(skb);
	skb_dst_drop(skb);
	skb_ext_reset(skb);
	clear(&skb->headers, sizeof(skb->headers));
	skb->alloc_cpu = alloc_cpu;
	skb_unset_mac_header(skb);
	skb->dev = NULL;
	skb->mac_len = 0;
	skb->tstamp = 0;
	skb_set_queue_mapping(skb, 0);
	clear(skb->cb, sizeof(skb->cb));
	/* What a clone shares is not ours to change, and by reusable() has nothing to clear. */
	if (!skb_cloned(skb)) {
		skb_gso_reset(skb);
		skb_metadata_clear(skb);
		skb_shinfo(skb)->tx_flags = 0;
		/* The time of arrival, or a pointer of the driver; tx_flags said which. */
		*skb_hwtstamps(skb) = (struct skb_shared_hwtstamps){};
	}
}

/* Makes a received packet one of @len bytes of its own. Returns false if there is no memory. */
static bool reuse(struct sk_buff *skb, u32 len)
{
	if (pskb_trim(skb, len) || skb_linearize(skb))
		return false;
	clear_metadata(skb);
	return true;
}

/* Returns a new packet of @len bytes, or NULL. */
static struct sk_buff *alloc_reply(u32 len)
{
	struct sk_buff *reply = alloc_skb(LL_MAX_HEADER + len, GFP_ATOMIC);

	if (!reply)
		return NULL;
	skb_reserve(reply, LL_MAX_HEADER);
	skb_put(reply, len);
	return reply;
}

/* Copies a reply: its first and its last 40 bytes, which are all of it, without a loop. */
static void copy_reply(u8 *to, const u8 *bytes, u32 len)
{
	const u32 rest = len - XT_TARPIT_MIN_REPLY_LEN;

	static_assert(XT_TARPIT_MAX_REPLY_LEN <= 2 * XT_TARPIT_MIN_REPLY_LEN);
	memcpy(to, bytes, XT_TARPIT_MIN_REPLY_LEN);
	memcpy(to + rest, bytes + rest, XT_TARPIT_MIN_REPLY_LEN);
}

/* Sends a reply back by the link that its packet came by. Consumes it. */
static int send_back(struct sk_buff *reply, const struct l2_path *l2)
{
	nf_reset_ct(reply);
	reply->mark = 0;
	reply->dev = l2->dev;
	if (l2->vlan_proto)
		__vlan_hwaccel_put_tag(reply, l2->vlan_proto, l2->vlan_tci);
	if (skb_cow_head(reply, LL_RESERVED_SPACE(l2->dev)) ||
	    dev_hard_header(reply, l2->dev, ntohs(reply->protocol), l2->dest, l2->source,
			    reply->len) < 0) {
		kfree_skb_reason(reply, SKB_DROP_REASON_NOMEM);
		return -ENOMEM;
	}
	return dev_queue_xmit(reply);
}

/* Sends an IPv4 reply, whose bytes are written, by @dst or back by the link. Consumes both. */
static __always_inline int send4(struct sk_buff *reply, const struct way_out *way,
				 struct dst_entry *dst)
{
	struct iphdr *iph = ip_hdr(reply);

	reply->protocol = htons(ETH_P_IP);
	if (dst) {
		reply->mark = way->mark;
		skb_dst_set(reply, dst);
		if (!iph->ttl)
			iph->ttl = ip4_dst_hoplimit(dst);
		return ip_local_out(way->net, NULL, reply);
	}
	if (!iph->ttl)
		iph->ttl = READ_ONCE(way->net->ipv4.sysctl_ip_default_ttl);
	ip_send_check(iph);
	return send_back(reply, &way->l2);
}

/* The same for IPv6. */
static __always_inline int send6(struct sk_buff *reply, const struct way_out *way,
				 struct dst_entry *dst)
{
	struct ipv6hdr *ip6h = ipv6_hdr(reply);

	reply->protocol = htons(ETH_P_IPV6);
	if (dst) {
		reply->mark = way->mark;
		skb_dst_set(reply, dst);
		if (!ip6h->hop_limit)
			ip6h->hop_limit = ip6_dst_hoplimit(dst);
		return ip6_local_out(way->net, NULL, reply);
	}
	if (!ip6h->hop_limit)
		ip6h->hop_limit = READ_ONCE(way->net->ipv6.devconf_all->hop_limit);
	return send_back(reply, &way->l2);
}

unsigned int xt_tarpit_reply(struct sk_buff *skb, struct xt_tarpit_ctx *ctx, const u8 *bytes,
			     u32 len)
{
	const u32 thoff = ctx->way.family == NFPROTO_IPV4 ? sizeof(struct iphdr) :
							    sizeof(struct ipv6hdr);
	const struct tcphdr *th = (const struct tcphdr *)(bytes + thoff);
	int err = find_route(ctx, skb, th->source, th->dest);
	struct sk_buff *reply = skb;
	struct dst_entry *dst;

	if (err)
		goto drop;
	/* From here on, way.source and way.dest are not valid. */
	if (!reusable(skb, len))
		reply = alloc_reply(len);
	else if (!reuse(skb, len))
		reply = NULL;
	if (!reply) {
		err = -ENOMEM;
		goto drop;
	}
	copy_reply(reply->data, bytes, len);
	skb_reset_network_header(reply);
	skb_set_transport_header(reply, thoff);
	attach_conntrack(reply, skb, &ctx->way);
	/* As REJECT does: one end learns that the connection is closed. */
	if (th->rst)
		nf_ct_set_closing(skb_nfct(reply));
	dst = ctx->dst;
	ctx->dst = NULL;
	err = ctx->way.family == NFPROTO_IPV4 ? send4(reply, &ctx->way, dst) :
						send6(reply, &ctx->way, dst);
	count_reply(ctx, len, err);
	return reply == skb ? NF_STOLEN : NF_DROP;
drop:
	count_reply(ctx, len, err);
	return NF_DROP;
}
