// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Marks sockets when they are made, by who makes them: what an isolated device lets through
 * for some programs alone is told by that mark.
 */
#include "kernel.h"
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>

volatile const u32 mark = 0;

/* An executable, as its inode has it. */
struct program {
	u64 ino;
	u32 dev; /* the kernel's own dev_t */
	u32 pad;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 64);
	__type(key, struct program);
	__type(value, u8);
} programs SEC(".maps");

/* On the root of all cgroups: marks what listed programs make. */
SEC("cgroup/sock_create")
int mark_program(struct bpf_sock *ctx)
{
	struct task_struct *t = (void *)bpf_get_current_task();
	struct inode *i = BPF_CORE_READ(t, mm, exe_file, f_inode);
	struct program p = {};

	if (!i)
		return 1;
	p.ino = BPF_CORE_READ(i, i_ino);
	p.dev = BPF_CORE_READ(i, i_sb, s_dev);
	if (bpf_map_lookup_elem(&programs, &p))
		ctx->mark = mark;
	return 1;
}

/* On a listed cgroup: marks whatever is made below it. */
SEC("cgroup/sock_create")
int mark_cgroup(struct bpf_sock *ctx)
{
	ctx->mark = mark;
	return 1;
}

char _license[] SEC("license") = "Dual BSD/GPL";
