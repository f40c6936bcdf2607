package schema

// Function is a function that queries of hunting tables may invoke, written in KQL over
// those tables: (parameters) { body }.
type Function struct {
	Name string
	Doc  string
	Text string
}

// Functions lists the functions; the slice is the caller's.
func Functions() []Function { return append([]Function(nil), functions...) }

// LookupFunction finds a function by name.
func LookupFunction(name string) (Function, bool) {
	for _, f := range functions {
		if f.Name == name {
			return f, true
		}
	}
	return Function{}, false
}

// What the cloud knows of all files of the world, an installation knows of its own
// devices: prevalence is the number of devices here, and what needs a reputation service
// is empty.
var functions = []Function{
	{Name: "FileProfile", Doc: "Prevalence, first and last sight, and signature of the files whose hash a column holds, over the devices of this installation.", Text: `
(T:(*), x:string = "SHA1", y:long = 100) {
    let seen = union
        (DeviceProcessEvents | project Timestamp, DeviceId, SHA1, SHA256, MD5, FileSize),
        (DeviceFileEvents | project Timestamp, DeviceId, SHA1, SHA256, MD5, FileSize),
        (DeviceImageLoadEvents | project Timestamp, DeviceId, SHA1, SHA256, MD5, FileSize);
    let signed = DeviceFileCertificateInfo
        | summarize arg_max(Timestamp, IsSigned, IsTrusted, Signer, SignerHash, Issuer, IsRootSignerMicrosoft) by SHA1
        | project profile_signed = SHA1, IsSigned, IsTrusted, Signer, SignerHash, Issuer, IsRootSignerMicrosoft;
    let profile = union (seen | extend profile_key = SHA1), (seen | extend profile_key = SHA256)
        | where isnotempty(profile_key)
        | summarize profile_SHA1 = take_any(SHA1), profile_SHA256 = take_any(SHA256), profile_MD5 = take_any(MD5), profile_FileSize = take_any(FileSize),
            GlobalPrevalence = dcount(DeviceId), GlobalFirstSeen = min(Timestamp), GlobalLastSeen = max(Timestamp) by profile_key;
    T
    | extend profile_key = tolower(tostring(column_ifexists(x, "")))
    | lookup kind=leftouter profile on profile_key
    | lookup kind=leftouter signed on $left.profile_SHA1 == $right.profile_signed
    | extend SHA1 = column_ifexists("SHA1", profile_SHA1), SHA256 = column_ifexists("SHA256", profile_SHA256), MD5 = column_ifexists("MD5", profile_MD5),
        FileSize = column_ifexists("FileSize", profile_FileSize), GlobalPrevalence = toint(GlobalPrevalence),
        IsCertificateValid = IsTrusted, SignatureState = case(isnull(IsSigned), "Unknown", not(IsSigned), "Unsigned", IsTrusted, "SignedValid", "SignedInvalid"),
        IsExecutable = bool(null), ThreatName = "", Publisher = Signer, SoftwareName = "",
        ProfileAvailability = iff(isnull(GlobalFirstSeen), "Missing", "Available")
    | project-away profile_key, profile_SHA1, profile_SHA256, profile_MD5, profile_FileSize, IsSigned, IsTrusted
}`},
	{Name: "DeviceFromIP", Doc: "Device that had an address, by the last report of its adapters before the time.", Text: `
(T:(*), x:string = "IP", y:datetime = datetime(null)) {
    let reported = DeviceNetworkInfo
        | where isnull(y) or Timestamp <= y
        | mv-expand address = parse_json(tostring(IPAddresses))
        | extend device_ip = tostring(address.IPAddress)
        | where isnotempty(device_ip)
        | summarize arg_max(Timestamp, DeviceId) by device_ip
        | project device_ip, device_id = DeviceId;
    T
    | extend device_ip = tostring(column_ifexists(x, ""))
    | lookup kind=leftouter reported on device_ip
    | extend IP = column_ifexists("IP", device_ip), DeviceId = column_ifexists("DeviceId", device_id)
    | project-away device_ip, device_id
}`},
	{Name: "AssignedIPAddresses", Doc: "Addresses that a device last reported before a time.", Text: `
(x:string, y:datetime = datetime(null)) {
    DeviceNetworkInfo
    | where (DeviceId == x or DeviceName == x) and (isnull(y) or Timestamp <= y)
    | summarize arg_max(Timestamp, IPAddresses, NetworkAdapterType, ConnectedNetworks) by NetworkAdapterName, MacAddress
    | mv-expand address = parse_json(tostring(IPAddresses))
    | project Timestamp, IPAddress = tostring(address.IPAddress), IPType = tostring(address.AddressType), NetworkAdapterType, ConnectedNetworks
    | where isnotempty(IPAddress)
}`},
	{Name: "SeenBy", Doc: "Devices that have seen a discovered device; without device discovery there are none.", Text: `
(T:(*), x:string = "DeviceId") {
    T | extend SeenBy = dynamic([])
}`},
}
