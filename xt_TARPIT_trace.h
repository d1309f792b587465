/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The tracepoint xt_tarpit:xt_tarpit_segment: each TCP segment that a rule has matched and whose
 * header can be read, with or without a reply. docs/monitoring.md says how to read it.
 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM xt_tarpit

#if !defined(_XT_TARPIT_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define _XT_TARPIT_TRACE_H

#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>
#include <linux/tracepoint.h>
#include <net/ipv6.h>
#include <net/net_namespace.h>
#include <trace/events/net_probe_common.h>

#include "xt_TARPIT_helpers.h"

#define DEFINE_CLASS_NAME(name)	TRACE_DEFINE_ENUM(XT_TARPIT_##name);
#define SHOW_CLASS_NAME(name)		{ XT_TARPIT_##name, #name },
#define SHOW_LAST_CLASS_NAME(name)	{ XT_TARPIT_##name, #name }

XT_TARPIT_CLASSES(DEFINE_CLASS_NAME, DEFINE_CLASS_NAME)

TRACE_EVENT(xt_tarpit_segment,

	TP_PROTO(const struct net *net, u8 class, const struct sk_buff *skb,
		 const struct tcphdr *th, u32 age_ms),

	TP_ARGS(net, class, skb, th, age_ms),

	TP_STRUCT__entry(
		__field(u32, netns)
		__field(u32, age_ms)
		__field(u8, class)
		__field(u16, family)
		__field(u16, sport)
		__field(u16, dport)
		__array(u8, saddr, 4)
		__array(u8, daddr, 4)
		__array(u8, saddr_v6, 16)
		__array(u8, daddr_v6, 16)
		/* For the text. */
		__array(u8, src, sizeof(struct sockaddr_in6))
		__array(u8, dst, sizeof(struct sockaddr_in6))
	),

	TP_fast_assign(
		struct in6_addr *saddr = (void *)__entry->saddr_v6;
		struct in6_addr *daddr = (void *)__entry->daddr_v6;
		const struct iphdr *iph = ip_hdr(skb);

		__entry->netns = net->ns.inum;
		__entry->age_ms = age_ms;
		__entry->class = class;
		__entry->sport = ntohs(th->source);
		__entry->dport = ntohs(th->dest);
		if (iph->version == 6) {
			__entry->family = AF_INET6;
			memset(__entry->saddr, 0, 4);
			memset(__entry->daddr, 0, 4);
			*saddr = ipv6_hdr(skb)->saddr;
			*daddr = ipv6_hdr(skb)->daddr;
		} else {
			__entry->family = AF_INET;
			memcpy(__entry->saddr, &iph->saddr, 4);
			memcpy(__entry->daddr, &iph->daddr, 4);
			ipv6_addr_set_v4mapped(iph->saddr, saddr);
			ipv6_addr_set_v4mapped(iph->daddr, daddr);
		}
		memset(__entry->src, 0, sizeof(struct sockaddr_in6));
		memset(__entry->dst, 0, sizeof(struct sockaddr_in6));
		TP_STORE_ADDR_PORTS_SKB(skb, th, __entry->src, __entry->dst);
	),

	TP_printk("netns=%u class=%s src=%pISpc dst=%pISpc age_ms=%u", __entry->netns,
		  __print_symbolic(__entry->class,
				   XT_TARPIT_CLASSES(SHOW_CLASS_NAME, SHOW_LAST_CLASS_NAME)),
		  __entry->src, __entry->dst, __entry->age_ms)
);

#endif /* _XT_TARPIT_TRACE_H */

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE xt_TARPIT_trace
#include <trace/define_trace.h>
