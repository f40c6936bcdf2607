package collect

import (
	"archive/zip"
	"bufio"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"golang.org/x/sys/unix"

	"github.com/vedette-edr/vedette/agent/hash"
	"github.com/vedette-edr/vedette/agent/responder"
)

// taker is a server that keeps what it is given in a file.
type taker struct {
	path string
	name string
	size int64

	mu       sync.Mutex
	progress []responder.Progress
	refuse   error
	uploads  int
}

func (s *taker) Upload(_ context.Context, _ string, _ int, name string, f *os.File) error {
	s.uploads++
	if s.refuse != nil {
		return s.refuse
	}
	out, err := os.Create(s.path)
	if err != nil {
		return err
	}
	defer out.Close()
	s.name = name
	s.size, err = io.Copy(out, f)
	return err
}

func (*taker) Fetch(context.Context, string, string, io.Writer) error { return nil }

func (s *taker) Progress(_ string, p responder.Progress) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.progress = append(s.progress, p)
}

// collected runs points and returns the files of the package by name.
func collected(t *testing.T, points []Point) (map[string]*zip.File, Evidence) {
	t.Helper()
	server := &taker{path: filepath.Join(t.TempDir(), "got.zip")}
	h, err := New(Config{Dir: filepath.Join(t.TempDir(), "collect"), Host: "test", Server: server, Points: points})
	if err != nil {
		t.Fatal(err)
	}
	r := h.Handle(t.Context(), responder.Command{ID: "1", Kind: Kind})
	if r.State != responder.Verified {
		t.Fatalf("result: %+v", r)
	}
	var ev Evidence
	if err := json.Unmarshal(r.Evidence, &ev); err != nil {
		t.Fatal(err)
	}
	if left, _ := os.ReadDir(h.cfg.Dir); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	files := unzip(t, server.path)
	if p := server.progress; len(p) == 0 || p[len(p)-1].Percent != 90 {
		t.Errorf("progress: %+v", p)
	}
	return files, ev
}

func unzip(t *testing.T, path string) map[string]*zip.File {
	t.Helper()
	z, err := zip.OpenReader(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { z.Close() })
	files := map[string]*zip.File{}
	for _, f := range z.File {
		files[f.Name] = f
	}
	return files
}

func contents(t *testing.T, f *zip.File) []byte {
	t.Helper()
	if f == nil {
		t.Fatal("the file is not in the package")
	}
	in, err := f.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	b, err := io.ReadAll(in)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// rows reads a table by the names of its columns.
func rows(t *testing.T, f *zip.File) []map[string]string {
	t.Helper()
	r := csv.NewReader(strings.NewReader(string(contents(t, f))))
	all, err := r.ReadAll()
	if err != nil {
		t.Fatalf("%s: %v", f.Name, err)
	}
	var out []map[string]string
	for _, cells := range all[1:] {
		m := map[string]string{}
		for i, c := range cells {
			m[all[0][i]] = c
		}
		out = append(out, m)
	}
	return out
}

func tool(t *testing.T, argv ...string) string {
	t.Helper()
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Env = append(os.Environ(), "LC_ALL=C", "TZ=UTC")
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %v", argv, err)
	}
	return string(out)
}

// host collects what the points of the names have of this machine.
func host(t *testing.T, names ...string) map[string]*zip.File {
	t.Helper()
	files, ev := collected(t, only(t, Device{}, names...))
	if len(ev.Wanting) > 0 {
		t.Errorf("not whole: %s", contents(t, files["CollectionSummaryReport.csv"]))
	}
	return files
}

// only returns the points of the names.
func only(t *testing.T, d Device, names ...string) []Point {
	t.Helper()
	if d.Hashes == nil {
		d.Hashes = hash.NewPool(hash.Config{})
		t.Cleanup(d.Hashes.Close)
	}
	points := slices.DeleteFunc(Points(d), func(p Point) bool { return !slices.Contains(names, p.Name) })
	if len(points) != len(names) {
		t.Fatalf("%d points of %q", len(points), names)
	}
	return points
}

func root(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
}

// steady returns what two lists have in common: what was there before and after.
func steady[T comparable](before, after []T) []T {
	return slices.DeleteFunc(slices.Clone(before), func(v T) bool { return !slices.Contains(after, v) })
}

func lines(text string) []string { return strings.Split(strings.TrimSpace(text), "\n") }

func TestProcessesAgreeWithPs(t *testing.T) {
	root(t)
	name := filepath.Join(t.TempDir(), "slee\np;er")
	if out, err := exec.Command("cp", "/bin/sleep", name).CombinedOutput(); err != nil {
		t.Fatalf("%s", out)
	}
	cmd := exec.Command(name, "300")
	cmd.Env = []string{"SECRET_TOKEN=hunter2", "LD_LIBRARY_PATH=/nowhere"}
	cmd.Dir = "/usr"
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	if err := os.Remove(name); err != nil { // it runs on without its file
		t.Fatal(err)
	}
	ps := func() []string {
		// pid, parent, user ids, session: what has no blanks.
		return lines(tool(t, "ps", "-e", "-o", "pid=,ppid=,ruid=,euid=", "--no-headers"))
	}
	before := ps()
	files := host(t, "Processes", "Handles", "Memory maps", "Names of environment variables")
	after := ps()
	got := map[string]map[string]string{}
	for _, r := range rows(t, files["Processes/Processes.csv"]) {
		got[r["ProcessId"]] = r
	}
	space := regexp.MustCompile(`\s+`)
	common := steady(before, after)
	if len(common) < 5 {
		t.Fatalf("ps shows %d processes", len(common))
	}
	for _, l := range common {
		f := space.Split(strings.TrimSpace(l), -1)
		r := got[f[0]]
		if r == nil {
			t.Errorf("process %s of ps is missing", f[0])
			continue
		}
		if have := []string{r["ProcessId"], r["ParentProcessId"], r["UserId"], r["EffectiveUserId"]}; !slices.Equal(have, f) {
			t.Errorf("%q, ps says %q", have, f)
		}
	}
	pid := strconv.Itoa(cmd.Process.Pid)
	r := got[pid]
	sum, _, _ := strings.Cut(tool(t, "sha256sum", "/proc/"+pid+"/exe"), " ")
	if r["SHA256"] != strings.TrimPrefix(sum, "\\") || r["ExecutableState"] != "deleted" || r["WorkingDirectory"] != "/usr" || r["Threads"] != "1" || !strings.Contains(r["Executable"], `slee\np;er`) || strings.Contains(r["CommandLine"], "\n") {
		t.Errorf("the sleeper: %v, sha256sum %s", r, sum)
	}
	start, err := time.Parse(time.RFC3339, r["StartTime"])
	if d := time.Since(start); err != nil || d < 0 || d > 5*time.Minute {
		t.Errorf("started %v: %v", r["StartTime"], err)
	}
	env := map[string]string{}
	for _, r := range rows(t, files["Processes/EnvironmentNames.csv"]) {
		if r["ProcessId"] == pid {
			env[r["Name"]] = r["Value"]
		}
	}
	if v, ok := env["SECRET_TOKEN"]; !ok || v != "" || env["LD_LIBRARY_PATH"] != "/nowhere" {
		t.Errorf("environment: %q", env)
	}
	if b := contents(t, files["Processes/Maps/"+pid+".txt"]); !strings.Contains(string(b), "[stack]") {
		t.Errorf("maps: %s", b)
	}
	found := false
	for _, r := range rows(t, files["Processes/ExecutableMemory.csv"]) {
		found = found || r["ProcessId"] == pid && r["Why"] == "the file is deleted"
	}
	if !found {
		t.Error("the executable mapping of a deleted file is not listed")
	}
}

func TestHandlesAreThoseOfTheProcess(t *testing.T) {
	root(t)
	f, err := os.CreateTemp(t.TempDir(), "held")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteString("12345"); err != nil {
		t.Fatal(err)
	}
	files := host(t, "Handles")
	for _, r := range rows(t, files["Processes/Handles.csv"]) {
		if r["ProcessId"] == strconv.Itoa(os.Getpid()) && r["Descriptor"] == strconv.Itoa(int(f.Fd())) {
			if r["Target"] != f.Name() || r["Type"] != "file" || r["Position"] != "5" || r["Mode"] != "rw" {
				t.Errorf("%v", r)
			}
			return
		}
	}
	t.Error("a held file is not listed")
}

// TestListenInNamespace is the process in another network namespace of the test below.
func TestListenInNamespace(t *testing.T) {
	if os.Getenv("COLLECT_LISTEN") == "" {
		t.Skip("a helper of another test")
	}
	if out, err := exec.Command("ip", "link", "set", "lo", "up").CombinedOutput(); err != nil {
		t.Fatalf("%s", out)
	}
	l, err := net.Listen("tcp", "127.0.0.1:4711")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	os.Stdout.WriteString("listening\n")
	os.Stdin.Read(make([]byte, 1)) // until the other test ends
}

func TestConnectionsAgreeWithSs(t *testing.T) {
	root(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	u, err := net.ListenPacket("udp6", "[::1]:0")
	if err != nil {
		t.Fatal(err)
	}
	defer u.Close()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	far := exec.Command(exe, "-test.run=^TestListenInNamespace$")
	far.Env = append(os.Environ(), "COLLECT_LISTEN=1")
	far.SysProcAttr = &unix.SysProcAttr{Cloneflags: unix.CLONE_NEWNET}
	in, err := far.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := far.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := far.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { in.Close(); far.Process.Kill(); far.Wait() })
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || line != "listening\n" {
		t.Fatalf("%q %v", line, err)
	}

	// ss prints the inode with -e: local, remote and inode name a socket.
	inode := regexp.MustCompile(`ino:(\d+)`)
	ss := func() (out []string) {
		for _, l := range lines(tool(t, "ss", "-tuanpeOH")) {
			f := strings.Fields(l)
			m := inode.FindStringSubmatch(l)
			if len(f) < 6 || m == nil || m[1] == "0" {
				continue
			}
			out = append(out, port(f[4])+" "+port(f[5])+" "+m[1])
		}
		return out
	}
	before := ss()
	files := host(t, "Active connections", "Local and packet sockets")
	after := ss()
	all := rows(t, files["Network connections/ActiveNetConnections.csv"])
	have := map[string]map[string]string{}
	for _, r := range all {
		have[r["LocalPort"]+" "+strings.Replace(r["RemotePort"], "0", "*", map[bool]int{true: 1}[r["RemotePort"] == "0"])+" "+r["Inode"]] = r
	}
	common := steady(before, after)
	if len(common) < 3 {
		t.Fatalf("ss shows %q", before)
	}
	for _, s := range common {
		if have[s] == nil {
			t.Errorf("the socket %q of ss is missing", s)
		}
	}
	_, lport, _ := net.SplitHostPort(l.Addr().String())
	_, cport, _ := net.SplitHostPort(c.LocalAddr().String())
	_, uport, _ := net.SplitHostPort(u.LocalAddr().String())
	self := strconv.Itoa(os.Getpid())
	find := func(what string, want map[string]string) {
		for _, r := range all {
			ok := true
			for k, v := range want {
				ok = ok && r[k] == v
			}
			if ok {
				return
			}
		}
		t.Errorf("%s is not listed: %v", what, want)
	}
	find("the listener", map[string]string{"Protocol": "TCP", "State": "LISTENING", "LocalAddress": "127.0.0.1", "LocalPort": lport, "ProcessId": self, "Executable": exe, "UserName": "root"})
	find("the connection", map[string]string{"Protocol": "TCP", "State": "ESTABLISHED", "LocalPort": cport, "RemotePort": lport, "RemoteAddress": "127.0.0.1", "ProcessId": self})
	find("UDP over IPv6", map[string]string{"Protocol": "UDP6", "LocalAddress": "::1", "LocalPort": uport, "ProcessId": self})
	ns, err := os.Readlink("/proc/" + strconv.Itoa(far.Process.Pid) + "/ns/net")
	if err != nil {
		t.Fatal(err)
	}
	find("the listener in another namespace", map[string]string{"NetworkNamespace": ns, "State": "LISTENING", "LocalPort": "4711", "ProcessId": strconv.Itoa(far.Process.Pid)})
}

// port is the port of an address as ss prints it.
func port(addr string) string { return addr[strings.LastIndexByte(addr, ':')+1:] }

func TestWithoutDiagnosticsProcIsRead(t *testing.T) {
	l, err := net.Listen("tcp6", "[::1]:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	raw, err := os.ReadFile("/proc/self/net/tcp6")
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range listed("TCP", string(raw)) {
		if s.local.String() == c.LocalAddr().String() && s.remote.String() == l.Addr().String() && s.state == "ESTABLISHED" && s.protocol == "TCP6" {
			return
		}
	}
	t.Error("the connection is not in /proc as it is read")
}

func TestNetworkTablesAgreeWithIp(t *testing.T) {
	root(t)
	files := host(t, "ARP and neighbours", "Routes", "Interfaces and addresses")
	own, err := os.Readlink("/proc/thread-self/ns/net")
	if err != nil {
		t.Fatal(err)
	}
	ask := func(into any, argv ...string) {
		if err := json.Unmarshal([]byte(tool(t, append([]string{"ip", "-j"}, argv...)...)), into); err != nil {
			t.Fatalf("ip %v: %v", argv, err)
		}
	}
	mine := func(name string) (out []map[string]string) {
		for _, r := range rows(t, files["Network connections/"+name]) {
			if r["NetworkNamespace"] == own {
				out = append(out, r)
			}
		}
		return out
	}
	var links []struct {
		Ifname, Address string
		Mtu             int
		AddrInfo        []struct {
			Local     string
			Prefixlen int
			Scope     string
		} `json:"addr_info"`
	}
	ask(&links, "addr")
	for _, l := range links {
		if strings.HasPrefix(l.Ifname, "v") || strings.HasPrefix(l.Ifname, "dummy") {
			continue // other tests make and remove interfaces
		}
		if !slices.ContainsFunc(mine("Interfaces.csv"), func(r map[string]string) bool {
			return r["Name"] == l.Ifname && r["Mtu"] == strconv.Itoa(l.Mtu) && r["MacAddress"] == l.Address
		}) {
			t.Errorf("the interface %+v of ip is missing in %v", l, mine("Interfaces.csv"))
		}
		for _, a := range l.AddrInfo {
			if !slices.ContainsFunc(mine("IpConfig.csv"), func(r map[string]string) bool {
				return r["Interface"] == l.Ifname && r["Address"] == a.Local && r["PrefixLength"] == strconv.Itoa(a.Prefixlen) && r["Scope"] == a.Scope
			}) {
				t.Errorf("the address %+v of ip is missing", a)
			}
		}
	}
	for _, family := range []string{"-4", "-6"} {
		var routes []struct{ Dst, Gateway, Dev, Type, Table, Prefsrc string }
		ask(&routes, family, "route", "show", "table", "all")
		for _, w := range routes {
			dst := w.Dst
			if dst != "default" && !strings.Contains(dst, "/") {
				dst += map[string]string{"-4": "/32", "-6": "/128"}[family]
			}
			if w.Table == "" {
				w.Table = "main"
			}
			if !slices.ContainsFunc(mine("Routes.csv"), func(r map[string]string) bool {
				return r["Destination"] == dst && r["Gateway"] == w.Gateway && r["Interface"] == w.Dev && r["Table"] == w.Table && r["Source"] == w.Prefsrc && (w.Type == "" || r["Type"] == w.Type)
			}) {
				t.Errorf("the route %+v of ip is missing", w)
			}
		}
		var rules []struct {
			Priority int
			Table    string
		}
		ask(&rules, family, "rule")
		for _, w := range rules {
			if !slices.ContainsFunc(mine("RoutingRules.csv"), func(r map[string]string) bool {
				return r["Priority"] == strconv.Itoa(w.Priority) && r["Table"] == w.Table && r["Family"] == map[string]string{"-4": "IPv4", "-6": "IPv6"}[family]
			}) {
				t.Errorf("the rule %+v of ip is missing", w)
			}
		}
	}
	var neighbours []struct {
		Dst, Dev, Lladdr string
		State            []string
	}
	ask(&neighbours, "neigh")
	for _, w := range neighbours {
		if !slices.ContainsFunc(mine("Arp.csv"), func(r map[string]string) bool {
			return r["Address"] == w.Dst && r["Interface"] == w.Dev && (w.Lladdr == "" || r["MacAddress"] == w.Lladdr)
		}) {
			t.Errorf("the neighbour %+v of ip is missing in %v", w, mine("Arp.csv"))
		}
	}
}

func TestInstalledProgramsAgreeWithDpkg(t *testing.T) {
	root(t)
	files := host(t, "Installed programs")
	have := map[string]bool{}
	for _, r := range rows(t, files["Installed programs/InstalledPrograms.csv"]) {
		have[r["Name"]+" "+r["Version"]+" "+r["Architecture"]] = true
	}
	n := 0
	for _, l := range lines(tool(t, "dpkg-query", "-W", "-f", "${db:Status-Abbrev}|${Package} ${Version} ${Architecture}\\n")) {
		status, p, _ := strings.Cut(l, "|")
		if !strings.HasPrefix(status, "ii") {
			continue
		}
		if n++; !have[p] {
			t.Errorf("%s of dpkg-query is missing", p)
		}
	}
	if n < 50 {
		t.Errorf("dpkg-query lists %d packages", n)
	}
}

func TestLogonsAgreeWithLast(t *testing.T) {
	root(t)
	dir := t.TempDir()
	for _, d := range []string{"var/log", "etc"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	// A file of logons by another program, from the text that it is documented to take.
	text := `[7] [01234] [ts/0] [ann     ] [pts/0       ] [host.example.org    ] [192.0.2.7      ] [2026-11-20T10:11:12,000000+00:00]
[8] [01234] [ts/0] [        ] [pts/0       ] [                    ] [0.0.0.0        ] [2026-11-20T11:00:00,000000+00:00]
[7] [00077] [tty1] [root    ] [tty1        ] [                    ] [0.0.0.0        ] [2026-11-21T09:08:07,000000+00:00]
`
	cmd := exec.Command("utmpdump", "-r")
	cmd.Stdin = strings.NewReader(text)
	raw, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "var/log/wtmp"), append(raw, "half a record"...), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "var/log/btmp"), raw[:len(raw)/3], 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "etc/passwd"), []byte("root:x:0:0::/root:/bin/sh\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	files, ev := collected(t, only(t, Device{Root: dir}, "Logons"))
	if len(ev.Wanting) != 1 || ev.Cut != 1 {
		t.Errorf("half a record is not told: %+v", ev)
	}
	var got []string
	for _, r := range rows(t, files["Users and Groups/Logons.csv"]) {
		if r["Kind"] == "logon" {
			got = append(got, r["User"]+" "+r["Terminal"]+" "+r["Address"]+" "+r["Time"][:19])
		}
	}
	slices.Reverse(got)
	if want := []string{"root tty1  2026-11-21T09:08:07", "ann pts/0 192.0.2.7 2026-11-20T10:11:12"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	// last, too, reads the file so; it prints the newest first.
	whole := filepath.Join(t.TempDir(), "wtmp") // it reads from the end, and by whole records
	if err := os.WriteFile(whole, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	out := lines(tool(t, "last", "-F", "-i", "-f", whole))
	if !strings.HasPrefix(out[0], "root     tty1") || !strings.Contains(out[0], "Sat Nov 21 09:08:07 2026") || !strings.HasPrefix(out[1], "ann      pts/0        192.0.2.7") || !strings.Contains(out[1], "Fri Nov 20 10:11:12 2026") {
		t.Errorf("last says %q", out)
	}
	if r := rows(t, files["Users and Groups/FailedLogons.csv"]); len(r) != 1 || r[0]["Kind"] != "refused" || r[0]["User"] != "ann" {
		t.Errorf("refused: %v", r)
	}
}

func TestBpfProgramsAreListed(t *testing.T) {
	root(t)
	p, err := ebpf.NewProgram(&ebpf.ProgramSpec{Name: "collect_test", Type: ebpf.SocketFilter, License: "GPL", Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, 0), asm.Return()}})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	m, err := ebpf.NewMap(&ebpf.MapSpec{Name: "collect_map", Type: ebpf.Array, KeySize: 4, ValueSize: 8, MaxEntries: 3})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	files := host(t, "BPF programs")
	if !slices.ContainsFunc(rows(t, files["Kernel/BpfPrograms.csv"]), func(r map[string]string) bool {
		return r["Name"] == "collect_test" && r["Type"] == "SocketFilter" && r["UserName"] == "root" && r["LoadedAt"] != ""
	}) {
		t.Errorf("%s", contents(t, files["Kernel/BpfPrograms.csv"]))
	}
	if !slices.ContainsFunc(rows(t, files["Kernel/BpfMaps.csv"]), func(r map[string]string) bool {
		return r["Name"] == "collect_map" && r["ValueSize"] == "8" && r["MaxEntries"] == "3"
	}) {
		t.Errorf("%s", contents(t, files["Kernel/BpfMaps.csv"]))
	}
}

func TestTheSystemAndItsMountsAgreeWithOthers(t *testing.T) {
	root(t)
	files := host(t, "System information", "Mounts and disks", "Security state", "Kernel messages", "Kernel modules", "Services", "Scheduled tasks")
	var found struct {
		Filesystems []struct{ Target, Fstype, Source string }
	}
	if err := json.Unmarshal([]byte(tool(t, "findmnt", "-J", "-l", "-o", "TARGET,FSTYPE,SOURCE")), &found); err != nil {
		t.Fatal(err)
	}
	mounts := rows(t, files["System Information/Mounts.csv"])
	for _, w := range found.Filesystems {
		if strings.HasPrefix(w.Target, "/tmp/") || strings.HasPrefix(w.Target, "/run/") {
			continue // other tests mount and unmount
		}
		if !slices.ContainsFunc(mounts, func(r map[string]string) bool { return r["MountPoint"] == w.Target && r["Type"] == w.Fstype }) {
			t.Errorf("the mount %+v of findmnt is missing", w)
		}
	}
	if b := contents(t, files["System Information/SystemInformation.txt"]); !strings.Contains(string(b), strings.TrimSpace(tool(t, "uname", "-r"))) {
		t.Errorf("%s", b)
	}
	sysctl := map[string]string{}
	for _, r := range rows(t, files["Security/Sysctl.csv"]) {
		sysctl[r["Name"]] = r["Value"]
	}
	for _, name := range []string{"kernel.ostype", "net.ipv4.ip_forward", "kernel.pid_max"} {
		if want := strings.TrimSpace(tool(t, "cat", "/proc/sys/"+strings.ReplaceAll(name, ".", "/"))); sysctl[name] != want {
			t.Errorf("%s: %q, want %q", name, sysctl[name], want)
		}
	}
	listed := map[string]bool{}
	for _, r := range rows(t, files["Kernel/KernelModules.csv"]) {
		listed[r["Name"]] = true
	}
	loaded, err := os.ReadFile("/proc/modules") // what lsmod prints
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	for _, l := range lines(string(loaded)) {
		if name, _, _ := strings.Cut(l, " "); name != "" && !listed[name] {
			t.Errorf("the module %s is missing", name)
		}
	}
}
