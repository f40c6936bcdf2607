package indicator

import (
	"context"
	"time"

	"github.com/vedette-edr/vedette/server/filter"
	"github.com/vedette-edr/vedette/server/ident"
)

// Revision numbers the transactions that changed a tenant's definitions, IOCs and
// indicators: 1, 2, 3, … without gaps. All rows that one transaction touched carry the
// same revision; 0 is before the first.
type Revision int64

// Quota is how many rows a tenant may have; see DefaultQuota. Rows that have not expired
// by Now count. A store may keep totals and count exactly only where a total would
// exceed. A transaction that would exceed one is errs.Exhausted with code QuotaExceeded,
// names the quota, and changes nothing.
type Quota struct {
	Definitions int
	IOCs        int
	Patterns    int // IOCs whose Function is not Equals
	Indicators  int
	Now         time.Time
}

// DefaultQuota is what a tenant may have unless configured otherwise.
var DefaultQuota = Quota{Definitions: 100_000, IOCs: 1_000_000, Patterns: 10_000, Indicators: 1_000_000}

// Which selects rows to delete. The zero Which selects every row of the tenant; fields
// that are set narrow it together.
type Which struct {
	IDs        []int64            // nil for any; every id must be there and selected, else errs.NotFound and nothing is deleted
	Definition ident.DefinitionID // IOCs only: those bound to this one; 0 for any
	By         string             // only what this actor created; "" for any
}

// DefinitionStore keeps the definitions of all tenants. Every method of the stores is
// safe for concurrent use and sees only its tenant; a thing of another tenant is
// errs.NotFound. What a method returns belongs to the caller.
type DefinitionStore interface {
	// CreateDefinitions keeps all or none and sets their IDs, which rise and are never
	// used again.
	CreateDefinitions(ctx context.Context, tenant ident.TenantID, q Quota, ds []*Definition) (Revision, error)
	// Definition returns one.
	Definition(ctx context.Context, tenant ident.TenantID, id ident.DefinitionID) (*Definition, error)
	// Definitions lists by rising ID unless q orders otherwise.
	Definitions(ctx context.Context, tenant ident.TenantID, q filter.Query) (filter.Page[*Definition], error)
	// UpdateDefinition reads, changes and writes one in a transaction; an error of change
	// leaves it as it was and is returned.
	UpdateDefinition(ctx context.Context, tenant ident.TenantID, id ident.DefinitionID, change func(*Definition) error) (*Definition, Revision, error)
	// DeleteDefinitions deletes those selected with all IOCs bound to them, whoever made
	// these. Deleting nothing is no error and makes no revision: it returns 0.
	DeleteDefinitions(ctx context.Context, tenant ident.TenantID, w Which) (Revision, error)
}

// IOCStore keeps the IOCs of all tenants.
type IOCStore interface {
	// CreateIOCs keeps all or none and sets their IDs. A definition that is not there is
	// errs.NotFound and named.
	CreateIOCs(ctx context.Context, tenant ident.TenantID, q Quota, iocs []*IOC) (Revision, error)
	// IOC returns one.
	IOC(ctx context.Context, tenant ident.TenantID, id IOCID) (*IOC, error)
	// IOCs lists by rising ID unless q orders otherwise.
	IOCs(ctx context.Context, tenant ident.TenantID, q filter.Query) (filter.Page[*IOC], error)
	// UpdateIOC reads, changes and writes one in a transaction, as UpdateDefinition does,
	// with the checks of CreateIOCs.
	UpdateIOC(ctx context.Context, tenant ident.TenantID, q Quota, id IOCID, change func(*IOC) error) (*IOC, Revision, error)
	// DeleteIOCs deletes those selected. Deleting nothing makes no revision.
	DeleteIOCs(ctx context.Context, tenant ident.TenantID, w Which) (Revision, error)
}

// Key finds an indicator: the one with ID when there is such, else the one with Value.
type Key struct {
	ID    ident.IndicatorID
	Value string
}

// IndicatorStore keeps the indicators of the current API of all tenants; values are
// unique within a tenant.
type IndicatorStore interface {
	// PutIndicators writes, in one transaction, what put returns for each key. old is the
	// row that the key finds, nil when there is none; rows written for earlier keys are
	// seen. put may return nil to leave the row as it is, and an error to undo everything.
	// What put returns for a new row has ID 0 and the store sets it; otherwise it has
	// old's ID. A value that another row has is errs.Conflict. Nothing written makes no
	// revision: it returns 0.
	PutIndicators(ctx context.Context, tenant ident.TenantID, q Quota, keys []Key, put func(n int, old *Indicator) (*Indicator, error)) (Revision, error)
	// Indicator returns one.
	Indicator(ctx context.Context, tenant ident.TenantID, id ident.IndicatorID) (*Indicator, error)
	// Indicators lists by rising ID unless q orders otherwise.
	Indicators(ctx context.Context, tenant ident.TenantID, q filter.Query) (filter.Page[*Indicator], error)
	// DeleteIndicators deletes those selected. Deleting nothing makes no revision.
	DeleteIndicators(ctx context.Context, tenant ident.TenantID, w Which) (Revision, error)
}

// Noun says which kind of row a Change is about.
type Noun uint8

// The nouns. Values are stored: never renumber.
const (
	ADefinition Noun = iota + 1
	AnIOC
	AnIndicator
)

// Change is the state of one row after a revision: the row itself in the field that Noun
// names, or all three nil when it was deleted.
type Change struct {
	Revision   Revision
	Noun       Noun
	ID         int64
	Definition *Definition
	IOC        *IOC
	Indicator  *Indicator
}

// Deleted reports whether the row is gone.
func (c *Change) Deleted() bool {
	return c.Definition == nil && c.IOC == nil && c.Indicator == nil
}

// Page is a piece of a tenant's changes by rising revision.
type Page struct {
	Changes  []Change
	Revision Revision // the last one that is wholly contained; since, when nothing follows
	More     bool     // changes follow after Revision
	// Reset says that the changes start over from nothing, because the store no longer
	// keeps which rows were deleted since: the reader forgets all it had.
	Reset bool
}

// Feed is how changes are read, for loading, for keeping up, and for devices.
type Feed interface {
	// Tenants returns every tenant that has rows.
	Tenants(ctx context.Context) ([]ident.TenantID, error)
	// Changes returns the rows whose last change is after since, each once in its present
	// state, by rising revision; since 0 returns every present row and no deletions. limit
	// is a hint: a revision is never split.
	Changes(ctx context.Context, tenant ident.TenantID, since Revision, limit int) (*Page, error)
}

// Sink is what the changes of a tenant are made visible to: the matcher.
type Sink interface {
	// Apply makes a page of changes visible before it returns. Pages of one tenant come
	// one at a time, in order, each once; with Reset the first page replaces everything.
	// The sink may keep the rows of the page and must not change them.
	Apply(ctx context.Context, tenant ident.TenantID, p *Page) error
}
