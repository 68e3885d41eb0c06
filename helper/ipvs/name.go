package ipvs

// SchedulerNames are all schedulers that the kernel can load, as ipvsadm(8) spells them; twos exists from Linux 5.12 on.
var SchedulerNames = []string{"rr", "wrr", "lc", "wlc", "lblc", "lblcr", "dh", "sh", "mh", "sed", "nq", "fo", "ovf", "twos"}

// flagNames are the spellings of ipvsadm(8) --sched-flags. The first three are understood by one scheduler each; the
// generic ones name the same bits for any.
var flagNames = []struct {
	name      string
	scheduler string
	bit       Flags
}{
	{"sh-fallback", "sh", FlagScheduler1},
	{"sh-port", "sh", FlagScheduler2},
	{"mh-fallback", "mh", FlagScheduler1},
	{"mh-port", "mh", FlagScheduler2},
	{"flag-1", "", FlagScheduler1},
	{"flag-2", "", FlagScheduler2},
	{"flag-3", "", FlagScheduler3},
}

// SchedulerFlag is the bit of a flag's name, and the one scheduler that understands this name ("" for any). False for a
// name that does not exist.
func SchedulerFlag(name string) (bit Flags, scheduler string, known bool) {
	for _, flag := range flagNames {
		if flag.name == name {
			return flag.bit, flag.scheduler, true
		}
	}
	return 0, "", false
}

// SchedulerFlagNames spells the scheduler bits of flags as ipvsadm(8) prints them for the scheduler, never nil.
func SchedulerFlagNames(scheduler string, flags Flags) []string {
	names := []string{}
	for _, bit := range []Flags{FlagScheduler1, FlagScheduler2, FlagScheduler3} {
		if flags&bit != 0 {
			names = append(names, schedulerFlagName(scheduler, bit))
		}
	}
	return names
}

func schedulerFlagName(scheduler string, bit Flags) string {
	generic := ""
	for _, flag := range flagNames {
		if flag.bit == bit && flag.scheduler == scheduler {
			return flag.name
		}
		if flag.bit == bit && flag.scheduler == "" {
			generic = flag.name
		}
	}
	return generic
}
