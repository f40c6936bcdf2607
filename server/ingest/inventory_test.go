package ingest_test

import (
	"testing"

	"github.com/vedette-edr/vedette/schema/event"
	"github.com/vedette-edr/vedette/server/device"
)

func TestDeviceInfoHasWhatTheServerKnowsOfADevice(t *testing.T) {
	j := &journal{}
	d := *dev
	d.Exposure, d.Value, d.Tags = "High", device.Value("Low"), []string{"a", "b"}
	if err := pipeline(j).Inventory(t.Context(), &d); err != nil {
		t.Fatal(err)
	}
	if len(j.rows["DeviceInfo"]) != 1 {
		t.Fatalf("%v", j.rows)
	}
	r := j.rows["DeviceInfo"][0]
	for name, want := range map[string]string{"DeviceId": string(d.ID), "ExposureLevel": "High", "AssetValue": "Low", "DeviceManualTags": `["a","b"]`, "OnboardingStatus": "Onboarded"} {
		if got := r[name]; got != event.Str(want) {
			t.Errorf("%s: %+v, want %q", name, got, want)
		}
	}
}
