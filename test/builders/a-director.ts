import type { Director } from '../../operator/model/director.ts';
import type { IpAddress } from '../../operator/model/ip-address.ts';

/** Director `lb-1` at 192.0.2.11, Active, owner `prod`. */
export function aDirector({
  address = '192.0.2.11',
  ...overrides
}: Partial<Omit<Director, 'address'>> & { readonly address?: string } = {}): Director {
  const name = overrides.name ?? 'lb-1';
  return {
    name,
    uid: `uid-of-director-${name}`,
    generation: 1,
    labels: { site: 'rack-a' },
    deleting: false,
    address: address as IpAddress,
    port: 22,
    user: 'ipvs-operator',
    hostKeys: ['ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f'],
    secretName: 'director-ssh',
    interface: 'lo',
    tableOwner: 'prod',
    state: 'Active',
    driftPolicy: 'Repair',
    ...overrides,
  };
}
