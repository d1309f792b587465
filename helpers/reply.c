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
		to->mss = way_mss(call, dst);
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
