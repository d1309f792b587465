// SPDX-License-Identifier: GPL-2.0
/*
 * What the kernel's own crate `kernel` gives a module in Rust, for a kernel that has none: its
 * beginning and end, its parameters, and lines for the log. compat/kernel/ has the rest.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/kern_levels.h>
#include <linux/module.h>
#include <linux/printk.h>

/* Owned by Rust: what the macro `module!` makes, and the values of the parameters. */
int xt_tarpit_load(void);
void xt_tarpit_unload(void);
extern unsigned int source_interval_ms, source_burst, syn_limit;

/* Called by Rust. */
void xt_tarpit_print(int level, const char *text, size_t len);

/* Not in sysfs, as with the kernel's own crate. Their descriptions are Rust's. */
module_param(source_interval_ms, uint, 0);
module_param(source_burst, uint, 0);
module_param(syn_limit, uint, 0);

/* Prints a line of @len bytes. Any context. */
void xt_tarpit_print(int level, const char *text, size_t len)
{
	switch (level) {
	case LOGLEVEL_ERR:
		pr_err("%.*s", (int)len, text);
		break;
	case LOGLEVEL_WARNING:
		pr_warn("%.*s", (int)len, text);
		break;
	default:
		pr_info("%.*s", (int)len, text);
	}
}

static int __init tarpit_init(void)
{
	return xt_tarpit_load();
}
module_init(tarpit_init);

static void __exit tarpit_exit(void)
{
	xt_tarpit_unload();
}
module_exit(tarpit_exit);
