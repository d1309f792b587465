// SPDX-License-Identifier: GPL-2.0
/*
 * The xt_target table, whose layout changes with the kernel's version and configuration: the rules
 * that are accepted, and the way of a packet into the Rust half. helpers/ has the functions that
 * Rust calls. tarpit/ decides which packets get a reply.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/jiffies.h>
#include <linux/module.h>
#include <linux/netfilter/x_tables.h>
#include <linux/random.h>
#include <linux/skbuff.h>

/*
 * One unit, as rust/helpers/helpers.c of the kernel is: the compiler inlines functions across these
 * files, which saves some 70 instructions for each packet.
 */
#include "helpers/helpers.h"
#include "helpers/net.c"
#include "helpers/path.c"
#include "helpers/route.c"
#include "helpers/reply.c"

#if !IS_ENABLED(CONFIG_IPV6)
#error "xt_TARPIT needs a kernel with CONFIG_IPV6"
#endif

/* The layouts that glue/abi.rs mirrors, and a jiffies_to_msecs() that wraps without a gap. */
#ifndef CONFIG_64BIT
#error "xt_TARPIT needs a 64-bit kernel"
#endif

MODULE_VERSION(XT_TARPIT_VERSION);

static_assert(sizeof(struct xt_tarpit_pkt) == 48);
static_assert(offsetof(struct xt_tarpit_pkt, readable) == 32);
static_assert(offsetof(struct xt_tarpit_pkt, len) == 36);
static_assert(offsetof(struct xt_tarpit_pkt, now_ms) == 40);
static_assert(offsetof(struct xt_tarpit_pkt, is_unicast) == 45);
static_assert(offsetof(struct xt_tarpit_pkt, family) == 44);
static_assert(sizeof(struct xt_tarpit_path) == 8);
static_assert(offsetof(struct xt_tarpit_path, mtu) == 4);
static_assert(sizeof(struct xt_tarpit_wire) == 36);
static_assert(offsetof(struct xt_tarpit_state, sources) == 16 + 8 * XT_TARPIT_TABLE_SIZE);
static_assert(sizeof(struct xt_tarpit_tginfo) == 1);
static_assert(sizeof(struct xt_tarpit_tginfo_v1) == 8);

/* For a packet that NAT has changed. Apart, so that other packets need no stack for @wire. */
static noinline unsigned int target_behind_nat(struct sk_buff *skb, struct xt_tarpit_ctx *ctx,
					       struct xt_tarpit_pkt *pkt)
{
	struct xt_tarpit_wire wire;

	find_wire(&wire, &ctx->way);
	pkt->wire = &wire;
	return xt_tarpit_target(skb, ctx, pkt);
}

/* Apart from tarpit_tg(), so that the variables have their values where they are declared. */
static __always_inline unsigned int handle(struct sk_buff *skb, const struct xt_action_param *par,
					   const struct xt_tarpit_tginfo_v1 *rule, u8 family,
					   const struct net_state *state)
{
	struct xt_tarpit_ctx ctx = { .columns = state->cpu->columns };
	const bool is_unicast = resolve_way(&ctx.way, skb, par, rule->flags, family);
	struct xt_tarpit_pkt pkt = {
		.headers = skb->data,
		.rule = rule,
		.state = &state->shared,
		.readable = skb_headlen(skb),
		.len = skb->len,
		.now_ms = jiffies_to_msecs(jiffies),
		.family = family,
		.is_unicast = is_unicast,
	};
	unsigned int verdict = has_nat(&ctx.way) ? target_behind_nat(skb, &ctx, &pkt) :
						   xt_tarpit_target(skb, &ctx, &pkt);

	/* The route of a reply that was not sent. */
	if (unlikely(ctx.dst))
		dst_release(ctx.dst);
	return verdict;
}

static unsigned int tarpit_tg(struct sk_buff *skb, const struct xt_action_param *par,
			      const struct xt_tarpit_tginfo_v1 *rule, u8 family)
{
	const struct net_state *state = net_state(xt_net(par));

	/*
	 * Rules for both directions may name us in both (FireHOL); what this host sends is not
	 * ours. Of a bridged frame the device may be gone.
	 */
	if (!xt_in(par) && !is_bridged(skb, par))
		return XT_CONTINUE;
	/* checkentry has made it. xt_CHAOS of xtables-addons calls targets without checkentry. */
	if (!state)
		return NF_DROP;
	return handle(skb, par, rule, family, state);
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

/*
 * In the nat table only INPUT will do: other chains get packets that could begin a connection, and
 * no more. Of a user-defined chain this is asked when a base chain leads there.
 */
static int tarpit_tg_check_hooks(const struct xt_tgchk_param *par)
{
	if (strcmp(par->table, "nat") || !(par->hook_mask & ~BIT(NF_INET_LOCAL_IN)))
		return 0;
	pr_info_ratelimited("in the nat table, TARPIT is for INPUT only\n");
	return -EINVAL;
}

static int check(const struct xt_tgchk_param *par, const struct xt_tarpit_tginfo_v1 *rule)
{
	int err = xt_tarpit_checkentry(rule);

	if (err) {
		pr_info_ratelimited("a rule with mode %u, profile %u, flags %#x, ttl %u and window %u is not supported by this version\n",
				    rule->variant, rule->profile, rule->flags, rule->ttl,
				    rule->window);
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

#define TARPIT_HOOKS (BIT(NF_INET_PRE_ROUTING) | BIT(NF_INET_LOCAL_IN) | BIT(NF_INET_FORWARD) | \
		      BIT(NF_INET_LOCAL_OUT))

/* Any protocol is accepted: fail2ban and CrowdSec write rules without -p tcp. */
static struct xt_target tarpit_tg_reg[] __read_mostly = {
	{
		.name		= "TARPIT",
		.revision	= 0,
		.family		= NFPROTO_IPV4,
		.hooks		= TARPIT_HOOKS,
		.target		= tarpit_tg4_v0,
		.checkentry	= tarpit_tg_check_v0,
		COMPAT_CHECK_HOOKS(tarpit_tg_check_hooks)
		.targetsize	= sizeof(struct xt_tarpit_tginfo),
		.me		= THIS_MODULE,
	},
	{
		.name		= "TARPIT",
		.revision	= 0,
		.family		= NFPROTO_IPV6,
		.hooks		= TARPIT_HOOKS,
		.target		= tarpit_tg6_v0,
		.checkentry	= tarpit_tg_check_v0,
		COMPAT_CHECK_HOOKS(tarpit_tg_check_hooks)
		.targetsize	= sizeof(struct xt_tarpit_tginfo),
		.me		= THIS_MODULE,
	},
	{
		.name		= "TARPIT",
		.revision	= 1,
		.family		= NFPROTO_IPV4,
		.hooks		= TARPIT_HOOKS,
		.target		= tarpit_tg4_v1,
		.checkentry	= tarpit_tg_check_v1,
		COMPAT_CHECK_HOOKS(tarpit_tg_check_hooks)
		.targetsize	= sizeof(struct xt_tarpit_tginfo_v1),
		.me		= THIS_MODULE,
	},
	{
		.name		= "TARPIT",
		.revision	= 1,
		.family		= NFPROTO_IPV6,
		.hooks		= TARPIT_HOOKS,
		.target		= tarpit_tg6_v1,
		.checkentry	= tarpit_tg_check_v1,
		COMPAT_CHECK_HOOKS(tarpit_tg_check_hooks)
		.targetsize	= sizeof(struct xt_tarpit_tginfo_v1),
		.me		= THIS_MODULE,
	},
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
