package ti

import (
	"bytes"
	"fmt"
	"net/http"

	"github.com/vedette-edr/vedette/server/api"
	"github.com/vedette-edr/vedette/server/api/odata"
	"github.com/vedette-edr/vedette/server/indicator"
)

// metadata answers with the model as EDMX. The published document is lost; this one
// describes what the service takes and gives.
func (h *handler) metadata(w http.ResponseWriter, _ *api.Request) error {
	return odata.WriteMetadata(w, edmx())
}

func edmx() []byte {
	var b bytes.Buffer
	b.WriteString(`<?xml version="1.0" encoding="utf-8"?>
<edmx:Edmx Version="4.0" xmlns:edmx="http://docs.oasis-open.org/odata/ns/edmx">
<edmx:DataServices>
<Schema Namespace="CustomTI" xmlns="http://docs.oasis-open.org/odata/ns/edm">
`)
	enum(&b, "Severity", indicator.Severities())
	enum(&b, "Category", indicator.Categories())
	var types []string
	for _, t := range indicator.IOCTypes() {
		types = append(types, typeNames[t])
	}
	enum(&b, "IndicatorType", types)
	enum(&b, "DetectionFunction", indicator.Functions())
	entity(&b, "AlertDefinition", []property{
		{"Name", "Edm.String", false, 100}, {"Severity", "CustomTI.Severity", false, 0},
		{"InternalDescription", "Edm.String", true, 350}, {"Title", "Edm.String", true, 120},
		{"UxDescription", "Edm.String", true, 500}, {"RecommendedAction", "Edm.String", true, 2000},
		{"Category", "CustomTI.Category", false, 0},
	}, "")
	entity(&b, "IndicatorOfCompromise", []property{
		{"Type", "CustomTI.IndicatorType", false, 0}, {"Value", "Edm.String", false, 0},
		{"DetectionFunction", "CustomTI.DetectionFunction", false, 0}, {"ExpiresAt", "Edm.DateTimeOffset", true, 0},
	}, "<NavigationProperty Name=\"AlertDefinition\" Type=\"CustomTI.AlertDefinition\" Nullable=\"false\"/>\n")
	b.WriteString(`</Schema>
<Schema Namespace="Actions" xmlns="http://docs.oasis-open.org/odata/ns/edm">
<Action Name="BulkUpload" IsBound="true">
<Parameter Name="bindingParameter" Type="Collection(CustomTI.AlertDefinition)"/>
<Parameter Name="alertDefinitions" Type="Collection(CustomTI.AlertDefinition)" Nullable="false"/>
<ReturnType Type="Collection(CustomTI.AlertDefinition)"/>
</Action>
<Action Name="BulkUpload" IsBound="true">
<Parameter Name="bindingParameter" Type="Collection(CustomTI.IndicatorOfCompromise)"/>
<Parameter Name="iocs" Type="Collection(CustomTI.IndicatorOfCompromise)" Nullable="false"/>
<ReturnType Type="Collection(CustomTI.IndicatorOfCompromise)"/>
</Action>
<Action Name="DeleteIOCs" IsBound="true">
<Parameter Name="bindingParameter" Type="CustomTI.AlertDefinition"/>
</Action>
<EntityContainer Name="Container">
<EntitySet Name="AlertDefinitions" EntityType="CustomTI.AlertDefinition"/>
<EntitySet Name="IndicatorsOfCompromise" EntityType="CustomTI.IndicatorOfCompromise">
<NavigationPropertyBinding Path="AlertDefinition" Target="AlertDefinitions"/>
</EntitySet>
</EntityContainer>
</Schema>
</edmx:DataServices>
</edmx:Edmx>
`)
	return b.Bytes()
}

// property is a structural property; length 0 is no bound.
type property struct {
	name, typ string
	nullable  bool
	length    int
}

func enum[T ~string](b *bytes.Buffer, name string, members []T) {
	fmt.Fprintf(b, "<EnumType Name=%q>\n", name)
	for i, m := range members {
		fmt.Fprintf(b, "<Member Name=%q Value=\"%d\"/>\n", string(m), i)
	}
	b.WriteString("</EnumType>\n")
}

// entity writes an entity type: its own properties and those that both types have.
func entity(b *bytes.Buffer, name string, own []property, navigation string) {
	fmt.Fprintf(b, "<EntityType Name=%q>\n<Key><PropertyRef Name=\"Id\"/></Key>\n", name)
	for _, p := range append(own,
		property{"Id", "Edm.Int64", false, 0},
		property{"CreatedAt", "Edm.DateTimeOffset", false, 0}, property{"CreatedBy", "Edm.String", false, 0},
		property{"LastModifiedAt", "Edm.DateTimeOffset", true, 0}, property{"LastModifiedBy", "Edm.String", true, 0},
		property{"Enabled", "Edm.Boolean", false, 0},
	) {
		fmt.Fprintf(b, "<Property Name=%q Type=%q Nullable=\"%t\"", p.name, p.typ, p.nullable)
		if p.length > 0 {
			fmt.Fprintf(b, " MaxLength=\"%d\"", p.length)
		}
		b.WriteString("/>\n")
	}
	b.WriteString(navigation + "</EntityType>\n")
}
