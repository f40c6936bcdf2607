package e2e

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/vedette-edr/vedette/client"
	"github.com/vedette-edr/vedette/fleetsim"
)

// weekly is the query of the hunting guide as it was published, with the names of 2019;
// %s takes the accounts of the executives.
const weekly = `LogonEvents
| where EventTime > ago(7d)
| where LogonType in ("Interactive","RemoteInteractive","CachedInteractive","CachedRemoteInteractive")
| summarize InteractiveLoginCount = count(LogonType) by MachineId, ComputerName, AccountName
| where InteractiveLoginCount > 0
| summarize (InteractiveLoginCount, AccountName) = argmax(InteractiveLoginCount, AccountName) by MachineId, ComputerName
| where AccountName in (%s)
| distinct MachineId`

// TestWeeklyExecutiveHunt logs a real user on to this host by ssh and su, among simulated
// devices that others use, and expects the guide's query to name this host alone.
func TestWeeklyExecutiveHunt(t *testing.T) {
	s := startServer(t)
	startAgent(t, s, "")
	device := s.onlyDevice(t)

	ca, err := os.ReadFile(s.profile.CAFile)
	if err != nil {
		t.Fatal(err)
	}
	fleet, err := fleetsim.New(fleetsim.Config{Server: "https://" + s.addr, CA: ca, Token: s.profile.EnrollmentToken,
		Devices: 5, Seed: 1, Dir: t.TempDir(), Prefix: "desk"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { fleet.Close() })
	ctx := context.Background()
	if err := fleet.Enrol(ctx); err != nil {
		t.Fatal(err)
	}
	user := newUser(t)
	for i, d := range fleet.Devices() {
		events := d.Execs(20)
		for range 3 {
			events = append(events, d.Logon(fmt.Sprintf("clerk%d", i), "Interactive"))
		}
		switch i {
		case 0: // the executive was here, but a clerk more often
			events = append(events, d.Logon(user.name, "RemoteInteractive"))
		case 1: // the executive's account only fetched a file here
			events = append(events, d.Logon(user.name, "Network"), d.Logon(user.name, "Network"), d.Logon(user.name, "Network"), d.Logon(user.name, "Network"))
		}
		if err := d.Push(ctx, events); err != nil {
			t.Fatal(err)
		}
	}

	port := startSSHD(t, user)
	for range 2 {
		command(t, "ssh", "-tt", "-F", "none", "-p", fmt.Sprint(port), "-i", user.key, "-o", "StrictHostKeyChecking=no",
			"-o", "UserKnownHostsFile=/dev/null", "-o", "IdentitiesOnly=yes", user.name+"@127.0.0.1", "true")
	}
	// script gives su the terminal that makes its session interactive.
	command(t, "script", "-qec", "su -s /bin/sh -c true - "+user.name, "/dev/null")

	s.huntUntil(t, "the real logons", fmt.Sprintf(`DeviceLogonEvents | where AccountName == "%s" and DeviceId == "%s" and ActionType == "LogonSuccess"
		| project LogonType, Protocol, RemoteIP, InitiatingProcessFileName`, user.name, device.ID), func(rows []map[string]any) bool {
		kinds := map[string]int{}
		for _, r := range rows {
			kinds[fmt.Sprint(r["LogonType"], " ", r["Protocol"], " ", r["RemoteIP"])]++
		}
		return kinds["RemoteInteractive ssh 127.0.0.1"] == 2 && kinds["Interactive su "] == 1 && len(rows) == 3
	})
	s.huntUntil(t, "the simulated logons", `DeviceLogonEvents | where DeviceName startswith "desk" | summarize count()`, func(rows []map[string]any) bool {
		return len(rows) == 1 && rows[0]["count_"] == float64(5*3+1+4)
	})

	accounts := fmt.Sprintf(`"%s","ceo","cfo"`, user.name)
	r := s.hunt(t, fmt.Sprintf(weekly, accounts))
	if len(r.Results) != 1 || len(r.Schema) != 1 || r.Schema[0].Name != "MachineId" || r.Results[0]["MachineId"] != device.ID {
		t.Fatalf("the weekly query answers %v, want this host alone, %s", r.Results, device.ID)
	}

	// As the guide's flow does: tag every device that the query named.
	s.cli(t, "device", "tag", "Executive", device.ID)
	machines, err := client.All[client.Machine](ctx, s.Client, "/api/machines", client.List{Filter: "machineTags/any(tag: tag eq 'Executive')"})
	if err != nil || len(machines) != 1 || machines[0].ID != device.ID {
		t.Errorf("tagged devices: %+v, %v", machines, err)
	}
	all, err := client.All[client.Machine](ctx, s.Client, "/api/machines", client.List{})
	if err != nil || len(all) != 6 {
		t.Errorf("%d devices (%v), want 6", len(all), err)
	}
	for _, m := range all {
		if slices.Contains(m.Tags, "Executive") != (m.ID == device.ID) {
			t.Errorf("%s carries the tags %v", m.Name, m.Tags)
		}
	}
}

// account is a local user for one test.
type account struct{ name, key string }

// newUser makes a user of this host with an ssh key, until the test ends.
func newUser(t *testing.T) *account {
	t.Helper()
	u := &account{name: unique("vdt")}
	home := filepath.Join("/tmp", u.name)
	command(t, "useradd", "--home-dir", home, "--create-home", "--shell", "/bin/sh", "--password", "*", u.name)
	t.Cleanup(func() {
		exec.Command("pkill", "-KILL", "-u", u.name).Run()
		if out, err := exec.Command("userdel", "--force", "--remove", u.name).CombinedOutput(); err != nil && !strings.Contains(string(out), "mail spool") {
			t.Errorf("userdel %s: %v %s", u.name, err, out)
		}
	})
	u.key = filepath.Join(t.TempDir(), "key")
	command(t, "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", u.key)
	pub, err := os.ReadFile(u.key + ".pub")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(home, ".ssh"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(home, ".ssh", "authorized_keys"), pub, 0o600); err != nil {
		t.Fatal(err)
	}
	command(t, "chown", "-R", u.name+":", home)
	return u
}

// startSSHD runs an ssh server of its own on loopback that lets only the user in. Further lines
// of its configuration come before the usual ones, and win.
func startSSHD(t *testing.T, u *account, further ...string) (port int) {
	t.Helper()
	dir := t.TempDir()
	port = freePort(t)
	if err := os.MkdirAll("/run/sshd", 0o755); err != nil { // Debian's unit makes it
		t.Fatal(err)
	}
	command(t, "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", filepath.Join(dir, "host"))
	conf := filepath.Join(dir, "sshd_config")
	if err := os.WriteFile(conf, []byte(strings.Join(further, "\n")+"\n"+fmt.Sprintf("ListenAddress 127.0.0.1:%d\nHostKey %s/host\nPidFile none\nUsePAM yes\nAllowUsers %s\nPasswordAuthentication no\nStrictModes no\n",
		port, dir, u.name)), 0o600); err != nil {
		t.Fatal(err)
	}
	p := start(t, "/usr/sbin/sshd", "-D", "-e", "-f", conf)
	await(t, "sshd to listen", func() error {
		if !p.running() {
			t.Fatalf("sshd ended: %s", p.out)
		}
		c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err == nil {
			c.Close()
		}
		return err
	})
	return port
}
