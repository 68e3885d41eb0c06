package settings

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"ipvs-operator.io/helper/ipvs"
)

// Combined puts the settings of IPVS and the sysctls of one host together.
type Combined struct {
	ipvs.Settings
	Sysctls
}

// Proc is the kernel parameters below /proc/sys of the network namespace of the calling thread. Those of the network may be
// written by whoever has CAP_NET_ADMIN (net_ctl_permissions), root or not.
type Proc struct{}

func path(name string) string {
	return filepath.Join("/proc/sys", strings.ReplaceAll(name, ".", "/"))
}

// Sysctl implements Sysctls.
func (Proc) Sysctl(name string) (string, error) {
	content, err := os.ReadFile(path(name))
	return strings.TrimSpace(string(content)), bare(err)
}

// SetSysctl implements Sysctls.
func (Proc) SetSysctl(name, value string) error {
	file, err := os.OpenFile(path(name), os.O_WRONLY, 0)
	if err != nil {
		return bare(err)
	}
	_, err = file.WriteString(value)
	return bare(errors.Join(err, file.Close()))
}

// bare is the errno alone: the path says nothing that the name did not.
func bare(err error) error {
	var errno unix.Errno
	if errors.As(err, &errno) {
		return errno
	}
	return err
}

// FakeSysctls are kernel parameters in memory. Safe for concurrent use.
type FakeSysctls struct {
	mutex  sync.Mutex
	values map[string]string
	// Unprivileged makes it refuse writes as to a caller without CAP_NET_ADMIN.
	Unprivileged bool
}

// NewFakeSysctls are the values of a 6.1 kernel that has just loaded IPVS.
func NewFakeSysctls() *FakeSysctls {
	values := map[string]string{}
	for _, name := range SysctlNames {
		values[SysctlPrefix+name] = "0"
	}
	for name, value := range map[string]string{"conn_reuse_mode": "1", "nat_icmp_send": "0", "pmtu_disc": "1", "run_estimation": "1", "sync_threshold": "3\t50",
		"sync_version": "1", "sync_ports": "1", "amemthresh": "1024", "am_droprate": "10", "lblc_expiration": "86400", "lblcr_expiration": "86400"} {
		values[SysctlPrefix+name] = value
	}
	// Newer kernels have these: 6.2 the estimator's, 7.1 the load factors.
	for _, name := range []string{"est_cpulist", "est_nice", "conn_lfactor", "svc_lfactor"} {
		delete(values, SysctlPrefix+name)
	}
	return &FakeSysctls{values: values}
}

// Sysctl implements Sysctls.
func (f *FakeSysctls) Sysctl(name string) (string, error) {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	value, known := f.values[name]
	if !known {
		return "", unix.ENOENT
	}
	return value, nil
}

// SetSysctl implements Sysctls. As the kernel (ip_vs_ctl.c) it refuses text, and numbers that the parameter does not take.
func (f *FakeSysctls) SetSysctl(name, value string) error {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	if _, known := f.values[name]; !known {
		return unix.ENOENT
	}
	if f.Unprivileged {
		return unix.EACCES
	}
	if !takes(strings.TrimPrefix(name, SysctlPrefix), value) {
		return unix.EINVAL
	}
	if adapts(strings.TrimPrefix(name, SysctlPrefix)) && value == "2" {
		value = "1" // memory is not low
	}
	f.values[name] = value
	return nil
}

// fakeMost are the greatest values of parameters that take none below 0.
var fakeMost = map[string]int64{"drop_entry": 3, "drop_packet": 3, "secure_tcp": 3, "sync_retries": 3, "sync_version": 1}

func takes(short, value string) bool {
	var numbers []int64
	for _, word := range strings.Fields(value) {
		number, err := strconv.ParseInt(word, 10, 32)
		if err != nil {
			return false
		}
		numbers = append(numbers, number)
	}
	if len(numbers) == 0 {
		return false
	}
	if most, limited := fakeMost[short]; limited {
		return numbers[0] >= 0 && numbers[0] <= most
	}
	switch short {
	case "sync_ports":
		return numbers[0] > 0 && numbers[0]&(numbers[0]-1) == 0
	case "sync_threshold":
		return len(numbers) == 2 && numbers[0] >= 0 && numbers[1] >= 0 && (numbers[0] < numbers[1] || numbers[1] == 0)
	}
	return true
}
