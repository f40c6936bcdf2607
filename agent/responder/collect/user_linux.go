package collect

import (
	"cmp"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/vedette-edr/vedette/agent/responder/collect/archive"
	"github.com/vedette-edr/vedette/agent/responder/collect/rootfs"
	"github.com/vedette-edr/vedette/agent/utmp"
)

// users lists accounts and groups. Of a password only its kind is told.
func (d *device) users(t *Task, r *rootfs.Root) error {
	db := d.accounts.DB()
	if len(db.Users) == 0 {
		return errors.New("there are no accounts in /etc/passwd")
	}
	shadow := d.shadow(t, r)
	last := d.lastLogons(r)
	tab, err := t.Table("Users.csv", "Name", "UserId", "GroupId", "FullName", "Home", "Shell", "Administrator", "Password", "PasswordChanged", "Expires", "LastLogon", "LastLogonFrom", "LastLogonTerminal")
	if err != nil {
		return err
	}
	defer tab.end()
	for _, u := range db.Users {
		admin := ""
		if db.Admin(u.Name) {
			admin = "1"
		}
		s, l := shadow[u.Name], last(u.UID)
		if err := tab.Row(u.Name, itoa(u.UID), itoa(u.GID), u.Gecos, u.Home, u.Shell, admin, s.kind, s.changed, s.expires, when(l.Time), l.Host, l.Line); err != nil {
			return err
		}
	}
	if err := tab.Close(); err != nil {
		return err
	}
	groups, err := t.Table("Groups.csv", "Name", "GroupId", "Member", "By")
	if err != nil {
		return err
	}
	defer groups.end()
	for _, g := range db.Groups {
		n := 0
		for _, m := range g.Members {
			n++
			if err := groups.Row(g.Name, itoa(g.GID), m, "group"); err != nil {
				return err
			}
		}
		for _, u := range db.Users {
			if u.GID == g.GID {
				n++
				if err := groups.Row(g.Name, itoa(g.GID), u.Name, "primary group"); err != nil {
					return err
				}
			}
		}
		if n == 0 {
			if err := groups.Row(g.Name, itoa(g.GID), "", ""); err != nil {
				return err
			}
		}
	}
	return errors.Join(groups.Close(), d.copyAll(t, r, copying{links: rootfs.FollowLinks, most: small}, "etc/passwd", "etc/group", "etc/sudoers", "etc/sudoers.d/*", "etc/subuid", "etc/subgid",
		"etc/security/access.conf"))
}

// password is what is told of one line of shadow(5).
type password struct{ kind, changed, expires string }

// methods are those of crypt(5).
var methods = [][2]string{{"$1$", "MD5"}, {"$2", "bcrypt"}, {"$5$", "SHA-256"}, {"$6$", "SHA-512"}, {"$y$", "yescrypt"}, {"$gy$", "gost-yescrypt"}, {"$7$", "scrypt"}, {"$argon2", "argon2"}}

func (d *device) shadow(t *Task, r *rootfs.Root) map[string]password {
	b, _, err := r.Read("etc/shadow", rootfs.FollowLinks, 16<<20)
	if err != nil {
		t.Note(err, "/etc/shadow")
		return nil
	}
	out := map[string]password{}
	day := func(n string) string {
		at, err := time.Parse("2006-01-02", "1970-01-01")
		days, err2 := time.ParseDuration(n + "h")
		if err != nil || err2 != nil || n == "" {
			return ""
		}
		return at.Add(days * 24).Format("2006-01-02")
	}
	for line := range strings.Lines(string(b)) {
		f := strings.Split(strings.TrimSpace(line), ":")
		if len(f) < 8 {
			continue
		}
		out[f[0]] = password{kind: passwordKind(f[1]), changed: day(f[2]), expires: day(f[7])}
	}
	return out
}

func passwordKind(s string) string {
	locked := ""
	if strings.HasPrefix(s, "!") {
		locked, s = "locked", strings.TrimLeft(s, "!")
	}
	kind := "traditional"
	switch {
	case s == "" && locked == "":
		return "none: no password is asked for"
	case s == "" || s == "*":
		return cmp.Or(locked, "no logon by password")
	}
	for _, m := range methods {
		if strings.HasPrefix(s, m[0]) {
			kind = m[1]
		}
	}
	if locked != "" {
		return locked + ", " + kind
	}
	return kind
}

// lastLogons returns what lastlog has of a user. The file has holes: it is read where it is
// asked for.
func (d *device) lastLogons(r *rootfs.Root) func(uid uint32) utmp.Last {
	f, _, err := r.Open("var/log/lastlog", rootfs.FollowLinks)
	if err != nil {
		return func(uint32) utmp.Last { return utmp.Last{} }
	}
	// Few are read, and all of them now.
	found := map[uint32]utmp.Last{}
	defer f.Close()
	for _, u := range d.accounts.DB().Users {
		b := make([]byte, utmp.LastSize)
		if _, err := f.ReadAt(b, int64(u.UID)*utmp.LastSize); err == nil {
			found[u.UID] = utmp.ParseLast(b)
		}
	}
	return func(uid uint32) utmp.Last { return found[uid] }
}

// maxLogons is how much of the end of a file of logons is read, in bytes.
const maxLogons = 64 << 20

// logons lists who logged on, when and from where, and who was refused.
func (d *device) logons(t *Task, r *rootfs.Root) error {
	kinds := map[int16]string{utmp.RunLevel: "run level", utmp.Boot: "boot", utmp.Init: "init", utmp.Login: "waiting", utmp.User: "logon", utmp.Dead: "logoff", 3: "new time", 4: "old time"}
	found := false
	for _, v := range [][2]string{{"run/utmp", "LoggedOn.csv"}, {"var/log/wtmp", "Logons.csv"}, {"var/log/wtmp.1", "Logons.1.csv"}, {"var/log/btmp", "FailedLogons.csv"}, {"var/log/btmp.1", "FailedLogons.1.csv"}} {
		f, st, err := r.Open(v[0], rootfs.FollowLinks)
		if err != nil {
			d.missed(t, v[0], err)
			continue
		}
		found = true
		err = func() error {
			defer f.Close()
			tab, err := t.Table(v[1], "Time", "Kind", "User", "Terminal", "Host", "Address", "ProcessId")
			if err != nil {
				return err
			}
			defer tab.end()
			if st.Size%utmp.Size != 0 {
				tab.Cut("/%s is not a whole number of records: it is damaged", v[0])
			}
			if st.Size > maxLogons {
				whole := (st.Size - maxLogons + utmp.Size - 1) / utmp.Size
				if _, err := f.Seek(whole*utmp.Size, io.SeekStart); err != nil {
					return err
				}
				tab.Cut("/%s: the first %d records are left out", v[0], whole)
			}
			b := make([]byte, utmp.Size)
			for read := int64(0); read < maxLogons; read += utmp.Size {
				if _, err := io.ReadFull(f, b); err != nil {
					break // the end; a part of a record was told of
				}
				u := utmp.Parse(b)
				addr := ""
				if u.Addr.IsValid() {
					addr = u.Addr.String()
				}
				kind := kinds[u.Type]
				if strings.HasPrefix(v[1], "Failed") && kind != "" {
					kind = "refused"
				}
				if err := tab.Row(when(u.Time), cmp.Or(kind, itoa(int(u.Type))), u.User, u.Line, u.Host, addr, itoa(u.PID)); err != nil {
					return err
				}
			}
			return tab.Close()
		}()
		if err != nil {
			return err
		}
	}
	for _, name := range []string{"var/lib/wtmpdb/wtmp.db", "var/lib/lastlog/lastlog2.db"} {
		if err := d.copy(t, r, name, copying{links: rootfs.FollowLinks, most: 16 << 20}); err == nil {
			found = true
		}
	}
	if on := d.Inventory.Collect().LoggedOn; len(on) > 0 {
		found = true
		raw, err := json.MarshalIndent(on, "", " ")
		if err != nil {
			return err
		}
		if err := t.Text("SessionsByProcess.json", "/proc/*/loginuid", string(raw)+"\n"); err != nil {
			return err
		}
	}
	if !found {
		return ErrAbsent
	}
	return nil
}

// journalDays is how far back the journal is exported.
const journalDays = "14 days ago"

// logs copies the end of each log, the newest files first, and the journal.
func (d *device) logs(t *Task, r *rootfs.Root) error {
	type log struct {
		path string
		st   rootfs.Stat
	}
	var list []log
	err := r.Walk("var/log", rootfs.FollowLinks, 8, func(f rootfs.Found) error {
		if err := t.ctx.Err(); err != nil {
			return err
		}
		if f.Path == "var/log/journal" || f.Stat.IsDir() && f.Stat.Automount {
			return skip(f)
		}
		if f.Stat.IsRegular() && f.Stat.Size > 0 {
			list = append(list, log{f.Path, f.Stat})
		}
		return nil
	})
	if err != nil {
		if full(err) {
			return err
		}
		t.Note(err, "/var/log")
	}
	// What is cut is what is oldest.
	slices.SortStableFunc(list, func(a, b log) int { return b.st.Modified.Compare(a.st.Modified) })
	for _, l := range list {
		packed := strings.HasSuffix(l.path, ".gz") || strings.HasSuffix(l.path, ".xz") || strings.HasSuffix(l.path, ".zst") || strings.HasSuffix(l.path, ".bz2")
		if packed && l.st.Size > maxLog {
			t.Note(nil, "/%s is left out: %d bytes, and the end of a packed file is of no use", l.path, l.st.Size)
			continue
		}
		if err := d.copy(t, r, l.path, copying{most: maxLog, tail: !packed}); err != nil {
			if full(err) {
				return err
			}
			d.missed(t, l.path, err)
		}
	}
	if len(list) == 0 {
		return ErrAbsent
	}
	return nil
}

// maxLog is how much is copied of one log, in bytes.
const maxLog = 8 << 20

// journal exports what the journal has of the last days, the newest first.
func (d *device) journal(t *Task, r *rootfs.Root) error {
	if len(r.Glob("var/log/journal/*", rootfs.FollowLinks)) == 0 && len(r.Glob("run/log/journal/*", rootfs.FollowLinks)) == 0 {
		return ErrAbsent
	}
	if err := d.run(t, "Journal.json", 96<<20, "journalctl", "--no-pager", "--quiet", "--reverse", "--output=json", "--since="+journalDays); err != nil {
		return err
	}
	return d.run(t, "Boots.txt", small, "journalctl", "--no-pager", "--quiet", "--list-boots")
}

// kernelLog copies the kernel's own messages, which stay where they are.
func (d *device) kernelLog(t *Task) error {
	b, err := kernelMessages()
	if err != nil {
		return err
	}
	f, err := t.Create("KernelMessages.txt", archive.Info{Source: "syslog(2)"})
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	return errors.Join(err, f.Close())
}
