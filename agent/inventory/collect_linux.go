package inventory

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vedette-edr/vedette/agent/passwd"
	"github.com/vedette-edr/vedette/agent/procfs"
)

const maxFile = 1 << 20 // bytes of any file that are read

// Config is what a Collector needs. The zero value of every field works.
type Config struct {
	// Root holds etc, proc, run and sys; "" means /. The names and the interfaces are
	// always those of the namespace that the process is in.
	Root string
	// Accounts is the account database; nil means the one under Root.
	Accounts *passwd.Cache
	// Now is the wall clock; nil means time.Now.
	Now func() time.Time
}

// Collector makes reports. It is safe for concurrent use.
type Collector struct{ cfg Config }

// New returns a Collector.
func New(cfg Config) *Collector {
	if cfg.Root == "" {
		cfg.Root = "/"
	}
	if cfg.Accounts == nil {
		cfg.Accounts = passwd.NewCache(cfg.Root)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &Collector{cfg: cfg}
}

// Collect reads the device. It takes milliseconds and never fails: what is missing stands
// in Incomplete.
func (c *Collector) Collect() Report {
	r := Report{Time: c.cfg.Now().UTC()}
	var uts unix.Utsname
	if err := unix.Uname(&uts); err != nil {
		r.miss("uname", err)
	}
	r.Hostname = clean(unix.ByteSliceToString(uts.Nodename[:]))
	r.FQDN = c.fqdn(r.Hostname, clean(unix.ByteSliceToString(uts.Domainname[:])))
	release, err := c.text("etc/os-release")
	if err != nil {
		release, err = c.text("usr/lib/os-release")
	}
	if err != nil {
		r.miss("os-release", err)
	}
	r.OS = osRelease(release)
	r.OS.Kernel = clean(unix.ByteSliceToString(uts.Release[:]))
	r.OS.KernelBuild = clean(unix.ByteSliceToString(uts.Version[:]))
	r.OS.Architecture, r.OS.Processor = architecture(unix.ByteSliceToString(uts.Machine[:]))

	r.Hardware = c.hardware()
	r.BootID = c.line("proc/sys/kernel/random/boot_id")
	r.BootTime = c.bootTime()
	c.users(&r)
	c.network(&r)
	r.Fingerprint.MachineID = c.line("etc/machine-id")
	if r.Fingerprint.MachineID == "" {
		r.Fingerprint.MachineID = c.line("var/lib/dbus/machine-id")
	}
	r.Fingerprint.DMIUUID = strings.ToLower(c.line("sys/class/dmi/id/product_uuid"))
	if r.Fingerprint.MachineID == "" {
		r.Incomplete = append(r.Incomplete, "machine-id: none")
	}
	return r
}

func (r *Report) miss(what string, err error) {
	r.Incomplete = append(r.Incomplete, clean(what+": "+err.Error()))
}

func (r *Report) cut(what string, n, limit int) {
	r.Incomplete = append(r.Incomplete, fmt.Sprintf("%s: %d of %d", what, limit, n))
}

func (c *Collector) path(name string) string { return filepath.Join(c.cfg.Root, name) }

func (c *Collector) text(name string) (string, error) {
	f, err := os.Open(c.path(name))
	if err != nil {
		return "", err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxFile))
	return string(b), err
}

// line returns the first line of a file, "" when there is none.
func (c *Collector) line(name string) string {
	s, _ := c.text(name)
	s, _, _ = strings.Cut(s, "\n")
	return clean(strings.TrimRight(s, "\x00"))
}

// fqdn asks no server: the name itself, the hosts file, the kernel's domain.
func (c *Collector) fqdn(host, domain string) string {
	if strings.Contains(host, ".") {
		return host
	}
	hosts, _ := c.text("etc/hosts")
	for line := range strings.SplitSeq(hosts, "\n") {
		line, _, _ = strings.Cut(line, "#")
		names := strings.Fields(line)
		if len(names) < 2 || !slices.Contains(names[1:], host) {
			continue
		}
		for _, n := range names[1:] {
			if strings.HasPrefix(n, host+".") && !strings.HasPrefix(n, host+".localdomain") {
				return clean(n)
			}
		}
	}
	if domain != "" && domain != "(none)" {
		return host + "." + domain
	}
	return host
}

func (c *Collector) hardware() Hardware {
	h := Hardware{Vendor: c.line("sys/class/dmi/id/sys_vendor"), Model: c.line("sys/class/dmi/id/product_name")}
	if h.Model == "" {
		h.Model = c.line("sys/firmware/devicetree/base/model")
	}
	h.Chassis, _ = strconv.Atoi(c.line("sys/class/dmi/id/chassis_type"))
	return h
}

func (c *Collector) bootTime() time.Time {
	stat, _ := c.text("proc/stat")
	for line := range strings.SplitSeq(stat, "\n") {
		if s, ok := strings.CutPrefix(line, "btime "); ok {
			if n, err := strconv.ParseInt(strings.TrimSpace(s), 10, 64); err == nil {
				return time.Unix(n, 0).UTC()
			}
		}
	}
	return time.Time{}
}

func (c *Collector) users(r *Report) {
	db := c.cfg.Accounts.DB()
	for i, u := range db.Users {
		if i == MaxUsers {
			r.cut("users", len(db.Users), MaxUsers)
			break
		}
		r.Users = append(r.Users, User{Name: clean(u.Name), Domain: r.Hostname, SID: uid(u.UID), Admin: db.Admin(u.Name)})
	}
	ids, err := c.loginUIDs()
	if err != nil {
		r.miss("logged-on users", err)
	}
	for i, id := range ids {
		if i == MaxLoggedOn {
			r.cut("logged-on users", len(ids), MaxLoggedOn)
			break
		}
		u, ok := db.ByUID(id)
		if !ok {
			u.Name = uid(id) // an account of a directory
		}
		r.LoggedOn = append(r.LoggedOn, User{Name: clean(u.Name), Domain: r.Hostname, SID: uid(id), Admin: id == 0 || db.Admin(u.Name)})
	}
}

// loginUIDs returns who began the sessions that live processes belong to, sorted. It needs
// neither utmp nor a session manager, and su or sudo do not change it.
func (c *Collector) loginUIDs() ([]uint32, error) {
	pids, err := procfs.PIDs(c.path("proc"))
	if err != nil {
		return nil, err
	}
	var ids []uint32
	for _, pid := range pids {
		b, err := os.ReadFile(c.path(filepath.Join("proc", uid(pid), "loginuid")))
		if err != nil {
			continue
		}
		id, err := strconv.ParseUint(strings.TrimSpace(string(b)), 10, 32)
		if err == nil && id != 1<<32-1 && !slices.Contains(ids, uint32(id)) {
			ids = append(ids, uint32(id))
		}
	}
	slices.Sort(ids)
	return ids, nil
}

func uid(n uint32) string { return strconv.FormatUint(uint64(n), 10) }
