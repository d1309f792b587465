// SPDX-License-Identifier: GPL-2.0
/*
 * Does on purpose what the sanitizer kernel is to report, one kind each time it is loaded: a judge who lets
 * one of these pass would let ours pass as well.
 */

#include <linux/delay.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/ref_tracker.h>
#include <linux/refcount.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/timer.h>

static char *kind = "";
module_param(kind, charp, 0);

static DEFINE_MUTEX(one);
static DEFINE_MUTEX(other);
static DEFINE_SPINLOCK(spin);
static volatile int number = 40;

static void locks(void)
{
	mutex_lock(&one);
	mutex_lock(&other);
	mutex_unlock(&other);
	mutex_unlock(&one);
	mutex_lock(&other);
	mutex_lock(&one);
	mutex_unlock(&one);
	mutex_unlock(&other);
}

static void sleeper(void)
{
	spin_lock(&spin);
	msleep(1);
	spin_unlock(&spin);
}

static void freed(void)
{
	volatile char *bytes = kmalloc(32, GFP_KERNEL);

	kfree((void *)bytes);
	number += bytes[7];
}

static void beyond(void)
{
	volatile char *bytes = kzalloc(33, GFP_KERNEL);

	number += bytes[number - number + 33];
	kfree((void *)bytes);
}

static void shift(void)
{
	number = 40;
	number = 1 << number;
}

static void leak(void)
{
	/*
	 * Many, since a stale copy of a pointer hides an object from kmemleak, and the allocator's own
	 * lists of free objects keep such copies.
	 */
	for (int i = 0; i < 512; i++) {
		volatile char *bytes = kmalloc(777, GFP_KERNEL);

		bytes[0] = 1;
	}
}

static void reference(void)
{
	static struct ref_tracker_dir dir;
	struct ref_tracker *tracker;

	ref_tracker_dir_init(&dir, 1, "provoke");
	ref_tracker_alloc(&dir, &tracker, GFP_KERNEL);
	ref_tracker_dir_exit(&dir);
}

static void count(void)
{
	refcount_t users = REFCOUNT_INIT(0);

	refcount_inc(&users);
}

static void nothing(struct timer_list *timer)
{
}

static void running_timer(void)
{
	struct timer_list *timer = kmalloc(sizeof(*timer), GFP_KERNEL);

	timer_setup(timer, nothing, 0);
	mod_timer(timer, jiffies + 1000 * HZ);
	kfree(timer); /* the debugging of objects stops it */
}

static void warning(void)
{
	WARN(1, "provoked");
}

static const struct {
	const char *name;
	void (*provoke)(void);
} kinds[] = {
	{ "locks", locks }, { "sleeper", sleeper }, { "freed", freed }, { "beyond", beyond },
	{ "shift", shift }, { "leak", leak }, { "reference", reference }, { "count", count },
	{ "timer", running_timer }, { "warning", warning },
};

static int __init provoke_init(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		if (!strcmp(kind, kinds[i].name)) {
			kinds[i].provoke();
			return 0;
		}
	}
	return -EINVAL;
}

static void __exit provoke_exit(void)
{
}

module_init(provoke_init);
module_exit(provoke_exit);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("Provokes the reports of the sanitizer kernel");
