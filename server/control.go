package server

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/vedette-edr/vedette/server/access"
	"github.com/vedette-edr/vedette/server/action"
	"github.com/vedette-edr/vedette/server/alert"
	"github.com/vedette-edr/vedette/server/audit"
	"github.com/vedette-edr/vedette/server/blob"
	"github.com/vedette-edr/vedette/server/bus"
	"github.com/vedette-edr/vedette/server/ca"
	"github.com/vedette-edr/vedette/server/connector/mail"
	"github.com/vedette-edr/vedette/server/connector/webhook"
	"github.com/vedette-edr/vedette/server/detect/ioc"
	"github.com/vedette-edr/vedette/server/device"
	"github.com/vedette-edr/vedette/server/device/group"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/export"
	"github.com/vedette-edr/vedette/server/gateway"
	"github.com/vedette-edr/vedette/server/health"
	"github.com/vedette-edr/vedette/server/ident"
	"github.com/vedette-edr/vedette/server/incident"
	"github.com/vedette-edr/vedette/server/indicator"
	"github.com/vedette-edr/vedette/server/investigation"
	"github.com/vedette-edr/vedette/server/library"
	"github.com/vedette-edr/vedette/server/live"
	"github.com/vedette-edr/vedette/server/notify"
	"github.com/vedette-edr/vedette/server/outbound"
	"github.com/vedette-edr/vedette/server/preference"
	"github.com/vedette-edr/vedette/server/query"
	"github.com/vedette-edr/vedette/server/sso"
	"github.com/vedette-edr/vedette/server/store"
	"github.com/vedette-edr/vedette/server/transfer"
	"github.com/vedette-edr/vedette/server/vulnerability"
)

// control is the control plane: the store and the services on it.
type control struct {
	server         *Server
	store          *store.Store
	ca             *ca.CA
	audit          *audit.Chain
	directory      *access.Directory
	authority      *access.Authority
	sessions       *access.Sessions
	preferences    *preference.Service
	sso            *sso.Service
	devices        *device.Service
	groups         *group.Service
	moved          *bus.Topic[device.Moved]
	alerts         *alert.Service
	raised         *bus.Topic[alert.Created]
	changed        *bus.Topic[alert.Updated]
	incidents      *incident.Service
	notices        *notify.Service
	sender         *notify.Sender
	hooks          *webhook.Client
	actions        *action.Service
	dispatch       *action.Dispatcher
	transfers      *transfer.Service
	live           *live.Service
	indicators     *indicator.Service
	matcher        *ioc.Matcher
	nudges         *nudges
	library        *library.Service
	queries        *query.Service
	investigations *investigation.Service
	blobs          *blob.Dir
	linkKey        []byte // signs links to downloads

	vulnerabilities *vulnerability.Service
	exports         *export.Files
}

// sweepEvery is how often actions are looked at whose lifetime may have ended.
const sweepEvery = 10 * time.Second

// expireEvery is how often indicators that have expired are taken out, and tallyEvery how
// often what was seen of indicators is written: a crash loses no more of it.
const (
	expireEvery = time.Second
	tallyEvery  = 5 * time.Second
)

// enrolmentLife is how long the first enrolment token is valid.
const enrolmentLife = 30 * 24 * time.Hour

func newControl(ctx context.Context, s *Server) (*control, error) {
	c := &control{server: s, raised: &bus.Topic[alert.Created]{}, changed: &bus.Topic[alert.Updated]{}, moved: &bus.Topic[device.Moved]{}, nudges: &nudges{}}
	clock := s.cfg.Clock
	var err error
	if c.store, err = store.Open(ctx, store.Config{Dir: s.cfg.DataDir, Clock: clock}); err != nil {
		return nil, err
	}
	if err = c.checkWhole(ctx); err != nil {
		c.close()
		return nil, err
	}
	if c.ca, err = ca.Open(ca.Config{Dir: filepath.Join(s.cfg.DataDir, "ca"), Clock: clock}); err != nil {
		c.close()
		return nil, err
	}
	key := c.store.Key()
	c.audit = audit.New(c.store.Audit(), key.Derive("audit"), clock)
	c.directory = access.NewDirectory(access.DirectoryConfig{Tenants: c.store.Access(), Applications: c.store.Access(),
		People: c.store.Access(), Roles: c.store.Access(), Groups: c.store.Access(),
		SignIns: c.store.Access(), Policies: c.store.Access(), Sealer: key, Vouches: c.vouches, SecretKey: key.Derive("client-secret"), Clock: clock})
	c.sso = sso.New(sso.Config{Store: c.store.Access(), Accounts: c.directory, Sealer: key, Guard: outbound.Guard{Allowed: s.cfg.SSONetworks}, TLS: s.cfg.SSOTLS, Clock: clock})
	c.groups = group.New(group.Config{Store: c.store.Groups(), Audit: c.audit, Moved: c.moved, Clock: clock, Atomic: c.store.Atomic})
	c.devices = device.New(device.Config{Store: c.store.Devices(), Tokens: c.store.Tokens(), Groups: c.groups, Moved: c.moved,
		TokenKey: key.Derive("enrolment-token"), Clock: clock, Protections: c.store.Devices()})
	if c.blobs, err = blob.Open(filepath.Join(s.cfg.DataDir, "blob")); err != nil {
		c.close()
		return nil, err
	}
	if err = c.openNotices(); err != nil {
		c.close()
		return nil, err
	}
	c.incidents = incident.New(incident.Config{Store: c.store.Incidents(), Links: c.store.Incidents(), History: c.store.Histories(), Audit: c.audit,
		Clock: clock, Atomic: c.store.Atomic, Observers: []incident.Observer{c.notices}})
	c.alerts = alert.NewService(alert.Config{Store: c.store.Alerts(), Suppressions: c.store.Alerts(), History: c.store.Histories(),
		Groups: groups{c.devices}, Sessions: sessions{c.store.Devices()}, Audit: c.audit, Created: c.raised, Updated: c.changed, Clock: clock, Atomic: c.store.Atomic,
		Observers: []alert.Observer{c.incidents, c.notices}})
	c.incidents.Use(c.alerts)
	c.linkKey = key.Derive("download-link")
	c.queries = query.New(query.Config{Store: c.store.Queries(), Audit: c.audit, Clock: clock, Atomic: c.store.Atomic})
	c.library = library.New(library.Config{Store: c.store.Library(), Blobs: c.blobs, Audit: c.audit, Clock: clock, Quota: s.cfg.LibraryQuota, Atomic: c.store.Atomic})
	c.investigations = investigation.New(investigation.Config{Store: c.store.Investigations(), Devices: c.devices, Alerts: investigated{c.alerts}, Audit: c.audit,
		Clock: clock, Atomic: c.store.Atomic})
	actions := action.Config{Library: c.library, Blobs: c.blobs, Store: c.store.Actions(), Devices: c.devices, Nudger: c.nudges, Audit: c.audit, Clock: clock, Atomic: c.store.Atomic,
		Policies: c.store.Actions(), Waiting: approvals{c.notices}, Envelopes: gateway.Envelopes{}, Offboarded: c.devices.Offboard,
		Releases: gateway.Releases{Key: c.ca.CommandKey()}, Barred: c.barred,
		Self: func(d *device.Device) bool { return !c.server.cfg.Simulated && own(d.ExternalIP) }}
	c.actions, c.dispatch = action.NewService(actions), action.NewDispatcher(actions)
	if c.live, err = c.openLive(ctx); err != nil {
		c.close()
		return nil, err
	}
	if c.transfers, err = transfer.New(transfer.Config{Blobs: c.blobs, Owners: []transfer.Owner{c.dispatch, c.live}, Clock: clock}); err != nil {
		c.close()
		return nil, err
	}
	c.matcher = ioc.New(ioc.Config{Indicators: c.store.Threats(), Groups: membership{c.store.Devices()}, Tallies: c.store.Threats(), Now: clock})
	c.indicators = indicator.New(indicator.Config{Definitions: c.store.Threats(), IOCs: c.store.Threats(), Indicators: c.store.Threats(),
		Tallies: c.store.Threats(), Expiry: c.store.Threats(), Feed: c.store.Threats(), Sink: sinks{c.matcher, c.nudges}, Groups: c.groups, Now: clock})
	c.vulnerabilities = vulnerability.New(vulnerability.Config{Store: c.store.Vulnerabilities(), Devices: c.devices, Audit: c.audit,
		Dir: filepath.Join(s.cfg.DataDir, "feeds"), Clock: clock, Log: s.cfg.Log, Tenants: c.tenants})
	c.exports = export.New(filepath.Join(s.cfg.DataDir, "exports"), key.Derive("export-link"), clock)
	if err := c.start(ctx); err != nil {
		c.close()
		return nil, err
	}
	s.health.Add("control store", func(ctx context.Context) health.Report {
		err := c.store.Ping(ctx)
		var e *errs.E
		if errors.As(err, &e) && e.Code == errs.StoreFull {
			return health.Report{State: health.Degraded, Detail: "The disk is full: changes are refused until there is room again."}
		}
		if err != nil {
			s.cfg.Log.Error("control store", "err", err)
			return health.Report{State: health.Failed, Detail: "The control store cannot be written; see the log."}
		}
		return health.OK()
	})
	return c, nil
}

// tenants returns the ids of all tenants.
func (c *control) tenants(ctx context.Context) ([]ident.TenantID, error) {
	all, err := c.store.Access().Tenants(ctx)
	ids := make([]ident.TenantID, len(all))
	for i, t := range all {
		ids[i] = t.ID
	}
	return ids, err
}

// checkWhole refuses a data directory of which a part was lost: beginning that part anew
// would lock every device out, or leave telemetry behind that nobody can ask for.
func (c *control) checkWhole(ctx context.Context) error {
	tenants, err := c.store.Access().Tenants(ctx)
	if err != nil {
		return err
	}
	dir := c.server.cfg.DataDir
	if len(tenants) > 0 {
		crt := filepath.Join(dir, "ca", "ca.crt")
		if _, err := os.Stat(crt); err != nil {
			return fmt.Errorf("%w: there are tenants, whose devices trust that CA: restore it", err)
		}
		return nil
	}
	found, err := filepath.Glob(filepath.Join(dir, "telemetry", "segments", "*"))
	if err == nil && len(found) > 0 {
		return fmt.Errorf("%s knows no tenant and there is telemetry of one: restore the database, or move %s away",
			filepath.Join(dir, "control.db"), filepath.Join(dir, "telemetry"))
	}
	return err
}

// vouches is the single sign-on's word, which is made of the directory that asks for it.
func (c *control) vouches(ctx context.Context, tenant ident.TenantID, id ident.ProviderID) (bool, error) {
	return c.sso.Vouches(ctx, tenant, id)
}

// start makes the first tenant where there is none, and loads what is kept in memory.
func (c *control) start(ctx context.Context) error {
	if err := c.store.Atomic(ctx, c.bootstrap); err != nil {
		return err
	}
	if err := c.readdress(); err != nil {
		return err
	}
	ids, err := c.tenants(ctx)
	if err != nil {
		return err
	}
	if err := c.groups.Load(ctx, ids); err != nil {
		return err
	}
	if c.authority, err = access.OpenAuthority(ctx, access.AuthorityConfig{Keys: c.store.Access(), Applications: c.store.Access(),
		People: c.store.Access(), Roles: c.store.Access(), Groups: c.store.Access(), Scoper: c.groups, Vouches: c.vouches, URLs: c.server.where.urls, Clock: c.server.cfg.Clock}); err != nil {
		return err
	}
	c.sessions = access.NewSessions(access.SessionsConfig{Store: c.store.Access(), Authority: c.authority,
		Key: c.store.Key().Derive("portal-session"), Clock: c.server.cfg.Clock})
	c.preferences = preference.New(c.store.Preferences())
	return c.indicators.Load(ctx)
}

func (c *control) run(ctx context.Context, g *errgroup.Group) {
	log := c.server.cfg.Log
	g.Go(func() error {
		return every(ctx, sweepEvery, func(ctx context.Context) {
			tenants, err := c.store.Access().Tenants(ctx)
			for _, t := range tenants {
				if e := errors.Join(c.dispatch.Sweep(ctx, t.ID), c.investigations.Sweep(ctx, t.ID)); err == nil {
					err = e
				}
			}
			if err != nil && ctx.Err() == nil {
				log.Error("looking for actions whose time is over", "err", err)
			}
		})
	})
	g.Go(func() error {
		return every(ctx, time.Hour, func(ctx context.Context) {
			if err := errors.Join(c.sweepBlobs(ctx), c.transfers.Sweep()); err != nil && ctx.Err() == nil {
				log.Error("removing files that nothing refers to", "err", err)
			}
		})
	})
	g.Go(func() error { return c.tend(ctx) })
	g.Go(func() error { return c.sender.Run(ctx) })
	g.Go(func() error {
		return c.groups.Run(ctx, func(err error) { log.Error("sorting devices into groups", "err", err) })
	})
	g.Go(func() error { return c.vulnerabilities.Run(ctx) })
	g.Go(func() error {
		return every(ctx, 10*time.Minute, func(context.Context) {
			if err := c.exports.Sweep(); err != nil {
				log.Error("removing exports whose time is over", "err", err)
			}
		})
	})
	g.Go(func() error {
		return every(ctx, expireEvery, func(ctx context.Context) {
			if err := c.indicators.Expire(ctx); err != nil && ctx.Err() == nil {
				log.Error("taking indicators that have expired out of force", "err", err)
			}
			c.matcher.Reclaim()
		})
	})
	g.Go(func() error {
		return every(ctx, tallyEvery, func(ctx context.Context) {
			if err := c.matcher.Flush(ctx); err != nil && ctx.Err() == nil {
				log.Error("keeping what was seen of indicators", "err", err)
			}
		})
	})
	moved := c.moved.Subscribe(4096)
	g.Go(func() error { return c.regroup(ctx, moved) })
	g.Go(func() error {
		return every(ctx, time.Hour, func(ctx context.Context) {
			if err := c.authority.Maintain(ctx); err != nil && ctx.Err() == nil {
				log.Error("keeping the signing keys", "err", err)
			}
			if err := c.directory.Maintain(ctx); err != nil && ctx.Err() == nil {
				log.Error("forgetting sign-ins that have expired", "err", err)
			}
			if err := c.sessions.Maintain(ctx); err != nil && ctx.Err() == nil {
				log.Error("forgetting sessions that are over", "err", err)
			}
		})
	})
}

// openNotices makes what tells people and systems of alerts. Who is told decides with the
// alert, who tells runs beside.
func (c *control) openNotices() error {
	cfg := c.server.cfg
	var mailer notify.Mailer
	if cfg.Mail.URL != "" {
		m, err := mail.Open(cfg.Mail)
		if err != nil {
			return err
		}
		mailer = m
	}
	c.hooks = webhook.New(webhook.Config{Guard: outbound.Guard{Allowed: cfg.HookNetworks}, TLS: cfg.HookTLS, Clock: cfg.Clock})
	c.notices = notify.New(notify.Config{Store: c.store.Notifications(), Sealer: c.store.Key(), Groups: groups{c.devices}, Audit: c.audit,
		Clock: cfg.Clock, URL: c.server.where.url, Atomic: c.store.Atomic})
	c.sender = notify.NewSender(c.notices, mailer, c.hooks, c.blobs, cfg.Log)
	return nil
}

// tend keeps incidents: it files alerts that are in none, once, and forgets what is too
// old to matter.
func (c *control) tend(ctx context.Context) error {
	log := c.server.cfg.Log
	tenants, err := c.store.Access().Tenants(ctx)
	for _, t := range tenants {
		if e := c.incidents.Adopt(ctx, t.ID, c.server.cfg.Clock().Add(-adoptSpan)); err == nil {
			err = e
		}
	}
	if err != nil && ctx.Err() == nil {
		log.Error("filing alerts under incidents", "err", err)
	}
	return every(ctx, time.Hour, func(ctx context.Context) {
		err := errors.Join(c.incidents.Prune(ctx), c.store.Alerts().PruneAbsorbed(ctx, c.server.cfg.Clock().Add(-adoptSpan)))
		if err != nil && ctx.Err() == nil {
			log.Error("forgetting what links alerts no more", "err", err)
		}
	})
}

// adoptSpan is how far back alerts are filed that are in no incident, and how long merged
// detections are remembered: longer than devices keep what they could not send.
const adoptSpan = 30 * 24 * time.Hour

// groups tells in which device group a device is.
type groups struct{ devices *device.Service }

// GroupOf implements alert.Groups.
func (g groups) GroupOf(ctx context.Context, tenant ident.TenantID, id ident.DeviceID) (int64, error) {
	d, err := g.devices.Get(ctx, tenant, id)
	if errs.Is(err, errs.NotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	return d.Group, nil
}

// sessions says who is logged on to devices, as their inventories tell.
type sessions struct{ devices device.Store }

// LoggedOn implements alert.Sessions.
func (v sessions) LoggedOn(ctx context.Context, tenant ident.TenantID, id ident.DeviceID) ([]alert.User, error) {
	d, err := v.devices.Get(ctx, tenant, id)
	if errs.Is(err, errs.NotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var out []alert.User
	for _, u := range d.Inventory.Users {
		if who := (alert.User{Name: u.Name, Domain: u.Domain}); !slices.Contains(out, who) {
			out = append(out, who)
		}
	}
	return out[:min(len(out), maxLoggedOn)], nil
}

// maxLoggedOn bounds the accounts that an alert keeps.
const maxLoggedOn = 100

// regroup tells devices that changed their group. What is lost here a device learns with
// its next heartbeat.
func (c *control) regroup(ctx context.Context, moved *bus.Subscription[device.Moved]) error {
	defer moved.Close()
	for {
		select {
		case <-ctx.Done():
			return nil
		case m := <-moved.Events():
			if g := c.nudges.gateway.Load(); g != nil {
				if err := g.Regrouped(ctx, m.Tenant, m.Devices); err != nil && ctx.Err() == nil {
					c.server.cfg.Log.Error("telling devices of their group", "err", err)
				}
			}
		}
	}
}

// membership tells the matcher which group a device is in.
type membership struct{ devices device.Store }

// DeviceGroup implements ioc.Groups.
func (m membership) DeviceGroup(ctx context.Context, tenant ident.TenantID, id ident.DeviceID) (string, error) {
	d, err := m.devices.Get(ctx, tenant, id)
	if errs.Is(err, errs.NotFound) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	return strconv.FormatInt(d.Group, 10), nil
}

func (c *control) close() {
	if c.live != nil {
		c.live.Close()
	}
	if c.hooks != nil {
		c.hooks.Close()
	}
	if c.sso != nil {
		c.sso.Close()
	}
	if c.matcher != nil {
		ctx, cancel := context.WithTimeout(context.Background(), tallyEvery)
		if err := c.matcher.Flush(ctx); err != nil {
			c.server.cfg.Log.Error("keeping what was seen of indicators", "err", err)
		}
		cancel()
		c.matcher.Close()
	}
	if c.store != nil {
		if err := c.store.Close(); err != nil {
			c.server.cfg.Log.Error("closing the control store", "err", err)
		}
	}
}

// sinks shows changed indicators to the matcher, then tells devices to fetch them.
type sinks struct {
	matcher *ioc.Matcher
	nudges  *nudges
}

// Apply implements indicator.Sink.
func (s sinks) Apply(ctx context.Context, tenant ident.TenantID, p *indicator.Page) error {
	if err := s.matcher.Apply(ctx, tenant, p); err != nil {
		return err
	}
	if g := s.nudges.gateway.Load(); g != nil {
		g.NudgeIndicators(tenant, p.Revision)
	}
	return nil
}

// nudges passes nudges to the gateway, which is built after those who nudge.
type nudges struct {
	gateway atomic.Pointer[gateway.Gateway]
}

// Nudge implements action.Nudger.
func (n *nudges) Nudge(id ident.DeviceID) {
	if g := n.gateway.Load(); g != nil {
		g.Nudge(id)
	}
}
