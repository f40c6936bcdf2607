package main

import (
	"math/rand/v2"
	"regexp"
	"strings"
)

// token cuts a query roughly as its lexer would. A literal such as datetime(…) is one
// token: Kusto's parser, unlike Kusto, does not look into it.
var token = regexp.MustCompile(`\b(?:datetime|timespan|time|guid|decimal|int|long|real|bool)\([^()\n]*\)|//[^\n]*|"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'|\w+|\s+|[=!<>]=|=~|!~|\.\.|.`)

// Mutate answers n mutations of each text, the same ones for the same seed: tokens left
// out, doubled, exchanged, or taken from another of the texts.
func Mutate(texts []string, n int, seed uint64) []string {
	r := rand.New(rand.NewPCG(seed, 0))
	var out []string
	for range n {
		for _, t := range texts {
			out = append(out, mutate(t, texts[r.IntN(len(texts))], r))
		}
	}
	return out
}

func mutate(text, other string, r *rand.Rand) string {
	// The tables before the query stay as they are.
	at := strings.LastIndex(text, "];\n") + 1
	return text[:at] + mutateTokens(text[at:], other, r)
}

func mutateTokens(text, other string, r *rand.Rand) string {
	t := token.FindAllString(text, -1)
	if len(t) < 2 {
		return text
	}
	word := func(list []string) int {
		for range 20 {
			if i := r.IntN(len(list)); strings.TrimSpace(list[i]) != "" {
				return i
			}
		}
		return 0
	}
	i := word(t)
	switch r.IntN(4) {
	case 0:
		t[i] = ""
	case 1:
		t[i] += " " + t[i]
	case 2:
		k := word(t)
		t[i], t[k] = t[k], t[i]
	case 3:
		if o := token.FindAllString(other, -1); len(o) > 0 {
			t[i] = o[word(o)]
		}
	}
	return strings.Join(t, "")
}
