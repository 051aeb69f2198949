// Makes go_durations_generated.json: what Go itself reads and prints.
//
// Run it with any Go of 1.21 or later, in this folder:
//
//	go run go_durations.go > go_durations_generated.json
//
// The texts come from a seeded generator, so that the same Go gives the same file.
package main

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand"
	"runtime"
	"strings"
	"time"
)

const seed = 8760

var units = []string{"h", "m", "s", "ms", "us", "µs", "μs", "ns"}

func pick(r *rand.Rand, from ...string) string {
	return from[r.Intn(len(from))]
}

func digits(r *rand.Rand, count int) string {
	text := make([]byte, count)
	for i := range text {
		text[i] = byte('0' + r.Intn(10))
	}
	return string(text)
}

// A whole number: mostly small, at times long or at the edge of what fits.
func whole(r *rand.Rand) string {
	switch r.Intn(12) {
	case 0:
		return ""
	case 1:
		return digits(r, 15+r.Intn(8))
	case 2:
		return "000000000000000000000" + digits(r, 2)
	case 3:
		return pick(r, "9223372036854775807", "9223372036854775808", "9223372036854775809",
			"9223372036854775", "9223372036854", "9223372036", "153722867", "2562047", "2562048")
	default:
		return digits(r, 1+r.Intn(4))
	}
}

// Returns the part after the whole number: nothing, or a point and digits, often finer
// than a nanosecond.
func fraction(r *rand.Rand) string {
	switch r.Intn(8) {
	case 0, 1:
		return ""
	case 2:
		return "."
	case 3:
		return "." + digits(r, 10+r.Intn(20))
	case 4:
		return "." + strings.Repeat("0", r.Intn(30)) + digits(r, 1+r.Intn(20))
	case 5:
		return "." + pick(r, "9223372036854775807", "9223372036854775808", "9223372036854775809",
			"92233720368547758079", "9999999999999999999999", "000000000000000000000000000001")
	default:
		return "." + digits(r, 1+r.Intn(12))
	}
}

func unit(r *rand.Rand) string {
	if r.Intn(25) == 0 {
		return pick(r, "", "d", "y", "H", " s", "sec", "mss", "hm", "u", "µ", "n", "-", "é")
	}
	return pick(r, units...)
}

func text(r *rand.Rand) string {
	text := pick(r, "", "", "", "-", "-", "+")
	for parts := 1 + r.Intn(3); parts > 0; parts-- {
		text += whole(r) + fraction(r) + unit(r)
	}
	return text
}

// A length of any order of magnitude, at times with trailing zeros.
func length(r *rand.Rand) time.Duration {
	nanos := int64(r.Uint64()) >> r.Intn(63)
	round := []int64{1, 1, 1000, 1000000, 1000000000, 60000000000, 3600000000000}[r.Intn(7)]
	return time.Duration(nanos - nanos%round)
}

func quoted(text string) string {
	encoded, err := json.Marshal(text)
	if err != nil {
		panic(err)
	}
	return string(encoded)
}

func main() {
	r := rand.New(rand.NewSource(seed))
	var parse, print []string

	for len(parse) < 400 {
		in := text(r)
		duration, err := time.ParseDuration(in)
		answer := fmt.Sprintf(`"nanos": %d`, int64(duration))
		if err != nil {
			kind := "invalid"
			for _, other := range []string{"missing unit", "unknown unit"} {
				if strings.HasPrefix(err.Error(), "time: "+other) {
					kind = other
				}
			}
			answer = fmt.Sprintf(`"error": "%s"`, kind)
		}
		parse = append(parse, fmt.Sprintf(`    { "text": %s, %s }`, quoted(in), answer))
	}
	lengths := []time.Duration{0, math.MinInt64, math.MaxInt64}
	for len(print) < 100 {
		if len(lengths) == len(print) {
			lengths = append(lengths, length(r))
		}
		duration := lengths[len(print)]
		print = append(print, fmt.Sprintf(`    { "nanos": %d, "text": %s }`,
			int64(duration), quoted(duration.String())))
	}

	fmt.Printf("{\n  \"source\": \"go_durations.go, %s, seed %d\",\n", runtime.Version(), seed)
	fmt.Printf("  \"parse\": [\n%s\n  ],\n", strings.Join(parse, ",\n"))
	fmt.Printf("  \"print\": [\n%s\n  ]\n}\n", strings.Join(print, ",\n"))
}
