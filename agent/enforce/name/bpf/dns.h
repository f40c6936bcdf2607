// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The question of a DNS query. */
#pragma once

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
