/** What shall hold on a director beside its virtual servers; both are the kernel's for all of them (docs/wire-protocol.md, Host). */
export interface HostSettings {
  /** Full name, below net.ipv4.vs. → value. */
  readonly sysctls: Readonly<Record<string, string>>;
  /** Absent: left as they are. */
  readonly timeouts?: ConnectionTimeouts;
}

/** How long IPVS remembers an idle connection, in seconds, 1 … 2,678,400 (ipvsadm --set). */
export interface ConnectionTimeouts {
  readonly tcpSeconds: number;
  /** After FIN. */
  readonly tcpFinSeconds: number;
  readonly udpSeconds: number;
}

/** 31 days, as in ipvsadm(8). */
export const LONGEST_TIMEOUT_SECONDS = 2_678_400;
