package server

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// startStop makes a server and ends it before it serves.
func startStop(t *testing.T, c Config) {
	t.Helper()
	s, err := New(context.Background(), c)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := s.Run(ctx); err != nil {
		t.Fatal(err)
	}
}

// freePort returns an address of loopback that nobody listens on. It is not one of those
// that the kernel gives to connections (32768 and above), which one could take before the
// server does.
func freePort(t *testing.T) string {
	t.Helper()
	for range 100 {
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", 10_000+rand.IntN(20_000)))
		if err == nil {
			defer l.Close()
			return l.Addr().String()
		}
	}
	t.Fatal("no port is free")
	return ""
}

func readBootstrap(t *testing.T, dir string) bootstrap {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(dir, "bootstrap.json"))
	if err != nil {
		t.Fatal(err)
	}
	var b bootstrap
	if err := json.Unmarshal(raw, &b); err != nil {
		t.Fatal(err)
	}
	return b
}

// A first start that cannot serve must not leave credentials behind that name an address
// where another program answers.
func TestAnAddressThatIsTakenMakesNothing(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	dir := t.TempDir()
	for _, c := range []Config{
		{DataDir: dir, Listen: l.Addr().String()},
		{DataDir: dir, Listen: freePort(t), ListenHTTP: l.Addr().String()},
		{DataDir: dir, Listen: freePort(t), ListenHTTP: "0.0.0.0:0"},
	} {
		if s, err := New(context.Background(), c); err == nil {
			s.close()
			t.Fatal("the server started")
		}
		for _, name := range []string{"bootstrap.json", "control.db"} {
			if _, err := os.Stat(filepath.Join(dir, name)); err == nil {
				t.Errorf("%+v made %s", c, name)
			}
		}
	}
}

func TestTheCredentialsFollowTheServersAddress(t *testing.T) {
	dir := t.TempDir()
	one, two := freePort(t), freePort(t)
	startStop(t, Config{DataDir: dir, Listen: one})
	before := readBootstrap(t, dir)
	if want := "https://" + one; before.APIURL != want {
		t.Fatalf("the address is %s, want %s", before.APIURL, want)
	}
	startStop(t, Config{DataDir: dir, Listen: two})
	after := readBootstrap(t, dir)
	if want := "https://" + two; after.APIURL != want || after.PortalURL != want+"/" || after.TokenURL != want+"/"+string(before.TenantID)+"/oauth2/v2.0/token" {
		t.Errorf("after a move to %s the file has %+v", two, after)
	}
	if after.ClientSecret != before.ClientSecret || after.TenantID != before.TenantID || after.EnrollmentToken != before.EnrollmentToken {
		t.Error("the credentials changed with the address")
	}
	st, err := os.Stat(filepath.Join(dir, "bootstrap.json"))
	if err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("the file's mode is %v, %v", st.Mode(), err)
	}
	if err := os.Remove(filepath.Join(dir, "bootstrap.json")); err != nil {
		t.Fatal(err)
	}
	startStop(t, Config{DataDir: dir, Listen: one})
	if _, err := os.Stat(filepath.Join(dir, "bootstrap.json")); err == nil {
		t.Error("a file that was taken away came back")
	}
}

func TestOwnAddresses(t *testing.T) {
	for addr, want := range map[string]bool{"127.0.0.1": true, "127.0.0.77": true, "::1": true, "192.0.2.1": false, "": false, "x": false} {
		if got := own(addr); got != want {
			t.Errorf("own(%q) = %v", addr, got)
		}
	}
}

func TestALostPartIsNotBegunAnew(t *testing.T) {
	for name, lose := range map[string]func(dir string) error{
		"ca": func(dir string) error { return os.RemoveAll(filepath.Join(dir, "ca")) },
		"control.db": func(dir string) error {
			if err := os.MkdirAll(filepath.Join(dir, "telemetry", "segments", "a-tenant"), 0o755); err != nil {
				return err
			}
			return os.Remove(filepath.Join(dir, "control.db"))
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			c := Config{DataDir: dir, Listen: freePort(t)}
			startStop(t, c)
			before := readBootstrap(t, dir)
			if err := lose(dir); err != nil {
				t.Fatal(err)
			}
			s, err := New(context.Background(), c)
			if err == nil {
				s.close()
				t.Fatal("the server started")
			}
			if !strings.Contains(err.Error(), filepath.Join(dir, name)) {
				t.Errorf("the error does not name what is lost: %v", err)
			}
			if after := readBootstrap(t, dir); after != before {
				t.Error("the credentials were written anew")
			}
		})
	}
}
