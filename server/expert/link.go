package expert

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"os"
	"strings"
	"time"

	"github.com/vedette-edr/vedette/server/access"
	"github.com/vedette-edr/vedette/server/audit"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/ident"
)

// BundlePath is where links to bundles lead, below the server's address.
const BundlePath = "/api/vedette/expert/bundles/"

// Bounds of the use of a link.
const (
	maxFetches = 100 // times that one is followed
	keptFetch  = 20  // of which so many are kept, the latest
)

// link is the address of a case's bundle for whoever has it. It names tenant, case and
// content; when it ends, and whether it was taken back, says the case.
func (s *Service) link(c *Case, r *Receiver) string {
	text := strings.Join([]string{string(c.Tenant), string(c.ID), c.Bundle.SHA256}, "/")
	base := r.Base
	if base == "" {
		base = s.cfg.URL
	}
	return base + BundlePath + base64.RawURLEncoding.EncodeToString(append(s.sign(text), text...))
}

func (s *Service) sign(text string) []byte {
	h := hmac.New(sha256.New, s.cfg.LinkKey)
	h.Write([]byte("expert/" + text))
	return h.Sum(nil)
}

// Redeem opens the bundle that a link leads to, which the caller closes, and notes that from,
// an address, fetched it. What is wrong with a link is not told: errs.NotFound.
func (s *Service) Redeem(ctx context.Context, ticket, from string) (*Bundle, *os.File, error) {
	const op = "expert.Redeem"
	gone := errs.New(op, errs.NotFound, errs.ResourceNotFound, "The link is not valid, or not any more")
	raw, err := base64.RawURLEncoding.DecodeString(ticket)
	if err != nil || len(raw) <= sha256.Size || len(s.cfg.LinkKey) == 0 {
		return nil, nil, gone
	}
	text := string(raw[sha256.Size:])
	parts := strings.Split(text, "/")
	if !hmac.Equal(raw[:sha256.Size], s.sign(text)) || len(parts) != 3 {
		return nil, nil, gone
	}
	tenant, id := ident.TenantID(parts[0]), ident.ActionID(parts[1])
	// Whoever has the link has no scope: the link is what lets them in.
	ctx = access.WithPrincipal(ctx, access.System(tenant, worker))
	now := s.cfg.Clock().UTC()
	var out *Bundle
	err = s.cfg.Atomic(ctx, func(ctx context.Context) error {
		c, err := s.cfg.Cases.UpdateCase(ctx, tenant, id, func(c *Case) error {
			if !c.fetchable(now) || c.Bundle.SHA256 != parts[2] {
				return gone
			}
			c.Fetched++
			c.Fetches = append(c.Fetches, Fetch{At: now, From: from})
			if n := len(c.Fetches) - keptFetch; n > 0 {
				c.Fetches = c.Fetches[n:]
			}
			return nil
		})
		if err != nil {
			return err
		}
		out = c.Bundle
		return s.cfg.Audit.Record(ctx, audit.Entry{At: now, Tenant: tenant, Actor: access.System(tenant, worker).Actor, Verb: "expert.fetch", Object: string(id),
			Detail: "the bundle, from " + from + ", by the link that was given to " + c.Name, Outcome: audit.Done})
	})
	if errs.Is(err, errs.NotFound) {
		return nil, nil, gone
	}
	if err != nil {
		return nil, nil, errs.Wrap(op, err)
	}
	f, err := s.cfg.Blobs.Open(out.SHA256)
	if errs.Is(err, errs.NotFound) {
		return nil, nil, gone
	}
	return out, f, errs.Wrap(op, err)
}

// fetchable reports whether the link to a case's bundle is good: while it is being handed
// over, and once it was, until it ends. A case that failed or was withdrawn has none.
func (c *Case) fetchable(now time.Time) bool {
	return c.Bundle != nil && c.Bundle.Linked && c.Bundle.SHA256 != "" && c.Message != "" && (c.Open || !c.Taken.IsZero()) && c.Revoked == nil && now.Before(c.Bundle.Until) && c.Fetched < maxFetches
}

// Revoke ends the link of a case at once. What was fetched by it is out of reach. One that has
// ended, or that there never was, is errs.Conflict.
func (s *Service) Revoke(ctx context.Context, by *access.Principal, id ident.ActionID) (*Case, error) {
	const op = "expert.Revoke"
	now := s.cfg.Clock().UTC()
	var out *Case
	err := s.cfg.Atomic(ctx, func(ctx context.Context) (err error) {
		out, err = s.cfg.Cases.UpdateCase(ctx, by.Tenant, id, func(c *Case) error {
			if !c.fetchable(now) {
				return errs.New(op, errs.Conflict, errs.DisallowedOperation, "the case has no link that is good now")
			}
			c.Revoked = &Revocation{By: by.Name, At: now}
			return nil
		})
		if err != nil {
			return err
		}
		return s.record(ctx, by, "expert.revoke", string(id), "the link that was given to "+out.Name)
	})
	if errs.Is(err, errs.NotFound) {
		return nil, errs.New(op, errs.NotFound, errs.ResourceNotFound, "Expert case %s was not found", id)
	}
	return out, errs.Wrap(op, err)
}
