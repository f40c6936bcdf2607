package inventory

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func command(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).Output()
	if err != nil {
		t.Skipf("%s %v: %v", name, args, err)
	}
	return strings.TrimSpace(string(out))
}

func TestReportAgreesWithTheSystemsTools(t *testing.T) {
	r := New(Config{}).Collect()
	if want := command(t, "uname", "-n"); r.Hostname != want {
		t.Errorf("host name %q, want %q", r.Hostname, want)
	}
	if want := command(t, "uname", "-r"); r.OS.Kernel != want {
		t.Errorf("kernel %q, want %q", r.OS.Kernel, want)
	}
	if r.OS.Distribution == "" || r.OS.Architecture == "" || r.BootID == "" || len(r.Users) == 0 {
		t.Errorf("report: %+v", r)
	}
	if up := time.Since(r.BootTime); up < 0 || up > 10*365*24*time.Hour {
		t.Errorf("boot time %v", r.BootTime)
	}
	var links []struct {
		IfName    string
		Address   string
		Operstate string
		AddrInfo  []struct {
			Local     string
			Prefixlen int
		} `json:"addr_info"`
	}
	if err := json.Unmarshal([]byte(command(t, "ip", "-j", "addr")), &links); err != nil {
		t.Skipf("ip: %v", err)
	}
	for _, l := range links {
		i := slices.IndexFunc(r.Interfaces, func(n Interface) bool { return n.Name == l.IfName })
		if i < 0 {
			continue // other tests make and remove interfaces
		}
		n := r.Interfaces[i]
		if n.Type == "Ethernet" && n.MAC != l.Address {
			t.Errorf("%s: mac %q, want %q", l.IfName, n.MAC, l.Address)
		}
		if l.Operstate == "UP" && n.Status != "Up" || l.Operstate == "DOWN" && n.Status != "Down" {
			t.Errorf("%s: status %q, want %q", l.IfName, n.Status, l.Operstate)
		}
		var got, want []Address
		for _, a := range n.Addresses {
			got = append(got, Address{IP: a.IP, Prefix: a.Prefix})
		}
		for _, a := range l.AddrInfo {
			want = append(want, Address{IP: a.Local, Prefix: a.Prefixlen})
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", l.IfName, diff)
		}
	}
	var routes []struct{ Gateway, Dev string }
	if err := json.Unmarshal([]byte(command(t, "ip", "-j", "route", "show", "default")), &routes); err != nil {
		t.Skipf("ip: %v", err)
	}
	for _, want := range routes {
		i := slices.IndexFunc(r.Interfaces, func(n Interface) bool { return n.Name == want.Dev })
		if want.Gateway != "" && (i < 0 || !slices.Contains(r.Interfaces[i].Gateways, want.Gateway)) {
			t.Errorf("no gateway %+v in %+v", want, r.Interfaces)
		}
	}
}

func TestLoggedOnIsWhoHasALiveSession(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	const id = "1234567"
	cmd := exec.Command("sh", "-c", "echo "+id+" >/proc/self/loginuid && echo on && exec sleep 60")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	if n, err := out.Read(make([]byte, 8)); err != nil || n == 0 {
		t.Skip("the login uid cannot be set here")
	}
	on := func() bool {
		return slices.ContainsFunc(New(Config{}).Collect().LoggedOn, func(u User) bool { return u.SID == id })
	}
	if !on() {
		t.Error("a session is not listed")
	}
	cmd.Process.Kill()
	cmd.Wait()
	if on() {
		t.Error("an ended session is listed")
	}
}

func TestFilesUnderAnotherRoot(t *testing.T) {
	root := t.TempDir()
	for name, text := range map[string]string{
		"etc/passwd":                       "root:x:0:0::/root:/bin/sh\nann:x:1000:1000::/:/bin/sh\n",
		"etc/group":                        "sudo:x:27:ann\n",
		"etc/machine-id":                   "0123456789abcdef0123456789abcdef\n",
		"etc/resolv.conf":                  "# x\nsearch example.org\nnameserver 127.0.0.53\n",
		"run/systemd/resolve/resolv.conf":  "nameserver 192.0.2.53\nnameserver bad\nnameserver 2001:db8::53\n",
		"usr/lib/os-release":               "ID=rocky\nVERSION_ID=9\n",
		"sys/class/dmi/id/product_uuid":    "ABCDEF01-0000-0000-0000-000000000001\n",
		"sys/class/dmi/id/sys_vendor":      "Vendor \x01 Inc.\n",
		"sys/class/dmi/id/chassis_type":    "10\n",
		"proc/7/loginuid":                  "1000",
		"proc/8/loginuid":                  "4294967295",
		"proc/9/loginuid":                  "1000\n",
		"proc/10/loginuid":                 "70000\n",
		"proc/sys/kernel/random/boot_id":   "6f1c\n",
		"proc/net/ipv6_route":              "garbage\n",
		"proc/net/route":                   "Iface\tDestination\nlo\t00000000\t0101000A\t0003\t0\t0\t0\t00000000\t0\t0\t0\n",
		"sys/class/net/lo/type":            "772\n",
		"proc/stat":                        "cpu 1\nbtime 1700000000\n",
		"sys/class/dmi/id/product_name":    strings.Repeat("x", 2*MaxText),
		"sys/class/net/lo/operstate":       "unknown\n",
		"sys/firmware/devicetree/base/foo": "",
	} {
		p := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	r := New(Config{Root: root}).Collect()
	if diff := cmp.Diff([]string{"192.0.2.53", "2001:db8::53"}, r.DNS); diff != "" {
		t.Errorf("dns (-want +got):\n%s", diff)
	}
	want := []User{{Name: "ann", Domain: r.Hostname, SID: "1000", Admin: true}, {Name: "70000", Domain: r.Hostname, SID: "70000"}}
	if diff := cmp.Diff(want, r.LoggedOn); diff != "" {
		t.Errorf("logged on (-want +got):\n%s", diff)
	}
	if r.OS.Distribution != "RockyLinux" || r.Fingerprint.MachineID != "0123456789abcdef0123456789abcdef" ||
		r.Fingerprint.DMIUUID != "abcdef01-0000-0000-0000-000000000001" || r.Hardware.Vendor != "Vendor   Inc." ||
		r.Hardware.Chassis != 10 || len(r.Hardware.Model) != MaxText || r.BootTime.Unix() != 1700000000 {
		t.Errorf("report: %+v", r)
	}
	i := slices.IndexFunc(r.Interfaces, func(n Interface) bool { return n.Name == "lo" })
	if i < 0 || r.Interfaces[i].Type != "Loopback" || !slices.Equal(r.Interfaces[i].Gateways, []string{"10.0.1.1"}) {
		t.Errorf("interfaces: %+v", r.Interfaces)
	}
}
