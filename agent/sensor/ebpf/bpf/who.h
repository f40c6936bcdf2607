// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Who does it: the current task, as every record of this agent names it. A task that is typed
 * (Linux 5.11) is read by plain loads, which cost a tenth of the helper that reads by address.
 */
#pragma once

static __always_inline void fill_who(struct who *w)
{
	struct task_struct *t = bpf_get_current_task_btf();
	struct task_struct *leader, *parent;
	const struct cred *cred;
	u64 pt = bpf_get_current_pid_tgid(), ug = bpf_get_current_uid_gid();

	leader = t->group_leader;
	parent = t->real_parent;
	cred = t->cred;
	w->start = leader->start_boottime;
	w->parent_start = parent->group_leader->start_boottime;
	w->cgroup = bpf_get_current_cgroup_id();
	bpf_core_read(&w->caps, sizeof(w->caps), &cred->cap_effective);
	w->pid = pt >> 32;
	w->tid = (u32)pt;
	w->ppid = parent->tgid;
	w->uid = (u32)ug;
	w->gid = ug >> 32;
	w->euid = cred->euid.val;
	w->loginuid = ~0U;
	w->session = ~0U;
	if (bpf_core_field_exists(t->loginuid))
		w->loginuid = t->loginuid.val;
	if (bpf_core_field_exists(t->sessionid))
		w->session = t->sessionid;
	bpf_get_current_comm(w->comm, sizeof(w->comm));
}
