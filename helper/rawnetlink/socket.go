package rawnetlink

import (
	"errors"
	"fmt"
	"time"
	"unsafe"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// ErrOutcomeUnknown says that a request was sent and its answer was lost: it may or may not have been carried out.
var ErrOutcomeUnknown = errors.New("the kernel's acknowledgement was lost")

// ErrInterrupted says that a dump changed while it was read: read again.
var ErrInterrupted = errors.New("the kernel's table changed while it was read")

// Sizes and limits. The kernel sizes dump datagrams by the largest buffer a socket has received with, up to 32 KiB; a
// smaller one later would be cut off. 32 to 64 messages per sendmsg is where batching stops paying, and so many
// refusals, or acknowledgements, always fit into the default receive buffer.
const (
	receiveBytes      = 64 << 10
	smallReceiveBytes = 8 << 10
	batchMessages     = 64
	batchBytes        = 64 << 10
	socketBuffer      = 4 << 20
	answerTimeout     = 10 * time.Second
	dumpMessageLimit  = 1 << 20
)

// Socket is a lazily opened netlink socket. After an answer was lost it is replaced by a new one. Not safe for concurrent use.
type Socket struct {
	protocol int
	fd       int // -1 when closed
	sequence uint32
	buffer   []byte
	outgoing []byte            // what is sent, used again and again
	incoming []netlink.Message // what was received last, likewise
	strict   bool
	// from and fromLength are where the kernel writes who sent a datagram: on the heap, which does not move.
	from       unix.RawSockaddrNetlink
	fromLength uint32
	// ReceiveBuffer, when not 0, is the size of the kernel's receive buffer, for tests that want answers to be lost.
	ReceiveBuffer int
	// AcknowledgeEach has every message of a batch answered, and not only those that fail and the last: more that can be lost.
	AcknowledgeEach bool
}

// New prepares a socket of a netlink protocol (unix.NETLINK_GENERIC, unix.NETLINK_ROUTE); it opens nothing yet.
func New(protocol int) *Socket { return newSocket(protocol, receiveBytes) }

// NewSmall is New for a protocol whose messages are small: datagrams of a dump have 8 KiB, which is what the kernel asks for at least. It
// allocates, and on most systems clears, the full size of each of them, of which a dump has two however short it is.
func NewSmall(protocol int) *Socket { return newSocket(protocol, smallReceiveBytes) }

func newSocket(protocol, bytes int) *Socket {
	return &Socket{protocol: protocol, fd: -1, buffer: make([]byte, bytes)}
}

// NewStrict is New with the kernel's strict checks of dump requests, with which it filters dumps of routes by what the request's header
// names (NETLINK_GET_STRICT_CHK, from 4.20; an older kernel does not filter).
func NewStrict(protocol int) *Socket {
	s := New(protocol)
	s.strict = true
	return s
}

// Close releases the socket; it is opened again when used.
func (s *Socket) Close() error {
	if s.fd < 0 {
		return nil
	}
	fd := s.fd
	s.fd = -1
	return unix.Close(fd)
}

// Batch sends the messages, many at a time, and returns one result for each: nil, the errno, or ErrOutcomeUnknown.
func (s *Socket) Batch(messages []netlink.Message) []error {
	results := make([]error, len(messages))
	for start := 0; start < len(messages); {
		end, bytes := start, 0
		for end < len(messages) && end-start < batchMessages && bytes < batchBytes {
			bytes += headerLength + len(messages[end].Data)
			end++
		}
		s.batch(messages[start:end], results[start:end])
		start = end
	}
	return results
}

// batch has only the last message acknowledged. The kernel carries out one after the other, answers each that fails whether it was asked
// to or not, and lets the next receive fail with ENOBUFS when it cannot (netlink_rcv_skb, netlink_ack in net/netlink/af_netlink.c). So
// when the last is answered, and nothing was lost, those without an answer have succeeded. (An interrupted one has no answer either way;
// neither IPVS nor addresses have any, and reading back would show it.)
func (s *Socket) batch(messages []netlink.Message, results []error) {
	last := len(messages) - 1
	messages[last].Header.Flags |= netlink.Acknowledge
	first, err := s.send(messages, netlink.Request|s.eachFlags())
	if err != nil {
		for index := range results {
			results[index] = err
		}
		return
	}
	for index := range results {
		results[index] = ErrOutcomeUnknown
	}
	for ended := false; !ended; {
		answers, err := s.receive()
		if err != nil {
			_ = s.Close() // late answers must not meet the next request
			return
		}
		for _, answer := range answers {
			index := int(answer.Header.Sequence - first)
			if answer.Header.Type != netlink.Error || index < 0 || index >= len(results) || results[index] != ErrOutcomeUnknown {
				continue
			}
			results[index] = errnoIn(answer)
			ended = ended || index == last
		}
	}
	for index := range results {
		if results[index] == ErrOutcomeUnknown {
			results[index] = nil
		}
	}
}

// eachFlags are those of every message of a batch.
func (s *Socket) eachFlags() netlink.HeaderFlags {
	if s.AcknowledgeEach {
		return netlink.Acknowledge
	}
	return 0
}

// Get sends one request that is answered by at most one message, and returns the answer's data.
func (s *Socket) Get(message netlink.Message) ([]byte, error) {
	first, err := s.send([]netlink.Message{message}, netlink.Request|netlink.Acknowledge)
	if err != nil {
		return nil, err
	}
	var data []byte
	for {
		answers, err := s.receive()
		if err != nil {
			_ = s.Close()
			return nil, err
		}
		for _, answer := range answers {
			if answer.Header.Sequence != first {
				continue
			}
			if answer.Header.Type == netlink.Error {
				return data, errnoIn(answer)
			}
			data = append([]byte(nil), answer.Data...)
		}
	}
}

// Dump sends one request that is answered by a list, and calls visit for the data of each.
func (s *Socket) Dump(message netlink.Message, visit func(data []byte) error) error {
	first, err := s.send([]netlink.Message{message}, netlink.Request|netlink.Dump)
	if err != nil {
		return err
	}
	interrupted := false
	for received := 0; received < dumpMessageLimit; {
		answers, err := s.receive()
		if err != nil {
			_ = s.Close()
			return err
		}
		for _, answer := range answers {
			if answer.Header.Sequence != first {
				continue
			}
			interrupted = interrupted || answer.Header.Flags&netlink.DumpInterrupted != 0
			if answer.Header.Type == netlink.Done || answer.Header.Type == netlink.Error {
				if err := errnoIn(answer); err != nil || !interrupted {
					return err
				}
				return ErrInterrupted
			}
			received++
			if err := visit(answer.Data); err != nil {
				_ = s.Close()
				return err
			}
		}
	}
	_ = s.Close()
	return fmt.Errorf("%w: a dump of more than %d entries", ErrMalformed, dumpMessageLimit)
}

// send writes the messages in one system call and returns the sequence number of the first.
func (s *Socket) send(messages []netlink.Message, flags netlink.HeaderFlags) (uint32, error) {
	if err := s.Open(); err != nil {
		return 0, err
	}
	first := s.sequence + 1
	buffer := s.outgoing[:0]
	for _, message := range messages {
		s.sequence++
		message.Header.Sequence = s.sequence
		message.Header.Flags |= flags
		buffer = appendMessage(buffer, message)
	}
	s.outgoing = buffer
	for {
		err := unix.Sendto(s.fd, buffer, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK})
		if errors.Is(err, unix.EINTR) { // answered before the kernel has looked at the messages
			continue
		}
		if err != nil {
			_ = s.Close()
		}
		return first, err
	}
}

// receive waits for one datagram of the kernel.
func (s *Socket) receive() ([]netlink.Message, error) {
	var deadline time.Time // reading a clock is dear on some machines
	for {
		count, sender, err := s.receiveFrom()
		switch {
		case err == unix.EINTR && (deadline.IsZero() || time.Now().Before(deadline)):
			if deadline.IsZero() {
				deadline = time.Now().Add(answerTimeout)
			}
		case err == unix.ENOBUFS, err == unix.EAGAIN, err == unix.EINTR:
			return nil, ErrOutcomeUnknown
		case err != 0:
			return nil, err
		case sender != 0:
			// not from the kernel
		case count > len(s.buffer):
			return nil, fmt.Errorf("%w: a datagram of %d bytes was cut off", ErrMalformed, count)
		default:
			messages, err := appendMessages(s.incoming[:0], s.buffer[:count])
			s.incoming = messages
			return messages, err
		}
	}
}

// receiveFrom is recvfrom(2) with MSG_TRUNC: the length of the datagram even if there is less room for it, and the port of who sent
// it. The answer to a netlink request is mostly there before one asks for it: then the Go scheduler need not hear of the call.
func (s *Socket) receiveFrom() (count int, sender uint32, errno unix.Errno) {
	s.fromLength = unix.SizeofSockaddrNetlink
	result, _, errno := unix.RawSyscall6(unix.SYS_RECVFROM, uintptr(s.fd), uintptr(unsafe.Pointer(&s.buffer[0])), uintptr(len(s.buffer)),
		unix.MSG_TRUNC|unix.MSG_DONTWAIT, uintptr(unsafe.Pointer(&s.from)), uintptr(unsafe.Pointer(&s.fromLength)))
	if errno == unix.EAGAIN {
		result, _, errno = unix.Syscall6(unix.SYS_RECVFROM, uintptr(s.fd), uintptr(unsafe.Pointer(&s.buffer[0])), uintptr(len(s.buffer)),
			unix.MSG_TRUNC, uintptr(unsafe.Pointer(&s.from)), uintptr(unsafe.Pointer(&s.fromLength)))
	}
	return int(result), s.from.Pid, errno
}

// Open opens the socket now, in the network namespace of the calling thread, instead of when it is first used.
func (s *Socket) Open() error {
	if s.fd >= 0 {
		return nil
	}
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, s.protocol)
	if err != nil {
		return err
	}
	timeout := unix.NsecToTimeval(answerTimeout.Nanoseconds())
	if err := errors.Join(unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}), unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &timeout)); err != nil {
		_ = unix.Close(fd)
		return err
	}
	s.setBuffers(fd)
	if s.strict {
		_ = unix.SetsockoptInt(fd, unix.SOL_NETLINK, unix.NETLINK_GET_STRICT_CHK, 1)
	}
	s.fd = fd
	return nil
}

// setBuffers asks for more room than the default, as far as the kernel lets us: batches are small enough for either.
func (s *Socket) setBuffers(fd int) {
	if s.ReceiveBuffer > 0 {
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, s.ReceiveBuffer)
		return
	}
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, socketBuffer) != nil {
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, socketBuffer)
	}
}
