package gateway

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"time"

	"connectrpc.com/connect"

	"github.com/vedette-edr/vedette/server/device"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/ident"
	"github.com/vedette-edr/vedette/server/transfer"
	"github.com/vedette-edr/vedette/wire/wirepb"
	"github.com/vedette-edr/vedette/wire/wirepb/wirepbconnect"
)

// Transfers takes the files that devices bring and gives those that their commands name;
// see transfer.Service.
type Transfers interface {
	Upload(ctx context.Context, d *device.Device, p transfer.Piece) (offset int64, kept bool, err error)
	Fetch(ctx context.Context, d *device.Device, id ident.ActionID, name string) (f *os.File, size int64, sum []byte, err error)
}

const (
	// uploading is how many pieces are in memory at a time, whatever the number of devices.
	uploading = 32
	// uploadPatience is how long a piece waits for its turn before the device is sent away.
	uploadPatience = 10 * time.Second
	// fetchPiece is how much of a file one message of FetchFile has, in bytes.
	fetchPiece = 256 << 10
)

// metered lets some uploads at a time through. It stands before the message is read.
func (g *Gateway) metered(h http.Handler) http.Handler {
	turns := make(chan struct{}, uploading)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != wirepbconnect.AgentUploadProcedure {
			h.ServeHTTP(w, r)
			return
		}
		patience := time.NewTimer(uploadPatience)
		defer patience.Stop()
		select {
		case turns <- struct{}{}:
			defer func() { <-turns }()
			h.ServeHTTP(w, r)
		case <-r.Context().Done():
		case <-patience.C:
			g.refuse(w, r, &errs.E{Op: "gateway.Upload", Kind: errs.Limited, Code: errs.TooManyRequests, Detail: "too many devices bring files", Retry: uploadPatience})
		}
	})
}

// Upload takes a piece of a file that a command yielded.
func (s *agent) Upload(ctx context.Context, r *connect.Request[wirepb.UploadRequest]) (*connect.Response[wirepb.UploadResponse], error) {
	const op = "gateway.Upload"
	m := r.Msg
	id, ok := ident.ParseActionID(m.Command)
	if !ok {
		return nil, errs.New(op, errs.Invalid, errs.InvalidInput, "the command's id is no GUID")
	}
	if s.g.cfg.Transfers == nil {
		return nil, errs.New(op, errs.Unsupported, errs.DisabledFeature, "this server takes no files")
	}
	offset, kept, err := s.g.cfg.Transfers.Upload(ctx, peerOf(ctx).device, transfer.Piece{
		Command: id, Index: int(m.Index), Name: m.Name, Size: m.Size, SHA256: m.Sha256, Offset: m.Offset, Data: m.Data})
	if err != nil {
		return nil, errs.Wrap(op, err)
	}
	return connect.NewResponse(&wirepb.UploadResponse{Offset: offset, Kept: kept}), nil
}

// FetchFile sends a file that a command of the device names.
func (s *agent) FetchFile(ctx context.Context, r *connect.Request[wirepb.FetchFileRequest], out *connect.ServerStream[wirepb.FetchFileResponse]) error {
	const op = "gateway.FetchFile"
	id, ok := ident.ParseActionID(r.Msg.Command)
	if !ok {
		return errs.New(op, errs.Invalid, errs.InvalidInput, "the command's id is no GUID")
	}
	if s.g.cfg.Transfers == nil {
		return errs.New(op, errs.Unsupported, errs.DisabledFeature, "this server gives no files")
	}
	f, size, sum, err := s.g.cfg.Transfers.Fetch(ctx, peerOf(ctx).device, id, r.Msg.Name)
	if err != nil {
		return errs.Wrap(op, err)
	}
	defer func() { _ = f.Close() }() // it is only read
	if r.Msg.Offset < 0 || r.Msg.Offset > size {
		return errs.New(op, errs.Invalid, errs.InvalidInput, "offset: %d is not within the file's %d bytes", r.Msg.Offset, size)
	}
	if err := out.Send(&wirepb.FetchFileResponse{Size: size, Sha256: sum}); err != nil {
		return err
	}
	from, piece := io.NewSectionReader(f, r.Msg.Offset, size-r.Msg.Offset), make([]byte, fetchPiece)
	for {
		n, err := io.ReadFull(from, piece)
		if n > 0 {
			if err := out.Send(&wirepb.FetchFileResponse{Data: piece[:n]}); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return nil
		}
		if err != nil {
			return errs.Wrap(op, err)
		}
	}
}
