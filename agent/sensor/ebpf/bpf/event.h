/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the programs send. Every record starts with struct header; the Go side reads these
 * layouts through the declarations that bpf2go makes of them. Variable parts follow the
 * structure in the order of its *_len fields. Walked paths are components, leaf first, each
 * ended by a NUL; user space turns them round.
 */
#ifndef VEDETTE_EVENT_H
#define VEDETTE_EVENT_H

#include "kernel.h"

enum event_type {
	EVENT_EXEC = 1,
	EVENT_FORK,
	EVENT_EXIT,
	EVENT_CONNECT,
	EVENT_CONNECTED,
	EVENT_CONNECT_FAILED,
	EVENT_ACCEPT,
	EVENT_LISTEN,
	EVENT_DNS,
	EVENT_CREATE,
	EVENT_MODIFY,
	EVENT_RENAME,
	EVENT_DELETE,
	EVENT_PTRACE,
	EVENT_MEMFD,
	EVENT_WX,
	EVENT_MODULE,
	EVENT_IOURING,
	EVENT_READ,
	EVENT_END,
};

/* Who did it: the thread group, as far as a table that never saw it would need. */
struct who {
	u64 start;        /* boot time ns at which the process started */
	u64 parent_start; /* the same of its parent */
	u64 cgroup;
	u64 caps; /* effective capabilities */
	u32 pid;
	u32 tid;
	u32 ppid;
	u32 uid;
	u32 euid;
	u32 gid;
	u32 loginuid; /* audit login uid, ~0 when unset */
	u32 session;  /* audit session id, ~0 when unset */
	char comm[16];
};

struct header {
	u64 time; /* boot time ns */
	u32 type;
	u32 flags;
	struct who who;
};

#define FLAG_PATH_CUT 1 /* a path has more components or bytes than were walked */
#define FLAG_URGENT 2   /* the reader was woken: what it wants to look at may soon be gone */

struct exec_event {
	struct header header;
	u64 ino;
	u64 mtime; /* ns since the epoch */
	u64 ctime;
	s64 size;
	u32 dev; /* the kernel's dev_t: major << 20 | minor */
	u32 nlink;
	u32 mode;
	u32 argc;
	u32 args_total; /* bytes of all arguments; args_len may be less */
	u32 exe_len;
	u32 cwd_len;
	u32 file_len; /* the path that was asked for: the script, for a script */
	u32 args_len;
	u32 pad;
};

struct fork_event {
	struct header header;
	u64 child_start;
	u64 parent_start;
	u32 child;
	u32 parent; /* of the child: not the creator under CLONE_PARENT */
};

struct exit_event {
	struct header header;
	u32 code; /* as wait(2) gives it */
	u32 pad;
};

struct socket_event {
	struct header header;
	u8 local[16]; /* IPv4 as ::ffff:a.b.c.d */
	u8 remote[16];
	u16 local_port;
	u16 remote_port;
	u16 protocol;
	u16 pad;
	u32 err; /* errno of a failed connection, 0 when closed by its owner */
	u32 netns;
};

#define DNS_MAX 0x7ff
#define DNS_MIN 12 /* a header */

struct dns_event {
	struct socket_event socket;
	u32 egress;
	u32 payload_len; /* of the datagram; at most DNS_MAX bytes of it follow */
	u8 payload[DNS_MAX + 1];
};

/* A created, modified or secret file, a rename, a delete, a memfd's name, a module's file. */
struct file_event {
	struct header header;
	u64 ino;
	u32 dev;
	u32 mode;
	u32 detail;  /* open flags, memfd flags, or 1 for a module given as memory */
	u32 dir_len; /* walked directory that name is relative to */
	u32 name_len;
	u32 dir2_len; /* rename: of the new name */
	u32 name2_len;
	u32 pad;
};

struct memory_event {
	struct header header;
	u64 addr;
	u64 len;
	u32 prot;
	u32 mapped; /* 1 for mmap, 0 for mprotect */
};

struct ptrace_event {
	struct header header;
	u64 request;
	u32 target;
	u32 pad;
};

struct iouring_event {
	struct header header;
	u32 entries;
	u32 pad;
};

#endif
