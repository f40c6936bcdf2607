package api

import "github.com/vedette-edr/vedette/server/errs"

// Limit is how often one caller may call one route. The published API counts calls per
// application and tenant, for each route apart.
type Limit struct {
	PerMinute int // Unlimited for none
	PerHour   int // Unlimited for none
	// Tenant counts the calls of all callers of a tenant together, as hunting does.
	Tenant bool
	// Pool counts the calls of all routes that name the same one together; "" counts each
	// route apart.
	Pool string
}

// DefaultLimit is the published limit of every route that names none of its own.
var DefaultLimit = Limit{PerMinute: 100, PerHour: 1500}

// Doc is what the OpenAPI document says about a route beyond its method, path,
// permissions and limit.
type Doc struct {
	Summary string // one line, such as "List alerts"
	// Params is the query options and path variables worth a word; variables of the pattern
	// that are not named here are strings.
	Params []Param
	// Body is the zero value of a struct whose json tags are the properties of the request's
	// body; nil for a route that takes none. A property's `doc` tag holds its constraints,
	// comma-separated: required, enum=A|B, max=N (characters or items), format=date-time.
	Body any
	// Answer is the zero value of what a success answers: a struct for an entity, a slice of
	// them for a collection in the OData envelope, a string for plain text, nil for no body.
	Answer any
	Status int // of success; 0 for 200
	// Errors is the codes it answers beyond those of every route (401, 403, 429, 500).
	Errors []errs.Code
}

// Param is a query option or path variable.
type Param struct {
	Name     string // as clients spell it: "$filter", "lookBackHours", "id"
	Type     string // string, integer, boolean, date-time; "" for string
	Required bool
	Enum     []string
	About    string // one sentence; "" where the name says it
}
