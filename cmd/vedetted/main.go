// Command vedetted is the Vedette server: `vedetted serve` runs every role in one process
// and starts itself again as `vedetted worker`, the sandboxed process that runs hunts.
package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/alecthomas/kong"

	"github.com/vedette-edr/vedette/server"
	"github.com/vedette-edr/vedette/server/connector/mail"
	"github.com/vedette-edr/vedette/server/external"
	"github.com/vedette-edr/vedette/server/hunt"
	"github.com/vedette-edr/vedette/server/telemetry/duckdb/worker"
)

var version = "dev"

type commands struct {
	Serve   serveCommand     `cmd:"" help:"Run the server."`
	Demo    demoCommand      `cmd:"" help:"Run a server with simulated devices, a week of telemetry and five attacks, to look at."`
	Worker  workerCommand    `cmd:"" hidden:"" help:"Run queries for the server that started this process."`
	OpenAPI openapiCommand   `cmd:"" name:"openapi" help:"Print the OpenAPI document of the server's API."`
	Version kong.VersionFlag `help:"Print the version."`
}

// serveCommand is the configuration of a server. Every flag can also be given as
// VEDETTED_NAME in the environment or as name: value in the file of --config.
type serveCommand struct {
	Config     kong.ConfigFlag `help:"YAML file with the same names as these flags." type:"path"`
	DataDir    string          `help:"Directory that holds everything the server keeps." default:"/var/lib/vedette" type:"path"`
	Listen     string          `help:"Address of the HTTPS listener for API, portal and agents." default:":8443"`
	ListenHTTP string          `help:"Loopback address that serves the API without TLS." name:"listen-http"`
	Name       []string        `help:"Further DNS names and IP addresses of this server, for its certificate and addresses shown."`
	Retention  time.Duration   `help:"How long telemetry is kept." default:"720h"`
	Content    string          `help:"Directory of rule files, besides those shipped; without it content/detections of the data directory." type:"existingdir"`
	Reserve    int64           `help:"MiB that stay free on the disk: below that, devices keep their telemetry." name:"disk-reserve" default:"256"`
	Hosts      []string        `help:"Hosts that queries may read files from with externaldata, over HTTPS: lists.example.com, *.example.com. None without it." name:"external-host"`
	SMTP       string          `help:"Mail server for notifications: smtps://user:password@host:465, smtp://…:587 (STARTTLS), smtp+plain://…:25." name:"smtp"`
	SMTPFrom   string          `help:"Sender of mails." name:"smtp-from" default:"vedette@localhost"`
	HookNets   []netip.Prefix  `help:"Private networks in which web hooks may be." name:"webhook-network"`
	HookCA     string          `help:"PEM file of authorities that web hooks' certificates may be of, beside the system's." name:"webhook-ca" type:"path"`
	SSONets    []netip.Prefix  `help:"Private networks in which identity providers may be." name:"sso-network"`
	SSOCA      string          `help:"PEM file of authorities that identity providers' certificates may be of, beside the system's." name:"sso-ca" type:"path"`
	Networks   []netip.Prefix  `help:"Private networks in which such hosts may be all the same." name:"external-network"`
	Files      string          `help:"Directory whose files queries may read with externaldata. None without it." name:"external-dir" type:"path"`
	GeoIP      string          `help:"File in MaxMind's format (MMDB) for geo_info_from_ip_address in queries. Without it the function is empty." name:"geoip" type:"existingfile"`
	QuotaHour  time.Duration   `help:"How long the queries of one tenant may run in an hour, 10m as published; negative for no quota." name:"hunt-quota-hour" default:"10m"`
	QuotaDay   time.Duration   `help:"The same in a day." name:"hunt-quota-day" default:"3h"`
	RateLimit  string          `help:"Limits of API calls: published, off, or a factor of the published ones such as 2.5." name:"rate-limit" default:"published"`
	RouteLimit []string        `help:"Limit of one route, such as \"GET /api/alerts=200/3000\": calls a minute and an hour, 0 for none." name:"route-limit"`
	LogLevel   string          `help:"${enum}." enum:"debug,info,warn,error" default:"info"`
	LogFormat  string          `help:"${enum}." enum:"text,json" default:"text"`
}

// minRetention is the shortest time that telemetry is kept.
const minRetention = time.Hour

// Run serves until it is told to end.
func (c *serveCommand) Run(ctx context.Context) error {
	if c.Reserve <= 0 || c.Reserve > 1<<20 {
		return fmt.Errorf("disk-reserve %d: it is a number of MiB between 1 and %d", c.Reserve, 1<<20)
	}
	// A number without a unit is nanoseconds, and would empty the store.
	if c.Retention < minRetention {
		return fmt.Errorf("retention %v: it is a duration of at least %v, such as 720h", c.Retention, minRetention)
	}
	ssoTLS, err := trust("sso-ca", c.SSOCA)
	if err != nil {
		return err
	}
	hookTLS, err := trust("webhook-ca", c.HookCA)
	if err != nil {
		return err
	}
	log := logger(os.Stderr, c.LogLevel, c.LogFormat)
	rate, routes, err := c.limits()
	if err != nil {
		return err
	}
	s, err := server.New(ctx, server.Config{
		RateLimit: rate, RouteLimits: routes,
		DataDir: c.DataDir, Listen: c.Listen, ListenHTTP: c.ListenHTTP, Names: c.Name,
		Retention: c.Retention, DiskReserve: c.Reserve << 20, Content: c.Content, Version: version, Log: log,
		GeoIP: c.GeoIP, Quota: hunt.Quota{Hour: c.QuotaHour, Day: c.QuotaDay},
		Mail: mail.Config{URL: c.SMTP, From: c.SMTPFrom}, HookNetworks: c.HookNets, HookTLS: hookTLS, SSONetworks: c.SSONets, SSOTLS: ssoTLS,
		External: external.Config{Hosts: c.Hosts, Networks: c.Networks, Dir: c.Files},
	})
	if err != nil {
		return err
	}
	return s.Run(ctx)
}

// trust returns a configuration that trusts the authorities of a flag's file beside the
// system's, nil for "".
func trust(flag, path string) (*tls.Config, error) {
	if path == "" {
		return nil, nil
	}
	pem, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s: %s holds no certificate", flag, path)
	}
	return &tls.Config{RootCAs: pool}, nil
}

type openapiCommand struct{}

// Run prints the document.
func (openapiCommand) Run(context.Context) error {
	doc, err := server.OpenAPI()
	if err == nil {
		_, err = os.Stdout.Write(doc)
	}
	return err
}

// workerCommand is started by the telemetry store alone.
type workerCommand struct {
	Setup string `arg:"" help:"What the store asks of the worker, as JSON."`
}

// Run never returns.
func (w workerCommand) Run(context.Context) error {
	os.Exit(worker.Main([]string{w.Setup}, os.Stdin, os.Stdout))
	return nil
}

func logger(w io.Writer, level, format string) *slog.Logger {
	var l slog.Level
	_ = l.UnmarshalText([]byte(level)) // kong admitted only names of levels
	opts := &slog.HandlerOptions{Level: l}
	if format == "json" {
		return slog.New(slog.NewJSONHandler(w, opts))
	}
	return slog.New(slog.NewTextHandler(w, opts))
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	var c commands
	k := kong.Parse(&c,
		kong.Name("vedetted"),
		kong.Description("The Vedette server."),
		kong.Vars{"version": version},
		kong.Configuration(yamlFile),
		kong.DefaultEnvars("VEDETTED"),
		kong.BindTo(ctx, (*context.Context)(nil)),
	)
	if err := k.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "vedetted:", err)
		os.Exit(1)
	}
}
