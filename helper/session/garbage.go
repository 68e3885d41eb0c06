package session

import "runtime"

const (
	// largeRequest is where carrying out a request allocates so much that the garbage collector would run again and again meanwhile.
	largeRequest = 256 << 10
	// A request of so many bytes makes about so many times as much garbage, which is let lie up to a bound.
	garbagePerByte = 16
	maxGarbage     = 64 << 20
)

// letLie makes room for the garbage of a large request, and returns what ends that. The collector runs when the heap has doubled since it
// ran last; a session begins with next to nothing, so that a full load would be collected five or six times, and the collector would take
// a tenth of its time. Here it finds a block that counts as live, is never touched, and so takes no memory: it then lets at most as much
// garbage lie in addition, and is as before when the block is dropped.
func letLie(request int) (end func()) {
	if request < largeRequest {
		return func() {}
	}
	block := make([]byte, min(garbagePerByte*request, maxGarbage))
	return func() { runtime.KeepAlive(block) }
}
