package main

import (
	"errors"
	"fmt"
	"os"
	"time"
)

type deviceCollect struct {
	Device  string        `arg:"" help:"Device id or computer name."`
	Comment string        `help:"Why; it is kept with the action." default:"Collected from the command line."`
	Wait    bool          `help:"Wait until the package is there."`
	Out     string        `help:"Save the package as this file, which must not be there yet; waits for it." type:"path"`
	Timeout time.Duration `help:"How long to wait at most; a device that is away takes the action when it is back." default:"1h"`
}

// Run asks for a package and saves it when it is there.
func (d *deviceCollect) Run(s *session) error {
	if d.Out != "" {
		// Better now than when the package is there.
		if _, err := os.Lstat(d.Out); err == nil {
			return fmt.Errorf("%s is there already", d.Out)
		}
	}
	c, err := s.client()
	if err != nil {
		return err
	}
	a, err := c.Act(s.ctx, d.Device, "collectInvestigationPackage", map[string]any{"Comment": d.Comment})
	if err != nil {
		return err
	}
	if !d.Wait && d.Out == "" {
		return printAction(s, a)
	}
	if a, err = follow(s, c, a, d.Timeout); err != nil {
		return err
	}
	if err := concluded(s, a); err != nil || d.Out == "" {
		return err
	}
	if a.Status != "Succeeded" {
		return fmt.Errorf("the package is not there after %v: `vedette action download %s FILE` saves it later", d.Timeout, a.ID)
	}
	size, err := save(s, c, a, 0, d.Out)
	if err != nil {
		return errors.Join(err, fmt.Errorf("the package was not saved: `vedette action download %s FILE` tries again", a.ID))
	}
	fmt.Fprintf(s.errs, "%s: %d bytes\n", d.Out, size)
	return nil
}
