/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Maps, counters, the header of every event, and the path walk. */
#ifndef VEDETTE_COMMON_H
#define VEDETTE_COMMON_H

#include "kernel.h"
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>

#include "event.h"
#include "who.h"

#define AF_INET 2
#define AF_INET6 10
#define NSEC 1000000000ULL

/* Set before load, constant for the verifier. */
volatile const u32 self_pid = 0;       /* whose file events are left out */
volatile const u64 filter_cgroup = 0;  /* 0: the whole machine */
volatile const u32 filter_level = 0;   /* its depth under the cgroup root */
volatile const u64 secret_lengths = 0; /* bit n: a secret's name has n bytes */
volatile const u32 wake_bytes = 65536; /* data in the ring that is worth waking the reader for */

/* Set after the cgroup programs are known to be attached or not. */
struct tuning {
	u32 attempt_at_syn; /* no cgroup/connect program: report attempts at SYN_SENT */
	u32 udp_at_connect; /* no egress program: report connected UDP at connect() */
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct tuning);
} settings SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 8 << 20);
} events SEC(".maps");

struct counter {
	u64 sent;
	u64 lost;       /* the ring was full */
	u64 suppressed; /* repeated within its window */
	u64 forgotten;  /* the call's arguments were displaced by those of others */
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, EVENT_END);
	__type(key, u32);
	__type(value, struct counter);
} counters SEC(".maps");

/*
 * Space in which a variable-length event is put together. Only tracepoint programs use it:
 * they run with preemption off and never nest on a CPU, whereas cgroup programs may be
 * preempted and cgroup_skb runs in softirq, so those reserve fixed sizes in the ring.
 * An array by CPU number, because a per-CPU map's value ends at 32 KiB.
 */
#define DATA_MASK 0x7fff
#define DATA_MAX 0x10000

struct scratch {
	u32 off;
	u32 flags;
	u64 dentry;
	u64 mount;
	u64 root; /* of the mount */
	u8 data[DATA_MAX + 256];
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1); /* set to the number of possible CPUs before load */
	__type(key, u32);
	__type(value, struct scratch);
} scratches SEC(".maps");

static __always_inline struct scratch *scratch(void)
{
	u32 cpu = bpf_get_smp_processor_id();

	return bpf_map_lookup_elem(&scratches, &cpu);
}

static __always_inline struct counter *counter(u32 type)
{
	return bpf_map_lookup_elem(&counters, &type);
}

static __always_inline u64 wake_flag(void)
{
	return bpf_ringbuf_query(&events, BPF_RB_AVAIL_DATA) >= wake_bytes ? BPF_RB_FORCE_WAKEUP : BPF_RB_NO_WAKEUP;
}

static __always_inline void count(u32 type, long err)
{
	struct counter *c = counter(type);

	if (!c)
		return;
	if (err)
		c->lost++;
	else
		c->sent++;
}

static __always_inline void suppressed(u32 type)
{
	struct counter *c = counter(type);

	if (c)
		c->suppressed++;
}

static __always_inline void forgotten(u32 type)
{
	struct counter *c = counter(type);

	if (c)
		c->forgotten++;
}

/* Whether the current task is outside the cgroup that is watched. */
static __always_inline bool filtered(void)
{
	return filter_cgroup && bpf_get_current_ancestor_cgroup_id(filter_level) != filter_cgroup;
}

static __always_inline void fill_header(struct header *h, u32 type)
{
	h->time = bpf_ktime_get_boot_ns();
	h->type = type;
	h->flags = 0;
	fill_who(&h->who);
}

/* Begins an event of fixed size n in the scratch space; NULL when it is not wanted. */
static __always_inline void *begin(struct scratch *s, u32 type, u32 n)
{
	if (filtered())
		return 0;
	s->off = n;
	s->flags = 0;
	fill_header((void *)s->data, type);
	return s->data;
}

static __always_inline void finish(struct scratch *s)
{
	struct header *h = (void *)s->data;
	u64 n = s->off;

	h->flags = s->flags;
	if (n > DATA_MAX)
		n = DATA_MAX;
	asm volatile("%0 &= 0x1ffff" : "+r"(n));
	if (n > DATA_MAX)
		return;
	count(h->type, bpf_ringbuf_output(&events, s->data, n,
					  h->flags & FLAG_URGENT ? BPF_RB_FORCE_WAKEUP : wake_flag()));
}

/*
 * Fixed-size events of programs that may be interrupted: reserve() in the ring, fill, submit().
 * Counting waits for submit(), because between reserve and the check of its result the
 * verifier of 6.1 loses track of it.
 */
static __always_inline void *reserve(u32 type, u32 n)
{
	void *e = bpf_ringbuf_reserve(&events, n, 0);

	if (e)
		return e;
	count(type, 1);
	return 0;
}

static __always_inline void submit(u32 type, void *e)
{
	bpf_ringbuf_submit(e, wake_flag());
	count(type, 0);
}

#define WALK_DEPTH 64
#define WALK_BYTES 4096

/*
 * Appends the components of the path at s->dentry, s->mount, leaf first. A global function
 * with its cursor in a map: the verifier then checks it once and does not follow the state
 * of one iteration into the next (unrolled, the walk exceeds a million instructions).
 */
__noinline int walk_components(u32 unused)
{
	struct scratch *s = scratch();
	u32 end;

	if (!s)
		return 0;
	end = s->off + WALK_BYTES;
	for (int i = 0; i < WALK_DEPTH; i++) {
		struct dentry *d = (void *)s->dentry;
		struct mount *m = (void *)s->mount;
		struct dentry *parent;
		long n;

		if (s->dentry == s->root) {
			struct mount *up = BPF_CORE_READ(m, mnt_parent);

			if (up == m)
				return 0;
			s->dentry = (u64)BPF_CORE_READ(m, mnt_mountpoint);
			s->mount = (u64)up;
			s->root = (u64)BPF_CORE_READ(up, mnt.mnt_root);
			continue;
		}
		if (s->off + 256 > end)
			break;
		n = bpf_probe_read_kernel_str(&s->data[s->off & DATA_MASK], 256, BPF_CORE_READ(d, d_name.name));
		if (n <= 0)
			break;
		s->off += n;
		parent = BPF_CORE_READ(d, d_parent);
		if (d == parent)
			return 0;
		s->dentry = (u64)parent;
	}
	s->flags |= FLAG_PATH_CUT;
	return 0;
}

/* Appends a path; returns its length. */
static __always_inline u32 append_path(struct scratch *s, const struct path *p)
{
	struct vfsmount *mnt = BPF_CORE_READ(p, mnt);
	u32 from = s->off;

	s->dentry = (u64)BPF_CORE_READ(p, dentry);
	s->mount = (u64)mnt - bpf_core_field_offset(struct mount, mnt);
	s->root = (u64)BPF_CORE_READ(mnt, mnt_root);
	walk_components(0);
	return s->off - from;
}

/* Appends at most max (a power of two) bytes of a user string; returns its length. */
static __always_inline u32 append_user_string(struct scratch *s, const void *p, u32 max)
{
	long n = bpf_probe_read_user_str(&s->data[s->off & DATA_MASK], max, p);

	if (n <= 0)
		return 0;
	if (n >= max)
		s->flags |= FLAG_PATH_CUT;
	s->off += n;
	return n;
}

#define REPEAT_WINDOW NSEC

struct repeat {
	u32 pid;
	u32 target;
	u64 what;
	u32 type;
	u32 pad;
};

/* When a process was last reported for something it may do thousands of times. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, struct repeat);
	__type(value, u64);
} repeats SEC(".maps");

static __always_inline bool repeated(u32 type, u32 target, u64 what)
{
	struct repeat k = { .pid = bpf_get_current_pid_tgid() >> 32, .target = target, .what = what, .type = type };
	u64 now = bpf_ktime_get_boot_ns(), *last = bpf_map_lookup_elem(&repeats, &k);

	if (last && now - *last < REPEAT_WINDOW) {
		suppressed(type);
		return true;
	}
	bpf_map_update_elem(&repeats, &k, &now, BPF_ANY);
	return false;
}

static __always_inline struct file *file_of(int fd)
{
	struct task_struct *t = bpf_get_current_task_btf();
	struct fdtable *fdt = t->files->fdt;
	struct file **fds, *f = 0;

	if (fd < 0 || (u32)fd >= fdt->max_fds)
		return 0;
	fds = fdt->fd;
	bpf_probe_read_kernel(&f, sizeof(f), &fds[fd]);
	return f;
}

#endif
