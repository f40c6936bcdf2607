/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What injected or hidden code needs: ptrace and foreign memory, files in memory, memory
 * that is writable and executable, kernel modules, io_uring. Attempts are reported, at the
 * entry of the call.
 */
#ifndef VEDETTE_MEMORY_H
#define VEDETTE_MEMORY_H

#include "common.h"

#define PROT_WRITE 2
#define PROT_EXEC 4

#define PTRACE_POKETEXT 4
#define PTRACE_POKEDATA 5
#define PTRACE_SETREGS 13
#define PTRACE_ATTACH 16
#define PTRACE_SETREGSET 0x4205
#define PTRACE_SEIZE 0x4206
#define VM_WRITEV 0x10000 /* no ptrace request: process_vm_writev */

static __always_inline int traced(u64 request, u32 target)
{
	struct scratch *s = scratch();
	struct ptrace_event *e;

	if (!s || filtered() || repeated(EVENT_PTRACE, target, request))
		return 0;
	e = begin(s, EVENT_PTRACE, sizeof(*e));
	if (!e)
		return 0;
	e->request = request;
	e->target = target;
	e->pad = 0;
	finish(s);
	return 0;
}

SEC("tracepoint/syscalls/sys_enter_ptrace")
int on_ptrace(struct syscall_enter *ctx)
{
	switch (ctx->args[0]) {
	case PTRACE_POKETEXT:
	case PTRACE_POKEDATA:
	case PTRACE_SETREGS:
	case PTRACE_ATTACH:
	case PTRACE_SETREGSET:
	case PTRACE_SEIZE:
		return traced(ctx->args[0], ctx->args[1]);
	}
	return 0;
}

SEC("tracepoint/syscalls/sys_enter_process_vm_writev")
int on_vm_writev(struct syscall_enter *ctx)
{
	return traced(VM_WRITEV, ctx->args[0]);
}

static __always_inline int writable_code(u64 addr, u64 len, u64 prot, u32 mapped)
{
	struct scratch *s;
	struct memory_event *e;

	if ((prot & (PROT_WRITE | PROT_EXEC)) != (PROT_WRITE | PROT_EXEC))
		return 0;
	s = scratch();
	if (!s || filtered() || repeated(EVENT_WX, 0, 0))
		return 0;
	e = begin(s, EVENT_WX, sizeof(*e));
	if (!e)
		return 0;
	e->addr = addr;
	e->len = len;
	e->prot = prot;
	e->mapped = mapped;
	finish(s);
	return 0;
}

SEC("tracepoint/syscalls/sys_enter_mprotect")
int on_mprotect(struct syscall_enter *ctx)
{
	return writable_code(ctx->args[0], ctx->args[1], ctx->args[2], 0);
}

SEC("tracepoint/syscalls/sys_enter_pkey_mprotect")
int on_pkey_mprotect(struct syscall_enter *ctx)
{
	return writable_code(ctx->args[0], ctx->args[1], ctx->args[2], 0);
}

SEC("tracepoint/syscalls/sys_enter_mmap")
int on_mmap(struct syscall_enter *ctx)
{
	return writable_code(ctx->args[0], ctx->args[1], ctx->args[2], 1);
}

static __always_inline struct file_event *begin_file(struct scratch *s, u32 type, u32 detail)
{
	struct file_event *e;

	if (!s || !(e = begin(s, type, sizeof(*e))))
		return 0;
	e->ino = 0;
	e->dev = e->mode = e->pad = 0;
	e->detail = detail;
	e->dir_len = e->name_len = e->dir2_len = e->name2_len = 0;
	return e;
}

/* At the entry, for its name: it may lie in a page that is not there yet, and is then "". */
SEC("tracepoint/syscalls/sys_enter_memfd_create")
int on_memfd(struct syscall_enter *ctx)
{
	struct scratch *s = scratch();
	struct file_event *e = begin_file(s, EVENT_MEMFD, ctx->args[1]);

	if (!e)
		return 0;
	e->name_len = append_user_string(s, (void *)ctx->args[0], 256);
	finish(s);
	return 0;
}

SEC("tracepoint/syscalls/sys_enter_finit_module")
int on_finit_module(struct syscall_enter *ctx)
{
	struct scratch *s = scratch();
	struct file_event *e = begin_file(s, EVENT_MODULE, 0);
	struct file *f = file_of(ctx->args[0]);

	if (!e)
		return 0;
	if (f)
		e->dir_len = append_path(s, &f->f_path);
	finish(s);
	return 0;
}

SEC("tracepoint/syscalls/sys_enter_init_module")
int on_init_module(struct syscall_enter *ctx)
{
	struct scratch *s = scratch();

	if (begin_file(s, EVENT_MODULE, 1))
		finish(s);
	return 0;
}

SEC("tracepoint/syscalls/sys_enter_io_uring_setup")
int on_io_uring(struct syscall_enter *ctx)
{
	struct scratch *s = scratch();
	struct iouring_event *e;

	if (!s || !(e = begin(s, EVENT_IOURING, sizeof(*e))))
		return 0;
	e->entries = ctx->args[0];
	e->pad = 0;
	finish(s);
	return 0;
}

#endif
