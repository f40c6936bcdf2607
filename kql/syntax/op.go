package syntax

import "github.com/vedette-edr/vedette/kql/types"

// Operators. Kw is the spelling used where there are several.
type (
	// WhereOp is where or filter.
	WhereOp struct {
		Span
		Kw   string
		Pred Expr
	}
	// ExtendOp is extend, or serialize with Kw "serialize".
	ExtendOp struct {
		Span
		Kw    string
		Items []Expr
	}
	// ProjectOp is one of project, project-away, project-keep, project-rename,
	// project-reorder and distinct; Orders (asc, desc, granny-asc…) is for project-reorder.
	ProjectOp struct {
		Span
		Kw     string
		Items  []Expr
		Orders []string
	}
	// SummarizeOp is summarize; HasBy tells an empty by from none.
	SummarizeOp struct {
		Span
		Props []*Property
		Aggs  []Expr
		HasBy bool
		By    []Expr
	}
	// JoinOp is join or lookup.
	JoinOp struct {
		Span
		Kw    string
		Props []*Property
		Right Expr
		On    []Expr
	}
	// UnionOp is union.
	UnionOp struct {
		Span
		Props  []*Property
		Tables []Expr
	}
	// SortOp is sort by or order by.
	SortOp struct {
		Span
		Kw    string
		Props []*Property
		Keys  []*SortKey
	}
	// TopOp is top N by key.
	TopOp struct {
		Span
		N    Expr
		Keys []*SortKey
	}
	// TakeOp is take, limit or sample.
	TakeOp struct {
		Span
		Kw string
		N  Expr
	}
	// SampleDistinctOp is sample-distinct N of Of.
	SampleDistinctOp struct {
		Span
		N, Of Expr
	}
	// TopHittersOp is top-hitters N of Of by By; By may be nil.
	TopHittersOp struct {
		Span
		N, Of, By Expr
	}
	// WordOp is an operator without arguments: count, getschema, consume.
	WordOp struct {
		Span
		Kw string
		As *Ident // of count as Name, or nil
	}
	// AsOp names the pipeline so far.
	AsOp struct {
		Span
		Props []*Property
		Name  *Ident
	}
	// MvOp is mv-expand, or mv-apply when On is set.
	MvOp struct {
		Span
		Kw    string
		Props []*Property
		Items []*MvItem
		Limit Expr
		On    *Query
	}
	// ParseOp is parse or parse-where.
	ParseOp struct {
		Span
		Kw    string
		Props []*Property
		X     Expr
		Parts []*ParsePart
	}
	// ParseKVOp is parse-kv.
	ParseKVOp struct {
		Span
		X     Expr
		Cols  []*ColDecl
		Props []*Property
	}
	// RenderOp is render.
	RenderOp struct {
		Span
		Kind  string
		Props []*Property
	}
	// EvaluateOp calls a plug-in; Schema is its declared result, nil when absent.
	EvaluateOp struct {
		Span
		Props  []*Property
		Call   *Call
		Schema []*ColDecl
		Star   bool // the schema begins with *
	}
	// InvokeOp calls a tabular function.
	InvokeOp struct {
		Span
		Call *Call
	}
	// PrintOp is print.
	PrintOp struct {
		Span
		Items []Expr
	}
	// RangeOp is range Name from From to To step Step.
	RangeOp struct {
		Span
		Name           *Ident
		From, To, Step Expr
	}
	// SearchOp is search.
	SearchOp struct {
		Span
		Props  []*Property
		Tables []Expr
		Pred   Expr
	}
	// FindOp is find.
	FindOp struct {
		Span
		Props   []*Property
		Tables  []Expr
		Pred    Expr
		Project []Expr
	}
	// MakeSeriesOp is make-series.
	MakeSeriesOp struct {
		Span
		Props          []*Property
		Aggs           []*SeriesAgg
		On             Expr
		From, To, Step Expr
		By             []Expr
	}
	// TopNestedOp is top-nested.
	TopNestedOp struct {
		Span
		Levels []*TopNestedLevel
	}
	// PartitionOp is partition by By (Sub), or with a Body in braces that has a source of
	// its own.
	PartitionOp struct {
		Span
		Props []*Property
		By    Expr
		Sub   *Query
		Body  Expr // nil for the form in parentheses
	}
	// ScanOp is scan.
	ScanOp struct {
		Span
		Props   []*Property
		Order   []*SortKey
		By      []Expr
		Declare []*Param
		Steps   []*ScanStep
	}
	// ForkOp is fork or facet.
	ForkOp struct {
		Span
		Kw       string
		By       []Expr
		Branches []*Query
	}
	// ReduceOp is reduce by.
	ReduceOp struct {
		Span
		By    Expr
		Props []*Property
	}
)

// SortKey is one key of an ordering; empty Order and Nulls mean the defaults.
type SortKey struct {
	X     Expr
	Order string // "", asc, desc
	Nulls string // "", first, last
}

// MvItem is one expression that mv-expand or mv-apply expands.
type MvItem struct {
	X  Expr
	To types.Type // Unknown when absent
}

// ParsePart is a piece of a parse pattern: a text, a column, or a star.
type ParsePart struct {
	Star bool
	Text Expr   // string literal
	Name *Ident // column
	Type types.Type
}

// SeriesAgg is one aggregate of make-series.
type SeriesAgg struct {
	X       Expr
	Default Expr
}

// TopNestedLevel is one level of top-nested.
type TopNestedLevel struct {
	N, Of  Expr
	Others Expr
	By     Expr
	Order  string
}

// ScanStep is one step of scan.
type ScanStep struct {
	Span
	Name     *Ident
	Optional bool
	Output   string // all, last, none, or ""
	Cond     Expr
	Assign   []Expr
}

func (*WhereOp) op()          {}
func (*ExtendOp) op()         {}
func (*ProjectOp) op()        {}
func (*SummarizeOp) op()      {}
func (*JoinOp) op()           {}
func (*UnionOp) op()          {}
func (*SortOp) op()           {}
func (*TopOp) op()            {}
func (*TakeOp) op()           {}
func (*SampleDistinctOp) op() {}
func (*TopHittersOp) op()     {}
func (*WordOp) op()           {}
func (*AsOp) op()             {}
func (*MvOp) op()             {}
func (*ParseOp) op()          {}
func (*ParseKVOp) op()        {}
func (*RenderOp) op()         {}
func (*EvaluateOp) op()       {}
func (*InvokeOp) op()         {}
func (*PrintOp) op()          {}
func (*RangeOp) op()          {}
func (*SearchOp) op()         {}
func (*FindOp) op()           {}
func (*MakeSeriesOp) op()     {}
func (*TopNestedOp) op()      {}
func (*PartitionOp) op()      {}
func (*ScanOp) op()           {}
func (*ForkOp) op()           {}
func (*ReduceOp) op()         {}
