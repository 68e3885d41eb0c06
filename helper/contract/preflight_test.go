package contract

import (
	"slices"
	"testing"

	"ipvs-operator.io/helper/preflight"
)

// What preflight tries in a scratch table works on every kernel that we know.
func TestPreflightTriesSchedulersAndTunnels(t *testing.T) {
	onEveryKernel(t, func(t *testing.T, w *world) {
		var trial preflight.Trial
		if w.real {
			var err error
			if trial, err = preflight.Scratch(); err != nil {
				t.Fatal(err)
			}
			w.ipvsadmShows(t)
		} else {
			trial = preflight.Try(w.ipvs)
		}
		for _, wanted := range []string{"rr", "wrr", "lc", "wlc", "lblc", "lblcr", "dh", "sh", "mh", "sed", "nq", "fo", "ovf"} {
			if !slices.Contains(trial.Schedulers, wanted) {
				t.Errorf("scheduler %s did not work: %v", wanted, trial.Schedulers)
			}
		}
		if !slices.Equal(trial.TunnelTypes, []string{"ipip", "gue", "gre"}) {
			t.Errorf("tunnel types %v", trial.TunnelTypes)
		}
	})
}
