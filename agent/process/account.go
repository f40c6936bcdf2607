package process

import (
	"bufio"
	"io"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/vedette-edr/vedette/schema/event"
)

// Accounts turns numeric user ids into accounts by reading a passwd file, again whenever
// the file changed. Its methods may be called from any goroutine.
type Accounts struct {
	path string
	now  func() time.Time
	host string

	mu      sync.Mutex
	byUID   map[uint32]event.Account
	checked time.Time
	seen    os.FileInfo
}

// passwdLimit bounds the file that is read, and passwdRecheck how stale a name may be.
const (
	passwdLimit   = 16 << 20
	passwdRecheck = 2 * time.Second
)

// NewAccounts reads accounts from the passwd file at path.
func NewAccounts(path string, now func() time.Time) *Accounts {
	host, _ := os.Hostname()
	return &Accounts{path: path, now: now, host: host}
}

// Lookup returns the account with the given id; its name is "" when the file has none.
func (a *Accounts) Lookup(uid uint32) event.Account {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.refresh()
	if acc, ok := a.byUID[uid]; ok {
		return acc
	}
	return event.Account{Domain: a.host, SID: strconv.FormatUint(uint64(uid), 10)}
}

func (a *Accounts) refresh() {
	now := a.now()
	if !a.checked.IsZero() && now.Sub(a.checked) < passwdRecheck && !now.Before(a.checked) {
		return
	}
	a.checked = now
	fi, err := os.Stat(a.path)
	if err != nil || !fi.Mode().IsRegular() {
		return // an unreadable file leaves the names as they were
	}
	if a.seen != nil && os.SameFile(fi, a.seen) && fi.ModTime().Equal(a.seen.ModTime()) && fi.Size() == a.seen.Size() {
		return
	}
	f, err := os.Open(a.path)
	if err != nil {
		return
	}
	defer f.Close()
	byUID := make(map[uint32]event.Account)
	sc := bufio.NewScanner(io.LimitReader(f, passwdLimit))
	for sc.Scan() {
		name, rest, _ := strings.Cut(sc.Text(), ":")
		fields := strings.SplitN(rest, ":", 3)
		if name == "" || strings.HasPrefix(name, "#") || len(fields) < 2 {
			continue
		}
		n, err := strconv.ParseUint(fields[1], 10, 32)
		if err != nil {
			continue
		}
		// The first line wins, as it does for getpwuid.
		if _, ok := byUID[uint32(n)]; !ok {
			byUID[uint32(n)] = event.Account{Name: Text(name), Domain: a.host, SID: fields[1]}
		}
	}
	if sc.Err() == nil {
		a.byUID, a.seen = byUID, fi
	}
}
