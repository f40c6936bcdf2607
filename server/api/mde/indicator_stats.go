package mde

import (
	"net/http"

	"github.com/vedette-edr/vedette/server/api"
	"github.com/vedette-edr/vedette/server/api/odata"
)

// indicatorStats says what was seen of an indicator. It is no published entity.
type indicatorStats struct {
	ID         string         `json:"id"`
	Matches    int64          `json:"matches"` // events that showed it
	Blocks     int64          `json:"blocks"`  // of these, those that a device blocked
	Alerts     int64          `json:"alerts"`  // raised
	Devices    int            `json:"devices"` // that it was seen on
	FirstMatch odata.DateTime `json:"firstMatch"`
	LastMatch  odata.DateTime `json:"lastMatch"`
}

// getIndicatorStats answers GET /api/indicators/{id}/stats.
func (a *API) getIndicatorStats(w http.ResponseWriter, r *api.Request) error {
	id, err := indicatorID(r.Var("id"))
	if err != nil {
		return err
	}
	s, err := a.indicators.Stats(r.Context(), id)
	if err != nil {
		return err
	}
	return odata.WriteEntity(w, r, http.StatusOK, kindOf("vedette.indicatorStats"), indicatorStats{
		ID: id.String(), Matches: s.Matches, Blocks: s.Blocks, Alerts: s.Alerts, Devices: s.Devices,
		FirstMatch: stamp(s.First), LastMatch: stamp(s.Last),
	})
}

// getExpiredIndicators answers GET /api/vedette/indicators/expired.
func (a *API) getExpiredIndicators(w http.ResponseWriter, r *api.Request) error {
	o, err := odata.Parse(r.Query, a.indicatorSpec())
	if err != nil {
		return err
	}
	page, err := a.indicators.Expired(r.Context(), o.Query)
	if err != nil {
		return err
	}
	return odata.WriteCollection(w, r, kindOf("Indicators"), o, page, indicatorOf)
}
