// Go's own figures for the inputs of ../benches/durations.rs.
package durations

import (
	"bufio"
	"os"
	"testing"
	"time"
)

var inputs = []string{"2h45m", "8760h", "300ms", "1h2m3.456789s", "1500us"}

var (
	parsed  time.Duration
	printed string
)

// The mix that the other benchmark writes down, so that both read the same.
func mix(b *testing.B) []string {
	file, err := os.Open(os.Getenv("BENCH_MIX"))
	if err != nil {
		b.Fatal(err)
	}
	defer file.Close()
	var texts []string
	for lines := bufio.NewScanner(file); lines.Scan(); {
		texts = append(texts, lines.Text())
	}
	return texts
}

func parse(b *testing.B, text string) time.Duration {
	duration, err := time.ParseDuration(text)
	if err != nil {
		b.Fatal(err)
	}
	return duration
}

func BenchmarkParse(b *testing.B) {
	for _, text := range inputs {
		b.Run(text, func(b *testing.B) {
			for i := 0; i < b.N; i++ {
				parsed = parse(b, text)
			}
		})
	}
	// A thousand for each iteration.
	b.Run("mix", func(b *testing.B) {
		texts := mix(b)
		b.ResetTimer()
		for i := 0; i < b.N; i++ {
			for _, text := range texts {
				parsed = parse(b, text)
			}
		}
	})
}

func BenchmarkPrint(b *testing.B) {
	for _, text := range inputs {
		duration := parse(b, text)
		b.Run(text, func(b *testing.B) {
			for i := 0; i < b.N; i++ {
				printed = duration.String()
			}
		})
	}
	b.Run("mix", func(b *testing.B) {
		var durations []time.Duration
		for _, text := range mix(b) {
			durations = append(durations, parse(b, text))
		}
		b.ResetTimer()
		for i := 0; i < b.N; i++ {
			for _, duration := range durations {
				printed = duration.String()
			}
		}
	})
}
