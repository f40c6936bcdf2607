package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/vedette-edr/vedette/client"
	"github.com/vedette-edr/vedette/demo"
	"github.com/vedette-edr/vedette/server"
)

// demoCommand is a demonstration. It is a server with nothing to protect: its limits are
// off, and its devices are simulated.
type demoCommand struct {
	Seed      uint64  `help:"What happens depends on it alone." default:"1"`
	DataDir   string  `help:"Directory of the demonstration: empty, or of one with the same seed. A temporary one without it." type:"path"`
	Listen    string  `help:"Address of the HTTPS listener." default:"127.0.0.1:8443"`
	Devices   int     `help:"Simulated devices." default:"200"`
	Days      int     `help:"Days of telemetry." default:"7"`
	Density   float64 `help:"How much the devices do beside the attacks." default:"1"`
	Hostile   bool    `help:"Add devices whose names, programs and users attack whoever shows them."`
	Still     bool    `help:"Let nothing happen any more once the week is over."`
	LogLevel  string  `help:"${enum}." enum:"debug,info,warn,error" default:"warn"`
	LogFormat string  `help:"${enum}." enum:"text,json" default:"text"`
}

// Run fills the demonstration in and serves it until it is told to end.
func (c *demoCommand) Run(ctx context.Context) error {
	dir := c.DataDir
	if dir == "" {
		made, err := os.MkdirTemp("", "vedette-demo-")
		if err != nil {
			return err
		}
		defer os.RemoveAll(made)
		dir = made
	}
	return demo.Run(ctx, demo.Config{
		Seed: c.Seed, Devices: c.Devices, Days: c.Days, Density: c.Density, Hostile: c.Hostile, Still: c.Still, Out: os.Stdout,
		Server: server.Config{DataDir: dir, Listen: c.Listen, Retention: 30 * 24 * time.Hour, Version: version, Log: logger(os.Stderr, c.LogLevel, c.LogFormat)},
		Ready: func(p client.Profile) {
			fmt.Printf("\nReady.\n  Portal     %s\n  User       %s\n  Password   %s\n  Profile    %s/bootstrap.json\n", p.PortalURL, p.AdminUser, p.AdminPassword, dir)
		},
	})
}
