package address

import (
	"net/netip"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// An address is announced so often, one announcement every so long: neighbours that miss one, or a switch that is still learning where
// a port went, hear the next. (keepalived sends five as well.)
const (
	announcements        = 5
	announcementInterval = 200 * time.Millisecond
)

// announcer repeats announcements behind the back of whoever asked for them, as long as the address is there. Safe for concurrent use.
type announcer struct {
	mutex   sync.Mutex
	pending map[Assigned]*repetition
	ended   chan struct{} // closed when nothing is pending any more; nil when nobody repeats
	// What repeats lives on threads that may be in another network namespace: it uses these, which were opened in ours.
	packets int
	asking  *Netlink
}

type repetition struct {
	announcement
	left int
}

// begin sends the first announcement and sees to the others. The error is that of the first.
func (a *announcer) begin(assigned Assigned, link link) error {
	a.mutex.Lock()
	defer a.mutex.Unlock()
	if a.ended == nil {
		if err := a.open(); err != nil {
			return err
		}
	}
	first := announcement{link, assigned.Address}
	err := first.send(a.packets)
	if err == nil {
		a.pending[assigned] = &repetition{first, announcements - 1}
	}
	if a.ended == nil {
		a.ended = make(chan struct{})
		go a.repeat(a.ended)
	}
	return err
}

func (a *announcer) open() error {
	packets, err := packetSocket()
	if err != nil {
		return err
	}
	a.packets, a.asking, a.pending = packets, NewNetlink(), map[Assigned]*repetition{}
	return a.asking.socket.Open()
}

// repeat goes on until nothing is left to announce.
func (a *announcer) repeat(ended chan struct{}) {
	for more := true; more; {
		time.Sleep(announcementInterval)
		more = a.round()
	}
	close(ended)
}

func (a *announcer) round() (more bool) {
	a.mutex.Lock()
	defer a.mutex.Unlock()
	for assigned, each := range a.pending {
		each.left--
		if !a.asking.holds(each.link, assigned.Address) || each.send(a.packets) != nil || each.left == 0 {
			delete(a.pending, assigned)
		}
	}
	if len(a.pending) > 0 {
		return true
	}
	_, _ = unix.Close(a.packets), a.asking.Close()
	a.ended = nil
	return false
}

// withdraw ends the announcements of an address that is about to go: it may be someone else's in a moment.
func (a *announcer) withdraw(assigned Assigned) {
	a.mutex.Lock()
	defer a.mutex.Unlock()
	delete(a.pending, assigned)
}

// wait returns when everything has been announced.
func (a *announcer) wait() {
	a.mutex.Lock()
	ended := a.ended
	a.mutex.Unlock()
	if ended != nil {
		<-ended
	}
}

// holds reports whether the address is on the link now: another process may have taken it away.
func (n *Netlink) holds(link link, address netip.Addr) bool {
	held, err := n.heldOn(link, []netip.Addr{address})
	return held[address] && err == nil
}
