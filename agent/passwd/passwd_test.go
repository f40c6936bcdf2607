package passwd

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func write(t *testing.T, root, name, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Join(root, "etc"), 0o755); err != nil {
		t.Fatal(err)
	}
	// Rename over, as every account tool does, so that a cache sees another inode.
	tmp := filepath.Join(root, "etc", name+"+")
	if err := os.WriteFile(tmp, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(tmp, filepath.Join(root, "etc", name)); err != nil {
		t.Fatal(err)
	}
}

func TestReadLeavesOutLinesThatDoNotParse(t *testing.T) {
	root := t.TempDir()
	write(t, root, "passwd", "root:x:0:0:root:/root:/bin/bash\n"+
		"#comment\n+nis\n:x:1:1::/:\nbad:x:notanumber:1::/:\nhuge:x:99999999999:1::/:\nshort:x:1\n"+
		"eve\xff:x:1001:1001::/home/eve:/bin/sh\n"+
		"mallory:x:1002:27:,,,:/home/m:/bin/sh\n"+
		"alice:x:1003:1003:Alice:/home/alice:/bin/zsh\n")
	write(t, root, "group", "root:x:0:\nsudo:x:27:alice,alice, ,bob\nstaff:x:50:mallory\n")
	db, err := Read(root)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, u := range db.Users {
		names = append(names, u.Name)
	}
	if diff := cmp.Diff([]string{"root", "eve\uFFFD", "mallory", "alice"}, names); diff != "" {
		t.Errorf("users (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"alice", "bob"}, db.Groups[1].Members); diff != "" {
		t.Errorf("members (-want +got):\n%s", diff)
	}
	for name, want := range map[string]bool{"root": true, "mallory": true, "alice": true, "eve\uFFFD": false, "nobody": false} {
		if got := db.Admin(name); got != want {
			t.Errorf("Admin(%q) = %v, want %v", name, got, want)
		}
	}
	if u, ok := db.ByUID(1003); !ok || u.Name != "alice" || u.Shell != "/bin/zsh" {
		t.Errorf("ByUID(1003) = %+v, %v", u, ok)
	}
}

func TestCacheSeesAChangeAndSurvivesALoss(t *testing.T) {
	root := t.TempDir()
	c := NewCache(root)
	if n := len(c.DB().Users); n != 0 {
		t.Fatalf("users before there is a file: %d", n)
	}
	write(t, root, "passwd", "a:x:1:1::/:/bin/sh\n")
	if _, ok := c.DB().ByName("a"); !ok {
		t.Fatal("a was not found")
	}
	write(t, root, "passwd", "b:x:1:1::/:/bin/sh\n")
	if _, ok := c.DB().ByName("b"); !ok {
		t.Fatal("b was not found after the file was replaced")
	}
	if err := os.Remove(filepath.Join(root, "etc/passwd")); err != nil {
		t.Fatal(err)
	}
	if _, ok := c.DB().ByName("b"); !ok {
		t.Fatal("the last good database was forgotten")
	}
}
