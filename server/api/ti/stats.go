package ti

import (
	"net/http"

	"github.com/vedette-edr/vedette/server/api"
	"github.com/vedette-edr/vedette/server/api/odata"
	"github.com/vedette-edr/vedette/server/indicator"
)

// stats is what was seen of an IOC. The published service has no such thing.
type stats struct {
	ID         int64 `json:"Id"`
	Matches    int64 `json:"Matches"`
	Alerts     int64 `json:"Alerts"`
	Devices    int   `json:"Devices"`
	FirstMatch when  `json:"FirstMatch"`
	LastMatch  when  `json:"LastMatch"`
}

func (h *handler) iocStats(w http.ResponseWriter, r *api.Request) error {
	n, err := id(r)
	if err != nil {
		return err
	}
	s, err := h.s.IOCStats(r.Context(), indicator.IOCID(n))
	if err != nil {
		return err
	}
	return odata.WriteEntity(w, r, http.StatusOK, root+"/$metadata#vedette.stats", stats{
		ID: n, Matches: s.Matches, Alerts: s.Alerts, Devices: s.Devices, FirstMatch: when(s.First), LastMatch: when(s.Last),
	})
}
