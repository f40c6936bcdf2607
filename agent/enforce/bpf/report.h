// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * What programs that enforce share: the verdicts, what they count, and how they report an
 * attempt without repeating themselves. Who includes it has defined before:
 *
 *   enum tally ending in TALLY_END    what is counted
 *   struct attempt                    what makes two attempts the same
 */
#pragma once

#define NSEC 1000000000ULL
#define TOLD_WINDOW (10 * NSEC)

#define PROTO_TCP 6
#define PROTO_UDP 17

/* What is wanted of an address or a name; bits, because several rules may cover it. */
#define VERDICT_ALLOW 1
#define VERDICT_BLOCK 2
#define VERDICT_AUDIT 4
#define VERDICT_WARN 8

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

static __always_inline void tally(u32 which)
{
	u64 *n = bpf_map_lookup_elem(&tallies, &which);

	if (n)
		__sync_fetch_and_add(n, 1);
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
