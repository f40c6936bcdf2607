// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "common.h"
#include "file.h"
#include "memory.h"
#include "network.h"
#include "process.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* Pointers that put the types into BTF, from which bpf2go declares them for Go. */
const struct exec_event *type_exec __attribute__((unused));
const struct fork_event *type_fork __attribute__((unused));
const struct exit_event *type_exit __attribute__((unused));
const struct socket_event *type_socket __attribute__((unused));
const struct dns_event *type_dns __attribute__((unused));
const struct file_event *type_file __attribute__((unused));
const struct memory_event *type_memory __attribute__((unused));
const struct ptrace_event *type_ptrace __attribute__((unused));
const struct iouring_event *type_iouring __attribute__((unused));
const enum event_type *type_event __attribute__((unused));
