// Package types holds the scalar types of Kusto and the Value that constants, the
// interpreter and result rows share.
//
// It is not an evaluator: it knows how values are represented, parsed, printed,
// converted and compared, and nothing of functions or operators.
//
// Invariants: a datetime and a timespan are int64 ticks of 100 ns, a datetime counted
// from 0001-01-01 UTC; a string is never null; a dynamic keeps the key order of its
// objects. Start at Value and Type.
package types

// Type is a Kusto scalar type.
type Type uint8

// The scalar types. Unknown is the zero value and no type of any value.
const (
	Unknown Type = iota
	Bool
	Int
	Long
	Real
	Decimal
	String
	Datetime
	Timespan
	GUID
	Dynamic
)

var typeNames = [...]string{"unknown", "bool", "int", "long", "real", "decimal", "string", "datetime", "timespan", "guid", "dynamic"}

var netNames = [...]string{"System.Object", "System.SByte", "System.Int32", "System.Int64", "System.Double", "System.Data.SqlTypes.SqlDecimal", "System.String", "System.DateTime", "System.TimeSpan", "System.Guid", "System.Object"}

var apiNames = [...]string{"Object", "SByte", "Int32", "Int64", "Double", "SqlDecimal", "String", "DateTime", "TimeSpan", "Guid", "Object"}

// String returns the name that KQL gives the type.
func (t Type) String() string {
	if int(t) < len(typeNames) {
		return typeNames[t]
	}
	return "unknown"
}

// NetName returns the .NET type name that getschema reports.
func (t Type) NetName() string {
	if int(t) < len(netNames) {
		return netNames[t]
	}
	return netNames[0]
}

// APIName returns the name that the hunting APIs put into a result's schema.
func (t Type) APIName() string {
	if int(t) < len(apiNames) {
		return apiNames[t]
	}
	return apiNames[0]
}

// Numeric reports whether arithmetic is defined on t.
func (t Type) Numeric() bool { return t == Int || t == Long || t == Real || t == Decimal }

// Integral reports whether t is int or long.
func (t Type) Integral() bool { return t == Int || t == Long }

// FromName returns the type that a KQL text means by name, aliases included.
func FromName(name string) (Type, bool) {
	switch name {
	case "bool", "boolean":
		return Bool, true
	case "int", "int32", "uint", "uint32", "int16", "uint16", "int8", "uint8":
		return Int, true
	case "long", "int64", "ulong", "uint64":
		return Long, true
	case "real", "double", "float":
		return Real, true
	case "decimal":
		return Decimal, true
	case "string":
		return String, true
	case "datetime", "date":
		return Datetime, true
	case "timespan", "time":
		return Timespan, true
	case "guid", "uuid", "uniqueid":
		return GUID, true
	case "dynamic", "object":
		return Dynamic, true
	}
	return Unknown, false
}

// Common returns the type to which values of a and b both widen, and whether there is one.
func Common(a, b Type) (Type, bool) {
	if a == b {
		return a, true
	}
	if a.Numeric() && b.Numeric() {
		if a == Decimal || b == Decimal {
			return Decimal, true
		}
		if a == Real || b == Real {
			return Real, true
		}
		return Long, true
	}
	return Unknown, false
}
