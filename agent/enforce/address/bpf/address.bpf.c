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
#include "who.h"

#define FAMILY_V4 4
#define FAMILY_V6 6

#define FLAG_INCOMING 1 /* the other side began */
#define FLAG_LEARNED 2	/* a blocked name leads to the address */

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

/* Addresses to which blocked names lead, for as long as the answers that said so are good. */
struct learned {
	u64 until; /* boot time ns */
	u64 id;
	u32 verdict;
	u32 pad;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 16384);
	__type(key, struct address);
	__type(value, struct learned);
} learneds SEC(".maps");

/* What is never blocked, whatever the other tables say. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 256);
	__type(key, struct address);
	__type(value, u8);
} floors SEC(".maps");

enum tally {
	TALLY_BLOCKED,
	TALLY_AUDITED,    /* let through and reported, a warning too */
	TALLY_SPARED,     /* would have been blocked, but the floor holds */
	TALLY_SUPPRESSED, /* events left out as repetitions */
	TALLY_LOST,       /* events for which the ring had no room */
	TALLY_END,
};

/* Who was last reported to try what, and how often since. */
struct attempt {
	struct address address;
	u32 pid;
	u32 port;
	u32 verdict;
};

#include "report.h"

struct refusal {
	struct header header; /* its type is the verdict */
	u64 id;
	u64 repeated; /* the same attempt since the last event of it */
	struct address address;
	u16 port;
	u16 protocol;
	struct address local; /* of what came in */
	u16 local_port;
	u16 pad;
};

struct decision {
	u64 id;
	u32 verdict; /* what is to be done; 0 for nothing */
	u32 flags;
};

/*
 * What the rules about an address come to. Each verdict goes before those after it: allow,
 * warn, block, audit.
 */
static __always_inline struct decision decide(const struct address *to, bool self)
{
	struct range around = { .bits = 8 * sizeof(*to), .address = *to };
	struct decision d = {};
	struct rule *host = 0, *range;
	struct learned *learned;
	u32 zero = 0, verdict = 0;
	void *inner;

	inner = bpf_map_lookup_elem(&hosts, &zero);
	if (inner)
		host = bpf_map_lookup_elem(inner, to);
	range = bpf_map_lookup_elem(&ranges, &around);
	learned = bpf_map_lookup_elem(&learneds, to);
	if (!host && !range && !learned)
		return d;
	if (range) {
		verdict = range->verdict;
		d.id = range->id;
	}
	if (host) {
		/* The rule that decides names itself; of two that say the same, the narrower. */
		if ((host->verdict & VERDICT_BLOCK) || !(verdict & VERDICT_BLOCK))
			d.id = host->id;
		verdict |= host->verdict;
	}
	if (learned && learned->until > bpf_ktime_get_boot_ns()) {
		if (!(verdict & VERDICT_BLOCK)) {
			d.id = learned->id;
			d.flags = FLAG_LEARNED;
		}
		verdict |= learned->verdict;
	}
	if (!verdict || verdict & VERDICT_ALLOW)
		return d;
	if (self)
		return d;
	if (bpf_map_lookup_elem(&floors, to)) {
		tally(TALLY_SPARED);
		return d;
	}
	d.verdict = verdict & VERDICT_WARN ? VERDICT_WARN : verdict & VERDICT_BLOCK ? VERDICT_BLOCK : verdict & VERDICT_AUDIT;
	if (d.verdict)
		tally(d.verdict == VERDICT_BLOCK ? TALLY_BLOCKED : TALLY_AUDITED);
	return d;
}

/* Begins the event of an attempt; NULL when it is not to be told. */
static __always_inline struct refusal *begin(struct attempt *a, const struct decision *d)
{
	u64 now = bpf_ktime_get_boot_ns(), repeated;
	struct refusal *e;

	a->verdict = d->verdict;
	if (!tell(a, now, &repeated)) {
		tally(TALLY_SUPPRESSED);
		return 0;
	}
	e = bpf_ringbuf_reserve(&events, sizeof(*e), 0);
	if (!e) {
		tally(TALLY_LOST);
		return 0;
	}
	e->header.time = now;
	e->header.type = d->verdict;
	e->header.flags = d->flags;
	e->id = d->id;
	e->repeated = repeated;
	e->address = a->address;
	e->port = a->port;
	__builtin_memset(&e->local, 0, sizeof(e->local));
	e->local_port = 0;
	e->pad = 0;
	return e;
}

/* 1 lets the call go on, 0 makes it fail with EPERM. */
static __always_inline int judge(struct bpf_sock_addr *ctx, const struct address *to)
{
	u32 pid = bpf_get_current_pid_tgid() >> 32;
	struct decision d = decide(to, self_pid && pid == self_pid);
	struct attempt a = { .address = *to, .pid = pid };
	struct refusal *e;

	if (!d.verdict)
		return 1;
	a.port = bpf_ntohs((u16)ctx->user_port);
	e = begin(&a, &d);
	if (e) {
		fill_who(&e->header.who);
		e->protocol = ctx->protocol;
		bpf_ringbuf_submit(e, 0);
	}
	return d.verdict != VERDICT_BLOCK;
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

/*
 * What comes in from an address: the first packet of a connection, and datagrams. Later
 * packets of a connection are not looked at: blocking an address ends its sessions.
 */
SEC("cgroup_skb/ingress")
int deny_ingress(struct __sk_buff *skb)
{
	struct address from = {}, local = {};
	struct attempt a = {};
	struct decision d;
	struct refusal *e;
	u8 version, protocol, bits;
	u16 ports[2];
	u32 head;

	if (bpf_skb_load_bytes(skb, 0, &version, 1))
		return 1;
	if (version >> 4 == 4) {
		u16 fragment;

		if (bpf_skb_load_bytes(skb, 9, &protocol, 1))
			return 1;
		if (bpf_skb_load_bytes(skb, 6, &fragment, 2) || (bpf_ntohs(fragment) & 0x1fff))
			return 1;
		head = (version & 15) * 4;
	} else if (version >> 4 == 6) {
		if (bpf_skb_load_bytes(skb, 6, &protocol, 1))
			return 1;
		head = 40;
	} else {
		return 1;
	}
	if (protocol == PROTO_TCP) {
		if (bpf_skb_load_bytes(skb, head + 13, &bits, 1) || (bits & 0x12) != 0x02) /* SYN without ACK */
			return 1;
	} else if (protocol != PROTO_UDP) {
		return 1;
	}
	if (version >> 4 == 4) {
		from.family = local.family = FAMILY_V4;
		if (bpf_skb_load_bytes(skb, 12, from.bytes, 4) || bpf_skb_load_bytes(skb, 16, local.bytes, 4))
			return 1;
	} else {
		from.family = local.family = FAMILY_V6;
		if (bpf_skb_load_bytes(skb, 8, from.bytes, 16) || bpf_skb_load_bytes(skb, 24, local.bytes, 16))
			return 1;
	}
	d = decide(&from, false);
	if (!d.verdict)
		return 1;
	if (bpf_skb_load_bytes(skb, head, ports, sizeof(ports)))
		return 1;
	a.address = from;
	a.port = bpf_ntohs(ports[1]); /* ours: theirs is another each time */
	e = begin(&a, &d);
	if (e) {
		e->header.flags |= FLAG_INCOMING;
		__builtin_memset(&e->header.who, 0, sizeof(e->header.who));
		e->protocol = protocol;
		e->port = bpf_ntohs(ports[0]);
		e->local = local;
		e->local_port = a.port;
		bpf_ringbuf_submit(e, 0);
	}
	return d.verdict != VERDICT_BLOCK;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* Pointers that put the types into BTF, from which bpf2go declares them for Go. */
const struct refusal *type_refusal __attribute__((unused));
const enum tally *type_tally __attribute__((unused));
