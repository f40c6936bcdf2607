package detection

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/vedette-edr/vedette/server/api"
	"github.com/vedette-edr/vedette/server/api/odata"
	"github.com/vedette-edr/vedette/server/detect/custom"
	"github.com/vedette-edr/vedette/server/errs"
)

// entity is microsoft.graph.security.detectionRule.
type entity struct {
	ID         string          `json:"id"`
	Name       string          `json:"displayName"`
	Enabled    bool            `json:"isEnabled"`
	CreatedBy  string          `json:"createdBy"`
	Created    *odata.DateTime `json:"createdDateTime"`
	Modified   *odata.DateTime `json:"lastModifiedDateTime"`
	ModifiedBy string          `json:"lastModifiedBy"`
	DetectorID string          `json:"detectorId"`
	Condition  condition       `json:"queryCondition"`
	Schedule   schedule        `json:"schedule"`
	LastRun    lastRun         `json:"lastRunDetails"`
	Action     detectionAction `json:"detectionAction"`
}

type condition struct {
	Text     string          `json:"queryText"`
	Modified *odata.DateTime `json:"lastModifiedDateTime"`
}

type schedule struct {
	Period string          `json:"period"`
	Next   *odata.DateTime `json:"nextRunDateTime"`
}

type lastRun struct {
	At     *odata.DateTime `json:"lastRunDateTime"`
	Status *string         `json:"status"`
	Reason *string         `json:"failureReason"`
	Code   *string         `json:"errorCode"`
}

type detectionAction struct {
	Template  template        `json:"alertTemplate"`
	Scope     json.RawMessage `json:"organizationalScope"`
	Responses []response      `json:"responseActions"`
}

type template struct {
	Title       string            `json:"title"`
	Description string            `json:"description"`
	Severity    string            `json:"severity"`
	Category    string            `json:"category"`
	Recommended *string           `json:"recommendedActions"`
	Techniques  []string          `json:"mitreTechniques"`
	Impacted    []asset           `json:"impactedAssets"`
	Details     map[string]string `json:"customDetails,omitempty"`
}

type asset struct {
	Type       string `json:"@odata.type"`
	Identifier string `json:"identifier"`
}

type response struct {
	Type       string   `json:"@odata.type"`
	Identifier string   `json:"identifier"`
	Isolation  string   `json:"isolationType,omitempty"`
	Groups     []string `json:"deviceGroupNames,omitempty"`
}

const typePrefix = "#microsoft.graph.security."

var assetTypes = map[custom.AssetKind]string{
	custom.Device: "impactedDeviceAsset", custom.User: "impactedUserAsset", custom.Mailbox: "impactedMailboxAsset",
}

func when(t time.Time) *odata.DateTime {
	if t.IsZero() {
		return nil
	}
	d := odata.DateTime(t)
	return &d
}

func nullable(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// camel writes a column as Graph names it, deviceId.
func camel(column string) string {
	if column == strings.ToUpper(column) || column == "" {
		return strings.ToLower(column)
	}
	return strings.ToLower(column[:1]) + column[1:]
}

func render(r *custom.Rule) entity {
	out := entity{
		ID: strconv.FormatInt(r.ID, 10), Name: r.Name, Enabled: r.Enabled, CreatedBy: r.CreatedBy, Created: when(r.Created),
		Modified: when(r.Modified), ModifiedBy: r.ModifiedBy, DetectorID: r.DetectorID,
		Condition: condition{r.Query, when(r.Queried)}, Schedule: schedule{string(r.Period), when(r.Next)},
		LastRun: lastRun{when(r.Last.At), nullable(string(r.Last.Status)), nullable(r.Last.Reason), nullable(r.Last.Code)},
		Action: detectionAction{Scope: json.RawMessage("null"), Responses: []response{}, Template: template{
			Title: r.Alert.Title, Description: r.Alert.Description, Severity: strings.ToLower(r.Alert.Severity), Category: r.Alert.Category,
			Recommended: nullable(r.Alert.Recommended), Techniques: append([]string{}, r.Alert.Techniques...), Impacted: []asset{}, Details: r.Alert.Details,
		}},
	}
	if r.Scope != "" {
		out.Action.Scope = json.RawMessage(r.Scope)
	}
	for _, a := range r.Alert.Impacted {
		out.Action.Template.Impacted = append(out.Action.Template.Impacted, asset{typePrefix + assetTypes[a.Kind], camel(a.Column)})
	}
	for _, re := range r.Responses {
		out.Action.Responses = append(out.Action.Responses, response{typePrefix + string(re.Kind) + "ResponseAction", camel(re.Target), re.Scope, re.Groups})
	}
	return out
}

// body is what a caller may write; what is left out stays as it is.
type body struct {
	Name      *string `json:"displayName" doc:"required,max=256"`
	Enabled   *bool   `json:"isEnabled"`
	Condition *struct {
		Text *string `json:"queryText" doc:"required"`
	} `json:"queryCondition" doc:"required"`
	Schedule *struct {
		Period *string `json:"period" doc:"required,enum=0|1H|3H|12H|24H"`
	} `json:"schedule" doc:"required"`
	Action *struct {
		Template *struct {
			Title       *string            `json:"title" doc:"required,max=256"`
			Description *string            `json:"description"`
			Severity    *string            `json:"severity" doc:"required,enum=informational|low|medium|high"`
			Category    *string            `json:"category" doc:"required"`
			Recommended *string            `json:"recommendedActions"`
			Techniques  *[]string          `json:"mitreTechniques"`
			Impacted    *[]asset           `json:"impactedAssets"`
			Details     *map[string]string `json:"customDetails"`
		} `json:"alertTemplate" doc:"required"`
		Scope     json.RawMessage `json:"organizationalScope"`
		Responses *[]response     `json:"responseActions"`
	} `json:"detectionAction" doc:"required"`
}

// read decodes a body. Members that Graph adds and this server does not know are passed
// over, as Graph passes over read-only ones.
func read(r *api.Request, into any) error {
	const op = "detection.read"
	d := json.NewDecoder(r.Body)
	err := d.Decode(into)
	if err == nil {
		if _, more := d.Token(); !errors.Is(more, io.EOF) {
			err = errors.New("there is more after the object")
		}
	}
	if err == nil {
		return nil
	}
	var syntax *json.SyntaxError
	var typ *json.UnmarshalTypeError
	why := "it is not JSON"
	switch {
	case errors.As(err, &syntax):
		why = fmt.Sprintf("it is not JSON at byte %d", syntax.Offset)
	case errors.As(err, &typ):
		why = fmt.Sprintf("%s is no %s", typ.Field, typ.Type)
	case errors.Is(err, io.EOF):
		why = "it is empty"
	}
	return &errs.E{Op: op, Kind: errs.Invalid, Code: errs.InvalidRequestBody, Detail: "the request body is wrong: " + why, Err: err}
}

func set1[T any](to *T, from *T) {
	if from != nil {
		*to = *from
	}
}

// apply puts what is there into a rule.
func (b *body) apply(r *custom.Rule) error {
	set1(&r.Name, b.Name)
	set1(&r.Enabled, b.Enabled)
	if b.Condition != nil {
		set1(&r.Query, b.Condition.Text)
	}
	if b.Schedule != nil && b.Schedule.Period != nil {
		r.Period = custom.Period(strings.ToUpper(*b.Schedule.Period))
	}
	a := b.Action
	if a == nil {
		return nil
	}
	if t := a.Template; t != nil {
		set1(&r.Alert.Title, t.Title)
		set1(&r.Alert.Description, t.Description)
		set1(&r.Alert.Severity, t.Severity)
		set1(&r.Alert.Category, t.Category)
		set1(&r.Alert.Recommended, t.Recommended)
		set1(&r.Alert.Techniques, t.Techniques)
		set1(&r.Alert.Details, t.Details)
		if t.Impacted != nil {
			r.Alert.Impacted = nil
			for i, x := range *t.Impacted {
				kind, err := assetKind(x.Type)
				if err != nil {
					return fmt.Errorf("detectionAction.alertTemplate.impactedAssets[%d]: %w", i, err)
				}
				r.Alert.Impacted = append(r.Alert.Impacted, custom.Asset{Kind: kind, Column: x.Identifier})
			}
		}
	}
	if len(a.Scope) > 0 {
		if r.Scope = string(a.Scope); r.Scope == "null" {
			r.Scope = ""
		}
	}
	if a.Responses != nil {
		r.Responses = nil
		for i, x := range *a.Responses {
			name := strings.TrimPrefix(x.Type, typePrefix)
			var ok bool
			if name, ok = strings.CutSuffix(name, "ResponseAction"); !ok {
				return errs.New("detection.apply", errs.Invalid, errs.InvalidInput, "detectionAction.responseActions[%d].@odata.type %q is no response action", i, x.Type)
			}
			r.Responses = append(r.Responses, custom.Response{Kind: custom.ResponseKind(name), Target: x.Identifier, Scope: x.Isolation, Groups: x.Groups})
		}
	}
	return nil
}

func assetKind(typ string) (custom.AssetKind, error) {
	for k, name := range assetTypes {
		if typ == typePrefix+name {
			return k, nil
		}
	}
	return "", errs.New("detection.apply", errs.Invalid, errs.InvalidInput, "@odata.type %q is no impacted asset", typ)
}
