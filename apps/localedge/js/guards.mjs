// Lists of addresses in front of hosts, as a security policy that refuses all but the listed would have them.
// The address is the connection's own: what a header says of it is only a claim.
import { BlockList, isIPv6 } from 'node:net';

const FAMILIES = { 4: 'ipv4', 6: 'ipv6' };

/** One name, however it is written: a port, capitals and a trailing dot make no other host of it. */
const nameOf = (host) => host.replace(/:\d+$/, '').replace(/\.$/, '').toLowerCase();

/** ``entries``: [address, prefix length, version, end in ms or null]. Those that end together share one list. */
function listsOf(entries) {
  const byEnd = new Map();
  for (const [address, prefix, version, end] of entries) {
    if (!byEnd.has(end)) byEnd.set(end, new BlockList());
    byEnd.get(end).addSubnet(address, prefix, FAMILIES[version]);
  }
  return [...byEnd].map(([end, list]) => ({ end: end ?? Infinity, list }));
}

export class Guards {
  #hosts = new Map();

  /** Replaces everything. A host with no entries is closed to everybody. */
  set(hosts) {
    this.#hosts = new Map(Object.entries(hosts).map(([host, entries]) => [nameOf(host), listsOf(entries)]));
  }

  refuses(host, ip) {
    const lists = this.#hosts.get(nameOf(host));
    if (lists === undefined) return false;
    const now = Date.now();
    return !lists.some(({ end, list }) => now < end && list.check(ip, isIPv6(ip) ? 'ipv6' : 'ipv4'));
  }
}
