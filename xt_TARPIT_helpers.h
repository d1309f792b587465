/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The contract between the C and the Rust half of the module. glue/abi.rs mirrors it; both sides
 * assert the sizes. All functions run in softirq or under rcu_read_lock(), and never sleep, except
 * those that say otherwise.
 */
#ifndef _XT_TARPIT_HELPERS_H
#define _XT_TARPIT_HELPERS_H

#include <linux/types.h>

struct sk_buff;
/* What C needs to count a packet and to send the reply to it. Private to C. */
struct xt_tarpit_ctx;
struct xt_tarpit_tginfo_v1;

#define XT_TARPIT_TABLE_SIZE 4096

/* The lengths of a reply in bytes: of two headers without options, of a SYN-ACK over IPv6. */
#define XT_TARPIT_MIN_REPLY_LEN 40
#define XT_TARPIT_MAX_REPLY_LEN 80

/*
 * What a network namespace keeps: zeroed and given a random key with its first rule, freed with the
 * namespace. Only Rust reads the key and uses the tables (glue/limit.rs, glue/frozen.rs).
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

/* What Rust reads of a packet that a rule has matched. */
struct xt_tarpit_pkt {
	const u8 *headers;	/* the packet, from its IP header */
	const struct xt_tarpit_tginfo_v1 *rule;
	const struct xt_tarpit_state *state;	/* its tables are atomic words */
	const struct xt_tarpit_wire *wire;	/* NULL if NAT has changed nothing */
	u32 readable;		/* how many bytes of the packet are linear */
	u32 len;		/* how many bytes the packet has */
	u32 now_ms;		/* monotonic clock, wraps */
	u8 family;		/* NFPROTO_IPV4 or NFPROTO_IPV6 */
	bool is_unicast;	/* as far as the kernel knows; the addresses also have to be */
};

/* What the way out of a reply carries, in bytes. Both are 0 if there is no way out. */
struct xt_tarpit_path {
	u32 advmss;		/* of a route: what it carries in a segment */
	u32 mtu;		/* of a link: what it carries in a packet */
};

/*
 * The classes of packets. Each is a column of the statistics. Rust reads this list and the next one
 * at compile time (compat/c_header.rs).
 */
#define XT_TARPIT_CLASSES(class, last)					\
	class(syn) class(established) class(data) class(probe) class(keepalive)	\
	class(ack) class(fin) class(rst) class(synack) class(midstream)		\
	class(truncated) class(malformed) class(fragment) class(nottcp)		\
	class(notunicast) class(badflags) class(notours) last(checksum)

/* What is counted in each network namespace: packets by class, then what was done. */
#define XT_TARPIT_COLUMNS(column)						\
	XT_TARPIT_CLASSES(column, column)					\
	column(replies) column(limited) column(failed) column(refused)		\
	column(bytes_in) column(bytes_out) column(trapped_ms)

#define XT_TARPIT_ENUM(name) XT_TARPIT_##name,
enum xt_tarpit_column { XT_TARPIT_COLUMNS(XT_TARPIT_ENUM) XT_TARPIT_COLUMN_COUNT };

/* Owned by C, called by Rust. */

/* Process context, may sleep. */
int xt_tarpit_register(void);
void xt_tarpit_unregister(void);

/*
 * Counts a packet by its @class, and the @age_ms for which its client was held since the previous
 * reply. Traces it if @thoff, the offset of its TCP header, is not 0. Once for each packet, before
 * xt_tarpit_reply().
 */
void xt_tarpit_account(const struct sk_buff *skb, const struct xt_tarpit_ctx *ctx, u32 class,
		       u32 thoff, u32 age_ms);
/*
 * The same for a segment that is to get a reply, after its checksum has been verified. Returns
 * false if that is wrong; the packet then counts as XT_TARPIT_checksum.
 */
bool xt_tarpit_verify(struct sk_buff *skb, const struct xt_tarpit_ctx *ctx, u32 class, u32 thoff,
		      u32 age_ms);
/* Counts a reply that is not sent. @column is XT_TARPIT_limited or XT_TARPIT_failed. */
void xt_tarpit_count(const struct xt_tarpit_ctx *ctx, u32 column);
/* Copies the first @len bytes of a packet of at least as many; false if they cannot be read. */
bool xt_tarpit_copy(const struct sk_buff *skb, void *to, u32 len);
/*
 * Returns how many replies to unverified packets this CPU has given in @second in the network
 * namespace, including this one; @second is a number that changes once in a second. The caller may
 * be preemptible (a packet that NFQUEUE gave back).
 */
u32 xt_tarpit_unverified(const struct xt_tarpit_ctx *ctx, u32 second);
/*
 * Finds the way out of a reply to @skb with these ports. The next xt_tarpit_reply() uses it. Counts
 * a reply that has none.
 */
struct xt_tarpit_path xt_tarpit_path(struct sk_buff *skb, struct xt_tarpit_ctx *ctx,
				     __be16 source, __be16 dest);
/*
 * Sends a reply to @skb. Its packet is the @len bytes at @bytes, which is aligned to 8: a header of
 * IPv4 or IPv6 without options, then TCP's. @len is from XT_TARPIT_MIN_REPLY_LEN to
 * XT_TARPIT_MAX_REPLY_LEN. Fills in a hop limit of 0 and the checksum of an IPv4 header. Counts
 * whether the reply was sent. Returns the verdict for @skb, which may have become the reply.
 */
unsigned int xt_tarpit_reply(struct sk_buff *skb, struct xt_tarpit_ctx *ctx, const u8 *bytes,
			     u32 len);

/* Owned by Rust, called by C. */

/* Takes one packet. Returns the netfilter verdict. */
unsigned int xt_tarpit_target(struct sk_buff *skb, struct xt_tarpit_ctx *ctx,
			      const struct xt_tarpit_pkt *pkt);
/* Checks a rule before it is loaded. Returns 0 or a negative errno. Process context. */
int xt_tarpit_checkentry(const struct xt_tarpit_tginfo_v1 *rule);

#endif /* _XT_TARPIT_HELPERS_H */
