package restrict

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/vedette-edr/vedette/agent/responder"
	"github.com/vedette-edr/vedette/schema/event"
)

// loader is the dynamic loader below the root.
func (l *lab) loader() string {
	l.t.Helper()
	for _, p := range []string{"lib64/ld-linux-x86-64.so.2", "lib/ld-linux-aarch64.so.1"} {
		if _, err := os.Stat(filepath.Join(l.root, p)); err == nil {
			return "/" + p
		}
	}
	l.t.Fatal("no loader")
	return ""
}

func TestOnlyWhatPackagesBroughtRuns(t *testing.T) {
	l := newLab(t)
	l.start()
	raw, err := os.ReadFile(filepath.Join(l.root, "usr/bin/true"))
	if err != nil {
		t.Fatal(err)
	}
	l.put("tmp/evil", string(raw)+"changed")
	l.put("tmp/evil.sh", "#!/bin/sh\necho pwned\n")
	l.put("tmp/plain", "echo pwned\n")
	l.put("tmp/evil.pl", "print \"pwned\\n\";\n")
	l.put("tmp/sh", string(mustRead(t, filepath.Join(l.root, "usr/bin/sh"))))
	l.put("tmp/module.pm", "print \"pwned\\n\"; 1;\n")
	l.put("tmp/data", "some data\n")
	lib := ""
	libs, _ := filepath.Glob(l.root + "/lib/*/libc.so.6")
	if len(libs) == 0 {
		t.Fatal("no C library")
	}
	lib = string(mustRead(t, libs[0]))
	l.put("tmp/evil.so", lib+"changed")
	if err := os.Link(filepath.Join(l.root, "usr/bin/sh"), filepath.Join(l.root, "tmp/linked")); err != nil {
		t.Fatal(err)
	}
	everything := [][]string{
		{"/tmp/evil"}, {"/tmp/evil.sh"}, {"/bin/sh", "/tmp/evil.sh"}, {"/bin/sh", "/tmp/plain"}, {"/bin/sh", "-x", "--", "/tmp/plain"},
		{"/bin/perl", "/tmp/evil.pl"}, {"/bin/perl", "/tmp/plain"}, {"/bin/perl", "-I/tmp", "-Mmodule", "-e", "1"},
		{l.loader(), "/tmp/evil"}, {"/bin/sh", "-c", "LD_PRELOAD=/tmp/evil.so exec /bin/true"}, {"/bin/sh", "-c", ". /tmp/evil.sh"},
		{"/tmp/sh", "-c", "true"}, {"/tmp/linked", "-c", "true"},
		{"/bin/sh", "-c", "exec 9</tmp/evil; rm -f /tmp/evil 2>/dev/null; exec /proc/self/fd/9"},
		{"/bin/unshare", "-m", "/bin/sh", "-c", "mount --bind /tmp/evil /bin/true && exec /bin/true"},
		{"/bin/unshare", "-m", "/bin/sh", "-c", "mount --bind /tmp/sh /bin/true && exec /bin/true -c :"},
	}
	l.runs("/tmp/evil")
	l.runs("/tmp/evil.sh")
	l.runs("/bin/sh", "-c", "LD_PRELOAD=/tmp/evil.so exec /bin/true")

	l.restrict(Params{})
	for _, args := range everything {
		if strings.Contains(strings.Join(args, " "), "LD_PRELOAD") {
			// The program runs, without the library.
			out, _ := l.run(args...)
			if !strings.Contains(out, "cannot be preloaded") {
				t.Errorf("%q: %s", args, out)
			}
			continue
		}
		l.denied(args...)
	}
	// What is no code is read, whatever it is.
	l.runs("/bin/true")
	l.runs("/bin/perl", "-e", "1")
	l.runs("/bin/sh", "-c", "cat /tmp/evil.so /tmp/evil /tmp/evil.sh >/tmp/copy && read x </tmp/data && cp /tmp/evil /tmp/copied")
	l.runs("/bin/perl", "-ne", "1", "/tmp/plain")
	l.denied("/tmp/copied")
	l.told("the program", func(e *event.Event) bool {
		return e.Action == "AppControlExecutableBlocked" && strings.HasSuffix(e.File.Path, "/tmp/evil") && len(e.File.SHA256) == 64
	})
	l.told("the script", func(e *event.Event) bool {
		return e.Action == "AppControlScriptBlocked" && strings.HasSuffix(e.File.Path, "/tmp/plain")
	})
	l.told("the library", func(e *event.Event) bool {
		return strings.HasSuffix(e.File.Path, "/tmp/evil.so") && strings.Contains(e.Additional, `"Use":"Loaded"`)
	})
	l.mu.Lock()
	if len(l.refused) == 0 {
		t.Error("no user was told")
	}
	l.mu.Unlock()

	l.unrestrict()
	for _, args := range [][]string{{"/tmp/evil"}, {"/tmp/evil.sh"}, {"/bin/sh", "/tmp/plain"}, {"/bin/perl", "/tmp/evil.pl"}, {l.loader(), "/tmp/evil"}, {"/tmp/linked", "-c", "true"}} {
		l.runs(args...)
	}
	if _, err := os.Stat(filepath.Join(l.state, "restrict.json")); err == nil {
		t.Error("the state file is still there")
	}
	if n := l.guard.Stats().Marked; n != 0 {
		t.Errorf("%d file systems are still asked about", n)
	}
	l.unrestrict() // twice is once
}

func mustRead(t *testing.T, name string) []byte {
	t.Helper()
	raw, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func TestListedFilesRun(t *testing.T) {
	l := newLab(t)
	l.start()
	tool := l.put("tmp/tool.sh", "#!/bin/sh\ntrue\n")
	l.put("opt/app/bin/run", "#!/bin/sh\ntrue\n")
	l.put("opt/application/run", "#!/bin/sh\necho pwned\n")
	sum := sha256.Sum256(mustRead(t, tool))
	l.restrict(Params{Hashes: []string{strings.ToUpper(hex.EncodeToString(sum[:]))}, Directories: []string{"/opt/app"}})
	l.runs("/tmp/tool.sh")
	l.runs("/opt/app/bin/run")
	l.runs("/bin/sh", "/opt/app/bin/run")
	l.denied("/opt/application/run")
	// A place of that name in mounts of its own is not the listed one.
	l.put("tmp/fake/run", "#!/bin/sh\necho pwned\n")
	l.denied("/bin/unshare", "-m", "/bin/sh", "-c", "mount --bind /tmp/fake /opt/app && exec /opt/app/run")
	if err := os.WriteFile(tool, []byte("#!/bin/sh\necho pwned\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	l.denied("/tmp/tool.sh")
	// Asked again the lists are what was asked last.
	l.restrict(Params{})
	l.denied("/opt/app/bin/run")
	l.unrestrict()
}

func TestAPackagesFileThatChangedDoesNotRun(t *testing.T) {
	l := newLab(t)
	l.start()
	cat := filepath.Join(l.root, "usr/bin/cat")
	l.restrict(Params{})
	l.runs("/bin/cat", "/tmp/../usr/bin/sh")
	// Written to by way of a shared mapping, which no mark that ignores would notice.
	f, err := os.OpenFile(cat, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	st, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	m, err := unix.Mmap(int(f.Fd()), 0, int(st.Size()), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		t.Fatal(err)
	}
	m[len(m)-1] ^= 1
	if err := unix.Munmap(m); err != nil {
		t.Fatal(err)
	}
	f.Close()
	l.denied("/bin/cat", "/bin/sh")
	// A package that comes meanwhile runs; its scripts do while it comes.
	l.put("usr/bin/fresh", "#!/bin/sh\ntrue\n")
	l.denied("/bin/fresh")
	l.pack("fresh", "usr/bin/fresh")
	await(t, "the new package", func() bool { _, err := l.run("/bin/fresh"); return err == nil })
	l.put("var/lib/dpkg/info/fresh.postinst", "#!/bin/sh\ntrue\n")
	l.runs("/var/lib/dpkg/info/fresh.postinst")
	if err := os.Chmod(filepath.Join(l.root, "var/lib/dpkg/info/fresh.postinst"), 0o777); err != nil {
		t.Fatal(err)
	}
	l.denied("/var/lib/dpkg/info/fresh.postinst")
	l.unrestrict()
}

func TestProgramsInMemoryAreEnded(t *testing.T) {
	l := newLab(t)
	l.start()
	l.restrict(Params{})
	if err := l.r.Memory(); err != nil {
		t.Fatal(err)
	}
	// At once where the kernel ends them, which the test lets it do in one cgroup only.
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	inside := exec.Command("sh", "-c", `echo $$ >"$0/cgroup.procs" && exec "$@"`, l.inside, self, filepath.Join(l.root, "usr/bin/sh"), "-c", "echo pwned")
	inside.Env = append(os.Environ(), "RESTRICT_TEST_ROLE=memfd")
	if out, err := inside.CombinedOutput(); err == nil || len(out) > 0 {
		t.Errorf("a program in memory: %v %s", err, out)
	}
	await(t, "word of it", func() bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		return len(l.ended) == 1 && l.ended[0].Name == "memfd:payload"
	})
	// Elsewhere when the sensors report them.
	cmd := role("memfd", filepath.Join(l.root, "usr/bin/sleep"), "60")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill() })
	await(t, "the program in memory", func() bool {
		exe, _ := os.Readlink(fmt.Sprintf("/proc/%d/exe", cmd.Process.Pid))
		return strings.HasPrefix(exe, "/memfd:")
	})
	l.guard.Observe(&event.Event{Table: event.ProcessEvents, Action: "ProcessCreated",
		Process: &event.Process{PID: uint32(cmd.Process.Pid), Image: event.File{Name: "memfd:payload"}}})
	if err := cmd.Wait(); err == nil || !strings.Contains(err.Error(), "killed") {
		t.Errorf("the program in memory ends with %v", err)
	}
	l.told("the program in memory", func(e *event.Event) bool {
		return strings.HasPrefix(e.File.Path, "/memfd:") && strings.Contains(e.Additional, `"Killed":true`)
	})
	l.unrestrict()
}

func TestRestrictionOutlivesTheAgent(t *testing.T) {
	l := newLab(t)
	l.put("tmp/evil.sh", "#!/bin/sh\necho pwned\n")
	l.start()
	l.restrict(Params{})
	since := l.r.Since()
	l.stop()
	l.runs("/tmp/evil.sh") // nobody is asked
	l.start()
	if !l.r.Active() || !l.r.Since().Equal(since) {
		t.Fatal("the restriction did not outlive the agent")
	}
	if err := l.guard.Apply(t.Context()); err != nil {
		t.Fatal(err)
	}
	l.denied("/tmp/evil.sh")
	l.stop()
	// Without the packages everything runs, and the agent says so.
	if err := os.Rename(filepath.Join(l.root, "var/lib/dpkg"), filepath.Join(l.root, "var/lib/gone")); err != nil {
		t.Fatal(err)
	}
	l.start()
	if l.r.Active() || l.r.Problem() == nil {
		t.Error("restricted without knowing any package")
	}
	l.runs("/bin/true")
	if r := l.do(KindRestrict, Params{}); r.State != responder.Refused {
		t.Errorf("restrict without packages: %+v", r)
	}
	l.stop()
}

// What starts the device and lets people in runs though no package explains it, as it was.
func TestTheFloorRuns(t *testing.T) {
	l := newLab(t)
	l.put("usr/sbin/sshd", "#!/bin/sh\ntrue\n")
	open := l.put("usr/bin/sudo", "#!/bin/sh\ntrue\n")
	if err := os.Chmod(open, 0o777); err != nil { // anybody's
		t.Fatal(err)
	}
	l.start()
	l.restrict(Params{})
	l.runs("/usr/sbin/sshd")
	l.denied("/usr/bin/sudo")
	l.put("usr/sbin/sshd", "#!/bin/sh\necho pwned\n")
	l.denied("/usr/sbin/sshd")
	l.restrict(Params{}) // what changed since is not of the floor
	l.denied("/usr/sbin/sshd")
	l.unrestrict()
}

// A restriction that leaves nothing to run is undone.
func TestARestrictionThatWouldLockOutIsUndone(t *testing.T) {
	l := newLab(t)
	l.put("usr/bin/only", "x")
	for _, f := range []string{"base"} {
		if err := os.Remove(filepath.Join(l.root, "var/lib/dpkg/info", f+".md5sums")); err != nil {
			t.Fatal(err)
		}
	}
	l.pack("other", "usr/bin/only")
	l.start()
	r := l.do(KindRestrict, Params{})
	if r.State != responder.Failed || !strings.Contains(r.Detail, "undone") {
		t.Errorf("%+v %s", r, r.Evidence)
	}
	if l.r.Active() {
		t.Error("still restricted")
	}
	l.runs("/bin/true")
}

func TestBadParametersAreRefused(t *testing.T) {
	h := &Handler{Guard: nil, Without: os.ErrPermission}
	if r := h.Handle(t.Context(), responder.Command{Kind: KindRestrict}); r.State != responder.Refused || !strings.Contains(r.Detail, "permission") {
		t.Errorf("without a guard: %+v", r)
	}
	for name, p := range map[string]Params{
		"hash": {Hashes: []string{"xyz"}}, "root": {Directories: []string{"/"}}, "relative": {Directories: []string{"opt"}},
		"dots": {Directories: []string{"/opt/../tmp"}}, "many": {Hashes: make([]string, maxHashes+1)},
	} {
		if _, err := p.normal(); err == nil {
			t.Errorf("%s is accepted", name)
		}
	}
}

// BenchmarkExec runs a program below the root: free, and while execution is restricted.
func BenchmarkExec(b *testing.B) {
	l := newLab(b)
	l.start()
	loop := func(b *testing.B) {
		// One shell runs all: its own start is not what is measured.
		script := fmt.Sprintf("i=0; while [ $i -lt %d ]; do /bin/true; i=$((i+1)); done", b.N)
		b.ResetTimer()
		if out, err := exec.Command("chroot", l.root, "/bin/sh", "-c", script).CombinedOutput(); err != nil {
			b.Fatalf("%v %s", err, out)
		}
	}
	b.Run("free", loop)
	if r := l.do(KindRestrict, Params{}); r.State != responder.Verified {
		b.Fatalf("%+v %s", r, r.Evidence)
	}
	b.Run("restricted", loop)
	if r := l.do(KindUnrestrict, Params{}); r.State != responder.Verified {
		b.Fatalf("%+v %s", r, r.Evidence)
	}
}

// execBy32 is a 32-bit program that executes a path by int 0x80, past what watches the
// system calls of 64-bit programs. It exits with 7 when it cannot.
func execBy32(path string) string {
	const base, headers = 0x08048000, 84
	le := binary.LittleEndian
	code := make([]byte, 0, 64)
	const size = 5 + 5 + 5 + 2 + 2 + 5 + 5 + 2
	argv := uint32(base + headers + size)
	name := argv + 8
	op := func(b byte, v uint32) { code = le.AppendUint32(append(code, b), v) }
	op(0xb8, 11) // eax: execve
	op(0xbb, name)
	op(0xb9, argv)
	code = append(code, 0x31, 0xd2, 0xcd, 0x80)
	op(0xbb, 7)
	op(0xb8, 1) // exit
	code = append(code, 0xcd, 0x80)
	code = le.AppendUint32(code, name)
	code = le.AppendUint32(code, 0)
	code = append(append(code, path...), 0)
	b := []byte("\x7fELF\x01\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00")
	for _, v := range []uint16{2, 3} { // an executable, for the 386
		b = le.AppendUint16(b, v)
	}
	for _, v := range []uint32{1, base + headers, 52, 0, 0} { // version, entry, program headers
		b = le.AppendUint32(b, v)
	}
	for _, v := range []uint16{52, 32, 1, 0, 0, 0} {
		b = le.AppendUint16(b, v)
	}
	n := uint32(headers + len(code))
	for _, v := range []uint32{1, 0, base, base, n, n, 7, 0x1000} { // load all of it
		b = le.AppendUint32(b, v)
	}
	return string(append(b, code...))
}

func TestSystemCallsOf32BitProgramsAreNoWayAround(t *testing.T) {
	if runtime.GOARCH != "amd64" {
		t.Skip("of this processor")
	}
	l := newLab(t)
	l.put("tmp/evil.sh", "#!/bin/sh\necho pwned\n")
	l.put("usr/bin/old", execBy32("/tmp/evil.sh"))
	l.pack("old", "usr/bin/old")
	l.start()
	if out, err := l.run("/bin/old"); err != nil || !strings.Contains(out, "pwned") {
		t.Skipf("this kernel runs no 32-bit programs: %v %s", err, out)
	}
	l.restrict(Params{})
	out, err := l.run("/bin/old")
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 7 || strings.Contains(out, "pwned") {
		t.Errorf("%v %s", err, out)
	}
	l.unrestrict()
}

func TestADeviceThatLeavesIsNotRestricted(t *testing.T) {
	l := newLab(t)
	l.put("tmp/evil.sh", "#!/bin/sh\nexit 0\n")
	l.start()
	if err := l.h.Lift(t.Context()); err != nil {
		t.Errorf("nothing: %v", err)
	}
	l.restrict(Params{})
	l.denied("/tmp/evil.sh")
	if err := l.h.Lift(t.Context()); err != nil {
		t.Error(err)
	}
	l.runs("/tmp/evil.sh")
	// A restriction that is not in force, because no database of packages can be read, would
	// come into force with one.
	l.restrict(Params{})
	l.stop()
	if err := os.Rename(filepath.Join(l.root, "var/lib/dpkg"), filepath.Join(l.root, "var/lib/away")); err != nil {
		t.Fatal(err)
	}
	l.start()
	if l.r.Problem() == nil {
		t.Fatal("it is in force")
	}
	if err := l.h.Lift(t.Context()); err != nil {
		t.Error(err)
	}
	l.stop()
	if err := os.Rename(filepath.Join(l.root, "var/lib/away"), filepath.Join(l.root, "var/lib/dpkg")); err != nil {
		t.Fatal(err)
	}
	l.start()
	if l.r.Active() || l.r.Problem() != nil {
		t.Error("a restriction comes back")
	}
	l.runs("/tmp/evil.sh")
	// Where nothing can be controlled there is nothing to prove.
	l.restrict(Params{})
	unable := &Handler{Restrictor: l.r, Without: errors.New("no fanotify")}
	if err := unable.Lift(t.Context()); err != nil || l.r.Active() {
		t.Errorf("%v, active %v", err, l.r.Active())
	}
}
