package account

import (
	"encoding/json"
	"hash/maphash"
	"slices"
	"strconv"
	"strings"

	"github.com/vedette-edr/vedette/agent/passwd"
	"github.com/vedette-edr/vedette/schema/event"
)

// secret is what is kept of a line of shadow.
type secret struct {
	Locked bool
	Sum    uint64 // of the password field, under a seed of this process
}

// identity is the state of users and groups.
type identity struct {
	db     *passwd.DB
	shadow map[string]secret // nil when shadow could not be read
}

// parseShadow keeps of each password only whether it is locked and a keyed sum.
func parseShadow(text []byte, seed maphash.Seed) map[string]secret {
	out := map[string]secret{}
	for line := range strings.SplitSeq(string(text), "\n") {
		f := strings.SplitN(line, ":", 3)
		if len(f) < 2 || f[0] == "" {
			continue
		}
		out[f[0]] = secret{
			Locked: strings.HasPrefix(f[1], "!") || strings.HasPrefix(f[1], "*"),
			Sum:    maphash.String(seed, strings.TrimLeft(f[1], "!")),
		}
	}
	return out
}

// change is one difference, before it is an event.
type change struct {
	action  string
	path    string // of the file that says so, from the root
	account *event.Account
	file    *event.File
	fields  map[string]any
}

// diffIdentity returns what changed, users first, in the order of the names.
func diffIdentity(old, now identity, host string) []change {
	var out []change
	a, b := users(old.db), users(now.db)
	acct := func(u passwd.User) *event.Account {
		return &event.Account{Name: u.Name, Domain: host, SID: itoa(u.UID)}
	}
	for _, name := range keys(a, b) {
		was, had := a[name]
		is, has := b[name]
		switch {
		case !had:
			out = append(out, change{action: "UserAccountCreated", account: acct(is), path: "etc/passwd", fields: map[string]any{
				"Gid": is.GID, "HomeDirectory": clip(is.Home), "Shell": clip(is.Shell), "IsLocalAdmin": now.db.Admin(name),
			}})
		case !has:
			out = append(out, change{action: "UserAccountDeleted", account: acct(was), path: "etc/passwd"})
		default:
			if fields := modified(was, is, old.shadow, now.shadow); fields != nil {
				fields["IsLocalAdmin"] = now.db.Admin(name)
				path := "etc/passwd"
				if was == is {
					path = "etc/shadow"
				}
				out = append(out, change{action: "UserAccountModified", account: acct(is), path: path, fields: fields})
			}
		}
	}
	return append(out, diffGroups(old, now, host)...)
}

// modified returns the additional fields of a change of one user, nil for none.
func modified(was, is passwd.User, old, now map[string]secret) map[string]any {
	var props []string
	before := map[string]any{}
	note := func(name string, a, b any) {
		if a == b {
			return
		}
		props = append(props, name)
		if s, ok := a.(string); ok {
			a = clip(s)
		}
		before[name] = a
	}
	note("Uid", was.UID, is.UID)
	note("Gid", was.GID, is.GID)
	note("FullName", was.Gecos, is.Gecos)
	note("HomeDirectory", was.Home, is.Home)
	note("Shell", was.Shell, is.Shell)
	s, ok := old[is.Name]
	n, ok2 := now[is.Name]
	if ok && ok2 {
		note("Locked", s.Locked, n.Locked)
		if s.Sum != n.Sum {
			props = append(props, "Password")
		}
	}
	if props == nil {
		return nil
	}
	fields := map[string]any{"ModifiedProperties": props}
	if len(before) > 0 {
		fields["PreviousValues"] = before
	}
	return fields
}

func diffGroups(old, now identity, host string) []change {
	var out []change
	a, b := groups(old.db), groups(now.db)
	for _, name := range keys(a, b) {
		was, had := a[name]
		is, has := b[name]
		g := is
		if !has {
			g = was
		}
		fields := func() map[string]any {
			return map[string]any{"GroupName": name, "GroupSid": itoa(g.GID), "GroupDomainName": host}
		}
		if !had {
			out = append(out, change{action: "SecurityGroupCreated", path: "etc/group", fields: fields()})
		}
		member := func(action, m string, db *passwd.DB) {
			c := change{action: action, path: "etc/group", account: &event.Account{Name: m, Domain: host}, fields: fields()}
			if u, ok := db.ByName(m); ok {
				c.account.SID = itoa(u.UID)
				c.fields["MemberSid"] = c.account.SID
			}
			out = append(out, c)
		}
		for _, m := range is.Members {
			if !slices.Contains(was.Members, m) {
				member("UserAccountAddedToLocalGroup", m, now.db)
			}
		}
		for _, m := range was.Members {
			if !slices.Contains(is.Members, m) {
				member("UserAccountRemovedFromLocalGroup", m, old.db)
			}
		}
		if !has {
			out = append(out, change{action: "SecurityGroupDeleted", path: "etc/group", fields: fields()})
		}
	}
	return out
}

// diffUnits returns what changed among services and tasks, in the order of the names.
func diffUnits(old, now map[string]unit) []change {
	var out []change
	for _, name := range keys(old, now) {
		was, had := old[name]
		is, has := now[name]
		verb := 1
		switch {
		case !had:
			verb = 0
		case !has:
			verb, is = 2, was
		case was.equal(is):
			continue
		}
		c := change{action: is.kind.actions()[verb], path: is.path, fields: is.fields()}
		if verb == 1 {
			c.fields["ModifiedProperties"] = is.changes(was)
		}
		if verb != 2 {
			c.file = &event.File{Size: is.size, SHA256: is.sha256}
		}
		out = append(out, c)
	}
	return out
}

func users(db *passwd.DB) map[string]passwd.User {
	out := make(map[string]passwd.User, len(db.Users))
	for _, u := range db.Users {
		if _, ok := out[u.Name]; !ok {
			out[u.Name] = u
		}
	}
	return out
}

func groups(db *passwd.DB) map[string]passwd.Group {
	out := make(map[string]passwd.Group, len(db.Groups))
	for _, g := range db.Groups {
		if _, ok := out[g.Name]; !ok {
			out[g.Name] = g
		}
	}
	return out
}

// keys returns the names of both maps, sorted, each once.
func keys[T any](a, b map[string]T) []string {
	out := make([]string, 0, len(b))
	for k := range a {
		out = append(out, k)
	}
	for k := range b {
		if _, ok := a[k]; !ok {
			out = append(out, k)
		}
	}
	slices.Sort(out)
	return out
}

func itoa(n uint32) string { return strconv.FormatUint(uint64(n), 10) }

func object(fields map[string]any) string {
	if len(fields) == 0 {
		return ""
	}
	b, _ := json.Marshal(fields) // of strings, numbers, bools and lists of them: cannot fail
	return string(b)
}
