package store

import (
	"context"
	"database/sql"
	"strings"
)

// maxStatements bounds the statements that are kept prepared. Those with lists of values
// vary; when they fill the cache, it starts anew.
const maxStatements = 200

// statements is the writer's connection with its statements prepared once: parsing costs
// more than running them. It is for one goroutine, and a statement's rows are closed
// before the same statement runs again.
type statements struct {
	conn  *sql.Conn
	cache map[string]*sql.Stmt
}

func newStatements(conn *sql.Conn) *statements {
	return &statements{conn: conn, cache: map[string]*sql.Stmt{}}
}

func (s *statements) prepare(ctx context.Context, query string) (*sql.Stmt, error) {
	if p, ok := s.cache[query]; ok {
		return p, nil
	}
	if len(s.cache) >= maxStatements {
		s.close()
	}
	p, err := s.conn.PrepareContext(ctx, query)
	if err == nil {
		s.cache[query] = p
	}
	return p, err
}

// ExecContext implements querier. Scripts of several statements are not kept.
func (s *statements) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	if strings.Contains(query, ";") {
		return s.conn.ExecContext(ctx, query, args...)
	}
	p, err := s.prepare(ctx, query) //nolint:sqlclosecheck // kept for the next time; close ends it
	if err != nil {
		return nil, err
	}
	return p.ExecContext(ctx, args...)
}

// QueryContext implements querier.
func (s *statements) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	p, err := s.prepare(ctx, query) //nolint:sqlclosecheck // kept for the next time; close ends it
	if err != nil {
		return nil, err
	}
	return p.QueryContext(ctx, args...)
}

// QueryRowContext implements querier.
func (s *statements) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	p, err := s.prepare(ctx, query) //nolint:sqlclosecheck // kept for the next time; close ends it
	if err != nil {
		return s.conn.QueryRowContext(ctx, query, args...) // meets the same error and carries it
	}
	return p.QueryRowContext(ctx, args...)
}

func (s *statements) close() {
	for _, p := range s.cache {
		_ = p.Close() // the statement is forgotten either way
	}
	clear(s.cache)
}
