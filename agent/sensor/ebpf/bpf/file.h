/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Files created, opened for writing, renamed and deleted, and secrets opened for reading, as
 * system calls return: only what succeeded is reported, and the strings that the kernel has
 * just read are in memory.
 */
#ifndef VEDETTE_FILE_H
#define VEDETTE_FILE_H

#include "common.h"

#define MODE_READ 0x1         /* FMODE_READ */
#define MODE_WRITE 0x2        /* FMODE_WRITE */
#define MODE_CREATED 0x100000 /* FMODE_CREATED */
#define TYPE_MASK 0170000
#define TYPE_REGULAR 0100000
#define AT_FDCWD -100
#define AT_REMOVEDIR 0x200

struct call {
	u64 path;
	u64 path2;
	int dir;
	int dir2;
};

/*
 * Arguments of a call in flight, by thread. Every call that is watched has an entry, so that
 * one which returns without it is known to have lost it to others.
 */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 8192);
	__type(key, u64);
	__type(value, struct call);
} calls SEC(".maps");

static __always_inline bool own(void)
{
	return bpf_get_current_pid_tgid() >> 32 == self_pid;
}

#define SECRET_NAME 32

/* The last element of a path, ended by a NUL, with NULs after it. */
struct secret_name {
	char text[SECRET_NAME];
};

/*
 * Names of files that hold secrets, written before load. Reading is far too frequent to
 * report more than that; where the file lies is for user space to judge.
 */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 64);
	__type(key, struct secret_name);
	__type(value, u32);
} secrets SEC(".maps");

static __always_inline bool secret(struct file *f)
{
	struct dentry *d = BPF_CORE_READ(f, f_path.dentry);
	struct secret_name k = {};
	u32 len = BPF_CORE_READ(d, d_name.len);

	if (len >= SECRET_NAME || !(secret_lengths >> len & 1))
		return false;
	if (bpf_probe_read_kernel_str(k.text, sizeof(k.text), BPF_CORE_READ(d, d_name.name)) <= 0)
		return false;
	return bpf_map_lookup_elem(&secrets, &k);
}

static __always_inline int opened(s64 fd)
{
	struct file *f;
	struct inode *inode;
	struct scratch *s;
	struct file_event *e;
	u32 mode, type;
	u64 ino;

	if (fd < 0)
		return 0;
	f = file_of(fd);
	mode = BPF_CORE_READ(f, f_mode);
	if (!(mode & (MODE_READ | MODE_WRITE | MODE_CREATED)) || own())
		return 0;
	if (mode & MODE_CREATED) {
		type = EVENT_CREATE;
	} else if (mode & MODE_WRITE) {
		type = EVENT_MODIFY;
	} else {
		type = EVENT_READ;
		if (!secret(f)) /* nearly every open there is ends here */
			return 0;
	}
	inode = BPF_CORE_READ(f, f_inode);
	if ((BPF_CORE_READ(inode, i_mode) & TYPE_MASK) != TYPE_REGULAR)
		return 0;
	ino = BPF_CORE_READ(inode, i_ino);
	if (type == EVENT_READ && (filtered() || repeated(type, 0, ino)))
		return 0;
	s = scratch();
	if (!s || !(e = begin(s, type, sizeof(*e))))
		return 0;
	e->ino = ino;
	e->dev = BPF_CORE_READ(inode, i_sb, s_dev);
	e->mode = BPF_CORE_READ(inode, i_mode);
	e->detail = 0;
	e->name_len = e->dir2_len = e->name2_len = e->pad = 0;
	e->dir_len = append_path(s, &f->f_path);
	finish(s);
	return 0;
}

SEC("tracepoint/syscalls/sys_exit_openat")
int on_openat(struct syscall_exit *ctx)
{
	return opened(ctx->ret);
}

SEC("tracepoint/syscalls/sys_exit_openat2")
int on_openat2(struct syscall_exit *ctx)
{
	return opened(ctx->ret);
}

SEC("tracepoint/syscalls/sys_exit_open")
int on_open(struct syscall_exit *ctx)
{
	return opened(ctx->ret);
}

SEC("tracepoint/syscalls/sys_exit_creat")
int on_creat(struct syscall_exit *ctx)
{
	return opened(ctx->ret);
}

static __always_inline int enter(int dir, u64 path, int dir2, u64 path2)
{
	struct call c = { .path = path, .path2 = path2, .dir = dir, .dir2 = dir2 };
	u64 id = bpf_get_current_pid_tgid();

	if (!own() && !filtered())
		bpf_map_update_elem(&calls, &id, &c, BPF_ANY);
	return 0;
}

/* Appends a name as the caller gave it, and the directory that it starts from. */
static __always_inline void append_name(struct scratch *s, int dir, u64 path, u32 *dir_len, u32 *name_len)
{
	struct task_struct *t = bpf_get_current_task_btf();
	struct fs_struct *fs = t->fs;
	u32 at = s->off;
	struct file *f;

	*name_len = append_user_string(s, (void *)path, 4096);
	if (*name_len && s->data[at & DATA_MASK] == '/') {
		*dir_len = append_path(s, &fs->root);
	} else if (dir == AT_FDCWD) {
		*dir_len = append_path(s, &fs->pwd);
	} else {
		f = file_of(dir);
		*dir_len = f ? append_path(s, &f->f_path) : 0;
	}
}

static __always_inline int leave(s64 ret, u32 type)
{
	u64 id = bpf_get_current_pid_tgid();
	struct call *c = bpf_map_lookup_elem(&calls, &id), call;
	struct scratch *s;
	struct file_event *e;

	if (!c) {
		if (ret >= 0 && !own() && !filtered())
			forgotten(type);
		return 0;
	}
	call = *c;
	bpf_map_delete_elem(&calls, &id);
	s = scratch();
	if (ret < 0 || !call.path || !s || !(e = begin(s, type, sizeof(*e))))
		return 0;
	e->ino = 0;
	e->dev = e->mode = e->detail = e->pad = 0;
	e->dir2_len = e->name2_len = 0;
	append_name(s, call.dir, call.path, &e->dir_len, &e->name_len);
	if (type == EVENT_RENAME)
		append_name(s, call.dir2, call.path2, &e->dir2_len, &e->name2_len);
	finish(s);
	return 0;
}

SEC("tracepoint/syscalls/sys_enter_unlink")
int enter_unlink(struct syscall_enter *ctx)
{
	return enter(AT_FDCWD, ctx->args[0], 0, 0);
}

SEC("tracepoint/syscalls/sys_exit_unlink")
int leave_unlink(struct syscall_exit *ctx)
{
	return leave(ctx->ret, EVENT_DELETE);
}

SEC("tracepoint/syscalls/sys_enter_unlinkat")
int enter_unlinkat(struct syscall_enter *ctx)
{
	/* A directory: not reported, but told from a call whose entry is gone. */
	if (ctx->args[2] & AT_REMOVEDIR)
		return enter(0, 0, 0, 0);
	return enter(ctx->args[0], ctx->args[1], 0, 0);
}

SEC("tracepoint/syscalls/sys_exit_unlinkat")
int leave_unlinkat(struct syscall_exit *ctx)
{
	return leave(ctx->ret, EVENT_DELETE);
}

SEC("tracepoint/syscalls/sys_enter_rename")
int enter_rename(struct syscall_enter *ctx)
{
	return enter(AT_FDCWD, ctx->args[0], AT_FDCWD, ctx->args[1]);
}

SEC("tracepoint/syscalls/sys_exit_rename")
int leave_rename(struct syscall_exit *ctx)
{
	return leave(ctx->ret, EVENT_RENAME);
}

SEC("tracepoint/syscalls/sys_enter_renameat")
int enter_renameat(struct syscall_enter *ctx)
{
	return enter(ctx->args[0], ctx->args[1], ctx->args[2], ctx->args[3]);
}

SEC("tracepoint/syscalls/sys_exit_renameat")
int leave_renameat(struct syscall_exit *ctx)
{
	return leave(ctx->ret, EVENT_RENAME);
}

SEC("tracepoint/syscalls/sys_enter_renameat2")
int enter_renameat2(struct syscall_enter *ctx)
{
	return enter(ctx->args[0], ctx->args[1], ctx->args[2], ctx->args[3]);
}

SEC("tracepoint/syscalls/sys_exit_renameat2")
int leave_renameat2(struct syscall_exit *ctx)
{
	return leave(ctx->ret, EVENT_RENAME);
}

#endif
