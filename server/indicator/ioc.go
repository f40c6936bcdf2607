package indicator

import (
	"strconv"
	"time"

	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/filter"
	"github.com/vedette-edr/vedette/server/ident"
)

// IOCID names one IOC of a tenant. IOCs and definitions are numbered apart.
type IOCID int64

// String returns the id in decimal.
func (i IOCID) String() string { return strconv.FormatInt(int64(i), 10) }

// IOC is an indicator of compromise of the custom TI API: a value whose sighting on any
// device raises the alert of its Definition.
type IOC struct {
	ID         IOCID
	Definition ident.DefinitionID
	Type       Type
	Value      string // canonical; for IPAddress with Equals possibly a CIDR range
	Function   Function
	Enabled    bool
	Expires    time.Time // zero for never
	Stamps
}

// Validate checks i and brings enums and value to their canonical form. It does not know
// whether the definition exists; the store does. A missing Function is Equals.
func (i *IOC) Validate() error {
	var err error
	if i.Type, err = oneOf("Type", i.Type, iocTypes); err != nil {
		return err
	}
	if i.Function == "" {
		i.Function = Equals
	}
	if i.Function, err = oneOf("DetectionFunction", i.Function, functions); err != nil {
		return err
	}
	if i.Function == Equals {
		i.Value, err = canonicalValue(i.Type.Kind(), i.Value)
	} else {
		i.Value, err = canonicalPattern(i.Type.Kind(), i.Value)
	}
	if err != nil {
		return err
	}
	if i.Definition <= 0 {
		return invalid(errs.MissingRequiredParameter, "AlertDefinition@odata.bind is missing: every indicator belongs to one alert definition")
	}
	i.Expires = seconds(i.Expires)
	return nil
}

// seconds cuts an expiry to the second, the precision at which it is checked, in UTC.
func seconds(t time.Time) time.Time {
	if t.IsZero() {
		return time.Time{}
	}
	return t.UTC().Truncate(time.Second)
}

// IOCFields is what IOCs may be filtered and ordered by; see DefinitionFields for the
// names.
var IOCFields = filter.Schema{
	{Name: "id", Type: filter.Int},
	{Name: "type", Type: filter.String},
	{Name: "value", Type: filter.String},
	{Name: "detectionFunction", Type: filter.String},
	{Name: "enabled", Type: filter.Bool},
	{Name: "expiresAt", Type: filter.Time},
	{Name: "alertDefinitionId", Type: filter.Int},
	{Name: "createdAt", Type: filter.Time},
	{Name: "createdBy", Type: filter.String},
	{Name: "createdById", Type: filter.String},
	{Name: "lastModifiedAt", Type: filter.Time},
	{Name: "lastModifiedBy", Type: filter.String},
}
