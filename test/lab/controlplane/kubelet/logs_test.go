package kubelet

import "testing"

func TestLastLines(t *testing.T) {
	for _, test := range []struct {
		content string
		count   int
		want    string
	}{
		{"a\nb\nc\n", 2, "b\nc\n"},
		{"a\nb\nc", 1, "c"},
		{"a\nb\n", 5, "a\nb\n"},
		{"a\nb\n", 2, "a\nb\n"},
		{"a\n", 0, ""},
		{"", 3, ""},
	} {
		if got := string(lastLines([]byte(test.content), test.count)); got != test.want {
			t.Errorf("last %d of %q: got %q, want %q", test.count, test.content, got, test.want)
		}
	}
}
