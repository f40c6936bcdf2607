package action

import (
	"context"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/vedette-edr/vedette/server/access"
	"github.com/vedette-edr/vedette/server/audit"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/ident"
)

// How long release codes are good for.
const (
	defaultReleaseLife = 24 * time.Hour
	maxReleaseLife     = 7 * 24 * time.Hour
)

// ReleaseSigner makes the codes that end the isolation of a device which cannot reach the
// server any more.
type ReleaseSigner interface {
	// ReleaseCode signs a code for one incarnation of a device.
	ReleaseCode(device ident.DeviceID, incarnation uint64, expires time.Time) (string, error)
}

// ReleaseCode is a code for one device, and until when it is good.
type ReleaseCode struct {
	Code    string
	Device  ident.DeviceID
	Name    string // of the device
	Expires time.Time
}

// ReleaseCode returns a code that ends the isolation of a device where it stands. It is for a
// device that lost its server: one that has not is released by an action, which this server
// knows of. That somebody was given a code is in the audit record before it is answered.
// life is 0 for a day.
func (s *Service) ReleaseCode(ctx context.Context, by *access.Principal, id ident.DeviceID, comment string, life time.Duration) (*ReleaseCode, error) {
	const op = "action.ReleaseCode"
	if strings.TrimSpace(comment) == "" {
		return nil, errs.New(op, errs.Invalid, errs.MissingRequiredParameter, "Comment is missing: a release code needs a reason")
	}
	if !utf8.ValidString(comment) || utf8.RuneCountInString(comment) > maxComment {
		return nil, errs.New(op, errs.Invalid, errs.InvalidInput, "Comment is longer than %d characters or not UTF-8", maxComment)
	}
	if life == 0 {
		life = defaultReleaseLife
	}
	if life < time.Minute || life > maxReleaseLife {
		return nil, errs.New(op, errs.Invalid, errs.InvalidInput, "a release code is good for between %v and %v", time.Minute, maxReleaseLife)
	}
	if s.cfg.Releases == nil {
		return nil, errs.New(op, errs.Unsupported, errs.InvalidInput, "this server has no key for release codes")
	}
	d, err := s.cfg.Devices.Get(ctx, by.Tenant, id)
	if err != nil {
		return nil, errs.Wrap(op, err)
	}
	now := s.cfg.Clock().UTC()
	out := &ReleaseCode{Device: d.ID, Name: d.Name, Expires: now.Add(life).Truncate(time.Second)}
	if out.Code, err = s.cfg.Releases.ReleaseCode(d.ID, d.Incarnation, out.Expires); err != nil {
		return nil, errs.Wrap(op, err)
	}
	err = s.cfg.Audit.Record(ctx, audit.Entry{
		At: now, Tenant: by.Tenant, Actor: by.Actor, Verb: "device.releasecode", Object: string(d.ID),
		Detail: "a code that ends isolation, good until " + out.Expires.Format(time.RFC3339) + ": " + comment, Outcome: audit.Done,
	})
	if err != nil {
		return nil, errs.Wrap(op, err)
	}
	return out, nil
}
