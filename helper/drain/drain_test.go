package drain

import (
	"testing"
	"time"

	"ipvs-operator.io/helper/ipvs"
)

func TestOver(t *testing.T) {
	none, some := ipvs.Connections{}, ipvs.Connections{Inactive: 1}
	for name, row := range map[string]struct {
		longest time.Duration
		left    ipvs.Connections
		after   time.Duration
		over    bool
	}{
		"empty, at once":                    {time.Minute, none, 0, false},
		"empty, before the minimum stay":    {time.Minute, none, MinimumStay - 1, false},
		"empty, after the minimum stay":     {time.Minute, none, MinimumStay, true},
		"active":                            {time.Minute, ipvs.Connections{Active: 1}, time.Minute - 1, false},
		"inactive":                          {time.Minute, some, time.Minute - 1, false},
		"persistent":                        {time.Minute, ipvs.Connections{Persistent: 1}, time.Minute - 1, false},
		"at the deadline, whatever is left": {time.Minute, some, time.Minute, true},
		"a deadline before the minimum":     {time.Second, some, time.Second, true},
	} {
		term := Begin(time.Hour, row.longest)
		if got := term.Over(row.left, time.Hour+row.after); got != row.over {
			t.Errorf("%s: over is %v", name, got)
		}
	}
}

func TestTermIsShortenedOnly(t *testing.T) {
	term := Begin(time.Hour, time.Minute)
	if got := term.AtMost(time.Second); got != (Term{time.Hour, time.Hour + time.Second}) {
		t.Errorf("shortened to %v", got)
	}
	if got := term.AtMost(2 * time.Minute); got != term {
		t.Errorf("extended to %v", got)
	}
}

func TestWallTime(t *testing.T) {
	now := Moment{SinceBoot: time.Hour, Wall: time.Date(2026, 1, 1, 12, 0, 0, 999, time.FixedZone("", 3600))}
	if got := now.WallTime(time.Hour + 30*time.Second); got != "2026-01-01T11:00:30Z" {
		t.Errorf("%s", got)
	}
}

func TestSystemClockGoesOn(t *testing.T) {
	first := SystemClock()
	second := SystemClock()
	if first.SinceBoot <= 0 || second.SinceBoot < first.SinceBoot || second.Wall.IsZero() {
		t.Errorf("%v, then %v", first, second)
	}
}
