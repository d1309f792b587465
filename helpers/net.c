// SPDX-License-Identifier: GPL-2.0
/*
 * The state of a network namespace: the key and tables that Rust uses, and the counters, with
 * /proc/net/stat/xt_TARPIT and the tracepoint. In C for pernet operations, per-CPU memory, seq_file
 * and TRACE_EVENT().
 */
#include <linux/percpu.h>
#include <linux/proc_fs.h>
#include <linux/random.h>
#include <linux/seq_file.h>
#include <linux/skbuff.h>

#include "helpers.h"

#define CREATE_TRACE_POINTS
#include "../xt_TARPIT_trace.h"

static unsigned int xt_tarpit_net_id __read_mostly;

/* The state of a network namespace, or NULL before its first rule. Under rcu_read_lock(). */
static const struct net_state *net_state(const struct net *net)
{
	const struct xt_tarpit_net *tn = net_generic(net, xt_tarpit_net_id);

	return rcu_dereference(tn->state);
}

static void free_state(struct net_state *state)
{
	free_percpu(state->cpu);
	kvfree(state);
}

/* Gives the network namespace its key, tables and counters, unless it has them; 0 or -ENOMEM. */
static int make_state(struct net *net)
{
	struct xt_tarpit_net *tn = net_generic(net, xt_tarpit_net_id);
	struct net_state *state;

	if (rcu_access_pointer(tn->state))
		return 0;
	/* On the account of the namespace's user, who may make thousands of them. */
	state = kvzalloc(sizeof(*state), GFP_KERNEL_ACCOUNT);
	if (!state)
		return -ENOMEM;
	state->cpu = alloc_percpu_gfp(struct cpu_state, GFP_KERNEL_ACCOUNT);
	if (!state->cpu) {
		kvfree(state);
		return -ENOMEM;
	}
	get_random_bytes(state->shared.key, sizeof(state->shared.key));
	/* Another table's first rule may have been faster. */
	if (cmpxchg((struct net_state __force **)&tn->state, NULL, state))
		free_state(state);
	return 0;
}

void xt_tarpit_count(const struct xt_tarpit_ctx *ctx, u32 column)
{
	this_cpu_inc(ctx->columns[column]);
}

/* A function of its own, so that its variables cost nothing while the tracepoint is off. */
static noinline void trace(const struct sk_buff *skb, const struct xt_tarpit_ctx *ctx, u8 class,
			   u32 thoff, u32 age_ms)
{
	struct tcphdr buffer;
	const struct tcphdr *th = skb_header_pointer(skb, thoff, sizeof(buffer), &buffer);

	if (th)
		trace_xt_tarpit_segment(ctx->way.net, class, skb, th, age_ms);
}

static __always_inline void account(const struct sk_buff *skb, const struct xt_tarpit_ctx *ctx,
				    u32 class, u32 thoff, u32 age_ms)
{
	this_cpu_inc(ctx->columns[class]);
	this_cpu_add(ctx->columns[XT_TARPIT_bytes_in], skb->len);
	this_cpu_add(ctx->columns[XT_TARPIT_trapped_ms], age_ms);
	if (trace_xt_tarpit_segment_enabled() && thoff)
		trace(skb, ctx, class, thoff, age_ms);
}

void xt_tarpit_account(const struct sk_buff *skb, const struct xt_tarpit_ctx *ctx, u32 class,
		       u32 thoff, u32 age_ms)
{
	account(skb, ctx, class, thoff, age_ms);
}

/* Counts a reply of @len bytes by @err, the result of the routing or of an output function. */
static __always_inline void count_reply(const struct xt_tarpit_ctx *ctx, u32 len, int err)
{
	if (net_xmit_eval(err)) {
		xt_tarpit_count(ctx, err == -ENOMEM ? XT_TARPIT_failed : XT_TARPIT_refused);
		return;
	}
	this_cpu_inc(ctx->columns[XT_TARPIT_replies]);
	this_cpu_add(ctx->columns[XT_TARPIT_bytes_out], len);
}

u32 xt_tarpit_unverified(const struct xt_tarpit_ctx *ctx, u32 second)
{
	struct cpu_state __percpu *cpu = (struct cpu_state __percpu *)ctx->columns;
	struct cpu_state *now = get_cpu_ptr(cpu);
	u32 count;

	if (now->second != second) {
		now->second = second;
		now->unverified = 0;
	}
	/* A softirq in between costs one count. */
	count = ++now->unverified;
	put_cpu_ptr(cpu);
	return count;
}

#ifdef CONFIG_PROC_FS
static void *stat_start(struct seq_file *seq, loff_t *pos)
{
	/* Without a rule, nothing was counted. */
	static const struct cpu_state none;
	const struct xt_tarpit_net *tn = net_generic(seq_file_net(seq), xt_tarpit_net_id);
	/* It goes with the namespace, which an open file holds. */
	const struct net_state *state = rcu_dereference_check(tn->state, true);

	if (*pos == 0)
		return SEQ_START_TOKEN;
	for (; *pos - 1 < nr_cpu_ids; ++*pos)
		if (cpu_possible(*pos - 1))
			return (void *)(state ? per_cpu_ptr(state->cpu, *pos - 1) : &none);
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
	const struct cpu_state *cpu = v;
	int i;

	if (v == SEQ_START_TOKEN) {
		seq_puts(seq, XT_TARPIT_COLUMNS(COLUMN_NAME) "\n");
		return 0;
	}
	for (i = 0; i < XT_TARPIT_COLUMN_COUNT; i++)
		seq_printf(seq, "%08llx ", cpu->columns[i]);
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
#ifdef CONFIG_PROC_FS
	if (!proc_create_net("xt_TARPIT", 0444, net->proc_net_stat, &stat_ops,
			     sizeof(struct seq_net_private)))
		return -ENOMEM;
#endif
	return 0;
}

static void __net_exit xt_tarpit_net_exit(struct net *net)
{
	struct xt_tarpit_net *tn = net_generic(net, xt_tarpit_net_id);
	struct net_state *state = rcu_dereference_protected(tn->state, true);

	remove_proc_entry("xt_TARPIT", net->proc_net_stat);
	/* The namespace's devices and the readers of its file are gone. */
	if (state)
		free_state(state);
}

static struct pernet_operations xt_tarpit_net_ops = {
	.init	= xt_tarpit_net_init,
	.exit	= xt_tarpit_net_exit,
	.id	= &xt_tarpit_net_id,
	.size	= sizeof(struct xt_tarpit_net),
};
