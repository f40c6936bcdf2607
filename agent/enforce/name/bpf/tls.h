// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The server name of a TLS client hello. */
#pragma once

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
