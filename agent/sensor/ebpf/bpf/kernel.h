/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The few kernel structures that the programs read, with the few fields they read. Field
 * offsets are relocated at load time against the running kernel's BTF (CO-RE), so order
 * and neighbours do not matter here. A "___" suffix is a flavour: an older or newer shape of
 * the same kernel structure, chosen with bpf_core_field_exists.
 */
#ifndef VEDETTE_KERNEL_H
#define VEDETTE_KERNEL_H

#include <linux/types.h>
#include <stdbool.h>

typedef __u8 u8;
typedef __u16 u16;
typedef __u32 u32;
typedef __u64 u64;
typedef __s64 s64;

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct qstr {
	u32 len;
	const unsigned char *name;
};

struct dentry {
	struct dentry *d_parent;
	struct qstr d_name;
};

struct vfsmount {
	struct dentry *mnt_root;
};

struct mount {
	struct mount *mnt_parent;
	struct dentry *mnt_mountpoint;
	struct vfsmount mnt;
};

struct path {
	struct vfsmount *mnt;
	struct dentry *dentry;
};

struct super_block {
	u32 s_dev;
};

struct inode {
	u16 i_mode;
	u64 i_ino;
	s64 i_size;
	u32 i_nlink;
	struct super_block *i_sb;
};

struct timespec64 {
	s64 tv_sec;
	long tv_nsec;
};

/* Up to 6.5 both, up to 6.6 i_mtime. */
struct inode___plain {
	struct timespec64 i_mtime;
	struct timespec64 i_ctime;
};

/* 6.6 (ctime) and 6.7 (mtime) to 6.10. */
struct inode___hidden {
	struct timespec64 __i_mtime;
	struct timespec64 __i_ctime;
};

/* From 6.11. */
struct inode___split {
	s64 i_mtime_sec;
	s64 i_ctime_sec;
	u32 i_mtime_nsec;
	u32 i_ctime_nsec;
};

struct file {
	u32 f_mode;
	struct path f_path;
	struct inode *f_inode;
	void *private_data;
};

struct fdtable {
	unsigned int max_fds;
	struct file **fd;
};

struct files_struct {
	struct fdtable *fdt;
};

struct fs_struct {
	struct path root;
	struct path pwd;
};

struct mm_struct {
	unsigned long arg_start;
	unsigned long arg_end;
	struct file *exe_file;
};

typedef struct {
	u32 val;
} kuid_t;

typedef struct {
	u32 val;
} kgid_t;

/*
 * One 64-bit set; two 32-bit halves before 6.3, in the same bytes on little endian: read it
 * whole, the name of its member differs.
 */
typedef struct {
	u64 val;
} kernel_cap_t;

struct cred {
	kuid_t uid;
	kgid_t gid;
	kuid_t euid;
	kernel_cap_t cap_effective;
};

typedef struct {
	int counter;
} atomic_t;

struct signal_struct {
	atomic_t live; /* threads that have not exited */
	int group_exit_code;
};

struct task_struct {
	struct signal_struct *signal;
	int pid;
	int tgid;
	u64 start_boottime;
	int exit_code;
	struct task_struct *real_parent;
	struct task_struct *group_leader;
	struct mm_struct *mm;
	struct fs_struct *fs;
	struct files_struct *files;
	const struct cred *cred;
	kuid_t loginuid;
	unsigned int sessionid;
};

struct linux_binprm {
	const char *filename;
	int argc;
};

struct in6_addr {
	u8 bytes[16];
};

struct ns_common {
	unsigned int inum;
};

struct net {
	struct ns_common ns;
};

typedef struct {
	struct net *net;
} possible_net_t;

struct sock_common {
	u32 skc_daddr;
	u32 skc_rcv_saddr;
	u16 skc_dport; /* network order */
	u16 skc_num;   /* host order */
	u16 skc_family;
	possible_net_t skc_net;
	struct in6_addr skc_v6_daddr;
	struct in6_addr skc_v6_rcv_saddr;
};

struct sock {
	struct sock_common __sk_common;
	int sk_err;
};

struct inet_sock {
	u16 inet_sport; /* network order; stays when the port is given back */
};

#pragma clang attribute pop

/* Stable layouts: the tracepoint format files under tracefs/events/syscalls. */
struct syscall_enter {
	u64 common;
	s64 id;
	u64 args[6];
};

struct syscall_exit {
	u64 common;
	s64 id;
	s64 ret;
};

#endif
