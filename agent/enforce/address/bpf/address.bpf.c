// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Refuses connections and datagrams to blocked addresses, where a socket names its
 * destination: before routing and netfilter, so that the caller gets EPERM at once. The
 * programs decide by tables alone; user space fills them and reads what was refused.
 */
#include "kernel.h"
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>

#include "event.h"

#define NSEC 1000000000ULL
#define TOLD_WINDOW (10 * NSEC)

#define FAMILY_V4 4
#define FAMILY_V6 6

/* What is wanted of an address; bits, because several rules may cover it. */
#define VERDICT_ALLOW 1
#define VERDICT_BLOCK 2
#define VERDICT_AUDIT 4

/* Whose connections are always let through: the agent's own. */
volatile const u32 self_pid = 0;

/* IPv4 and IPv6 share the tables, and IPv4-mapped IPv6 addresses are IPv4. */
struct address {
	u32 family;
	u8 bytes[16]; /* IPv4 in the first four, the rest 0 */
};

struct range {
	u32 bits; /* of all that follows: 32 + those of the address */
	struct address address;
};

struct rule {
	u64 id; /* of the indicator, for the event */
	u32 verdict;
	u32 pad;
};

/* Single addresses, the many. Its size follows their number: user space swaps it whole. */
struct hosts {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1);
	__type(key, struct address);
	__type(value, struct rule);
} empty SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, 1);
	__type(key, u32);
	__array(values, struct hosts);
} hosts SEC(".maps") = { .values = { &empty } };

/* Ranges, the few. A rule holds the verdicts of all ranges around its own, too. */
struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 65536);
	__type(key, struct range);
	__type(value, struct rule);
} ranges SEC(".maps");

/* What is never blocked, whatever the other tables say. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 256);
	__type(key, struct address);
	__type(value, u8);
} floors SEC(".maps");

enum tally {
	TALLY_BLOCKED,
	TALLY_AUDITED,
	TALLY_SPARED,     /* would have been blocked, but the floor holds */
	TALLY_SUPPRESSED, /* events left out as repetitions */
	TALLY_LOST,       /* events for which the ring had no room */
	TALLY_END,
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, TALLY_END);
	__type(key, u32);
	__type(value, u64);
} tallies SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 18);
} events SEC(".maps");

/* Who was last reported to try what, and how often since. */
struct attempt {
	struct address address;
	u32 pid;
	u32 port;
	u32 verdict;
};

struct told {
	u64 at;
	u64 repeated;
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, struct attempt);
	__type(value, struct told);
} tolds SEC(".maps");

struct refusal {
	struct header header; /* its type is the verdict */
	u64 id;
	u64 repeated; /* the same attempt since the last event of it */
	struct address address;
	u16 port;
	u16 protocol;
};

static __always_inline void tally(u32 which)
{
	u64 *n = bpf_map_lookup_elem(&tallies, &which);

	if (n)
		__sync_fetch_and_add(n, 1);
}

static __always_inline void fill_who(struct who *w)
{
	struct task_struct *t = (void *)bpf_get_current_task();
	struct task_struct *leader = BPF_CORE_READ(t, group_leader), *parent = BPF_CORE_READ(t, real_parent);
	const struct cred *cred = BPF_CORE_READ(t, cred);
	u64 pt = bpf_get_current_pid_tgid(), ug = bpf_get_current_uid_gid();

	w->start = BPF_CORE_READ(leader, start_boottime);
	w->parent_start = BPF_CORE_READ(parent, group_leader, start_boottime);
	w->cgroup = bpf_get_current_cgroup_id();
	bpf_core_read(&w->caps, sizeof(w->caps), &cred->cap_effective);
	w->pid = pt >> 32;
	w->tid = (u32)pt;
	w->ppid = BPF_CORE_READ(parent, tgid);
	w->uid = (u32)ug;
	w->gid = ug >> 32;
	w->euid = BPF_CORE_READ(cred, euid.val);
	w->loginuid = ~0U;
	w->session = ~0U;
	if (bpf_core_field_exists(t->loginuid))
		w->loginuid = BPF_CORE_READ(t, loginuid.val);
	if (bpf_core_field_exists(t->sessionid))
		w->session = BPF_CORE_READ(t, sessionid);
	bpf_get_current_comm(w->comm, sizeof(w->comm));
}

/* Notes an attempt; says whether it is to be reported, and how many were not before it. */
static __always_inline bool tell(const struct attempt *a, u64 now, u64 *repeated)
{
	struct told *last = bpf_map_lookup_elem(&tolds, a), first = { .at = now };

	*repeated = 0;
	if (!last) {
		bpf_map_update_elem(&tolds, a, &first, BPF_ANY);
		return true;
	}
	if (now - last->at < TOLD_WINDOW) {
		__sync_fetch_and_add(&last->repeated, 1);
		return false;
	}
	*repeated = last->repeated;
	bpf_map_update_elem(&tolds, a, &first, BPF_ANY);
	return true;
}

static __always_inline void report(struct bpf_sock_addr *ctx, const struct address *to, u32 verdict, u64 id)
{
	struct attempt a = { .address = *to, .pid = bpf_get_current_pid_tgid() >> 32, .verdict = verdict };
	u64 now = bpf_ktime_get_boot_ns(), repeated;
	struct refusal *e;

	a.port = bpf_ntohs((u16)ctx->user_port);
	if (!tell(&a, now, &repeated)) {
		tally(TALLY_SUPPRESSED);
		return;
	}
	e = bpf_ringbuf_reserve(&events, sizeof(*e), 0);
	if (!e) {
		tally(TALLY_LOST);
		return;
	}
	e->header.time = now;
	e->header.type = verdict;
	e->header.flags = 0;
	fill_who(&e->header.who);
	e->id = id;
	e->repeated = repeated;
	e->address = *to;
	e->port = a.port;
	e->protocol = ctx->protocol;
	bpf_ringbuf_submit(e, 0);
}

/* 1 lets the call go on, 0 makes it fail with EPERM. */
static __always_inline int judge(struct bpf_sock_addr *ctx, const struct address *to)
{
	struct range around = { .bits = 8 * sizeof(*to), .address = *to };
	struct rule *host = 0, *range;
	u32 zero = 0, verdict = 0;
	u64 id = 0;
	void *inner;

	inner = bpf_map_lookup_elem(&hosts, &zero);
	if (inner)
		host = bpf_map_lookup_elem(inner, to);
	range = bpf_map_lookup_elem(&ranges, &around);
	if (!host && !range)
		return 1;
	if (range) {
		verdict = range->verdict;
		id = range->id;
	}
	if (host) {
		/* The rule that decides names itself; of two that say the same, the narrower. */
		if ((host->verdict & VERDICT_BLOCK) || !(verdict & VERDICT_BLOCK))
			id = host->id;
		verdict |= host->verdict;
	}
	if (verdict & VERDICT_ALLOW)
		return 1;
	if (self_pid && bpf_get_current_pid_tgid() >> 32 == self_pid)
		return 1;
	if (bpf_map_lookup_elem(&floors, to)) {
		tally(TALLY_SPARED);
		return 1;
	}
	if (verdict & VERDICT_BLOCK) {
		tally(TALLY_BLOCKED);
		report(ctx, to, VERDICT_BLOCK, id);
		return 0;
	}
	if (verdict & VERDICT_AUDIT) {
		tally(TALLY_AUDITED);
		report(ctx, to, VERDICT_AUDIT, id);
	}
	return 1;
}

static __always_inline int judge4(struct bpf_sock_addr *ctx)
{
	struct address to = { .family = FAMILY_V4 };
	u32 addr = ctx->user_ip4;

	__builtin_memcpy(to.bytes, &addr, sizeof(addr));
	return judge(ctx, &to);
}

static __always_inline int judge6(struct bpf_sock_addr *ctx)
{
	struct address to = { .family = FAMILY_V6 };
	u32 part[4] = { ctx->user_ip6[0], ctx->user_ip6[1], ctx->user_ip6[2], ctx->user_ip6[3] };

	if (part[0] == 0 && part[1] == 0 && part[2] == bpf_htonl(0xffff)) {
		to.family = FAMILY_V4;
		__builtin_memcpy(to.bytes, &part[3], sizeof(part[3]));
	} else {
		__builtin_memcpy(to.bytes, part, sizeof(part));
	}
	return judge(ctx, &to);
}

SEC("cgroup/connect4")
int deny_connect4(struct bpf_sock_addr *ctx)
{
	return judge4(ctx);
}

SEC("cgroup/connect6")
int deny_connect6(struct bpf_sock_addr *ctx)
{
	return judge6(ctx);
}

SEC("cgroup/sendmsg4")
int deny_sendmsg4(struct bpf_sock_addr *ctx)
{
	return judge4(ctx);
}

SEC("cgroup/sendmsg6")
int deny_sendmsg6(struct bpf_sock_addr *ctx)
{
	return judge6(ctx);
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* Pointers that put the types into BTF, from which bpf2go declares them for Go. */
const struct refusal *type_refusal __attribute__((unused));
const enum tally *type_tally __attribute__((unused));
