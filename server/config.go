package server

import (
	"crypto/tls"
	"log/slog"
	"net/netip"
	"time"

	"github.com/vedette-edr/vedette/server/api"
	"github.com/vedette-edr/vedette/server/connector/mail"
	"github.com/vedette-edr/vedette/server/external"
	"github.com/vedette-edr/vedette/server/hunt"
)

// Config is how a server runs. DataDir and Listen are required.
type Config struct {
	DataDir    string        // holds everything the server keeps; made when missing
	Listen     string        // host:port of the HTTPS listener; no host means all addresses
	ListenHTTP string        // loopback host:port of a listener without TLS; "" for none
	Names      []string      // further DNS names and addresses of the server; the first is shown to clients
	Retention  time.Duration // of telemetry; 0 for the store's default
	// DiskReserve is the free space of the data directory's file system, in bytes, below
	// which no telemetry is taken in; 0 for the store's default.
	DiskReserve int64
	// RateLimit multiplies the published limits of API calls; 0 for 1, below 0 for no limits.
	RateLimit float64
	// RouteLimits replaces the limits of single routes, by "GET /api/alerts".
	RouteLimits map[string]RouteLimit
	GeoIP       string // file in MaxMind's format that says where addresses are; "" for none
	// Mail is how mail goes out; without a URL the server sends none.
	Mail mail.Config
	// HookNetworks are private networks in which web hooks may be; HookTLS says whose
	// certificates are trusted there, nil for the system's authorities.
	HookNetworks []netip.Prefix
	HookTLS      *tls.Config
	// SSONetworks are private networks in which identity providers may be; SSOTLS says whose
	// certificates are trusted there, nil for the system's authorities.
	SSONetworks []netip.Prefix
	SSOTLS      *tls.Config
	External    external.Config // files that queries may name by address; the zero value allows none
	Content     string          // directory of the operator's rule files; "" for content/detections in DataDir, where it is
	Quota       hunt.Quota      // of running time of queries, for each tenant; the zero value is what is published
	// LibraryQuota is how many bytes the live response library of a tenant may have; 0 for 2 GiB.
	LibraryQuota int64
	// Simulated says that devices that connect from this machine are simulated ones: none
	// of them is the machine that the server runs on.
	Simulated bool
	Version   string
	Log       *slog.Logger     // nil discards
	Clock     func() time.Time // nil for time.Now
	Worker    []string         // command that starts a query worker; nil for this program with "worker"
}

// RouteLimit is how often a caller may call one route; 0 for as often as it likes.
type RouteLimit = api.Limit

func (c *Config) defaults() {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Clock == nil {
		c.Clock = time.Now
	}
}
