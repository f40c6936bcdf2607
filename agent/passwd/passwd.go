// Package passwd reads the local account database of a Linux device: passwd and group.
//
// It reads the files themselves and not the name service, because a name service may ask
// the network and may run code in our process. Accounts of a directory are therefore not
// found here; callers then fall back to the numeric id.
//
// The files are hostile input: a line that does not parse is left out, sizes are bounded,
// and a DB is immutable once returned. Start at Cache, which is what long-lived callers use.
package passwd

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// maxFile bounds how much of one database file is read, in bytes.
const maxFile = 16 << 20

// adminGroups are the groups whose members may become root on the common distributions.
var adminGroups = []string{"sudo", "wheel", "admin"}

// User is one line of passwd. The password field is never kept.
type User struct {
	Name  string
	UID   uint32
	GID   uint32
	Gecos string
	Home  string
	Shell string
}

// Group is one line of group.
type Group struct {
	Name    string
	GID     uint32
	Members []string // names, sorted, without duplicates
}

// DB is both files at one moment.
type DB struct {
	Users  []User
	Groups []Group

	byName map[string]int
	byUID  map[uint32]int
	admins map[string]bool
}

// Read reads etc/passwd and etc/group under root ("/" for the device itself). A missing
// group file is an empty one; a missing passwd file is an error.
func Read(root string) (*DB, error) {
	users, err := readFile(filepath.Join(root, "etc/passwd"))
	if err != nil {
		return nil, fmt.Errorf("read accounts: %w", err)
	}
	groups, err := readFile(filepath.Join(root, "etc/group"))
	if err != nil && !os.IsNotExist(err) {
		return nil, fmt.Errorf("read groups: %w", err)
	}
	return newDB(ParseUsers(users), ParseGroups(groups)), nil
}

func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxFile))
}

func newDB(users []User, groups []Group) *DB {
	d := &DB{
		Users: users, Groups: groups,
		byName: make(map[string]int, len(users)),
		byUID:  make(map[uint32]int, len(users)),
		admins: map[string]bool{},
	}
	adminGIDs := map[uint32]bool{}
	for _, g := range groups {
		if !slices.Contains(adminGroups, g.Name) {
			continue
		}
		adminGIDs[g.GID] = true
		for _, m := range g.Members {
			d.admins[m] = true
		}
	}
	for i, u := range users {
		// The first line wins, as in the C library.
		if _, ok := d.byName[u.Name]; !ok {
			d.byName[u.Name] = i
		}
		if _, ok := d.byUID[u.UID]; !ok {
			d.byUID[u.UID] = i
		}
		if u.UID == 0 || adminGIDs[u.GID] {
			d.admins[u.Name] = true
		}
	}
	return d
}

// ByName returns the user called name.
func (d *DB) ByName(name string) (User, bool) {
	if i, ok := d.byName[name]; ok {
		return d.Users[i], true
	}
	return User{}, false
}

// ByUID returns the first user with the numeric id.
func (d *DB) ByUID(uid uint32) (User, bool) {
	if i, ok := d.byUID[uid]; ok {
		return d.Users[i], true
	}
	return User{}, false
}

// Admin reports whether the user is root by number, or in sudo, wheel or admin.
func (d *DB) Admin(name string) bool { return d.admins[name] }

// ParseUsers parses the text of a passwd file.
func ParseUsers(text []byte) []User {
	var users []User
	each(text, func(f []string) {
		if len(f) != 7 || f[0] == "" {
			return
		}
		uid, err1 := strconv.ParseUint(f[2], 10, 32)
		gid, err2 := strconv.ParseUint(f[3], 10, 32)
		if err1 != nil || err2 != nil {
			return
		}
		users = append(users, User{
			Name: f[0], UID: uint32(uid), GID: uint32(gid), Gecos: f[4], Home: f[5], Shell: f[6],
		})
	})
	return users
}

// ParseGroups parses the text of a group file.
func ParseGroups(text []byte) []Group {
	var groups []Group
	each(text, func(f []string) {
		if len(f) != 4 || f[0] == "" {
			return
		}
		gid, err := strconv.ParseUint(f[2], 10, 32)
		if err != nil {
			return
		}
		var members []string
		for m := range strings.SplitSeq(f[3], ",") {
			if m = strings.TrimSpace(m); m != "" {
				members = append(members, m)
			}
		}
		slices.Sort(members)
		groups = append(groups, Group{Name: f[0], GID: uint32(gid), Members: slices.Compact(members)})
	})
	return groups
}

// each calls f with the colon-separated fields of every line but comments and the "+" and
// "-" lines of old name services.
func each(text []byte, f func([]string)) {
	for line := range strings.SplitSeq(strings.ToValidUTF8(string(text), "\uFFFD"), "\n") {
		if line == "" || strings.ContainsRune("#+-", rune(line[0])) {
			continue
		}
		f(strings.Split(line, ":"))
	}
}

// Cache keeps a DB and reads it anew when a file changed. It is safe for concurrent use.
type Cache struct {
	root string

	mu     sync.Mutex
	db     *DB
	passwd os.FileInfo
	group  os.FileInfo
}

// NewCache returns a cache of the database under root; nothing is read before the first use.
func NewCache(root string) *Cache { return &Cache{root: root} }

// DB returns the database as of now. When it cannot be read the last one that could is
// returned, and an empty one if there was none: never nil.
func (c *Cache) DB() *DB {
	c.mu.Lock()
	defer c.mu.Unlock()
	p, _ := os.Stat(filepath.Join(c.root, "etc/passwd"))
	g, _ := os.Stat(filepath.Join(c.root, "etc/group"))
	if c.db != nil && same(p, c.passwd) && same(g, c.group) {
		return c.db
	}
	db, err := Read(c.root)
	if err != nil {
		if c.db == nil {
			return newDB(nil, nil)
		}
		return c.db
	}
	c.db, c.passwd, c.group = db, p, g
	return db
}

func same(a, b os.FileInfo) bool {
	if a == nil || b == nil {
		return a == nil && b == nil
	}
	return os.SameFile(a, b) && a.Size() == b.Size() && a.ModTime().Equal(b.ModTime())
}
