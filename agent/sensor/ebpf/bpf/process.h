/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* exec, fork and exit. The tracepoints' arguments are typed: plain loads read them. */
#ifndef VEDETTE_PROCESS_H
#define VEDETTE_PROCESS_H

#include "common.h"

#define ARGS_MAX 0x7fff

/* From 6.13 bit 31 of the nanoseconds says that the time was asked for. */
#define NSEC_MASK 0x3fffffff

static __always_inline u64 inode_mtime(struct inode *i)
{
	struct inode___split *n = (void *)i;
	struct inode___hidden *h = (void *)i;
	struct inode___plain *p = (void *)i;

	if (bpf_core_field_exists(n->i_mtime_sec))
		return n->i_mtime_sec * NSEC + (n->i_mtime_nsec & NSEC_MASK);
	if (bpf_core_field_exists(h->__i_mtime))
		return h->__i_mtime.tv_sec * NSEC + h->__i_mtime.tv_nsec;
	return p->i_mtime.tv_sec * NSEC + p->i_mtime.tv_nsec;
}

static __always_inline u64 inode_ctime(struct inode *i)
{
	struct inode___split *n = (void *)i;
	struct inode___hidden *h = (void *)i;
	struct inode___plain *p = (void *)i;

	if (bpf_core_field_exists(n->i_ctime_sec))
		return n->i_ctime_sec * NSEC + (n->i_ctime_nsec & NSEC_MASK);
	if (bpf_core_field_exists(h->__i_ctime))
		return h->__i_ctime.tv_sec * NSEC + h->__i_ctime.tv_nsec;
	return p->i_ctime.tv_sec * NSEC + p->i_ctime.tv_nsec;
}

SEC("tp_btf/sched_process_exec")
int on_exec(struct bpf_raw_tracepoint_args *ctx)
{
	struct task_struct *t = (void *)ctx->args[0];
	struct linux_binprm *bprm = (void *)ctx->args[2];
	struct scratch *s = scratch();
	struct exec_event *e;
	struct mm_struct *mm;
	struct fs_struct *fs;
	struct inode *inode;
	struct file *exe;
	u64 start, n;
	long got;

	if (!s || !(e = begin(s, EVENT_EXEC, sizeof(*e))))
		return 0;
	mm = t->mm;
	exe = mm->exe_file;
	inode = exe->f_inode;
	e->ino = inode->i_ino;
	e->mtime = inode_mtime(inode);
	e->ctime = inode_ctime(inode);
	e->size = inode->i_size;
	e->dev = inode->i_sb->s_dev;
	e->nlink = inode->i_nlink;
	if (!e->nlink)
		s->flags |= FLAG_URGENT; /* a program without a name is found only while it runs */
	e->mode = inode->i_mode;
	e->argc = bprm->argc;
	e->exe_len = append_path(s, &exe->f_path);
	fs = t->fs;
	e->cwd_len = append_path(s, &fs->pwd);

	e->file_len = 0;
	got = bpf_probe_read_kernel_str(&s->data[s->off & DATA_MASK], 4096, bprm->filename);
	if (got > 0) {
		e->file_len = got;
		s->off += got;
	}

	/* The stack was written a moment ago by this very call, so its pages are present. */
	start = mm->arg_start;
	n = mm->arg_end - start;
	e->args_total = n;
	if (n > ARGS_MAX)
		n = ARGS_MAX;
	asm volatile("%0 &= 0x7fff" : "+r"(n));
	if (bpf_probe_read_user(&s->data[s->off & DATA_MASK], n, (void *)start))
		n = 0;
	e->args_len = n;
	s->off += n;
	finish(s);
	return 0;
}

SEC("tp_btf/sched_process_fork")
int on_fork(struct bpf_raw_tracepoint_args *ctx)
{
	struct task_struct *child = (void *)ctx->args[1];
	struct scratch *s;
	struct fork_event *e;
	u32 pid = child->tgid;

	if (pid != child->pid)
		return 0; /* a thread */
	s = scratch();
	if (!s || !(e = begin(s, EVENT_FORK, sizeof(*e))))
		return 0;
	e->child = pid;
	e->child_start = child->start_boottime;
	e->parent = child->real_parent->tgid;
	e->parent_start = child->real_parent->group_leader->start_boottime;
	finish(s);
	return 0;
}

SEC("tp_btf/sched_process_exit")
int on_exit(struct bpf_raw_tracepoint_args *ctx)
{
	struct task_struct *t = (void *)ctx->args[0];
	struct signal_struct *sig = t->signal;
	struct scratch *s;
	struct exit_event *e;
	int code;

	/* The last thread ends the process, whichever it is. */
	if (sig->live.counter)
		return 0;
	s = scratch();
	if (!s || !(e = begin(s, EVENT_EXIT, sizeof(*e))))
		return 0;
	code = sig->group_exit_code;
	e->code = code ? code : t->exit_code;
	e->pad = 0;
	finish(s);
	return 0;
}

#endif
