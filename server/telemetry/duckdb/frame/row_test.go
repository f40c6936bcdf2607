package frame

import (
	"bytes"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/vedette-edr/vedette/kql/types"
)

var every = []types.Type{types.Bool, types.Int, types.Long, types.Real, types.Decimal, types.String, types.Datetime, types.Timespan, types.GUID, types.Dynamic}

func TestRow(t *testing.T) {
	var b []byte
	b = AppendInt(b, 1)
	b = AppendInt(b, -7)
	b = AppendNull(b)
	b = AppendReal(b, 2.5)
	b = AppendText(b, "1.25")
	b = AppendNull(b)
	b = AppendInt(b, 638_998_000_000_000_000)
	b = AppendInt(b, -1)
	b = AppendText(b, "aaaaaaaa-0000-4000-8000-000000000001")
	b = AppendText(b, `{"a":1}`)
	row := make([]types.Value, len(every))
	rest, err := ReadRow(append(b, 'x'), every, row)
	if err != nil || string(rest) != "x" {
		t.Fatalf("rest %q, %v", rest, err)
	}
	var got []string
	for _, v := range row {
		got = append(got, v.Text())
	}
	want := []string{"true", "-7", "", "2.5", "1.25", "", "2025-11-27T00:26:40.0000000Z", "-00:00:00.0000001", "aaaaaaaa-0000-4000-8000-000000000001", `{"a":1}`}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("row (-want +got):\n%s", diff)
	}
	if !row[2].Null || row[5].Null {
		t.Errorf("a long's null is %v, a string's is %v", row[2], row[5])
	}
}

// FuzzRead reads frames and rows of a worker that says anything.
func FuzzRead(f *testing.F) {
	var whole bytes.Buffer
	_ = Write(&whole, KindRows, AppendText(AppendInt(nil, 5), "text"))
	_ = WriteJSON(&whole, KindDone, Done{})
	f.Add(whole.Bytes())
	f.Fuzz(func(t *testing.T, b []byte) {
		r := NewReader(bytes.NewReader(b))
		for {
			_, payload, err := r.Next()
			if err != nil {
				return
			}
			row := make([]types.Value, len(every))
			for len(payload) > 0 {
				rest, err := ReadRow(payload, every, row)
				if err != nil {
					if !errors.Is(err, ErrMalformed) {
						t.Fatal(err)
					}
					break
				}
				if len(rest) >= len(payload) {
					t.Fatal("a row of nothing")
				}
				payload = rest
			}
		}
	})
}
