package contract

import (
	"fmt"
	"os"
	"testing"
	"time"

	"ipvs-operator.io/helper/ipvs"
	"ipvs-operator.io/helper/wire"
)

// asker counts what is asked of the kernel: the measure of cost that does not depend on the machine.
type asker struct {
	ipvs.Kernel
	dumps, reads, writes int
}

func (a *asker) Services() ([]ipvs.Service, error) {
	a.dumps++
	return a.Kernel.Services()
}

func (a *asker) Service(key ipvs.ServiceKey) (ipvs.Service, error) {
	a.reads++
	return a.Kernel.Service(key)
}

func (a *asker) Execute(operations []ipvs.Operation) []error {
	a.writes += len(operations)
	return a.Kernel.Execute(operations)
}

func manyVirtualServers(count int) []wire.VirtualServer {
	var result []wire.VirtualServer
	for number := range count {
		result = append(result, virtualServer(fmt.Sprintf("203.0.113.%d", number%200+1), int64(number/200+1), "192.0.2.21", "192.0.2.22"))
	}
	return result
}

// With scope listed, one change costs the same however large the table is: no dump, two reads, one write.
func TestListedCostsWhatIsListed(t *testing.T) {
	for _, size := range []int{10, 2000} {
		t.Run(fmt.Sprintf("%d virtual servers", size), func(t *testing.T) {
			onEveryKernel(t, func(t *testing.T, w *world) {
				d := newDirector(t, w)
				everything := manyVirtualServers(size)
				d.all(t, everything...)
				counted := &asker{Kernel: d.ipvs}
				d.engine.IPVS = counted
				changed := everything[size/2]
				changed.RealServers = changed.RealServers[:1]
				if answer := d.listed(t, list(changed)); answer.Writes != 1 || answer.Counts.RealServers != 2*size-1 {
					t.Errorf("answer %+v", answer)
				}
				if *counted != (asker{Kernel: d.ipvs, dumps: 0, reads: 2, writes: 1}) {
					t.Errorf("asked %d dumps, %d reads, %d writes", counted.dumps, counted.reads, counted.writes)
				}
				if w.real && os.Getenv("IPVS_CONTRACT_TIMES") == "1" {
					showTimes(t, d, everything)
				}
			})
		})
	}
}

// showTimes prints, for people, what a change and a verification take on this kernel. Nothing is asserted about times.
func showTimes(t *testing.T, d *director, everything []wire.VirtualServer) {
	one := everything[len(everything)/2]
	for name, work := range map[string]func(number int){
		"one change": func(number int) {
			one.RealServers[0].Weight = int64(number%2 + 2)
			d.listed(t, list(one))
		},
		"one unchanged":       func(int) { d.listed(t, list(one)) },
		"everything verified": func(int) { d.all(t, everything...) },
	} {
		const times = 20
		start := time.Now()
		for number := range times {
			work(number)
		}
		t.Logf("%s among %d: %v", name, len(everything), time.Since(start)/times)
	}
}
