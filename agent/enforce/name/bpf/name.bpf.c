// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Judges names where a program sends them in the clear: the question of a DNS query, the
 * server name of a TLS client hello, host and path of an HTTP request. What carries a
 * blocked name is not sent. Rules are looked up by hash; user space makes the hashes in
 * the same way (key.go) and fills the table.
 *
 * The first bytes that a socket sends are gathered in its own storage until they say a
 * name, or can say none: a client hello comes in as many segments as its sender likes.
 */
#include "kernel.h"
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>

#include "event.h"

#define NSEC 1000000000ULL
#define TOLD_WINDOW (10 * NSEC)

#define AF_INET 2
#define AF_INET6 10
#define PROTO_TCP 6
#define PROTO_UDP 17
#define DNS_PORT 53

/* Of package address, whose values these are. */
#define VERDICT_ALLOW 1
#define VERDICT_BLOCK 2
#define VERDICT_AUDIT 4
#define VERDICT_WARN 8

/* What a key stands for, mixed into its first half. */
#define TAG_DOMAIN 0x9d1ae3c5f2b86470ULL /* the name and all below it */
#define TAG_URL 0x4be7150ca83f96d2ULL	 /* exactly this host, port and path */
#define TAG_OPEN 0xe26c78b04d915fa3ULL	 /* some path of the host is allowed: let it be resolved */

#define HEAD_MAX 4096 /* bytes of a flow that may say its name */
#define HEAD_MASK (2 * HEAD_MAX - 1)
#define NAME_MAX 255
#define TEXT_MAX 512

volatile const u32 self_pid = 0; /* whose own traffic is let through */
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

enum flow_state {
	FLOW_NEW,
	FLOW_GATHER,
	FLOW_PASSED,  /* says no name any more */
	FLOW_REQUEST, /* each request names anew: HTTP, DNS over TCP */
	FLOW_BLOCKED,
};

struct flow {
	struct who who;
	u32 state;
	u32 start; /* sequence number at which gathering began */
};

struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct flow);
} flows SEC(".maps");

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

struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct head);
} heads SEC(".maps");

enum tally {
	TALLY_BLOCKED,
	TALLY_NOTED,	  /* let through and reported */
	TALLY_SUPPRESSED, /* events left out as repetitions */
	TALLY_LOST,	  /* events for which the ring had no room */
	TALLY_BLIND,	  /* flows for which there was no memory */
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

struct attempt {
	struct key name;
	u32 pid;
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

enum source {
	SOURCE_DNS = 1,
	SOURCE_TLS,
	SOURCE_HTTP,
};

#define FLAG_AGAIN 1 /* reported a moment ago: to be ended, not to be told */

struct sighting {
	struct header header; /* its type is the verdict */
	u64 id;
	u64 repeated;
	u8 local[16]; /* IPv4 as ::ffff:a.b.c.d */
	u8 remote[16];
	u16 local_port;
	u16 remote_port;
	u16 protocol;
	u16 source;
	u32 host_len;
	u32 path_len; /* behind the host */
	u8 text[2 * TEXT_MAX];
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

/* Where a socket is connected its user is current; where it sends that need not be so. */
static __always_inline int note_owner(struct bpf_sock_addr *ctx)
{
	struct bpf_sock *sk = ctx->sk;
	struct flow *f;

	if (!sk)
		return 1;
	f = bpf_sk_storage_get(&flows, sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
	if (f)
		fill_who(&f->who);
	return 1;
}

SEC("cgroup/connect4")
int note_connect4(struct bpf_sock_addr *ctx)
{
	return note_owner(ctx);
}

SEC("cgroup/connect6")
int note_connect6(struct bpf_sock_addr *ctx)
{
	return note_owner(ctx);
}

SEC("cgroup/sendmsg4")
int note_sendmsg4(struct bpf_sock_addr *ctx)
{
	return note_owner(ctx);
}

SEC("cgroup/sendmsg6")
int note_sendmsg6(struct bpf_sock_addr *ctx)
{
	return note_owner(ctx);
}

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

static long label_step(u32 i, struct scan *s)
{
	struct head *h = s->h;
	u32 pos = h->pos;
	u8 c;

	if (pos >= h->have)
		return 1;
	c = h->b[pos & HEAD_MASK];
	h->pos = pos + 1;
	if (h->left) {
		h->left--;
		return 0;
	}
	if (!c) {
		h->to = pos;
		h->done = 1;
		return 1;
	}
	if (c > 63) {
		h->done = 2; /* compressed or malformed: no question does that */
		return 1;
	}
	if (pos >= h->from)
		h->b[pos & HEAD_MASK] = '.';
	h->left = c;
	return 0;
}

/* The first question of the message at start. */
static __always_inline int judge_dns(struct head *h, u32 start)
{
	struct scan s = { .h = h };

	if (h->have < start + 12)
		return NEED;
	if (h->b[(start + 2) & HEAD_MASK] & 0x80) /* an answer */
		return NONE;
	if (!h->b[(start + 4) & HEAD_MASK] && !h->b[(start + 5) & HEAD_MASK])
		return NONE;
	h->pos = start + 12;
	h->from = start + 13;
	h->left = 0;
	h->done = 0;
	h->path = h->path_end = 0;
	bpf_loop(NAME_MAX + 2, label_step, &s, 0);
	if (!h->done)
		return h->pos >= h->have ? NEED : NONE;
	if (h->done != 1 || !hash_host(h))
		return NONE;
	if (h->verdict && rule_of(&h->at, TAG_OPEN))
		h->verdict = 0;
	return NAMED;
}

static __always_inline u32 u16_at(struct head *h, u32 at)
{
	return h->b[at & HEAD_MASK] << 8 | h->b[(at + 1) & HEAD_MASK];
}

static long extension_step(u32 i, struct scan *s)
{
	struct head *h = s->h;
	u32 pos = h->pos, type, len;

	if (pos + 4 > h->limit) {
		h->done = 2;
		return 1;
	}
	if (pos + 4 > h->have)
		return 1;
	type = u16_at(h, pos);
	len = u16_at(h, pos + 2);
	if (!type) {
		u32 n;

		if (pos + 9 > h->have)
			return 1;
		n = u16_at(h, pos + 7);
		h->from = pos + 9;
		h->to = h->from + n;
		if (h->b[(pos + 6) & HEAD_MASK] || n + 5 > len) {
			h->done = 2;
			return 1;
		}
		if (h->to <= h->have)
			h->done = 1;
		return 1;
	}
	h->pos = pos + 4 + len;
	return 0;
}

static __always_inline int judge_tls(struct head *h)
{
	struct scan s = { .h = h };
	u32 pos;

	if (h->have < 9)
		return NEED;
	if (h->b[1] != 3 || h->b[5] != 1)
		return NONE;
	h->limit = 9 + (h->b[6] << 16 | u16_at(h, 7));
	pos = 9 + 2 + 32;
	if (pos + 1 > h->have)
		return NEED;
	pos += 1 + h->b[pos];
	if (pos + 2 > h->have)
		return NEED;
	pos += 2 + u16_at(h, pos);
	if (pos + 1 > h->have)
		return pos > HEAD_MAX ? NONE : NEED;
	pos += 1 + h->b[pos & HEAD_MASK];
	h->pos = pos + 2;
	h->done = 0;
	h->path = h->path_end = 0;
	bpf_loop(128, extension_step, &s, 0);
	if (!h->done)
		return NEED;
	if (h->done != 1 || !hash_host(h))
		return NONE;
	return NAMED;
}

enum phase {
	PHASE_METHOD,
	PHASE_TARGET,
	PHASE_SKIP,
	PHASE_LINE,
	PHASE_SPACE,
	PHASE_HOST,
};

#define HOST_HEADER 0x3a74736f68ULL /* "host:", the first character lowest */

static long http_step(u32 i, struct scan *s)
{
	struct head *h = s->h;
	u8 c;

	if (i >= h->have)
		return 1;
	c = h->b[i & HEAD_MASK];
	if (h->phase == PHASE_METHOD) {
		if (c == ' ') {
			h->phase = PHASE_TARGET;
			h->target = i + 1;
		} else if (c < 'A' || c > 'Z') {
			h->done = 2;
			return 1;
		}
		return 0;
	}
	if (h->phase == PHASE_TARGET) {
		if (c == ' ' || c == '\r' || c == '\n') {
			h->target_end = i;
			h->match = 0;
			h->phase = c == '\n' ? PHASE_LINE : PHASE_SKIP;
		}
		return 0;
	}
	if (h->phase == PHASE_SKIP) {
		if (c == '\n') {
			h->phase = PHASE_LINE;
			h->match = 0;
		}
		return 0;
	}
	if (h->phase == PHASE_LINE) {
		if (!h->match && (c == '\r' || c == '\n')) {
			h->done = 3; /* the end of the headers */
			return 1;
		}
		if (lower(c) == ((HOST_HEADER >> (8 * (h->match & 7))) & 0xff)) {
			if (++h->match == 5)
				h->phase = PHASE_SPACE;
		} else {
			h->phase = PHASE_SKIP;
			if (c == '\n') {
				h->phase = PHASE_LINE;
				h->match = 0;
			}
		}
		return 0;
	}
	if (h->phase == PHASE_SPACE) {
		if (c == ' ' || c == '\t')
			return 0;
		h->phase = PHASE_HOST;
		h->from = i;
	}
	if (c == '\r' || c == '\n' || c == ' ' || c == '\t') {
		h->to = i;
		h->done = 1;
		return 1;
	}
	return 0;
}

/* Finds the end of the host at from, and the colon before a port. */
static long authority_step(u32 i, struct scan *s)
{
	struct head *h = s->h;
	u32 pos = h->from + i;
	u8 c;

	if (pos >= h->to)
		return 1;
	c = h->b[pos & HEAD_MASK];
	if (c == '/' || c == '?' || c == '#') {
		h->to = pos;
		return 1;
	}
	if (c == '@') { /* what was before is a user */
		h->match = pos + 1;
		h->colon = 0;
	}
	if (c == ':')
		h->colon = pos;
	if (c == ']')
		h->colon = 0;
	return 0;
}

static __always_inline int judge_http(struct head *h)
{
	struct scan s = { .h = h };
	u32 end;

	h->phase = PHASE_METHOD;
	h->done = 0;
	h->target = h->target_end = 0;
	h->from = h->to = 0;
	bpf_loop(HEAD_MAX, http_step, &s, 0);
	if (h->done == 2)
		return NONE;
	if (!h->done && h->have < HEAD_MAX)
		return NEED;
	if (!h->target_end)
		return NONE;
	h->path = h->target;
	h->path_end = h->target_end;
	if (h->b[h->target & HEAD_MASK] != '/') {
		/* For a proxy: a whole URL, or host and port of CONNECT. */
		u32 t = h->target;

		if (lower(h->b[t & HEAD_MASK]) == 'h' && h->b[(t + 4) & HEAD_MASK] == ':' && h->b[(t + 5) & HEAD_MASK] == '/' &&
		    h->b[(t + 6) & HEAD_MASK] == '/') {
			h->from = t + 7;
			h->to = h->target_end;
			h->path = 0;
		} else if (h->b[0] == 'C') {
			h->from = t;
			h->to = h->target_end;
			h->path = h->path_end = 0;
		} else {
			h->path = h->path_end = 0;
		}
	}
	if (h->to <= h->from)
		return NONE;
	h->colon = 0;
	h->match = h->from;
	bpf_loop(HEAD_MAX, authority_step, &s, 0);
	h->from = h->match;
	end = h->to;
	if (!h->path && h->path_end)
		h->path = end;
	h->port = h->colon > h->from;
	if (h->port) {
		h->to = h->colon;
		h->pos = h->colon;
		h->left = end - h->colon;
	}
	if (!hash_host(h))
		return NONE;
	h->ported = h->at;
	if (h->port && h->left <= 6) {
		bpf_loop(6, port_step, &s, 0);
		consider(h, &h->ported, TAG_URL);
	}
	h->query = 0;
	if (h->path_end > h->path + 1 || (h->path_end > h->path && h->b[h->path & HEAD_MASK] != '/')) {
		bpf_loop(HEAD_MAX, path_step, &s, 0);
		consider_both(h);
	}
	return NAMED;
}

static __always_inline bool is_method(u32 first)
{
	switch (first) {
	case 0x20544547: /* GET_ */
	case 0x54534f50: /* POST */
	case 0x44414548: /* HEAD */
	case 0x20545550: /* PUT_ */
	case 0x454c4544: /* DELE */
	case 0x4954504f: /* OPTI */
	case 0x43544150: /* PATC */
	case 0x4e4e4f43: /* CONN */
	case 0x43415254: /* TRAC */
		return true;
	}
	return false;
}

struct packet {
	u8 source[16];
	u8 dest[16];
	u32 seq;
	u32 payload; /* offset */
	u32 len;     /* of the payload */
	u16 sport;
	u16 dport;
	u8 protocol;
};

static __always_inline void mapped(u8 *to, u32 v4)
{
	__builtin_memset(to, 0, 10);
	to[10] = to[11] = 0xff;
	__builtin_memcpy(to + 12, &v4, 4);
}

static __always_inline bool read_packet(struct __sk_buff *skb, struct packet *p)
{
	u8 version, off;
	u32 head, tcp[2];
	u16 ports[2];
	u8 bits[2];

	if (bpf_skb_load_bytes(skb, 0, &version, 1))
		return false;
	if (version >> 4 == 4) {
		u32 addr[2];
		u16 fragment;

		if (bpf_skb_load_bytes(skb, 9, &p->protocol, 1))
			return false;
		if (bpf_skb_load_bytes(skb, 6, &fragment, 2) || (bpf_ntohs(fragment) & 0x1fff))
			return false;
		if (bpf_skb_load_bytes(skb, 12, addr, sizeof(addr)))
			return false;
		mapped(p->source, addr[0]);
		mapped(p->dest, addr[1]);
		head = (version & 15) * 4;
	} else if (version >> 4 == 6) {
		if (bpf_skb_load_bytes(skb, 6, &p->protocol, 1))
			return false;
		if (bpf_skb_load_bytes(skb, 8, p->source, 16) || bpf_skb_load_bytes(skb, 24, p->dest, 16))
			return false;
		head = 40;
	} else {
		return false;
	}
	if (p->protocol != PROTO_TCP && p->protocol != PROTO_UDP)
		return false;
	if (bpf_skb_load_bytes(skb, head, ports, sizeof(ports)))
		return false;
	p->sport = bpf_ntohs(ports[0]);
	p->dport = bpf_ntohs(ports[1]);
	p->seq = 0;
	if (p->protocol == PROTO_UDP) {
		if (p->dport != DNS_PORT)
			return false;
		p->payload = head + 8;
	} else {
		if (bpf_skb_load_bytes(skb, head + 4, tcp, 4) || bpf_skb_load_bytes(skb, head + 12, bits, 2))
			return false;
		off = bits[0] >> 4;
		p->payload = head + off * 4;
		p->seq = bpf_ntohl(tcp[0]) + ((bits[1] >> 1) & 1); /* SYN takes one */
	}
	if (skb->len <= p->payload)
		return false;
	p->len = skb->len - p->payload;
	return true;
}

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

static __always_inline void report(const struct packet *p, struct flow *f, struct head *h, u32 source, u32 verdict)
{
	struct attempt a = { .name = h->at, .pid = f->who.pid, .verdict = verdict };
	u64 now = bpf_ktime_get_boot_ns(), repeated;
	struct sighting *e;
	bool again = !tell(&a, now, &repeated);
	u32 n;

	if (again) {
		tally(TALLY_SUPPRESSED);
		/* A blocked session has to be ended all the same. */
		if (verdict != VERDICT_BLOCK || p->protocol != PROTO_TCP)
			return;
	}
	e = bpf_ringbuf_reserve(&events, sizeof(*e), 0);
	if (!e) {
		tally(TALLY_LOST);
		return;
	}
	e->header.time = now;
	e->header.type = verdict;
	e->header.flags = again ? FLAG_AGAIN : 0;
	e->header.who = f->who;
	e->id = h->id;
	e->repeated = repeated;
	__builtin_memcpy(e->local, p->source, 16);
	__builtin_memcpy(e->remote, p->dest, 16);
	e->local_port = p->sport;
	e->remote_port = p->dport;
	e->protocol = p->protocol;
	e->source = source;
	n = h->to - h->from;
	if (n > TEXT_MAX - 1)
		n = TEXT_MAX - 1;
	asm volatile("%0 &= 0x1ff" : "+r"(n));
	e->host_len = n;
	bpf_probe_read_kernel(e->text, n, &h->b[h->from & (HEAD_MAX - 1)]);
	n = h->path_end > h->path ? h->path_end - h->path : 0;
	if (n > TEXT_MAX - 1)
		n = TEXT_MAX - 1;
	asm volatile("%0 &= 0x1ff" : "+r"(n));
	e->path_len = n;
	bpf_probe_read_kernel(e->text + TEXT_MAX, n, &h->b[h->path & (HEAD_MAX - 1)]);
	bpf_ringbuf_submit(e, 0);
}

/* What a verdict comes to; each goes before those after it. */
static __always_inline u32 decisive(u32 v)
{
	if (v & VERDICT_ALLOW)
		return 0;
	if (v & VERDICT_WARN)
		return VERDICT_WARN;
	if (v & VERDICT_BLOCK)
		return VERDICT_BLOCK;
	return v & VERDICT_AUDIT;
}

SEC("cgroup_skb/egress")
int judge_egress(struct __sk_buff *skb)
{
	struct packet p = {};
	struct bpf_sock *sk;
	struct flow *f;
	struct head *h;
	u32 n, have, verdict, source, skip;
	int got;

	if (!read_packet(skb, &p))
		return 1;
	sk = skb->sk;
	if (!sk)
		return 1;
	sk = bpf_sk_fullsock(sk);
	if (!sk)
		return 1;
	f = bpf_sk_storage_get(&flows, sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
	if (!f) {
		tally(TALLY_BLIND);
		return 1;
	}
	if (f->state == FLOW_PASSED)
		return 1;
	if (f->state == FLOW_BLOCKED)
		return 0;
	if (self_pid && f->who.pid == self_pid)
		return 1;
	if (p.protocol == PROTO_UDP) {
		f->state = FLOW_NEW;
	} else if (f->state == FLOW_REQUEST && p.dport != DNS_PORT) {
		u32 first = 0;

		if (p.len < 4 || bpf_skb_load_bytes(skb, p.payload, &first, 4) || !is_method(first))
			return 1;
		f->state = FLOW_NEW;
	} else if (f->state == FLOW_REQUEST) {
		f->state = FLOW_NEW;
	}
	h = bpf_sk_storage_get(&heads, sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
	if (!h) {
		tally(TALLY_BLIND);
		return 1;
	}
	if (f->state == FLOW_NEW) {
		f->state = FLOW_GATHER;
		f->start = p.seq;
		h->have = 0;
	}
	/* In order; what is sent again was taken in before. */
	have = h->have;
	skip = f->start + have - p.seq;
	if (skip >= p.len)
		return 1;
	n = p.len - skip;
	if (have >= HEAD_MAX) {
		got = NONE;
		source = 0;
		goto judged;
	}
	if (n > HEAD_MAX - have)
		n = HEAD_MAX - have;
	have &= HEAD_MAX - 1;
	asm volatile("%0 &= 0x1fff" : "+r"(n));
	if (n < 1 || n > HEAD_MAX)
		return 1;
	if (bpf_skb_load_bytes(skb, p.payload + skip, &h->b[have], n))
		return 1;
	h->have = have + n;

	if (p.dport == DNS_PORT) {
		source = SOURCE_DNS;
		got = judge_dns(h, p.protocol == PROTO_TCP ? 2 : 0);
	} else if (h->b[0] == 0x16) {
		source = SOURCE_TLS;
		got = judge_tls(h);
	} else {
		u32 first = h->b[0] | h->b[1] << 8 | h->b[2] << 16 | (u32)h->b[3] << 24;

		source = SOURCE_HTTP;
		got = h->have < 4 ? NEED : is_method(first) ? judge_http(h) : NONE;
	}
	if (got == NEED && h->have < HEAD_MAX && p.protocol == PROTO_TCP)
		return 1;
judged:
	verdict = got == NAMED ? decisive(h->verdict) : 0;
	if (verdict)
		report(&p, f, h, source, verdict);
	bpf_sk_storage_delete(&heads, sk);
	if (verdict == VERDICT_BLOCK) {
		tally(TALLY_BLOCKED);
		/* A datagram socket may ask for other names. */
		if (p.protocol == PROTO_TCP)
			f->state = FLOW_BLOCKED;
		return 0;
	}
	if (verdict)
		tally(TALLY_NOTED);
	f->state = got == NAMED && source != SOURCE_TLS ? FLOW_REQUEST : FLOW_PASSED;
	if (p.protocol == PROTO_UDP)
		f->state = FLOW_NEW;
	return 1;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* Pointers that put the types into BTF, from which bpf2go declares them for Go. */
const struct sighting *type_sighting __attribute__((unused));
const enum tally *type_tally __attribute__((unused));
