package agent

import (
	"path/filepath"

	"github.com/vedette-edr/vedette/agent/hash"
	"github.com/vedette-edr/vedette/agent/process"
	"github.com/vedette-edr/vedette/agent/responder/collect"
	"github.com/vedette-edr/vedette/agent/sensor"
)

// newCollector returns what makes investigation packages.
func (p *platform) newCollector() (*collect.Handler, error) {
	return collect.New(collect.Config{
		Dir: filepath.Join(p.conf.StateDir, "collect"), Host: p.inventory.Collect().Hostname, Server: p.server, Log: p.conf.Log,
		Points: collect.Points(collect.Device{
			Hashes: p.hashes, Inventory: p.inventory, Software: p.software, Posture: p.posture, Recent: p.recent.List, Exclude: []string{p.conf.StateDir},
			Agent: func() any {
				return struct {
					Version    string            `json:"version"`
					Instance   string            `json:"instance"`
					Server     string            `json:"server"`
					Facilities []sensor.Facility `json:"facilities"`
					Table      process.Stats     `json:"processTable"`
					Hashes     hash.Stats        `json:"hashes"`
				}{p.conf.Version, p.conf.Instance, p.conf.Server, p.facilities(), p.table.Stats(), p.hashes.Stats()}
			},
		}),
		About: func() any { return map[string]string{"agentVersion": p.conf.Version} },
	})
}
