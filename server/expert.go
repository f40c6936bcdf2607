package server

import (
	"github.com/vedette-edr/vedette/server/expert"
)

// newExperts connects what hands cases to experts outside. Its links have a key of their own:
// one to a bundle can never be one to a download.
func newExperts(s *Server) *expert.Service {
	c := s.control
	return expert.New(expert.Config{Receivers: c.store.Experts(), Cases: c.store.Experts(), Alerts: c.alerts, Incidents: c.incidents, Devices: c.devices,
		Actions: c.actions, Executor: c.dispatch, Telemetry: s.stream.hunts, Outbox: c.notices, Sender: c.sender, Blobs: c.blobs, Audit: c.audit,
		LinkKey: c.store.Key().Derive("expert-link"), URL: s.where.url, Version: s.cfg.Version, Clock: s.cfg.Clock, Atomic: c.store.Atomic,
		Failed: func(k *expert.Case, err error) {
			if k == nil {
				s.cfg.Log.Error("looking for cases of experts", "err", err)
				return
			}
			s.cfg.Log.Error("carrying out a case of an expert", "case", k.ID, "err", err)
		}})
}
