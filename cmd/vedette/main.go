// Command vedette is the command line over the public API of a Vedette server.
//
// Every command is a noun and a verb, answers as a table, JSON or CSV, and exits with 1
// when the server refused, 2 when the command itself was wrong.
package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"

	"github.com/vedette-edr/vedette/client"
	"github.com/vedette-edr/vedette/cmd/vedette/screen"
)

var version = "dev"

// commands is the grammar of the command line.
type commands struct {
	Profile string           `help:"Profile to use: a server's bootstrap.json. Without it: ./run/bootstrap.json, ~/.config/vedette/profile.json, /etc/vedette/profile.json." env:"VEDETTE_PROFILE" type:"path"`
	Output  string           `short:"o" help:"Form of the answer: ${enum}." enum:"table,json,csv" default:"table"`
	Version kong.VersionFlag `help:"Print the version."`

	Hunt           huntCommand           `cmd:"" help:"Run a KQL query over the telemetry."`
	KQL            kqlCommand            `cmd:"" name:"kql" help:"The query language itself: check, explain, conformance. Needs no server."`
	Alert          alertCommand          `cmd:"" help:"Alerts."`
	Incident       incidentCommand       `cmd:"" help:"Incidents: alerts that belong together."`
	Suppression    suppressionCommand    `cmd:"" help:"Rules about alerts that nobody needs to look at."`
	Notification   notificationCommand   `cmd:"" help:"Who is told of alerts and incidents, by mail and web hook."`
	Subscription   subscriptionCommand   `cmd:"" help:"Web hook subscriptions of the flow connector."`
	Device         deviceCommand         `cmd:"" help:"Devices and response actions on them."`
	Action         actionCommand         `cmd:"" help:"Response actions, pending and past."`
	Approval       approvalCommand       `cmd:"" help:"Approval policies: which actions somebody must agree to, and who."`
	Expert         expertCommand         `cmd:"" help:"Ask an expert outside, with a case of what is known here."`
	Indicator      indicatorCommand      `cmd:"" help:"Indicators: hashes, addresses, domains, URLs."`
	Definition     definitionCommand     `cmd:"" help:"Alert definitions of the custom threat-intelligence API."`
	IOC            iocCommand            `cmd:"" name:"ioc" help:"Indicators of compromise of the custom threat-intelligence API."`
	Rule           ruleCommand           `cmd:"" help:"Detection rules: those of files, and custom detection rules."`
	Software       softwareCommand       `cmd:"" help:"Software on devices."`
	Vulnerability  vulnerabilityCommand  `cmd:"" help:"Vulnerabilities of that software."`
	Recommendation recommendationCommand `cmd:"" help:"What would mend vulnerabilities and settings."`
	Exposure       exposureCommand       `cmd:"" help:"How exposed the devices are."`
	Feed           feedCommand           `cmd:"" help:"Files that say which software is vulnerable."`
	File           fileCommand           `cmd:"" help:"Files: who has seen them, and the alerts about them."`
	Domain         netCommand            `cmd:"" help:"Domains: who has talked to them, and the alerts about them."`
	IP             netCommand            `cmd:"" name:"ip" help:"Addresses: who has talked to them, and the alerts about them."`
	Account        accountCommand        `cmd:"" help:"Accounts on devices: where they logged on, and the alerts about them."`
	Investigation  investigationCommand  `cmd:"" help:"Automated investigations."`
	Library        libraryCommand        `cmd:"" help:"The live response library."`
	Live           liveCommand           `cmd:"" help:"Live response: a console on a device, and what sessions left."`
	Schema         schemaCommand         `cmd:"" help:"The hunting tables and their columns."`
	App            appCommand            `cmd:"" help:"API applications and their permissions."`
	API            apiCommand            `cmd:"" name:"api" help:"Send one request to the API and print the answer."`
	Me             meCommand             `cmd:"" help:"Your own account, as in the portal: password, sessions, second factor."`
	SSO            ssoCommand            `cmd:"" name:"sso" help:"How people sign in: identity providers, and the second factor."`
	User           userCommand           `cmd:"" help:"People with an account, their roles and groups."`
	Role           roleCommand           `cmd:"" help:"Roles: what people may do."`
	Group          groupCommand          `cmd:"" help:"Device groups: which devices belong together, and who sees them."`
	Token          tokenCommand          `cmd:"" help:"Print an access token, for curl and scripts."`
}

// session is what commands run with.
type session struct {
	ctx     context.Context
	profile string
	out     printer
	errs    io.Writer     // guarded
	in      *bufio.Reader // standard input, once somebody asked for it
	notes   io.Writer     // the same, which obeys
}

// progress writes over the line that it wrote before, on a terminal.
func (s *session) progress(format string, args ...any) {
	fmt.Fprintf(s.notes, "\r%s", screen.Line(fmt.Sprintf(format, args...)))
}

func (s *session) client() (*client.Client, error) {
	path := s.profile
	if path == "" {
		candidates := []string{filepath.Join("run", "bootstrap.json")}
		if home, err := os.UserConfigDir(); err == nil {
			candidates = append(candidates, filepath.Join(home, "vedette", "profile.json"))
		}
		candidates = append(candidates, "/etc/vedette/profile.json")
		for _, c := range candidates {
			if _, err := os.Stat(c); err == nil {
				path = c
				break
			}
		}
		if path == "" {
			return nil, fmt.Errorf("no profile found: give --profile DIR/bootstrap.json of the server, or set VEDETTE_PROFILE")
		}
	}
	return client.FromProfile(path)
}

func main() {
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

func run(args []string, stdout, stderr io.Writer) int {
	var cli commands
	parser, err := kong.New(&cli,
		kong.Name("vedette"),
		kong.Description("Hunts, alerts and response actions of a Vedette server."),
		kong.Vars{"version": version},
		kong.Writers(stdout, stderr),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}),
	)
	if err != nil {
		fmt.Fprintln(stderr, "vedette:", err)
		return 2
	}
	parsed, err := parser.Parse(args)
	if err != nil {
		fmt.Fprintln(stderr, "vedette:", err)
		fmt.Fprintln(stderr, "Try 'vedette --help'.")
		return 2
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	s := &session{ctx: ctx, profile: cli.Profile, out: newPrinter(stdout, cli.Output), errs: guarded(stderr), notes: stderr}
	if err := parsed.Run(s, placeOf(parsed.Command())); err != nil {
		report(s.errs, err)
		return 1
	}
	return 0
}

// placeOf is the part of the API that the noun of a command stands for, "" for most nouns.
func placeOf(command string) place {
	noun, _, _ := strings.Cut(command, " ")
	return map[string]place{"file": "files", "domain": "domains", "ip": "ips", "account": "users"}[noun]
}

// report prints an error as a person wants to read it.
func report(w io.Writer, err error) {
	var api *client.Error
	var link *net.OpError
	var trust *tls.CertificateVerificationError
	switch {
	case errors.As(err, &api) && api.Status == 401:
		fmt.Fprintf(w, "vedette: not signed in: %s\nCheck client_id and client_secret in the profile.\n", api.Message)
	case errors.As(err, &api) && api.Code == "ForceSelfMissing":
		fmt.Fprintf(w, "vedette: %s\nIf you mean it, add --force-self.\n", api.Message)
	case errors.As(err, &api) && api.Target != "":
		fmt.Fprintf(w, "vedette: %s\n(correlation id %s)\n", api, api.Target)
	case errors.As(err, &trust):
		fmt.Fprintf(w, "vedette: the server's certificate is not trusted: %v\nThe profile's ca_file must be the CA of this server.\n", trust.Err)
	case errors.As(err, &link) && link.Op == "dial":
		fmt.Fprintf(w, "vedette: the server cannot be reached: %v\nIs it running, and is api_url in the profile its address?\n", link)
	default:
		fmt.Fprintln(w, "vedette:", err)
	}
}
