// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Host and path of an HTTP request. */
#pragma once

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
