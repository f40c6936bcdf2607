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
// permissions and limit. package openapi makes the document; a route without a Summary, or
// with a Body or Answer that is no JSON shape, fails its test.
//
// Shapes are zero values of structs. Their json tags are the properties; a `doc` tag holds
// what the type does not say, comma-separated: required, nullable (a map or slice that may
// be null), enum=A|B, max=N (characters or items), format=date-time (any format of JSON
// Schema). In answers every property is
// there, and a pointer may be null; in bodies only those marked required must be.
type Doc struct {
	Summary string // one line, such as "List alerts"
	// Params is the query options and path variables worth a word; variables of the pattern
	// that are not named here are strings.
	Params []Param
	// Body is the zero value of a struct whose properties are the members of the request's
	// body; nil for a route that takes none.
	Body any
	// Media is the type of the request's body; "" for application/json. The properties of a
	// multipart/form-data body that are []byte are files.
	Media string
	// Answer is the zero value of what a success answers: a struct for an entity, a slice of
	// them for a collection in the OData envelope, a string for plain text, nil for no body.
	Answer any
	// Bare says that Answer stands alone, without the OData envelope and annotations: a
	// struct as it is, a slice as a JSON array.
	Bare bool
	// AnswerMedia is the type of the answer; "" for JSON, or plain text when Answer is a
	// string.
	AnswerMedia string
	// AlsoMedia is another type that a parameter asks for the answer in, as text; "" for none.
	AlsoMedia string
	Status    int // of success; 0 for 200
	// Redirects says that it may also send a browser elsewhere, with 303 and Location.
	Redirects bool
	// Errors is the codes it answers beyond those of every route (401, 403, 429, 500).
	Errors []errs.Code
}

// Param is a query option or path variable.
type Param struct {
	Name     string // as clients spell it: "$filter", "lookBackHours", "id"
	Type     string // string, integer, boolean, date-time; "" for string
	Required bool
	Enum     []string
	Min, Max int64  // of an integer, when they differ
	About    string // one sentence; "" where the name says it
	Example  string // a value that is understood; "" for none
}
