package indicator

import (
	"net/netip"
	"net/url"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/idna"

	"github.com/vedette-edr/vedette/server/errs"
)

// maxValue bounds an indicator's value, in bytes; a longer URL is refused.
const maxValue = 2048

// canonicalValue returns the one spelling of a whole value under which it is stored and
// compared. An address may also be a CIDR range, which the published APIs do not know.
func canonicalValue(k Kind, v string) (string, error) {
	v = strings.TrimSpace(v)
	if v == "" {
		return "", invalid(errs.MissingRequiredParameter, "the indicator's value is missing")
	}
	if len(v) > maxValue {
		return "", invalid(errs.InvalidInput, "the indicator's value has %d bytes, at most %d", len(v), maxValue)
	}
	switch k {
	case KindSHA1, KindCertificate:
		return canonicalHash(v, 40)
	case KindSHA256:
		return canonicalHash(v, 64)
	case KindMD5:
		return canonicalHash(v, 32)
	case KindIP:
		return canonicalIP(v)
	case KindDomain:
		return CanonicalDomain(v)
	case KindURL:
		return CanonicalURL(v)
	}
	return "", invalid(errs.InvalidInput, "an indicator without a type")
}

func canonicalHash(v string, digits int) (string, error) {
	v = strings.ToLower(v)
	if len(v) != digits || strings.Trim(v, "0123456789abcdef") != "" {
		return "", invalid(errs.InvalidHashValue, "Hash value %s is invalid: %d hexadecimal digits are wanted", clip(v), digits)
	}
	return v, nil
}

func canonicalIP(v string) (string, error) {
	if a, err := netip.ParseAddr(v); err == nil && a.Zone() == "" {
		return a.Unmap().String(), nil
	}
	if p, err := netip.ParsePrefix(v); err == nil && p.Bits() > 0 {
		return canonicalPrefix(p), nil
	}
	return "", invalid(errs.InvalidIPAddress, "IP address %s is invalid", clip(v))
}

func canonicalPrefix(p netip.Prefix) string {
	a, bits := p.Addr(), p.Bits()
	if a.Is4In6() && bits > 96 {
		a, bits = a.Unmap(), bits-96
	}
	if bits == a.BitLen() {
		return a.String()
	}
	return netip.PrefixFrom(a, bits).Masked().String()
}

// CanonicalDomain returns a host name in lower case and punycode, without a trailing dot.
// Underscores are accepted, as in DNS; addresses and wildcards are not.
func CanonicalDomain(v string) (string, error) {
	bad := func() (string, error) {
		return "", invalid(errs.InvalidDomainName, "Domain name %s is invalid", clip(v))
	}
	d, err := domainForm.ToASCII(strings.TrimSuffix(v, "."))
	if err != nil || !utf8.ValidString(v) {
		return bad()
	}
	// Punycode that stands for something else than it was made from is nobody's name.
	if again, err := domainForm.ToASCII(d); err != nil || again != d {
		return bad()
	}
	if len(d) == 0 || len(d) > 253 {
		return bad()
	}
	if _, err := netip.ParseAddr(d); err == nil {
		return bad()
	}
	for label := range strings.SplitSeq(d, ".") {
		if len(label) == 0 || len(label) > 63 || strings.HasPrefix(label, "-") || strings.HasSuffix(label, "-") ||
			strings.Trim(label, "0123456789abcdefghijklmnopqrstuvwxyz-_") != "" {
			return bad()
		}
	}
	return d, nil
}

// domainForm maps as browsers do, without the rules that would refuse underscores.
var domainForm = idna.New(idna.MapForLookup(), idna.StrictDomainName(false), idna.Transitional(false))

// CanonicalURL returns a URL with scheme and host in lower case, the host in punycode,
// without default port, user, fragment and an empty path's slash. A text without a scheme
// is read as host and path and stays without one.
func CanonicalURL(v string) (string, error) {
	bad := func() (string, error) {
		return "", invalid(errs.InvalidURL, "URL %s is invalid", clip(v))
	}
	bare := !strings.Contains(v, "://")
	text := v
	if bare {
		text = "http://" + v
	}
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.Opaque != "" || !utf8.ValidString(v) {
		return bad()
	}
	host := u.Hostname()
	if a, err := netip.ParseAddr(host); err == nil {
		host = a.Unmap().String()
		if strings.Contains(host, ":") {
			host = "[" + host + "]"
		}
	} else if host, err = CanonicalDomain(host); err != nil {
		return bad()
	}
	if p := u.Port(); p != "" && !(u.Scheme == "http" && p == "80" && !bare) && !(u.Scheme == "https" && p == "443") {
		host += ":" + p
	}
	out := host + u.EscapedPath()
	if u.Path == "/" && u.RawQuery == "" {
		out = host
	}
	if u.RawQuery != "" {
		out += "?" + u.RawQuery
	}
	if bare {
		return out, nil
	}
	return strings.ToLower(u.Scheme) + "://" + out, nil
}

// canonicalPattern returns the fragment of a value that StartWith, EndWith and Contains
// look for: lower case, of characters that such a value can hold.
func canonicalPattern(k Kind, v string) (string, error) {
	v = strings.ToLower(strings.TrimSpace(v))
	if v == "" {
		return "", invalid(errs.MissingRequiredParameter, "the indicator's value is missing")
	}
	var allowed string
	most := 253
	code := errs.InvalidInput
	switch k {
	case KindSHA1:
		allowed, most, code = "0123456789abcdef", 40, errs.InvalidHashValue
	case KindSHA256:
		allowed, most, code = "0123456789abcdef", 64, errs.InvalidHashValue
	case KindMD5:
		allowed, most, code = "0123456789abcdef", 32, errs.InvalidHashValue
	case KindIP:
		allowed, most, code = "0123456789abcdef.:", 45, errs.InvalidIPAddress
	case KindDomain:
		allowed, code = "0123456789abcdefghijklmnopqrstuvwxyz-_.", errs.InvalidDomainName
	}
	if len(v) > most || strings.Trim(v, allowed) != "" {
		return "", invalid(code, "the value %s cannot be part of what it is compared with: at most %d of the characters %s", clip(v), most, allowed)
	}
	return v, nil
}

func invalid(code errs.Code, format string, args ...any) error {
	return errs.New("indicator.Validate", errs.Invalid, code, format, args...)
}
