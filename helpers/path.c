// SPDX-License-Identifier: GPL-2.0
/*
 * Where a packet came from, and whether it is from one host to one host. In C for the inlines of
 * devices, bridges, VRFs and conntrack.
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
