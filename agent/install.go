package agent

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/vedette-edr/vedette/durable"
)

// Where an installation puts things, below its root.
const (
	installedProgram = "usr/local/sbin/vedette-agent"
	installedUnit    = "etc/systemd/system/vedette-agent.service"
	installedState   = "var/lib/vedette-agent"
	installedCA      = "etc/vedette/ca.crt"
	installedToken   = "etc/vedette/enroll.token"
)

// Installation says how the agent is to run on this machine.
type Installation struct {
	Root   string // "" for this machine itself; else nothing is started
	Server string
	CAFile string
	Token  string
	// Exclude are values of Config.Exclude, without white space, quotes, % and $.
	Exclude []string
}

// unitSpecial are characters that mean something in a unit's command.
const unitSpecial = " \t\r\n\"'\\%$"

// installed is one file of an installation.
type installed struct {
	name string
	data []byte
	mode os.FileMode
}

// Install copies this program into place, writes its systemd unit, and starts it. Doing it
// again replaces the program and keeps the device's identity.
func Install(out io.Writer, in Installation) error {
	if !strings.HasPrefix(in.Server, "https://") {
		return fmt.Errorf("the server must be an https:// address, not %q", in.Server)
	}
	if strings.ContainsAny(in.Server, unitSpecial) {
		return fmt.Errorf("the server %q holds characters that no address has", in.Server)
	}
	if _, err := parseExclusions(in.Exclude); err != nil {
		return err
	}
	for _, x := range in.Exclude {
		if strings.ContainsAny(x, unitSpecial) {
			return fmt.Errorf("excluded path %q: white space, quotes, \\, %% and $ cannot stand in a unit", x)
		}
	}
	at := func(name string) string { return filepath.Join("/", in.Root, name) }
	self, err := os.Executable()
	if err != nil {
		return err
	}
	program, err := os.ReadFile(self)
	if err != nil {
		return err
	}
	steps := []installed{{installedProgram, program, 0o755}, {installedUnit, []byte(unitText(in)), 0o644}}
	if in.CAFile != "" {
		pem, err := os.ReadFile(in.CAFile)
		if err != nil {
			return err
		}
		steps = append(steps, installed{installedCA, pem, 0o644})
	}
	if in.Token != "" {
		steps = append(steps, installed{installedToken, []byte(in.Token + "\n"), 0o600})
	}
	for _, s := range steps {
		if err := replace(at(s.name), s.data, s.mode); err != nil {
			return err
		}
		fmt.Fprintln(out, "wrote", at(s.name))
	}
	if in.Root != "" {
		return nil
	}
	if !systemd() {
		return fmt.Errorf("the files are in place, but systemd does not run here; start %s yourself: %s", at(installedProgram), command(in))
	}
	return systemctl(out, []string{"daemon-reload"}, []string{"enable", "vedette-agent.service"}, []string{"restart", "vedette-agent.service"})
}

// Uninstall stops the agent and removes what Install wrote, and the state directory unless
// it is to be kept. What is not there is passed over.
func Uninstall(out io.Writer, root string, keepState bool) error {
	if root == "" && systemd() {
		if _, err := os.Stat("/" + installedUnit); err == nil {
			if err := systemctl(out, []string{"disable", "--now", "vedette-agent.service"}); err != nil {
				return err
			}
		}
	}
	var failed []error
	names := []string{installedUnit, installedToken, installedCA, installedProgram}
	if !keepState {
		names = append(names, installedState)
	}
	for _, n := range names {
		path := filepath.Join("/", root, n)
		if _, err := os.Lstat(path); errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err := os.RemoveAll(path); err != nil {
			failed = append(failed, err)
			continue
		}
		fmt.Fprintln(out, "removed", path)
	}
	if root == "" && systemd() {
		failed = append(failed, systemctl(out, []string{"daemon-reload"}))
	}
	return errors.Join(failed...)
}

func command(in Installation) string {
	args := []string{"/" + installedProgram, "run", "--server", in.Server, "--state-dir", "/" + installedState}
	if in.CAFile != "" {
		args = append(args, "--ca", "/"+installedCA)
	}
	if in.Token != "" {
		args = append(args, "--enroll-token-file", "/"+installedToken)
	}
	for _, x := range in.Exclude {
		args = append(args, "--exclude-path", x)
	}
	return strings.Join(args, " ")
}

// unitText is the systemd unit. The network waits until the agent says that it is ready, so
// that isolation, restriction and blocks that were in force before a reboot are in force again before
// anything can talk; ready does not mean in touch with the server. A slow device may take a
// minute: an agent that systemd ends meanwhile would contain nothing.
func unitText(in Installation) string {
	return `[Unit]
Description=Vedette agent
Documentation=https://github.com/vedette-edr/vedette
DefaultDependencies=no
RequiresMountsFor=/` + installedState + ` /` + installedProgram + `
After=local-fs.target systemd-sysctl.service
Before=network-pre.target
Wants=network-pre.target
Conflicts=shutdown.target
Before=shutdown.target
StartLimitIntervalSec=0

[Service]
Type=notify
NotifyAccess=main
TimeoutStartSec=90
ExecStart=` + command(in) + `
Restart=always
RestartSec=2
KillMode=process
OOMScoreAdjust=-900
LimitNOFILE=65536
LimitMEMLOCK=infinity
StateDirectory=vedette-agent
StateDirectoryMode=0700
UMask=0077

[Install]
WantedBy=sysinit.target
`
}

// replace writes a file whole or not at all, also over a program that runs.
func replace(path string, data []byte, mode os.FileMode) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return durable.Write(path, data, mode)
}

func systemd() bool {
	_, err := os.Stat("/run/systemd/system")
	return err == nil
}

func systemctl(out io.Writer, calls ...[]string) error {
	for _, args := range calls {
		msg, err := exec.Command("systemctl", args...).CombinedOutput()
		if err != nil {
			return fmt.Errorf("systemctl %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(string(msg)))
		}
		fmt.Fprintln(out, "systemctl", strings.Join(args, " "))
	}
	return nil
}
