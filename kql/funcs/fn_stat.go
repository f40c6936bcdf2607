package funcs

import (
	"math"
	"strings"

	"github.com/vedette-edr/vedette/kql/types"
)

func statFuncs() []entry {
	out := []entry{
		{sig: "beta_cdf(x:real, alpha:real, beta:real) real", doc: "Cumulative beta distribution.", eval: func(_ *Ctx, a []types.Value) types.Value {
			return types.NewReal(betaCDF(a[0].F, a[1].F, a[2].F))
		}},
		{sig: "beta_pdf(x:real, alpha:real, beta:real) real", doc: "Density of the beta distribution.", eval: func(_ *Ctx, a []types.Value) types.Value {
			return types.NewReal(betaPDF(a[0].F, a[1].F, a[2].F))
		}},
		{sig: "beta_inv(probability:real, alpha:real, beta:real) real", doc: "Inverse of the cumulative beta distribution; null when the probability is none.", eval: func(c *Ctx, a []types.Value) types.Value {
			p := a[0].F
			if !(p >= 0 && p <= 1) {
				return c.null()
			}
			return types.NewReal(betaInv(p, a[1].F, a[2].F))
		}},
		{sig: "welch_test(mean1:real, variance1:real, count1:real, mean2:real, variance2:real, count2:real) real", doc: "p-value of Welch's t-test of two samples.", eval: welch},
	}
	for _, u := range unitTables() {
		out = append(out, u.entry())
	}
	return out
}

func lnGamma(x float64) float64 { v, _ := math.Lgamma(x); return v }

// betaCDF is the regularised incomplete beta function by its continued fraction.
func betaCDF(x, a, b float64) float64 {
	if !(x >= 0 && x <= 1) {
		return math.NaN()
	}
	front := 0.0
	if x > 0 && x < 1 {
		front = math.Exp(lnGamma(a+b) - lnGamma(a) - lnGamma(b) + a*math.Log(x) + b*math.Log1p(-x))
	}
	// The fraction converges fast on this side of the mean only; the other follows by symmetry.
	if x < (a+1)/(a+b+2) {
		return front * betaFraction(x, a, b) / a
	}
	return 1 - front*betaFraction(1-x, b, a)/b
}

// betaFraction evaluates the continued fraction by Lentz's method.
func betaFraction(x, a, b float64) float64 {
	const tiny = 1e-300
	guard := func(v float64) float64 {
		if math.Abs(v) < tiny {
			return tiny
		}
		return v
	}
	c, d := 1.0, 1/guard(1-(a+b)*x/(a+1))
	h := d
	for i := 1; i <= 500; i++ {
		m := float64(i)
		even := m * (b - m) * x / ((a + 2*m - 1) * (a + 2*m))
		d, c = 1/guard(1+even*d), guard(1+even/c)
		h *= d * c
		odd := -(a + m) * (a + b + m) * x / ((a + 2*m) * (a + 2*m + 1))
		d, c = 1/guard(1+odd*d), guard(1+odd/c)
		h *= d * c
		if math.Abs(d*c-1) < 1e-16 {
			break
		}
	}
	return h
}

func betaPDF(x, a, b float64) float64 {
	if !(x >= 0 && x <= 1) || a <= 0 || b <= 0 {
		return math.NaN()
	}
	return math.Exp(lnGamma(a+b) - lnGamma(a) - lnGamma(b) + (a-1)*math.Log(x) + (b-1)*math.Log1p(-x))
}

func betaInv(p, a, b float64) float64 {
	if a <= 0 || b <= 0 {
		return math.NaN()
	}
	lo, hi := 0.0, 1.0
	for i := 0; i < 200; i++ {
		mid := (lo + hi) / 2
		if mid <= lo || mid >= hi {
			break
		}
		if betaCDF(mid, a, b) < p {
			lo = mid
		} else {
			hi = mid
		}
	}
	// Bisection is good to its last bits only as far as the fraction is: Newton's step
	// takes the slope into account.
	x := (lo + hi) / 2
	if s := betaPDF(x, a, b); s > 0 {
		if y := x - (betaCDF(x, a, b)-p)/s; y >= 0 && y <= 1 {
			x = y
		}
	}
	return x
}

func welch(c *Ctx, a []types.Value) types.Value {
	m1, v1, n1, m2, v2, n2 := a[0].F, a[1].F, a[2].F, a[3].F, a[4].F, a[5].F
	if n1 < 2 || n2 < 2 || v1 < 0 || v2 < 0 {
		return c.null()
	}
	s1, s2 := v1/n1, v2/n2
	if s1+s2 == 0 {
		return types.NewReal(math.NaN())
	}
	t := (m1 - m2) / math.Sqrt(s1+s2)
	df := (s1 + s2) * (s1 + s2) / (s1*s1/(n1-1) + s2*s2/(n2-1))
	return types.NewReal(betaCDF(df/(df+t*t), df/2, 0.5))
}

// unitTable is one convert_… function: what a unit is in the family's base unit, as
// value*factor + offset.
type unitTable struct {
	name  string
	units map[string][2]float64
}

func (u unitTable) entry() entry {
	byName := map[string][2]float64{}
	for n, f := range u.units {
		byName[strings.ToLower(n)] = f
	}
	return entry{sig: "convert_" + u.name + "(value:real, from:string, to:string) real", doc: "A quantity of " + u.name + " in another unit; null for unknown units.", eval: func(c *Ctx, a []types.Value) types.Value {
		f, ok := byName[strings.ToLower(a[1].S)]
		t, ok2 := byName[strings.ToLower(a[2].S)]
		if !ok || !ok2 {
			return c.null()
		}
		return types.NewReal((a[0].F*f[0] + f[1] - t[1]) / t[0])
	}}
}

var prefixes = []struct {
	name string
	f    float64
}{{"Nano", 1e-9}, {"Micro", 1e-6}, {"Milli", 1e-3}, {"Centi", 1e-2}, {"Deci", 1e-1}, {"", 1}, {"Deca", 10}, {"Hecto", 100}, {"Kilo", 1e3}, {"Mega", 1e6}, {"Giga", 1e9}, {"Tera", 1e12}}

// scaled adds a unit with all its decimal prefixes.
func scaled(m map[string][2]float64, unit string, factor float64) map[string][2]float64 {
	for _, p := range prefixes {
		name := unit
		if p.name != "" {
			name = p.name + strings.ToLower(unit)
		}
		m[name] = [2]float64{factor * p.f, 0}
	}
	return m
}

func units(m map[string]float64) map[string][2]float64 {
	out := map[string][2]float64{}
	for n, f := range m {
		out[n] = [2]float64{f, 0}
	}
	return out
}

func unitTables() []unitTable {
	const g, cal, ft, lb = 9.80665, 4.184, 0.3048, 0.45359237
	length := scaled(units(map[string]float64{"Foot": ft, "Inch": ft / 12, "Yard": 3 * ft, "Mile": 5280 * ft, "NauticalMile": 1852, "Fathom": 6 * ft, "Chain": 66 * ft, "Hand": ft / 3,
		"Microinch": ft / 12e6, "Mil": ft / 12e3, "Angstrom": 1e-10, "AstronomicalUnit": 149597870700, "LightYear": 9460730472580800, "Parsec": 3.0856775814913673e16, "Shackle": 90 * ft,
		"UsSurveyFoot": 1200.0 / 3937, "DtpPica": ft / 72, "DtpPoint": ft / 864, "PrinterPica": ft / 72.27, "PrinterPoint": ft / 867.24, "Twip": ft / 17280, "SolarRadius": 6.95510000e8,
		"KilolightYear": 9460730472580800e3, "MegalightYear": 9460730472580800e6, "Kiloparsec": 3.0856775814913673e19, "Megaparsec": 3.0856775814913673e22}), "Meter", 1)
	mass := scaled(units(map[string]float64{"Pound": lb, "Ounce": lb / 16, "Stone": 14 * lb, "Grain": lb / 7000, "Tonne": 1000, "Kilotonne": 1e6, "Megatonne": 1e9, "Kilopound": 1000 * lb, "Megapound": 1e6 * lb,
		"LongTon": 2240 * lb, "ShortTon": 2000 * lb, "LongHundredweight": 112 * lb, "ShortHundredweight": 100 * lb, "Slug": lb * g / ft, "EarthMass": 5.9722e24, "SolarMass": 1.98947e30}), "Gram", 1e-3)
	energy := scaled(units(map[string]float64{"BritishThermalUnit": 1055.05585262, "Calorie": cal, "Kilocalorie": 1000 * cal, "Megacalorie": 1e6 * cal, "WattHour": 3600, "KilowattHour": 3.6e6, "MegawattHour": 3.6e9,
		"GigawattHour": 3.6e12, "TerawattHour": 3.6e15, "WattDay": 86400, "KilowattDay": 86400e3, "MegawattDay": 86400e6, "GigawattDay": 86400e9, "TerawattDay": 86400e12, "ElectronVolt": 1.602176565e-19,
		"KiloelectronVolt": 1.602176565e-16, "MegaelectronVolt": 1.602176565e-13, "GigaelectronVolt": 1.602176565e-10, "TeraelectronVolt": 1.602176565e-7, "Erg": 1e-7, "FootPound": ft * lb * g,
		"HorsepowerHour": 2.6845195377e6, "ThermEc": 105505585.262, "ThermImperial": 1.05505585257348e8, "ThermUs": 1.054804e8, "KilobritishThermalUnit": 1055055.85262, "MegabritishThermalUnit": 1055055852.62,
		"DecathermEc": 1055055852.62, "DecathermImperial": 1.05505585257348e9, "DecathermUs": 1.054804e9}), "Joule", 1)
	force := scaled(units(map[string]float64{"Dyn": 1e-5, "KilogramForce": g, "KiloPond": g, "TonneForce": 1000 * g, "PoundForce": lb * g, "OunceForce": lb * g / 16, "Poundal": 0.138254954376, "KilopoundForce": 1000 * lb * g, "ShortTonForce": 2000 * lb * g}), "Newton", 1)
	volume := scaled(units(map[string]float64{"CubicMeter": 1, "CubicCentimeter": 1e-6, "CubicMillimeter": 1e-9, "CubicDecimeter": 1e-3, "CubicKilometer": 1e9, "CubicHectometer": 1e6, "CubicMicrometer": 1e-18,
		"CubicFoot": ft * ft * ft, "CubicInch": ft * ft * ft / 1728, "CubicYard": 27 * ft * ft * ft, "CubicMile": 4168181825.440579584, "HectocubicFoot": 100 * ft * ft * ft, "KilocubicFoot": 1000 * ft * ft * ft,
		"UsGallon": 3.785411784e-3, "UsQuart": 9.46352946e-4, "UsPint": 4.73176473e-4, "UsOunce": 2.95735295625e-5, "UsTablespoon": 1.478676478125e-5, "UsTeaspoon": 4.92892159375e-6, "UsCustomaryCup": 2.365882365e-4,
		"UsLegalCup": 2.4e-4, "UsBeerBarrel": 0.117347765304, "OilBarrel": 0.158987294928, "ImperialGallon": 4.54609e-3, "ImperialPint": 5.6826125e-4, "ImperialOunce": 2.84130625e-5, "ImperialBeerBarrel": 0.16365924,
		"MetricCup": 2.5e-4, "MetricTeaspoon": 5e-6, "AuTablespoon": 2e-5, "UkTablespoon": 1.5e-5, "AcreFoot": 1233.48183754752, "BoardFoot": ft * ft * ft / 12}), "Liter", 1e-3)
	speed := map[string][2]float64{"Knot": {1852.0 / 3600, 0}, "Mach": {340.29, 0}, "MilePerHour": {5280 * ft / 3600, 0}, "FootPerSecond": {ft, 0}, "FootPerMinute": {ft / 60, 0}, "FootPerHour": {ft / 3600, 0},
		"InchPerSecond": {ft / 12, 0}, "InchPerMinute": {ft / 720, 0}, "InchPerHour": {ft / 43200, 0}, "YardPerSecond": {3 * ft, 0}, "YardPerMinute": {ft / 20, 0}, "YardPerHour": {ft / 1200, 0}, "UsSurveyFootPerSecond": {1200.0 / 3937, 0}}
	for _, p := range prefixes {
		unit := "Meter"
		if p.name != "" {
			unit = p.name + "meter"
		}
		speed[unit+"PerSecond"], speed[unit+"PerMinute"], speed[unit+"PerHour"] = [2]float64{p.f, 0}, [2]float64{p.f / 60, 0}, [2]float64{p.f / 3600, 0}
	}
	return []unitTable{
		{"length", length}, {"mass", mass}, {"energy", energy}, {"force", force}, {"volume", volume}, {"speed", speed},
		{"angle", units(map[string]float64{"Degree": 1, "Radian": 180 / math.Pi, "Arcminute": 1.0 / 60, "Arcsecond": 1.0 / 3600, "Gradian": 0.9, "Revolution": 360, "Tilt": 90, "Turn": 360,
			"Milliradian": 0.18 / math.Pi, "Microradian": 1.8e-4 / math.Pi, "Nanoradian": 1.8e-7 / math.Pi, "Deciradian": 18 / math.Pi, "Centiradian": 1.8 / math.Pi, "Millidegree": 1e-3, "Microdegree": 1e-6, "Nanodegree": 1e-9})},
		{"temperature", map[string][2]float64{"Kelvin": {1, 0}, "DegreeCelsius": {1, 273.15}, "DegreeFahrenheit": {5.0 / 9, 459.67 * 5 / 9}, "DegreeRankine": {5.0 / 9, 0}, "DegreeDelisle": {-2.0 / 3, 373.15},
			"DegreeNewton": {100.0 / 33, 273.15}, "DegreeReaumur": {1.25, 273.15}, "DegreeRoemer": {40.0 / 21, 273.15 - 7.5*40/21}, "MillidegreeCelsius": {1e-3, 273.15}, "SolarTemperature": {5778, 0}}},
	}
}
