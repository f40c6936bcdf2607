// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Ends programs that no file system has: memory files, and files that were deleted. The
 * signal is pending when execve returns, so that none of their own instructions runs.
 */
#include "kernel.h"
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>

/* Only below this cgroup, which is that deep; 0 for everywhere. */
volatile const u64 scope = 0;
volatile const u32 depth = 0;

#define SIGKILL 9

struct ended {
	u32 pid;
	u32 uid;
	char name[128]; /* of the file, as its directory had it */
};

const struct ended *unused_ended __attribute__((unused)); /* keeps its type for user space */

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 16);
} events SEC(".maps");

SEC("raw_tracepoint/sched_process_exec")
int end_fileless(struct bpf_raw_tracepoint_args *ctx)
{
	struct task_struct *t = (void *)ctx->args[0];
	struct file *exe = BPF_CORE_READ(t, mm, exe_file);
	struct inode *inode = BPF_CORE_READ(exe, f_inode);
	struct ended *e;

	if (!inode || BPF_CORE_READ(inode, i_nlink))
		return 0;
	if (scope && bpf_get_current_ancestor_cgroup_id(depth) != scope)
		return 0;
	bpf_send_signal(SIGKILL);
	e = bpf_ringbuf_reserve(&events, sizeof(*e), 0);
	if (!e)
		return 0; /* it is ended all the same */
	e->pid = bpf_get_current_pid_tgid() >> 32;
	e->uid = bpf_get_current_uid_gid();
	e->name[0] = 0;
	bpf_probe_read_kernel_str(e->name, sizeof(e->name), BPF_CORE_READ(exe, f_path.dentry, d_name.name));
	bpf_ringbuf_submit(e, 0);
	return 0;
}

char _license[] SEC("license") = "Dual BSD/GPL";
