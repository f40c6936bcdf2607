package hunt

import (
	"github.com/vedette-edr/vedette/kql/bind"
	"github.com/vedette-edr/vedette/schema/catalog"
)

// Catalog returns the hunting tables for the binder.
func Catalog() bind.Catalog { return catalog.Tables() }
