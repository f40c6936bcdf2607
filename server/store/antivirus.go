package store

import (
	"context"
	"database/sql"
	"errors"

	"github.com/vedette-edr/vedette/server/action"
	"github.com/vedette-edr/vedette/server/device"
	"github.com/vedette-edr/vedette/server/filter"
	"github.com/vedette-edr/vedette/server/ident"
)

var _ device.ProtectionStore = Devices{}

// protectionTable is the devices as the list of their antivirus sees them. What no engine
// tells is a constant, so that a filter by it is answered like any other.
var protectionTable = func() table {
	t := deviceTable
	t.schema, t.cells, t.clocks, t.lists = device.ProtectionFields, deviceCells+", av", nil, nil
	const unknown = "CAST('unknown' AS TEXT)" // device.UpToDate, folded
	t.columns = columns{
		"id": "id", "machineId": "id", "computerDnsName": "name", "osPlatform": "platform", "osVersion": "version",
		"osKind":            "CASE WHEN platform LIKE 'windows%' THEN 'windows' WHEN platform = 'macos' THEN 'mac' ELSE 'linux' END",
		"avMode":            "CAST(NULL AS TEXT)",
		"avPlatformVersion": "agent", "avEngineVersion": "av_engine", "avSignatureVersion": "av_signature",
		"quickScanResult": "quick_result", "quickScanError": "quick_error", "fullScanResult": "full_result", "fullScanError": "full_error",
		"avIsSignatureUpToDate": unknown, "avIsEngineUpToDate": unknown, "avIsPlatformUpToDate": unknown, "rbacGroupId": "grp",
	}
	return t
}()

// Protections implements device.ProtectionStore.
func (v Devices) Protections(ctx context.Context, tenant ident.TenantID, query filter.Query) (filter.Page[*device.Protection], error) {
	return fetchPageBy(ctx, v.s, &protectionTable, tenant, query, func(scan func(...any) error) (*device.Protection, error) {
		var doc string
		d, err := scanDevice(func(dest ...any) error { return scan(append(dest, &doc)...) })
		if err != nil {
			return nil, err
		}
		av, err := decodeAntivirus(doc)
		return &device.Protection{Device: d, Antivirus: av}, err
	})
}

func decodeAntivirus(doc string) (device.Antivirus, error) {
	if doc == "" {
		return device.Antivirus{}, nil
	}
	av, err := decode[device.Antivirus](doc)
	if err != nil {
		return device.Antivirus{}, err
	}
	return *av, nil
}

// scanned keeps, with the end of an action that was a scan, what it tells of the device's
// antivirus.
func scanned(ctx context.Context, q querier, a *action.Action) error {
	if a.Kind != action.RunAntiVirusScan || a.State.Open() {
		return nil
	}
	var doc string
	err := q.QueryRowContext(ctx, "SELECT av FROM device WHERE tenant = ? AND id = ?", string(a.Tenant), string(a.Device)).Scan(&doc)
	if errors.Is(err, sql.ErrNoRows) {
		return nil // the device is gone
	}
	if err != nil {
		return err
	}
	was, err := decodeAntivirus(doc)
	if err != nil {
		return err
	}
	is, ok := a.Scanned(was)
	if !ok {
		return nil
	}
	if doc, err = encode(is); err != nil {
		return err
	}
	_, err = q.ExecContext(ctx, `UPDATE device SET quick_result = ?, quick_error = ?, full_result = ?, full_error = ?, av_engine = ?, av_signature = ?, av = ?
		WHERE tenant = ? AND id = ?`, text(string(is.Quick.Result)), text(is.Quick.Error), text(string(is.Full.Result)), text(is.Full.Error),
		text(is.Engine), text(is.Signatures), doc, string(a.Tenant), string(a.Device))
	return err
}
