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
#include "who.h"

#define AF_INET 2
#define AF_INET6 10
#define DNS_PORT 53
#define TEXT_MAX 512

volatile const u32 self_pid = 0; /* whose own traffic is let through */

#include "rule.h"
#include "dns.h"
#include "tls.h"
#include "http.h"

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

struct attempt {
	struct key name;
	u32 pid;
	u32 verdict;
};

#include "report.h"

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
	/* 1 to HEAD_MAX, which it is: said without a comparison, because the verifiers of older
	 * kernels (6.1) do not carry what one shows over to a copy on the stack. */
	asm volatile("%0 += -1\n\t%0 &= %1\n\t%0 += 1" : "+r"(n) : "i"(HEAD_MAX - 1));
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
