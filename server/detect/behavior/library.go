package behavior

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/vedette-edr/vedette/detection"
	"github.com/vedette-edr/vedette/server/access"
	"github.com/vedette-edr/vedette/server/audit"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/ident"
)

// RuleFile is what a tenant keeps of a rule file: its own switch, and for one that it
// imported the texts.
type RuleFile struct {
	Tenant   ident.TenantID
	ID       string // of the rule
	Name     string
	Enabled  *bool  // nil as the file says
	Rule     string // text; "" for a shipped rule
	Test     string
	By       string
	Modified time.Time
}

// FileStore keeps the rule files of tenants. Every method is safe for concurrent use.
type FileStore interface {
	// RuleFiles returns those of a tenant, by id.
	RuleFiles(ctx context.Context, tenant ident.TenantID) ([]*RuleFile, error)
	// PutRuleFile keeps one in the place of what there was.
	PutRuleFile(ctx context.Context, f *RuleFile) error
	// DeleteRuleFile forgets one or is errs.NotFound.
	DeleteRuleFile(ctx context.Context, tenant ident.TenantID, id string) error
}

// Origin says where a rule file comes from.
type Origin string

// The origins.
const (
	Shipped   Origin = "shipped"   // with the server
	Directory Origin = "directory" // of the server's operator
	Imported  Origin = "imported"  // by the tenant
)

// Entry is one rule file as a tenant has it.
type Entry struct {
	*detection.Loaded
	Origin  Origin
	Enabled bool // it runs: it is switched on, sound and its tests are green
}

// maxFiles bounds the rule files that a tenant imports.
const maxFiles = 2000

// LibraryConfig is what a Library needs.
type LibraryConfig struct {
	Store    FileStore
	Attack   *detection.Attack
	Detector *Detector
	Shipped  []*detection.Loaded
	Operator []*detection.Loaded // of the operator's directory
	Audit    audit.Log           // nil for none
	Clock    func() time.Time    // nil for time.Now
	Atomic   func(ctx context.Context, do func(context.Context) error) error
}

// FileLibrary is the rule files of every tenant. Permission is decided by the caller,
// before; methods act for the principal of the context.
type FileLibrary struct {
	cfg LibraryConfig

	mu     sync.Mutex
	loaded map[string]*detection.Loaded // by texts: tests are run once
}

// NewLibrary returns the library.
func NewLibrary(c LibraryConfig) *FileLibrary {
	if c.Audit == nil {
		c.Audit = audit.Discard
	}
	if c.Clock == nil {
		c.Clock = time.Now
	}
	if c.Atomic == nil {
		c.Atomic = func(ctx context.Context, do func(context.Context) error) error { return do(ctx) }
	}
	return &FileLibrary{cfg: c, loaded: map[string]*detection.Loaded{}}
}

// Runnable returns the rules of a list that run when nobody switched anything.
func Runnable(list []*detection.Loaded) []Rule {
	var out []Rule
	for _, l := range list {
		if l.Ready() && l.Compiled.On() {
			out = append(out, Rule{Compiled: l.Compiled})
		}
	}
	return out
}

// entries are a tenant's rules: the server's, then its own, by name.
func (l *FileLibrary) entries(ctx context.Context, tenant ident.TenantID) ([]Entry, error) {
	files, err := l.cfg.Store.RuleFiles(ctx, tenant)
	if err != nil {
		return nil, err
	}
	switches := map[string]*bool{}
	var out []Entry
	for _, f := range files {
		switches[f.ID] = f.Enabled
		if f.Rule != "" {
			out = append(out, Entry{Loaded: l.load(f), Origin: Imported})
		}
	}
	for _, r := range l.cfg.Operator {
		out = append(out, Entry{Loaded: r, Origin: Directory})
	}
	for _, r := range l.cfg.Shipped {
		out = append(out, Entry{Loaded: r, Origin: Shipped})
	}
	ids := map[string]bool{}
	for i := range out {
		e := &out[i]
		if !e.Ready() || ids[e.Compiled.ID] {
			continue
		}
		ids[e.Compiled.ID] = true
		if e.Enabled = e.Compiled.On(); switches[e.Compiled.ID] != nil {
			e.Enabled = *switches[e.Compiled.ID]
		}
	}
	slices.SortStableFunc(out, func(a, b Entry) int { return strings.Compare(a.Name, b.Name) })
	return out, nil
}

// load loads an imported rule, whose tests are run when its texts are new.
func (l *FileLibrary) load(f *RuleFile) *detection.Loaded {
	key := f.Rule + "\x00" + f.Test
	l.mu.Lock()
	defer l.mu.Unlock()
	if have, ok := l.loaded[key]; ok {
		return have
	}
	if len(l.loaded) >= 2*maxFiles {
		clear(l.loaded)
	}
	made := detection.Load(f.Name+".yaml", []byte(f.Rule), []byte(f.Test), l.cfg.Attack)
	l.loaded[key] = made
	return made
}

// Refresh makes the detector run what a tenant has switched on.
func (l *FileLibrary) Refresh(ctx context.Context, tenant ident.TenantID) error {
	es, err := l.entries(ctx, tenant)
	if err != nil {
		return errs.Wrap("behavior.Refresh", err)
	}
	var rules []Rule
	for _, e := range es {
		if e.Enabled {
			rules = append(rules, Rule{Compiled: e.Compiled})
		}
	}
	l.cfg.Detector.Replace(tenant, Library, rules)
	return nil
}

// List returns the tenant's rule files by name, those that cannot run as well.
func (l *FileLibrary) List(ctx context.Context) ([]Entry, error) {
	by, err := access.FromContext(ctx)
	if err != nil {
		return nil, err
	}
	es, err := l.entries(ctx, by.Tenant)
	return es, errs.Wrap("behavior.List", err)
}

// find returns the rule with an id or a name.
func (l *FileLibrary) find(ctx context.Context, tenant ident.TenantID, id string) (*Entry, error) {
	es, err := l.entries(ctx, tenant)
	if err != nil {
		return nil, err
	}
	for i := range es {
		if e := &es[i]; e.Name == id || e.Compiled != nil && e.Compiled.ID == id {
			return e, nil
		}
	}
	return nil, errs.New("behavior.find", errs.NotFound, errs.ResourceNotFound, "there is no rule file %q", id)
}

// Get returns one rule file by its id or name.
func (l *FileLibrary) Get(ctx context.Context, id string) (*Entry, error) {
	by, err := access.FromContext(ctx)
	if err != nil {
		return nil, err
	}
	e, err := l.find(ctx, by.Tenant, id)
	return e, errs.Wrap("behavior.Get", err)
}

// Switch turns a rule on or off for the tenant. One that is not sound, or whose tests are
// red, cannot be turned on.
func (l *FileLibrary) Switch(ctx context.Context, id string, on bool) (*Entry, error) {
	const op = "behavior.Switch"
	by, err := access.FromContext(ctx)
	if err != nil {
		return nil, err
	}
	e, err := l.find(ctx, by.Tenant, id)
	if err != nil {
		return nil, errs.Wrap(op, err)
	}
	if on && !e.Ready() {
		return nil, errs.New(op, errs.Conflict, errs.DisallowedOperation, "the rule cannot be enabled: %s", e.Problem)
	}
	if e.Compiled == nil {
		return nil, errs.New(op, errs.Conflict, errs.DisallowedOperation, "the rule does not run as it is: %s", e.Problem)
	}
	verb := "rulefile.disable"
	if on {
		verb = "rulefile.enable"
	}
	f := &RuleFile{Tenant: by.Tenant, ID: e.Compiled.ID, Name: e.Name}
	files, err := l.cfg.Store.RuleFiles(ctx, by.Tenant)
	if err != nil {
		return nil, errs.Wrap(op, err)
	}
	for _, have := range files {
		if have.ID == f.ID {
			f = have
		}
	}
	f.Enabled, f.By, f.Modified = &on, by.Name, l.cfg.Clock().UTC()
	if err := l.keep(ctx, by, verb, f); err != nil {
		return nil, errs.Wrap(op, err)
	}
	e, err = l.find(ctx, by.Tenant, f.ID)
	return e, errs.Wrap(op, err)
}

// Import keeps a rule file of the tenant, with its tests, in the place of the one with the
// same id. One that is not sound or whose tests are red is errs.Invalid, with all that is
// wrong as detail; an id or name of another rule is errs.Conflict.
func (l *FileLibrary) Import(ctx context.Context, rule, test string) (*Entry, error) {
	const op = "behavior.Import"
	by, err := access.FromContext(ctx)
	if err != nil {
		return nil, err
	}
	var tests []byte
	if test != "" {
		tests = []byte(test)
	}
	made := detection.Load("import.yaml", []byte(rule), tests, l.cfg.Attack)
	if !made.Ready() {
		return nil, errs.New(op, errs.Invalid, errs.InvalidInput, "the rule was not imported: %s", made.Problem)
	}
	es, err := l.entries(ctx, by.Tenant)
	if err != nil {
		return nil, errs.Wrap(op, err)
	}
	own := 0
	for _, e := range es {
		same := e.Compiled != nil && e.Compiled.ID == made.Compiled.ID
		if e.Origin == Imported {
			own++
		}
		if e.Name == made.Name && !same || same && e.Origin != Imported {
			return nil, errs.New(op, errs.Conflict, errs.BadRequest, "a %s rule has this id or the name %s: give yours its own", e.Origin, e.Name)
		}
	}
	if own >= maxFiles {
		return nil, errs.New(op, errs.Exhausted, errs.QuotaExceeded, "%d rule files are imported, which is the most", own)
	}
	f := &RuleFile{Tenant: by.Tenant, ID: made.Compiled.ID, Name: made.Name, Rule: rule, Test: test, By: by.Name, Modified: l.cfg.Clock().UTC()}
	if err := l.keep(ctx, by, "rulefile.import", f); err != nil {
		return nil, errs.Wrap(op, err)
	}
	e, err := l.find(ctx, by.Tenant, f.ID)
	return e, errs.Wrap(op, err)
}

// Delete forgets an imported rule file. Others can only be turned off.
func (l *FileLibrary) Delete(ctx context.Context, id string) error {
	const op = "behavior.Delete"
	by, err := access.FromContext(ctx)
	if err != nil {
		return err
	}
	e, err := l.find(ctx, by.Tenant, id)
	if err != nil {
		return errs.Wrap(op, err)
	}
	if e.Origin != Imported {
		return errs.New(op, errs.Conflict, errs.DisallowedOperation, "the rule %s is the server's own: disable it instead", e.Name)
	}
	ruleID := id
	if e.Compiled != nil {
		ruleID = e.Compiled.ID
	}
	err = l.cfg.Atomic(ctx, func(ctx context.Context) error {
		if err := l.cfg.Store.DeleteRuleFile(ctx, by.Tenant, ruleID); err != nil {
			return err
		}
		return l.record(ctx, by, "rulefile.delete", ruleID, e.Name)
	})
	if err != nil {
		return errs.Wrap(op, err)
	}
	return l.Refresh(ctx, by.Tenant)
}

func (l *FileLibrary) keep(ctx context.Context, by *access.Principal, verb string, f *RuleFile) error {
	err := l.cfg.Atomic(ctx, func(ctx context.Context) error {
		if err := l.cfg.Store.PutRuleFile(ctx, f); err != nil {
			return err
		}
		return l.record(ctx, by, verb, f.ID, f.Name)
	})
	if err != nil {
		return err
	}
	return l.Refresh(ctx, by.Tenant)
}

func (l *FileLibrary) record(ctx context.Context, by *access.Principal, verb, id, name string) error {
	return l.cfg.Audit.Record(ctx, audit.Entry{Tenant: by.Tenant, Actor: by.Actor, Verb: verb, Object: id, Detail: name, Outcome: audit.Done})
}
