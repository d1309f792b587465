/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What older kernels lack or call otherwise, from Linux 6.1 on: the only place in C that knows. A
 * distribution may have taken a change into an older version, so the headers are asked and not the
 * version: where the preprocessor cannot, Kbuild looks for the name and defines COMPAT_HAS_*.
 */
#ifndef _XT_TARPIT_COMPAT_H
#define _XT_TARPIT_COMPAT_H

#include <linux/netfilter/x_tables.h>
#include <linux/netfilter_bridge.h>
#include <linux/skbuff.h>
#include <net/ip6_fib.h>
#include <trace/events/net_probe_common.h>

/* Before 6.10. */
#ifndef dst_rt6_info
#define dst_rt6_info(dst) container_of(dst, const struct rt6_info, dst)
#endif

/* Before 6.10: fills in two addresses with ports (struct sockaddr_in or sockaddr_in6). */
#ifndef TP_STORE_ADDR_PORTS_SKB
#define TP_STORE_ADDR_PORTS_SKB(skb, th, src, dst)				\
	do {									\
		if (ip_hdr(skb)->version == 4) {				\
			struct sockaddr_in *from = (void *)(src);		\
			struct sockaddr_in *to = (void *)(dst);			\
										\
			from->sin_family = AF_INET;				\
			from->sin_port = (th)->source;				\
			from->sin_addr.s_addr = ip_hdr(skb)->saddr;		\
			to->sin_family = AF_INET;				\
			to->sin_port = (th)->dest;				\
			to->sin_addr.s_addr = ip_hdr(skb)->daddr;		\
		} else {							\
			struct sockaddr_in6 *from = (void *)(src);		\
			struct sockaddr_in6 *to = (void *)(dst);		\
										\
			from->sin6_family = AF_INET6;				\
			from->sin6_port = (th)->source;				\
			from->sin6_addr = ipv6_hdr(skb)->saddr;			\
			to->sin6_family = AF_INET6;				\
			to->sin6_port = (th)->dest;				\
			to->sin6_addr = ipv6_hdr(skb)->daddr;			\
		}								\
	} while (0)
#endif

/* Before 6.8, and 6.1.75 and 6.6.14 of the stable series. */
#ifndef COMPAT_HAS_PHYSINDEV_NET
#define nf_bridge_get_physindev(skb, net) nf_bridge_get_physindev(skb)
#endif

/* Before 6.12: no packet has memory that the processor cannot read. */
#ifndef COMPAT_HAS_FRAGS_READABLE
static inline bool skb_frags_readable(const struct sk_buff *skb)
{
	return true;
}
#endif

/*
 * In 6.1 and 6.12, not in 7.2: a target has no function that checks the hooks of its rule, so its
 * checkentry does. An initializer, and what checkentry calls.
 */
#ifdef COMPAT_HAS_CHECK_HOOKS
#define COMPAT_CHECK_HOOKS(check) .check_hooks = (check),
#define compat_checkentry_hooks(par, check) 0
#else
#define COMPAT_CHECK_HOOKS(check)
static inline int compat_checkentry_hooks(const struct xt_tgchk_param *par,
					  int (*check)(const struct xt_tgchk_param *))
{
	struct xt_tgchk_param any = *par;

	/* 0 for a user-defined chain, which any base chain may call, now or later. */
	if (!any.hook_mask)
		any.hook_mask = ~0;
	return check(&any);
}
#endif

#endif /* _XT_TARPIT_COMPAT_H */
