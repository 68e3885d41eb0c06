package contract

import (
	"fmt"
	"testing"

	"ipvs-operator.io/helper/wire"
)

// What IPVS says of itself is what ipvsadm prints first.
func TestInfo(t *testing.T) {
	onEveryKernel(t, func(t *testing.T, w *world) {
		info, err := w.settings.Info()
		if size := info.ConnectionTableSize; err != nil || info.Version != "1.2.1" || size == 0 || size&(size-1) != 0 {
			t.Errorf("information %+v, %v; wanted version 1.2.1 and a power of two", info, err)
		}
		w.shows(t, fmt.Sprintf("IP Virtual Server version %s (size=%d)", info.Version, info.ConnectionTableSize), "ipvsadm", "-Ln")
		d := newDirector(t, w)
		want := wire.Info{Version: info.Version, ConnectionTableSize: info.ConnectionTableSize}
		if read := d.read(t); read.Host == nil || read.Host.IPVS != want {
			t.Errorf("read %+v, wanted %+v", read.Host, want)
		}
	})
}
