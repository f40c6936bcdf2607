package audit

import (
	"errors"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// owner turns audit on when nobody owns it and puts it back. A mark on disk, valid for
// one boot, lets other agents on the kernel, and the next run after one was killed, know
// that it was an agent that turned it on: the last one to leave turns it off.
type owner struct {
	c      *control
	mark   string // path; "" for none
	bootID string
	mine   bool // we turned it on
	rule   bool // the task rule is ours
}

func newOwner(c *control, mark string) *owner {
	o := &owner{c: c, mark: mark}
	if b, err := os.ReadFile("/proc/sys/kernel/random/boot_id"); err == nil {
		o.bootID = strings.TrimSpace(string(b))
	}
	return o
}

// acquire makes user messages flow if it may. It is repeatable; it reports the state it
// found and whether it had to turn audit on.
func (o *owner) acquire() (found status, turnedOn bool, err error) {
	found, err = o.c.status()
	if err != nil {
		return found, false, err
	}
	switch {
	case found.PID != 0:
		// A daemon has it: what it finds enabled is its own business from now on.
		o.disown()
		return found, false, nil
	case found.unowned():
		if err := o.c.enable(1); err != nil {
			return found, false, err
		}
		o.mine, turnedOn = true, true
		o.remember()
	case found.Enabled == 1 && o.remembered():
		o.mine = true
	}
	if o.mine && !o.rule {
		err := o.c.taskNever(msgAddRule)
		o.rule = err == nil || errors.Is(err, unix.EEXIST)
	}
	return found, turnedOn, nil
}

// restore undoes what acquire did, unless somebody took audit over meanwhile or somebody
// else listens, own being the listening sockets of this process.
func (o *owner) restore(own int) error {
	if !o.mine {
		return nil
	}
	if listeners() > own {
		o.mine, o.rule = false, false
		return nil
	}
	s, err := o.c.status()
	if err != nil {
		return err
	}
	owned := s.PID != 0
	o.disown()
	if owned || s.Enabled != 1 {
		return nil
	}
	return o.c.enable(0)
}

func (o *owner) disown() {
	if o.rule {
		_ = o.c.taskNever(msgDelRule) // gone already when the new owner cleared the rules
	}
	o.mine, o.rule = false, false
	if o.mark != "" {
		_ = os.Remove(o.mark)
	}
}

func (o *owner) remember() {
	if o.mark != "" && o.bootID != "" {
		_ = os.WriteFile(o.mark, []byte(o.bootID+"\n"), 0o600)
	}
}

func (o *owner) remembered() bool {
	if o.mine || o.mark == "" || o.bootID == "" {
		return o.mine
	}
	b, err := os.ReadFile(o.mark)
	return err == nil && strings.TrimSpace(string(b)) == o.bootID
}

// listeners counts the sockets in this network namespace that are members of READLOG.
func listeners() int {
	b, err := os.ReadFile("/proc/net/netlink")
	if err != nil {
		return 0
	}
	n := 0
	for line := range strings.SplitSeq(string(b), "\n") {
		f := strings.Fields(line) // socket, protocol, port, groups, …
		if len(f) < 4 || f[1] != strconv.Itoa(unix.NETLINK_AUDIT) {
			continue
		}
		if groups, err := strconv.ParseUint(f[3], 16, 32); err == nil && groups&(1<<(groupReadLog-1)) != 0 {
			n++
		}
	}
	return n
}
