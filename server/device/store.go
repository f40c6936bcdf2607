package device

import (
	"context"
	"net/netip"
	"time"

	"github.com/vedette-edr/vedette/server/filter"
	"github.com/vedette-edr/vedette/server/ident"
)

// Store keeps devices. Every method may be called from several goroutines. A device that
// is not there, or belongs to another tenant than the one named, or is outside of the
// access.ScopeOf the context, is errs.NotFound and in no list. Values passed in are not
// kept, values returned belong to the caller. Update and the group store keep Regrouped;
// what change does to it is thrown away.
type Store interface {
	// Create adds d. An id that exists is errs.Conflict.
	Create(ctx context.Context, d *Device) error
	// Get returns one device of a tenant.
	Get(ctx context.Context, tenant ident.TenantID, id ident.DeviceID) (*Device, error)
	// Locate returns a device whatever its tenant: for the agent link, where the
	// certificate names the device and the device's row names the tenant.
	Locate(ctx context.Context, id ident.DeviceID) (*Device, error)
	// Update applies change to the device in one transaction and returns the result. An
	// error of change undoes it and is returned as it is; change may run more than once.
	Update(ctx context.Context, tenant ident.TenantID, id ident.DeviceID, change func(*Device) error) (*Device, error)
	// List returns the devices of a tenant that match q, ordered by id.
	List(ctx context.Context, tenant ident.TenantID, q Query) ([]*Device, error)
	// Find returns a page of those devices of base, whose Limit and After do not count, that
	// match q, which uses Stored; ordered by id, or by lastSeen or firstSeen with the newest
	// first when q bounds that, unless q orders otherwise.
	Find(ctx context.Context, tenant ident.TenantID, base Query, q filter.Query) (filter.Page[*Device], error)
	// Touch records many contacts in one transaction. Times only move forward; a device
	// that is not there is passed over.
	Touch(ctx context.Context, contacts []Contact) error
}

// Query selects devices. Every member that is not zero must match.
type Query struct {
	Name        string    // exactly, or its first label; without regard to case
	Tag         string    // exactly
	TagPrefix   string    // a tag that begins so
	IP          string    // canonical text; see Device.HasIP
	Fingerprint *[32]byte // exactly
	SeenSince   time.Time // LastSeen at or after
	SeenBefore  time.Time // LastSeen before
	Group       *int64    // exactly; nil for any
	After       ident.DeviceID
	Limit       int // at most so many; 0 for no limit
}

// Match reports whether d is selected, After and Limit left aside. Stores that compile a
// Query must select the same devices.
func (q *Query) Match(d *Device) bool {
	if q.Name != "" && !sameName(d.Name, q.Name) {
		return false
	}
	if q.Tag != "" && !d.HasTag(q.Tag) {
		return false
	}
	if q.TagPrefix != "" && !hasPrefix(d.Tags, q.TagPrefix) {
		return false
	}
	if q.IP != "" {
		a, err := netip.ParseAddr(q.IP)
		if err != nil || !d.HasIP(a) {
			return false
		}
	}
	if q.Fingerprint != nil && d.Fingerprint != *q.Fingerprint {
		return false
	}
	if !q.SeenSince.IsZero() && d.LastSeen.Before(q.SeenSince) {
		return false
	}
	if q.Group != nil && d.Group != *q.Group {
		return false
	}
	return q.SeenBefore.IsZero() || d.LastSeen.Before(q.SeenBefore)
}

// Contact is one sign of life. Zero members say nothing.
type Contact struct {
	Tenant     ident.TenantID
	Device     ident.DeviceID
	Seen       time.Time
	Data       time.Time      // telemetry was taken in
	Offset     *time.Duration // newly measured clock offset, smoothed
	ExternalIP string
}

// Token lets computers enrol. Its text is shown once, when it is made, and never stored.
type Token struct {
	Hash    [32]byte // HMAC-SHA256 of the text under the server's token key
	Tenant  ident.TenantID
	Name    string
	Created time.Time
	Expires time.Time // zero for never
	Limit   int       // enrolments allowed; 0 for no limit
	Uses    int       // enrolments so far
	Revoked bool
	Tags    []string // given to each device that enrols with it
}

// TokenStore keeps enrolment tokens.
type TokenStore interface {
	// AddToken adds t. A hash that exists is errs.Conflict.
	AddToken(ctx context.Context, t *Token) error
	// UseToken counts one use and returns the token, in one transaction. A token that is
	// unknown, revoked, expired at now or used up is errs.Unauthenticated with the code
	// TokenInvalid, and no use is counted.
	UseToken(ctx context.Context, hash [32]byte, now time.Time) (*Token, error)
	// Tokens returns the tokens of a tenant, oldest first.
	Tokens(ctx context.Context, tenant ident.TenantID) ([]*Token, error)
	// RevokeToken ends a token; errs.NotFound when the tenant has none of that hash.
	RevokeToken(ctx context.Context, tenant ident.TenantID, hash [32]byte) error
}
