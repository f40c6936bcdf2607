package errs

// Code is a stable word for programs. Those of the published API keep its spelling.
type Code string

// The codes of the published API (Defender for Endpoint, "Common REST API error codes").
const (
	BadRequest                 Code = "BadRequest"
	ODataError                 Code = "ODataError"
	InvalidInput               Code = "InvalidInput"
	InvalidRequestBody         Code = "InvalidRequestBody"
	InvalidHashValue           Code = "InvalidHashValue"
	InvalidDomainName          Code = "InvalidDomainName"
	InvalidIPAddress           Code = "InvalidIpAddress"
	InvalidURL                 Code = "InvalidUrl"
	MaximumBatchSizeExceeded   Code = "MaximumBatchSizeExceeded"
	MissingRequiredParameter   Code = "MissingRequiredParameter"
	OSPlatformNotSupported     Code = "OsPlatformNotSupported"
	ClientVersionNotSupported  Code = "ClientVersionNotSupported"
	ActiveRequestAlreadyExists Code = "ActiveRequestAlreadyExists"
	Unauthorized               Code = "Unauthorized"
	Forbidden                  Code = "Forbidden"
	DisabledFeature            Code = "DisabledFeature"
	DisallowedOperation        Code = "DisallowedOperation"
	NotFoundCode               Code = "NotFound"
	ResourceNotFound           Code = "ResourceNotFound"
	TooManyRequests            Code = "TooManyRequests"
	InternalServerError        Code = "InternalServerError"
)

// The codes of the agent link, read by agents.
const (
	DeviceCloned     Code = "DeviceCloned"     // another copy speaks with this identity: enrol again
	DeviceUnknown    Code = "DeviceUnknown"    // the certificate is of no enrolled device: enrol again
	BatchMalformed   Code = "BatchMalformed"   // the batch cannot be decoded: never send it again
	BatchForeign     Code = "BatchForeign"     // the batch belongs to another device
	StoreFull        Code = "StoreFull"        // keep it and send it later
	TokenInvalid     Code = "TokenInvalid"     // enrolment token unknown, expired or used up
	ServiceDegraded  Code = "ServiceDegraded"  // a part of the server does not work now
	QuotaExceeded    Code = "QuotaExceeded"    // a tenant's quota is used up
	ForceSelfMissing Code = "ForceSelfMissing" // the device runs the server itself
)
