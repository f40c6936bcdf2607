package syntax

// operatorNames lists the tabular operators for suggestions.
var operatorNames = []string{"where", "filter", "extend", "project", "project-away", "project-by-names", "project-keep", "project-rename", "project-reorder",
	"summarize", "join", "lookup", "union", "sort", "order", "top", "take", "limit", "sample", "sample-distinct", "distinct", "count",
	"getschema", "consume", "as", "mv-expand", "mv-apply", "parse", "parse-where", "parse-kv", "render", "evaluate", "invoke", "print",
	"range", "search", "find", "serialize", "make-series", "top-nested", "top-hitters", "partition", "scan", "fork", "facet", "reduce"}

// sourceOperator reads an operator that needs no input, or answers nil.
func (p *parser) sourceOperator() Operator {
	t, n := p.tok(), p.peek(1)
	if t.kind != tIdent || n.is("=") || n.is("=~") || n.is("==") {
		return nil
	}
	switch t.text {
	case "print":
		if n.is(".") || n.is("|") || n.is(",") || n.is(")") || n.kind == tEOF {
			return nil
		}
	case "range":
		if n.kind != tIdent || n.text == "in" {
			return nil
		}
	case "union", "find", "search":
		if n.kind == tPunct && !n.is("(") && !n.is("*") && !n.is("[") || n.kind == tEOF {
			return nil
		}
	default:
		return nil
	}
	return p.operator()
}

func (p *parser) operator() Operator {
	off := p.tok().Off
	kw, sp := p.opName()
	switch kw {
	case "where", "filter":
		// Kusto's grammar has a name before the predicate; it means nothing.
		x := p.named()
		return &WhereOp{Span: p.from(off), Kw: kw, Pred: x}
	case "extend", "serialize":
		o := &ExtendOp{Kw: kw}
		if kw == "extend" || !p.atEnd() {
			p.properties(false)
			o.Items = p.list(p.named)
		}
		o.Span = p.from(off)
		return o
	case "project", "project-away", "project-keep", "project-rename", "project-reorder", "distinct":
		return p.project(off, kw)
	case "project-by-names":
		items := p.list(p.expression)
		return &ProjectOp{Span: p.from(off), Kw: kw, Items: items}
	case "summarize":
		return p.summarize(off)
	case "join", "lookup":
		return p.join(off, kw)
	case "union":
		o := &UnionOp{Props: p.properties(true)}
		o.Tables = p.list(p.tableRef)
		o.Span = p.from(off)
		return o
	case "sort", "order":
		o := &SortOp{Kw: kw, Props: p.properties(true)}
		p.expectWord("by")
		o.Keys = p.sortKeys()
		o.Span = p.from(off)
		return o
	case "top":
		o := &TopOp{N: p.expression()}
		p.expectWord("by")
		o.Keys = p.sortKeys()
		o.Span = p.from(off)
		return o
	case "take", "limit", "sample":
		n := p.expression()
		return &TakeOp{Span: p.from(off), Kw: kw, N: n}
	case "sample-distinct":
		o := &SampleDistinctOp{N: p.expression()}
		p.expectWord("of")
		o.Of = p.expression()
		o.Span = p.from(off)
		return o
	case "top-hitters":
		o := &TopHittersOp{N: p.expression()}
		p.expectWord("of")
		o.Of = p.expression()
		if p.acceptWord("by") {
			o.By = p.expression()
		}
		o.Span = p.from(off)
		return o
	case "count", "getschema", "consume":
		p.properties(true)
		o := &WordOp{Kw: kw}
		if kw == "count" && p.acceptWord("as") {
			o.As = p.name()
		}
		o.Span = p.from(off)
		return o
	case "as":
		o := &AsOp{Props: p.properties(true), Name: p.name()}
		o.Span = p.from(off)
		return o
	case "mv-expand", "mvexpand", "mv-apply", "mvapply":
		return p.mv(off, kw)
	case "parse", "parse-where":
		return p.parseOp(off, kw)
	case "parse-kv":
		o := &ParseKVOp{X: p.expression()}
		p.expectWord("as")
		p.expect("(")
		o.Cols = p.colDecls()
		p.expect(")")
		if p.acceptWord("with") {
			p.expect("(")
			o.Props = p.withList()
		}
		o.Span = p.from(off)
		return o
	case "render":
		o := &RenderOp{Kind: p.name().Name}
		if p.acceptWord("with") {
			p.expect("(")
			o.Props = p.renderList()
		} else {
			o.Props = p.properties(true)
		}
		o.Span = p.from(off)
		return o
	case "evaluate":
		return p.evaluate(off)
	case "invoke":
		return &InvokeOp{Call: p.call(p.name()).(*Call), Span: p.from(off)}
	case "print":
		o := &PrintOp{Items: p.list(p.named)}
		o.Span = p.from(off)
		return o
	case "range":
		o := &RangeOp{Name: p.name()}
		p.expectWord("from")
		o.From = p.expression()
		p.expectWord("to")
		o.To = p.expression()
		p.expectWord("step")
		o.Step = p.expression()
		o.Span = p.from(off)
		return o
	case "search":
		o := &SearchOp{Props: p.properties(true)}
		if p.tok().word("in") && p.peek(1).is("(") {
			p.advance()
			p.expect("(")
			o.Tables = p.list(p.tableRef)
			p.expect(")")
		}
		if p.tok().is("*") && p.starAlone() {
			p.advance()
		} else {
			o.Pred = p.expression()
		}
		o.Span = p.from(off)
		return o
	case "find":
		return p.find(off)
	case "make-series":
		return p.makeSeries(off)
	case "top-nested":
		return p.topNested(off)
	case "partition":
		o := &PartitionOp{Props: p.properties(true)}
		p.expectWord("by")
		// A call is no key here: partition by Key (…) has its pipeline in the parentheses.
		o.By = p.name()
		for p.tok().is(".") {
			p.advance()
			m := &Member{X: o.By, Name: p.name()}
			m.Span = p.from(off)
			o.By = m
		}
		if p.accept("{") {
			o.Body = p.pipeline()
			p.expect("}")
		} else {
			o.Sub = p.sub()
		}
		o.Span = p.from(off)
		return o
	case "scan":
		return p.scan(off)
	case "fork":
		o := &ForkOp{Kw: kw}
		for !p.atEnd() {
			if p.tok().kind == tIdent && p.peek(1).is("=") {
				p.advance()
				p.advance()
			}
			o.Branches = append(o.Branches, p.sub())
		}
		o.Span = p.from(off)
		return o
	case "facet":
		p.expectWord("by")
		o := &ForkOp{Kw: kw, By: p.list(p.expression)}
		if p.acceptWord("with") {
			o.Branches = []*Query{p.sub()}
		}
		o.Span = p.from(off)
		return o
	case "reduce":
		p.expectWord("by")
		o := &ReduceOp{By: p.expression()}
		if p.acceptWord("with") {
			o.Props = p.properties(true)
			for p.accept(",") {
				o.Props = append(o.Props, p.properties(true)...)
			}
		}
		o.Span = p.from(off)
		return o
	}
	e := NewError(p.text, sp, CodeOperator, "unknown operator %q", kw)
	e.Suggestion = near(kw, operatorNames)
	p.errs = append(p.errs, e)
	panic(bail{})
}

// starAlone reports whether the * here stands for every row, and not for every column of
// a comparison.
func (p *parser) starAlone() bool {
	n := p.peek(1)
	return n.kind == tEOF || n.is("|") || n.is(";") || n.is(")") || n.is("}")
}

// atEnd reports whether the operator's text is over.
func (p *parser) atEnd() bool {
	t := p.tok()
	return t.kind == tEOF || t.is("|") || t.is(";") || t.is(")") || t.is("}")
}

func (p *parser) list(item func() Expr) []Expr {
	out := []Expr{item()}
	for p.accept(",") {
		out = append(out, item())
	}
	return out
}

// tableRef is a name, a pattern or a parenthesised pipeline.
func (p *parser) tableRef() Expr {
	if p.tok().is("(") {
		return p.primary()
	}
	if x := p.wildcard(); x != nil {
		return p.postfix(x)
	}
	return nil
}

func (p *parser) project(off int, kw string) Operator {
	o := &ProjectOp{Kw: kw}
	if kw == "project" && p.atEnd() {
		o.Span = p.from(off)
		return o
	}
	for {
		switch kw {
		case "project", "project-rename":
			o.Items = append(o.Items, p.named())
		default:
			o.Items = append(o.Items, p.wildcard())
		}
		if kw == "project-reorder" {
			order := ""
			switch p.tok().text {
			case "asc", "desc":
				order = p.advance().text
			case "granny":
				order, _ = p.opName()
			}
			o.Orders = append(o.Orders, order)
		}
		if !p.accept(",") {
			break
		}
	}
	o.Span = p.from(off)
	return o
}

func (p *parser) summarize(off int) Operator {
	o := &SummarizeOp{Props: p.properties(false)}
	if !p.tok().word("by") && !p.atEnd() {
		o.Aggs = p.list(p.named)
	}
	if p.acceptWord("by") {
		o.HasBy = true
		if !p.atEnd() {
			o.By = p.list(p.named)
		}
	}
	o.Span = p.from(off)
	return o
}

func (p *parser) join(off int, kw string) Operator {
	o := &JoinOp{Kw: kw, Props: p.properties(true)}
	if p.tok().is("(") {
		o.Right = p.primary()
	} else {
		o.Right = p.postfix(p.primary())
	}
	if p.acceptWord("on") {
		o.On = p.list(p.expression)
	}
	o.Span = p.from(off)
	return o
}

func (p *parser) sortKeys() []*SortKey {
	var out []*SortKey
	for {
		k := &SortKey{X: p.named()}
		if p.tok().word("asc") || p.tok().word("desc") {
			k.Order = p.advance().text
		}
		if p.acceptWord("nulls") {
			if !p.tok().word("first") && !p.tok().word("last") {
				p.unexpected("first or last")
			}
			k.Nulls = p.advance().text
		}
		out = append(out, k)
		if !p.accept(",") {
			return out
		}
	}
}

func (p *parser) mv(off int, kw string) Operator {
	if kw == "mvexpand" {
		kw = "mv-expand"
	} else if kw == "mvapply" {
		kw = "mv-apply"
	}
	o := &MvOp{Kw: kw}
	for p.tok().kind == tIdent && p.peek(1).is("=") {
		switch p.tok().text {
		case "bagexpansion", "kind", "with_itemindex":
			name := p.advance().text
			p.advance()
			o.Props = append(o.Props, &Property{Name: name, Value: p.propValue()})
			continue
		}
		break
	}
	for {
		it := &MvItem{X: p.named()}
		if p.acceptWord("to") {
			p.expectWord("typeof")
			p.expect("(")
			it.To = p.typeName()
			p.expect(")")
		}
		o.Items = append(o.Items, it)
		if !p.accept(",") {
			break
		}
	}
	if p.acceptWord("limit") {
		o.Limit = p.unary()
	}
	if kw == "mv-apply" {
		if p.acceptWord("id") {
			p.unary()
		}
		p.expectWord("on")
		o.On = p.sub()
	}
	o.Span = p.from(off)
	return o
}

func (p *parser) parseOp(off int, kw string) Operator {
	o := &ParseOp{Kw: kw, Props: p.properties(true)}
	o.X = p.expression()
	p.expectWord("with")
	for !p.atEnd() {
		t := p.tok()
		switch {
		case t.is("*"):
			p.advance()
			o.Parts = append(o.Parts, &ParsePart{Star: true})
		case t.kind == tString:
			o.Parts = append(o.Parts, &ParsePart{Text: p.primary()})
		default:
			part := &ParsePart{Name: p.name()}
			if p.accept(":") {
				part.Type = p.typeName()
			}
			o.Parts = append(o.Parts, part)
		}
	}
	if len(o.Parts) == 0 {
		p.unexpected("a pattern")
	}
	o.Span = p.from(off)
	return o
}

// renderList reads the properties of render, whose values may be lists of columns.
func (p *parser) renderList() []*Property {
	var out []*Property
	for !p.tok().is(")") {
		name, _ := p.propName()
		p.expect("=")
		v := p.unary()
		out = append(out, &Property{Name: name, Value: v})
		for p.accept(",") {
			if p.tok().is(")") || p.peek(1).is("=") {
				break
			}
			out = append(out, &Property{Name: name, Value: p.unary()})
		}
	}
	p.expect(")")
	return out
}

func (p *parser) evaluate(off int) Operator {
	o := &EvaluateOp{Props: p.properties(true)}
	name := p.name()
	o.Call = p.call(name).(*Call)
	if p.accept(":") {
		p.expect("(")
		o.Schema = []*ColDecl{}
		if p.accept("*") {
			o.Star = true
			p.accept(",")
		}
		o.Schema = append(o.Schema, p.colDecls()...)
		p.expect(")")
	}
	o.Span = p.from(off)
	return o
}

func (p *parser) find(off int) Operator {
	o := &FindOp{Props: p.properties(true)}
	if p.tok().word("in") && p.peek(1).is("(") {
		p.advance()
		p.expect("(")
		o.Tables = p.list(p.tableRef)
		p.expect(")")
	}
	if p.acceptWord("where") || !p.tok().word("project") {
		o.Pred = p.expression()
	}
	if p.tok().word("project") {
		p.opName()
		for {
			x := p.wildcard()
			if p.accept(":") {
				p.typeName()
			}
			o.Project = append(o.Project, x)
			if !p.accept(",") {
				break
			}
		}
	}
	o.Span = p.from(off)
	return o
}

func (p *parser) makeSeries(off int) Operator {
	o := &MakeSeriesOp{Props: p.makeSeriesKind()}
	for {
		a := &SeriesAgg{X: p.named()}
		if p.acceptWord("default") {
			p.expect("=")
			a.Default = p.unary()
		}
		o.Aggs = append(o.Aggs, a)
		if !p.accept(",") {
			break
		}
	}
	p.expectWord("on")
	o.On = p.additive()
	switch {
	case p.acceptWord("in"):
		p.expectWord("range")
		p.expect("(")
		o.From = p.expression()
		p.expect(",")
		o.To = p.expression()
		p.expect(",")
		o.Step = p.expression()
		p.expect(")")
		o.Props = append(o.Props, &Property{Name: "in_range", Value: &Ident{Name: "true"}})
	default:
		if p.acceptWord("from") {
			o.From = p.additive()
		}
		if p.acceptWord("to") {
			o.To = p.additive()
		}
		p.expectWord("step")
		o.Step = p.additive()
	}
	if p.acceptWord("by") {
		o.By = p.list(p.named)
	}
	o.Span = p.from(off)
	return o
}

func (p *parser) makeSeriesKind() []*Property {
	if p.tok().word("kind") && p.peek(1).is("=") {
		p.advance()
		p.advance()
		return []*Property{{Name: "kind", Value: p.propValue()}}
	}
	return nil
}

func (p *parser) topNested(off int) Operator {
	o := &TopNestedOp{}
	for {
		l := &TopNestedLevel{}
		if !p.tok().word("of") {
			l.N = p.unary()
		}
		p.expectWord("of")
		l.Of = p.named()
		if p.acceptWord("with") {
			p.expectWord("others")
			p.expect("=")
			l.Others = p.unary()
		}
		p.expectWord("by")
		l.By = p.named()
		if p.tok().word("asc") || p.tok().word("desc") {
			l.Order = p.advance().text
		}
		o.Levels = append(o.Levels, l)
		if !p.accept(",") {
			break
		}
		if name, _ := p.opName(); name != "top-nested" {
			p.unexpected("top-nested")
		}
	}
	o.Span = p.from(off)
	return o
}

func (p *parser) scan(off int) Operator {
	o := &ScanOp{Props: p.properties(true)}
	if p.acceptWord("order") {
		p.expectWord("by")
		o.Order = p.sortKeys()
	}
	if p.tok().word("partition") {
		p.advance()
		p.expectWord("by")
		o.By = p.list(p.expression)
	}
	if p.acceptWord("declare") {
		o.Declare = p.params()
	}
	p.expectWord("with")
	p.expect("(")
	for !p.tok().is(")") {
		soff := p.tok().Off
		p.expectWord("step")
		s := &ScanStep{Name: p.name()}
		s.Optional = p.acceptWord("optional")
		if p.acceptWord("output") {
			p.expect("=")
			s.Output = p.name().Name
		}
		p.expect(":")
		s.Cond = p.expression()
		if p.accept("=>") {
			s.Assign = p.list(p.named)
		}
		s.Span = p.from(soff)
		o.Steps = append(o.Steps, s)
		p.expect(";")
	}
	p.expect(")")
	o.Span = p.from(off)
	return o
}
