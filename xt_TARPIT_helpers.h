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

#define XT_TARPIT_TABLE_SIZE 4096

/*
 * What a network namespace keeps: zeroed and given a random key with its first rule, freed with the
 * namespace. Rust alone reads the key and uses the tables (glue/limit.rs).
 */
struct xt_tarpit_state {
	u64 key[2];
	u64 frozen[XT_TARPIT_TABLE_SIZE];
	u32 sources[XT_TARPIT_TABLE_SIZE];
};

/* Where a segment came from and went to before NAT; an IPv4 address is in the first four bytes. */
struct xt_tarpit_wire {
	u8 source[16];
	u8 destination[16];
	__be16 source_port;
	__be16 destination_port;
};

/* What the Rust half needs to know about a packet that a rule has matched. */
struct xt_tarpit_facts {
	const u8 *headers;	/* the packet, from its IP header */
	const struct xt_tarpit_tginfo_v1 *rule;
	const struct xt_tarpit_state *state;	/* its tables are atomic words */
	const struct xt_tarpit_wire *wire;	/* NULL if NAT has changed nothing */
	u32 readable;		/* how many bytes of the packet are linear */
	u32 len;		/* how many bytes the packet has */
	u32 now_ms;		/* monotonic clock, wraps */
	u8 family;		/* NFPROTO_IPV4 or NFPROTO_IPV6 */
};

/* A reply as Rust asks for it, and as C makes it. */
struct xt_tarpit_reply {
	u8 *headers;		/* out: its @len linear, initialised bytes */
	u32 len;		/* in: the length of the packet */
	u32 tcp_len;		/* in: how many of these bytes are TCP's, the last ones */
	__be16 source_port;	/* in: of the received packet */
	__be16 destination_port;
	u16 mss;		/* out, if @needs_mss: what the way back carries in a segment */
	bool needs_mss;		/* in */
};

/*
 * The classes of packets, in the order of tarpit/segment_class.rs. Each is a column of the
 * statistics.
 */
#define XT_TARPIT_KINDS(kind, last)						\
	kind(syn) kind(established) kind(data) kind(probe) kind(keepalive)	\
	kind(ack) kind(fin) kind(rst) kind(synack) kind(midstream)		\
	kind(truncated) kind(malformed) kind(fragment) kind(nottcp)		\
	kind(notunicast) kind(badflags) kind(notours) last(checksum)

/* What is counted in each network namespace: packets by kind, then what was done. */
#define XT_TARPIT_COLUMNS(column)						\
	XT_TARPIT_KINDS(column, column)						\
	column(replies) column(limited) column(failed) column(refused)		\
	column(bytes_in) column(bytes_out) column(trapped_ms)

#define XT_TARPIT_ENUM(name) XT_TARPIT_##name,
enum xt_tarpit_column { XT_TARPIT_COLUMNS(XT_TARPIT_ENUM) XT_TARPIT_COLUMN_COUNT };

/* Owned by C, called by Rust. */

/* Process context, may sleep. */
int xt_tarpit_register(void);
void xt_tarpit_unregister(void);

/* Adds one to a column. */
void xt_tarpit_count(const struct xt_tarpit_call *call, u32 column);
/*
 * Counts a segment of this kind, whose TCP header is @thoff bytes into the packet, and the @age_ms
 * for which its client was held since the answer before; and traces it.
 */
void xt_tarpit_saw(const struct sk_buff *skb, const struct xt_tarpit_call *call, u32 kind,
		   u32 thoff, u32 age_ms);
/* Copies the first @len bytes of a packet of at least as many; false if they cannot be read. */
bool xt_tarpit_copy(const struct sk_buff *skb, void *to, u32 len);
/* Returns true if the checksum of the TCP segment @thoff bytes into the packet is right. */
bool xt_tarpit_checksum(struct sk_buff *skb, const struct xt_tarpit_call *call, u32 thoff);
/*
 * Returns how many answers to unverified packets this CPU has given in @second in the network
 * namespace, with this one; @second is a number that changes once in a second. The caller may be
 * preemptible (a packet that NFQUEUE gave back).
 */
u32 xt_tarpit_unverified(const struct xt_tarpit_call *call, u32 second);
/*
 * Finds the way back for a reply to @skb and returns a packet to write it into: @skb itself where
 * nothing else needs it, or a new one. The caller owns the result. Returns NULL, with @skb still
 * fit to be dropped, when there is no route or no memory, and counts that.
 */
struct sk_buff *xt_tarpit_turn(struct sk_buff *skb, const struct xt_tarpit_call *call,
			       struct xt_tarpit_reply *to);
/*
 * Sends a reply of xt_tarpit_turn()'s, whose headers are written; a hop limit of 0 is filled in.
 * Consumes it, and counts whether it was sent.
 */
void xt_tarpit_send(struct sk_buff *reply, const struct xt_tarpit_call *call);
/* Frees a reply that could not be written, and counts it as failed. */
void xt_tarpit_free(struct sk_buff *reply, const struct xt_tarpit_call *call);

/* Owned by Rust, called by C. */

/* Takes one packet; the netfilter verdict for it. */
unsigned int xt_tarpit_target(struct sk_buff *skb, const struct xt_tarpit_call *call,
			      const struct xt_tarpit_facts *facts);
/* Judges a rule before it is loaded; 0 or a negative errno. Process context. */
int xt_tarpit_checkentry(const struct xt_tarpit_tginfo_v1 *rule);

#endif /* _XT_TARPIT_HELPERS_H */
