package wire

import "strings"

// plain walks over JSON of the plainest kind. At the first thing that is not, it has failed, and stands at the end of the text. Strings
// that it answers are parts of the text, and keep all of it in memory.
type plain struct {
	text    string
	at      int
	failed  bool
	servers []RealServer // room for one virtual server's
	// last is the real server that was read last in the usual form, lastContents what the text says of it behind its address.
	last         RealServer
	lastContents string
}

// fields is a set of members of one object; unknown is a name that it does not have.
type fields uint32

const unknown fields = 0

func (p *plain) fail() { p.failed, p.at = true, len(p.text) }

func (p *plain) require(met bool) {
	if !met {
		p.fail()
	}
}

// peek is the next byte that is not white space; 0 at the end.
func (p *plain) peek() byte {
	for p.at < len(p.text) {
		switch c := p.text[p.at]; c {
		case ' ', '\t', '\r', '\n':
			p.at++
		default:
			return c
		}
	}
	return 0
}

// is consumes the byte if it is the next one.
func (p *plain) is(wanted byte) bool {
	if p.peek() != wanted {
		return false
	}
	p.at++
	return true
}

// exactly consumes the text if it comes next, to the letter.
func (p *plain) exactly(wanted string) bool {
	if !strings.HasPrefix(p.text[p.at:], wanted) {
		return false
	}
	p.at += len(wanted)
	return true
}

// textMember reads a string behind this name, which is written with all that stands before the value.
func (p *plain) textMember(name string, value *string) bool {
	if !p.exactly(name) {
		return false
	}
	*value = p.string()
	return !p.failed
}

// numberMember likewise.
func (p *plain) numberMember(name string, value *int64) bool {
	if !p.exactly(name) {
		return false
	}
	*value = p.number()
	return !p.failed
}

// ended reports whether nothing failed and nothing is left.
func (p *plain) ended() bool { return p.peek() == 0 && p.at == len(p.text) && !p.failed }

// object calls member with each name, to read the value and answer which field that was; and answers all of them.
func (p *plain) object(member func(name string) fields) fields {
	var seen fields
	p.require(p.is('{'))
	if p.is('}') {
		return seen
	}
	for !p.failed {
		name := p.name()
		p.require(p.is(':'))
		field := member(name)
		p.require(field != unknown && seen&field == 0)
		seen |= field
		if p.is('}') {
			return seen
		}
		p.require(p.is(','))
	}
	return seen
}

// array calls element to read each.
func (p *plain) array(element func()) {
	p.require(p.is('['))
	if p.is(']') {
		return
	}
	for !p.failed {
		element()
		if p.is(']') {
			return
		}
		p.require(p.is(','))
	}
}

// string is one of printable ASCII without escapes.
func (p *plain) string() string {
	if !p.is('"') {
		p.fail()
		return ""
	}
	rest := p.text[p.at:]
	for index := range len(rest) {
		if inString[rest[index]] {
			continue
		}
		if rest[index] != '"' {
			break
		}
		p.at += index + 1
		return rest[:index]
	}
	p.fail()
	return ""
}

// inString are the bytes that mean themselves in a string.
var inString = func() (plain [256]bool) {
	for c := ' '; c < 0x7f; c++ {
		plain[c] = c != '"' && c != '\\'
	}
	return plain
}()

// name is the name of a member, up to the next quote: whoever looks at it knows only names of letters, and refuses others.
func (p *plain) name() string {
	if !p.is('"') {
		p.fail()
		return ""
	}
	length := strings.IndexByte(p.text[p.at:], '"')
	if length < 0 {
		p.fail()
		return ""
	}
	name := p.text[p.at : p.at+length]
	p.at += length + 1
	return name
}

// kept is a string that outlives the request.
func (p *plain) kept() string { return strings.Clone(p.string()) }

func (p *plain) strings() []string {
	texts := []string{}
	p.array(func() { texts = append(texts, p.string()) })
	return texts
}

// maxDigits is how many digits fit into 64 bits whatever they are.
const maxDigits = 18

func (p *plain) number() int64 {
	var number int64
	p.peek()
	start := p.at
	for p.at < len(p.text) && p.text[p.at] >= '0' && p.text[p.at] <= '9' && p.at-start < maxDigits {
		number = number*10 + int64(p.text[p.at]-'0')
		p.at++
	}
	p.require(p.at > start && (p.text[start] != '0' || p.at == start+1))
	return number
}

func (p *plain) bool() bool {
	p.peek()
	switch rest := p.text[p.at:]; {
	case strings.HasPrefix(rest, "true"):
		p.at += len("true")
		return true
	case strings.HasPrefix(rest, "false"):
		p.at += len("false")
	default:
		p.fail()
	}
	return false
}
