// Package contract is one suite of tests for every implementation of the kernel's interfaces: the fakes in memory, and
// (with IPVS_CONTRACT_KERNEL=1, as root) the real kernel it runs on, where ipvsadm and ip are asked as independent
// witnesses when they are installed. Whatever the fakes do differently from a kernel is a fault of the fakes.
package contract
