/* SPDX-License-Identifier: GPL-2.0 */
/* What build.rs translates: libxtables, the rule data, and the sums that only C can do. */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#define XTABLES_INTERNAL /* "shipped modules rely on this": `afinfo` */
#include <xtables.h>
#include "../xt_TARPIT.h"

enum {
	TARPIT_TGINFO_SIZE = XT_ALIGN(sizeof(struct xt_tarpit_tginfo)),
	TARPIT_TGINFO_V1_SIZE = XT_ALIGN(sizeof(struct xt_tarpit_tginfo_v1)),
};
