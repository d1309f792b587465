// SPDX-License-Identifier: GPL-2.0
/*
 * May a packet get a reply, and by which way? What the kernel knows of its addresses is asked here:
 * resolve_way() asks before the packet is read, and leads_to_peer() when a reply has a route.
 * tarpit/ip.rs refuses addresses that are not unicast. In C for the inlines of devices, bridges,
 * VRFs and conntrack.
 */
#include <linux/etherdevice.h>
#include <linux/if_arp.h>
#include <linux/if_vlan.h>
#include <linux/netfilter_bridge.h>
#include <linux/skbuff.h>
#include <net/dst_metadata.h>
#include <net/ip.h>
#include <net/ipv6.h>
#include <net/addrconf.h>
#include <net/l3mdev.h>
#include <net/netfilter/nf_conntrack.h>
#include <net/route.h>
#include <net/xfrm.h>

#include "helpers.h"

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
 * Returns the port that a bridged frame came in by. Returns NULL if it is gone, or there is more
 * than Ethernet to undo (PPPoE).
 */
static struct net_device *ingress_port(const struct sk_buff *skb, const struct xt_action_param *par)
{
#if IS_ENABLED(CONFIG_BRIDGE_NETFILTER)
	if (nf_bridge_info_get(skb)->orig_proto == BRNF_PROTO_UNCHANGED)
		return nf_bridge_get_physindev(skb, xt_net(par));
#endif
	return NULL;
}

/* Returns the device that a packet came by: in a VRF, not the VRF's own. */
static struct net_device *ingress_dev(const struct sk_buff *skb, const struct xt_action_param *par)
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
 * Fills in @l2 for a packet that follows_frame() and gets its reply by @dev. Returns false if the
 * frame is not from one station to another one.
 */
static bool resolve_l2(struct l2_path *l2, struct net_device *dev, const struct sk_buff *skb)
{
	const struct ethhdr *eth = eth_hdr(skb);

	if (!is_valid_ether_addr(eth->h_source) || !is_valid_ether_addr(eth->h_dest))
		return false;
	l2->dev = dev;
	ether_addr_copy(l2->dest, eth->h_source);
	ether_addr_copy(l2->source, eth->h_dest);
	l2->vlan_proto = skb_vlan_tag_present(skb) ? skb->vlan_proto : 0;
	l2->vlan_tci = skb_vlan_tag_get_id(skb);
	return true;
}

/* Returns true if the packet came to one host, this one or one that it routes for. */
static bool is_unicast(const struct sk_buff *skb, const struct xt_action_param *par, u8 family)
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
static bool is_plain_ethernet(const struct sk_buff *skb, const struct xt_action_param *par)
{
	const struct net_device *in = xt_in(par);

	return in->type == ARPHRD_ETHER && !is_zero_ether_addr(in->dev_addr) &&
	       !netif_is_l3_master(in) && follows_frame(skb) && !secpath_exists(skb) &&
	       !skb_metadata_dst((struct sk_buff *)skb);
}

/*
 * Returns true if the source is an address of this host, which the stack has not checked in
 * PREROUTING and for IPv6, or the broadcast address of a subnet. For a reply without a route: a
 * route would refuse both.
 */
static bool is_martian_source(const struct sk_buff *skb, const struct xt_action_param *par)
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
 * Returns true if a route may lead to this host itself: by loopback, within a VRF, and where IPv4
 * has validated the source, as it has in all hooks except PREROUTING.
 */
static bool may_be_local(const struct xt_action_param *par, u8 family)
{
	const struct net_device *in = xt_in(par);

	if (family == NFPROTO_IPV4 && xt_hooknum(par) != NF_INET_PRE_ROUTING)
		return true;
	return in->flags & IFF_LOOPBACK || netif_is_l3_master(in);
}

/* Fills in what the route of a reply to @skb depends on. */
static void resolve_routed(struct way_out *way, const struct sk_buff *skb,
			   const struct xt_action_param *par)
{
	way->dev = ingress_dev(skb, par);
	way->may_be_local = may_be_local(par, way->family);
	if (way->family == NFPROTO_IPV4) {
		way->source = &ip_hdr(skb)->daddr;
		way->dest = &ip_hdr(skb)->saddr;
		way->mark = IP4_REPLY_MARK(way->net, skb->mark);
	} else {
		way->source = &ipv6_hdr(skb)->daddr;
		way->dest = &ipv6_hdr(skb)->saddr;
		way->mark = IP6_REPLY_MARK(way->net, skb->mark);
	}
}

/*
 * Fills in @way, which is zeroed, for a reply to @skb. Returns true if the packet is from one host
 * to another one, as far as the kernel knows without a route of the reply.
 */
static bool resolve_way(struct way_out *way, const struct sk_buff *skb,
			const struct xt_action_param *par, u8 flags, u8 family)
{
	way->net = xt_net(par);
	way->family = family;
#if IS_ENABLED(CONFIG_NF_CONNTRACK)
	way->ct = nf_ct_get(skb, &way->ctinfo);
#endif
	if (is_bridged(skb, par)) {
		struct net_device *port = ingress_port(skb, par);

		return port && skb->pkt_type == PACKET_HOST && follows_frame(skb) &&
		       resolve_l2(&way->l2, port, skb);
	}
	if (!is_unicast(skb, par, family))
		return false;
	if (flags & XT_TARPIT_HAIRPIN && is_plain_ethernet(skb, par))
		return !is_martian_source(skb, par) && resolve_l2(&way->l2, xt_in(par), skb);
	resolve_routed(way, skb, par);
	return true;
}

/* Returns true if the route of a reply leads to one other host. */
static bool leads_to_peer(const struct way_out *way, struct dst_entry *dst)
{
	unsigned int flags;

	if (way->family == NFPROTO_IPV6)
		return !dst->error &&
		       (way->may_be_local || !(dst_rt6_info(dst)->rt6i_flags & RTF_LOCAL));
	flags = container_of(dst, struct rtable, dst)->rt_flags;
	/* Only the routing table knows the broadcast address of a subnet, even as a source. */
	return !(flags & (RTCF_BROADCAST | RTCF_MULTICAST)) &&
	       (way->may_be_local || !(flags & RTCF_LOCAL));
}

/*
 * Returns true if NAT has changed the packet. A held client's packets are all new to conntrack, so
 * each may get another destination.
 */
static bool has_nat(const struct way_out *way)
{
#if IS_ENABLED(CONFIG_NF_CONNTRACK)
	return unlikely(way->ct && READ_ONCE(way->ct->status) & IPS_NAT_MASK);
#else
	return false;
#endif
}

/* Fills in the addresses and ports that such a packet had on the wire. */
static void find_wire(struct xt_tarpit_wire *wire, const struct way_out *way)
{
#if IS_ENABLED(CONFIG_NF_CONNTRACK)
	const struct nf_conntrack_tuple *tuple = nf_ct_tuple(way->ct, CTINFO2DIR(way->ctinfo));

	memcpy(wire->source, &tuple->src.u3, sizeof(wire->source));
	memcpy(wire->destination, &tuple->dst.u3, sizeof(wire->destination));
	wire->source_port = tuple->src.u.tcp.port;
	wire->destination_port = tuple->dst.u.tcp.port;
#endif
}
