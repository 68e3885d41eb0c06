package wire

// Verdict of one check.
type Verdict string

// The verdicts: failed means that the director cannot work, warning that something will not work as one would expect.
const (
	VerdictOK      Verdict = "ok"
	VerdictWarning Verdict = "warning"
	VerdictFailed  Verdict = "failed"
)

// Check is one thing that was looked at on the host: what was found, and what to do about it ("" when nothing is to do).
type Check struct {
	Name    string  `json:"name"`
	Verdict Verdict `json:"verdict"`
	Message string  `json:"message"`
	Remedy  string  `json:"remedy"`
}

// PreflightResult answers a preflight.
type PreflightResult struct {
	Checks []Check `json:"checks"`
}
