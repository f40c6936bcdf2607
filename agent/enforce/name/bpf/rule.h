// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The table of rules, and what of a name is looked up in it: the hash of each parent
 * domain, of the host, and of each part of the path. key.go makes the same hashes.
 */
#pragma once

/* What a key stands for, mixed into its first half. */
#define TAG_DOMAIN 0x9d1ae3c5f2b86470ULL /* the name and all below it */
#define TAG_URL 0x4be7150ca83f96d2ULL	 /* exactly this host, port and path */
#define TAG_OPEN 0xe26c78b04d915fa3ULL	 /* some path of the host is allowed: let it be resolved */

#define HEAD_MAX 4096 /* bytes of a flow that may say its name */
#define HEAD_MASK (2 * HEAD_MAX - 1)
#define NAME_MAX 255

volatile const u64 seed_a = 0, seed_b = 0;

struct key {
	u64 a, b;
};

struct rule {
	u64 id; /* of the indicator, for the event */
	u32 verdict;
	u32 pad;
};

struct names {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1);
	__type(key, struct key);
	__type(value, struct rule);
} empty SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, 1);
	__type(key, u32);
	__array(values, struct names);
} tables SEC(".maps") = { .values = { &empty } };

/* What was gathered, and what is being worked out about it. */
struct head {
	u8 b[2 * HEAD_MAX]; /* twice, so that the verifier need not relate offset and length */
	struct key at;	    /* the hash so far */
	struct key ported;  /* the same with the port, which goes before the path */
	u64 id;
	u32 verdict;
	u32 have;
	u32 from, to; /* the host */
	u32 colon;    /* before its port, 0 for none */
	u32 path, path_end;
	u32 target, target_end;
	u32 pos, left; /* of a loop */
	u32 phase;
	u32 match;
	u32 done;
	u32 query;
	u32 port; /* there is one */
	u32 limit;
	u32 found;
};

static __always_inline void mix(struct key *k, u8 c)
{
	k->a = (k->a ^ c) * 0x9e3779b97f4a7c15ULL;
	k->a ^= k->a >> 29;
	k->b = (k->b + c + 1) * 0xd1342543de82ef95ULL;
	k->b ^= k->b >> 31;
}

static __always_inline u8 lower(u8 c)
{
	return c >= 'A' && c <= 'Z' ? c + 32 : c;
}

static __always_inline struct rule *rule_of(const struct key *k, u64 tag)
{
	struct key at = { .a = k->a ^ tag, .b = k->b };
	u32 zero = 0;
	void *table = bpf_map_lookup_elem(&tables, &zero);

	return table ? bpf_map_lookup_elem(table, &at) : 0;
}

/* A rule that is met later is of something narrower, and goes before. */
static __always_inline void consider(struct head *h, const struct key *k, u64 tag)
{
	struct rule *r = rule_of(k, tag);

	if (r) {
		h->verdict = r->verdict;
		h->id = r->id;
	}
}

struct scan {
	struct head *h;
};

/* From the end, so that what was hashed at a dot is a parent domain. */
static long host_step(u32 i, struct scan *s)
{
	struct head *h = s->h;
	u32 end = h->to;
	u8 c;

	if (i >= end - h->from)
		return 1;
	c = lower(h->b[(end - 1 - i) & HEAD_MASK]);
	if (c == '.')
		consider(h, &h->at, TAG_DOMAIN);
	mix(&h->at, c);
	return 0;
}

static __always_inline bool hash_host(struct head *h)
{
	struct scan s = { .h = h };

	if (h->to > h->from && h->b[(h->to - 1) & HEAD_MASK] == '.')
		h->to--;
	if (h->to <= h->from || h->to - h->from > NAME_MAX)
		return false;
	h->verdict = 0;
	h->id = 0;
	h->at.a = seed_a;
	h->at.b = seed_b;
	bpf_loop(NAME_MAX + 1, host_step, &s, 0);
	consider(h, &h->at, TAG_DOMAIN);
	consider(h, &h->at, TAG_URL);
	return true;
}

static long port_step(u32 i, struct scan *s)
{
	struct head *h = s->h;
	u32 pos = h->pos + i;

	if (i >= h->left)
		return 1;
	mix(&h->ported, h->b[pos & HEAD_MASK]);
	return 0;
}

static __always_inline void consider_both(struct head *h)
{
	if (h->port)
		consider(h, &h->ported, TAG_URL);
	consider(h, &h->at, TAG_URL);
}

static long path_step(u32 i, struct scan *s)
{
	struct head *h = s->h;
	u32 pos = h->path + i;
	bool cut;
	u8 c;

	if (pos >= h->path_end)
		return 1;
	c = h->b[pos & HEAD_MASK];
	if (c == '#') {
		h->path_end = pos;
		return 1;
	}
	cut = c == '/' && i && !h->query;
	if (cut || (c == '?' && !h->query))
		consider_both(h);
	if (c == '?')
		h->query = 1;
	mix(&h->at, c);
	mix(&h->ported, c);
	if (cut)
		consider_both(h);
	return 0;
}

#define NEED 0	/* more bytes */
#define NONE 1	/* says no name */
#define NAMED 2 /* judged: the verdict is in the head */
