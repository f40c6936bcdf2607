package syntax

import "github.com/vedette-edr/vedette/kql/types"

// Node is anything in a tree that has a place in the text.
type Node interface{ Pos() Span }

// Expr is a scalar or tabular expression; the grammar does not tell them apart.
type Expr interface {
	Node
	expr()
}

// Operator is one step of a pipeline.
type Operator interface {
	Node
	op()
}

// Statement is one of the parts of a query that are separated by semicolons.
type Statement interface {
	Node
	stmt()
}

// Script is a query's text: statements in order.
type Script struct {
	Span
	Statements []Statement
}

// Statements.
type (
	// Let names a scalar, a table or a function.
	Let struct {
		Span
		Name  *Ident
		Value Expr
	}
	// ExprStmt is a query or a bare expression.
	ExprStmt struct {
		Span
		X Expr
	}
	// Set is a request option: set name[=value].
	Set struct {
		Span
		Name  *Ident
		Value Expr // nil when absent
	}
	// Declare is declare query_parameters(...).
	Declare struct {
		Span
		Params []*Param
	}
)

// Expressions.
type (
	// Literal is a constant; Text is its source.
	Literal struct {
		Span
		Val  types.Value
		Text string
	}
	// Ident is a name; Quoted when written ['name'].
	Ident struct {
		Span
		Name   string
		Quoted bool
	}
	// Wildcard is a name with asterisks.
	Wildcard struct {
		Span
		Pattern string
	}
	// Star is a bare asterisk.
	Star struct{ Span }
	// Member is X.Name.
	Member struct {
		Span
		X    Expr
		Name *Ident
	}
	// Index is X[I].
	Index struct {
		Span
		X, I Expr
	}
	// Call is Name(Args).
	Call struct {
		Span
		Name *Ident
		Args []Expr
	}
	// Unary is -X or +X.
	Unary struct {
		Span
		Op string
		X  Expr
	}
	// Binary is X Op Y for arithmetic, comparison and string operators.
	Binary struct {
		Span
		Op   string
		X, Y Expr
	}
	// Logic is a chain of one of and, or.
	Logic struct {
		Span
		Op   string
		Args []Expr
	}
	// In is X Op (List) for in, !in, in~, !in~, has_any, has_all.
	In struct {
		Span
		Op   string
		X    Expr
		List []Expr
	}
	// Between is X between (Lo .. Hi).
	Between struct {
		Span
		Not       bool
		X, Lo, Hi Expr
	}
	// Named is Names = X; several names stand in parentheses.
	Named struct {
		Span
		Names []*Ident
		Paren bool
		X     Expr
	}
	// Paren keeps the parentheses of the source.
	Paren struct {
		Span
		X Expr
	}
	// TypeOf is typeof(type, ...).
	TypeOf struct {
		Span
		Types []types.Type
	}
	// Query is a pipeline; Source is nil when the first operator is itself a source.
	Query struct {
		Span
		Source Expr
		Ops    []Operator
	}
	// DataTable is a table written out.
	DataTable struct {
		Span
		Cols []*ColDecl
		Rows []Expr
	}
	// ExternalData reads files by address.
	ExternalData struct {
		Span
		Cols  []*ColDecl
		URIs  []Expr
		Props []*Property
	}
	// FuncLit is (params) { body }.
	FuncLit struct {
		Span
		View   bool
		Params []*Param
		Body   []Statement
	}
)

// ColDecl is a name with a type.
type ColDecl struct {
	Name *Ident
	Type types.Type
}

// Param is a parameter of a function: a scalar, or a table when Table is set.
type Param struct {
	Span
	Name    *Ident
	Type    types.Type
	Table   bool
	Cols    []*ColDecl // of a table; empty for (*)
	Default Expr       // nil when required
}

// Property is name=value as operators take it.
type Property struct {
	Name  string
	Value Expr
}

func (*Let) stmt()      {}
func (*ExprStmt) stmt() {}
func (*Set) stmt()      {}
func (*Declare) stmt()  {}

func (*Literal) expr()      {}
func (*Ident) expr()        {}
func (*Wildcard) expr()     {}
func (*Star) expr()         {}
func (*Member) expr()       {}
func (*Index) expr()        {}
func (*Call) expr()         {}
func (*Unary) expr()        {}
func (*Binary) expr()       {}
func (*Logic) expr()        {}
func (*In) expr()           {}
func (*Between) expr()      {}
func (*Named) expr()        {}
func (*Paren) expr()        {}
func (*TypeOf) expr()       {}
func (*Query) expr()        {}
func (*DataTable) expr()    {}
func (*ExternalData) expr() {}
func (*FuncLit) expr()      {}
