package contract

import (
	"testing"

	"golang.org/x/sys/unix"

	"ipvs-operator.io/helper/ipvs"
	"ipvs-operator.io/helper/wire"
)

// blindAfter loses its sight when it has written.
type blindAfter struct {
	ipvs.Kernel
	written bool
}

func (b *blindAfter) Execute(operations []ipvs.Operation) []error {
	b.written = true
	return b.Kernel.Execute(operations)
}

func (b *blindAfter) Service(key ipvs.ServiceKey) (ipvs.Service, error) {
	if b.written {
		return ipvs.Service{}, unix.ENOBUFS
	}
	return b.Kernel.Service(key)
}

func (b *blindAfter) Services() ([]ipvs.Service, error) {
	if b.written {
		return nil, unix.ENOBUFS
	}
	return b.Kernel.Services()
}

// A restore that fails tells whether it has written: one that could only not read back has; one that could not begin has not. The next
// one finds all of it there.
func TestRestoreTellsHowFarItCame(t *testing.T) {
	onEveryKernel(t, func(t *testing.T, w *world) {
		d := newDirector(t, w)
		d.all(t, virtualServer("203.0.113.10", 80, "192.0.2.21"))
		d.reboot(t)
		d.engine.IPVS = &blindAfter{Kernel: d.ipvs, written: true}
		if restored, refusal := d.engine.Restore(); refusal == nil || refusal.Class != wire.ClassRetry || restored.Begun || restored.Writes != 0 {
			t.Errorf("blind from the beginning: %+v, %+v", restored, refusal)
		}
		d.engine.IPVS = &blindAfter{Kernel: d.ipvs}
		if restored, refusal := d.engine.Restore(); refusal == nil || refusal.Class != wire.ClassRetry || !restored.Begun || restored.Writes != 3 {
			t.Errorf("blind after writing: %+v, %+v", restored, refusal)
		}
		w.ipvsadmShows(t, "-A -t 203.0.113.10:80 -s wrr", "-a -t 203.0.113.10:80 -r 192.0.2.21:80 -g -w 1")
		d.engine.IPVS = d.ipvs
		if restored := d.restore(t); restored.Writes != 0 || restored.Counts.RealServers != 1 {
			t.Errorf("again: %+v", restored)
		}
	})
}
