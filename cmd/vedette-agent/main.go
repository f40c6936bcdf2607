// Command vedette-agent is the agent on a device: it watches, keeps what it saw until the
// server has it, and carries out signed commands.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"runtime/pprof"
	"syscall"
	"time"

	"github.com/alecthomas/kong"

	"github.com/vedette-edr/vedette/agent"
	"github.com/vedette-edr/vedette/agent/launch"
	"github.com/vedette-edr/vedette/agent/link"
)

var version = "dev"

type commands struct {
	Run       runCommand       `cmd:"" help:"Run the agent in the foreground."`
	Install   installCommand   `cmd:"" help:"Install the agent as a service of this machine and start it."`
	Status    statusCommand    `cmd:"" help:"Show what the agent on this machine does and lacks."`
	Release   releaseCommand   `cmd:"" help:"End the isolation of this machine by a code of its server, when the server cannot be reached."`
	Uninstall uninstallCommand `cmd:"" help:"Stop the agent and remove it from this machine."`
	Watchdog  watchdogCommand  `cmd:"" hidden:"" help:"Started by the agent: ends it if it hangs, so that nothing waits for it."`
	Version   kong.VersionFlag `help:"Print the version."`
}

// enrolFlags say which server to work for.
type enrolFlags struct {
	Server          string `required:"" help:"The server, https://HOST:PORT." env:"VEDETTE_SERVER"`
	EnrollToken     string `help:"Enrolment token; it is wiped from the process list. A file is better." env:"VEDETTE_ENROLL_TOKEN" xor:"token"`
	EnrollTokenFile string `help:"File that holds the enrolment token." env:"VEDETTE_ENROLL_TOKEN_FILE" type:"path" xor:"token"`
	CA              string `name:"ca" help:"Certificate of the server's own authority (PEM)." env:"VEDETTE_CA" type:"path"`
}

type runCommand struct {
	enrolFlags
	StateDir    string   `help:"Directory for identity and spool." default:"/var/lib/vedette-agent" type:"path"`
	Instance    string   `help:"Name of this agent in the kernel, where several run on one machine." default:"vedette"`
	ExcludePath []string `help:"Report no file events below this path; PATH=PROGRAM: none of that program's own." placeholder:"PATH[=PROGRAM]"`
	Policy      string   `help:"File that says what commands may do to this device; without it policy.json of the state directory, or /etc/vedette/agent-policy.json." type:"path"`
	LogLevel    string   `help:"${enum}." enum:"debug,info,warn,error" default:"info"`
	CPUProfile  string   `name:"cpu-profile" help:"Write a profile of the agent's processor time to this file." type:"path" hidden:""`
}

func (c *runCommand) Run(ctx context.Context) error {
	token := link.TakeToken(c.EnrollToken)
	if err := os.Unsetenv("VEDETTE_ENROLL_TOKEN"); err != nil {
		return err
	}
	if c.EnrollTokenFile != "" {
		var err error
		// Once enrolled the token is not needed, and its file may be gone.
		if token, err = agent.ReadToken(c.EnrollTokenFile); err != nil && !os.IsNotExist(err) {
			return err
		}
	}
	if c.CPUProfile != "" {
		f, err := os.Create(c.CPUProfile)
		if err != nil {
			return err
		}
		defer f.Close()
		if err := pprof.StartCPUProfile(f); err != nil {
			return err
		}
		defer pprof.StopCPUProfile()
	}
	if os.Getenv("GOMEMLIMIT") == "" {
		go boundMemory(ctx)
	}
	var level slog.Level
	if err := level.UnmarshalText([]byte(c.LogLevel)); err != nil {
		return err
	}
	return agent.Run(ctx, agent.Config{
		Server: c.Server, CAFile: c.CA, Token: token, StateDir: c.StateDir, Instance: c.Instance,
		Exclude: c.ExcludePath, Version: version, Policy: c.Policy,
		Log: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: level})),
	})
}

type watchdogCommand struct{}

func (watchdogCommand) Run() error { return agent.Watchdog() }

type statusCommand struct {
	StateDir string `help:"State directory of the agent." default:"/var/lib/vedette-agent" type:"path"`
	JSON     bool   `help:"Print JSON."`
}

func (c *statusCommand) Run(out io.Writer) error {
	s, err := agent.AskStatus(c.StateDir)
	if err != nil {
		return err
	}
	if c.JSON {
		enc := json.NewEncoder(out)
		enc.SetIndent("", "  ")
		return enc.Encode(s)
	}
	printStatus(out, s)
	return nil
}

type releaseCommand struct {
	Code     string `required:"" help:"The code: vedette device release-code shows it. - reads it from standard input."`
	StateDir string `help:"State directory of the agent." default:"/var/lib/vedette-agent" type:"path"`
	Instance string `help:"Name of the agent in the kernel, where several run on one machine." default:"vedette"`
	JSON     bool   `help:"Print JSON."`
}

func (c *releaseCommand) Run(ctx context.Context, out io.Writer) error {
	if c.Code == "-" {
		const most = 4 << 10
		raw, err := io.ReadAll(io.LimitReader(os.Stdin, most))
		if err != nil {
			return err
		}
		c.Code = string(raw)
	}
	r, err := agent.Release(ctx, c.StateDir, c.Instance, c.Code)
	if err != nil {
		return err
	}
	if c.JSON {
		enc := json.NewEncoder(out)
		enc.SetIndent("", "  ")
		if err := enc.Encode(r); err != nil {
			return err
		}
	}
	switch {
	case r.Problem != "":
		return errors.New(r.Problem)
	case c.JSON:
	case !r.Verified:
		fmt.Fprintf(out, "The isolation has ended, but not every probe shows it: %s\n", r.Evidence)
	default:
		fmt.Fprintln(out, "The isolation of this machine has ended, and probes have shown it.")
	}
	return nil
}

func printStatus(w io.Writer, s *agent.Status) {
	line := func(name, format string, args ...any) {
		fmt.Fprintf(w, "%-12s %s\n", name, fmt.Sprintf(format, args...))
	}
	line("Device", "%s (enrolment %d, tenant %s)", s.Device, s.Incarnation, s.Tenant)
	line("Server", "%s", s.Server)
	switch {
	case s.Problem != "":
		line("Connection", "%s", s.Problem)
		if !s.LastContact.IsZero() {
			line("", "the last contact was %s ago", time.Since(s.LastContact).Round(time.Second))
		}
		line("", "everything is kept on this device until the server takes it")
	case s.LastContact.IsZero():
		line("Connection", "not yet")
	default:
		line("Connection", "last contact %s ago", time.Since(s.LastContact).Round(time.Second))
	}
	line("Version", "%s, running for %s", s.Version, s.Uptime)
	if s.Isolated {
		line("Isolation", "this device is isolated from everything but its server")
	}
	line("Spool", "%d batches waiting, %d of %d MiB; %d events seen, %d dropped", s.Spool.Batches, s.Spool.Bytes>>20, s.Spool.Limit>>20, s.Spool.Emitted, s.Spool.Dropped)
	if s.Spool.Degraded != "" {
		line("", "%s", s.Spool.Degraded)
	}
	working, lacking := 0, 0
	for _, f := range s.Facilities {
		if f.State == "working" {
			working++
		} else {
			lacking++
		}
	}
	line("Sensors", "%d facilities work, %d do not fully", working, lacking)
	for _, f := range s.Facilities {
		if f.State == "working" {
			continue
		}
		line("", "%s is %s: %s", f.Name, f.State, f.Detail)
		if f.Remedy != "" {
			line("", "  to mend it: %s", f.Remedy)
		}
	}
}

type installCommand struct {
	enrolFlags
	Root        string   `help:"Install below this directory and start nothing, for packages and images." type:"path"`
	ExcludePath []string `help:"Report no file events below this path; PATH=PROGRAM: none of that program's own." placeholder:"PATH[=PROGRAM]"`
}

func (c *installCommand) Run(out io.Writer) error {
	token := link.TakeToken(c.EnrollToken)
	if c.EnrollTokenFile != "" {
		var err error
		if token, err = agent.ReadToken(c.EnrollTokenFile); err != nil {
			return err
		}
	}
	return agent.Install(out, agent.Installation{Root: c.Root, Server: c.Server, CAFile: c.CA, Token: token, Exclude: c.ExcludePath})
}

type uninstallCommand struct {
	Root      string `help:"Uninstall from below this directory." type:"path"`
	KeepState bool   `help:"Keep the device's identity and what the server has not received."`
}

func (c *uninstallCommand) Run(out io.Writer) error {
	return agent.Uninstall(out, c.Root, c.KeepState)
}

func main() {
	// Before everything else: it is started for each program that the agent runs.
	launch.Begin()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var c commands
	k := kong.Parse(&c,
		kong.Name("vedette-agent"),
		kong.Description("The Vedette agent."),
		kong.Vars{"version": version},
		kong.BindTo(ctx, (*context.Context)(nil)),
		kong.BindTo(os.Stdout, (*io.Writer)(nil)),
	)
	if err := k.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "vedette-agent:", err)
		os.Exit(1)
	}
}
