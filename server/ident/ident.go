// Package ident holds the identities of the server's nouns as distinct types, so that no
// bare string crosses a package border and no id is taken for another, and the Actor on
// whose behalf something is done.
//
// An id is opaque text that its maker validated; the Parse functions are for input from
// outside.
package ident

import (
	"regexp"
	"strconv"
	"strings"
)

// TenantID names one tenant of the installation: a lower-case GUID.
type TenantID string

// DeviceID names one enrolled device: 40 lower-case hexadecimal digits, as the published
// API's machine id.
type DeviceID string

// AlertID names one alert: "da" or "ca", a number, "_", a signed 32-bit number.
type AlertID string

// ActionID names one response action: a lower-case GUID.
type ActionID string

// IndicatorID names one indicator of the current API.
type IndicatorID int64

// DefinitionID names one alert definition of the custom TI API.
type DefinitionID int64

// IncidentID names one incident: 1, 2, 3, … within its tenant; 0 is none.
type IncidentID int64

// SuppressionID names one suppression rule: 1, 2, 3, … within its tenant; 0 is none.
type SuppressionID int64

// NotificationID names one notification rule: 1, 2, 3, … within its tenant; 0 is none.
type NotificationID int64

// ApprovalID names one approval policy: 1, 2, 3, … within its tenant; 0 is none.
type ApprovalID int64

// ReceiverID names one receiver of expert cases: 1, 2, 3, … within its tenant; 0 is none.
type ReceiverID int64

// SubscriptionID names one web hook subscription: a lower-case GUID.
type SubscriptionID string

// AppID names an API application, the OAuth client id: a lower-case GUID.
type AppID string

// UserID names a person who signs in.
type UserID string

// ProviderID names an identity provider by which people sign in: a lower-case GUID.
type ProviderID string

// RoleID names a role: a lower-case GUID, or the word of a built-in one.
type RoleID string

// UserGroupID names a group of people: a lower-case GUID.
type UserGroupID string

// String returns the id in decimal.
func (i IndicatorID) String() string { return strconv.FormatInt(int64(i), 10) }

// String returns the id in decimal.
func (i IncidentID) String() string { return strconv.FormatInt(int64(i), 10) }

// String returns the id in decimal.
func (s SuppressionID) String() string { return strconv.FormatInt(int64(s), 10) }

// String returns the id in decimal.
func (a ApprovalID) String() string { return strconv.FormatInt(int64(a), 10) }

// String returns the id in decimal.
func (r ReceiverID) String() string { return strconv.FormatInt(int64(r), 10) }

// String returns the id in decimal.
func (n NotificationID) String() string { return strconv.FormatInt(int64(n), 10) }

// String returns the id in decimal.
func (d DefinitionID) String() string { return strconv.FormatInt(int64(d), 10) }

var (
	deviceForm = regexp.MustCompile(`^[0-9a-f]{40}$`)
	guidForm   = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$`)
)

// ParseDeviceID accepts 40 hexadecimal digits in either case.
func ParseDeviceID(s string) (DeviceID, bool) {
	s = strings.ToLower(s)
	return DeviceID(s), deviceForm.MatchString(s)
}

// ParseActionID accepts a GUID in either case.
func ParseActionID(s string) (ActionID, bool) {
	s = strings.ToLower(s)
	return ActionID(s), guidForm.MatchString(s)
}

// ParseTenantID accepts a GUID in either case.
func ParseTenantID(s string) (TenantID, bool) {
	s = strings.ToLower(s)
	return TenantID(s), guidForm.MatchString(s)
}

// ActorKind says what kind of actor acts.
type ActorKind string

// The kinds of actor.
const (
	ActorApp    ActorKind = "app"    // an API application
	ActorUser   ActorKind = "user"   // a person, in portal or command line
	ActorSystem ActorKind = "system" // the server itself: a rule, a flow, a timer
)

// Actor is who does something, for permission checks, audit and the createdBy fields.
type Actor struct {
	Kind   ActorKind
	ID     string // AppID, UserID, or the name of the server's part
	Name   string // shown to people
	Tenant TenantID
}
