/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The contract between the C and the Rust half of the module. glue/abi.rs mirrors it; both sides
 * assert the sizes. All functions run in softirq or under rcu_read_lock(), and never sleep, but for
 * those that say otherwise.
 */
#ifndef _XT_TARPIT_HELPERS_H
#define _XT_TARPIT_HELPERS_H

#include <linux/types.h>

struct sk_buff;
/* One packet that a rule has matched: what the rule says, and where an answer would go. C's own. */
struct xt_tarpit_call;
struct xt_tarpit_tginfo_v1;

/* What the Rust half needs to know about a packet that a rule has matched. */
struct xt_tarpit_facts {
	const u8 *headers;	/* the packet, from its IP header */
	const struct xt_tarpit_tginfo_v1 *rule;
	u32 readable;		/* how many bytes of it are there, linear */
	u32 len;		/* how many bytes the packet has */
	u32 now_ms;		/* monotonic clock, wraps */
	u16 mss;		/* what fits the link that the packet came from */
	u8 family;		/* NFPROTO_IPV4 or NFPROTO_IPV6 */
};

/* What a packet is, as tarpit/kind.rs has it, in the same order; each is a column of what is counted. */
#define XT_TARPIT_KINDS(kind, last)						\
	kind(syn) kind(established) kind(data) kind(probe) kind(keepalive)	\
	kind(ack) kind(fin) kind(rst) kind(synack) kind(midstream)		\
	kind(truncated) kind(malformed) kind(fragment) kind(nottcp)		\
	kind(notunicast) kind(badflags) kind(notours) last(checksum)

/* What is counted in each network namespace: packets by kind, then what was done. */
#define XT_TARPIT_COLUMNS(column)						\
	XT_TARPIT_KINDS(column, column)						\
	column(replies) column(limited) column(failed)				\
	column(bytes_in) column(bytes_out) column(trapped_ms)

#define XT_TARPIT_ENUM(name) XT_TARPIT_##name,
enum xt_tarpit_column { XT_TARPIT_COLUMNS(XT_TARPIT_ENUM) XT_TARPIT_COLUMN_COUNT };

/* 128 random bits, drawn before the targets are registered and constant from then on. */
extern u64 xt_tarpit_key[2];

/* Owned by C, called by Rust. */

/* Process context, may sleep. */
int xt_tarpit_register(void);
void xt_tarpit_unregister(void);

/* Adds one to a column. */
void xt_tarpit_count(const struct xt_tarpit_call *call, u32 column);
/*
 * Counts a segment of this kind, whose TCP header is @thoff bytes into the packet, and the @age_ms for which its
 * client was held since the answer before; and traces it.
 */
void xt_tarpit_saw(const struct sk_buff *skb, const struct xt_tarpit_call *call, u32 kind, u32 thoff,
		   u32 age_ms);
/* Copies the first @len bytes of a packet of at least as many; false if they cannot be read. */
bool xt_tarpit_copy(const struct sk_buff *skb, void *to, u32 len);
/* Whether the checksum of the TCP segment @thoff bytes into the packet is right. */
bool xt_tarpit_checksum(struct sk_buff *skb, const struct xt_tarpit_call *call, u32 thoff);
/*
 * How many answers to unverified packets this CPU has given in @second, a number that changes once in
 * a second, with this one. Bottom halves are disabled.
 */
u32 xt_tarpit_unverified(u32 second);
/*
 * Turns @skb into a packet of @len linear, initialised bytes, at @headers, for a reply of which the
 * last @tcp_len are the transport's: @skb itself where it is not needed by anybody else, or a new
 * one. NULL, with @skb still fit to be dropped, when memory is short, which is counted. The caller owns the result.
 */
struct sk_buff *xt_tarpit_turn(struct sk_buff *skb, const struct xt_tarpit_call *call, u32 len,
			       u32 tcp_len, u8 **headers);
/*
 * Sends a reply of xt_tarpit_turn()'s, whose headers are written; a hop limit of 0 is filled in.
 * Consumes and counts it.
 */
void xt_tarpit_send(struct sk_buff *reply, const struct xt_tarpit_call *call);
/* Frees a reply that is not sent, and counts that. */
void xt_tarpit_free(struct sk_buff *reply, const struct xt_tarpit_call *call);

/* Owned by Rust, called by C. */

/* Takes one packet; the netfilter verdict for it. */
unsigned int xt_tarpit_target(struct sk_buff *skb, const struct xt_tarpit_call *call,
			      const struct xt_tarpit_facts *facts);
/* Judges a rule before it is loaded; 0 or a negative errno. Process context. */
int xt_tarpit_checkentry(const struct xt_tarpit_tginfo_v1 *rule);

#endif /* _XT_TARPIT_HELPERS_H */
