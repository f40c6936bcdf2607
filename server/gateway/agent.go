package gateway

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"

	"github.com/vedette-edr/vedette/server/device"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/indicator"
	"github.com/vedette-edr/vedette/server/telemetry"
	"github.com/vedette-edr/vedette/server/vulnerability"
	"github.com/vedette-edr/vedette/wire"
	"github.com/vedette-edr/vedette/wire/wirepb"
)

// agent answers the service Agent. The device in the context's peer is authenticated.
type agent struct{ g *Gateway }

// Renew issues a new certificate for the same incarnation.
func (s *agent) Renew(ctx context.Context, r *connect.Request[wirepb.RenewRequest]) (*connect.Response[wirepb.RenewResponse], error) {
	if len(r.Msg.Csr) > maxCSR {
		return nil, errs.New("gateway.Renew", errs.Invalid, errs.InvalidInput, "the certificate request is longer than %d bytes", maxCSR)
	}
	cert, err := s.g.issue(ctx, peerOf(ctx).device, r.Msg.Csr)
	if err != nil {
		return nil, errs.Wrap("gateway.Renew", err)
	}
	return connect.NewResponse(&wirepb.RenewResponse{Certificate: cert, Ca: s.g.cfg.CA.Certificate(), ServerTime: s.now()}), nil
}

// Push takes one batch; its answer is the acknowledgement.
func (s *agent) Push(ctx context.Context, r *connect.Request[wirepb.PushRequest]) (*connect.Response[wirepb.PushResponse], error) {
	d := peerOf(ctx).device
	if err := checkSent(r.Msg.Sent); err != nil {
		return nil, err
	}
	ack, err := s.g.cfg.Ingest.Push(ctx, d, r.Msg.Batch, time.Unix(0, r.Msg.Sent))
	if err != nil {
		if errs.Is(err, errs.Conflict) {
			s.g.known.forget(d.ID)
		}
		return nil, errs.Wrap("gateway.Push", err)
	}
	return connect.NewResponse(&wirepb.PushResponse{Duplicate: ack == telemetry.Duplicate, ServerTime: s.now()}), nil
}

// checkSent bounds a device's word on its own clock: it may be wrong by decades, but the
// offset must fit a duration.
func checkSent(n int64) error {
	if n <= 0 || n > maxSent {
		return errs.New("gateway.checkSent", errs.Invalid, errs.BadRequest, "the time of sending is missing or out of range")
	}
	return nil
}

// maxSent is in the year 2116.
const maxSent = 1 << 62

// Heartbeat records how a device fares and tells it what it should know.
func (s *agent) Heartbeat(ctx context.Context, r *connect.Request[wirepb.HeartbeatRequest]) (*connect.Response[wirepb.HeartbeatResponse], error) {
	const op = "gateway.Heartbeat"
	g, m, p := s.g, r.Msg, peerOf(ctx)
	if err := checkSent(m.Sent); err != nil {
		return nil, err
	}
	received := g.cfg.Clock()
	rep := device.Report{AgentVersion: m.AgentVersion, Protocol: p.protocol, Indicators: applied(p.device, m.Indicators), ExternalIP: p.address,
		Offset: g.cfg.Ingest.Offset(p.device, time.Unix(0, m.Sent), received)}
	for _, f := range m.Facilities {
		rep.Facilities = append(rep.Facilities, device.Facility{Name: f.GetName(), State: f.GetState(), Detail: f.GetDetail(), Remedy: f.GetRemedy()})
	}
	if sp := m.Spool; sp != nil {
		rep.Spool = device.Spool{Bytes: sp.Bytes, Limit: sp.Limit, Batches: sp.Batches, Dropped: sp.Dropped}
		if sp.Oldest != 0 {
			// By the device's clock; health compares it with the server's.
			rep.Spool.Oldest = time.Unix(0, sp.Oldest).Add(rep.Offset).UTC()
		}
	}
	if len(m.Inventory) > 0 {
		v, err := device.ParseInventory(m.Inventory)
		if err != nil {
			return nil, errs.Wrap(op, err)
		}
		rep.Inventory = &v
	}
	d, err := g.cfg.Devices.Heartbeat(ctx, p.device.Tenant, p.device.ID, rep)
	if err != nil {
		return nil, errs.Wrap(op, err)
	}
	g.known.forget(d.ID)
	if rep.Inventory != nil {
		if err := g.cfg.Ingest.Inventory(ctx, d); err != nil {
			return nil, errs.Wrap(op, err)
		}
	}
	resp := &wirepb.HeartbeatResponse{ServerTime: s.now(), Interval: int64(g.cfg.Heartbeat), Offset: int64(d.Offset),
		WantInventory: d.Inventory.Hostname == ""}
	if g.cfg.Indicators != nil {
		resp.Indicators = announce(d.Regrouped, uint64(g.cfg.Indicators.Revision(d.Tenant)))
	}
	return connect.NewResponse(resp), nil
}

// keepAlive is how often a watch says something when there is nothing to say, so that
// what lies between keeps the connection, and a dead one is noticed.
const keepAlive = 25 * time.Second

// Watch nudges until the device goes, or another watch of it takes its place.
func (s *agent) Watch(ctx context.Context, _ *connect.Request[wirepb.WatchRequest], out *connect.ServerStream[wirepb.WatchResponse]) error {
	d := peerOf(ctx).device
	w := s.g.hub.add(d)
	defer s.g.hub.remove(d.ID, w)
	s.g.metrics.watching.Inc()
	defer s.g.metrics.watching.Dec()
	first := &wirepb.WatchResponse{Commands: true, ServerTime: s.now()}
	if s.g.cfg.Indicators != nil {
		first.Indicators = announce(d.Regrouped, uint64(s.g.cfg.Indicators.Revision(d.Tenant)))
	}
	if err := out.Send(first); err != nil {
		return err
	}
	t := time.NewTicker(spread(keepAlive))
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-w.gone:
			return nil
		case <-t.C:
		case <-w.wake:
		}
		commands, revision := s.g.hub.take(w)
		if err := out.Send(&wirepb.WatchResponse{Commands: commands, Indicators: revision, ServerTime: s.now()}); err != nil {
			return err
		}
	}
}

// ReportInventory takes one section of a device's inventory.
func (s *agent) ReportInventory(ctx context.Context, r *connect.Request[wirepb.ReportInventoryRequest]) (*connect.Response[wirepb.ReportInventoryResponse], error) {
	const op = "gateway.ReportInventory"
	if s.g.cfg.Inventory == nil {
		return nil, errs.New(op, errs.Unsupported, errs.DisabledFeature, "this server keeps no inventory")
	}
	have, digest, err := s.g.cfg.Inventory.Report(ctx, peerOf(ctx).device, vulnerability.Report{
		Section: r.Msg.Section, Digest: r.Msg.Digest, Base: r.Msg.Base, Body: r.Msg.Body})
	if err != nil {
		return nil, errs.Wrap(op, err)
	}
	return connect.NewResponse(&wirepb.ReportInventoryResponse{Have: have, Digest: digest}), nil
}

// partSize is how many indicators one message of a set holds.
const partSize = 20_000

// FetchIndicators sends what the device enforces, as the difference to what it has.
func (s *agent) FetchIndicators(ctx context.Context, r *connect.Request[wirepb.FetchIndicatorsRequest], out *connect.ServerStream[wirepb.FetchIndicatorsResponse]) error {
	const op = "gateway.FetchIndicators"
	if s.g.cfg.Indicators == nil {
		return errs.New(op, errs.Unsupported, errs.DisabledFeature, "this server has no indicators")
	}
	// Who the device is may be some seconds old; which group it is in must not be.
	d, err := s.g.cfg.Devices.Get(ctx, peerOf(ctx).device.Tenant, peerOf(ctx).device.ID)
	if err != nil {
		return errs.Wrap(op, err)
	}
	d.Incarnation = peerOf(ctx).device.Incarnation
	e, err := s.g.cfg.Indicators.Enforcing(ctx, d.Tenant, indicator.Revision(applied(d, r.Msg.Revision)))
	if err != nil {
		return errs.Wrap(op, err)
	}
	set := wirepb.IndicatorSet{Device: string(d.ID), Incarnation: d.Incarnation, Base: r.Msg.Revision,
		Revision: announce(d.Regrouped, uint64(e.Revision))}
	if e.Full {
		set.Base = 0
	}
	slices.SortStableFunc(e.Entries, func(a, b indicator.Entry) int { return cmp.Compare(a.ID, b.ID) })
	for chunk := range slices.Chunk(e.Entries, partSize) {
		for _, entry := range chunk {
			if i := entry.Indicator; i != nil && concerns(i, d) {
				p := &wirepb.Indicator{Id: int64(entry.ID), Type: string(i.Type), Value: i.Value, Action: string(i.Action), Silent: !i.Alerts()}
				if !i.Expires.IsZero() {
					p.Expires = i.Expires.UnixNano()
				}
				set.Put = append(set.Put, p)
			} else if !e.Full {
				set.Remove = append(set.Remove, int64(entry.ID))
			}
		}
		if err := s.sendSet(&set, out); err != nil {
			return err
		}
		set.Put, set.Remove, set.Part = nil, nil, set.Part+1
	}
	set.Last = true
	return s.sendSet(&set, out)
}

func (s *agent) sendSet(set *wirepb.IndicatorSet, out *connect.ServerStream[wirepb.FetchIndicatorsResponse]) error {
	body, err := proto.MarshalOptions{Deterministic: true}.Marshal(set)
	if err != nil {
		return errs.Wrap("gateway.sendSet", err)
	}
	return out.Send(&wirepb.FetchIndicatorsResponse{Body: body, Signatures: wire.SignBody(wire.IndicatorContext, body, s.g.cfg.CA.CommandKey())})
}

// A device takes a revision of indicators for an opaque number. Below regroupedShift it is
// the tenant's, above it how often the device's group changed: a device that is moved
// finds itself at another number than it is told, and the number that it fetches from
// says that its set is of another group and no difference to it will do.
const (
	regroupedShift = 44
	revisionMask   = 1<<regroupedShift - 1
	regroupedMask  = 1<<(63-regroupedShift) - 1
)

// announce returns the number that a device is to have of a tenant's revision.
func announce(regrouped, revision uint64) uint64 {
	return (regrouped&regroupedMask)<<regroupedShift | revision&revisionMask
}

// applied returns the tenant's revision that a device has when it says number; 0 when what
// it has is of another group than it is in.
func applied(d *device.Device, number uint64) uint64 {
	if number>>regroupedShift != d.Regrouped&regroupedMask {
		return 0
	}
	return number & revisionMask
}

// concerns reports whether an indicator is for the device's group.
func concerns(i *indicator.Indicator, d *device.Device) bool {
	if len(i.Groups)+len(i.GroupIDs) == 0 {
		return true
	}
	return slices.Contains(i.GroupIDs, strconv.FormatInt(d.Group, 10))
}

func (s *agent) now() int64 { return s.g.cfg.Clock().UnixNano() }
