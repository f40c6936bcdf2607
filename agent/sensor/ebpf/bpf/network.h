/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Connections at the attempt (before routing and netfilter), their outcome, listeners,
 * accepted connections, and DNS datagrams of clients.
 */
#ifndef VEDETTE_NETWORK_H
#define VEDETTE_NETWORK_H

#include "common.h"

#define SOCK_STREAM 1
#define SOCK_DGRAM 2
#define PROTO_TCP 6
#define PROTO_UDP 17
#define DNS_PORT 53

/* include/net/tcp_states.h */
#define STATE_ESTABLISHED 1
#define STATE_SYN_SENT 2
#define STATE_SYN_RECV 3
#define STATE_CLOSE 7
#define STATE_LISTEN 10

#define TALK_WINDOW (60 * NSEC)

/* Who opened a datagram socket, by socket cookie: packets carry no process. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, u64);
	__type(value, struct who);
} owners SEC(".maps");

struct talk {
	u64 cookie;
	u8 remote[16];
	u32 port;
	u32 pad;
};

/* When a datagram socket last was reported to talk to a destination. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 8192);
	__type(key, struct talk);
	__type(value, u64);
} talks SEC(".maps");

/*
 * Connected datagram sockets that sent nothing yet. connect() alone is no conversation:
 * resolvers use it to ask the kernel for a source address.
 */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, u64);
	__type(value, struct socket_event);
} silent SEC(".maps");

/* Who is connecting, by struct sock. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, u64);
	__type(value, struct who);
} connecting SEC(".maps");

struct listener {
	u32 netns;
	u32 port;
	u8 local[16];
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 8192);
	__type(key, struct listener);
	__type(value, struct who);
} listeners SEC(".maps");

static __always_inline bool tuned(bool syn)
{
	u32 zero = 0;
	struct tuning *t = bpf_map_lookup_elem(&settings, &zero);

	return t && (syn ? t->attempt_at_syn : t->udp_at_connect);
}

static __always_inline void mapped(u8 *to, u32 v4)
{
	__builtin_memset(to, 0, 10);
	to[10] = to[11] = 0xff;
	__builtin_memcpy(to + 12, &v4, 4);
}

static __always_inline void fill_remote(struct socket_event *e, struct bpf_sock_addr *ctx, int family)
{
	__builtin_memset(e->local, 0, sizeof(e->local));
	if (family == AF_INET) {
		mapped(e->remote, ctx->user_ip4);
	} else {
		u32 part[4] = { ctx->user_ip6[0], ctx->user_ip6[1], ctx->user_ip6[2], ctx->user_ip6[3] };

		__builtin_memcpy(e->remote, part, sizeof(part));
	}
	e->local_port = 0;
	e->remote_port = bpf_ntohs((u16)ctx->user_port);
	e->protocol = ctx->protocol;
	e->pad = 0;
	e->err = 0;
	e->netns = 0;
}

static __always_inline void attempt(struct bpf_sock_addr *ctx, int family)
{
	struct socket_event *e = reserve(EVENT_CONNECT, sizeof(struct socket_event));

	if (!e)
		return;
	fill_header(&e->header, EVENT_CONNECT);
	fill_remote(e, ctx, family);
	submit(EVENT_CONNECT, e);
}

static __always_inline int connect_to(struct bpf_sock_addr *ctx, int family)
{
	struct socket_event e = {};
	u64 cookie;

	if (ctx->type != SOCK_DGRAM) {
		attempt(ctx, family);
		return 1;
	}
	if (!(u16)ctx->user_port)
		return 1;
	if (tuned(false)) {
		attempt(ctx, family);
		return 1;
	}
	cookie = bpf_get_socket_cookie(ctx);
	fill_header(&e.header, EVENT_CONNECT);
	fill_remote(&e, ctx, family);
	bpf_map_update_elem(&owners, &cookie, &e.header.who, BPF_ANY);
	bpf_map_update_elem(&silent, &cookie, &e, BPF_ANY);
	return 1;
}

static __always_inline int send_to(struct bpf_sock_addr *ctx, int family)
{
	u64 cookie = bpf_get_socket_cookie(ctx), now = bpf_ktime_get_boot_ns(), *last;
	struct socket_event e = {};
	struct talk k = { .cookie = cookie };
	struct who w = {};

	fill_remote(&e, ctx, family);
	__builtin_memcpy(k.remote, e.remote, sizeof(k.remote));
	k.port = e.remote_port;
	last = bpf_map_lookup_elem(&talks, &k);
	if (last && now - *last < TALK_WINDOW) {
		suppressed(EVENT_CONNECT);
		return 1;
	}
	bpf_map_update_elem(&talks, &k, &now, BPF_ANY);
	fill_who(&w);
	bpf_map_update_elem(&owners, &cookie, &w, BPF_ANY);
	attempt(ctx, family);
	return 1;
}

SEC("cgroup/connect4")
int on_connect4(struct bpf_sock_addr *ctx)
{
	return connect_to(ctx, AF_INET);
}

SEC("cgroup/connect6")
int on_connect6(struct bpf_sock_addr *ctx)
{
	return connect_to(ctx, AF_INET6);
}

SEC("cgroup/sendmsg4")
int on_sendmsg4(struct bpf_sock_addr *ctx)
{
	return send_to(ctx, AF_INET);
}

SEC("cgroup/sendmsg6")
int on_sendmsg6(struct bpf_sock_addr *ctx)
{
	return send_to(ctx, AF_INET6);
}

static __always_inline void fill_sock(struct socket_event *e, const struct sock *sk)
{
	if (BPF_CORE_READ(sk, __sk_common.skc_family) == AF_INET) {
		mapped(e->local, BPF_CORE_READ(sk, __sk_common.skc_rcv_saddr));
		mapped(e->remote, BPF_CORE_READ(sk, __sk_common.skc_daddr));
	} else {
		bpf_core_read(e->local, sizeof(e->local), &sk->__sk_common.skc_v6_rcv_saddr);
		bpf_core_read(e->remote, sizeof(e->remote), &sk->__sk_common.skc_v6_daddr);
	}
	e->local_port = bpf_ntohs(BPF_CORE_READ((const struct inet_sock *)sk, inet_sport));
	e->remote_port = bpf_ntohs(BPF_CORE_READ(sk, __sk_common.skc_dport));
	e->protocol = PROTO_TCP;
	e->pad = 0;
	e->err = 0;
	e->netns = BPF_CORE_READ(sk, __sk_common.skc_net.net, ns.inum);
}

static __always_inline void report(u32 type, const struct sock *sk, const struct who *w)
{
	struct socket_event *e;

	e = reserve(type, sizeof(struct socket_event));
	if (!e)
		return;
	e->header.time = bpf_ktime_get_boot_ns();
	e->header.type = type;
	e->header.flags = 0;
	if (w)
		e->header.who = *w;
	else
		__builtin_memset(&e->header.who, 0, sizeof(e->header.who));
	fill_sock(e, sk);
	if (type == EVENT_LISTEN) {
		__builtin_memset(e->remote, 0, sizeof(e->remote));
		e->remote_port = 0;
	}
	if (type == EVENT_CONNECT_FAILED)
		e->err = BPF_CORE_READ(sk, sk_err);
	submit(type, e);
}

static __always_inline void key_of(struct listener *k, const struct sock *sk)
{
	struct socket_event e = {};

	fill_sock(&e, sk);
	k->netns = e.netns;
	k->port = e.local_port;
	__builtin_memcpy(k->local, e.local, sizeof(k->local));
}

/* Whoever listens on the address, or on all of them, v4 or v6. */
static __always_inline struct who *listener_of(const struct sock *sk)
{
	struct listener k;
	struct who *w;

	key_of(&k, sk);
	w = bpf_map_lookup_elem(&listeners, &k);
	if (w)
		return w;
	__builtin_memset(k.local, 0, sizeof(k.local));
	w = bpf_map_lookup_elem(&listeners, &k);
	if (w)
		return w;
	mapped(k.local, 0);
	return bpf_map_lookup_elem(&listeners, &k);
}

SEC("raw_tracepoint/inet_sock_set_state")
int on_state(struct bpf_raw_tracepoint_args *ctx)
{
	const struct sock *sk = (void *)ctx->args[0];
	int from = ctx->args[1], to = ctx->args[2];
	u64 key = (u64)sk;
	struct who w = {}, *known;
	struct listener k;

	if (to == STATE_SYN_SENT) {
		/* Here, and at LISTEN, the caller of connect() or listen() is current. */
		if (filtered())
			return 0;
		fill_who(&w);
		bpf_map_update_elem(&connecting, &key, &w, BPF_ANY);
		if (tuned(true))
			report(EVENT_CONNECT, sk, &w);
		return 0;
	}
	if (to == STATE_LISTEN) {
		if (filtered())
			return 0;
		fill_who(&w);
		key_of(&k, sk);
		bpf_map_update_elem(&listeners, &k, &w, BPF_ANY);
		report(EVENT_LISTEN, sk, &w);
		return 0;
	}
	if (from == STATE_SYN_SENT) {
		known = bpf_map_lookup_elem(&connecting, &key);
		if (known) {
			w = *known;
			bpf_map_delete_elem(&connecting, &key);
			report(to == STATE_ESTABLISHED ? EVENT_CONNECTED : EVENT_CONNECT_FAILED, sk, &w);
		}
		return 0;
	}
	if (from == STATE_SYN_RECV && to == STATE_ESTABLISHED) {
		known = listener_of(sk);
		if (known || !filter_cgroup)
			report(EVENT_ACCEPT, sk, known);
		return 0;
	}
	if (from == STATE_LISTEN && to == STATE_CLOSE) {
		key_of(&k, sk);
		bpf_map_delete_elem(&listeners, &k);
	}
	return 0;
}

/* The packet's addresses and ports, ours as local. */
struct packet {
	u8 source[16];
	u8 dest[16];
	u16 sport;
	u16 dport;
	u32 payload; /* offset */
};

static __always_inline bool read_udp(struct __sk_buff *skb, struct packet *p)
{
	u8 version, proto;
	u16 ports[2];
	u32 head;

	if (bpf_skb_load_bytes(skb, 0, &version, 1))
		return false;
	if (version >> 4 == 4) {
		u32 addr[2];
		u16 fragment;

		if (bpf_skb_load_bytes(skb, 9, &proto, 1) || proto != PROTO_UDP)
			return false;
		if (bpf_skb_load_bytes(skb, 6, &fragment, 2) || (bpf_ntohs(fragment) & 0x1fff))
			return false;
		if (bpf_skb_load_bytes(skb, 12, addr, sizeof(addr)))
			return false;
		mapped(p->source, addr[0]);
		mapped(p->dest, addr[1]);
		head = (version & 15) * 4;
	} else if (version >> 4 == 6) {
		if (bpf_skb_load_bytes(skb, 6, &proto, 1) || proto != PROTO_UDP)
			return false;
		if (bpf_skb_load_bytes(skb, 8, p->source, 16) || bpf_skb_load_bytes(skb, 24, p->dest, 16))
			return false;
		head = 40;
	} else {
		return false;
	}
	if (bpf_skb_load_bytes(skb, head, ports, sizeof(ports)))
		return false;
	p->sport = bpf_ntohs(ports[0]);
	p->dport = bpf_ntohs(ports[1]);
	p->payload = head + 8;
	return true;
}

static __always_inline void first_datagram(u64 cookie, const struct packet *p)
{
	struct socket_event *s = bpf_map_lookup_elem(&silent, &cookie), *e;

	if (!s)
		return;
	e = reserve(EVENT_CONNECT, sizeof(struct socket_event));
	if (e) {
		*e = *s;
		e->header.time = bpf_ktime_get_boot_ns();
		__builtin_memcpy(e->local, p->source, sizeof(e->local));
		e->local_port = p->sport;
		submit(EVENT_CONNECT, e);
	}
	bpf_map_delete_elem(&silent, &cookie);
}

static __always_inline void dns(struct __sk_buff *skb, u64 cookie, const struct packet *p, bool egress)
{
	struct who *w = bpf_map_lookup_elem(&owners, &cookie);
	struct dns_event *e;
	u32 len = skb->len;

	if (len < p->payload + DNS_MIN)
		return;
	len -= p->payload;
	if (len > DNS_MAX)
		len = DNS_MAX;
	e = reserve(EVENT_DNS, sizeof(*e));
	if (!e)
		return;
	e->socket.header.time = bpf_ktime_get_boot_ns();
	e->socket.header.type = EVENT_DNS;
	e->socket.header.flags = 0;
	if (w)
		e->socket.header.who = *w;
	else
		__builtin_memset(&e->socket.header.who, 0, sizeof(e->socket.header.who));
	__builtin_memcpy(e->socket.local, egress ? p->source : p->dest, 16);
	__builtin_memcpy(e->socket.remote, egress ? p->dest : p->source, 16);
	e->socket.local_port = egress ? p->sport : p->dport;
	e->socket.remote_port = egress ? p->dport : p->sport;
	e->socket.protocol = PROTO_UDP;
	e->socket.pad = 0;
	e->socket.err = 0;
	e->socket.netns = 0;
	e->egress = egress;
	e->payload_len = skb->len - p->payload;
	/* The bounds once more, in a form that the verifier of 6.1 still knows at the call. */
	asm volatile("%0 &= 0x7ff" : "+r"(len));
	if (len < DNS_MIN || bpf_skb_load_bytes(skb, p->payload, e->payload, len)) {
		bpf_ringbuf_discard(e, BPF_RB_NO_WAKEUP);
		return;
	}
	submit(EVENT_DNS, e);
}

SEC("cgroup_skb/egress")
int on_egress(struct __sk_buff *skb)
{
	struct packet p;
	u64 cookie;

	if (!read_udp(skb, &p))
		return 1;
	cookie = bpf_get_socket_cookie(skb);
	first_datagram(cookie, &p);
	if (p.dport == DNS_PORT)
		dns(skb, cookie, &p, true);
	return 1;
}

SEC("cgroup_skb/ingress")
int on_ingress(struct __sk_buff *skb)
{
	struct packet p;

	if (read_udp(skb, &p) && p.sport == DNS_PORT)
		dns(skb, bpf_get_socket_cookie(skb), &p, false);
	return 1;
}

#endif
