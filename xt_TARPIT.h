/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * The rule data that user space hands to the kernel: the only copy in C. Revision 0 is bit for bit
 * what xtables-addons' TARPIT uses, so that rules, plugins and generators of either side fit the
 * other.
 */
#ifndef _XT_TARPIT_H
#define _XT_TARPIT_H

#include <linux/types.h>

/* How a rule replies; the value of xt_tarpit_tginfo::variant. Others are refused at rule load. */
enum xt_tarpit_variant {
	XT_TARPIT_TARPIT = 0,	/* hold: complete the handshake, then keep the window closed */
	XT_TARPIT_HONEYPOT = 1,	/* take all data with an open window, send none */
	XT_TARPIT_RESET = 2,	/* reply with RST */
};

/* What a host that holds looks like; the value of xt_tarpit_tginfo_v1::profile. */
enum xt_tarpit_profile {
	XT_TARPIT_PROFILE_HOLD = 0,	/* a small first window, so most data stays unsent */
	XT_TARPIT_PROFILE_LINUX = 1,	/* the window and scale of Linux */
};

/* xt_tarpit_tginfo_v1::flags */
#define XT_TARPIT_DRIP		0x01	/* send a byte of a banner now and then */
#define XT_TARPIT_HAIRPIN	0x02	/* reply by the link that the packet came from */

/* Revision 0. Padded to XT_ALIGN (8 bytes on 64-bit) by both sides. */
struct xt_tarpit_tginfo {
	__u8 variant;
};

/*
 * Revision 1. A member that is 0 selects the default. A profile other than 0 and XT_TARPIT_DRIP are
 * valid with XT_TARPIT_TARPIT only; XT_TARPIT_DRIP with XT_TARPIT_PROFILE_HOLD and no window
 * only. A window is valid with all variants except XT_TARPIT_RESET.
 */
struct xt_tarpit_tginfo_v1 {
	__u8 variant;
	__u8 profile;
	__u8 flags;
	__u8 ttl;		/* hop limit of the replies */
	__u16 window;		/* window of the SYN-ACK, in bytes */
	__u8 reserved[2];	/* 0 */
};

#endif /* _XT_TARPIT_H */
