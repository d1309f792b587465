/* SPDX-License-Identifier: GPL-2.0 */
/* What build.rs translates: libxtables, the rule data, and the sums that only C can do. */
#include <stdio.h>
#include <stdlib.h>
#include <xtables.h>
#include "../xt_TARPIT.h"

enum {
	TARPIT_TGINFO_SIZE = XT_ALIGN(sizeof(struct xt_tarpit_tginfo)),
};
