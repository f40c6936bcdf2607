package store_test

import (
	"testing"

	"github.com/vedette-edr/vedette/server/access"
	"github.com/vedette-edr/vedette/server/action"
	"github.com/vedette-edr/vedette/server/alert"
	"github.com/vedette-edr/vedette/server/audit"
	"github.com/vedette-edr/vedette/server/device"
	"github.com/vedette-edr/vedette/server/history"
	"github.com/vedette-edr/vedette/server/live"
	"github.com/vedette-edr/vedette/server/notify"
	"github.com/vedette-edr/vedette/server/preference"
	"github.com/vedette-edr/vedette/server/store/storetest"
)

func TestAlerts(t *testing.T) {
	storetest.Alerts(t, func(t testing.TB) alert.Store { return open(t, t.TempDir()).Alerts() })
}

func TestActions(t *testing.T) {
	storetest.Actions(t, func(t testing.TB) action.Store { return open(t, t.TempDir()).Actions() })
}

func TestDevices(t *testing.T) {
	storetest.Devices(t, func(t testing.TB) device.Store { return open(t, t.TempDir()).Devices() })
}

func TestTokens(t *testing.T) {
	storetest.Tokens(t, func(t testing.TB) device.TokenStore { return open(t, t.TempDir()).Tokens() })
}

func TestThreats(t *testing.T) {
	storetest.Threats(t, func(t testing.TB) storetest.ThreatStore { return open(t, t.TempDir()).Threats() })
}

func TestAudit(t *testing.T) {
	storetest.Audit(t, func(t testing.TB) audit.Store { return open(t, t.TempDir()).Audit() })
}

func TestAccess(t *testing.T) {
	storetest.Access(t, func(t testing.TB) storetest.AccessStore { return open(t, t.TempDir()).Access() })
}

func TestLive(t *testing.T) {
	storetest.Live(t, func(t testing.TB) live.Store { return open(t, t.TempDir()).Live() })
}

func scopeStores(t testing.TB) storetest.ScopeStores {
	s := open(t, t.TempDir())
	return storetest.ScopeStores{Devices: s.Devices(), Groups: s.Groups(), Alerts: s.Alerts(), Actions: s.Actions(), Indicators: s.Threats()}
}

func TestSessions(t *testing.T) {
	storetest.Sessions(t, func(t testing.TB) access.SessionStore { return open(t, t.TempDir()).Access() })
}

func TestPreferences(t *testing.T) {
	storetest.Preferences(t, func(t testing.TB) preference.Store { return open(t, t.TempDir()).Preferences() })
}

func TestScope(t *testing.T) { storetest.Scope(t, scopeStores) }

func TestGroups(t *testing.T) { storetest.Groups(t, scopeStores) }
func TestDetections(t *testing.T) {
	storetest.Detections(t, func(t testing.TB) storetest.DetectionStore { return open(t, t.TempDir()).Detections() })
}

func TestIncidents(t *testing.T) {
	storetest.Incidents(t, func(t testing.TB) storetest.IncidentStore { return open(t, t.TempDir()).Incidents() })
}

func TestHistories(t *testing.T) {
	storetest.Histories(t, func(t testing.TB) history.Store { return open(t, t.TempDir()).Histories() })
}

func TestNotifications(t *testing.T) {
	storetest.Notifications(t, func(t testing.TB) notify.Store { return open(t, t.TempDir()).Notifications() })
}

func TestVulnerabilities(t *testing.T) {
	storetest.Vulnerabilities(t, func(t testing.TB) storetest.VulnerabilityStores {
		s := open(t, t.TempDir())
		return storetest.VulnerabilityStores{Store: s.Vulnerabilities(), Fleet: s.Devices(), Groups: s.Groups()}
	})
}

func TestExperts(t *testing.T) {
	storetest.Experts(t, func(t testing.TB) storetest.ExpertStores {
		s := open(t, t.TempDir())
		return storetest.ExpertStores{Receivers: s.Experts(), Cases: s.Experts(), Devices: s.Devices()}
	})
}

func TestIdentity(t *testing.T) {
	storetest.Identity(t, func(t testing.TB) storetest.IdentityStore { return open(t, t.TempDir()).Access() })
}
