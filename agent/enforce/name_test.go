package enforce

import (
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vedette-edr/vedette/agent/enforce/address"
	"github.com/vedette-edr/vedette/agent/enforce/file"
	"github.com/vedette-edr/vedette/agent/enforce/name"
	"github.com/vedette-edr/vedette/agent/hash"
	"github.com/vedette-edr/vedette/wire/wirepb"
)

// book is rules of names in force, in memory.
type book struct {
	seed  name.Seed
	rules map[name.Key]name.Rule
}

func (b *book) Replace(rules iter.Seq[name.Rule], _ int) error {
	b.rules = map[name.Key]name.Rule{}
	for r := range rules {
		if _, twice := b.rules[r.Key]; twice || r.Verdict == 0 || r.ID <= 0 {
			return fmt.Errorf("rule %+v comes twice, wants nothing, or has a wrong id", r)
		}
		b.rules[r.Key] = r
	}
	return nil
}

func (b *book) Change(rules []name.Rule) error {
	for _, r := range rules {
		if r.Verdict == 0 {
			delete(b.rules, r.Key)
		} else {
			b.rules[r.Key] = r
		}
	}
	return nil
}

func (b *book) url(url string) name.Rule {
	key, _, _ := b.seed.URL(url)
	return b.rules[key]
}

func (b *book) open(url string) bool {
	_, open, _ := b.seed.URL(url)
	_, ok := b.rules[open]
	return ok
}

// asker counts how often it is told that answers change.
type asker int

func (a *asker) Changed() { *a++ }

func openNames(t testing.TB, dir string) (*Set, *book, *asker) {
	t.Helper()
	b, a := &book{}, new(asker)
	s, err := Open(Config{StateDir: dir, Device: device, Files: a, Names: func(seed name.Seed) (Names, error) {
		b.seed = seed
		return b, nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s, b, a
}

func of(id int64, kind, value, action string, expires time.Time) *wirepb.Indicator {
	i := &wirepb.Indicator{Id: id, Type: kind, Value: value, Action: action}
	if !expires.IsZero() {
		i.Expires = expires.UnixNano()
	}
	return i
}

func TestNamesAreHandedOutAndTakenBack(t *testing.T) {
	dir := t.TempDir()
	s, b, _ := openNames(t, dir)
	never := time.Time{}
	check := func(what string, want map[string]address.Verdict) {
		t.Helper()
		for n, v := range want {
			got := b.rules[b.seed.Domain(n)].Verdict
			if strings.Contains(n, "/") {
				got = b.url(n).Verdict
			}
			if got != v {
				t.Errorf("%s: %s is %v, not %v", what, n, got, v)
			}
		}
	}
	apply(t, s, full(1, of(1, "DomainName", "evil.example", "Block", never), of(2, "Url", "http://evil.example/fine", "Allowed", never),
		of(3, "Url", "https://other.example/x?y", "Block", never), of(4, "DomainName", "warned.example", "Warn", never)))
	want := map[string]address.Verdict{"evil.example": address.Block, "http://evil.example/fine": address.Allow, "other.example/x?y": address.Block, "warned.example": address.Warn}
	check("a complete set", want)
	if !b.open("evil.example/") || b.open("other.example/") {
		t.Error("the host of an allowed path may be resolved, that of a blocked one need not be marked")
	}
	// What was allowed becomes blocked: the host is no longer to be resolved for it.
	apply(t, s, diff(1, 2, []*wirepb.Indicator{of(2, "Url", "http://evil.example/fine", "Block", never)}, 4))
	check("a difference", map[string]address.Verdict{"evil.example": address.Block, "http://evil.example/fine": address.Block, "warned.example": 0})
	if b.open("evil.example/") {
		t.Error("the host stays open")
	}
	apply(t, s, diff(2, 3, []*wirepb.Indicator{of(5, "Url", "http://evil.example/also", "Allowed", never)}))
	if !b.open("evil.example/") {
		t.Error("an allowed path of a difference")
	}
	s.Close()
	seed := b.seed
	s, b, _ = openNames(t, dir)
	if b.seed != seed || s.Revision() != 3 || b.url("evil.example/also").Verdict != address.Allow || !b.open("evil.example") {
		t.Errorf("after a restart: revision %d, %+v", s.Revision(), b.rules)
	}
	apply(t, s, diff(3, 4, nil, 5))
	if b.open("evil.example/") || b.url("evil.example/also").Verdict != 0 {
		t.Error("a removed path stays")
	}
}

func TestNamesExpireToTheSecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, b, _ := openNames(t, t.TempDir())
		go s.Run(t.Context())
		at := time.Now().Truncate(time.Second).Add(90 * time.Second)
		apply(t, s, full(1, of(1, "DomainName", "evil.example", "Block", at), of(2, "Url", "http://x.example/y", "Allowed", at)))
		time.Sleep(time.Until(at) - time.Millisecond)
		synctest.Wait()
		if len(b.rules) != 3 {
			t.Errorf("before: %+v", b.rules)
		}
		time.Sleep(2 * time.Millisecond)
		synctest.Wait()
		if len(b.rules) != 0 {
			t.Errorf("after: %+v", b.rules)
		}
		s.Close()
	})
}

func TestTheStrongestDigestDecidesAboutAFile(t *testing.T) {
	s, _, told := openNames(t, t.TempDir())
	md5, sha1, sha256 := strings.Repeat("ab", 16), strings.Repeat("cd", 20), strings.Repeat("ef", 32)
	sums := hash.Sums{MD5: md5, SHA1: sha1, SHA256: sha256}
	if got := s.File(sums); got.Action != file.None || s.HasFiles() {
		t.Errorf("nothing: %+v", got)
	}
	var put []*wirepb.Indicator
	soon := time.Now().Add(time.Hour)
	for i, c := range []struct {
		kind, value, action string
		want                file.Decision
	}{
		{"FileMd5", md5, "Block", file.Decision{Action: file.Block, ID: 1}},
		{"FileSha1", sha1, "Allowed", file.Decision{Action: file.Allow, ID: 2}},
		{"FileSha256", sha256, "BlockAndRemediate", file.Decision{Action: file.Remediate, ID: 3}},
	} {
		put = append(put, of(int64(i+1), c.kind, c.value, c.action, soon))
		apply(t, s, full(uint64(i+1), slices.Clone(put)...))
		if got := s.File(sums); got != c.want {
			t.Errorf("with %d indicators: %+v", i+1, got)
		}
	}
	if *told < 3 || !s.HasFiles() {
		t.Errorf("told %d times", *told)
	}
	if got := s.File(hash.Sums{SHA256: strings.Repeat("00", 32), MD5: md5}); got.ID != 1 {
		t.Errorf("another file of the same MD5: %+v", got)
	}
	apply(t, s, diff(3, 4, []*wirepb.Indicator{of(3, "FileSha256", sha256, "Warn", time.Unix(1, 0))}))
	if got := s.File(sums); got.ID != 2 {
		t.Errorf("when the strongest has expired: %+v", got)
	}
}

func TestALostSeedHasTheSetAskedForAgain(t *testing.T) {
	dir := t.TempDir()
	s, _, _ := openNames(t, dir)
	apply(t, s, full(7, of(1, "DomainName", "evil.example", "Block", time.Time{})))
	s.Close()
	removeSeed(t, dir)
	s, b, _ := openNames(t, dir)
	if s.Revision() != 0 || len(b.rules) != 0 {
		t.Errorf("revision %d, %+v", s.Revision(), b.rules)
	}
}

func removeSeed(t testing.TB, dir string) {
	t.Helper()
	if err := os.Remove(filepath.Join(dir, "indicators", seedFile)); err != nil {
		t.Fatal(err)
	}
}

func TestAFileIndicatorWithoutAnAlertStaysSoOnDisk(t *testing.T) {
	dir := t.TempDir()
	s, _, _ := openNames(t, dir)
	quiet, loud := of(1, "FileMd5", strings.Repeat("ab", 16), "Block", time.Time{}), of(2, "FileMd5", strings.Repeat("cd", 16), "Block", time.Time{})
	quiet.Silent = true
	apply(t, s, full(1, quiet))
	apply(t, s, diff(1, 2, []*wirepb.Indicator{loud}))
	for range 2 {
		for text, want := range map[string]file.Decision{"ab": {Action: file.Block, ID: 1, Silent: true}, "cd": {Action: file.Block, ID: 2}} {
			if got := s.File(hash.Sums{MD5: strings.Repeat(text, 16)}); got != want {
				t.Errorf("%s: %+v, want %+v", text, got, want)
			}
		}
		s.Close()
		s, _, _ = openNames(t, dir)
	}
}
