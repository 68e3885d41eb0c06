package contract

import (
	"errors"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"ipvs-operator.io/helper/ipvs"
)

// Of many operations at once each that is refused has its own errno, wherever it stands in a datagram (64 messages, of which the last is
// acknowledged), and all the others are carried out.
func TestEachRefusalOfABatchIsAnswered(t *testing.T) {
	onEveryKernel(t, func(t *testing.T, w *world) {
		const operationCount = 150
		refusals := []int{0, 61, 62, 63, 64, 100, 127, operationCount - 1}
		var operations []ipvs.Operation
		for number := range operationCount {
			kind := ipvs.NewService
			if slices.Contains(refusals, number) {
				kind = ipvs.DeleteService
			}
			operations = append(operations, ipvs.Operation{Kind: kind, Service: service("203.0.113.10", uint16(number+1))})
		}
		for range 2 { // a socket that has been used answers the same
			for number, err := range w.ipvs.Execute(operations) {
				if slices.Contains(refusals, number) != errors.Is(err, unix.ESRCH) || !slices.Contains(refusals, number) && err != nil {
					t.Errorf("operation %d: %v", number, err)
				}
			}
			read, err := w.ipvs.Services()
			if err != nil || len(read) != operationCount-len(refusals) {
				t.Errorf("%d virtual servers exist, %v", len(read), err)
			}
			for _, service := range read {
				w.must(t, ipvs.Operation{Kind: ipvs.DeleteService, Service: service})
			}
		}
	})
}

// A refusal that gets lost on its way is never taken for a success: without an answer the whole batch is unknown.
func TestLostRefusalsAreNoSuccess(t *testing.T) {
	onEveryKernel(t, func(t *testing.T, w *world) {
		const operationCount = 60
		var operations []ipvs.Operation
		for number := range operationCount {
			kind := ipvs.DeleteService
			if number%3 == 0 {
				kind = ipvs.NewService
			}
			operations = append(operations, ipvs.Operation{Kind: kind, Service: service("203.0.113.10", uint16(number+1))})
		}
		unknown := 0
		for number, err := range w.cramped().Execute(operations) {
			switch {
			case errors.Is(err, ipvs.ErrOutcomeUnknown):
				unknown++
			case operations[number].Kind == ipvs.DeleteService && !errors.Is(err, unix.ESRCH), operations[number].Kind == ipvs.NewService && err != nil:
				t.Errorf("operation %d: %v", number, err)
			}
		}
		read, err := w.ipvs.Services()
		if err != nil || len(read) != operationCount/3 || unknown == 0 {
			t.Errorf("%d virtual servers exist, %d outcomes are unknown, %v", len(read), unknown, err)
		}
	})
}
