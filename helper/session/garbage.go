package session

import (
	"runtime"
	"runtime/debug"
)

const (
	// largeRequest is where carrying out a request allocates so much that the garbage collector would run again and again meanwhile.
	largeRequest = 256 << 10
	// A request of so many bytes allocates less than so many times as much in all, for which the process may take memory, up to a bound.
	memoryPerByte = 32
	maxMemory     = 256 << 20
)

// letLie keeps the garbage collector from running while a large request is carried out, as long as the process takes no more memory
// than the request needs, and returns what ends that. The collector runs when the heap has doubled since it ran last; a session begins with
// next to nothing, so that a full load would be collected five or six times, and the collector would take a tenth of its time. Beyond the
// bound it works as hard as it must to stay there. Both settings are the whole process's, which serves one session.
func letLie(request int) (end func()) {
	if request < largeRequest {
		return func() {}
	}
	percent := debug.SetGCPercent(-1)
	limit := debug.SetMemoryLimit(takenMemory() + min(int64(memoryPerByte*request), maxMemory))
	return func() {
		debug.SetMemoryLimit(limit)
		debug.SetGCPercent(percent)
	}
}

// takenMemory is what SetMemoryLimit limits.
func takenMemory() int64 {
	var memory runtime.MemStats
	runtime.ReadMemStats(&memory)
	return int64(memory.Sys - memory.HeapReleased)
}
