package inventory

import (
	"strings"
)

// distributions maps the ID of os-release to the words of OSDistribution; others keep
// their NAME.
var distributions = map[string]string{
	"debian": "Debian", "ubuntu": "Ubuntu", "rhel": "RedHatEnterpriseLinux", "centos": "CentOS",
	"fedora": "Fedora", "sles": "SuseLinuxEnterpriseServer", "amzn": "AmazonLinux", "ol": "OracleLinux",
	"rocky": "RockyLinux", "almalinux": "AlmaLinux", "azurelinux": "AzureLinux", "mariner": "AzureLinux",
	"alpine": "Alpine", "arch": "Arch", "opensuse-leap": "openSUSE", "opensuse-tumbleweed": "openSUSE",
}

// osRelease parses os-release(5).
func osRelease(text string) OS {
	v := map[string]string{}
	for line := range strings.SplitSeq(text, "\n") {
		key, val, ok := strings.Cut(strings.TrimSpace(line), "=")
		if !ok || strings.HasPrefix(key, "#") {
			continue
		}
		v[key] = clean(shellUnquote(val))
	}
	os := OS{Platform: "Linux", Distribution: distributions[v["ID"]], Version: v["VERSION_ID"], VersionInfo: v["PRETTY_NAME"]}
	if os.Distribution == "" {
		os.Distribution = v["NAME"]
	}
	if os.Version == "" {
		os.Version = v["VERSION_CODENAME"] // rolling releases and Debian's testing have no number
	}
	return os
}

// shellUnquote undoes the shell quoting that os-release allows.
func shellUnquote(s string) string {
	if len(s) >= 2 && s[0] == '\'' && s[len(s)-1] == '\'' {
		return s[1 : len(s)-1]
	}
	if len(s) < 2 || s[0] != '"' || s[len(s)-1] != '"' {
		return s
	}
	var b strings.Builder
	s = s[1 : len(s)-1]
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+1 < len(s) {
			i++
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// architecture maps uname's machine to OSArchitecture and osProcessor.
func architecture(machine string) (arch, processor string) {
	switch machine {
	case "x86_64":
		return "64-bit", "x64"
	case "aarch64":
		return "64-bit", "arm64"
	case "i386", "i486", "i586", "i686":
		return "32-bit", "x86"
	case "armv6l", "armv7l", "armv8l":
		return "32-bit", "arm"
	}
	if strings.Contains(machine, "64") || machine == "s390x" {
		return "64-bit", machine
	}
	return "32-bit", machine
}
