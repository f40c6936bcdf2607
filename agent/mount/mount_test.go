package mount

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestMountsAreTakenApart(t *testing.T) {
	got := Parse([]byte(`22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
23 22 0:20 / /proc rw - proc proc rw
24 22 0:30 /sub /mnt/with\040space\012x rw,nosuid shared:3 master:1 - fuse.sshfs host:\134dir rw,vers=4
25 22 0:31 / /over rw - tmpfs none rw
26 22 0:32 / /over rw - nfs4 server:/ rw
x 22 0:32 / /over rw - nfs4 server:/ rw
27 22 garbage
`))
	want := []Mount{
		{22, 1, "8:1", "/", "/", "rw,relatime", "ext4", "/dev/sda1", "rw"},
		{23, 22, "0:20", "/", "/proc", "rw", "proc", "proc", "rw"},
		{24, 22, "0:30", "/sub", "/mnt/with space\nx", "rw,nosuid", "fuse.sshfs", `host:\dir`, "rw,vers=4"},
		{25, 22, "0:31", "/", "/over", "rw", "tmpfs", "none", "rw"},
		{26, 22, "0:32", "/", "/over", "rw", "nfs4", "server:/", "rw"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	for i, local := range []bool{true, false, false, true, false} {
		if got[i].Local() != local {
			t.Errorf("%v is local: %v", got[i], got[i].Local())
		}
	}
}

// util-linux reads the same file.
func TestFindmntReadsTheSame(t *testing.T) {
	raw, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("findmnt", "--list", "--json", "--tab-file", "/dev/stdin", "--output", "ID,PARENT,MAJ:MIN,FSROOT,TARGET,VFS-OPTIONS,FSTYPE")
	cmd.Stdin = bytes.NewReader(raw)
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var theirs struct {
		Filesystems []struct {
			ID, Parent     int
			Device         string `json:"maj:min"`
			Root           string `json:"fsroot"`
			Target, Fstype string
			Options        string `json:"vfs-options"`
		}
	}
	if err := json.Unmarshal(out, &theirs); err != nil {
		t.Fatal(err)
	}
	var want []Mount
	for _, m := range theirs.Filesystems {
		want = append(want, Mount{ID: m.ID, Parent: m.Parent, Device: strings.TrimSpace(m.Device), Root: m.Root, Point: m.Target, Options: m.Options, Type: m.Fstype})
	}
	got := Parse(raw)
	for i := range got {
		got[i].Source, got[i].Super = "", ""
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
