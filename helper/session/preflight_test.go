package session

import (
	"bytes"
	"testing"

	"ipvs-operator.io/helper/wire"
)

func TestPreflightIsAnswered(t *testing.T) {
	session := newSession(&fakeEngine{})
	session.Preflight = func() []wire.Check {
		return []wire.Check{{Name: "kernel", Verdict: wire.VerdictOK, Message: "Linux 6.1"}}
	}
	var output bytes.Buffer
	if err := session.Run(frames(`{"id":1,"op":"preflight"}`, `{"id":2,"op":"preflight","what":"full"}`), &output); err != nil {
		t.Fatal(err)
	}
	got := answers(t, &output)
	want := `{"id":1,"ok":true,"result":{"checks":[{"name":"kernel","verdict":"ok","message":"Linux 6.1","remedy":""}]}}`
	if len(got) != 2 || got[0] != want || !bytes.Contains([]byte(got[1]), []byte(`"class":"protocol"`)) {
		t.Errorf("answers %v", got)
	}
}
