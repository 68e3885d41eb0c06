import { z } from 'zod';
import { conditions } from './common-schemas.ts';
import type { ResourceDefinition } from './custom-resource-definition.ts';
import { preflight } from './director-preflight.ts';
import { checkedBy, SET } from './validation.ts';

/** A line of known_hosts without the host: algorithm, key in base64, and perhaps a comment. */
export const HOST_KEY_PATTERN =
  '^(ssh-ed25519|ssh-rsa|ecdsa-sha2-nistp256|ecdsa-sha2-nistp384|ecdsa-sha2-nistp521) [A-Za-z0-9+/]{40,}={0,2}( [ -~]*)?$';

const hostKey = z
  .string()
  .max(4200)
  .meta(
    checkedBy({
      rule: `self.matches('${HOST_KEY_PATTERN}')`,
      message:
        'not a public host key: write algorithm and base64 as in "ssh-ed25519 AAAA…", the content of /etc/ssh/ssh_host_ed25519_key.pub on the director',
    }),
  );

/** Director spec, as the API server stores it after defaulting. */
export const directorSpec = z.strictObject({
  address: z
    .string()
    .min(2)
    .max(45)
    .describe('IP address at which the operator reaches the SSH server of the host.')
    .meta(
      checkedBy(
        {
          rule: 'isIP(self)',
          message: 'address: not an IP address; write for example 192.0.2.2 or 2001:db8::2, without prefix or port',
        },
        {
          rule: '!isIP(self) || ip(self).isGlobalUnicast() || ip(self).isLoopback()',
          message: 'address: not a unicast address of a host; write the one at which SSH answers',
        },
      ),
    ),
  port: z.int().min(1).max(65535).default(22).describe('TCP port of the SSH server.'),
  user: z
    .string()
    .min(1)
    .max(32)
    .default('ipvs-operator')
    .describe('Unprivileged user whose authorized_keys line starts the helper.')
    .meta(
      checkedBy({
        rule: "self.matches('^[a-z_][a-z0-9_-]*$')",
        message: 'user: not a user name; use lower-case letters, digits, _ and -, a letter first',
      }),
    ),
  hostKeys: z
    .array(hostKey)
    .min(1)
    .max(8)
    .describe(
      'Public keys of the host, as in its /etc/ssh/ssh_host_*_key.pub. A host that shows another key is not trusted.',
    )
    .meta(SET),
  credentials: z
    .strictObject({
      secretName: z
        .string()
        .min(1)
        .max(253)
        .describe('Secret of type kubernetes.io/ssh-auth in the namespace of the operator; its private key logs in.')
        .meta(
          checkedBy({
            rule: "self.matches('^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$')",
            message: 'credentials.secretName: not a name of a Secret; use lower-case letters, digits, - and .',
          }),
        ),
    })
    .describe('How the operator logs in.'),
  interface: z
    .string()
    .min(1)
    .max(15)
    .default('lo')
    .describe('Network interface of the host that carries the VIPs as /32 and /128.')
    .meta(
      checkedBy({
        rule: "self.matches('^[^/:[:space:]]+$') && self != '.' && self != '..'",
        message: 'interface: not a name of a network interface; write one that ip link shows, for example lo or eth0',
      }),
    ),
  tableOwner: z
    .string()
    .min(1)
    .max(63)
    .describe('Owner in the policy file of the host, as in ipvs-helper serve --owner; it grants the address ranges.')
    .meta(
      checkedBy({
        rule: "self.matches('^[a-z0-9]([-.a-z0-9]*[a-z0-9])?$')",
        message:
          'tableOwner: not an owner name; use lower-case letters, digits, - and ., as in the policy file of the host',
      }),
    ),
  state: z
    .enum(['Active', 'Cordoned', 'Drained'])
    .default('Active')
    .describe(
      'Active: filled, and new addresses are published when it has confirmed them. Cordoned: filled, but no publication waits for it. Drained: emptied.',
    ),
  driftPolicy: z
    .enum(['Repair', 'Report'])
    .default('Repair')
    .describe('When somebody else changed entries of ours: put them right, or only say so in condition InSync.'),
});

const counter = z.int().min(0);

/** Director status; see DirectorStatus in operator/model/status.ts. */
export const directorStatus = z.strictObject({
  observedGeneration: counter.optional().describe('Generation of the spec that this status was computed from.'),
  conditions: conditions.optional(),
  helper: z
    .strictObject({
      version: z.string().describe('Version of ipvs-helper.'),
      protocol: z.string().describe('Protocol versions it speaks.'),
      capabilities: z.array(z.string()).describe('What the host can do.'),
    })
    .optional()
    .describe('The helper on the host, as it introduced itself last.'),
  kernel: z.string().optional().describe('Release of the Linux kernel.'),
  bootID: z.string().optional().describe('Changes with every boot of the host.'),
  virtualServers: counter.optional().describe('Virtual servers it holds for this operator.'),
  realServers: counter.optional().describe('Real servers in them.'),
  draining: counter
    .optional()
    .describe(
      'Real servers on their way out: at weight 0 until their connections have ended or drain.timeout has passed.',
    ),
  foreign: counter.optional().describe('Virtual servers outside the address ranges of the owner; never touched.'),
  orphans: counter
    .optional()
    .describe('Virtual servers inside the address ranges of the owner that the operator did not make; never touched.'),
  connections: counter.optional().describe('Connections through our virtual servers when last read.'),
  totalWrites: counter.optional().describe('Changes made to the kernel since boot.'),
  lastSyncTime: z.iso.datetime().optional().describe('When it last confirmed a change.'),
  preflight: preflight.optional(),
  message: z.string().optional().describe('What is wrong, if anything.'),
});

/** Director: one Linux host that balances with IPVS, reached over SSH. */
export const DIRECTOR: ResourceDefinition = {
  kind: 'Director',
  plural: 'directors',
  singular: 'director',
  shortNames: ['dir'],
  description: 'A Linux host in front of the cluster that balances with IPVS and is driven over SSH.',
  spec: directorSpec,
  specDescription: 'Where the host is and what it shall do.',
  status: directorStatus,
  columns: [
    { name: 'Ready', type: 'string', jsonPath: '.status.conditions[?(@.type=="Ready")].status' },
    { name: 'Address', type: 'string', jsonPath: '.spec.address' },
    { name: 'State', type: 'string', jsonPath: '.spec.state' },
    { name: 'Kernel', type: 'string', jsonPath: '.status.kernel' },
    { name: 'VIPs', type: 'integer', jsonPath: '.status.virtualServers', description: 'Virtual servers it holds' },
    { name: 'InSync', type: 'string', jsonPath: '.status.conditions[?(@.type=="InSync")].status' },
    { name: 'Message', type: 'string', jsonPath: '.status.message', priority: 1 },
    { name: 'Age', type: 'date', jsonPath: '.metadata.creationTimestamp' },
  ],
};
