package device

import (
	"context"
	"io"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/vedette-edr/vedette/server/bus"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/ident"
)

// Bounds of tags and of devices changed in one call; the published API's where it has one.
const (
	MaxTag      = 200 // characters of one tag
	MaxTags     = 100 // tags of one device
	MaxTagBatch = 500 // devices of one call
)

// Config is what a Service needs.
type Config struct {
	Store    Store
	Tokens   TokenStore
	Groups   Grouper           // nil: every device is in group 0
	Moved    *bus.Topic[Moved] // nil for nobody
	TokenKey []byte            // keys the hash of tokens: 32 random bytes, kept secret
	Clock    func() time.Time  // nil for time.Now
	Rand     io.Reader         // nil for crypto/rand
	// Protections is needed by the method of that name alone.
	Protections ProtectionStore
}

// Service holds the rules about devices. Permission is the caller's affair: package
// access decides before any method here is called.
type Service struct {
	store  Store
	tokens TokenStore
	groups Grouper
	moved  *bus.Topic[Moved]
	key    []byte
	now    func() time.Time
	rand   io.Reader

	protections ProtectionStore
}

// Get returns one device.
func (s *Service) Get(ctx context.Context, tenant ident.TenantID, id ident.DeviceID) (*Device, error) {
	d, err := s.store.Get(ctx, tenant, id)
	return d, errs.Wrap("device.Get", err)
}

// List returns the devices that match q, ordered by id.
func (s *Service) List(ctx context.Context, tenant ident.TenantID, q Query) ([]*Device, error) {
	ds, err := s.store.List(ctx, tenant, q)
	return ds, errs.Wrap("device.List", err)
}

// FindByName returns the devices of that name: fully qualified, or its first label.
func (s *Service) FindByName(ctx context.Context, tenant ident.TenantID, name string) ([]*Device, error) {
	name = strings.TrimSpace(name)
	if name == "" || len(name) > 255 {
		return nil, errs.New("device.FindByName", errs.Invalid, errs.InvalidInput, "the device's name is empty or too long")
	}
	return s.List(ctx, tenant, Query{Name: name})
}

// TagChange says what becomes of a tag.
type TagChange uint8

// The changes of a tag.
const (
	AddTag TagChange = iota + 1
	RemoveTag
)

// Tag adds or removes one tag. Adding a tag that is there, or removing one that is not,
// changes nothing and is no error.
func (s *Service) Tag(ctx context.Context, tenant ident.TenantID, id ident.DeviceID, change TagChange, tag string) (*Device, error) {
	const op = "device.Tag"
	tag, err := checkTag(tag)
	if err != nil {
		return nil, errs.Wrap(op, err)
	}
	d, err := s.update(ctx, tenant, id, func(d *Device) error { return d.tag(change, tag) })
	return d, errs.Wrap(op, err)
}

// TagMany changes one tag on up to MaxTagBatch devices and returns them. It stops at the
// first device that cannot be changed; those before it stay changed.
func (s *Service) TagMany(ctx context.Context, tenant ident.TenantID, ids []ident.DeviceID, change TagChange, tag string) ([]*Device, error) {
	const op = "device.TagMany"
	if len(ids) == 0 || len(ids) > MaxTagBatch {
		return nil, errs.New(op, errs.Invalid, errs.InvalidInput, "the number of devices is %d, not between 1 and %d", len(ids), MaxTagBatch)
	}
	out := make([]*Device, 0, len(ids))
	for _, id := range ids {
		d, err := s.Tag(ctx, tenant, id, change, tag)
		if err != nil {
			return out, errs.Wrap(op, err)
		}
		out = append(out, d)
	}
	return out, nil
}

// Change is what an operator may set on a device; nil members stay as they are.
type Change struct {
	Tags  *[]string // replaces the whole set
	Value *Value
}

// Change applies c.
func (s *Service) Change(ctx context.Context, tenant ident.TenantID, id ident.DeviceID, c Change) (*Device, error) {
	const op = "device.Change"
	var tags []string
	if c.Tags != nil {
		for _, t := range *c.Tags {
			t, err := checkTag(t)
			if err != nil {
				return nil, errs.Wrap(op, err)
			}
			tags = append(tags, t)
		}
		slices.Sort(tags)
		tags = slices.Compact(tags)
		if len(tags) > MaxTags {
			return nil, tooManyTags()
		}
	}
	if c.Value != nil && *c.Value != Normal && *c.Value != Low && *c.Value != High {
		return nil, errs.New(op, errs.Invalid, errs.InvalidInput, "the device value %q is not Normal, Low or High", clip(string(*c.Value)))
	}
	d, err := s.update(ctx, tenant, id, func(d *Device) error {
		if c.Tags != nil {
			d.Tags = slices.Clone(tags)
		}
		if c.Value != nil {
			d.Value = *c.Value
		}
		return nil
	})
	return d, errs.Wrap(op, err)
}

// update changes one device and keeps it in the group that it belongs to.
func (s *Service) update(ctx context.Context, tenant ident.TenantID, id ident.DeviceID, change func(*Device) error) (*Device, error) {
	moved := false
	d, err := s.store.Update(ctx, tenant, id, func(d *Device) error {
		if err := change(d); err != nil {
			return err
		}
		before := d.Group
		d.Group = s.groupOf(d)
		moved = d.Group != before
		return nil
	})
	if err == nil && moved {
		s.moved.Publish(Moved{Tenant: tenant, Devices: []ident.DeviceID{id}})
	}
	return d, err
}

// Expose notes how exposed devices are: the exposureLevel of each, "" for one that is not
// assessed. A device that is gone is passed over.
func (s *Service) Expose(ctx context.Context, tenant ident.TenantID, levels map[ident.DeviceID]string) error {
	for id, level := range levels {
		// No rule of device groups looks at it: nothing has to be sorted anew.
		_, err := s.store.Update(ctx, tenant, id, func(d *Device) error {
			d.Exposure = level
			return nil
		})
		if err != nil && !errs.Is(err, errs.NotFound) {
			return errs.Wrap("device.Expose", err)
		}
	}
	return nil
}

func (s *Service) groupOf(d *Device) int64 {
	if s.groups == nil {
		return d.Group
	}
	return s.groups.GroupOf(d)
}

func (d *Device) tag(change TagChange, tag string) error {
	at, found := slices.BinarySearch(d.Tags, tag)
	switch {
	case change == AddTag && !found:
		if len(d.Tags) >= MaxTags {
			return tooManyTags()
		}
		d.Tags = slices.Insert(d.Tags, at, tag)
	case change == RemoveTag && found:
		d.Tags = slices.Delete(d.Tags, at, at+1)
	}
	return nil
}

func tooManyTags() error {
	return errs.New("device.tag", errs.Invalid, errs.InvalidInput, "a device has at most %d tags", MaxTags)
}

func checkTag(tag string) (string, error) {
	const op = "device.checkTag"
	tag = strings.TrimSpace(tag)
	switch {
	case !utf8.ValidString(tag):
		return "", errs.New(op, errs.Invalid, errs.InvalidInput, "the tag is not UTF-8")
	case tag == "":
		return "", errs.New(op, errs.Invalid, errs.InvalidInput, "the tag is empty")
	case utf8.RuneCountInString(tag) > MaxTag:
		return "", errs.New(op, errs.Invalid, errs.InvalidInput, "the tag is longer than %d characters", MaxTag)
	case strings.ContainsFunc(tag, unicode.IsControl):
		return "", errs.New(op, errs.Invalid, errs.InvalidInput, "the tag has a control character")
	}
	return tag, nil
}

func sameName(full, name string) bool {
	if strings.EqualFold(full, name) {
		return true
	}
	label, _, _ := strings.Cut(full, ".")
	return strings.EqualFold(label, name)
}

func hasPrefix(tags []string, prefix string) bool {
	return slices.ContainsFunc(tags, func(t string) bool { return strings.HasPrefix(t, prefix) })
}

func clip(s string) string {
	if len(s) > 64 {
		s = strings.ToValidUTF8(s[:64], "") + "…"
	}
	return s
}
