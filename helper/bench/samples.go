package main

import (
	"fmt"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// spent is the time that something took, and how much of it was spent in the kernel on its behalf.
type spent struct{ whole, kernel time.Duration }

// samples are the measured times by what was measured; those in the kernel under the name's own.
type samples map[string][]time.Duration

func (s samples) add(name string, took spent) {
	s[name] = append(s[name], took.whole)
	s[inKernel(name)] = append(s[inKernel(name)], took.kernel)
}

func inKernel(name string) string { return name + ", in the kernel" }

// measure runs work in this process.
func measure(work func() error) (spent, error) {
	settle()
	before := ownKernelTime()
	start := time.Now()
	err := work()
	return spent{time.Since(start), ownKernelTime() - before}, err
}

func ownKernelTime() time.Duration {
	var usage unix.Rusage
	_ = unix.Getrusage(unix.RUSAGE_SELF, &usage)
	return time.Duration(usage.Stime.Nano())
}

func (s samples) median(name string) time.Duration {
	sorted := slices.Sorted(slices.Values(s[name]))
	if len(sorted) == 0 {
		return 0
	}
	return (sorted[(len(sorted)-1)/2] + sorted[len(sorted)/2]) / 2
}

func (s samples) print(names ...string) {
	for _, name := range names {
		fmt.Printf("  %-32s %10.1f ms  n=%d  [%.1f … %.1f]  %.0f ms of it in the kernel\n", name, milliseconds(s.median(name)), len(s[name]),
			milliseconds(slices.Min(s[name])), milliseconds(slices.Max(s[name])), milliseconds(s.median(inKernel(name))))
	}
}

// printRatio prints one median divided by another, and whether that is what it should be.
func (s samples) printRatio(above, below, goal string, reached func(float64) bool) {
	ratio := float64(s.median(above)) / float64(s.median(below))
	verdict := ""
	switch {
	case reached == nil && goal != "":
		verdict = "  (" + goal + ")"
	case reached == nil:
	case reached(ratio):
		verdict = fmt.Sprintf("  (%s: reached)", goal)
	default:
		verdict = fmt.Sprintf("  (%s: missed)", goal)
	}
	fmt.Printf("  → %s : %s = %.2f%s\n", above, below, ratio, verdict)
}

func milliseconds(took time.Duration) float64 { return float64(took) / float64(time.Millisecond) }
