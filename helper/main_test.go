package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ipvs-operator.io/helper/wire"
)

// place is a host with a policy and a state directory, and arguments that point there.
func place(t *testing.T, content string) []string {
	t.Helper()
	directory := t.TempDir()
	path := filepath.Join(directory, "policy.json")
	if content != "" {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return []string{"--owner", "prod", "--policy", path, "--state-dir", filepath.Join(directory, "state"), "--fake-kernel"}
}

const grants = `{"owners":{"prod":{"virtualServers":["203.0.113.0/24","2001:db8::/64"],"realServers":["192.0.2.0/24","2001:db8:0:1::/64"],"interfaces":["lo"]}}}`

func runWith(input []byte, arguments ...string) (code int, output, errors string) {
	var out, err bytes.Buffer
	code = run(arguments, terminal{bytes.NewReader(input), &out, &err})
	return code, out.String(), err.String()
}

func example(t *testing.T, name string) []byte {
	t.Helper()
	content, err := os.ReadFile(filepath.Join("testdata", name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	return content
}

func talk(t *testing.T, arguments []string, requests ...[]byte) (wire.Hello, []map[string]any) {
	t.Helper()
	var input bytes.Buffer
	for _, request := range requests {
		if err := wire.WriteFrame(&input, json.RawMessage(request)); err != nil {
			t.Fatal(err)
		}
	}
	code, output, errors := runWith(input.Bytes(), append([]string{"serve"}, arguments...)...)
	if code != exitDone {
		t.Fatalf("exit %d: %s", code, errors)
	}
	stream := strings.NewReader(output)
	var hello wire.Hello
	var answers []map[string]any
	for index := range 1 + len(requests) {
		body, err := wire.ReadFrame(stream)
		if err != nil {
			t.Fatal(err)
		}
		if index == 0 {
			err = json.Unmarshal(body, &hello)
		} else {
			answers = append(answers, map[string]any{})
			err = json.Unmarshal(body, &answers[index-1])
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return hello, answers
}

func TestServe(t *testing.T) {
	arguments := place(t, grants)
	hello, answers := talk(t, arguments, example(t, "request-ping"), example(t, "request-apply"), example(t, "request-read"))
	if hello.Owner != "prod" || len(hello.Problems) != 0 || hello.Epoch != 0 || !hello.Capabilities.IPVS || hello.Netns == "" || hello.BootID == "" {
		t.Errorf("hello %+v", hello)
	}
	for index, answer := range answers {
		if answer["ok"] != true {
			t.Errorf("answer %d: %v", index, answer)
		}
	}
	hello, _ = talk(t, arguments)
	if hello.Epoch != 3 || hello.Generation != 18 {
		t.Errorf("the next session says epoch %d generation %d", hello.Epoch, hello.Generation)
	}
}

// An unfit host keeps the session up, says why, and refuses to apply.
func TestServeOnAnUnfitHost(t *testing.T) {
	for name, row := range map[string]struct{ policy, words string }{
		"no policy file": {"", "does not exist"},
		"no such owner":  {`{"owners":{}}`, "has no entry for owner prod"},
		"broken policy":  {"{", "is not valid"},
	} {
		t.Run(name, func(t *testing.T) {
			hello, answers := talk(t, place(t, row.policy), example(t, "request-apply"), example(t, "request-ping"))
			if len(hello.Problems) != 1 || !strings.Contains(hello.Problems[0], row.words) {
				t.Errorf("problems %q", hello.Problems)
			}
			refusal, _ := answers[0]["error"].(map[string]any)
			if refusal["class"] != "policy" || answers[1]["ok"] != true {
				t.Errorf("answers %v", answers)
			}
		})
	}
	t.Run("state directory that cannot be made", func(t *testing.T) {
		arguments := place(t, grants)
		if err := os.WriteFile(arguments[5], nil, 0o600); err != nil {
			t.Fatal(err)
		}
		hello, answers := talk(t, arguments, example(t, "request-apply"))
		refusal, _ := answers[0]["error"].(map[string]any)
		if len(hello.Problems) != 1 || !strings.Contains(hello.Problems[0], "state directory") || refusal["class"] != "permanent" {
			t.Errorf("problems %q, answer %v", hello.Problems, answers)
		}
	})
}

func TestPlanAndApplyForPeople(t *testing.T) {
	arguments := place(t, grants)
	request := example(t, "request-apply")
	code, planned, _ := runWith(request, append([]string{"plan"}, arguments...)...)
	if code != exitDone || !strings.Contains(planned, "add real server 192.0.2.21:80 weight 1 to TCP 203.0.113.10:80\n") || !strings.Contains(planned, "7 changes planned, nothing written") {
		t.Errorf("plan: %d\n%s", code, planned)
	}
	code, applied, _ := runWith(request, append([]string{"apply", "--once"}, arguments...)...)
	if code != exitDone || !strings.Contains(applied, "7 writes; table ") {
		t.Errorf("apply: %d\n%s", code, applied)
	}
	code, asJSON, _ := runWith(request, append([]string{"plan", "--json"}, arguments...)...)
	var answer wire.ApplyResult
	if err := json.Unmarshal([]byte(asJSON), &answer); err != nil || code != exitDone || len(answer.Changes) != 7 {
		t.Errorf("plan --json: %d, %v\n%s", code, err, asJSON)
	}
	if code, dumped, _ := runWith(nil, append([]string{"dump"}, arguments...)...); code != exitDone || !strings.Contains(dumped, `"tableHash"`) {
		t.Errorf("dump: %d\n%s", code, dumped)
	}
}

func TestWrongUsage(t *testing.T) {
	for name, row := range map[string]struct {
		arguments []string
		code      int
		words     string
	}{
		"nothing":          {nil, exitUsage, "usage:"},
		"unknown verb":     {[]string{"flush"}, exitUsage, "usage:"},
		"serve, no owner":  {[]string{"serve"}, exitUsage, "--owner is required"},
		"owner with path":  {[]string{"serve", "--owner", "../x"}, exitUsage, "is not a name"},
		"unknown flag":     {[]string{"serve", "--owner", "prod", "--flush"}, exitUsage, "flag provided but not defined"},
		"stray argument":   {[]string{"serve", "--owner", "prod", "x"}, exitUsage, "unexpected argument"},
		"apply, not once":  {[]string{"apply", "--owner", "prod"}, exitUsage, "--once is required"},
		"plan of nonsense": {append([]string{"plan"}, place(t, grants)...), exitFailed, "request is malformed"},
	} {
		t.Run(name, func(t *testing.T) {
			if code, _, errors := runWith([]byte("{}"), row.arguments...); code != row.code || !strings.Contains(errors, row.words) {
				t.Errorf("exit %d: %s", code, errors)
			}
		})
	}
	if code, output, _ := runWith(nil, "version"); code != exitDone || strings.TrimSpace(output) != version {
		t.Errorf("version: %d %q", code, output)
	}
}
